"""Quiet hours: the night of whoever is written to."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from clinicrelay import times

if TYPE_CHECKING:
    from clinicrelay.settings.schema import QuietHours

BEFORE_QUIET = timedelta(minutes=5)
_DAY = timedelta(days=1)


def quiet_period(
    instant: datetime, quiet: QuietHours | None, zone: str
) -> tuple[datetime, datetime] | None:
    """Return the beginning and end of the quiet hours that an instant falls into, if it does."""
    if quiet is None or quiet.start == quiet.end:
        return None
    today = times.day_of(instant, zone)
    for first in (today - _DAY, today):
        begin, end = _night(first, quiet.start, quiet.end, zone)
        if begin <= instant < end:
            # Where clocks skip what lies between two nights, they are one.
            before, after = (
                _night(day, quiet.start, quiet.end, zone) for day in (first - _DAY, first + _DAY)
            )
            return (before[0] if before[1] >= begin else begin), (
                after[1] if after[0] <= end else end
            )
    return None


@lru_cache(maxsize=256)
def _night(first: date, start: time, end: time, zone: str) -> tuple[datetime, datetime]:
    """Return the quiet hours that begin on a day."""
    last = first + _DAY if end < start else first
    return times.at_wall_time(first, start, zone), times.at_wall_time(last, end, zone)


def outside_quiet(
    due: datetime, useless_after: datetime, quiet: QuietHours | None, zone: str
) -> datetime:
    """Return when something due may be said: the end of quiet hours, else just before they begin.

    Waiting is chosen only where it leaves the message useful.
    """
    period = quiet_period(due, quiet, zone)
    if period is None:
        return due
    begin, end = period
    return end if end < useless_after else begin - BEFORE_QUIET
