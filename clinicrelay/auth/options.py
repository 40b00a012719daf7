"""What settings may say under `auth`: one of seven kinds, each with its own keys."""

from __future__ import annotations

import re
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field, SecretStr

from clinicrelay.settings.values import Section, wrong

_LINE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")


def one_line(text: str) -> str:
    """Let pass what a header can carry; a secret from a file may have brought its line break."""
    if not _LINE.fullmatch(text):
        raise wrong(
            "this is empty, or holds a line break, a blank at an end or a sign that is not ASCII",
            "copy it again, as one line",
        )
    return text


def _one_line(secret: SecretStr) -> SecretStr:
    one_line(secret.get_secret_value())
    return secret


Line: TypeAlias = Annotated[SecretStr, AfterValidator(_one_line)]


class NoAuth(Section):
    """Nobody asks who we are."""

    type: Literal["none"] = Field(default="none", description="No credentials.")


class BasicAuth(Section):
    """A name and a password with each request (RFC 7617); some take a key as name, no password."""

    type: Literal["basic"] = Field(description="Name and password.")
    username: SecretStr = Field(description="Name, or the key.", examples=["${EHR_USER}"])
    password: SecretStr = Field(
        default=SecretStr(""), description="Password; may be empty.", examples=["${EHR_PASSWORD}"]
    )


class BearerAuth(Section):
    """A token that somebody made for us and that lasts (RFC 6750)."""

    type: Literal["bearer"] = Field(description="A lasting token.")
    token: Line = Field(description="The token.", examples=["${EHR_TOKEN}"])


class HeaderAuth(Section):
    """A key in a header of its own, such as X-API-Key."""

    type: Literal["header"] = Field(description="A key in a header.")
    name: str = Field(
        pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
        description="Name of the header.",
        examples=["X-API-Key"],
    )
    value: Line = Field(description="What stands in it.", examples=["${EHR_KEY}"])


class QueryAuth(Section):
    """A key in the address itself; it is kept out of every log and message."""

    type: Literal["query"] = Field(description="A key in the address.")
    name: str = Field(min_length=1, description="Name of the parameter.", examples=["api_key"])
    value: SecretStr = Field(description="What it says.", examples=["${EHR_KEY}"])


class OAuth2(Section):
    """OAuth 2 client credentials (RFC 6749 section 4.4): a secret buys tokens that soon expire."""

    type: Literal["oauth2"] = Field(description="Client id and secret for a token.")
    token_url: str = Field(
        pattern=r"^https?://\S+$",
        description="Where tokens are given.",
        examples=["https://auth.ehr.example/token"],
    )
    client_id: str = Field(min_length=1, description="Our id there.", examples=["3f2c9a10"])
    client_secret: SecretStr = Field(description="Our secret there.", examples=["${EHR_SECRET}"])
    scope: str | None = Field(
        default=None,
        description="What we ask to read. Absent: what the server gives by itself.",
        examples=["system/Appointment.read"],
    )
    send: Literal["basic", "body"] = Field(
        default="basic", description="Where the secret goes: a header, or the request's body."
    )


class SmartBackend(Section):
    """SMART Backend Services: a key pair of ours buys tokens that soon expire.

    https://hl7.org/fhir/smart-app-launch/backend-services.html
    """

    type: Literal["smart_backend"] = Field(description="A signed statement for a token.")
    client_id: str = Field(min_length=1, description="Our id there.", examples=["3f2c9a10"])
    private_key: SecretStr = Field(
        description="Our private key: PEM, or a JWK; `clinicrelay keys new` makes one.",
        examples=["${file:secrets/ehr.pem}"],
    )
    kid: str | None = Field(
        default=None,
        description="The key's name there. Absent: its thumbprint (RFC 7638), as `keys jwks` says.",
        examples=["clinicrelay-2026"],
    )
    token_url: str | None = Field(
        default=None,
        pattern=r"^https?://\S+$",
        description="Where tokens are given. Absent: asked of the server (.well-known).",
        examples=["https://auth.ehr.example/token"],
    )
    audience: str | None = Field(
        default=None, description="Whom the statement is for. Absent: the token address."
    )
    scope: str | None = Field(
        default=None,
        description="What we ask to read. Absent: what the connector needs, in the server's style.",
        examples=["system/Appointment.read system/Patient.read"],
    )
    algorithm: Literal["RS384", "ES384", "ES256"] | None = Field(
        default=None, description="How it is signed. Absent: what the key is made for."
    )


Auth: TypeAlias = Annotated[
    NoAuth | BasicAuth | BearerAuth | HeaderAuth | QueryAuth | OAuth2 | SmartBackend,
    Field(discriminator="type"),
]
