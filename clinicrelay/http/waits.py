"""How long a server asks us to leave it alone, in the several ways that servers say so."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

WORTH_ANOTHER_TRY = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST = timedelta(seconds=10**8)  # three years: what is added to any clock of ours still fits
_YEARS = range(1971, 3000)  # no server's clock says another, and a day more or less still fits


def asked_for(headers: Mapping[str, str], now: datetime, *, status: int) -> timedelta | None:
    """Return the wait that an answer asks for, None where it asks for none.

    `Retry-After` in seconds or as a date (RFC 9110 section 10.2.3), Microsoft's
    `x-ms-retry-after-ms`, and of an answer 429 `X-RateLimit-Reset` as seconds since 1970 or from now,
    or an ISO instant: other answers say with it when a quota is new that is far from used up.
    """
    ways = [("x-ms-retry-after-ms", _milliseconds), ("retry-after", _seconds_or_date)]
    if status == 429:
        ways.append(("x-ratelimit-reset", _reset))
    for name, read in ways:
        if (text := headers.get(name)) and (wait := read(text.strip(), now)) is not None:
            return min(max(timedelta(0), wait), _LONGEST)
    return None


def moment_in(header: str | None) -> datetime | None:
    """Return the moment that an HTTP date says, None where it says none that a clock can show."""
    try:
        moment = parsedate_to_datetime(header or "").astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return moment if moment.year in _YEARS else None


def told(wait: timedelta) -> str:
    """Return a wait in words: 90 s, 12 min, 3 h."""
    seconds = int(wait.total_seconds())
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def _milliseconds(text: str, now: datetime) -> timedelta | None:
    return timedelta(milliseconds=_count(text)) if text.isdecimal() else None


def _seconds_or_date(text: str, now: datetime) -> timedelta | None:
    if text.isdecimal():
        return timedelta(seconds=_count(text))
    moment = moment_in(text)
    return moment - now if moment else None


def _count(text: str) -> int:
    """Read digits, however many: Python refuses thousands of them, and a timedelta far fewer."""
    return int(text) if len(text) <= 12 else 10**12


def _reset(text: str, now: datetime) -> timedelta | None:
    try:
        if text.isdecimal():
            seconds = int(text) // 1000 if len(text) > 11 else int(text)  # some count milliseconds
            if seconds < 10**8:  # nobody's clock says 1973: so many seconds from now
                return timedelta(seconds=seconds)
            return datetime.fromtimestamp(seconds, UTC) - now
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
