"""What a provider refuses takes the next way to the person, and what it says of an address is kept."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.contracts import CannotTell, Message, Outcome, Proof, SendResult
from clinicrelay.model import Channel
from notifiers.outbox import Outbox
from sync import trial
from sync.explain import stories
from sync.report import RunReport
from sync.runners import once
from sync.searching import search

if TYPE_CHECKING:
    from tests.line.conftest import Line

REFUSED = Outcome.REJECTED
STEPS = {"patient": {"steps": ["1d", "1h"]}}
Answer = Callable[[str, Message], SendResult | None]


class Desk:
    """Three notifiers that keep what they accept, and answer as a test wants."""

    def __init__(self) -> None:
        self.tried: list[tuple[str, str]] = []
        self.answer: Answer = lambda name, message: None
        self.proof: Proof = CannotTell()

    def ways(self) -> list[tuple[str, str]]:
        """Return what was tried since the last look, by notifier and channel."""
        tried, self.tried = self.tried, []
        return tried


@pytest.fixture
def desk(line: Line, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A clinic that sends SMS by one of two notifiers, and mails by a third."""
    desk, send = Desk(), Outbox.send

    def sending(self: Outbox, message: Message) -> SendResult:
        desk.tried.append((self.kit.name, message.channel.value))
        return desk.answer(self.kit.name, message) or send(self, message)

    monkeypatch.setattr(Outbox, "send", sending)
    monkeypatch.setattr(Outbox, "lookup", lambda self, attempt: desk.proof)
    line.set(
        notifiers={
            name: {"type": "outbox", "folder": f"out/{name}"} for name in ("one", "two", "mail")
        },
        channels={"order": ["sms", "email"], "sms": ["one", "two"], "email": ["mail"]},
        reminders=STEPS,
    )
    line.book(1, "2026-11-25 12:00")
    line.drop()
    run(line, "2026-11-23 09:00")
    return desk


def run(line: Line, when: str | timedelta = timedelta(minutes=5)) -> RunReport:
    """Run `sync`, whatever folder its messages go to."""
    line._pass(when)
    return line.at_work(once.sync)


def refusing(reason: str, *names: str) -> Answer:
    return lambda name, message: SendResult(REFUSED, reason, code="7") if name in names else None


def ledger(line: Line) -> list[tuple[Any, ...]]:
    """Return step, state, reason, channel and notifier of what was due."""
    return line.query("SELECT step, state, reason, channel, notifier FROM messages")


def test_what_is_no_fault_of_the_number_takes_the_next_notifier(line: Line, desk: Desk) -> None:
    desk.answer = refusing("region_off", "one")
    run(line, "2026-11-24 12:01")
    assert desk.ways() == [("one", "sms"), ("two", "sms")]
    assert ledger(line) == [("1d", "sent", None, "sms", "two")]
    ids = line.query("SELECT state, notifier FROM attempts")
    assert ids == [("accepted", "two"), ("rejected", "one")]  # each with an id of its own


def test_a_number_that_gets_no_sms_takes_the_next_channel_now_and_from_then_on(
    line: Line, desk: Desk
) -> None:
    desk.answer = refusing("landline", "one", "two")
    run(line, "2026-11-24 12:01")
    assert desk.ways() == [("one", "sms"), ("mail", "email")]
    desk.answer = lambda name, message: None
    run(line, "2026-11-25 11:01")
    assert desk.ways() == [("mail", "email")]


def test_who_has_opted_out_is_not_asked_again_by_anything(line: Line, desk: Desk) -> None:
    line.set(channels={"order": ["sms"], "sms": ["one", "two"]})
    desk.answer = refusing("opted_out", "one")
    run(line, "2026-11-24 12:01")
    assert desk.ways() == [("one", "sms")]
    assert ledger(line) == [("1d", "failed", "provider_rejected(7: opted_out)", "sms", "one")]
    run(line, "2026-11-25 11:01")
    assert desk.ways() == []
    assert ("1h", "skipped", "stop_received", None, None) in ledger(line)


