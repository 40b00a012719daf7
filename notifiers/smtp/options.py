"""What a clinic may say of its mail server in settings.yaml."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field, SecretStr, model_validator

from clinicrelay.settings.local import LocalPath
from clinicrelay.settings.values import Section, SomeTime, Whole, wrong
from notifiers._sender import Sender

PORTS = {"starttls": 587, "tls": 465, "none": 25}


def _host(value: str) -> str:
    host = value.strip()
    name, colon, port = host.partition(":")
    if colon and name and re.fullmatch(r"\d{1,5}", port):
        raise wrong("host and port stand apart", f"write host: {name} and port: {port}")
    if not re.fullmatch(r"[A-Za-z0-9._-]+|\[?[0-9a-fA-F:.]+\]?", host):
        raise wrong("this is not the name of a server", "write its name alone: smtp.clinic.example")
    return host.strip("[]")


def _hello(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+|\[[0-9A-Za-z:.]+\]", value):
        raise wrong(
            "this is not the name of a machine", "write a name such as relay.clinic.example"
        )
    return value


Host: TypeAlias = Annotated[str, AfterValidator(_host)]
HelloName: TypeAlias = Annotated[str, AfterValidator(_hello)]


class Options(Section):
    """The clinic's mail server, and whom its mails are from."""

    host: Host = Field(
        description="Name of the mail server; its certificate must be for this name.",
        examples=["smtp.riverside.example"],
    )
    port: Whole | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Absent: 587 with starttls, 465 with tls, 25 with none.",
        examples=[587],
    )
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls",
        description="How the way is encrypted: after a greeting, from the first byte, or not at "
        "all, which is for this machine only. There is no falling back.",
    )
    username: SecretStr | None = Field(
        default=None,
        description="Name to log in with. Absent: no login.",
        examples=["${SMTP_USER}"],
    )
    password: SecretStr | None = Field(
        default=None, description="Password to log in with.", examples=["${SMTP_PASSWORD}"]
    )
    sender: Sender = Field(
        alias="from",
        description="Whom mails are from: an address that the server lets this login use, with or "
        "without a name before it.",
        examples=["Riverside <noreply@riverside.example>"],
    )
    ca: LocalPath | None = Field(
        default=None,
        description="File with certificates (PEM) of signers to trust beside the system's own; "
        "relative to the settings file.",
        examples=["secrets/ca.pem"],
    )
    ehlo: HelloName | None = Field(
        default=None,
        description="Name this machine greets with. Absent: its address, which nearly every server "
        "takes.",
        examples=["relay.riverside.example"],
    )
    timeout: SomeTime = Field(
        default=timedelta(seconds=30),
        description="Longest wait for one answer, the whole of it.",
        examples=["30s"],
    )
    final_timeout: SomeTime = Field(
        default=timedelta(minutes=10),
        description="Longest wait for the answer to the end of a message. Servers look at the whole "
        "of it first, and one that is left too early may have taken it (RFC 5321 section 4.5.3.2.6).",
        examples=["10m"],
    )

    @model_validator(mode="after")
    def _a_login_is_whole(self) -> Options:
        if (self.username is None) != (self.password is None):
            missing = "password" if self.password is None else "username"
            raise wrong("a login needs both username and password", f"write {missing} as well")
        return self

    @property
    def at_port(self) -> int:
        """The port, written or not."""
        return self.port or PORTS[self.security]
