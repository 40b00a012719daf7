"""What a clinic may say of its account at SendGrid in settings.yaml."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from clinicrelay.http.options import BaseUrl
from clinicrelay.settings.values import wrong
from notifiers import _http
from notifiers._sender import Sender

API = "https://api.sendgrid.com"
# What every public key on the curve P-256 begins with (RFC 5480), then the point in 86 letters.
_ON_P256 = re.compile(r"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE[A-Za-z0-9+/]{86}==")


def _api_key(value: SecretStr) -> SecretStr:
    """Refuse what no header can hold: a request that cannot be written looks like a lost answer."""
    if not re.fullmatch(r"[\x21-\x7e]+", value.get_secret_value()):
        raise wrong("this is no API key", "copy it whole, without spaces: it begins with SG.")
    return value


def _webhook_key(value: str) -> str:
    key = re.sub(r"-----[A-Z ]+-----|\s", "", value)
    if not _ON_P256.fullmatch(key):
        raise wrong("this is no verification key", "copy it whole: it begins with MFkwEwYHKoZI")
    return key


class Options(_http.Options):
    """The clinic's account at SendGrid, and whom its mails are from."""

    api_key: Annotated[SecretStr, AfterValidator(_api_key)] = Field(
        description="A key with leave for Mail Send, and for Email Activity where there is any.",
        examples=["${SENDGRID_API_KEY}"],
    )
    sender: Sender = Field(
        alias="from",
        description="Whom mails are from: an address of an authenticated domain or a verified one, "
        "with or without a name before it.",
        examples=["Riverside <noreply@riverside.example>"],
    )
    base_url: BaseUrl = Field(
        default=API,
        description="Another address of the service, such as that of its European region.",
        examples=[API],
    )
    activity: bool = Field(
        default=False,
        description="Whether the account has Email Activity, which tells what became of a message "
        "whose answer was lost.",
    )
    webhook_key: Annotated[str, AfterValidator(_webhook_key)] | None = Field(
        default=None,
        description="The verification key of its signed Event Webhook, which proves that events are "
        "its own. Absent: none is believed. Nothing listens for them yet.",
        examples=["${SENDGRID_WEBHOOK_KEY}"],
    )
