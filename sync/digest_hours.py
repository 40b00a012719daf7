"""When a doctor's digest of a day is due, and until when it is of use."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date, datetime, time, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING

from clinicrelay import times
from clinicrelay.actions import Facts, MessageKind, Role, Say

if TYPE_CHECKING:
    from clinicrelay.settings.schema import Digest

_ITS_HOUR = timedelta(hours=1)
_LONGEST = 14  # days of which it is told that they were missed


def digest_due(
    now: datetime,
    digest: Digest,
    zone: str,
    last_sent_for: date | None,
    *,
    since: datetime | None = None,
) -> date | None:
    """Return the day whose digest is due and not sent yet.

    An evening digest tells of the next day, one before noon of the day itself. A missed one is made
    up until its day ends, unless the next is due by then; see `digest_useful_until` for the rest.
    Where none was ever sent, only what fell due after somebody looked for digests (`since`) is made up.
    """
    today = times.day_of(now, zone)
    day = latest_digest(now, digest, zone)
    made_up = day < today + _ahead(digest)
    if day < today or (made_up and not _was_to_be(day, digest, zone, last_sent_for, since)):
        return None
    return day if last_sent_for is None or last_sent_for < day else None


def missed_digests(
    day: date, digest: Digest, zone: str, last_sent_for: date | None, *, since: datetime | None
) -> Iterator[date]:
    """Yield the days before that of the digest that is due whose own never left, the latest first."""
    days = (day - timedelta(days=n) for n in range(1, _LONGEST + 1))
    yield from takewhile(lambda one: _was_to_be(one, digest, zone, last_sent_for, since), days)


def _was_to_be(
    day: date, digest: Digest, zone: str, last_sent_for: date | None, since: datetime | None
) -> bool:
    """Whether a day's digest comes after the last that was sent, or else after somebody looked."""
    if last_sent_for is not None:
        return day > last_sent_for
    return since is not None and since <= due_at(day, digest, zone)


def due_at(day: date, digest: Digest, zone: str) -> datetime:
    """Return the hour of a day's digest."""
    return times.at_wall_time(day - _ahead(digest), digest.at, zone)


def latest_digest(now: datetime, digest: Digest, zone: str) -> date:
    """Return the day of the last digest whose hour has come."""
    today = times.day_of(now, zone)
    come = now >= times.at_wall_time(today, digest.at, zone)
    return today + _ahead(digest) - timedelta(days=0 if come else 1)


def _ahead(digest: Digest) -> timedelta:
    return timedelta(days=0 if digest.at < time(12) else 1)


def digest_useful_until(
    day: date, starts: Collection[datetime], zone: str, *, since: datetime
) -> datetime:
    """Return when a digest is no longer news: at the day's first visit, else at the day's end.

    In the morning, visits of the hour that begins with it (`since`) do not count, so that it is not
    lost to them; one whose visits have all begun by then is none.
    """
    if not starts:
        return times.first_instant(day + timedelta(days=1), zone)
    later = [start for start in starts if start > since]
    last = max(later, default=since)
    return min((start for start in later if start >= since + _ITS_HOUR), default=last)


def digest_say(
    practitioner: str, day: date, starts: Collection[datetime], digest: Digest, zone: str
) -> Say:
    """Return the digest of a day for a doctor; its step is the day, so each is sent once."""
    hour = due_at(day, digest, zone)
    return Say(
        kind=MessageKind.DIGEST,
        role=Role.DOCTOR,
        recipient=f"doctor/{practitioner}",
        facts=Facts(on=True, start=times.first_instant(day, zone), practitioner=practitioner),
        due_at=hour,
        useless_after=digest_useful_until(day, starts, zone, since=hour),
        setting="reminders.doctor.digest",
        step=day.isoformat(),
    )
