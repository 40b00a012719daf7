"""SMS through Twilio."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from clinicrelay import Channel, Message
from clinicrelay.settings.values import wrong
from notifiers import _twilio

_SERVICE = re.compile(r"MG[0-9a-fA-F]{32}")
_NUMBER = re.compile(r"\+[1-9]\d{6,14}|[1-9]\d{2,5}")
_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}")


def _sender(value: str) -> str:
    if not any(kind.fullmatch(value) for kind in (_SERVICE, _NUMBER, _NAME)):
        fix = 'write the number with its country code, in quotes: "+4930987654321"'
        raise wrong("this is nothing that Twilio sends from", fix)
    return value


class SmsOptions(_twilio.Options):
    """The clinic's account at Twilio, and which number its SMS come from."""

    sender: Annotated[str, AfterValidator(_sender)] = Field(
        alias="from",
        description="The number, short code or name that SMS come from, or the SID (MG…) of a "
        "messaging service that chooses one.",
        examples=["+4930987654321"],
    )


class TwilioSms(_twilio.TwilioNotifier):
    """Hands SMS to Twilio."""

    Options = SmsOptions
    channels = (Channel.SMS,)
    options: SmsOptions

    def address(self, number: str) -> str:
        return number

    def content(self, message: Message) -> dict[str, Any]:
        return {**self._from(message), "body": message.text}

    def could_be(self, message: Message, there: Any) -> bool:
        return _twilio.same_text(message.text, there.body or "")

    def _from(self, message: Message) -> dict[str, str]:
        sender = message.sender or self.options.sender
        key = "messaging_service_sid" if _SERVICE.fullmatch(sender) else "from_"
        return {key: sender}
