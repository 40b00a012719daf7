"""What was accepted and did not arrive takes the next way; what a telephone has is left alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.contracts import Attempt, Delivery, Message, Outcome, Receipt, SendResult
from notifiers.outbox import Outbox
from sync.runners import once

if TYPE_CHECKING:
    from tests.line.conftest import Line

OFF = Receipt(Delivery.UNDELIVERED, reason="landline", code="30006")


class Carrier:
    """What became of each message that a notifier accepted, by the attempt's id."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.looks = 0
        self.says: Receipt | None = None


@pytest.fixture
def carrier(line: Line, monkeypatch: pytest.MonkeyPatch) -> Carrier:
    """A clinic whose SMS can be asked after, and whose mails cannot."""
    carrier = Carrier()

    def send(self: Outbox, message: Message) -> SendResult:
        carrier.sent.append((message.channel.value, message.to))
        return SendResult(Outcome.ACCEPTED, provider_id=f"SM{message.id}")

    def look_back(self: Outbox, attempts: Sequence[Attempt]) -> Iterator[Receipt]:
        carrier.looks += len(attempts)
        for one in attempts if carrier.says else ():
            assert carrier.says
            says = carrier.says
            yield Receipt(says.delivery, None, one.provider_id, None, says.reason, says.code)

    monkeypatch.setattr(Outbox, "send", send)
    monkeypatch.setattr(Outbox, "look_back", look_back)
    monkeypatch.setattr(Outbox, "receipts", property(lambda self: self.kit.name == "texts"))
    line.set(
        notifiers={name: {"type": "outbox", "folder": f"out/{name}"} for name in ("texts", "mail")},
        channels={"order": ["sms", "email"], "sms": ["texts"], "email": ["mail"]},
        reminders={"patient": {"steps": ["1d", "1h"]}},
    )
    line.book(1, "2026-11-25 12:00")
    line.drop()
    run(line, "2026-11-23 09:00")
    run(line, "2026-11-24 12:01")
    assert [channel for channel, _ in carrier.sent] == ["sms"]
    return carrier


def run(line: Line, when: str | timedelta) -> None:
    line._pass(when)
    line.at_work(once.sync)


def channels(carrier: Carrier) -> list[str]:
    return [channel for channel, _ in carrier.sent]


def ledger(line: Line) -> list[tuple[Any, ...]]:
    return line.query("SELECT step, state, reason, channel FROM messages")


def test_what_did_not_arrive_goes_by_the_next_channel_once_and_so_do_later_steps(
    line: Line, carrier: Carrier
) -> None:
    carrier.says = OFF
    for _ in range(4):
        run(line, timedelta(minutes=5))
    assert channels(carrier) == ["sms", "email"]
    assert ledger(line) == [("1d", "sent", None, "email")]
    run(line, "2026-11-25 11:01")
    assert channels(carrier) == ["sms", "email", "email"]


def test_what_arrived_is_asked_for_once_and_sent_once(line: Line, carrier: Carrier) -> None:
    carrier.says = Receipt(Delivery.DELIVERED)
    for _ in range(4):
        run(line, timedelta(minutes=5))
    assert (channels(carrier), carrier.looks) == (["sms"], 1)
    assert line.query("SELECT state, delivery FROM attempts") == [("accepted", "delivered")]


def test_who_says_nothing_is_asked_a_few_times_and_then_left_alone(
    line: Line, carrier: Carrier
) -> None:
    line.set(reminders={"patient": {"steps": ["1d"]}})
    for _ in range(60):
        run(line, timedelta(minutes=30))
    assert channels(carrier) == ["sms"]
    assert carrier.looks == 6  # at 30 minutes, 1, 2, 4, 12 and 24 hours


def test_without_another_channel_it_has_failed_with_the_carriers_reason(
    line: Line, carrier: Carrier
) -> None:
    line.set(channels={"order": ["sms"], "sms": ["texts"]})
    carrier.says = OFF
    run(line, timedelta(minutes=5))
    assert ledger(line) == [("1d", "failed", "undelivered(30006: landline)", "sms")]


