"""What becomes of messages whose end nobody knows, and of those whose notifier cannot send."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from clinicrelay.actions import Facts, MessageKind, Role, Say
from clinicrelay.contracts import (
    Absent,
    Attempt,
    CannotTell,
    Found,
    Message,
    Outcome,
    Proof,
    SendResult,
)
from clinicrelay.errors import StoreBusy
from clinicrelay.model import Channel
from clinicrelay.settings import load
from clinicrelay.testing import FakeNotifier
from commands._frame import Call, clinic
from sync import reads
from sync.clinic import Clinic
from sync.health import health
from sync.report import RunReport
from sync.runners import once
from sync.settle import repeats
from sync.store import looking

SHIPPED = Path(__file__).resolve().parents[2] / "settings.yaml"
UNKNOWN, ACCEPTED, NOT_SENT = Outcome.UNKNOWN, Outcome.ACCEPTED, Outcome.NOT_SENT


class Mute(FakeNotifier):
    """Answers no question but those that a test wrote answers for."""

    def lookup(self, attempt: Attempt) -> Proof:
        return self.lookups.pop(0) if self.lookups else CannotTell()


@dataclass
class Ward:
    """A clinic whose one notifier does what a test says."""

    folder: Path
    store_url: str
    notifier: FakeNotifier = field(default_factory=Mute)
    said: dict[str, Any] = field(default_factory=dict)
    rows: dict[int, dict[str, str]] = field(default_factory=dict)
    drops: int = 0

    def book(self, key: int, start: str, **cells: str) -> None:
        row = {"appointment_id": str(key), "start": start, "status": "scheduled"}
        who = {"patient_id": f"P{key}", "patient_name": "Pat", "email": f"p{key}@mail.example"}
        self.rows[key] = {**row, **who, "mobile": "", "doctor_id": "acar", **cells}

    def sync(self, now: str, *changed: int, work: Callable[[Clinic], Any] = once.sync) -> RunReport:
        """Export if anything is said to have changed, and run at that time."""
        if changed:
            self.drops += 1
            path = self.folder / "drops" / "reception" / f"{self.drops}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, list(next(iter(self.rows.values()))))
                writer.writeheader()
                writer.writerows(self.rows.values())
            os.utime(path, (1_790_000_000 + 3600 * self.drops,) * 2)
        ran: RunReport = self.at_work(now, work)
        return ran

    def at_work(self, now: str, work: Callable[[Clinic], Any]) -> Any:
        settings: dict[str, Any] = YAML(typ="safe", pure=True).load(SHIPPED)
        settings["sources"]["reception"]["ready"] = {"settle": "0s"}
        settings |= {"store": {"url": self.store_url}, "calendars": {}, **self.said}
        file = self.folder / "settings.yaml"
        file.write_text(json.dumps(settings))
        call = Call(file, now=f"2026-11-{now}")
        with clinic(call, load(file, environ={})) as opened:
            for name in opened.settings.notifiers:
                opened._plugins["notifiers", name] = self.notifier
            self.notifier.opened = opened  # type: ignore[attr-defined]
            return work(opened)

    def ledger(self, now: str) -> list[tuple[str, str, str | None]]:
        """Return kind, state and reason of all messages, in their order."""

        def look(opened: Clinic) -> list[tuple[str, str, str | None]]:
            with opened.store.read() as connection:
                rows = [
                    row
                    for (n,) in connection.exec_driver_sql("SELECT id FROM appointments").fetchall()
                    for row in looking.messages_of(connection, n)
                ]
            ordered = sorted(rows, key=lambda row: row["id"])
            return [(row["kind"], row["state"], row["reason"]) for row in ordered]

        found: list[tuple[str, str, str | None]] = self.at_work(now, look)
        return found

    @property
    def kinds(self) -> list[str]:
        """What was attempted, in its order."""
        return [message.kind for message in self.notifier.attempts]


@pytest.fixture
def new_ward(store_url: str, tmp_path: Path) -> Ward:
    patient = {"confirmation": {"channels": ["email"]}, "steps": ["1d", "1h"]}
    return Ward(tmp_path, store_url, said={"reminders": {"patient": patient}})


@pytest.fixture
def ward(new_ward: Ward) -> Ward:
    """A clinic that was imported with one visit of tomorrow."""
    new_ward.book(1, "2026-11-24 12:00")
    new_ward.sync("23T09:00", 1)
    return new_ward


# --- by kind ---------------------------------------------------------------------------------------


def say(kind: MessageKind, **changes: Any) -> Say:
    end = datetime(2026, 11, 24, tzinfo=UTC)
    fields: dict[str, Any] = {"facts": Facts(on=True), "due_at": end, "useless_after": end}
    return Say(kind, Role.PATIENT, "patient/1", setting="x", **fields | changes)


BEFORE = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.mark.parametrize("channel", Channel)
@pytest.mark.parametrize("kind", MessageKind)
def test_what_is_sent_once_more_without_proof(kind: MessageKind, channel: Channel) -> None:
    costly = kind in (MessageKind.CHANGE, MessageKind.CANCELLATION, MessageKind.ALERT)
    mail = kind is MessageKind.CONFIRMATION and channel is Channel.EMAIL
    assert repeats(say(kind), channel, now=BEFORE) is (costly or mail)
    assert not repeats(say(kind, repeated=True), channel, now=BEFORE)
    assert not repeats(say(kind), channel, now=BEFORE + timedelta(days=1))


def test_a_reminder_is_left_alone_and_the_next_step_leaves(ward: Ward) -> None:
    ward.notifier.outcomes = [UNKNOWN]
    ward.sync("23T12:01")
    ward.sync("23T12:31")
    ward.sync("23T13:01")
    assert ward.ledger("23T13:01") == [("reminder", "unproven", "unproven_not_repeated")]
    ward.sync("24T11:01")
    assert ward.kinds == ["reminder", "reminder"]
    assert ward.ledger("24T11:01")[1][1] == "sent"


def test_a_cancellation_is_repeated_once_as_the_same_message(ward: Ward) -> None:
    ward.rows[1]["status"] = "cancelled"
    ward.notifier.outcomes = [UNKNOWN]
    ward.sync("23T09:30", 1)
    ward.sync("23T10:00")
    ward.sync("23T10:30")
    assert ward.kinds == ["cancellation", "cancellation"]
    assert len({message.id for message in ward.notifier.attempts}) == 1
    assert ward.ledger("23T10:30") == [("cancellation", "sent", "unproven_repeated")]


def test_a_change_that_nobody_answers_for_twice_is_left_to_a_person(ward: Ward) -> None:
    ward.rows[1]["start"] = "2026-11-27 15:00"
    not_sent = SendResult(NOT_SENT, "server_busy", retry_after=timedelta(minutes=1))
    ward.notifier.outcomes = [UNKNOWN, not_sent, UNKNOWN]
    for minute in range(0, 60, 10):
        ward.sync(f"23T10:{minute:02}", *([1] if minute == 0 else []))
    assert ward.kinds == ["change"] * 3
    assert ward.ledger("23T11:00") == [("change", "unproven", "unproven_twice")]
    found = ward.at_work("23T11:00", health)
    assert found.json()["messages"]["unknown"] == 1
    assert [n.what for n in found.needs if "find out whether" in n.what]


def test_a_confirmation_is_repeated_by_mail_and_not_by_sms(ward: Ward) -> None:
    ward.book(2, "2026-11-30 12:00")
    ward.notifier.outcomes = [UNKNOWN]
    ward.sync("23T09:10", 2)
    ward.sync("23T09:40")
    assert ward.kinds == ["confirmation", "confirmation"]
    ward.said["reminders"]["patient"]["confirmation"]["channels"] = ["sms"]
    ward.book(3, "2026-11-30 13:00", mobile="+4915155500003")
    ward.notifier.outcomes = [UNKNOWN]
    ward.sync("23T09:50", 3)
    ward.sync("23T10:20")
    assert ward.kinds == ["confirmation"] * 3
    assert ward.ledger("23T10:20")[-1] == ("confirmation", "unproven", "unproven_not_repeated")


# --- proof -----------------------------------------------------------------------------------------


def test_proof_of_absence_sends_a_reminder_again_and_proof_of_arrival_does_not(
    new_ward: Ward,
) -> None:
    ward = new_ward
    for key in (1, 2):
        ward.book(key, "2026-11-24 12:00")
    ward.sync("23T09:00", 1, 2)
    ward.notifier = Mute([UNKNOWN, UNKNOWN], lookups=[Absent(), Found("x")])
    ward.sync("23T12:01")
    ward.sync("23T12:31")
    reminders = [entry for entry in ward.ledger("23T12:31") if entry[0] == "reminder"]
    assert reminders == [("reminder", "sent", None)] * 2
    assert ward.kinds.count("reminder") == 3


def test_who_can_answer_later_is_asked_until_it_is_of_no_use(ward: Ward) -> None:
    later = CannotTell(timedelta(minutes=2))
    ward.notifier = Mute([UNKNOWN], lookups=[later] * 9)
    ward.sync("23T12:01")
    for minute in (5, 10, 15):
        ward.sync(f"23T12:{minute:02}")
        assert ward.ledger("23T12:15") == [("reminder", "unknown", "answer_lost")]
    ward.sync("24T09:30")  # latest: three hours before the visit
    assert ward.ledger("24T09:30") == [("reminder", "unproven", "unproven_not_repeated")]
    assert ward.kinds == ["reminder"]


def test_an_attempt_of_a_notifier_that_is_gone_is_left_as_unproven(ward: Ward) -> None:
    ward.notifier.outcomes = [UNKNOWN]
    ward.sync("23T12:01")
    ward.said["notifiers"] = {"another": {"type": "outbox"}}
    ward.sync("23T12:31")
    assert ward.ledger("23T12:31") == [("reminder", "unproven", "unproven_not_repeated")]


# --- what people may know --------------------------------------------------------------------------


@pytest.mark.parametrize("proof", [CannotTell(), Found("x")], ids=["no proof", "proof"])
def test_whoever_may_hold_a_confirmation_is_told_of_the_cancellation(
    ward: Ward, proof: Found | CannotTell
) -> None:
    ward.book(2, "2026-11-30 12:00")
    ward.notifier.outcomes, ward.notifier.lookups = [UNKNOWN], [proof]
    ward.sync("23T09:10", 2)
    ward.rows[2]["status"] = "cancelled"
    ward.sync("23T09:40", 2)
    ward.sync("23T09:50")
    assert ward.kinds == ["confirmation", "cancellation"]
    assert ward.sync("23T10:00").messages.sent == 0


def test_a_move_back_is_told_to_whoever_may_know_of_the_move(ward: Ward) -> None:
    ward.rows[1]["start"] = "2026-11-27 15:00"
    ward.notifier.outcomes = [UNKNOWN, UNKNOWN]
    ward.sync("23T10:00", 1)
    ward.sync("23T10:10")
    ward.sync("23T10:20")
    ward.rows[1]["start"] = "2026-11-24 12:00"
    ward.sync("23T10:30", 1)
    ward.sync("23T10:40")
    assert ward.kinds == ["change"] * 3
    assert "24." in ward.notifier.attempts[-1].text


def test_a_confirmation_nobody_can_prove_spares_no_reminder(ward: Ward) -> None:
    ward.book(2, "2026-11-24 11:30")
    ward.notifier.outcomes = [UNKNOWN, UNKNOWN]
    ward.sync("23T10:00", 2)
    ward.sync("23T10:10")
    ward.sync("23T10:20")
    assert ward.ledger("23T10:20") == [("confirmation", "unproven", "unproven_twice")]
    ward.sync("23T11:31")  # an hour and a half later: told_recently, had it been told
    assert ward.ledger("23T11:31")[-1] == ("reminder", "sent", None)


# --- handing over -----------------------------------------------------------------------------------


class Careful(Mute):
    """Hands over as it should; `meanwhile` is what happens before."""

    hands_over = True
    closed = 0
    opened: Clinic
    meanwhile: Callable[[Clinic], None] = staticmethod(lambda opened: None)

    def send(self, message: Message) -> SendResult:
        self.attempts.append(message)
        self.meanwhile(self.opened)
        self.opened.hand_over(message.id)
        self.sent.append(message)
        return SendResult(ACCEPTED, provider_id="x")

    def close(self) -> None:
        self.closed += 1


def lose_the_lease(opened: Clinic) -> None:
    with opened.store.write() as connection:
        connection.exec_driver_sql("UPDATE leases SET token = token + 1")


def test_a_sender_that_has_lost_its_lease_hands_nothing_over(ward: Ward) -> None:
    ward.notifier = notifier = Careful()
    notifier.meanwhile = lose_the_lease
    with pytest.raises(StoreBusy):
        ward.sync("23T12:01")
    assert not notifier.sent
    notifier.meanwhile = lambda opened: None
    ward.at_work("23T12:05", _let_leases_expire)
    ward.sync("23T12:10")
    assert len(notifier.sent) == 1
    assert ward.ledger("23T12:10") == [("reminder", "sent", None)]


def test_a_visit_that_is_cancelled_while_a_server_is_slow_to_greet_gets_no_reminder(
    ward: Ward,
) -> None:
    ward.notifier = notifier = Careful()

    def cancel(opened: Clinic) -> None:
        notifier.meanwhile = lambda opened: None
        ward.book(1, "2026-11-24 12:00", status="cancelled")
        ward.sync("23T12:01", 1, work=lambda other: reads.pull(other, "reception"))
        notifier.opened = opened

    notifier.meanwhile = cancel
    assert ward.sync("23T12:01").messages.sent == 0
    assert not notifier.sent
    (ended,) = ward.ledger("23T12:10")
    assert ended[:2] == ("reminder", "skipped")


def _let_leases_expire(opened: Clinic) -> None:
    with opened.store.write() as connection:
        connection.exec_driver_sql("UPDATE leases SET until = 0")


def test_a_run_closes_what_its_notifiers_hold_open(ward: Ward) -> None:
    ward.notifier = notifier = Careful()
    ward.sync("23T12:01")
    assert notifier.sent
    assert notifier.closed == 1


# --- a notifier that cannot send -------------------------------------------------------------------

LOCKED_OUT = SendResult(
    NOT_SENT,
    "credentials_refused",
    retry_after=timedelta(minutes=15),
    pause=timedelta(minutes=15),
)


def test_a_wrong_password_is_tried_a_few_times_an_hour_and_burns_nothing(new_ward: Ward) -> None:
    ward = new_ward
    for key in range(11):
        ward.book(key, "2026-11-24 12:00")
    ward.sync("23T09:00", *range(11))
    ward.notifier = Mute([LOCKED_OUT] * 99)
    for minute in range(1, 61, 5):
        report = ward.sync(f"23T12:{minute:02}")
        assert report.exit == 3
    assert 1 < len(ward.kinds) <= 5
    assert {state for _, state, _ in ward.ledger("23T12:56")} == {"planned"}
    found = ward.at_work("23T12:56", health)
    (need,) = [n for n in found.needs if "sends nothing" in n.what]
    assert "does not take the login" in need.what
    assert need.command == "clinicrelay check --connect"
    assert found.exit == 3

    ward.notifier.outcomes = []
    report = ward.sync("23T13:20")
    assert report.messages.sent == 11
    assert report.exit == 0
    assert not [n for n in ward.at_work("23T13:20", health).needs if "sends nothing" in n.what]


class Choosy(Mute):
    """Takes nothing for some addresses."""

    def __init__(self, wrong: set[str]) -> None:
        super().__init__()
        self.wrong = wrong

    def send(self, message: Message) -> SendResult:
        self.outcomes = [REFUSED] if message.to in self.wrong else [ACCEPTED]
        return super().send(message)


def test_a_server_that_is_away_for_a_moment_needs_nobody(ward: Ward) -> None:
    away = SendResult(NOT_SENT, "unreachable", pause=timedelta(minutes=1))
    ward.notifier.outcomes = [away] * 9
    assert ward.sync("23T12:01").exit == 0
    assert not ward.at_work("23T12:10", health).needs
    assert ward.at_work("23T12:40", health).needs


REFUSED = SendResult(
    Outcome.REJECTED, "address_refused", detail="The server answered 550 to RCPT TO."
)


def test_what_a_server_refuses_that_refuses_everyone_waits_and_leaves_when_it_works(
    new_ward: Ward,
) -> None:
    ward = new_ward
    for key in range(11):
        ward.book(key, "2026-11-24 12:00")
    ward.sync("23T09:00", *range(11))
    ward.notifier = Mute([REFUSED] * 99)
    report = ward.sync("23T12:01")
    assert (report.exit, report.messages.failed) == (3, 0)
    (need,) = report.needs
    assert "refuses everyone" in need.what
    assert len(ward.kinds) == 3
    ward.sync("23T12:10")
    assert len(ward.kinds) == 3
    ward.sync("23T12:20")
    assert len(ward.kinds) == 4, "one is enough to see that nothing changed"
    assert {row[1:] for row in ward.ledger("23T12:20")} == {
        ("planned", "refuses_everyone(address_refused)")
    }

    ward.notifier.outcomes = []
    report = ward.sync("23T12:40")
    assert (report.exit, report.messages.sent) == (0, 11)
    assert {row[1] for row in ward.ledger("23T12:40")} == {"sent"}


def test_who_is_refused_again_and_again_is_meant_and_keeps_nobody_else_waiting(
    new_ward: Ward,
) -> None:
    ward = new_ward
    for key in range(8):
        ward.book(key, "2026-11-24 12:00")
    ward.sync("23T09:00", *range(8))
    ward.notifier = notifier = Choosy(wrong={f"p{key}@mail.example" for key in (1, 2, 3)})
    for minute in (1, 20, 40):
        ward.sync(f"23T12:{minute:02}")
    for hour in range(13, 23):
        ward.sync(f"23T{hour}:00")
    assert sorted(row[1] for row in ward.ledger("23T22:00")) == ["failed"] * 3 + ["sent"] * 5
    assert len(notifier.attempts) <= 5 + 3 * 4


def test_runs_of_one_message_each_find_out_as_well(new_ward: Ward) -> None:
    ward = new_ward
    for key in range(5):
        ward.book(key, f"2026-11-24 12:0{key}")
    ward.sync("23T09:00", *range(5))
    ward.notifier = Mute([REFUSED] * 99)
    assert [ward.sync(f"23T12:0{n}").messages.failed for n in range(5)] == [1, 1, 0, 0, 0]


def test_a_message_that_bars_its_notifier_does_not_bar_the_others_for_ever(new_ward: Ward) -> None:
    ward = new_ward
    for key in range(3):
        ward.book(key, f"2026-11-24 12:0{key}")
    ward.sync("23T09:00", *range(3))
    ward.notifier = Mute([LOCKED_OUT, ACCEPTED, ACCEPTED, LOCKED_OUT])
    assert ward.sync("23T12:05").messages.sent == 0
    assert ward.sync("23T12:30").messages.sent == 2


def test_lost_answers_are_not_collected_one_message_after_another(new_ward: Ward) -> None:
    ward = new_ward
    for key in range(4):
        ward.book(key, "2026-11-24 12:00")
    ward.sync("23T09:00", *range(4))
    lost = SendResult(UNKNOWN, "answer_lost", pause=timedelta(minutes=1))
    ward.notifier = Mute([lost] * 99)
    report = ward.sync("23T12:01")
    assert len(ward.notifier.attempts) == 1
    assert report.messages.skipped == {"unreachable": 3}


# --- what nobody can find out asks for a person -----------------------------------------------------


def test_a_run_that_gives_an_attempt_up_asks_for_a_person_once(ward: Ward) -> None:
    ward.notifier = Mute([SendResult(UNKNOWN, "answer_lost")])
    assert ward.sync("23T12:01").exit == 0, "it may still be found out"
    report = ward.sync("23T12:10")
    assert report.exit == 3
    (need,) = report.needs
    assert need.what.endswith("nobody can find out whether it arrived")
    assert need.command.startswith("clinicrelay why cr")
    assert ward.sync("23T12:20").exit == 0


# --- two looks, and ids that are known -------------------------------------------------------------


@dataclass
class Asked:
    """Remembers how it was asked, and says that there is nothing yet."""

    attempts: list[Attempt] = field(default_factory=list)

    def __call__(self, attempt: Attempt) -> Proof:
        self.attempts.append(attempt)
        if attempt.nothing_since is None:
            return CannotTell(timedelta(seconds=75), nothing=True)
        return Absent()


def test_a_second_look_knows_since_when_there_is_nothing(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked()
    monkeypatch.setattr(ward.notifier, "lookup", asked)
    ward.notifier.outcomes = [UNKNOWN]
    ward.book(2, "2026-11-27 10:00")
    ward.sync("23T09:10", 2)
    began = datetime.now(UTC)
    for minute in (12, 13, 14, 15):
        ward.sync(f"23T09:{minute}")
    first, second = asked.attempts
    assert first.nothing_since is None
    assert second.nothing_since == first.at
    assert second.at - first.at >= timedelta(seconds=75)
    assert max(first.begun_at, second.begun_at) <= began
    assert ward.kinds == ["confirmation"] * 2, "absence was proven, so it left once more"
    assert ward.ledger("23T09:16") == [("confirmation", "sent", None)]


def test_an_id_that_another_attempt_has_is_known(ward: Ward) -> None:
    known: list[bool] = []

    def lookup(attempt: Attempt) -> Proof:
        known.extend(attempt.is_known(ring) for ring in (ward.notifier.sent[0].id, "never"))
        return CannotTell(timedelta(minutes=5))

    ward.book(2, "2026-11-27 10:00")
    ward.sync("23T09:10", 2)
    ward.notifier.outcomes = [UNKNOWN]
    ward.notifier.lookup = lookup  # type: ignore[method-assign]
    ward.book(3, "2026-11-27 11:00")
    ward.sync("23T09:20", 3)
    ward.sync("23T09:22")
    assert known == [True, False]
