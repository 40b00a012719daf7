"""deliver, messages: passes what is due through the gate on fresh data, and sends it once.

An attempt is written down before its first byte leaves, under an id that is always the same for the
same message. What is known of its end is written with the told-state in one transaction; what is
not known is found out by `sync.settle`, never guessed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from clinicrelay.actions import MessageKind, Role, Say, Told
from clinicrelay.contracts import Attachment, Message, Outcome, SendResult
from clinicrelay.model import Appointment, Channel, Patient, Practitioner
from sync import planner
from sync.gate import Drop, Go, Verdict, Wait, gate, options_for
from sync.guard import Hold, messages_allowed
from sync.store import flood, incoming, said, wakes
from sync.store.said import Due
from sync.store.wakes import Woken

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.store.leases import Lease
    from sync.words import Rendered

_AT_ONCE = 100
_FIRST_RETRY = timedelta(minutes=1)
_LAST_RETRY = timedelta(minutes=30)


@dataclass(slots=True)
class MessageRun:
    """What became of messages in this run."""

    sent: int = 0
    failed: int = 0
    unknown: int = 0
    by_channel: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    holds: list[dict[str, object]] = field(default_factory=list)


def send(clinic: Clinic, lease: Lease, run: MessageRun) -> None:
    """Send what is due, oldest first; what is too much for one hour is held."""
    _hold_surplus(clinic, lease, run)
    while batch := _due(clinic):
        known = _look_up(clinic, batch)
        for due in batch:
            _one(clinic, lease, due, known.get(due.appointment or 0), run)


def _due(clinic: Clinic) -> list[Due]:
    with clinic.store.read() as connection:
        return said.due(connection, clinic.store.clinic, now=clinic.now, limit=_AT_ONCE)


def _hold_surplus(clinic: Clinic, lease: Lease, run: MessageRun) -> None:
    """Hold what is beyond the limit of an hour: a flood is a mistake until a person says otherwise."""
    safety = clinic.settings.safety
    with clinic.store.read() as connection:
        due = flood.count_due(connection, clinic.store.clinic, now=clinic.now)
        if due == 0:
            return
        hours = flood.sent_by_hour(connection, clinic.store.clinic, now=clinic.now)
    allowed = messages_allowed(hours, most=safety.max_messages_per_run, times=safety.hold_if.storm)
    if due <= allowed:
        return
    storm = Hold(
        "storm", due - allowed, due, f"{due} messages are due at once, {allowed} may leave now"
    )
    with clinic.store.write() as connection:
        lease.fence(connection)
        number = incoming.hold(connection, clinic.store.clinic, "", [], storm, now=clinic.now)
        flood.hold_after(connection, clinic.store.clinic, number, now=clinic.now, keep=allowed)
    run.holds.append(storm.told_as(number))


@dataclass(frozen=True, slots=True)
class _Fresh:
    """A visit as it stands at this moment, and who was told what of it."""

    woken: Woken
    visit: Appointment
    told: dict[str, Told]


def _look_up(clinic: Clinic, batch: Sequence[Due]) -> dict[int, _Fresh]:
    ids = [due.appointment for due in batch if due.appointment]
    with clinic.store.read() as connection:
        found = wakes.by_ids(connection, ids)
        told = planner.told_of(connection, list(found.values()))
    return {n: _Fresh(one, one.visit, dict(told.get(n, {}))) for n, one in found.items()}


def _one(clinic: Clinic, lease: Lease, due: Due, fresh: _Fresh | None, run: MessageRun) -> None:
    person = _person(clinic, due.say, fresh)
    verdict = _ask_gate(clinic, due.say, fresh, person)
    if isinstance(verdict, Go):
        verdict = _allowed_out(clinic, verdict)
    if isinstance(verdict, Go):
        _send_one(clinic, lease, due, fresh, person, verdict, run)
    else:
        _put_off(clinic, lease, due, verdict, run)


def _person(clinic: Clinic, say: Say, fresh: _Fresh | None) -> Patient | Practitioner | None:
    key = say.recipient.partition("/")[2]
    if say.role is Role.PATIENT:
        patients = fresh.visit.patients if fresh else ()
        return next((p for p in patients if p.key == key), None)
    visits = [fresh.visit] if fresh else [w.visit for w in _digest_visits(clinic, say)]
    return next(
        (
            clinic.as_named(visit.source, p)
            for visit in visits
            for p in visit.practitioners
            if p.key == key
        ),
        None,
    )


def _digest_visits(clinic: Clinic, say: Say) -> list[Woken]:
    """Return the visits that a doctor's digest is about."""
    assert say.facts.start is not None
    with clinic.store.read() as connection:
        visits = wakes.of_day(
            connection,
            clinic.store.clinic,
            first=say.facts.start,
            end=say.facts.start + timedelta(days=1),
        )
    key = say.facts.practitioner
    return [
        w
        for w in visits
        if w.visit.status.on_calendar and any(p.key == key for p in w.visit.practitioners)
    ]


