"""When a visit begins and ends: cells of any shape in, instants out, oddities told as issues."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from clinicrelay.dates import AmbiguousDate, on_day, read_date, read_datetime, read_time
from clinicrelay.model import Issue
from clinicrelay.times import from_wall, local

Parts: TypeAlias = tuple[str, ...]

# What databases write for "no date"; partial dates (2026-11-00) are no better.
_NO_DATE = re.compile(r"(?:0000|0001-01-01|9999-12-31|\d{4}-00|\d{4}-\d\d-00)")
# What has the shape of a date: where it cannot be read, the calendar has no such day.
_DAY = re.compile(r"\d{4}([-./])\d{1,2}\1\d{1,2}(?!\d)|\d{1,2}([-./])\d{1,2}\2(\d{4}|\d\d)(?!\d)")
# Access and Excel put a time alone on the first day they know.
_TIME_ONLY_YEAR = 1900
_LAST_YEAR = 2199
# Those of years that visits have; 19.. may be a mere time of day (see `_TIME_ONLY_YEAR`).
_CENTURIES = frozenset({"20", "21"})
_HOUR = re.compile(r"%-?[HIXTcR]")
_ROLLOVER = timedelta(hours=12)
# Formats beside those of strptime, each with how many of it make a second.
_SINCE_1970 = {"epoch": 1, "epoch_ms": 1000}


class Zoned(NamedTuple):
    """How naive readings of a field are to be taken: `stated` when the mapping says the zone."""

    zone: str
    stated: bool
    formats: tuple[str, ...] = ()
    add_minutes: int = 0


class Moment(NamedTuple):
    """What one or more cells say: a day, a clock time, or both, and the offset if they carry one."""

    day: date | None
    clock: tuple[time, int] | None
    offset: tzinfo | None = None


class Start(NamedTuple):
    """When a visit begins, and in which zone its day is meant."""

    instant: datetime
    zone: str
    issues: tuple[Issue, ...]

    @property
    def day(self) -> date:
        """The wall-clock day, for an end that is only a time; most are none."""
        return local(self.instant, self.zone).date()


class End(NamedTuple):
    """When a visit ends; None where the cells do not say anything usable."""

    instant: datetime | None
    issues: tuple[Issue, ...]


@lru_cache(maxsize=4096)
def read_start(parts: Parts, how: Zoned) -> Start | None:
    """Return when the cells say a visit begins, None when they say nothing.

    Raises AmbiguousDate, and ValueError for cells that are there and cannot be read.
    """
    if len(parts) == 1 and (exact := _exact(parts[0], how)):
        return Start(exact, how.zone, ())
    moment = _moment(parts, how.formats)
    if moment is None:
        return None
    if moment.day is None:
        blank = any(_NO_DATE.match(part) for part in parts)
        raise ValueError("no such day: it stands for none" if blank else "a time without a date")
    if moment.clock is None:
        raise ValueError("a date without a time of day")
    instant, issues = _instant(moment, moment.day, "start", how)
    return Start(instant, how.zone, issues)


@lru_cache(maxsize=4096)
def read_end(parts: Parts, begun: Start, how: Zoned) -> End:
    """Return when the cells say a visit ends that begins at `begun`.

     A time alone is on the start's day, or after midnight when that makes less than 12 hours
    . An end not after the start, or unreadable, counts as missing, with an issue.
    """
    start = begun.instant
    try:
        if len(parts) == 1 and (exact := _exact(parts[0], how)):
            return End(exact, ()) if exact > start else _NOT_AFTER
        moment = _moment(parts, how.formats)
        if moment is None:
            return End(None, ())
        day = moment.day or begun.day
        instant, issues = _instant(moment, day, "end", how)
        if instant <= start and moment.day is None:
            later, later_issues = _instant(moment, day + timedelta(days=1), "end", how)
            if later - start < _ROLLOVER:
                return End(later, later_issues)
    except ValueError:
        return End(None, (Issue("unreadable_end", "end"),))
    return End(instant, issues) if instant > start else _NOT_AFTER


def _exact(text: str, how: Zoned) -> datetime | None:
    """Return what an instant in full says, as FHIR and most interfaces write it: the usual case.

    None for whatever has to be read the long way, with the same result for what is read here.
    """
    if how.formats or how.add_minutes or text[:2] not in _CENTURIES or len(text) < 16:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.microsecond:
            moment = moment.replace(microsecond=0)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


_NOT_AFTER = End(None, (Issue("end_before_start", "end"),))


def _instant(
    moment: Moment, day: date, field: str, how: Zoned
) -> tuple[datetime, tuple[Issue, ...]]:
    if moment.clock is None:
        raise ValueError("a date without a time of day")
    wall = on_day(day, moment.clock)
    if not _TIME_ONLY_YEAR < wall.year <= _LAST_YEAR:
        raise ValueError("a year that no visit has")
    more = timedelta(minutes=how.add_minutes)
    if moment.offset is not None:
        return wall.replace(tzinfo=moment.offset).astimezone(UTC) + more, ()
    instant, oddity = from_wall(wall, how.zone)
    issues = [] if how.stated else [Issue("inferred_zone", field)]
    if oddity:
        issues.append(Issue(oddity, field))
    return instant + more, tuple(issues)


def _moment(parts: Parts, formats: tuple[str, ...]) -> Moment | None:
    present = [part for part in parts if not _NO_DATE.match(part)]
    if not present:
        return None
    if formats:
        return _by_formats(" ".join(present), formats)
    moments: list[Moment] = []
    for part in present:
        moments.append(_part(part, dated=any(one.day for one in moments)))
    return _together(moments)


def _together(moments: list[Moment]) -> Moment:
    """Join a date and a time; a cell that holds both wins, unless its time is an export's 00:00."""
    days = [m.day for m in moments if m.day]
    clocks = [m for m in moments if m.clock and not m.day]
    for whole in moments:
        if whole.day and whole.clock and not (clocks and whole.clock[0] == time()):
            return whole
    clocks += [m for m in moments if m.clock and m.day]
    clock = clocks[0] if clocks else None
    return Moment(days[0] if days else None, clock and clock.clock, clock and clock.offset)


