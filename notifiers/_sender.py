"""Whom mails are from, as settings write it: one kind of value for all notifiers that send mails."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import AfterValidator

from clinicrelay.settings.values import wrong
from notifiers import _mail

_SENDER = "write it as in: Riverside <noreply@riverside.example>"


def _sender(value: str) -> str:
    try:
        box = _mail.mailbox(value)
    except _mail.BadAddress:
        raise wrong("this is not one plain e-mail address", _SENDER) from None
    if not box.address.isascii():
        raise wrong("few servers send from an address with such letters before the @", _SENDER)
    return value


Sender: TypeAlias = Annotated[str, AfterValidator(_sender)]
