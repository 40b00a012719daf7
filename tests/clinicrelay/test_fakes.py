"""The fakes that the tests of sync lean on do what they say."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from clinicrelay import (
    Absent,
    Attempt,
    CannotTell,
    Channel,
    EventWrite,
    Found,
    Message,
    Outcome,
    TryLater,
)
from clinicrelay.testing import NOW, WINDOW, FakeCalendar, FakeConnector, FakeNotifier

MESSAGE = Message(id="a1", channel=Channel.SMS, to="+12025550143", text="x", language="en")
ATTEMPT = Attempt(MESSAGE, begun_at=NOW, at=NOW)


def put(ref: str) -> EventWrite:
    return EventWrite(ref, put=True, start=datetime(2026, 12, 1, tzinfo=UTC))


def test_a_source_lists_its_rows_in_pages_and_completes_the_last() -> None:
    source = FakeConnector([{"appointment_id": n} for n in range(5)], page_size=2)
    pages = list(source.pull(None, WINDOW))
    assert [len(p.records) for p in pages] == [2, 2, 1]
    assert [(p.last, p.complete) for p in pages] == [(False, False)] * 2 + [(True, True)]
    assert [r.key for p in pages for r in p.records] == ["0", "1", "2", "3", "4"]


def test_an_empty_source_is_a_complete_read_of_nothing() -> None:
    (page,) = FakeConnector().pull(None, WINDOW)
    assert (page.last, page.complete, list(page.records)) == (True, True, [])


def test_a_source_fails_where_it_was_told_to() -> None:
    source = FakeConnector([{"appointment_id": n} for n in range(5)], page_size=2)
    source.error, source.fails_after = TryLater("away"), 1
    pages = source.pull(None, WINDOW)
    assert next(pages).records
    with pytest.raises(TryLater):
        next(pages)


def test_a_calendar_keeps_what_it_accepted() -> None:
    calendar = FakeCalendar(faults=[Outcome.UNKNOWN, Outcome.AGAIN])
    results = list(calendar.apply("acar", [put("r1"), put("r2"), put("r3")]))
    assert [r.outcome for r in results] == [Outcome.UNKNOWN, Outcome.AGAIN, Outcome.ACCEPTED]
    assert list(calendar.events["acar"]) == ["r3"]
    list(calendar.apply("acar", [EventWrite("r3", put=False)]))
    assert not calendar.events["acar"]


def test_a_broken_calendar_leaves_the_others_alone() -> None:
    calendar = FakeCalendar()
    calendar.broken["acar"] = "not_shared"
    (bad,) = calendar.apply("acar", [put("r1")])
    (good,) = calendar.apply("braun", [put("r1")])
    assert (bad.outcome, bad.reason) == (Outcome.NOT_SENT, "not_shared")
    assert good.outcome is Outcome.ACCEPTED


def test_a_notifier_answers_as_written_down_and_then_accepts() -> None:
    notifier = FakeNotifier([Outcome.NOT_SENT, ValueError("a bug")])
    assert notifier.send(MESSAGE).outcome is Outcome.NOT_SENT
    with pytest.raises(ValueError, match="bug"):
        notifier.send(MESSAGE)
    assert notifier.send(MESSAGE).outcome is Outcome.ACCEPTED
    assert notifier.sent == [MESSAGE]
    assert len(notifier.attempts) == 3
    assert notifier.lookup(ATTEMPT) == Found("a1")


def test_a_lost_answer_may_have_arrived_or_not() -> None:
    lost = FakeNotifier([Outcome.UNKNOWN])
    assert lost.send(MESSAGE).outcome is Outcome.UNKNOWN
    assert (lost.sent, lost.lookup(ATTEMPT)) == ([], Absent())
    arrived = FakeNotifier([Outcome.UNKNOWN], arrives_unknown=True)
    arrived.send(MESSAGE)
    assert arrived.sent == [MESSAGE]
    assert arrived.lookup(ATTEMPT) == Found("a1")
    assert FakeNotifier(lookups=[CannotTell()]).lookup(ATTEMPT) == CannotTell()