def test_a_cancellation_that_did_not_arrive_goes_to_the_corrected_number_once(
    line: Line, carrier: Carrier
) -> None:
    line.set(channels={"order": ["sms"], "sms": ["texts"]})
    line.cancel(1)
    line.drop()
    run(line, timedelta(minutes=5))
    carrier.says = OFF
    run(line, timedelta(minutes=5))
    carrier.says = Receipt(Delivery.DELIVERED)
    line.change(1, mobile="+4915155509999")
    line.drop()
    for _ in range(3):
        run(line, timedelta(minutes=5))
    assert [to for _, to in carrier.sent[2:]] == ["+4915155509999"]
    assert ("cancellation", "sent") in line.query("SELECT kind, state FROM messages")


def test_what_is_known_too_late_has_failed_and_is_not_said_after_all(
    line: Line, carrier: Carrier
) -> None:
    line.set(reminders={"patient": {"steps": ["1d"]}})
    run(line, "2026-11-25 10:00")
    carrier.says = OFF
    run(line, "2026-11-25 12:30")
    assert channels(carrier) == ["sms"]
    assert ledger(line) == [("1d", "failed", "undelivered(30006: landline)", "sms")]


def test_a_visit_cancelled_meanwhile_is_not_reminded_of_by_another_channel(
    line: Line, carrier: Carrier
) -> None:
    carrier.says = OFF
    line.cancel(1)
    line.drop()
    run(line, timedelta(minutes=5))
    kinds = line.query("SELECT kind, state FROM messages")
    assert ("reminder", "skipped") in kinds
    assert ("cancellation", "sent") in kinds  # they may have read it all the same


def test_what_nobody_can_say_arrived_takes_the_next_channel_after_two_hours_once(
    line: Line, carrier: Carrier
) -> None:
    carrier.says = Receipt(Delivery.SENT)
    run(line, "2026-11-24 14:00")
    assert channels(carrier) == ["sms"]
    run(line, "2026-11-24 14:02")
    assert channels(carrier) == ["sms", "email"]
    for _ in range(4):
        run(line, timedelta(hours=1))
    assert channels(carrier) == ["sms", "email"]
    assert ("accepted", "") in (found := line.query("SELECT state, reason FROM attempts"))
    assert ("undelivered", "no_receipt") in found


def test_where_carriers_never_say_that_it_arrived_it_is_left_alone_if_settings_want_it(
    line: Line, carrier: Carrier
) -> None:
    notifiers = line.settings["notifiers"]
    line.set(notifiers={**notifiers, "texts": {**notifiers["texts"], "when_no_receipt": "nothing"}})
    carrier.says = Receipt(Delivery.SENT)
    for _ in range(3):
        run(line, timedelta(hours=1))
    assert channels(carrier) == ["sms"]
    assert ledger(line) == [("1d", "sent", None, "sms")]
    carrier.says = OFF  # what is known not to have arrived is another matter
    run(line, timedelta(hours=1))
    assert channels(carrier) == ["sms", "email"]


def test_what_arrives_just_before_that_stays_the_only_one(line: Line, carrier: Carrier) -> None:
    carrier.says = Receipt(Delivery.SENT)
    run(line, "2026-11-24 14:00")
    carrier.says = Receipt(Delivery.DELIVERED)
    run(line, "2026-11-24 14:02")
    carrier.says = Receipt(Delivery.SENT)
    run(line, "2026-11-24 17:00")
    assert channels(carrier) == ["sms"]


def test_an_hour_before_the_visit_it_is_waited_for_ten_minutes(
    line: Line, carrier: Carrier
) -> None:
    carrier.says = Receipt(Delivery.DELIVERED)
    run(line, "2026-11-25 11:00")
    carrier.says = Receipt(Delivery.SENT)
    run(line, "2026-11-25 11:09")
    assert channels(carrier) == ["sms", "sms"]
    run(line, "2026-11-25 11:10")
    assert channels(carrier) == ["sms", "sms", "email"]


def test_without_another_channel_it_counts_as_sent(line: Line, carrier: Carrier) -> None:
    line.set(channels={"order": ["sms"], "sms": ["texts"]})
    carrier.says = Receipt(Delivery.SENT)
    run(line, "2026-11-24 15:00")
    assert ledger(line) == [("1d", "sent", None, "sms")]


def test_a_provider_that_does_not_answer_proves_nothing(line: Line, carrier: Carrier) -> None:
    run(line, "2026-11-24 15:00")
    assert channels(carrier) == ["sms"]
