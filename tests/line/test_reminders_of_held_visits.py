"""A visit of which a guard holds a change: nobody is reminded of it before a person decided."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.testing import Asked, HttpServer, Reply
from commands.why import _why as why
from sync import release
from sync import send as sending
from sync.conditions import conditions
from sync.coverage import tomorrow
from sync.explain import stories
from sync.foresee import foresee
from sync.runners import once
from sync.store import incoming
from tests.line.test_asked_before_sending import Rest

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from tests.line.conftest import Line

# On the first day are the visits 100, 112, 124 and 136, of which the first two seem to be cancelled.
OFF, ON = ("+4915155500100", "+4915155500112"), ("+4915155500124", "+4915155500136")


@pytest.fixture
def held(line: Line) -> Line:
    """A clinic with 40 visits from Monday on, of which 20 are cancelled at once; it is Saturday."""
    line.set(reminders={"patient": {"steps": ["1d"]}, "doctor": None})
    line.book_many(40)
    line.after()
    line.now += timedelta(days=11)
    for key in list(line.rows)[:20]:
        line.cancel(key)
    assert line.after("2026-12-05 12:00") == []
    return line


def waiting(line: Line) -> list[tuple[Any, ...]]:
    return line.query("SELECT state, reason FROM messages WHERE state <> 'sent'")


def decide(line: Line, how: Any) -> None:
    def ended(at_work: Clinic) -> None:
        with at_work.store.read() as connection:
            (hold,) = incoming.open_holds(connection, at_work.store.clinic)
        assert how(at_work, hold)

    line.at_work(ended)


def test_reminders_of_the_visits_concerned_wait_and_the_others_leave(held: Line) -> None:
    assert held.quietly("2026-12-06 09:00") == [("reminder", to) for to in ON]
    assert waiting(held) == [("planned", "change_held")] * 2
    assert held.quietly() == []


def test_of_visits_that_are_only_missing_from_a_cut_export_everybody_is_reminded(
    line: Line,
) -> None:
    line.set(reminders={"patient": {"steps": ["1d"]}, "doctor": None})
    line.book_many(40)
    line.after()
    line.now += timedelta(days=11)
    for key in list(line.rows)[:20]:
        del line.rows[key]
    assert line.after("2026-12-05 12:00") == []
    assert line.query("SELECT COUNT(*) FROM incoming WHERE held IS NOT NULL") == [(20,)]
    assert line.quietly("2026-12-06 09:00") == [("reminder", to) for to in OFF + ON]


@pytest.mark.parametrize(
    ("cells", "waits"),
    [
        ({"start": "2026-12-07 11:00"}, True),
        ({"location": "Bahnhofstrasse"}, True),
        ({"status": "arrived"}, True),
        ({"mobile": "+4915155500999"}, True),
        ({"sms_consent": "no"}, True),
        ({"patient_id": "P999"}, True),
        ({"patient_name": "Pat 100 Sample-Neu"}, False),
        ({"notes": "bring papers"}, False),
    ],
)
def test_whatever_is_held_a_reminder_leaves_only_if_it_would_be_right_in_either_case(
    line: Line, cells: dict[str, str], waits: bool
) -> None:
    """So many records cannot be understood that nothing of the read counts, be it true or not."""
    line.set(reminders={"patient": {"steps": ["1d"]}, "doctor": None})
    line.book_many(40)
    line.after()
    line.now += timedelta(days=11)
    line.change("100", **cells)
    for key in set(line.rows) - {"100", "112", "124", "136"}:
        line.change(key, start="soon")
    assert line.after("2026-12-05 12:00") == []
    assert line.query("SELECT source_key FROM incoming WHERE held IS NOT NULL") == [("100",)]
    left = [("reminder", to) for to in (*OFF, *ON)]
    assert line.quietly("2026-12-06 09:00") == left[1 if waits else 0 :]
    (number,) = line.query("SELECT id FROM appointments WHERE source_key = '100'")[0]
    (story,) = line.at_work(lambda at_work: stories(at_work, [number]))
    assert ("its reminders wait" in story.answer) is waits


def test_once_it_is_released_they_are_told_that_it_is_off_and_not_reminded(held: Line) -> None:
    held.sync("2026-12-06 09:00")
    decide(held, release.release)
    said = held.quietly(timedelta(minutes=10))
    assert {kind for kind, _ in said} == {"cancellation"}
    assert {to for _, to in said} >= set(OFF)
    assert waiting(held) == [("skipped", "cancelled")] * 2


def test_once_it_is_rejected_they_are_reminded(held: Line) -> None:
    held.sync("2026-12-06 09:00")
    decide(held, release.reject)
    assert held.quietly(timedelta(minutes=10)) == [("reminder", to) for to in OFF]


def test_once_the_source_says_otherwise_they_are_reminded(held: Line) -> None:
    held.sync("2026-12-06 09:00")
    for key in list(held.rows)[:20]:
        held.change(key, status="scheduled")
    assert held.after(timedelta(minutes=10)) == [("reminder", to) for to in OFF]


def test_what_can_wait_no_longer_says_that_a_change_was_held(held: Line) -> None:
    held.sync("2026-12-06 09:00")
    assert held.quietly("2026-12-07 07:30") == []
    assert ("skipped", "change_held") in waiting(held)
    assert held.query("SELECT state, reason FROM messages WHERE state = 'planned'") == []


def test_send_alone_waits_as_well(held: Line) -> None:
    before = held.outbox()
    held._pass("2026-12-06 09:00")
    held.at_work(once.send)
    assert held.said_since(before) == [("reminder", to) for to in ON]


def test_a_hold_that_begins_while_messages_leave_counts(
    held: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process reads the source meanwhile: here the hold is opened after the first message."""
    monkeypatch.setattr(sending, "_AT_ONCE", 1)
    find, calls = incoming.held_back, held.calls

    def found(*args: Any) -> Iterator[tuple[tuple[str, str], str | None]]:
        return find(*args) if calls[before:] else iter(())

    monkeypatch.setattr(incoming, "held_back", found)
    before = len(calls)
    held.sync("2026-12-06 09:00")
    assert len({message.to for message in calls[before:]} & set(OFF)) <= 1
    assert ("planned", "change_held") in waiting(held)


