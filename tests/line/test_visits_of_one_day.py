"""Several visits of one person on one day share a reminder."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.contracts import Absent, CannotTell, Found, Outcome, Proof, SendResult
from notifiers.outbox import Outbox
from sync.explain import stories
from sync.foresee import foresee
from sync.health import health
from sync.searching import search

if TYPE_CHECKING:
    from tests.line.conftest import Line

PHONE = {"patient_id": "P1", "mobile": "+4915155550001", "email": "p1@mail.example"}
STEPS = {"patient": {"steps": ["1d", "1h"]}}


def begin(line: Line, *hours: str, **cells: str) -> None:
    """Book one patient's visits of Wednesday, a day and more ahead."""
    line.set(channels={"order": ["sms"]}, reminders=STEPS)
    for number, hour in enumerate(hours, 1):
        line.book(number, f"2026-11-25 {hour}", **{**PHONE, **cells})
    line.drop()
    line.sync("2026-11-23 09:00")


def ledger(line: Line, step: str = "1d") -> list[tuple[Any, ...]]:
    return line.query(
        "SELECT a.source_key, m.state, m.reason FROM messages m JOIN appointments a "
        f"ON a.id = m.appointment WHERE m.step = '{step}' ORDER BY a.source_key"
    )


MAIL_FIRST = {"patient": {"confirmation": {"channels": ["email"]}, "steps": ["1d", "1h"]}}


def texts(line: Line) -> list[str]:
    return [sent.text for sent in line.outbox()]


def test_the_first_that_is_due_tells_of_the_others(line: Line) -> None:
    begin(line, "10:00", "11:30", "16:00")
    line.sync("2026-11-24 10:01")
    (text,) = texts(line)
    assert "10:00" in text
    assert "Am selben Tag auch: 11:30 und 16:00." in text
    together = ("skipped", "told_together")
    assert ledger(line) == [("1", "sent", None), ("2", *together), ("3", *together)]
    for when in ("2026-11-24 11:31", "2026-11-24 16:01", "2026-11-24 18:00"):
        line.sync(when)
    assert len(texts(line)) == 1


def test_an_hour_ahead_only_what_begins_within_the_hour_is_told(line: Line) -> None:
    begin(line, "10:00", "10:40", "16:00")
    line.sync("2026-11-24 10:01")
    line.sync("2026-11-25 09:01")
    assert "Am selben Tag auch: 10:40." in texts(line)[1]
    assert [row[1:] for row in ledger(line, "1h")] == [("sent", None), ("skipped", "told_together")]
    line.sync("2026-11-25 15:01")
    assert len(texts(line)) == 3
    assert "16:00" in texts(line)[2]


def test_another_place_another_person_and_a_video_visit_are_told_by_themselves(line: Line) -> None:
    begin(line, "10:00")
    line.book(2, "2026-11-25 11:00", **PHONE, location="The other house")
    line.book(3, "2026-11-25 12:00", **{**PHONE, "patient_id": "P2"})
    line.book(4, "2026-11-25 13:00", **PHONE, modality="video")
    line.book(5, "2026-11-26 10:00", **PHONE)
    line.drop()
    line.sync("2026-11-23 09:05")
    line.sync("2026-11-24 13:01")
    assert [row[1] for row in ledger(line)] == ["sent"] * 4
    assert not any("selben Tag" in text for text in texts(line))


def test_who_was_told_of_a_visit_that_way_is_told_of_its_cancellation(line: Line) -> None:
    begin(line, "10:00", "15:00")
    line.sync("2026-11-24 10:01")
    line.change(2, status="cancelled")
    line.drop()
    line.sync("2026-11-24 11:00")
    assert "15:00" in texts(line)[1]
    assert line.query("SELECT state FROM messages WHERE kind = 'cancellation'") == [("sent",)]


def test_a_visit_that_was_cancelled_meanwhile_is_not_told_of(line: Line) -> None:
    begin(line, "10:00", "15:00")
    line.change(2, status="cancelled")
    line.drop()
    line.sync("2026-11-24 10:01")
    assert not any("selben Tag" in text for text in texts(line))


def test_what_moves_after_it_was_told_is_a_change(line: Line) -> None:
    begin(line, "10:00", "15:00")
    line.sync("2026-11-24 10:01")
    line.change(2, start="2026-11-25 17:00")
    line.drop()
    line.sync("2026-11-24 11:00")
    assert line.query("SELECT state FROM messages WHERE kind = 'change'") == [("sent",)]


