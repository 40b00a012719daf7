"""A source that is silent for too long: nobody is reminded by what it said before that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from clinicrelay import plugins
from clinicrelay.contracts import Connector, Cursor, Page, Window
from clinicrelay.errors import TryLater
from clinicrelay.testing.fakes import NoOptions, record
from sync.coverage import tomorrow
from sync.explain import stories
from sync.foresee import foresee
from sync.freshness import overdue
from sync.runners import once

if TYPE_CHECKING:
    from tests.line.conftest import Line

HOUR = timedelta(hours=1)
P1, P2 = "+4915155500001", "+4915155500002"


class Desk(Connector):
    """Lists what is in the book, or does not answer."""

    Options = NoOptions
    mapping = "clinic_csv"
    rows: ClassVar[dict[str, dict[str, str]]] = {}
    away: ClassVar[bool] = False
    whole: ClassVar[bool] = True

    def pull(self, cursor: Cursor | None, window: Window) -> Iterator[Page]:
        if Desk.away:
            raise TryLater("the EHR does not answer")
        rows = [record(row) for row in Desk.rows.values()]
        yield Page("all", rows, last=True, complete=Desk.whole)


@pytest.fixture
def hourly(line: Line, monkeypatch: pytest.MonkeyPatch) -> Line:
    """A clinic whose source is read each hour, with reminders due on Wednesday from 11:00 on."""
    find = plugins.find

    def found(room: str, name: str) -> Any:
        return Desk if (room, name) == ("connectors", "desk") else find(room, name)

    monkeypatch.setattr(plugins, "find", found)
    Desk.rows, Desk.away, Desk.whole = line.rows, False, True
    line.set(
        sources={"ehr": {"type": "desk"}},
        reminders={"patient": {"steps": ["1d", "1h"], "confirmation": {}}, "doctor": None},
    )
    line.book(1, "2026-11-26 12:00")
    line.book(2, "2026-11-26 13:00")
    line.sync("2026-11-25 07:00")
    for _ in range(4):
        line.sync(HOUR)
    assert not line.calls
    return line


def hours(line: Line, count: int) -> list[str]:
    """Sync each hour; return to whom something was said."""
    before = len(line.calls)
    for _ in range(count):
        line.sync(HOUR)
    return [message.to for message in line.calls[before:]]


def reasons(line: Line) -> list[tuple[Any, ...]]:
    return line.query("SELECT step, state, reason FROM messages")


def test_an_hour_or_two_of_silence_keep_nobodys_reminder_back(hourly: Line) -> None:
    Desk.away = True
    assert hours(hourly, 2) == [P1, P2]


def test_what_fell_due_in_silence_leaves_once_it_is_read_again_but_not_of_a_cancelled_visit(
    hourly: Line,
) -> None:
    Desk.away = True
    hourly.sync("2026-11-25 15:00")
    assert hours(hourly, 2) == []
    assert {row[1:] for row in reasons(hourly)} == {("planned", "source_stale")}
    hourly.cancel(2)
    Desk.away = False
    hours(hourly, 3)
    said = {(message.kind, message.to) for message in hourly.calls}
    assert said == {("reminder", P1), ("cancellation", P2)}
    assert len(hourly.calls) == 2
    reminders = hourly.query("SELECT state, reason FROM messages WHERE kind = 'reminder'")
    assert reminders == [("sent", None), ("skipped", "cancelled")]


def test_what_can_wait_no_longer_says_that_its_source_was_silent(hourly: Line) -> None:
    hourly.sync("2026-11-25 13:30")
    assert len(hourly.calls) == 2
    Desk.away = True
    hourly.sync("2026-11-26 11:05")
    hourly.sync("2026-11-26 12:05")
    hourly.sync("2026-11-26 13:30")
    ended = [row for row in reasons(hourly) if row[0] == "1h"]
    assert ended == [("1h", "skipped", "source_stale")] * 2


def test_news_are_told_while_their_source_is_silent(hourly: Line) -> None:
    hourly.book(5, "2026-12-09 10:00")
    hourly.set(quiet_hours={"from": "11:30", "to": "16:00"})
    assert hours(hourly, 1) == []
    Desk.away = True
    hourly.sync("2026-11-25 16:30")
    assert [message.kind for message in hourly.calls] == ["confirmation"]


def test_what_is_read_in_part_did_speak(hourly: Line) -> None:
    Desk.whole = False
    assert sorted(hours(hourly, 6)) == [P1, P2]


def test_a_source_read_once_a_day_is_not_silent_all_day(hourly: Line) -> None:
    for _ in range(5):
        hourly.sync(timedelta(days=1))
    hourly.now += timedelta(hours=23)
    assert hourly.at_work(overdue) == frozenset()


def test_an_inbox_that_nobody_fills_is_silent_only_by_a_limit_of_the_clinics_own(
    house: Callable[..., Line],
) -> None:
    line = house()
    line.book_many(3)
    for _ in range(3):
        line.drop()
        line.sync(HOUR)
    line.now += timedelta(hours=8)
    assert line.at_work(overdue) == frozenset()
    inbox = line.settings["sources"]["reception"]
    line.set(sources={"reception": {**inbox, "stale_after": "6h"}})
    assert line.at_work(overdue) == {"reception"}


def test_why_plan_and_coverage_tell_it(hourly: Line) -> None:
    Desk.away = True
    hourly.sync("2026-11-25 15:00")
    why = hourly.at_work(lambda at_work: stories(at_work, [1]))
    assert "waits until ehr is read again" in why[0].answer
    plan = hourly.at_work(
        lambda at_work: foresee(at_work, until=at_work.now + 8 * HOUR), scratch=True
    )
    assert {one["reason"] for one in plan.unsaid} == {"source_stale"}
    assert plan.messages == []

    def open_tomorrow(at_work: Any) -> int:
        with at_work.store.read() as connection:
            day = tomorrow(at_work, connection).coverage
        return day.visits - day.covered - day.explained

    assert hourly.at_work(open_tomorrow) == 2
    Desk.away = False
    hourly.sync()
    assert hourly.at_work(open_tomorrow) == 0


def test_send_alone_waits_as_well(hourly: Line) -> None:
    hourly._pass("2026-11-25 15:00")
    hourly.at_work(once.send)
    assert not hourly.calls
    hourly.sync()
    assert len(hourly.calls) == 2
