"""A visit that was missing or off for a moment, and of which nobody heard that, keeps its reminders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.line.conftest import Line

PHONE = "+4915155500002"


@pytest.fixture
def booked(line: Line) -> Line:
    """A clinic with one reminder a day ahead; visit 2 was confirmed on Monday."""
    line.set(
        reminders={
            "patient": {
                "confirmation": {"channels": ["sms"]},
                "steps": ["1d"],
                "on_cancel": False,
            }
        }
    )
    line.book_many(12)
    assert line.after() == []
    line.book(2, "2026-11-27 10:00")
    assert line.after("2026-11-23 09:30") == [("confirmation", PHONE)]
    return line


@pytest.mark.parametrize("off", ["missing", "cancelled", "arrived", "no-show"])
def test_who_was_off_while_the_reminder_fell_due_is_reminded_when_back(
    booked: Line, off: str
) -> None:
    row = booked.rows["2"]
    if off == "missing":
        del booked.rows["2"]
    else:
        booked.change(2, status=off)
    assert booked.after("2026-11-26 09:30") == []
    assert booked.quietly("2026-11-26 10:05") == []
    booked.rows["2"] = row
    assert booked.after("2026-11-26 10:30") == [("reminder", PHONE)]
    assert booked.after() == []


def test_who_heard_of_the_move_is_not_reminded_of_a_step_before_it(booked: Line) -> None:
    booked.change(2, start="2026-11-28 10:00")
    assert booked.after("2026-11-26 12:00") == [("change", PHONE)]
    assert booked.quietly("2026-11-27 10:00") == [("reminder", PHONE)]


@pytest.mark.parametrize("mobile", ["", "+4930123456"])
def test_a_reminder_that_had_no_number_leaves_once_there_is_one(booked: Line, mobile: str) -> None:
    booked.change(2, mobile=mobile, email="")
    booked.after("2026-11-25 12:00")
    assert booked.quietly("2026-11-26 10:05") == []
    booked.change(2, mobile=PHONE)
    assert booked.after("2026-11-26 10:30") == [("reminder", PHONE)]
    assert booked.after() == []
    told = "SELECT setting FROM messages WHERE kind = 'reminder' AND state = 'sent'"
    assert booked.query(told) == [("reminders.patient.steps[0]",)]
