"""Coverage: what nobody sees to shows in `status`, although nothing failed."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from clinicrelay.times import parse_instant
from sync import coverage, outstanding
from sync.coverage import Coverage
from sync.health import Health, health
from sync.outstanding import Outstanding
from sync.store import standings

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from tests.line.conftest import Line

TOMORROW = "2026-11-24 15:00"
SMS_ONLY = {"patient": {"steps": [{"before": "1d", "channels": ["sms"]}, "1h"]}}


def look(line: Line) -> Health:
    return line.at_work(health)


def counted(line: Line) -> tuple[int, int, int]:
    found = look(line).tomorrow
    return found.visits, found.covered, found.explained


@pytest.fixture
def tomorrow(line: Line) -> Line:
    """Three visits of tomorrow that came with the import; their patients have phone and e-mail."""
    line.set(reminders={"patient": {"steps": ["1d", "1h"]}})
    for key in (1, 2, 3):
        line.book(key, TOMORROW)
    line.after()
    return line


def test_reminders_to_come_cover_tomorrow(tomorrow: Line) -> None:
    assert counted(tomorrow) == (3, 3, 0)
    assert look(tomorrow).exit == 0


def test_an_sms_notifier_that_is_switched_off_turns_it_red_within_one_run(line: Line) -> None:
    line.set(
        reminders={"patient": {"confirmation": {"channels": ["email"]}, "steps": ["1d", "1h"]}},
        channels={"order": ["sms"], "consent": {"sms": "implied", "email": "implied"}},
    )
    line.book(1, TOMORROW)
    line.after()
    line.book(2, TOMORROW)
    assert line.after() == [("confirmation", "p2@mail.example")]
    assert counted(line) == (2, 2, 0)

    line.set(channels={**line.said["channels"], "sms": []})
    report = line.sync()

    assert report.exit == 0  # nothing failed
    found = look(line)
    assert found.tomorrow == Coverage(2, 0, 0, ("reception/1", "reception/2"), 2)
    assert found.exit == 3
    assert any("nobody is reminded (reception/1, reception/2)" in n.what for n in found.needs)


def test_of_very_many_visits_a_share_is_judged_and_all_are_counted(
    tomorrow: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in range(4, 12):
        tomorrow.book(key, TOMORROW, mobile="", email="" if key % 2 else f"p{key}@mail.example")
    tomorrow.after()
    monkeypatch.setattr(coverage.tomorrow, "__defaults__", (4,))

    found = look(tomorrow).tomorrow
    assert found.of == 11
    assert 3 <= found.visits == found.covered + found.explained <= 4  # each third

    def all_of_them(at_work: Clinic) -> Coverage:
        with at_work.store.read() as connection:
            return coverage.tomorrow(at_work, connection, at_most=None).coverage

    assert tomorrow.at_work(all_of_them) == Coverage(11, 7, 4, (), 11)


def test_a_day_off_does_not_hide_in_status_that_nobody_is_reminded_of_the_next(line: Line) -> None:
    line.set(reminders={"patient": {"steps": ["1d"]}}, channels={"order": ["sms"], "sms": []})
    line.book(1, "2026-11-26 09:00")
    line.after()
    found = look(line)
    assert found.tomorrow.visits == 0
    assert any("1 of 1 visit on Thu 26 Nov: nobody is reminded" in n.what for n in found.needs)


def test_who_cannot_or_must_not_be_told_is_explained(tomorrow: Line) -> None:
    tomorrow.change(1, mobile="", email="")
    tomorrow.cancel(3)
    tomorrow.after()

    assert counted(tomorrow) == (2, 1, 1)
    assert look(tomorrow).exit == 0


def test_a_reminder_sent_covers_until_the_visit_is_moved(tomorrow: Line) -> None:
    tomorrow.quietly("2026-11-23 15:00")
    assert counted(tomorrow) == (3, 3, 0)

    tomorrow.change(1, start="2026-11-24 07:30")
    tomorrow.set(reminders={"patient": {"steps": ["1d"], "on_change": False}})
    tomorrow.after("2026-11-23 15:30")

    found = look(tomorrow).tomorrow
    assert (found.visits, found.covered, found.explained) == (3, 2, 1)  # outside_policy


@pytest.mark.parametrize(("until", "covered"), [(None, 0), ("2026-11-24 08:00", 3)])
def test_a_pause_leaves_tomorrow_uncovered_unless_it_ends_in_time(
    tomorrow: Line, until: str | None, covered: int
) -> None:
    ends = parse_instant(until, "Europe/Berlin") if until else None

    def stop(at_work: Clinic) -> None:
        with at_work.store.write() as connection:
            standings.pause(
                connection, at_work.store.clinic, "patients", reason="", until=ends,
                since=at_work.now, who="test",
            )  # fmt: skip

    tomorrow.at_work(stop)
    assert counted(tomorrow) == (3, covered, 0)


def test_a_visit_that_was_booked_for_another_day_is_not_counted(tomorrow: Line) -> None:
    tomorrow.book(4, "2026-11-25 00:00")
    tomorrow.book(5, "2026-11-24 00:00")
    tomorrow.after()
    assert counted(tomorrow)[0] == 4


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_the_look_goes_by_the_day_and_not_through_all_visits(tomorrow: Line) -> None:
    asked: list[str] = []

    def listened(at_work: Clinic) -> None:
        with at_work.store.read() as connection:
            raw = connection.connection.driver_connection
            assert isinstance(raw, sqlite3.Connection)
            raw.set_trace_callback(asked.append)
            assert coverage.tomorrow(at_work, connection).coverage.visits == 3
            raw.set_trace_callback(None)
            steps = [
                row[3]
                for statement in asked
                if statement.startswith("SELECT")
                for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}")
            ]
        of_visits = [step for step in steps if "appointments_start" in step]
        assert len(of_visits) == 3
        assert all("start_at>" in step for step in of_visits)
        assert not any(step.startswith(("SCAN a", "SCAN m")) for step in steps)

    tomorrow.at_work(listened)


def test_what_fell_due_while_nothing_ran_is_due_until_it_has_left(
    tomorrow: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    tomorrow.set(reminders={"patient": {"steps": ["1d", "1h"]}, "doctor": {"steps": ["1d"]}})
    tomorrow.sync("2026-11-23 10:00")
    assert look(tomorrow).due == 0
    tomorrow.now = parse_instant("2026-11-23 15:30", "Europe/Berlin")
    assert look(tomorrow).due == 6  # patients and their doctor
    tomorrow.sync()
    assert look(tomorrow).due == 0

    monkeypatch.setattr(outstanding, "_MOST", 1)
    tomorrow.now = parse_instant("2026-11-24 14:10", "Europe/Berlin")
    assert look(tomorrow).outstanding == Outstanding(visits=3)
    monkeypatch.setattr(outstanding, "_COUNTED", 2)
    assert look(tomorrow).outstanding.waiting == "2 or more"