def test_what_was_learned_goes_by_the_address_and_not_by_the_person(line: Line, desk: Desk) -> None:
    desk.answer = refusing("address_refused", "one")
    run(line, "2026-11-24 12:01")
    desk.ways()
    line.change(1, mobile="+4915155509999")
    line.drop()
    desk.answer = lambda name, message: None
    run(line, "2026-11-25 11:01")
    assert desk.ways() == [("one", "sms")]


def test_where_no_way_is_left_the_message_has_failed_for_what_was_said_last(
    line: Line, desk: Desk
) -> None:
    desk.answer = refusing("refused", "one", "two", "mail")
    report = run(line, "2026-11-24 12:01")
    assert desk.ways() == [("one", "sms"), ("two", "sms"), ("mail", "email")]
    assert report.messages.failed == 1
    assert ledger(line) == [("1d", "failed", "provider_rejected(7: refused)", "email", "mail")]
    assert run(line).messages.failed == 0


def test_a_notifier_that_is_out_of_use_hands_over_to_the_next_of_its_channel(
    line: Line, desk: Desk
) -> None:
    desk.answer = down("one")
    run(line, "2026-11-24 12:01")
    assert desk.ways() == [("one", "sms"), ("two", "sms")]
    assert ledger(line) == [("1d", "sent", None, "sms", "two")]


def test_a_channel_that_is_out_of_use_is_waited_for_before_another_is_used(
    line: Line, desk: Desk
) -> None:
    desk.answer = down("one", "two")
    run(line, "2026-11-24 12:01")
    for _ in range(23):
        run(line, timedelta(minutes=5))  # till 13:56: less than two hours
    assert not {name for name, _ in desk.ways()} - {"one", "two"}
    run(line, "2026-11-24 14:02")
    assert ("mail", "email") in desk.ways()
    assert ledger(line) == [("1d", "sent", None, "email", "mail")]


def test_an_hour_before_the_visit_ten_minutes_are_waited(line: Line, desk: Desk) -> None:
    run(line, "2026-11-24 12:01")
    desk.ways()
    desk.answer = down("one", "two")
    run(line, "2026-11-25 11:01")
    run(line, "2026-11-25 11:09")
    assert "mail" not in {name for name, _ in desk.ways()}
    run(line, "2026-11-25 11:11")
    assert ("mail", "email") in desk.ways()


def test_only_the_last_reminder_takes_another_channel_where_nobody_can_say_whether_it_came(
    line: Line, desk: Desk
) -> None:
    desk.answer = lambda name, message: (
        SendResult(Outcome.UNKNOWN, "answer_lost") if message.channel is Channel.SMS else None
    )
    run(line, "2026-11-24 12:01")
    run(line, "2026-11-24 12:10")
    assert desk.ways() == [("one", "sms")]
    assert [row[:3] for row in ledger(line)] == [("1d", "unproven", "unproven_not_repeated")]
    run(line, "2026-11-25 11:01")
    report = run(line, "2026-11-25 11:10")
    assert desk.ways() == [("one", "sms"), ("mail", "email")]
    assert not report.needs  # the mail tells what nobody knows of the SMS
    assert ("1h", "sent", None, "email", "mail") in ledger(line)


def test_a_last_reminder_without_another_channel_stays_unproven(line: Line, desk: Desk) -> None:
    line.set(channels={"order": ["sms"], "sms": ["one"]})
    run(line, "2026-11-24 12:01")
    desk.answer = lambda name, message: SendResult(Outcome.UNKNOWN, "answer_lost")
    run(line, "2026-11-25 11:01")
    report = run(line, "2026-11-25 11:10")
    assert [need.what for need in report.needs if "nobody can find out" in need.what]
    assert ("1h", "unproven", "unproven_not_repeated", "sms", "one") in ledger(line)


def test_one_of_which_nobody_knows_in_the_night_is_unproven_and_not_merely_late(
    line: Line, desk: Desk
) -> None:
    line.set(quiet_hours={"start": "21:00", "end": "08:00"})
    line.book(1, "2026-11-25 07:30")
    line.drop()
    run(line)
    desk.ways()
    desk.answer = lambda name, message: SendResult(Outcome.UNKNOWN, "answer_lost")
    run(line, "2026-11-24 20:55")
    report = run(line, "2026-11-24 21:05")
    assert desk.ways() == [("one", "sms")]
    assert [row[:3] for row in ledger(line)][-1] == ("1h", "unproven", "unproven_not_repeated")
    assert [need.what for need in report.needs if "nobody can find out" in need.what]