def is_moment(text: str) -> bool:
    """Whether one cell is a date, a time or both, and no other than one."""
    try:
        _part(text, dated=False)
    except ValueError:
        return False
    return True


def _part(text: str, *, dated: bool) -> Moment:
    """Read one cell: until there is a date it is one before it is a time, then the other way round.

    `01.12.26` is a day, and beside one it is a minute past one.
    """
    kinds = (_clock, _whole, _day) if dated else (_whole, _day, _clock)
    for read in kinds:
        try:
            return read(text)
        except AmbiguousDate:
            raise
        except ValueError:
            continue
    raise ValueError("no such day" if _DAY.match(text) else "neither a date nor a time")


def _whole(text: str) -> Moment:
    return _of(read_datetime(text, None))


def _of(moment: datetime) -> Moment:
    clock = (moment.time(), 0)
    return Moment(None if moment.year <= _TIME_ONLY_YEAR else moment.date(), clock, moment.tzinfo)


def _day(text: str) -> Moment:
    return Moment(read_date(text, None), None)


def _clock(text: str) -> Moment:
    return Moment(None, read_time(text))


def _by_formats(text: str, formats: tuple[str, ...]) -> Moment:
    """Read by the declared formats and by nothing else."""
    for pattern in formats:
        if per_second := _SINCE_1970.get(pattern):
            if text.isdecimal() and len(text) < 15:
                return _of(datetime.fromtimestamp(int(text) // per_second, UTC))
            continue
        try:
            moment = _of(datetime.strptime(text, pattern).replace(microsecond=0))  # noqa: DTZ007
        except ValueError:
            continue
        return moment if _HOUR.search(pattern) else moment._replace(clock=None)
    raise ValueError("none of the declared formats")
