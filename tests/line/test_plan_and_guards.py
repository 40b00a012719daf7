"""What a guard would hold in `sync`, `plan` says before, in the same words and with the same code."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pytest
from google_peer.peer import GooglePeer

import commands
from clinicrelay.settings.upkeep import HoldIf
from clinicrelay.times import iso
from sync.guards import GUARDS
from tests.line.conftest import Line
from tests.line.google.conftest import address, settings_for

sqlite = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
COUNT = 40
HELD, DONE = 4, 0
ACAR = {"id": "acar", "match": "acar", "calendar": address("acar")}


class Ended(NamedTuple):
    code: int
    said: str


def typed(line: Line, *words: str) -> Ended:
    """Type a command at the clinic; return how it ended, and what it said."""
    assert line.loaded  # the file is written by then
    said = io.StringIO()
    more = ["--settings", str(line.file), "--now", iso(line.now)]
    with contextlib.redirect_stdout(said), pytest.raises(SystemExit) as end:
        commands.main([*words, *more])
    assert isinstance(end.value.code, int)
    return Ended(end.value.code, said.getvalue())


def told(holds: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(h["source"], h["guard"], h["count"], h["of"], h["summary"]) for h in holds]


@pytest.fixture
def known(house: Callable[..., Line]) -> Iterator[Line]:
    """A clinic with 40 coming visits in the Google Calendar of Dr Acar."""
    with GooglePeer(seed=7) as peer:
        peer.calendar(address("acar"), shared={"relay@riverside.example": "writer"})
        made = house(calendars=settings_for(peer), doctors=[ACAR])
        made.book_many(COUNT)
        made.after()
        made.now += timedelta(minutes=5)
        yield made


# --- what each guard is there for ------------------------------------------------------------------


def _gone(line: Line) -> None:
    for key in list(line.rows)[:20]:
        del line.rows[key]


def _cancelled(line: Line) -> None:
    for key in list(line.rows)[:20]:
        line.cancel(key)


def _moved(line: Line, minutes: Callable[[int], int]) -> None:
    for number, (key, row) in enumerate([*line.rows.items()][:20]):
        start = datetime.fromisoformat(row["start"]) + timedelta(minutes=minutes(number))
        line.change(key, start=f"{start:%Y-%m-%d %H:%M}")


def _rescheduled(line: Line) -> None:
    _moved(line, lambda number: 5 + number)


def _shifted(line: Line) -> None:
    _moved(line, lambda number: 60)


def _reassigned(line: Line) -> None:
    for key in list(line.rows)[:20]:
        line.change(key, doctor_id="braun", doctor_email="")


def _reinstated(line: Line) -> None:
    line.set(safety={"hold_if": {"cancelled": "100%"}})
    _cancelled(line)
    line.after()
    line.now += timedelta(minutes=5)
    for key in list(line.rows)[:20]:
        line.change(key, status="booked")


def _set_aside(line: Line) -> None:
    for key in list(line.rows)[:20]:
        line.change(key, status="XQ")


def _storm(line: Line) -> None:
    line.set(safety={"max_messages_per_run": 5})
    for key in list(line.rows)[:8]:
        line.change(key, location="Seeblick")


def _unlinked(line: Line) -> None:
    line.set(doctors=[])
    for key in line.rows:
        line.change(key, doctor_email="")


SCENES: dict[str, Callable[[Line], None]] = {
    "gone": _gone,
    "cancelled": _cancelled,
    "rescheduled": _rescheduled,
    "shifted": _shifted,
    "reassigned": _reassigned,
    "reinstated": _reinstated,
    "set_aside": _set_aside,
    "storm": _storm,
    "unlinked": _unlinked,
}


def test_every_guard_is_played_here_and_has_its_limit_in_the_settings() -> None:
    assert set(SCENES) == set(GUARDS)
    limits = {f"safety.hold_if.{name}" for name in HoldIf.model_fields} - {
        "safety.hold_if.at_least"
    }
    assert {guard.setting for guard in GUARDS.values()} == limits


@pytest.mark.parametrize("guard", SCENES)
def test_plan_says_what_sync_will_hold_and_ends_with_its_code(known: Line, guard: str) -> None:
    SCENES[guard](known)
    known.drop()
    foretold, in_words = (
        json.loads(typed(known, "plan", "--json").said),
        typed(known, "plan"),
    )
    assert [hold["guard"] for hold in foretold["held"]] == [guard]
    (summary,) = [hold["summary"] for hold in foretold["held"]]
    (name,) = [hold["source"] or "messages" for hold in foretold["held"]]
    assert f"{name} would be HELD: {summary}" in in_words.said

    ran = typed(known, "sync")
    assert (ran.code, in_words.code) == (HELD, HELD)
    assert f"{name} HELD: {summary}" in ran.said
    assert told(json.loads(typed(known, "held", "list", "--json").said)) == told(foretold["held"])


@sqlite
@pytest.mark.parametrize("guard", SCENES)
def test_what_is_held_already_is_no_news_and_still_waits_for_a_person(
    known: Line, guard: str
) -> None:
    SCENES[guard](known)
    known.drop()
    typed(known, "sync")
    known.now += timedelta(minutes=5)

    foretold = typed(known, "plan")
    assert (
        f"still HELD: {json.loads(typed(known, 'held', 'list', '--json').said)[0]['summary']}"
        in (foretold.said)
    )
    assert "would be HELD" not in foretold.said
    assert (foretold.code, typed(known, "sync").code) == (HELD, HELD)


def test_an_edit_that_would_empty_a_calendar_is_told_to_be_held(known: Line) -> None:
    for key in known.rows:
        known.change(key, doctor_email="")
    known.after()
    known.set(doctors=[])
    for words in (("plan",), ("plan", "--against", "running")):
        foretold = typed(known, *words)
        assert f"google would be HELD: {COUNT} of {COUNT} events would go" in foretold.said
        assert foretold.code == HELD
    assert typed(known, "sync").code == HELD
    assert typed(known, "plan", "--against", "running").code == DONE  # it runs by now