def _ask_gate(
    clinic: Clinic, say: Say, fresh: _Fresh | None, person: Patient | Practitioner | None
) -> Verdict:
    addresses = {
        Channel.EMAIL: person.email if person else None,
        Channel.SMS: person.phone if person else None,
        Channel.WHATSAPP: person.phone if person else None,
    }
    return gate(
        say,
        fresh=fresh.visit if fresh else None,
        gone=fresh is not None and fresh.woken.gone_at is not None,
        told=fresh.told.get(say.recipient) if fresh else None,
        person=person,
        addresses=addresses,
        options=options_for(say, clinic.settings, clinic.senders),
        now=clinic.now,
    )


def _allowed_out(clinic: Clinic, go: Go) -> Verdict:
    """Nothing leaves this machine in rehearsal, or under a clock that was set by hand."""
    why = clinic.may_reach_out(clinic.notifier(go.notifiers[0]))
    return Drop(why, "clinicrelay live patients" if why == "rehearsal" else "--now") if why else go


def _put_off(clinic: Clinic, lease: Lease, due: Due, verdict: Drop | Wait, run: MessageRun) -> None:
    with clinic.store.write() as connection:
        lease.fence(connection)
        if isinstance(verdict, Wait):
            said.settle(
                connection,
                due.id,
                "planned",
                now=clinic.now,
                reason=verdict.reason,
                next_try_at=max(verdict.until, clinic.now + timedelta(seconds=1)),
            )
        else:
            said.settle(
                connection,
                due.id,
                "skipped",
                now=clinic.now,
                reason=verdict.reason,
                setting=verdict.setting,
            )
    run.skipped[verdict.reason] += 1


def _send_one(
    clinic: Clinic,
    lease: Lease,
    due: Due,
    fresh: _Fresh | None,
    person: Patient | Practitioner | None,
    go: Go,
    run: MessageRun,
) -> None:
    message = _message(clinic, due, fresh, person, go)
    name = go.notifiers[0]
    with clinic.store.write() as connection:
        lease.fence(connection)
        said.begin_attempt(
            connection,
            clinic.store.clinic,
            due,
            message,
            name,
            run=clinic.run,
            now=clinic.now,
        )
    result = clinic.notifier(name).send(message)
    conclude(clinic, lease, due, message, result, run)


def conclude(
    clinic: Clinic, lease: Lease, due: Due, message: Message, result: SendResult, run: MessageRun
) -> None:
    """Write down what became of an attempt, and what the person knows from now on."""
    with clinic.store.write() as connection:
        lease.fence(connection)
        said.end_attempt(connection, message.id, result, now=clinic.now)
        if result.outcome is Outcome.ACCEPTED:
            said.settle(connection, due.id, "sent", now=clinic.now)
            if due.appointment is not None:
                said.tell(
                    connection,
                    clinic.store.clinic,
                    due.appointment,
                    due.say,
                    by=message.id,
                    channel=message.channel,
                    now=clinic.now,
                )
            run.sent += 1
            run.by_channel[message.channel.value] += 1
        elif result.outcome is Outcome.REJECTED:
            reason = f"provider_rejected({result.reason})"
            said.settle(connection, due.id, "failed", now=clinic.now, reason=reason)
            run.failed += 1
        elif result.outcome is Outcome.NOT_SENT:
            said.settle(
                connection,
                due.id,
                "planned",
                now=clinic.now,
                reason=result.reason or "not_sent",
                next_try_at=clinic.now + _wait(result, due),
            )
            run.skipped[result.reason or "not_sent"] += 1
        else:
            said.settle(
                connection,
                due.id,
                "unknown",
                now=clinic.now,
                reason=result.reason or "unknown",
                next_try_at=clinic.now + _wait(result, due),
            )
            run.unknown += 1


def _wait(result: SendResult, due: Due) -> timedelta:
    return pause(due.tries) if result.retry_after is None else result.retry_after


def pause(tries: int) -> timedelta:
    """Return how long to wait before the next try."""
    doubled: timedelta = _FIRST_RETRY * (1 << min(tries, 10))
    return min(doubled, _LAST_RETRY)


def _message(
    clinic: Clinic,
    due: Due,
    fresh: _Fresh | None,
    person: Patient | Practitioner | None,
    go: Go,
) -> Message:
    from sync.wording import invitation, text_facts

    say = due.say
    visits = [] if fresh else _digest_visits(clinic, say)
    patient = person if isinstance(person, Patient) else None
    facts = text_facts(clinic, say, fresh.visit if fresh else None, person, visits)
    language = patient.language if patient else None
    words: Rendered = clinic.words.render(say.kind, say.role, go.channel, language, facts)
    attached: tuple[Attachment, ...] = ()
    if (
        say.invite
        and go.channel is Channel.EMAIL
        and fresh
        and say.kind is not MessageKind.REMINDER
    ):
        attached = (invitation(clinic, say, fresh.woken, fresh.visit, go.address, words),)
    return Message(
        id=clinic.opaque("message", due.dedupe, go.channel),
        channel=go.channel,
        to=go.address,
        text=words.text,
        html=words.html,
        subject=words.subject,
        language=words.language,
        kind=say.kind.value,
        attachments=attached,
        useless_after=say.useless_after,
        written_at=clinic.now,
    )
