"""What a clinic may say of its account at AWS in settings.yaml."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator

from clinicrelay.http.options import BaseUrl
from clinicrelay.settings.values import Section, SomeTime, wrong

NUMBER = re.compile(r"\+[1-9]\d{6,14}|[1-9]\d{2,7}")
_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9-]{1,11}")
_IDENTITY = re.compile(r"(pool|phone)-[0-9a-f]{32}|arn:aws[a-z-]*:sms-voice:[A-Za-z0-9_:/-]{1,200}")


def _sender(value: str) -> str:
    if not any(kind.fullmatch(value) for kind in (NUMBER, _NAME, _IDENTITY)):
        fix = 'write the number with its country code, in quotes: "+4930987654321"'
        raise wrong("this is nothing that AWS sends from", fix)
    return value


def _key_half(value: SecretStr) -> SecretStr:
    """Refuse what no header can hold: a request that cannot be written looks like a lost answer."""
    if not re.fullmatch(r"[\x21-\x7e]+", value.get_secret_value()):
        raise wrong("this is no half of an access key", "copy it whole, without spaces")
    return value


KeyHalf: TypeAlias = Annotated[SecretStr, AfterValidator(_key_half)]
Sender: TypeAlias = Annotated[str, AfterValidator(_sender)]
Name: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_:/-]{1,256}$")]


class Options(Section):
    """The clinic's account at AWS, and which number its SMS come from."""

    # A host's name is made of it, so nothing else may stand here.
    region: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-\d{1,2}$")] = Field(
        description="The region that the number was bought in.", examples=["eu-central-1"]
    )
    access_key_id: KeyHalf | None = Field(
        default=None,
        description="Key of a user that may send SMS and nothing else. Absent: what AWS's library "
        "finds by itself, such as the machine's role.",
        examples=["${AWS_ACCESS_KEY_ID}"],
    )
    secret_access_key: KeyHalf | None = Field(
        default=None,
        description="The other half of that key.",
        examples=["${AWS_SECRET_ACCESS_KEY}"],
    )
    sender: Sender = Field(
        alias="from",
        description="The number, short code or sender ID that SMS come from; with api: eum also the "
        "id of a pool.",
        examples=["+4930987654321"],
    )
    api: Literal["eum", "sns"] = Field(
        default="eum",
        description="Which of AWS's services sends: eum is End User Messaging, which says why it "
        "refuses a message and can report deliveries; sns is the older Simple Notification Service.",
    )
    configuration_set: Name | None = Field(
        default=None,
        description="Configuration set of End User Messaging, whose event destination reports "
        "deliveries.",
        examples=["clinic"],
    )
    topic_arn: (
        Annotated[
            str, StringConstraints(pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]+$")
        ]
        | None
    ) = Field(
        default=None,
        description="The SNS topic that the event destination writes to. Reports of deliveries are "
        "believed from this one alone. Absent: none are.",
        examples=["arn:aws:sns:eu-central-1:123456789012:clinic-sms"],
    )
    base_url: BaseUrl | None = Field(
        default=None,
        description="Another address of the service. Absent: AWS's own for the region.",
        examples=["https://sms-voice.eu-central-1.amazonaws.com"],
    )
    timeout: SomeTime = Field(
        default=timedelta(seconds=30),
        description="Longest silence while an answer is waited for.",
        examples=["30s"],
    )

    @model_validator(mode="after")
    def _belongs_together(self) -> Options:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            missing = "access_key_id" if self.access_key_id is None else "secret_access_key"
            raise wrong("a key needs both of its halves", f"write {missing} as well")
        if self.api == "sns":
            for name in ("configuration_set", "topic_arn"):
                if getattr(self, name) is not None:
                    raise wrong(f"{name} means something with api: eum only", f"remove {name}")
            if _IDENTITY.fullmatch(self.sender):
                raise wrong("api: sns sends from a number or a sender ID", "write the number")
        return self
