"""When a step is due, in every zone and around every change of its clocks: proven by the wall clock.

Nothing here asks our code what a clock shows: `zoneinfo` does, minute by minute where it has to.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from clinicrelay.settings.schema import QuietHours, Step
from sync.due import useless_after, when

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
FIRST, LAST = datetime(2024, 1, 1, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC)
ZONES = sorted(
    zone
    for zone in zoneinfo.available_timezones()
    if "/" in zone and not zone.startswith(("Etc/", "posix/", "right/", "SystemV/"))
)


@cache
def changes(zone: str) -> tuple[datetime, ...]:
    """Return the minutes at which a zone's clocks change."""
    days = [FIRST + n * DAY for n in range((LAST - FIRST).days)]
    return tuple(
        _minute(zone, day) for day in days if _offset(zone, day) != _offset(zone, day + DAY)
    )


def _offset(zone: str, at: datetime) -> timedelta | None:
    return at.astimezone(ZoneInfo(zone)).utcoffset()


def _minute(zone: str, day: datetime) -> datetime:
    low, high = 0, 24 * 60
    while high - low > 1:
        middle = (low + high) // 2
        same = _offset(zone, day + middle * MINUTE) == _offset(zone, day)
        low, high = (middle, high) if same else (low, middle)
    return day + high * MINUTE


CHANGING = [zone for zone in ZONES if changes(zone)]


@st.composite
def starts(draw: st.DrawFn) -> tuple[str, datetime]:
    """A zone whose clocks change, and a visit within some days of a change."""
    zone = draw(st.sampled_from(CHANGING))
    change = draw(st.sampled_from(changes(zone)))
    return zone, change + draw(st.integers(-4 * 288, 4 * 288)) * 5 * MINUTE


clocks = st.integers(0, 95).map(lambda n: time(n // 4, n % 4 * 15))
ORDINARY = [(time(21), time(8)), (time(22), time(7)), (time(20, 30), time(9, 15))]
nights = st.one_of(st.sampled_from(ORDINARY), st.tuples(clocks, clocks))
steps = st.sampled_from(["3d", "2d", "1d", "72h", "24h", "6h", "1h", "30m"])


def due(
    step: str, start: datetime, zone: str, quiet: QuietHours | None = None, own: str = ""
) -> datetime:
    chosen = Step(before=step)
    return when(chosen, start, quiet=quiet, recipient_zone=own or zone, visit_zone=zone)


def wall(at: datetime, zone: str) -> datetime:
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def is_quiet(at: datetime, quiet: QuietHours, zone: str) -> bool:
    clock = wall(at, zone).time()
    if quiet.start <= quiet.end:
        return quiet.start <= clock < quiet.end
    return clock >= quiet.start or clock < quiet.end


def between(first: datetime, last: datetime) -> Iterator[datetime]:
    return (first + n * MINUTE for n in range(int((last - first) / MINUTE)))


def test_hundreds_of_zones_change_their_clocks() -> None:
    assert len(ZONES) > 400
    assert len(CHANGING) > 150
    assert sum(len(changes(zone)) for zone in CHANGING) > 1500


@settings(max_examples=500)
@given(visit=starts(), days=st.integers(1, 4))
def test_days_before_is_the_same_reading_of_the_clock(
    visit: tuple[str, datetime], days: int
) -> None:
    zone, start = visit
    wanted = wall(start, zone) - days * DAY
    at = due(f"{days}d", start, zone)
    shown = wall(at, zone)
    gap = shown - wanted
    assert gap >= timedelta(0)
    if gap:  # the clock never showed it: it has just jumped over it, by as much
        assert _offset(zone, at) != _offset(zone, at - gap - MINUTE)
        assert wanted not in {wall(minute, zone) for minute in between(at - DAY, at + DAY)}
    earlier = {wall(minute, zone) for minute in between(at - 4 * HOUR, at)}
    assert wanted not in earlier, "not the first time that the clock shows it"


@given(visit=starts(), hours=st.integers(1, 72))
def test_hours_before_are_hours_that_pass(visit: tuple[str, datetime], hours: int) -> None:
    zone, start = visit
    assert due(f"{hours}h", start, zone) == start - hours * HOUR


@settings(max_examples=500)
@given(visit=starts(), step=steps, night=nights, far=st.one_of(st.none(), st.sampled_from(ZONES)))
def test_a_step_is_said_when_nobody_sleeps_and_it_is_of_use(
    visit: tuple[str, datetime], step: str, night: tuple[time, time], far: str | None
) -> None:
    zone, start = visit
    own = far or zone
    assume(HOUR <= _between(*night) <= 23 * HOUR)
    assume(not any(_in_odd_hour(edge, start, own) for edge in night))
    quiet, chosen = QuietHours(start=night[0], end=night[1]), Step(before=step)
    at, plain = due(step, start, zone, quiet, own), due(step, start, zone)

    assert not is_quiet(at, quiet, own), "in the night"
    assert at < useless_after(chosen, start) < start
    assert start - at <= chosen.before.length + 50 * HOUR
    if at == plain:
        return
    assert is_quiet(plain, quiet, own), "moved without need"
    if at > plain:
        assert all(is_quiet(minute, quiet, own) for minute in between(plain, at)), "waits too long"
    else:
        nights_rest = [minute for minute in between(at, plain) if not is_quiet(minute, quiet, own)]
        assert nights_rest == [at + n * MINUTE for n in range(5)], "not just before the night"
        useless = [
            m for m in between(plain, useless_after(chosen, start)) if not is_quiet(m, quiet, own)
        ]
        assert useless == [], "could have waited"


def _between(begin: time, end: time) -> timedelta:
    day = datetime(2026, 1, 1)
    return (datetime.combine(day, end) - datetime.combine(day, begin)) % DAY


def _in_odd_hour(edge: time, start: datetime, zone: str) -> bool:
    """Whether a clock skips a time, or shows it twice, in the days before a visit.

    Quiet hours that begin or end there have no edge that two people would agree on.
    """
    for change in changes(zone):
        if start - 6 * DAY < change < start + 2 * DAY:
            low, high = sorted((wall(change - MINUTE, zone) + MINUTE, wall(change, zone)))
            edges = (datetime.combine(day, edge) for day in (low.date(), high.date()))
            if any(low <= one <= high for one in edges):
                return True
    return False
