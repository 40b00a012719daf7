"""What Google answered, in the words of what happens next.

Codes and reasons: the guides "Handle API errors" and "Manage quotas" of the Calendar API. A reason is
a word of Google's own; its messages may repeat what was sent, and are passed on to nobody.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Any, NamedTuple

_TOO_FAST = {"rateLimitExceeded", "userRateLimitExceeded"}
_SCOPE = {"insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}
_WORD = re.compile(r"[A-Za-z][A-Za-z_]{0,38}")


class Kind(Enum):
    """What an answer means for the event that was asked about."""

    DONE = auto()
    TAKEN = auto()  # 409: the id is there already, or was
    COLLIDED = auto()  # 409 within a batch
    CHANGED = auto()  # 412: somebody wrote since we read
    DELETED = auto()  # 410
    ABSENT = auto()  # 404: never there, or the calendar is not visible
    FORBIDDEN = auto()
    TOO_FAST = auto()
    USED_UP = auto()  # 403 quotaExceeded: read-only for hours
    MISCONFIGURED = auto()
    TOKEN = auto()
    BAD = auto()  # 400: final for this payload
    UNKNOWN = auto()  # no answer, or one that proves nothing


class Answer(NamedTuple):
    """An answer: the event or list it brought, Google's word for the reason, and a wish to wait."""

    kind: Kind
    body: dict[str, Any] = {}
    reason: str = ""
    after: timedelta | None = None


def done(body: Any) -> Answer:
    """Return the answer of a call that went well; a removal brings no body."""
    return Answer(Kind.DONE, body if isinstance(body, dict) else {})


def no_answer(error: BaseException) -> Answer:
    """Return the answer of a call that ended in the network, or in something that is no answer."""
    return Answer(Kind.UNKNOWN, reason=type(error).__name__)


def refused(status: int, content: bytes, retry_after: str | None) -> Answer:
    """Return the answer of a call that Google refused."""
    reason = _reason(content)
    return Answer(_kind(status, reason), {}, reason or str(status), _wait(retry_after))


def _kind(status: int, reason: str) -> Kind:
    if reason in _TOO_FAST or status == 429:
        return Kind.TOO_FAST
    if status == 409:
        return Kind.COLLIDED if reason == "conflict" else Kind.TAKEN
    if status == 403:
        return _why_forbidden(reason)
    named = {
        400: Kind.BAD,
        401: Kind.TOKEN,
        404: Kind.ABSENT,
        410: Kind.DELETED,
        412: Kind.CHANGED,
    }
    return named.get(status, Kind.UNKNOWN if status >= 500 or status == 408 else Kind.BAD)


def _why_forbidden(reason: str) -> Kind:
    if reason in ("quotaExceeded", "dailyLimitExceeded"):
        return Kind.USED_UP
    if reason in _SCOPE or reason == "accessNotConfigured":
        return Kind.MISCONFIGURED
    # A proxy's 403 has no reason of Google's: it proves nothing of the calendar.
    return Kind.FORBIDDEN if reason else Kind.UNKNOWN


def _reason(content: bytes) -> str:
    try:
        error = json.loads(content)["error"]
        reason = error["errors"][0]["reason"]
    except (ValueError, KeyError, TypeError, IndexError):
        return ""
    return reason if isinstance(reason, str) and _WORD.fullmatch(reason) else ""


def _wait(retry_after: str | None) -> timedelta | None:
    """Return how long a server asks us to wait (RFC 9110, 10.2.3: seconds, or a date)."""
    if not retry_after:
        return None
    if retry_after.strip().isdigit():
        return timedelta(seconds=min(int(retry_after), 86_400))
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(timedelta(0), until - datetime.now(UTC)) if until.tzinfo else None
