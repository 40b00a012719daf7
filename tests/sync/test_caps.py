"""How many confirmations and reminders one person gets on a day and in a week."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from clinicrelay import times
from clinicrelay.settings.upkeep import Caps
from sync.caps import full_until, sparing

ZONE = "Europe/Berlin"
CAPS = Caps(day=3, week=6)
NOON = datetime(2026, 11, 30, 11, 0, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 30, 23, 0, tzinfo=UTC)  # 00:00 in Berlin


def ago(*hours: float) -> list[datetime]:
    return [NOON - timedelta(hours=n) for n in hours]


def test_who_got_less_gets_more() -> None:
    assert full_until([], CAPS, ZONE, now=NOON) is None
    assert full_until(ago(1, 2), CAPS, ZONE, now=NOON) is None


def test_the_fourth_of_a_day_waits_for_the_next_day() -> None:
    assert full_until(ago(1, 2, 3), CAPS, ZONE, now=NOON) == MIDNIGHT


def test_yesterday_evening_is_another_day() -> None:
    assert full_until(ago(1, 2, 13), CAPS, ZONE, now=NOON) is None


def test_the_seventh_of_a_week_waits_until_the_first_is_a_week_ago() -> None:
    said = ago(20, 40, 60, 80, 100, 120)
    assert full_until(said, CAPS, ZONE, now=NOON) == said[-1] + timedelta(days=7)


def test_what_is_far_ahead_leaves_room_for_the_reminders_of_tomorrow() -> None:
    assert sparing(CAPS) == Caps(day=2, week=3)
    assert sparing(Caps(day=1, week=1)) == Caps(day=1, week=1)


def test_switched_off_nothing_is_too_many() -> None:
    assert full_until(ago(*range(1, 20)), None, ZONE, now=NOON) is None


@given(
    wanted=st.lists(st.integers(0, 14 * 24 * 60), max_size=60),
    caps=st.builds(Caps, day=st.integers(1, 4), week=st.integers(1, 8)),
)
def test_whoever_asks_each_time_never_gets_more(wanted: list[int], caps: Caps) -> None:
    """Also who waits exactly until told: then one more is allowed, or a later time is named."""
    said: list[datetime] = []
    for now in sorted(NOON + timedelta(minutes=n) for n in wanted):
        until = full_until(said, caps, ZONE, now=now)
        if until is None:
            said.append(now)
        else:
            assert until > now
    days = [times.day_of(at, ZONE) for at in said]
    assert all(days.count(day) <= caps.day for day in days)
    weeks = [sum(at <= other < at + timedelta(days=7) for other in said) for at in said]
    assert max(weeks, default=0) <= caps.week