def test_who_is_refused_like_everybody_else_keeps_a_good_name(line: Line, desk: Desk) -> None:
    for n in range(2, 6):
        line.book(n, "2026-11-25 12:00")
    line.drop()
    run(line)
    desk.answer = refusing("address_refused", "mail")
    line.set(channels={"order": ["email"], "email": ["mail"]})
    run(line, "2026-11-24 12:01")
    assert line.query("SELECT * FROM contacts") == []


def down(*names: str) -> Answer:
    """Answer as a provider that cannot be reached, for a minute at a time."""

    def answer(name: str, message: Message) -> SendResult | None:
        if name not in names:
            return None
        minute = timedelta(minutes=1)
        return SendResult(Outcome.NOT_SENT, "unreachable", retry_after=minute, pause=minute)

    return answer


def life(line: Line, key: int = 1) -> list[tuple[Any, ...]]:
    """Return what `why` tells of a visit's reminders: what, why, and by which way."""
    (told,) = line.at_work(lambda at_work: stories(at_work, search(at_work, f"reception/{key}")))
    return [(one.what, one.reason, one.detail) for one in told.history if "reminder" in one.what]


def test_why_tells_each_way_that_was_tried_in_vain(line: Line, desk: Desk) -> None:
    desk.answer = refusing("landline", "one", "two")
    run(line, "2026-11-24 12:01")
    assert life(line) == [
        ("reminder 1d tried", "landline", "by one, rejected"),
        ("reminder 1d sent", None, "e-mail by mail, accepted"),
    ]


def test_whom_a_provider_refuses_for_themselves_costs_nobody_else_a_reminder(
    line: Line, desk: Desk
) -> None:
    line.set(channels={"order": ["sms"], "sms": ["one"]})
    for key in range(2, 8):
        line.book(key, "2026-11-25 12:00")
    line.drop()
    run(line, "2026-11-23 10:00")
    closed = {f"+49151555{key:0>5}" for key in range(1, 5)}
    desk.answer = lambda name, message: (
        SendResult(REFUSED, "landline", code="21614") if message.to in closed else None
    )
    run(line, "2026-11-24 12:01")
    assert sorted(state for _, state, *_ in ledger(line)) == ["failed"] * 4 + ["sent"] * 3
    assert len(line.query("SELECT address FROM contacts WHERE state = 'closed'")) == 4


def locked_out(line: Line, desk: Desk) -> None:
    """Let two reminders fall due while the only notifier's login is refused."""
    refused = SendResult(
        Outcome.NOT_SENT, "credentials_refused", pause=timedelta(minutes=15), code="401"
    )
    line.set(channels={"order": ["sms"], "sms": ["one"]})
    line.book(2, "2026-11-25 12:00")
    line.drop()
    run(line, "2026-11-23 10:00")
    desk.answer = lambda name, message: refused
    run(line, "2026-11-24 12:01")


def test_what_waited_for_its_server_too_long_says_so(line: Line, desk: Desk) -> None:
    locked_out(line, desk)
    run(line, "2026-11-25 08:59")
    run(line, "2026-11-25 10:00")
    reasons = {reason for step, _, reason, *_ in ledger(line) if step == "1d"}
    assert reasons == {"credentials_refused"}


def test_what_waits_for_a_password_leaves_once_a_trial_has_shown_that_it_works(
    line: Line, desk: Desk
) -> None:
    locked_out(line, desk)
    desk.answer = lambda name, message: None
    run(line, "2026-11-24 12:02")
    assert {state for _, state, *_ in ledger(line)} == {"planned"}
    line.at_work(
        lambda at_work: trial.message(
            at_work, "one", "+4915155500099", channel=Channel.SMS, language=None
        )
    )
    run(line, "2026-11-24 12:03")
    assert {state for _, state, *_ in ledger(line)} == {"sent"}
