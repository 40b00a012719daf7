"""What Twilio's error codes mean: of a call that was refused, and of a delivery that failed.

Sources: the pages under twilio.com/docs/api/errors. Twilio says that codes may change, so one that is
not here is only what its HTTP status says, or an undelivered message.
"""

from __future__ import annotations

from datetime import timedelta

from clinicrelay import SendResult
from notifiers._http import BY_HAND, SOON, Meaning, refused

_SENDER = Meaning("sender_refused", "it may not send from the number under `from`", BY_HAND)
_NO_NUMBER = Meaning("address_refused", "it cannot reach this number")
_LANDLINE = Meaning("landline", "the number is a landline")
_NOT_THERE = Meaning("not_on_whatsapp", "the number is not on WhatsApp")
_TEMPLATE = Meaning("template_refused", "WhatsApp does not take the template or its values")
_ONLY_TEMPLATES = Meaning("template_required", "WhatsApp takes only approved templates now")
_RATE = Meaning("rate", "it takes no more messages for now", SOON)

REFUSED = {
    20003: Meaning("credentials_refused", "it does not take account_sid and auth_token", BY_HAND),
    20005: Meaning("account_refused", "the account is not active", BY_HAND),
    20404: Meaning("credentials_refused", "it knows no such account", BY_HAND),
    20429: _RATE,
    21211: _NO_NUMBER,
    21212: _SENDER,
    21214: _NO_NUMBER,
    21266: Meaning("address_refused", "the number is the clinic's own"),
    21408: Meaning("region_off", "the account may not send to this country"),
    21602: Meaning("content_refused", "the text is empty"),
    21603: _SENDER,
    21604: _NO_NUMBER,
    21606: _SENDER,
    21608: Meaning("account_refused", "a trial account may send to verified numbers only"),
    21610: Meaning("opted_out", "the person has opted out by SMS"),
    21611: _RATE,
    21612: _NO_NUMBER,
    21614: _LANDLINE,
    21617: Meaning("too_large", "the text has more than 1600 letters"),
    21635: _LANDLINE,
    21655: Meaning("template_refused", "it knows no such template"),
    21656: Meaning("template_refused", "it does not take the values for the template"),
    21659: _SENDER,
    21660: _SENDER,
    21661: _SENDER,
    21703: _SENDER,
    21705: _SENDER,
    21910: _SENDER,
    30002: Meaning("account_refused", "the account is suspended", BY_HAND),
    63003: _NOT_THERE,
    63007: _SENDER,
    63016: _ONLY_TEMPLATES,
    63024: _NOT_THERE,
    63027: _TEMPLATE,
    63028: _TEMPLATE,
}

UNDELIVERED = {
    21610: REFUSED[21610],
    30002: Meaning("account_refused", "the account was suspended"),
    30003: Meaning("handset_unreachable", "the telephone was off or out of reach"),
    30004: Meaning("blocked", "the number or its carrier blocks the sender"),
    30005: Meaning("address_refused", "the number does not exist"),
    30006: _LANDLINE,
    30007: Meaning("content_refused", "a carrier filtered the text"),
    63003: _NOT_THERE,
    63013: Meaning("content_refused", "WhatsApp refused the text for its policy"),
    63016: _ONLY_TEMPLATES,
    63021: Meaning("content_refused", "WhatsApp refused the text, which may be too long"),
    63024: _NOT_THERE,
    63027: _TEMPLATE,
    63028: _TEMPLATE,
}


def refusal(status: int, code: int | None, retry_after: timedelta | None) -> SendResult:
    """Return what an answer of 4xx means, by its own code, else by its status."""
    meaning = REFUSED.get(code or 0) or _by_status(status)
    wait = retry_after if status == 429 else None
    return refused("Twilio", meaning, str(code or status), wait)


def _by_status(status: int) -> Meaning:
    if status in (401, 403):
        return REFUSED[20003] if status == 401 else REFUSED[20005]
    return _RATE if status == 429 else Meaning("refused", "it refused the message")


def undelivered(code: int | None) -> Meaning:
    """Return why a message that was accepted did not arrive."""
    return UNDELIVERED.get(code or 0, Meaning("undelivered", "it did not arrive"))
