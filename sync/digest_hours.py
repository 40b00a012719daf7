"""When a doctor's digest of a day is due, and until when it is of use."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

from clinicrelay import times
from clinicrelay.actions import Facts, MessageKind, Role, Say

if TYPE_CHECKING:
    from clinicrelay.settings.schema import Digest

_ITS_HOUR = timedelta(hours=1)


def digest_due(now: datetime, digest: Digest, zone: str, last_sent_for: date | None) -> date | None:
    """Return the day whose digest is due and not sent yet.

    An evening digest tells of the next day, one before noon of the day itself. A missed one is made
    up until its day ends, unless the next is due by then; see `digest_useful_until` for the rest.
    Where none was ever sent there is nothing to make up.
    """
    today = times.day_of(now, zone)
    day = latest_digest(now, digest, zone)
    made_up = day < today + _ahead(digest)
    if day < today or (made_up and last_sent_for is None):
        return None
    return day if last_sent_for is None or last_sent_for < day else None


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
    due_at = times.at_wall_time(day - _ahead(digest), digest.at, zone)
    return Say(
        kind=MessageKind.DIGEST,
        role=Role.DOCTOR,
        recipient=f"doctor/{practitioner}",
        facts=Facts(on=True, start=times.first_instant(day, zone), practitioner=practitioner),
        due_at=due_at,
        useless_after=digest_useful_until(day, starts, zone, since=due_at),
        setting="reminders.doctor.digest",
        step=day.isoformat(),
    )
