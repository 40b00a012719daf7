"""A confirmation that reaches nobody leaves people who know of their visit: they arranged it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.line.conftest import Line

PHONE = "+4915155500002"


@pytest.fixture
def line_read(line: Line) -> Line:
    line.book_many(12)
    assert line.after() == []
    return line


@pytest.fixture
def unreached(line_read: Line) -> Line:
    """Confirmations go by mail; visit 2 was arranged by telephone, by somebody without one."""
    line_read.book(2, "2026-12-09 09:00", email="")
    assert line_read.after() == []
    return line_read


def test_a_move_is_news_to_them(unreached: Line) -> None:
    unreached.change(2, start="2026-12-10 11:00")
    assert unreached.after() == [("change", PHONE)]
    assert unreached.quietly() == []


def test_a_cancellation_is_news_to_them(unreached: Line) -> None:
    unreached.cancel(2)
    assert unreached.after() == [("cancellation", PHONE)]


def test_they_are_confirmed_after_all_once_there_is_an_address(unreached: Line) -> None:
    unreached.change(2, email="p2@mail.example")
    assert unreached.after() == [("confirmation", "p2@mail.example")]
    assert unreached.after() == []


def test_they_are_reminded_as_everybody_is(unreached: Line) -> None:
    assert ("reminder", PHONE) in unreached.after("2026-12-06 09:30")


@pytest.mark.parametrize("steps", [["3d", "1d"], []])
def test_without_confirmations_whoever_booked_knows(line_read: Line, steps: list[str]) -> None:
    line_read.set(reminders={"patient": {"steps": steps}})
    line_read.book(2, "2026-12-09 09:00")
    line_read.book(3, "2026-12-09 10:00")
    assert line_read.after() == []
    line_read.change(2, start="2026-12-10 11:00")
    line_read.cancel(3)
    assert line_read.after() == [("cancellation", "+4915155500003"), ("change", PHONE)]
    assert line_read.after() == []


def test_without_confirmations_what_was_only_asked_for_is_known_once_it_is_booked(
    line_read: Line,
) -> None:
    line_read.set(reminders={"patient": {"steps": ["3d"]}})
    line_read.book(2, "2026-12-09 09:00", status="requested")
    assert line_read.after() == []
    line_read.change(2, status="scheduled")
    assert line_read.after() == []
    line_read.cancel(2)
    assert line_read.after() == [("cancellation", PHONE)]


def test_a_confirmation_that_still_waits_for_the_morning_speaks_of_the_visit_as_it_is_then(
    line_read: Line,
) -> None:
    line_read.book(2, "2026-12-09 09:00")
    assert line_read.after("2026-11-23 22:00") == []
    line_read.change(2, start="2026-12-10 11:00")
    assert line_read.after("2026-11-23 23:00") == []
    assert line_read.quietly("2026-11-24 08:00") == [("confirmation", "p2@mail.example")]


def test_news_that_reach_nobody_ask_for_a_call(unreached: Line) -> None:
    unreached.change(2, mobile="")
    assert unreached.after() == []
    unreached.cancel(2)
    unreached.drop()
    report = unreached.sync()
    assert (report.exit, report.messages.failed) == (3, 1)
    (need,) = report.needs
    assert (need.what, need.command) == (
        "1 message reached nobody",
        "clinicrelay messages list --state failed",
    )
    assert unreached.query("SELECT kind, state, reason FROM messages WHERE state = 'failed'") == [
        ("cancellation", "failed", "no_contact")
    ]


def test_news_leave_after_all_once_there_is_a_number(unreached: Line) -> None:
    unreached.change(2, mobile="")
    unreached.after()
    unreached.change(2, start="2026-12-10 11:00")
    assert unreached.after() == []
    unreached.change(2, mobile=PHONE)
    assert unreached.after() == [("change", PHONE)]