def test_a_text_of_the_clinics_own_without_a_place_for_them_is_sent_for_each(line: Line) -> None:
    folder = line.folder / "templates"
    folder.mkdir(parents=True)
    (folder / "reminder.sms.de.j2").write_text("{{ clinic }}: {{ when }}")
    begin(line, "10:00", "11:30")
    line.sync("2026-11-24 11:31")
    assert [row[1] for row in ledger(line)] == ["sent", "sent"]


ANSWERS = {
    "refused": SendResult(Outcome.REJECTED, "content", code="7"),
    "not sent": SendResult(Outcome.NOT_SENT, "rate", retry_after=timedelta(minutes=2)),
    "unknown": SendResult(Outcome.UNKNOWN, "answer_lost", retry_after=timedelta(minutes=2)),
}


@pytest.mark.parametrize(
    ("answer", "proof", "states"),
    [
        # By itself, as the other was refused for good.
        ("refused", None, [("failed", "provider_rejected(7: content)"), ("sent", None)]),
        ("not sent", None, [("sent", None), ("skipped", "told_together")]),
        ("unknown", Found("42"), [("sent", None), ("skipped", "told_together")]),
        ("unknown", Absent(), [("sent", None), ("skipped", "told_together")]),
        ("unknown", CannotTell(), [("unproven", "unproven_not_repeated")] * 2),
    ],
)
def test_what_becomes_of_the_others_is_what_becomes_of_the_message(
    line: Line,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    proof: Proof | None,
    states: list[tuple[str, str | None]],
) -> None:
    answers, send = [ANSWERS[answer]], Outbox.send
    monkeypatch.setattr(Outbox, "send", lambda self, m: answers.pop() if answers else send(self, m))
    monkeypatch.setattr(Outbox, "lookup", lambda self, attempt: proof)
    begin(line, "10:00", "11:30")
    line.sync("2026-11-24 10:01")
    line.sync("2026-11-24 10:10")
    line.sync("2026-11-24 11:31")
    assert [row[1:] for row in ledger(line)] == states
    told = line.query("SELECT count(*) FROM told WHERE told_by IS NOT NULL AND kind = 'reminder'")
    reached = sum(state == "sent" or why == "told_together" for state, why in states)
    assert told == [(reached,)]


