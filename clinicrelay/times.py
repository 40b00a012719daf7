"""Instants, wall-clock times and stretches of time.

Instants are aware UTC datetimes. A wall-clock reading means something only with an IANA zone; a
reading that a clock change skips is moved forward by the gap, one that happens twice is the earlier.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")

# Beyond it, sums with a date leave the calendar that Python knows.
_LONGEST = timedelta(days=36600)

_HALF_A_YEAR = timedelta(days=182)


class Span(NamedTuple):
    """A stretch of time as people write it: `days` are calendar days, `elapsed` is clock time.

    "1d before 09:00" is 09:00 the day before, also in the night of a clock change; "24h before" is
    24 hours before.
    """

    days: int
    elapsed: timedelta
    text: str

    @property
    def length(self) -> timedelta:
        """The stretch with every day taken as 24 hours, for comparing and adding up."""
        return timedelta(days=self.days) + self.elapsed

    def before(self, instant: datetime, zone: str) -> datetime:
        """Return the instant this long before, days counted on the wall clock of `zone`."""
        if self.days:
            local = instant.astimezone(zone_of(zone))
            wall = local.replace(tzinfo=None) - timedelta(days=self.days)
            instant = from_wall(wall, zone).instant
        return instant - self.elapsed

    def __str__(self) -> str:
        return self.text


def parse_span(text: str) -> Span:
    """Read `15m`, `6h`, `30d`, `2w` or `1h30m`.

    Raises ValueError with a sentence that says what is right.
    """
    compact = text.strip().lower().replace(" ", "")
    parts = _SPAN.findall(compact)
    if not parts or "".join(n + u for n, u in parts) != compact:
        raise ValueError(f"{text!r} is not a duration; write 15m, 6h, 30d or 1h30m")
    days, elapsed = 0, timedelta(0)
    try:
        for number, unit in parts:
            if unit in "dw" and "." not in number:
                days += int(number) * (7 if unit == "w" else 1)
            else:
                elapsed += timedelta(**{_UNITS[unit]: float(number)})
        span = Span(days, elapsed, compact)
        if span.length <= _LONGEST:
            return span
    except OverflowError:
        pass
    raise ValueError(f"{text!r} is more than a hundred years")


@lru_cache(maxsize=512)
def zone_of(name: str) -> ZoneInfo:
    """Return the zone of an IANA name.

    Raises ValueError for anything else; fixed offsets and abbreviations such as EST know no
    summer time and are refused.
    """
    if name == "UTC":
        return ZoneInfo("UTC")
    try:
        if "/" in name and not name.startswith(("Etc/", "posix/", "right/")):
            return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        pass
    raise ValueError(f"{name!r} is not an IANA time zone such as Europe/Berlin")


class Reading(NamedTuple):
    """What a wall-clock reading turned out to be; `issue` names a clock-change oddity, if any."""

    instant: datetime
    issue: str | None


@lru_cache(maxsize=65536)
def from_wall(wall: datetime, zone: str) -> Reading:
    """Return the instant of a naive wall-clock time in `zone`.

    A time inside a gap is moved forward by the gap (`nonexistent_local_time`); one that happens
    twice is the earlier (`ambiguous_local_time`).
    """
    tz = zone_of(zone)
    first = wall.replace(tzinfo=tz, fold=0)
    second = wall.replace(tzinfo=tz, fold=1)
    instant = first.astimezone(UTC)
    if first.utcoffset() == second.utcoffset():
        return Reading(instant, None)
    if instant.astimezone(tz).replace(tzinfo=None) == wall:
        return Reading(instant, "ambiguous_local_time")
    return Reading(instant, "nonexistent_local_time")


def local(instant: datetime, zone: str) -> datetime:
    """Return the wall-clock reading of an instant, aware in `zone`."""
    return instant.astimezone(zone_of(zone))


def for_people(instant: datetime, zone: str, *, now: datetime, day: str = "%a %-d %b") -> str:
    """Return an instant as staff read it, such as `Tue 1 Dec 10:30`; `day` is the form of the day.

    The year is named where nobody would know it: it is not that of `now`, or half a year away.
    """
    wall = local(instant, zone)
    plain = wall.year == local(now, zone).year and abs(instant - now) < _HALF_A_YEAR
    return wall.strftime(f"{day} %H:%M" if plain else f"{day} %Y %H:%M")


def day_of(instant: datetime, zone: str) -> date:
    """Return the calendar day an instant falls on in `zone`."""
    return local(instant, zone).date()


def first_instant(day: date, zone: str) -> datetime:
    """Return when a local day begins; where midnight is skipped, the first instant after."""
    return from_wall(datetime.combine(day, time()), zone).instant


def at_wall_time(day: date, clock: time, zone: str) -> datetime:
    """Return the instant of a clock time on a local day."""
    return from_wall(datetime.combine(day, clock), zone).instant


def iso(instant: datetime) -> str:
    """Write an instant the way our JSON does: UTC, to the second, with a Z."""
    return instant.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def parse_instant(text: str, zone: str) -> datetime:
    """Read an ISO date or instant; without an offset it is wall-clock time in `zone`.

    Raises ValueError for anything else.
    """
    moment = datetime.fromisoformat(text)
    return from_wall(moment, zone).instant if moment.tzinfo is None else moment.astimezone(UTC)
