"""The contract of notifiers: one attempt, one message, one honest outcome."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

import pytest

from clinicrelay.contracts import (
    Absent,
    Attachment,
    Attempt,
    CannotTell,
    Finding,
    Found,
    Message,
    Notifier,
    Outcome,
)
from clinicrelay.model import Channel
from clinicrelay.testing.kits import (
    CANARY_EMAIL,
    CANARY_NAME,
    CANARY_PHONE,
    NOW,
    an_email,
    an_sms,
    canaries_in,
)
from clinicrelay.testing.options import OptionsContract

BEGUN = min(NOW, datetime.now(UTC)) - timedelta(minutes=5)  # by whichever clock a provider goes

# What real names and texts bring along: emoji, right to left, a very long line, quotes.
ODD_TEXTS = (
    "Wir freuen uns 🏥👍🏽 – bis bald",
    "موعدك يوم الثلاثاء ١ ديسمبر",
    "x" * 1200,
    "\"quoted\", 'single', \\back\\ <b>&amp;</b> %s {name}",
    "line one\nline two\n\nline four",
    ".\n.a line that begins with a dot\nFrom here on",
    "ends with a dot alone\n.",
    "tab\there, a = sign, =20 =_x, and a space before the line's end \nü" + "ß" * 999,
    "\n".join(f"line {n} of a long letter, zażółć gęślą jaźń" for n in range(3000)),
)


class Fault(StrEnum):
    """What a provider may do to a message; see `ProviderContract.play`."""

    REFUSED = "it refuses this message for good"
    BUSY = "it takes nothing for now"
    GONE = "it ends the connection before it can have taken anything"
    ANSWER_LOST = "it takes the message and ends the connection without a word"
    ANSWER_LATE = "it takes the message and answers after the notifier's timeout"
    ANSWER_MANGLED = "it takes the message and answers with what is no answer"
    TROUBLE = "it says that something went wrong, though it took the message"
    LOCKED_OUT = "it does not know the password"


EXPECTED = {
    Fault.REFUSED: Outcome.REJECTED,
    Fault.BUSY: Outcome.NOT_SENT,
    Fault.GONE: Outcome.NOT_SENT,
    Fault.ANSWER_LOST: Outcome.UNKNOWN,
    Fault.ANSWER_LATE: Outcome.UNKNOWN,
    Fault.ANSWER_MANGLED: Outcome.UNKNOWN,
    Fault.TROUBLE: Outcome.UNKNOWN,
    Fault.LOCKED_OUT: Outcome.NOT_SENT,
}
TAKEN = {fault for fault, outcome in EXPECTED.items() if outcome is Outcome.UNKNOWN}


@dataclass(frozen=True, slots=True)
class Arrived:
    """One message as its recipient would see it."""

    to: str
    text: str
    subject: str | None = None
    html: str | None = None


class NotifierContract(OptionsContract):
    """Inherit, say how to make the plugin and how to see what arrived; the rest is kept for you.

    `answers_lookups` is false where the provider cannot be asked; `repeats_are_harmless` is false
    where nothing at the provider's side makes a second identical attempt one message. `secrets`
    are the passwords and keys that `make` puts into the options. `longest` is how many letters a
    text may have, where that is limited. Whoever speaks to a provider inherits `ProviderContract`.
    """

    answers_lookups: ClassVar[bool] = True
    repeats_are_harmless: ClassVar[bool] = True
    secrets: ClassVar[tuple[str, ...]] = ()
    longest: ClassVar[int | None] = None

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """Where the plugin under test may live."""
        return tmp_path

    def make(self, folder: Path) -> Notifier:
        """Return the plugin, as a process that starts now would make it."""
        raise NotImplementedError

    def arrived(self, folder: Path) -> Sequence[Arrived]:
        """Return all that has arrived, in any order."""
        raise NotImplementedError

    def break_destination(self, folder: Path) -> None:
        """Make sending impossible from now on: a server that is gone, a folder that is none."""
        raise NotImplementedError

    def traces(self, folder: Path) -> Sequence[str]:
        """Return what others may see of a message besides itself: file names, addresses called."""
        return [str(path.relative_to(folder)) for path in folder.rglob("*")]

    def plugin(self) -> type[Notifier]:
        return type(self.make(Path()))

    def message(self, notifier: Notifier, **changes: Any) -> Message:
        """Return a message on the notifier's first channel."""
        channel = notifier.channels[0]
        fields: dict[str, Any] = {
            "id": "at-0123456789abcdef",
            "channel": channel,
            "text": f"Hello {CANARY_NAME}, Tuesday 1 December, 10:30.",
            "kind": "reminder",
            "useless_after": NOW + timedelta(hours=3),
        }
        return (an_email if channel is Channel.EMAIL else an_sms)(**fields | changes)

    def reads(self, message: Message) -> str:
        """Return what its recipient should read, where a provider has words of its own."""
        return message.text

    def test_a_message_that_was_accepted_arrived_once(self, folder: Path) -> None:
        notifier = self.make(folder)
        message = self.message(notifier)
        result = notifier.send(message)
        assert (result.outcome, result.reason) == (Outcome.ACCEPTED, "")
        assert result.provider_id
        (seen,) = self.arrived(folder)
        assert seen.to == message.to
        assert self.reads(message) in seen.text

    def test_every_channel_it_names_works(self, folder: Path) -> None:
        notifier = self.make(folder)
        for number, channel in enumerate(notifier.channels):
            mail = channel is Channel.EMAIL
            message = self.message(
                notifier,
                id=f"at-{number}",
                channel=channel,
                to=CANARY_EMAIL if mail else CANARY_PHONE,
                subject="Your appointment" if mail else None,
            )
            assert notifier.send(message).outcome is Outcome.ACCEPTED, channel
        assert len(self.arrived(folder)) == len(notifier.channels)

    def test_the_same_attempt_by_another_process_is_no_second_message(self, folder: Path) -> None:
        first = self.make(folder)
        assert first.send(self.message(first)).outcome is Outcome.ACCEPTED
        again = self.make(folder)
        if not self.repeats_are_harmless:  # then it must never say that it may be tried again
            assert not isinstance(again.lookup(self.asked(self.message(again))), Absent)
            return
        again.send(self.message(again))
        assert len(self.arrived(folder)) == 1

    def test_different_attempts_are_different_messages(self, folder: Path) -> None:
        notifier = self.make(folder)
        for number in range(5):
            notifier.send(self.message(notifier, id=f"at-{number}"))
        assert len(self.arrived(folder)) == 5

    def test_what_was_sent_is_found_and_what_was_not_is_never_found(self, folder: Path) -> None:
        notifier = self.make(folder)
        sent, unsent = self.message(notifier), self.message(notifier, id="at-never")
        result = notifier.send(sent)
        other_process = self.make(folder)
        proof = other_process.lookup(self.asked(sent))
        # An id that belongs to another attempt is never taken for this one's.
        known = {result.provider_id}
        other = other_process.lookup(self.asked(unsent, is_known=known.__contains__))
        if self.answers_lookups:
            assert proof == Found(result.provider_id)
            assert isinstance(other, Absent | CannotTell)
        else:
            assert isinstance(proof, CannotTell)
            assert isinstance(other, CannotTell)

    def asked(self, message: Message, **changes: Any) -> Attempt:
        """Return a message as it is asked about right after it was tried."""
        return Attempt(**{"message": message, "begun_at": BEGUN, "at": NOW, **changes})

    @pytest.mark.parametrize("text", ODD_TEXTS)
    def test_odd_text_arrives_as_it_was_written(self, folder: Path, text: str) -> None:
        notifier = self.make(folder)
        message = self.message(notifier, text=text)
        result = notifier.send(message)
        if self.longest is not None and len(text) > self.longest:
            assert (result.outcome, result.reason) == (Outcome.REJECTED, "too_large")
            return
        assert result.outcome is Outcome.ACCEPTED
        (seen,) = self.arrived(folder)
        assert seen.text.replace("\r\n", "\n").rstrip("\n") == self.reads(message)

    def test_no_line_end_in_a_subject_begins_a_header(self, folder: Path) -> None:
        notifier = self.make(folder)
        if Channel.EMAIL not in notifier.channels:  # a subject has no place in it
            return
        evil = "Visit\r\nBcc: thief@evil.example\n\nbody\u2028X: y"
        notifier.send(self.message(notifier, channel=Channel.EMAIL, to=CANARY_EMAIL, subject=evil))
        (seen,) = self.arrived(folder)
        assert seen.subject is not None
        assert "Visit" in seen.subject
        assert "\n" not in seen.subject
        assert seen.to == CANARY_EMAIL

    def test_an_address_with_a_line_end_or_a_second_address_is_refused(self, folder: Path) -> None:
        notifier = self.make(folder)
        for number, tail in enumerate(("\nBcc: thief@evil.example", ", thief@evil.example")):
            message = self.message(notifier, id=f"at-{number}")
            result = notifier.send(self.message(notifier, to=message.to + tail))
            assert result.outcome is Outcome.REJECTED
            assert not canaries_in(result)
        assert not self.arrived(folder)

    def test_an_odd_id_neither_breaks_nor_shows(self, folder: Path) -> None:
        notifier = self.make(folder)
        ids = ("@@ID@@", "../../up", "a/b:c", CANARY_NAME, "x" * 900)
        for odd in ids:
            assert notifier.send(self.message(notifier, id=odd)).outcome is Outcome.ACCEPTED
        assert len(self.arrived(folder)) == len(ids)
        assert not canaries_in(*self.traces(folder))

    def test_an_attachment_does_not_hide_the_text(self, folder: Path) -> None:
        notifier = self.make(folder)
        if Channel.EMAIL not in notifier.channels:  # nor has an attachment
            return
        note = Attachment("note.txt", "text/plain", "see you")
        message = self.message(
            notifier, channel=Channel.EMAIL, to=CANARY_EMAIL, html="<p>x</p>", attachments=(note,)
        )
        assert notifier.send(message).outcome is Outcome.ACCEPTED
        (seen,) = self.arrived(folder)
        assert message.text in seen.text
        assert seen.html is not None

    def test_a_broken_destination_is_an_outcome_and_not_an_error(self, folder: Path) -> None:
        notifier = self.make(folder)
        self.break_destination(folder)
        result = notifier.send(self.message(notifier))
        assert result.outcome in (Outcome.NOT_SENT, Outcome.UNKNOWN)
        assert result.reason
        assert result.detail

    def test_nothing_personal_is_in_results_findings_or_traces(self, folder: Path) -> None:
        notifier = self.make(folder)
        sent = notifier.send(self.message(notifier))
        traces = self.traces(folder)
        self.break_destination(folder)
        failed = notifier.send(self.message(notifier, id="at-2"))
        said = (sent, failed, *traces, *notifier.advise(), *notifier.check())
        assert not canaries_in(*said)
        assert not self.secrets_in(*said, vars(notifier), notifier.options)

    def secrets_in(self, *things: object) -> list[str]:
        """Return the secrets that somebody reading these would see."""
        shown = "\n".join(repr(thing) for thing in things)
        return [secret for secret in self.secrets if secret in shown]

    def test_what_is_handed_over_is_noted_just_before(self, folder: Path) -> None:
        notifier = self.make(folder)
        noted: list[tuple[str, int]] = []

        def note(attempt: str) -> None:
            noted.append((attempt, len(self.arrived(folder))))

        notifier.kit = replace(notifier.kit, handing_over=note)
        notifier.send(self.message(notifier, id="at-1"))
        notifier.send(self.message(notifier, id="at-2"))
        assert noted == ([("at-1", 0), ("at-2", 1)] if notifier.hands_over else [])

    def test_closing_is_harmless_at_any_time(self, folder: Path) -> None:
        notifier = self.make(folder)
        notifier.close()
        for number in range(2):
            message = self.message(notifier, id=f"at-{number}")
            assert notifier.send(message).outcome is Outcome.ACCEPTED
            notifier.close()
            notifier.close()
        assert len(self.arrived(folder)) == 2

    def test_it_knows_whether_messages_leave_the_machine(self, folder: Path) -> None:
        assert isinstance(self.make(folder).outside, bool)

    def test_what_it_advises_can_be_followed(self, folder: Path) -> None:
        notifier = self.make(folder)
        assert all(f.message and f.fix for f in notifier.advise())
        assert not self.arrived(folder)

    def test_check_says_what_is_wrong_and_sends_nothing(self, folder: Path) -> None:
        notifier = self.make(folder)
        assert not [f for f in notifier.check() if f.severity == "error"]
        assert not self.arrived(folder)
        self.break_destination(folder)
        errors: list[Finding] = [f for f in notifier.check() if f.severity == "error"]
        assert errors
        assert all(f.message and f.fix for f in errors)