def test_who_may_have_read_of_a_visit_is_told_of_its_cancellation(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, send = [ANSWERS["unknown"]], Outbox.send
    monkeypatch.setattr(Outbox, "send", lambda self, m: answers.pop() if answers else send(self, m))
    monkeypatch.setattr(Outbox, "lookup", lambda self, attempt: CannotTell())
    line.set(channels={"order": ["sms"]}, reminders=STEPS)
    line.drop()
    line.sync("2026-11-23 09:00")
    begin(line, "10:00", "15:00")  # booked since, and confirmed to nobody
    line.sync("2026-11-24 10:01")
    line.sync("2026-11-24 10:10")
    line.change(2, status="cancelled")
    line.drop()
    line.sync("2026-11-24 11:00")
    assert line.query("SELECT state FROM messages WHERE kind = 'cancellation'") == [("sent",)]


def test_why_says_with_which_visit_it_was_told(line: Line) -> None:
    begin(line, "10:00", "11:30")
    line.sync("2026-11-24 10:01")
    (story,) = line.at_work(lambda at_work: stories(at_work, search(at_work, "reception/2")))
    (told,) = [one for one in story.history if one.reason == "told_together"]
    assert told.detail == "with reception/1"
    assert "with that of another visit" in story.answer


def test_the_reminder_that_named_a_visit_is_what_its_patient_was_told_last(line: Line) -> None:
    line.set(channels={"order": ["sms", "email"]}, reminders=MAIL_FIRST)
    line.book(9, "2026-12-24 10:00", patient_id="P9")
    line.drop()
    line.sync("2026-11-23 09:00")
    for number, hour in enumerate(("10:00", "11:30"), 1):
        line.book(number, f"2026-11-25 {hour}", **PHONE)
    line.drop()
    line.sync("2026-11-23 09:30")
    line.sync("2026-11-24 10:01")
    (second,) = answers(line, "2")
    assert "was told by SMS on Tue 24 Nov 10:01 (reminder 1d, with that of" in second
    assert "reception/1). The next reminder (1h)" in second
    line.sync("2026-11-25 10:31")
    assert "was told by SMS on Wed 25 Nov 10:31 (reminder 1h)" in answers(line, "2")[0]


def test_plan_foretells_one_message(line: Line) -> None:
    begin(line, "10:00", "11:30")
    foreseen = line.at_work(
        lambda at_work: foresee(at_work, until=at_work.now + timedelta(hours=34)), scratch=True
    )
    assert [one["appointment"] for one in foreseen.messages] == ["reception/1"]
    assert [one["reason"] for one in foreseen.unsaid] == ["told_together"]


def test_why_says_of_none_that_it_left_before_it_did(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Outbox, "send", lambda self, message: ANSWERS["unknown"])
    monkeypatch.setattr(Outbox, "lookup", lambda self, attempt: CannotTell())
    begin(line, "10:00", "15:00")
    line.sync("2026-11-24 10:01")
    (story,) = line.at_work(lambda at_work: stories(at_work, search(at_work, "reception/2")))
    assert "is on its way with that of another visit (reception/1)" in story.answer
    assert "next reminder (1d)" not in story.answer


def test_why_says_that_a_reminder_may_leave_with_another(line: Line) -> None:
    line.book(99, "2026-11-25 10:00")
    begin(line, "10:00", "11:30")
    story, alone = line.at_work(
        lambda at_work: [
            *stories(at_work, search(at_work, "reception/2")),
            *stories(at_work, search(at_work, "reception/99")),
        ]
    )
    assert "or with that of another visit of that day (reception/1)" in story.answer
    assert "another visit" not in alone.answer


def answers(line: Line, *keys: str) -> list[str]:
    return line.at_work(
        lambda at_work: [
            stories(at_work, search(at_work, f"reception/{key}"))[0].answer for key in keys
        ]
    )


def test_why_names_no_visit_with_which_a_reminder_cannot_leave(line: Line) -> None:
    begin(line, "10:00")
    line.book(2, "2026-11-25 11:00", **PHONE, location="The other house")
    line.book(3, "2026-11-25 13:00", **PHONE, modality="video")
    line.book(4, "2026-11-25 14:00", **{**PHONE, "mobile": "+4915155550009"})
    line.drop()
    line.sync("2026-11-23 09:05")
    assert not [one for one in answers(line, "1", "2", "3", "4") if "another visit" in one]


def test_why_promises_no_reminder_of_an_hour_ahead_with_that_of_the_morning(line: Line) -> None:
    begin(line, "10:00", "10:40", "16:00")
    line.sync("2026-11-24 10:01")
    first, second, third = answers(line, "1", "2", "3")
    assert "reminder (1h) leaves Wed 25 Nov 09:40" in second
    assert "or with that of another visit of that day (reception/1)" in second
    assert "reminder (1h) leaves Wed 25 Nov 15:00" in third
    assert "another visit of that day" not in first + third


def test_why_counts_on_no_visit_whose_own_reminder_has_left_already(line: Line) -> None:
    begin(line, "10:00")
    line.sync("2026-11-24 10:01")
    line.book(2, "2026-11-25 14:00", **PHONE)
    line.drop()
    line.sync("2026-11-24 10:05")
    assert "another visit" not in answers(line, "2")[0]


def test_plan_foretells_the_doctors_reminders_of_visits_that_are_told_together(line: Line) -> None:
    line.set(
        channels={"order": ["sms"]},
        reminders={"patient": {"steps": ["1d"]}, "doctor": {"steps": ["1d", "1h"]}},
    )
    begin_with = {**PHONE, "doctor_phone": "+4915155500009"}
    line.book(1, "2026-11-25 10:00", **begin_with)
    line.book(2, "2026-11-25 18:00", **begin_with)
    line.drop()
    line.sync("2026-11-23 09:00")
    until = timedelta(days=2, hours=10)
    foreseen = line.at_work(
        lambda at_work: foresee(at_work, until=at_work.now + until), scratch=True
    )
    assert [
        (one["at"], one["step"], one["to"], one["appointment"]) for one in foreseen.messages
    ] == [
        ("2026-11-24T09:00:00Z", "1d", "patient", "reception/1"),
        ("2026-11-24T09:00:00Z", "1d", "doctor", "reception/1"),
        ("2026-11-24T17:00:00Z", "1d", "doctor", "reception/2"),
        ("2026-11-25T08:00:00Z", "1h", "doctor", "reception/1"),
        ("2026-11-25T16:00:00Z", "1h", "doctor", "reception/2"),
    ]


def test_tomorrow_counts_both_as_covered(line: Line) -> None:
    begin(line, "10:00", "11:30")
    line.sync("2026-11-24 10:01")
    found = line.at_work(health).tomorrow
    assert (found.visits, found.covered) == (2, 2)


def test_those_that_are_due_at_the_same_time_are_one_message_too(line: Line) -> None:
    begin(line, "10:00", "11:30", "11:45")
    line.sync("2026-11-24 12:00")
    assert len(texts(line)) == 1
    assert [row[1] for row in ledger(line)] == ["sent", "skipped", "skipped"]
    line.sync("2026-11-24 13:00")
    assert len(texts(line)) == 1
