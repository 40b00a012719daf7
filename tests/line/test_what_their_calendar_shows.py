"""Whoever was sent an invitation has it moved and withdrawn, by whatever way the news reaches them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import icalendar
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.line.conftest import Line


@pytest.fixture
def booked(line: Line) -> Line:
    """A clinic that told visit 2 by mail, with an invitation; news go by SMS first."""
    line.book_many(12)
    assert line.after() == []
    line.book(2, "2026-12-09 09:00")
    assert line.after() == [("confirmation", "p2@mail.example")]
    return line


def invitations(line: Line) -> Iterator[tuple[str, int, str]]:
    """Yield method, sequence and start of each invitation, in their order."""
    for message in line.calls:
        for part in message.attachments:
            calendar = icalendar.Calendar.from_ical(part.content)
            (event,) = calendar.walk("VEVENT")
            start = f"{event['DTSTART'].dt:%d %H:%M}"
            yield str(calendar["METHOD"]), int(event["SEQUENCE"]), start


def test_news_by_sms_are_followed_by_a_mail_that_brings_the_calendar_up_to_date(
    booked: Line,
) -> None:
    booked.change(2, start="2026-12-10 11:00")
    assert booked.after() == [("change", "+4915155500002"), ("change", "p2@mail.example")]
    assert booked.quietly() == []
    booked.cancel(2)
    assert booked.after() == [
        ("cancellation", "+4915155500002"),
        ("cancellation", "p2@mail.example"),
    ]
    assert booked.quietly() == []
    methods, sequences, starts = zip(*invitations(booked), strict=True)
    assert methods == ("REQUEST", "REQUEST", "CANCEL")
    assert list(sequences) == sorted(set(sequences))
    assert starts == ("09 08:00", "10 10:00", "10 10:00")  # UTC


def test_who_has_no_invitation_gets_no_mail_for_the_calendars_sake(line: Line) -> None:
    line.book(2, "2026-12-09 09:00")
    line.book_many(12)
    assert line.after() == []
    line.change(2, start="2026-12-10 11:00")
    assert line.after() == [("change", "+4915155500002")]


def test_a_mailbox_that_is_gone_by_then_is_nothing_to_telephone_for(booked: Line) -> None:
    booked.change(2, start="2026-12-10 11:00", email="")
    assert booked.after() == [("change", "+4915155500002")]
    report = booked.sync()
    assert report.exit == 0
