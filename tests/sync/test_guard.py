"""The guard: numbers of one read in, what has to be held out."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinicrelay.settings.schema import HoldIf
from sync.guard import Days, Read, days_that_count, judge, messages_allowed

LIMITS = HoldIf()
HOUR = timedelta(hours=1)


def guards(read: Read) -> list[str]:
    return [hold.guard for hold in judge(read, LIMITS)]


@pytest.mark.parametrize(
    ("read", "held"),
    [
        (Read(known=200, records=194, set_aside=0, absent=6), []),
        (Read(known=200, records=80, set_aside=0, absent=120), ["gone"]),
        (Read(known=412, records=351, set_aside=0, absent=61), ["gone"]),
        (Read(known=40, records=36, set_aside=0, absent=4), []),
        (Read(known=40, records=35, set_aside=0, absent=5), ["gone"]),
        (Read(known=3, records=0, set_aside=0, absent=3), ["gone"]),
        (Read(known=0, records=0, set_aside=0, absent=0), []),
        (Read(known=100, records=100, set_aside=0, cancelled=30), []),
        (Read(known=100, records=100, set_aside=0, cancelled=31), ["cancelled"]),
        (Read(known=100, records=100, set_aside=0, reassigned=30), []),
        (Read(known=100, records=100, set_aside=0, reassigned=31), ["reassigned"]),
        (Read(known=10, records=30, set_aside=0, reinstated=4), []),
        (Read(known=10, records=30, set_aside=0, reinstated=5), ["reinstated"]),
        (Read(known=100, records=100, set_aside=20), []),
        (Read(known=100, records=100, set_aside=21), ["set_aside"]),
        (Read(known=4, records=4, set_aside=4), []),
    ],
)
def test_a_share_and_a_number_are_needed_to_hold(read: Read, held: list[str]) -> None:
    assert guards(read) == held


def test_an_hour_too_late_everywhere_is_held_though_few_are_moved() -> None:
    moved = Read(known=500, records=500, set_aside=0, moves=[HOUR] * 12)
    assert guards(moved) == ["shifted"]


def test_moves_by_different_times_are_an_ordinary_day() -> None:
    moves = [timedelta(minutes=15 * n) for n in range(1, 13)]
    assert guards(Read(known=500, records=500, set_aside=0, moves=moves)) == []


def test_a_hold_says_how_many_of_how_many() -> None:
    (hold,) = judge(Read(known=412, records=351, set_aside=0, absent=61), LIMITS)
    assert hold.summary == "61 of 412 visits missing from this read (limit 10%)"


def test_set_aside_names_the_commonest_reason() -> None:
    read = Read(known=9, records=9, set_aside=9, why_set_aside="9x bad_time (start)")
    assert "9x bad_time (start)" in judge(read, LIMITS)[0].summary


@given(known=st.integers(1, 5000), absent=st.integers(0, 5000))
def test_an_empty_read_never_removes_anything(known: int, absent: int) -> None:
    absent = min(known, absent) or 1
    assert "gone" in guards(Read(known=known, records=0, set_aside=0, absent=absent))


D = date.fromisoformat
EVER = (date.min, date.max)


@pytest.mark.parametrize(
    ("before", "now", "first", "last"),
    [
        # nothing to compare with: a first read speaks for all
        (None, Days(D("2026-11-24"), D("2026-12-20")), *EVER),
        # the same days, and a day less at the end: the lost day counts
        (
            Days(D("2026-11-23"), D("2026-12-20")),
            Days(D("2026-11-23"), D("2026-12-19")),
            *EVER,
        ),
        # tomorrow's list after a month's: silent about the rest of the month
        (
            Days(D("2026-11-23"), D("2026-12-20")),
            Days(D("2026-11-24"), D("2026-11-24")),
            date.min,
            D("2026-11-24"),
        ),
        # tomorrow's list after today's: silent about today
        (
            Days(D("2026-11-23"), D("2026-11-23")),
            Days(D("2026-11-24"), D("2026-11-24")),
            D("2026-11-24"),
            date.max,
        ),
        # nothing left at all: the empty read is the guard's business
        (Days(D("2026-11-23"), D("2026-12-20")), None, *EVER),
    ],
)
def test_absence_counts_on_the_days_a_snapshot_speaks_for(
    before: Days | None, now: Days | None, first: date, last: date
) -> None:
    assert days_that_count(before, now, D("2026-11-23")) == (first, last)


@pytest.mark.parametrize(
    ("hours", "allowed"),
    [
        ([0], 500),  # a new clinic: only the hard limit
        ([480], 20),
        ([600], 0),
        ([0, *[10] * 20], 50),  # five times ten, but always fifty
        ([0, *[40] * 20], 200),
        ([150, *[40] * 20], 50),
        ([0, *[400] * 20], 500),
    ],
)
def test_a_flood_of_messages_stops_at_what_is_usual(hours: list[int], allowed: int) -> None:
    assert messages_allowed(hours, most=500, times=5.0) == allowed


def test_the_reference_lists_every_guard_that_has_a_limit() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "reason-codes.md"
    _, _, listed = page.read_text(encoding="utf-8").partition("## Guards")
    names = [
        line.split("`")[1] for line in listed.partition("\n## ")[0].splitlines() if "| `" in line
    ]
    assert set(names) == set(HoldIf.model_fields) - {"at_least"}