class ProviderContract(NotifierContract):
    """What holds besides for a notifier that speaks to a provider: every fault is what it is.

    `gone_is_proven` is false where a whole message is written at once, so that nobody knows how much
    of it a provider had read that ended the connection. `faults` are those that it can commit.
    """

    gone_is_proven: ClassVar[bool] = True
    faults: ClassVar[Collection[Fault]] = frozenset(Fault)

    def play(self, folder: Path, fault: Fault) -> None:
        """Make the provider do this to the next message, and only to that one."""
        raise NotImplementedError

    @pytest.mark.parametrize("fault", Fault)
    def test_each_fault_of_the_provider_is_the_outcome_that_it_is(
        self, folder: Path, fault: Fault, caplog: pytest.LogCaptureFixture
    ) -> None:
        if fault not in self.faults:
            return
        notifier = self.make(folder)
        self.play(folder, fault)
        caplog.set_level(0)
        result = notifier.send(self.message(notifier))
        assert result.outcome is self.expected(fault), result
        assert result.reason
        assert result.detail
        assert not canaries_in(result, caplog.text)
        assert not self.secrets_in(result, caplog.text)
        taken = 1 if fault in TAKEN else 0
        assert len(self.arrived(folder)) == taken, "one attempt is one attempt"
        # Only what is nobody's own fault may keep the others waiting.
        assert not (result.pause and result.outcome in (Outcome.REJECTED, Outcome.ACCEPTED))
        assert result.pause is not None or fault is not Fault.LOCKED_OUT

    def expected(self, fault: Fault) -> Outcome:
        """Return what an attempt is after a fault."""
        if fault is Fault.GONE and not self.gone_is_proven:
            return Outcome.UNKNOWN
        return EXPECTED[fault]

    @pytest.mark.parametrize("fault", Fault)
    def test_after_a_fault_the_next_message_leaves(self, folder: Path, fault: Fault) -> None:
        if fault not in self.faults:
            return
        notifier = self.make(folder)
        notifier.send(self.message(notifier, id="at-0"))
        self.play(folder, fault)
        notifier.send(self.message(notifier, id="at-1"))
        before = len(self.arrived(folder))
        assert notifier.send(self.message(notifier, id="at-2")).outcome is Outcome.ACCEPTED
        assert len(self.arrived(folder)) == before + 1

    def test_an_attempt_whose_answer_was_lost_is_found_by_another_process(
        self, folder: Path
    ) -> None:
        if not self.answers_lookups:
            return
        notifier = self.make(folder)
        self.play(folder, Fault.ANSWER_LOST)
        message = self.message(notifier)
        assert notifier.send(message).outcome is Outcome.UNKNOWN
        proof = self.make(folder).lookup(self.asked(message))
        assert isinstance(proof, Found)
        assert proof.provider_id
        assert len(self.arrived(folder)) == 1

    def test_that_nothing_is_there_is_believed_at_a_second_look(self, folder: Path) -> None:
        """Lists of providers lag behind what they took."""
        if not self.answers_lookups:
            return
        notifier = self.make(folder)
        message = self.message(notifier)
        first = notifier.lookup(self.asked(message))
        assert isinstance(first, CannotTell)
        assert first.nothing
        assert first.retry_after
        too_soon = self.asked(message, nothing_since=NOW, at=NOW + timedelta(seconds=1))
        assert isinstance(notifier.lookup(too_soon), CannotTell)
        later = self.asked(message, nothing_since=NOW, at=NOW + first.retry_after)
        assert isinstance(notifier.lookup(later), Absent)

    def test_a_provider_that_cannot_be_asked_proves_nothing(self, folder: Path) -> None:
        if not self.answers_lookups:
            return
        notifier = self.make(folder)
        message = self.message(notifier)
        self.break_destination(folder)
        long_ago = self.asked(message, nothing_since=NOW - timedelta(days=1))
        proof = notifier.lookup(long_ago)
        assert isinstance(proof, CannotTell)
        assert proof.retry_after
        assert not proof.nothing

    def test_a_process_that_may_no_longer_send_does_not(self, folder: Path) -> None:
        notifier = self.make(folder)
        if not notifier.hands_over:  # it is proven otherwise what became of its attempts
            assert self.answers_lookups
            return
        kit = notifier.kit
        notifier.kit = replace(kit, handing_over=_refuse)
        with pytest.raises(NoLongerOurs):
            notifier.send(self.message(notifier, id="at-1"))
        assert not self.arrived(folder)
        notifier.kit = kit
        assert notifier.send(self.message(notifier, id="at-2")).outcome is Outcome.ACCEPTED
        assert len(self.arrived(folder)) == 1


class NoLongerOurs(Exception):
    """What handing over raises in a process that has lost its leave to send."""


def _refuse(attempt: str) -> None:
    raise NoLongerOurs
