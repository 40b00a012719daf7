"""A week, quarter hour by quarter hour, over a change of clocks: all that is said, and all that is not.

Three clinics in three zones. What is expected of each visit, person and step is worked out beside the
line (`tests.line.expected`); in the end the ledger has exactly these entries and no other.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import commands
from clinicrelay.times import iso
from tests.line.expected import STEPS, URGENT, Line, in_quiet_hours
from tests.line.weeks import DOCTORS, WEEKS, Book, Passing, Week, eventful, ordinary

if TYPE_CHECKING:
    from tests.line import conftest

Entry = tuple[str, str, Line]


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """Each moment of a week is a run: here on SQLite alone, `test_the_same_everywhere` has all."""
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture(params=WEEKS, ids=lambda week: week.zone.partition("/")[2])
def passed(request: pytest.FixtureRequest, house: Callable[..., conftest.Line]) -> Passing:
    """A week that has passed."""
    week: Week = request.param
    line = house(calendars={})
    line.set(clinic={**line.settings["clinic"], "timezone": week.zone})
    line.now = datetime(2026, 1, 1, tzinfo=UTC)
    book = Book(week)
    ordinary(book)
    eventful(book)
    passing = Passing(line, book)
    passing.run()
    return passing


def test_a_week_is_said_to_the_quarter_hour_and_explained_to_the_last_visit(
    passed: Passing, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = typed(passed.line, capsys, "messages", "list")
    told = Counter(map(entry, entries))

    visits_begin_when_the_clinics_clock_says_so(passed)
    assert differences(passed.expected(), told) == []
    what_left_is_what_the_ledger_calls_sent(passed, told)
    nobody_was_woken_but_for_a_visit_that_is_off(passed)
    nobody_was_told_of_what_had_begun(passed)
    each_doctor_had_one_list_an_evening(passed)
    every_step_of_every_visit_is_explained(passed, told)
    for key in passed.book.visits:
        story = typed(passed.line, capsys, "why", f"reception/{key}")
        assert story["answer"], key
        assert {one["state"] for one in story["messages"]} <= {"sent", "skipped", "failed"}


def typed(line: conftest.Line, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """Type a command, and return its JSON."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        commands.main([*words, "--json", "--settings", str(line.file), "--now", iso(line.now)])
    assert end.value.code == 0
    return json.loads(capsys.readouterr().out)


def entry(one: dict[str, Any]) -> Entry:
    key = (one["appointment"] or "").removeprefix("reception/")
    at = datetime.fromisoformat(one["at"]) if one["state"] == "sent" else None
    return key, one["to"], Line(one["kind"], one["step"] or "", one["state"], one["reason"], at)


def differences(expected: Counter[Entry], found: Counter[Entry]) -> list[str]:
    lacking = [f"lacks {one}" for one in (expected - found).elements()]
    return sorted([*lacking, *(f"has {one}" for one in (found - expected).elements())])


def visits_begin_when_the_clinics_clock_says_so(passed: Passing) -> None:
    kept = {one["key"]: one["start"] for one in passed.line.visits().values()}
    assert kept == {key: iso(state.start) for key, state in passed.read.items()}


def what_left_is_what_the_ledger_calls_sent(passed: Passing, told: Counter[Entry]) -> None:
    sent = Counter(
        (one.at, one.kind, address(passed.book, key, who, one.kind))
        for key, who, one in told.elements()
        if one.state == "sent"
    )
    left = Counter((call.written_at, call.kind, call.to) for call in passed.line.calls)
    assert left == sent
    assert left.total() == len(passed.line.outbox()) > 300
    unsaid = sum(one.state in ("skipped", "failed") for *_, one in told.elements())
    assert left.total() + unsaid == told.total()


def address(book: Book, key: str, who: str, kind: str) -> str:
    """Return where a message has to go: confirmations by e-mail, else what the patient likes best."""
    role, _, number = who.partition("/")
    if role == "doctor":
        return f"{number}@riverside.example"
    row = book.visits[key]
    by_mail = kind == "confirmation" or row["preferred_channel"] == "email"
    reachable = row["mobile"] not in ("", "12")
    return row["mobile"] if reachable and not by_mail else row["email"]


def nobody_was_woken_but_for_a_visit_that_is_off(passed: Passing) -> None:
    woken = []
    for (key, who), person in passed.people.items():
        for line in person.lines:
            if line.at and in_quiet_hours(line.at, person.zone):
                woken.append((key, who, line.kind))
                assert line.kind in ("change", "cancellation")
                assert (
                    min(s.start for s in passed.ever[key] if s.start > line.at) - line.at < URGENT
                )
    assert {("205", "patient/P205", "cancellation")} <= set(woken)
    assert len(woken) < 10


def nobody_was_told_of_what_had_begun(passed: Passing) -> None:
    for (key, _), person in passed.people.items():
        for line in person.lines:
            assert line.at is None or line.at < max(state.start for state in passed.ever[key])


def each_doctor_had_one_list_an_evening(passed: Passing) -> None:
    days = Counter((who, line.step) for who, line in passed.lists)
    assert set(days.values()) == {1}
    # Of two in an outage the next replaces one, and the ledger says so.
    assert Counter(who for who, _ in days) == dict.fromkeys(DOCTORS, 8)


def every_step_of_every_visit_is_explained(passed: Passing, told: Counter[Entry]) -> None:
    """A visit that stands has an entry for each step and person; one that is off, that it is off."""
    for (key, who), person in passed.people.items():
        lines = [line for at, to, line in told if (at, to) == (key, who)]
        state = passed.read[key]
        if state.start <= passed.first_read[key]:
            assert (key, lines) == ("310", [])  # began before anybody could look
        elif not state.off:
            steps = {"1h"} if person.doctor else set(STEPS)
            assert {line.step for line in lines} >= steps, (key, who)
        elif not person.doctor:
            assert {line.kind for line in lines} & {"cancellation", "confirmation"}, (key, who)
