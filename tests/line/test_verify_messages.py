"""`verify messages` finds every step that is not accounted for once, and is silent about all others."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from clinicrelay.testing.kits import canaries_in
from tests.line.conftest import Line
from tests.line.planted import person, typed

STEPS = {"patient": {"confirmation": {"channels": ["email"]}, "steps": ["3d", "1d", "1h"]}}


@pytest.fixture
def told(line: Line) -> Line:
    """A clinic with a visit that had all of its steps, one that had two, and one that had none yet."""
    line.set(reminders={**STEPS, "doctor": {"steps": ["1h"]}}, calendars={})
    line.book(99, "2026-12-24 10:00")
    line.after("2026-11-27 09:00")
    line.book(1, "2026-12-04 10:00", email="", mobile="")
    line.book(2, "2026-12-04 11:00")
    line.book(3, "2026-12-05 12:00")
    line.after("2026-11-27 10:00")
    for when in ("2026-12-01 12:00", "2026-12-03 12:00", "2026-12-04 10:30", "2026-12-04 12:00"):
        line.quietly(when)
    assert line.unaccounted() == []
    return line


OF_VISIT_2 = "appointment = (SELECT id FROM appointments WHERE source_key = '2')"
COPY = (
    "INSERT INTO messages (clinic, dedupe, appointment, recipient, role, kind, step, say, setting, "
    "state, reason, due_at, useless_after, tries, run, created_at, settled_at, shard) "
    "SELECT clinic, 'another', appointment, recipient, role, kind, step, say, setting, state, reason, "
    "due_at, useless_after, tries, run, created_at, settled_at, shard FROM messages "
    f"WHERE step = '1d' AND {OF_VISIT_2}"
)
PLANTED = [
    (
        f"DELETE FROM messages WHERE step = '1h' AND role = 'patient' AND {OF_VISIT_2}",
        "missing",
        "1h",
    ),
    (
        f"DELETE FROM messages WHERE step = '1h' AND role = 'doctor' AND {OF_VISIT_2}",
        "missing",
        "1h",
    ),
    (COPY, "doubled", "1d"),
    (
        f"UPDATE messages SET state = 'skipped', reason = NULL WHERE step = '1d' AND {OF_VISIT_2}",
        "unexplained",
        "1d",
    ),
    (
        "UPDATE messages SET state = 'failed', reason = NULL WHERE kind = 'confirmation' "
        f"AND {OF_VISIT_2}",
        "unexplained",
        "confirmation",
    ),
    (
        "UPDATE messages SET state = 'planned', settled_at = NULL, shard = 99 "
        f"WHERE step = '3d' AND {OF_VISIT_2}",
        "stuck",
        "3d",
    ),
    (
        f"UPDATE messages SET state = 'skipped', reason = 'told_together' WHERE step = '1d' "
        f"AND {OF_VISIT_2}",
        "alone",
        "1d",
    ),
]


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("statement", "what", "step"), PLANTED)
def test_what_is_planted_is_found_and_nothing_else(
    told: Line, statement: str, what: str, step: str
) -> None:
    assert told.rewrite(statement)
    (wrong,) = told.unaccounted()
    assert (wrong.what, wrong.visit, wrong.step) == (what, "reception/2", step)


def test_every_store_is_looked_through(told: Line) -> None:
    assert told.rewrite(COPY)
    assert told.rewrite(PLANTED[0][0])
    assert [(one.what, one.step) for one in told.unaccounted()] == [
        ("missing", "1h"),
        ("doubled", "1d"),
    ]


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_a_step_that_was_sent_later_than_the_next_one_needs_no_line(told: Line) -> None:
    """Whoever heard of the visit at or after its hour had nothing to hear from it."""
    assert told.rewrite(f"DELETE FROM messages WHERE step = '3d' AND {OF_VISIT_2}")
    assert told.unaccounted() == []


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_a_visit_that_no_run_looks_at_any_more_is_found(told: Line) -> None:
    assert told.rewrite("UPDATE appointments SET wake_at = NULL WHERE source_key = '3'")
    told.quietly("2026-12-05 11:30")
    wrong = {(one.visit, one.to, one.step) for one in told.unaccounted()}
    assert wrong == {("reception/3", "patient", "1h"), ("reception/3", "doctor", "1h")}


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_what_is_due_and_waits_for_the_next_run_is_no_mistake(told: Line) -> None:
    told.now = told.now.replace(day=5)
    assert told.unaccounted() == []
    found = json.loads(typed(told, "verify", "messages", "--json"))
    assert found["not_looked_at"] == 2
    assert found["wrong"] == []


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_the_command_names_visits_and_steps_and_no_person(told: Line) -> None:
    assert "Each of them was sent once, or says why not." in typed(told, "verify", "messages")
    assert told.rewrite(f"DELETE FROM messages WHERE step = '1h' AND {OF_VISIT_2}")
    said = typed(told, "verify", "messages")
    assert "reception/2  1h to patient  Fri 04 Dec 10:00  missing" in said
    found = json.loads(typed(told, "verify", "messages", "--json"))
    assert found["wrong"][0] == {
        "what": "missing",
        "appointment": "reception/2",
        "to": "patient",
        "step": "1h",
        "at": "2026-12-04T09:00:00Z",
    }
    assert "P2" not in said + json.dumps(found)
    assert canaries_in(said) == []


def since_then(line: Line, **said: Any) -> None:
    """Edit the settings, and let everything run on for a day."""
    line.set(**said)
    for when in ("2026-12-04 13:00", "2026-12-04 18:00", "2026-12-05 11:30", "2026-12-05 13:00"):
        line.quietly(when)


EDITS: dict[str, dict[str, Any]] = {
    "a step that was added": {"reminders": {"patient": {"steps": ["5d", "3d", "2d", "1d", "1h"]}}},
    "steps that were removed": {"reminders": {"patient": {"steps": ["1h"]}}},
    "a step with another end": {
        "reminders": {"patient": {"steps": [{"before": "1d", "latest": "5m"}]}}
    },
    "no quiet hours": {"quiet_hours": "off"},
    "another night": {"quiet_hours": {"from": "09:00", "to": "20:00"}},
    "a calendar": {"calendars": {"files": {"type": "ics"}}},
    "no reminders": {"reminders": {}},
}


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("edit", EDITS)
def test_edited_settings_leave_nothing_unaccounted(told: Line, edit: str) -> None:
    told.set(**EDITS[edit])
    assert told.unaccounted() == [], "before any run has seen the edit"
    since_then(told, **EDITS[edit])
    assert told.unaccounted() == []


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_a_rehearsal_and_going_live_leave_nothing_unaccounted(house: Callable[..., Line]) -> None:
    smtp = {"type": "smtp", "host": "smtp.riverside.example", "from": "desk@riverside.example"}
    line = house(
        notifiers={"mail": {**smtp, "username": "u", "password": "p"}},
        reminders=STEPS,
        calendars={},
    )
    for key in range(1, 6):
        line.book(key, f"2026-11-2{key + 3} 10:00")
    line.after("2026-11-23 09:00")
    for when in ("2026-11-24 09:30", "2026-11-25 10:30"):
        line.quietly(when)
        assert line.unaccounted() == []
    assert ("reminder", "rehearsal") in line.query("SELECT DISTINCT kind, reason FROM messages")


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_a_day_that_is_told_together_is_accounted_for(house: Callable[..., Line]) -> None:
    line = house(reminders=STEPS, calendars={})
    line.book(1, "2026-12-01 10:00")
    line.book(2, "2026-12-01 12:00", **person(1))
    line.after("2026-11-23 09:00")
    for when in ("2026-11-28 10:30", "2026-11-30 10:30", "2026-12-01 09:10", "2026-12-01 13:00"):
        line.quietly(when)
        assert line.unaccounted() == []
    assert ("told_together",) in line.query("SELECT DISTINCT reason FROM messages")
