"""The contract of notifiers is proved itself: an honest one passes, each dishonest one is caught."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import logging
from collections.abc import Iterator, Sequence
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from clinicrelay import (
    Absent,
    Attempt,
    CannotTell,
    Channel,
    Finding,
    Found,
    Message,
    Notifier,
    Outcome,
    SendResult,
)
from clinicrelay.contracts import Proof
from clinicrelay.testing import Arrived, Fault, ProviderContract, kit
from clinicrelay.testing.notifiers import EXPECTED

PAUSE = timedelta(minutes=15)
KEY = "a-key-that-nobody-may-see"


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")
    key: SecretStr = Field(default=SecretStr(KEY), description="The key of the loft.")


class Loft:
    """Where the pigeons arrive; `faults` are what becomes of the coming ones."""

    def __init__(self) -> None:
        self.arrived: list[Arrived] = []
        self.faults: list[Fault] = []
        self.broken = False

    def take(self, message: Message, noted: Any) -> Fault | None:
        fault = self.faults.pop(0) if self.faults else None
        if fault is None or EXPECTED[fault] is Outcome.UNKNOWN:
            noted()
            subject = " ".join((message.subject or "").split())
            self.arrived.append(Arrived(message.to, message.text, subject, message.html))
        return fault


class Pigeon(Notifier):
    """Carries mails by air."""

    Options = Options
    channels = (Channel.EMAIL,)
    hands_over = True
    loft: Loft

    def send(self, message: Message) -> SendResult:
        if any(c in message.to for c in "\n,"):
            return SendResult(Outcome.REJECTED, "address_invalid", detail="no address")
        if self.loft.broken:
            return SendResult(Outcome.NOT_SENT, "unreachable", detail="no loft")
        fault = self.loft.take(message, lambda: self.kit.handing_over(message.id))
        if fault is None:
            return SendResult(Outcome.ACCEPTED, provider_id="ring 7")
        return self.fell(fault, message)

    def fell(self, fault: Fault, message: Message) -> SendResult:
        pause = PAUSE if fault is Fault.LOCKED_OUT else None
        return SendResult(EXPECTED[fault], fault.name.lower(), detail=fault.value, pause=pause)

    def check(self) -> Iterator[Finding]:
        if self.loft.broken:
            yield Finding("error", "unreachable", "The loft is gone.", "Build it again.")


class PigeonContract(ProviderContract):
    answers_lookups = False
    repeats_are_harmless = False
    secrets = (KEY,)
    pigeon: ClassVar[type[Pigeon]] = Pigeon

    def __init__(self) -> None:
        self.loft = Loft()

    def make(self, folder: Path) -> Notifier:
        made = self.pigeon(Options(), kit(folder))
        made.loft = self.loft
        return made

    def arrived(self, folder: Path) -> Sequence[Arrived]:
        return self.loft.arrived

    def break_destination(self, folder: Path) -> None:
        self.loft.broken = True

    def play(self, folder: Path, fault: Fault) -> None:
        self.loft.faults = [fault]


class Homing(Pigeon):
    """Carries messages by air, and can ask the loft which have come."""

    apart = timedelta(minutes=1)

    def send(self, message: Message) -> SendResult:
        result = super().send(message)
        if result.outcome is Outcome.ACCEPTED:
            return msgspec.structs.replace(result, provider_id=self.ring(message))
        return result

    def ring(self, message: Message) -> str:
        return f"ring {sha256(message.text.encode()).hexdigest()}"

    def lookup(self, attempt: Attempt) -> Proof:
        if self.loft.broken:
            return self.deaf()
        ring = self.ring(attempt.message)
        there = any(a.text == attempt.message.text for a in self.loft.arrived)
        if there and not attempt.is_known(ring):
            return Found(ring)
        since = attempt.nothing_since
        if since is not None and attempt.at - since >= self.apart:
            return Absent()
        return self.nothing()

    def nothing(self) -> Proof:
        return CannotTell(self.apart, nothing=True)

    def deaf(self) -> Proof:
        return CannotTell(self.apart)


class TestAnHonestNotifierThatCanBeAskedPasses(ProviderContract):
    repeats_are_harmless = False
    secrets = (KEY,)
    pigeon = Homing

    @pytest.fixture(autouse=True)
    def _loft(self) -> None:
        self.loft = Loft()

    make = PigeonContract.make
    arrived = PigeonContract.arrived
    break_destination = PigeonContract.break_destination
    play = PigeonContract.play


class TestAnHonestNotifierPasses(ProviderContract):
    answers_lookups = False
    repeats_are_harmless = False
    secrets = (KEY,)

    @pytest.fixture(autouse=True)
    def _loft(self) -> None:
        self.loft = Loft()

    make = PigeonContract.make
    pigeon = Pigeon
    arrived = PigeonContract.arrived
    break_destination = PigeonContract.break_destination
    play = PigeonContract.play


# --- dishonest ones --------------------------------------------------------------------------------


def answering(**changes: Any) -> type[Pigeon]:
    """Return the notifier with each of its failures told in another way."""

    class Changed(Pigeon):
        def fell(self, fault: Fault, message: Message) -> SendResult:
            told = {k: v(message) if callable(v) else v for k, v in changes.items()}
            return msgspec.structs.replace(super().fell(fault, message), **told)

    return Changed


class Hopeful(Pigeon):
    """Takes a lost answer for a failure."""

    def fell(self, fault: Fault, message: Message) -> SendResult:
        return SendResult(Outcome.NOT_SENT, "unreachable", detail="no answer")


class Persistent(Pigeon):
    """Tries a second time by itself."""

    def fell(self, fault: Fault, message: Message) -> SendResult:
        return self.send(message)


class Silent(Pigeon):
    """Never says that it hands over."""

    def send(self, message: Message) -> SendResult:
        self.kit = kit(self.kit.folder)
        return super().send(message)


class Hasty(Pigeon):
    """Says that it hands over once it has."""

    def send(self, message: Message) -> SendResult:
        real, self.kit = self.kit, kit(self.kit.folder)
        result = super().send(message)
        self.kit = real
        self.kit.handing_over(message.id)
        return result


class Stubborn(Pigeon):
    """Sends although it may no longer."""

    def send(self, message: Message) -> SendResult:
        real = self.kit.handing_over

        def note(attempt: str) -> None:
            with contextlib.suppress(Exception):
                real(attempt)

        self.kit = kit(self.kit.folder, handing_over=note)
        return super().send(message)


class Talkative(Pigeon):
    """Logs whom it writes to."""

    def fell(self, fault: Fault, message: Message) -> SendResult:
        logging.getLogger("pigeon").warning("no way to %s", message.to)
        return super().fell(fault, message)


class Fragile(Pigeon):
    """Cannot be closed before it has sent anything."""

    def close(self) -> None:
        self.sent.clear()  # type: ignore[attr-defined]


class Rash(Homing):
    """Believes the first look that finds nothing."""

    def nothing(self) -> Proof:
        return Absent()


class Impatient(Homing):
    """Believes a second look at once."""

    def lookup(self, attempt: Attempt) -> Proof:
        self.apart = timedelta(0) if attempt.nothing_since else timedelta(minutes=1)  # type: ignore[misc]
        return super().lookup(attempt)


class Guessing(Homing):
    """Takes a loft that says nothing for an empty one."""

    def deaf(self) -> Proof:
        return Absent()


class Counting(Homing):
    """Counts a loft that says nothing as one that has nothing."""

    def deaf(self) -> Proof:
        return self.nothing()


class Forgetful(Homing):
    """Finds nothing of what was lost on the way back."""

    def lookup(self, attempt: Attempt) -> Proof:
        return self.nothing() if attempt.nothing_since is None else super().lookup(attempt)


class Greedy(Homing):
    """Takes what belongs to another attempt."""

    def lookup(self, attempt: Attempt) -> Proof:
        return super().lookup(dataclasses.replace(attempt, is_known=lambda ring: False))


ASKABLE: dict[str, tuple[type[Pigeon], str]] = {
    "believes the first empty look": (
        Rash,
        "test_that_nothing_is_there_is_believed_at_a_second_look",
    ),
    "believes a second look at once": (
        Impatient,
        "test_that_nothing_is_there_is_believed_at_a_second_look",
    ),
    "takes silence for absence": (
        Guessing,
        "test_a_provider_that_cannot_be_asked_proves_nothing",
    ),
    "counts silence as a look": (
        Counting,
        "test_a_provider_that_cannot_be_asked_proves_nothing",
    ),
    "does not find what was lost": (
        Forgetful,
        "test_an_attempt_whose_answer_was_lost_is_found_by_another_process",
    ),
    "takes another's": (
        Greedy,
        "test_what_was_sent_is_found_and_what_was_not_is_never_found",
    ),
}


@pytest.mark.parametrize(("pigeon", "test"), ASKABLE.values(), ids=ASKABLE)
def test_a_notifier_that_finds_out_wrongly_is_caught(
    tmp_path: Path, pigeon: type[Pigeon], test: str
) -> None:
    suite = PigeonContract()
    suite.answers_lookups = True  # type: ignore[misc]
    suite.pigeon = pigeon  # type: ignore[misc]
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        getattr(suite, test)(tmp_path)


DISHONEST: dict[str, tuple[type[Pigeon], str, dict[str, Any]]] = {
    "takes a lost answer for a failure": (
        Hopeful,
        "test_each_fault_of_the_provider_is_the_outcome_that_it_is",
        {"fault": Fault.ANSWER_LOST},
    ),
    "tries again by itself": (
        Persistent,
        "test_each_fault_of_the_provider_is_the_outcome_that_it_is",
        {"fault": Fault.ANSWER_LATE},
    ),
    "names people in details": (
        answering(detail=lambda message: f"no such user {message.to}"),
        "test_each_fault_of_the_provider_is_the_outcome_that_it_is",
        {"fault": Fault.REFUSED},
    ),
    "names its key": (
        answering(detail=f"{KEY} is wrong"),
        "test_each_fault_of_the_provider_is_the_outcome_that_it_is",
        {"fault": Fault.LOCKED_OUT},
    ),
    "logs people": (
        Talkative,
        "test_each_fault_of_the_provider_is_the_outcome_that_it_is",
        {"fault": Fault.BUSY},
    ),
    "burns the queue with a wrong password": (
        answering(outcome=Outcome.REJECTED, pause=None),
        "test_each_fault_of_the_provider_is_the_outcome_that_it_is",
        {"fault": Fault.LOCKED_OUT},
    ),
    "asks for no pause with a wrong password": (
        answering(pause=None),
        "test_each_fault_of_the_provider_is_the_outcome_that_it_is",
        {"fault": Fault.LOCKED_OUT},
    ),
    "never says that it hands over": (
        Silent,
        "test_what_is_handed_over_is_noted_just_before",
        {},
    ),
    "says so when it is too late": (Hasty, "test_what_is_handed_over_is_noted_just_before", {}),
    "sends although it may not": (
        Stubborn,
        "test_a_process_that_may_no_longer_send_does_not",
        {},
    ),
    "cannot be closed": (Fragile, "test_closing_is_harmless_at_any_time", {}),
}


@pytest.mark.parametrize(("pigeon", "test", "given"), DISHONEST.values(), ids=DISHONEST)
def test_a_notifier_that_breaks_a_promise_is_caught(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    pigeon: type[Pigeon],
    test: str,
    given: dict[str, Any],
) -> None:
    suite = PigeonContract()
    suite.pigeon = pigeon  # type: ignore[misc]
    promise = getattr(suite, test)
    more = {"caplog": caplog} if "caplog" in inspect.signature(promise).parameters else {}
    with pytest.raises((AssertionError, AttributeError, pytest.fail.Exception)):
        promise(tmp_path, **given, **more)
