"""What SendGrid's answers mean for a message.

Sources: the "Errors" pages of SendGrid's v3 API and of mail/send. Its own sentences quote addresses,
so none of them is repeated: what is shown is ours, by the status and the field that it names.
"""

from __future__ import annotations

import time
from datetime import timedelta

import msgspec

from clinicrelay import Outcome, SendResult
from notifiers._http import BY_HAND, SOON, Answer, lost, standstill

_HOUR = timedelta(hours=1)


def judged(answer: Answer) -> SendResult:
    """Return what an answer means that did not accept the message."""
    status = answer.status
    if not 400 <= status < 500 or status == 408:
        return lost("SendGrid", f"it answered {status}, which says nothing of the message")
    if status == 429:
        wait = _asked_to_wait(answer)
        return standstill("rate", "SendGrid: it takes no more messages for now.", wait, "429")
    fields, words = _errors(answer)
    if status in (401, 403):
        return _not_let_in(status, fields, words)
    if status == 413:
        return _rejected("too_large", "the message is larger than it takes", "413")
    if status != 400:
        detail = f"SendGrid: nothing that takes messages is at base_url ({status})."
        return standstill("account_refused", detail, BY_HAND, str(status))
    return _invalid(fields)


def _not_let_in(status: int, fields: list[str], words: str) -> SendResult:
    code = str(status)
    if "credits exceeded" in words:
        detail = f"SendGrid: the account has sent all that it may for now ({code})."
        return standstill("quota_used_up", detail, _HOUR, code)
    if "from" in fields or "sender identity" in words:
        detail = f"SendGrid: it has not verified the address under `from` ({code})."
        return standstill("sender_refused", detail, BY_HAND, code)
    if status == 401:
        detail = f"SendGrid: it does not take the API key ({code})."
        return standstill("credentials_refused", detail, BY_HAND, code)
    detail = f"SendGrid: the API key may not send, or the account is blocked ({code})."
    return standstill("account_refused", detail, BY_HAND, code)


def _invalid(fields: list[str]) -> SendResult:
    """Return what a message is that SendGrid finds wrong, by the fields that it names.

    A sender that it does not take is everybody's, whatever else it dislikes about this message.
    """
    if any(_top(field) in ("from", "reply_to") for field in fields):
        detail = "SendGrid: it does not take the address under `from`, or the clinic's own (400)."
        return standstill("sender_refused", detail, BY_HAND, "400")
    if any(_top(field) == "personalizations" and ".to" in field for field in fields):
        return _rejected("address_refused", "it does not take this address", "400")
    if any(_top(field) == "attachments" for field in fields):
        return _rejected("content_refused", "it does not take the attachment", "400")
    return _rejected("content_refused", "it does not take the message as it is", "400")


def _top(field: str) -> str:
    return field.partition(".")[0].partition("[")[0]


def _rejected(reason: str, says: str, code: str) -> SendResult:
    return SendResult(Outcome.REJECTED, reason, detail=f"SendGrid: {says} ({code}).", code=code)


def _errors(answer: Answer) -> tuple[list[str], str]:
    """Return the fields that an answer names, and all that it says, in small letters."""
    try:
        errors = msgspec.json.decode(answer.content)["errors"]
        fields = [str(one.get("field") or "") for one in errors]
        words = " ".join(str(one.get("message") or "") for one in errors)
    except (msgspec.DecodeError, LookupError, TypeError, AttributeError):
        return [], ""
    return [field for field in fields if field], words.lower()


def _asked_to_wait(answer: Answer) -> timedelta:
    """Return how long to wait; its limits end at a moment that it names in seconds since 1970."""
    if answer.retry_after is not None:
        return answer.retry_after
    reset = answer.headers.get("x-ratelimit-reset", "")
    known = reset.isascii() and reset.isdigit() and len(reset) < 12
    seconds = int(reset) - time.time() if known else SOON.total_seconds()
    return timedelta(seconds=min(max(seconds, 1.0), _HOUR.total_seconds()))
