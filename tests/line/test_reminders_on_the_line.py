"""Time passes: every reminder in its hour, once, and none for what is no longer so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clinicrelay.times import local
from sync.runners import once

if TYPE_CHECKING:
    from tests.line.conftest import Line

HOUR = timedelta(hours=1)
ZONE = "Europe/Berlin"


def pass_hours(line: Line, until: str, *, nights: bool = False) -> list[tuple[str, str, str]]:
    """Sync every hour of the day; return wall-clock time, kind and recipient of what was said."""
    before = line.outbox()
    end = datetime.fromisoformat(until)
    while local(line.now, ZONE).replace(tzinfo=None) < end:
        line.now += HOUR
        if nights or 6 <= local(line.now, ZONE).hour < 22:
            line.sync(timedelta(0))
    new = (Counter(line.outbox()) - Counter(before)).elements()
    return sorted((_clock(sent.at), sent.kind, sent.to) for sent in new)


def _clock(stamp: str) -> str:
    return f"{local(datetime.fromisoformat(stamp), ZONE):%Y-%m-%d %H:%M}"


def to(said: list[tuple[str, str, str]], address: str) -> list[tuple[str, str]]:
    return [(at, kind) for at, kind, who in said if who == address]


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """Hours of a week are many runs: here on SQLite alone, `test_the_same_everywhere` has both."""
    return f"sqlite:///{tmp_path}/store.db"


P1, DOCTOR = "+4915155500001", "acar@riverside.example"


def test_a_visit_of_an_import_sleeps_until_its_first_reminder(line: Line) -> None:
    line.set(calendars={})
    line.book(1, "2026-11-30 10:00")
    line.after("2026-11-23 09:00")
    ((wakes,),) = line.query("SELECT wake_at FROM appointments")
    assert f"{local(datetime.fromtimestamp(wakes, UTC), ZONE):%Y-%m-%d %H:%M}" == "2026-11-27 10:00"
    said = pass_hours(line, "2026-11-27 11:00")
    assert to(said, P1) == [("2026-11-27 10:00", "reminder")]


def test_each_step_is_said_once_in_its_hour(line: Line) -> None:
    line.book(1, "2026-11-30 10:00")
    line.after("2026-11-23 09:00")
    said = pass_hours(line, "2026-11-30 13:00")
    assert to(said, P1) == [
        ("2026-11-27 10:00", "reminder"),
        ("2026-11-29 10:00", "reminder"),
        ("2026-11-30 09:00", "reminder"),
    ]
    assert to(said, DOCTOR) == [("2026-11-29 18:00", "digest"), ("2026-11-30 09:00", "reminder")]


@pytest.mark.parametrize(
    ("night", "visit"), [("2026-10-25", "2026-10-26 10:00"), ("2027-03-28", "2027-03-29 10:00")]
)
def test_days_are_counted_on_the_wall_clock_over_a_change_of_clocks(
    house: Callable[..., Line], night: str, visit: str
) -> None:
    line = house()
    start = datetime.fromisoformat(visit)
    line.now = datetime(2026, 1, 1, tzinfo=UTC)
    line.book(1, visit)
    line.after(f"{start - timedelta(days=5):%Y-%m-%d} 09:00")
    said = to(pass_hours(line, f"{start:%Y-%m-%d} 11:00"), P1)
    assert said == [
        (f"{start - timedelta(days=3):%Y-%m-%d} 10:00", "reminder"),
        (f"{start - timedelta(days=1):%Y-%m-%d} 10:00", "reminder"),
        (f"{start:%Y-%m-%d} 09:00", "reminder"),
    ]
    assert night == f"{start - timedelta(days=1):%Y-%m-%d}"


def test_after_three_days_of_silence_only_the_nearest_step_is_said(line: Line) -> None:
    line.book(1, "2026-11-30 10:00")
    line.book(2, "2026-11-28 10:00")
    line.after("2026-11-23 09:00")
    assert line.quietly("2026-11-29 12:00") == [("reminder", P1)]  # the 28th is over
    skipped = [(row[4], row[6]) for row in line.state()["ledger"] if row[5] == "skipped"]
    assert ("3d", "cut_off_passed") in skipped
    said = pass_hours(line, "2026-11-30 12:00")
    assert to(said, P1) == [("2026-11-30 09:00", "reminder")]


def test_a_late_booking_is_confirmed_and_then_reminded_only_of_steps_ahead(line: Line) -> None:
    line.book_many(5)
    line.after("2026-11-23 09:00")
    line.book(1, "2026-11-24 14:00")  # in 28 hours: 3d is over, 1d is three hours away
    assert line.after("2026-11-23 10:00") == [("confirmation", "p1@mail.example")]
    said = pass_hours(line, "2026-11-24 15:00")
    times = to(said, P1)
    assert ("2026-11-24 13:00", "reminder") in times
    assert all(at >= "2026-11-23 13:00" for at, _ in times)
    assert len(times) <= 2


def test_what_was_only_asked_for_is_confirmed_when_booked_and_not_reminded_in_one_breath(
    line: Line,
) -> None:
    line.book(1, "2026-11-26 10:00", status="requested")
    line.after("2026-11-23 09:00")
    line.change(1, status="scheduled")  # the step of 3d was an hour ago
    assert line.after("2026-11-23 11:00") == [("confirmation", "p1@mail.example")]
    said = to(pass_hours(line, "2026-11-26 11:00"), P1)
    assert said == [("2026-11-25 10:00", "reminder"), ("2026-11-26 09:00", "reminder")]


def test_a_move_after_a_reminder_is_reminded_of_anew_at_its_own_times(line: Line) -> None:
    line.book(1, "2026-11-26 10:00")
    line.after("2026-11-23 09:00")
    assert to(pass_hours(line, "2026-11-23 11:00"), P1) == [("2026-11-23 10:00", "reminder")]
    line.change(1, start="2026-12-02 15:00")
    assert line.after("2026-11-24 09:00") == [("change", P1)]
    said = to(pass_hours(line, "2026-12-02 16:00"), P1)
    assert said == [
        ("2026-11-29 15:00", "reminder"),
        ("2026-12-01 15:00", "reminder"),
        ("2026-12-02 14:00", "reminder"),
    ]
    late = [sent.text for sent in line.outbox() if sent.to == P1][1:]
    assert not [text for text in late[1:] if "26. Nov" in text]


def test_a_visit_cancelled_between_two_runs_is_not_reminded_of(line: Line) -> None:
    line.book(1, "2026-11-26 10:00")
    line.book(2, "2026-11-26 11:00")
    line.after("2026-11-23 09:00")
    line.cancel(1)
    line.drop()
    said = pass_hours(line, "2026-11-26 12:00")
    assert [kind for _, kind in to(said, P1)] == ["cancellation"]
    assert [kind for _, kind in to(said, "+4915155500002")] == ["reminder"] * 3


def test_nobody_is_woken_and_early_visits_are_reminded_of_the_evening_before(line: Line) -> None:
    line.book(1, "2026-11-30 07:30")
    line.after("2026-11-26 09:00")
    said = pass_hours(line, "2026-11-30 09:00", nights=True)
    assert all("08:00" <= at[-5:] < "21:00" for at, kind, _ in said if kind != "digest")
    assert [at for at, _ in to(said, P1)][-1] < "2026-11-30 07:00"
    assert len(to(said, P1)) >= 2


def test_each_doctor_gets_one_list_a_day_with_their_own_visits(line: Line) -> None:
    other = {"doctor_id": "braun", "doctor": "Dr. Braun", "doctor_email": "braun@riverside.example"}
    line.book(1, "2026-11-25 10:00")
    line.book(2, "2026-11-26 10:00")
    line.book(3, "2026-11-26 11:00", **other)
    line.after("2026-11-23 09:00")
    said = [one for one in pass_hours(line, "2026-11-26 12:00") if one[1] == "digest"]
    assert said == [
        ("2026-11-24 18:00", "digest", DOCTOR),
        ("2026-11-25 18:00", "digest", DOCTOR),
        ("2026-11-25 18:00", "digest", "braun@riverside.example"),
    ]
    texts = [sent.text for sent in line.outbox() if sent.kind == "digest"]
    assert [("10:00" in text, "11:00" in text) for text in texts] == [
        (True, False),
        (True, False),
        (False, True),
    ]


def test_running_every_ten_minutes_says_no_more_than_running_every_hour(line: Line) -> None:
    line.book(1, "2026-11-24 11:00")
    line.book(2, "2026-11-26 10:00")
    line.after("2026-11-23 09:00")
    before = line.outbox()
    for _ in range(20):
        line.sync(timedelta(minutes=10))
    said = Counter((sent.kind, sent.to) for sent in line.outbox()) - Counter(
        (sent.kind, sent.to) for sent in before
    )
    assert said == {("reminder", P1): 1, ("reminder", "+4915155500002"): 1}


def test_a_missing_contact_is_told_once_and_dated_when_it_was_first_missed(line: Line) -> None:
    line.after("2026-11-23 09:00")
    line.book(1, "2026-11-24 11:00", email="")  # looked at again for its reminder, at 11:00
    line.drop()
    first = line.sync("2026-11-23 10:00")
    assert first.messages.skipped == {"no_contact": 1}
    line.now += HOUR
    later = line.at_work(once.send)
    assert later.messages.skipped == {}
    rows = "SELECT reason, settled_at FROM messages WHERE kind = 'confirmation'"
    assert line.query(rows) == [("no_contact", int(first.now.timestamp()))]


def test_a_contact_that_is_mended_gets_what_could_not_be_sent(line: Line) -> None:
    line.after("2026-11-23 09:00")
    line.book(1, "2026-12-20 10:00", email="")
    assert line.after("2026-11-23 10:00") == []
    line.change(1, email="p1@mail.example")
    assert line.after("2026-11-23 11:00") == [("confirmation", "p1@mail.example")]