def test_why_plan_coverage_and_the_alert_tell_it(held: Line) -> None:
    held.sync("2026-12-06 09:00")
    (number,) = held.query("SELECT id FROM appointments WHERE source_key = '100'")[0]
    (story,) = held.at_work(lambda at_work: stories(at_work, [number]))
    assert "(cancelled) is held for a person" in story.answer
    assert "its reminders wait" in story.answer
    plan = held.at_work(
        lambda at_work: foresee(at_work, until=at_work.now + timedelta(hours=3)), scratch=True
    )
    assert {(one["reason"], one["setting"]) for one in plan.unsaid} == {
        ("change_held", "safety.hold_if")
    }
    assert plan.messages == []

    def covered(at_work: Clinic) -> Any:
        with at_work.store.read() as connection:
            return tomorrow(at_work, connection).coverage

    day = held.at_work(covered)
    assert (day.visits, day.covered) == (4, 2)
    assert day.open == ("reception/100", "reception/112")
    told = held.at_work(lambda at_work: [one.follows for one in conditions(at_work).values()])
    assert any("nobody is reminded of these visits" in one for one in told)


def test_why_tells_of_a_coming_reminder_that_it_waits(held: Line) -> None:
    (number,) = held.query("SELECT id FROM appointments WHERE source_key = '100'")[0]
    (story,) = held.at_work(lambda at_work: stories(at_work, [number]))
    assert story.next is not None
    assert story.next.reason == "change_held"
    told = held.at_work(lambda at_work: list(why(at_work, "reception/100").lines))
    assert any(": waits, change_held" in str(line) for line in told)


def test_why_tells_that_it_leaves_once_it_is_decided(held: Line) -> None:
    held.sync("2026-12-06 09:00")
    decide(held, release.reject)
    (number,) = held.query("SELECT id FROM appointments WHERE source_key = '100'")[0]
    (story,) = held.at_work(lambda at_work: stories(at_work, [number]))
    assert "is due and leaves with the next run" in story.answer


class Many(Rest):
    """An interface with 20 visits, two of them at noon, that it also tells by their ids."""

    def __call__(self, asked: Asked) -> Reply:
        rows = {
            str(n): {
                **self._row(str(n), "12:00" if n < 2 else "18:00", self.status),
                "patient_id": f"P{n}",
                "patient_email": f"p{n}@mail.example",
            }
            for n in range(20)
        }
        whole = asked.path == "/visits"
        return Reply({"rows": [*rows.values()]} if whole else rows[asked.path.rpartition("/")[2]])


def test_a_source_is_not_asked_once_more_about_what_a_guard_holds(line: Line) -> None:
    system = Many()
    server = HttpServer(system)
    server.start()
    try:
        line.set(
            sources={"ehr": {**system.settings, "base_url": server.url}},
            reminders={"patient": {"steps": ["1d"]}},
            channels={"order": ["email"]},
        )
        line.sync("2026-11-23 09:00")
        system.status = "cancelled"
        line.sync("2026-11-24 11:50")
        assert line.state()["held"] == [("cancelled", 20, 20, "open")]
        line._pass("2026-11-24 12:00")
        line.at_work(once.send)
    finally:
        server.stop()
    assert not line.calls
    assert line.state()["held"] == [("cancelled", 20, 20, "open")]
