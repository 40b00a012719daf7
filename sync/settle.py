"""settle: finds out what became of attempts whose end nobody knows, before anything is sent again.

Proof of acceptance counts as sent; proof of absence lets a message go again. Where no proof can be
had it depends on which harm is worse: a reminder is left alone, as the next one covers it, but a
patient must not stand in front of a closed door. What is left unproven stays visible as such, and
whoever may have got it is told of whatever changes afterwards. What a store that was put back from a
copy may have sent before (`sync.restored`) is not sent again without proof, whatever it is.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from clinicrelay.actions import MessageKind, Role, Say
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
from clinicrelay.model import Channel
from clinicrelay.times import parse_span
from sync import restored, seeing
from sync.conclude import Conclusion, conclude
from sync.store import gap, said, together, told_state, unproven, wakes
from sync.store.in_flight import knows_newer

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sync.clinic import Clinic
    from sync.send import MessageRun
    from sync.store.leases import Lease
    from sync.store.said import Open

_AT_ONCE = timedelta(0)


def settle(clinic: Clinic, lease: Lease, shard: int, run: MessageRun) -> None:
    """Ask each notifier about a shard's open attempts, and decide where there is no answer to be had.

    Called under the lease of the shard, so an attempt that is open here has no living sender.
    """
    with clinic.store.read() as connection:
        attempts = said.open_attempts(connection, clinic.store.clinic, shard, now=clinic.now)
    # A message that is found is known then, and no longer taken for another one that may have left.
    attempts = [one for one in attempts if not _is_found(clinic, lease, one, run)]
    for attempt in attempts:
        if not run.may_use(attempt.notifier):
            continue
        proof = _proof(clinic, attempt)
        if isinstance(proof, CannotTell) and proof.nothing:
            _note_nothing(clinic, lease, attempt)
        if isinstance(proof, CannotTell) and _is_final(proof, attempt.due.say, clinic.now):
            if not _leave_or_repeat(clinic, lease, attempt):
                run.unproven.append(attempt.id)
            run.unknown += 1
        else:
            conclude(clinic, lease, _end(attempt, proof), run)


def _is_found(clinic: Clinic, lease: Lease, attempt: Open, run: MessageRun) -> bool:
    """Conclude what the lost part of a store that was put back from a copy is proven to have sent."""
    if not attempt.restored or not run.may_use(attempt.notifier):
        return False
    proof = _proof(clinic, attempt)
    if isinstance(proof, Found):
        conclude(clinic, lease, _end(attempt, proof), run)
    return isinstance(proof, Found)


def repeats(say: Say, channel: Channel, *, now: datetime) -> bool:
    """Return whether a message that may or may not have arrived is sent once more, and no oftener.

    A mail carries its Message-ID again, so that programs can know it as the same; of a confirmation
    by SMS the patient would only see two.
    """
    if say.repeated or now >= say.useless_after:
        return False
    if say.kind is MessageKind.CONFIRMATION:
        return channel is Channel.EMAIL
    return say.kind in (MessageKind.CHANGE, MessageKind.CANCELLATION, MessageKind.ALERT)


# --- what can be found out ------------------------------------------------------------------------


def _proof(clinic: Clinic, attempt: Open) -> Proof:
    if attempt.notifier not in clinic.settings.notifiers:
        return CannotTell()  # nobody is left to be asked
    if attempt.restored:
        return restored.proof(clinic, attempt, lambda message: _asked(clinic, attempt, message))
    notifier = clinic.notifier(attempt.notifier)
    return notifier.lookup(_asked(clinic, attempt, attempt.body))


def _asked(clinic: Clinic, attempt: Open, message: Message) -> Attempt:
    def is_known(provider_id: str) -> bool:
        with clinic.store.read() as connection:
            return unproven.is_known(connection, clinic.store.clinic, provider_id, but=attempt.id)

    return Attempt(
        message,
        begun_at=attempt.begun_at,
        at=clinic.now,
        nothing_since=attempt.nothing_since,
        is_known=is_known,
        written_anew=attempt.restored,
    )


def _note_nothing(clinic: Clinic, lease: Lease, attempt: Open) -> None:
    with clinic.store.write() as connection:
        lease.fence(connection)
        unproven.found_nothing(connection, attempt.id, now=clinic.now)


def _is_final(proof: CannotTell, say: Say, now: datetime) -> bool:
    return proof.retry_after is None or now >= say.useless_after


def _end(attempt: Open, proof: Proof) -> Conclusion:
    return Conclusion(
        attempt.due,
        attempt.body,
        attempt.notifier,
        _as_result(proof, attempt),
        attempt.started_at,
        found=attempt,
    )


def _as_result(proof: Proof, attempt: Open) -> SendResult:
    lost = attempt.restored
    if isinstance(proof, Found):
        why = gap.FOUND if lost else ""
        return SendResult(Outcome.ACCEPTED, why, provider_id=proof.provider_id)
    if isinstance(proof, Absent):
        why = gap.ABSENT if lost else "absence_proven"
        return SendResult(Outcome.NOT_SENT, why, retry_after=_AT_ONCE)
    why = gap.MAYBE if lost else "answer_lost"
    return SendResult(Outcome.UNKNOWN, why, retry_after=proof.retry_after)


# --- where there is no proof -----------------------------------------------------------------------


def _leave_or_repeat(clinic: Clinic, lease: Lease, attempt: Open) -> bool:
    """Return whether the message leaves once more, or may by another channel."""
    say, channel = attempt.due.say, attempt.body.channel
    lost = attempt.restored
    again = not lost and repeats(say, channel, now=clinic.now)
    elsewhere = not (again or lost) and _goes_elsewhere(clinic, say)
    reason = gap.UNPROVEN if lost else "unproven_repeated" if again else _why_left(say)
    with clinic.store.write() as connection:
        lease.fence(connection)
        unproven.abandon(connection, attempt.id, reason, now=clinic.now)
        beside = together.within(connection, attempt.message)
        if again:
            unproven.repeat(connection, attempt.message, say, reason)
        elif elsewhere:
            together.part(connection, attempt.message)
            said.settle(connection, attempt.message, "planned", now=clinic.now, reason=reason)
        else:
            together.share(connection, attempt.message, "unproven", reason)
            said.settle(connection, attempt.message, "unproven", now=clinic.now, reason=reason)
        if attempt.due.appointment is not None:
            beside.append((attempt.due.appointment, say))
        for visit, its in beside:
            _may_know(clinic, connection, attempt, visit, its)
    return again or elsewhere


def _goes_elsewhere(clinic: Clinic, say: Say) -> bool:
    """Whether another channel is tried: for the last reminder, which no later one makes up for.

    The gate says whether there is one; without, the message stays unproven.
    """
    if say.kind is not MessageKind.REMINDER or clinic.now >= say.useless_after:
        return False
    reminders = clinic.settings.reminders
    rules = reminders.patient if say.role is Role.PATIENT else reminders.doctor
    leads = [step.before.length for step in (rules.steps if rules else ())]
    return parse_span(say.step).length <= min(leads, default=timedelta(0))


def _why_left(say: Say) -> str:
    return "unproven_twice" if say.repeated else "unproven_not_repeated"


def _may_know(clinic: Clinic, connection: Connection, attempt: Open, visit: int, say: Say) -> None:
    """Measure later news by what the person may have read: a cancellation must reach them too.

    What they were told since is what they know.
    """
    if knows_newer(connection, visit, say.recipient, attempt):
        return
    woken = wakes.by_ids(connection, [visit])
    told = (
        seeing.told_of(clinic, connection, list(woken.values())).get(visit, {}).get(say.recipient)
    )
    if told is None or told.facts != say.facts:
        told_state.tell(
            connection,
            clinic.store.clinic,
            visit,
            say,
            by=attempt.id,
            kind=None,
            channel=attempt.body.channel,
            now=attempt.started_at,
        )
        wakes.look_again(connection, visit)
