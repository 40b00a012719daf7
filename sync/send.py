"""deliver, messages: passes what is due through the gate on fresh data, and sends it once.

An attempt is written down before its first byte leaves, under an id that is always the same for the
same message. What is known of its end is written with the told-state in one transaction; what is
not known is found out by `sync.settle`, never guessed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from clinicrelay.actions import Told
from clinicrelay.contracts import Attempt, Found, Message, Outcome, SendResult
from clinicrelay.model import Channel, Patient, Practitioner
from sync import breaker, outward, planner
from sync.breaker import Barred, Breaker
from sync.compose import Fresh, message_of, person_of
from sync.gate import Drop, Go, Verdict, Wait, gate
from sync.guard import Hold, messages_allowed
from sync.standing import PART_OF, NotNamed, Rehearse, Standing, Stopped
from sync.store import flood, high_water, incoming, said, unproven, wakes
from sync.store.said import Due

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sync.clinic import Clinic
    from sync.store.leases import Lease

_AT_ONCE = 100
_FIRST_RETRY = timedelta(minutes=1)
_LAST_RETRY = timedelta(minutes=30)


@dataclass(slots=True)
class MessageRun:
    """What became of messages in this run."""

    sent: int = 0
    failed: int = 0
    unknown: int = 0
    rehearsed: int = 0
    by_channel: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    unproven: list[str] = field(default_factory=list)  # nobody will ever know whether they arrived
    barred: Mapping[str, Barred] = field(default_factory=dict)
    breaker: Breaker | None = None  # None: not looked up yet
    holds: list[dict[str, object]] = field(default_factory=list)
    broken_texts: set[str] = field(default_factory=set)  # the clinic's own; ours were sent instead


def send(clinic: Clinic, lease: Lease, run: MessageRun) -> None:
    """Send what is due, oldest first; what is too much for one hour is held."""
    _hold_surplus(clinic, lease, run)
    while batch := _due(clinic):
        known = _look_up(clinic, batch)
        for due in batch:
            if clinic.ending.is_set():
                return
            _one(clinic, lease, due, known.get(due.appointment or 0), run)
        run.broken_texts |= clinic.words.passed_over


def _due(clinic: Clinic) -> list[Due]:
    with clinic.store.read() as connection:
        return said.due(connection, clinic.store.clinic, now=clinic.now, limit=_AT_ONCE)


def _hand_over(clinic: Clinic, lease: Lease, attempt: str, *, patience: timedelta) -> None:
    """Write down that the provider may have an attempt from now on. Raises LeaseLost."""
    with clinic.store.write() as connection:
        lease.fence(connection, patience)
        unproven.hand_over(connection, attempt)


def _hold_surplus(clinic: Clinic, lease: Lease, run: MessageRun) -> None:
    """Hold what is beyond the limit of an hour: a flood is a mistake until a person says otherwise."""
    safety = clinic.settings.safety
    with clinic.store.read() as connection:
        due = flood.count_due(connection, clinic.store.clinic, now=clinic.now)
        if due == 0:
            return
        hours = flood.sent_by_hour(connection, clinic.store.clinic, now=clinic.now)
        held = flood.count_held(connection, clinic.store.clinic)
    allowed = messages_allowed(hours, most=safety.max_messages_per_run, times=safety.hold_if.storm)
    if due <= allowed:
        return
    summary = f"{due} messages are due at once, {allowed} may leave now"
    summary += f"; {held} were held before" if held else ""
    storm = Hold("storm", held + due - allowed, held + due, summary)
    with clinic.store.write() as connection:
        lease.fence(connection)
        number = incoming.hold(connection, clinic.store.clinic, "", [], storm, now=clinic.now)
        flood.hold_after(connection, clinic.store.clinic, number, now=clinic.now, keep=allowed)
    run.holds.append(storm.told_as(number))


def _look_up(clinic: Clinic, batch: Sequence[Due]) -> dict[int, Fresh]:
    ids = [due.appointment for due in batch if due.appointment]
    with clinic.store.read() as connection:
        found = wakes.by_ids(connection, ids)
        told = planner.told_of(connection, list(found.values()))
    return {n: Fresh(one, one.visit, dict(told.get(n, {}))) for n, one in found.items()}


def _one(clinic: Clinic, lease: Lease, due: Due, fresh: Fresh | None, run: MessageRun) -> None:
    person = person_of(clinic, due.say, fresh)
    standing = clinic.standing()  # a pause holds from the next message on
    verdict = _ask_gate(clinic, standing, due, fresh, person)
    if not isinstance(verdict, Go):
        _put_off(clinic, lease, due, verdict, run)
        return
    visit = fresh.visit if fresh else None
    leaving = outward.message(clinic, standing, due.say, visit, verdict)
    if isinstance(leaving, Stopped):
        _put_off(clinic, lease, due, Wait(leaving.until, leaving.reason), run)
    elif isinstance(leaving, NotNamed):
        _put_off(clinic, lease, due, Drop(leaving.reason, "safety.only_recipients"), run)
    elif isinstance(leaving, Rehearse):
        _rehearse(clinic, lease, due, message_of(clinic, due, fresh, person, verdict), run)
    elif isinstance(working := _working(clinic, verdict, run), Go):
        _send_one(clinic, lease, due, fresh, person, working, run)
    else:
        _put_off(clinic, lease, due, working, run)


def _ask_gate(
    clinic: Clinic,
    standing: Standing,
    due: Due,
    fresh: Fresh | None,
    person: Patient | Practitioner | None,
) -> Verdict:
    say = due.say
    addresses = {
        Channel.EMAIL: person.email if person else None,
        Channel.SMS: person.phone if person else None,
        Channel.WHATSAPP: person.phone if person else None,
    }
    return gate(
        say,
        fresh=fresh.visit if fresh else None,
        gone=fresh is not None and fresh.woken.gone_at is not None,
        told=_told_by_another(clinic, due, fresh),
        person=person,
        addresses=addresses,
        options=outward.options(clinic, standing, say, fresh.visit if fresh else None),
        now=clinic.now,
    )


def _rehearse(clinic: Clinic, lease: Lease, due: Due, message: Message, run: MessageRun) -> None:
    """Write a message where a person can read it, and count the recipient as told.

    So a rehearsal goes on as the real thing would: a move of what was confirmed is told as a move.
    """
    known = clinic.rehearsal.lookup(Attempt(message, clinic.now, clinic.now))
    if not isinstance(known, Found):  # from before a kill
        clinic.rehearsal.send(message)
    with clinic.store.write() as connection:
        lease.fence(connection)
        _tell(connection, clinic, due, message)
        said.settle(
            connection,
            due.id,
            "skipped",
            now=clinic.now,
            reason="rehearsal",
            setting=f"clinicrelay live {PART_OF[due.say.role]}",
        )
    run.rehearsed += 1
    run.skipped["rehearsal"] += 1


def _tell(connection: Connection, clinic: Clinic, due: Due, message: Message) -> None:
    if due.appointment is not None:
        said.tell(
            connection,
            clinic.store.clinic,
            due.appointment,
            due.say,
            by=message.id,
            kind=due.say.kind,
            channel=message.channel,
            now=clinic.now,
        )


def _told_by_another(clinic: Clinic, due: Due, fresh: Fresh | None) -> Told | None:
    """Return what was last told, but for what a message that is repeated may itself have told."""
    told = fresh.told.get(due.say.recipient) if fresh else None
    if told is None or not due.say.repeated:
        return told
    own = {clinic.opaque("message", due.dedupe, channel) for channel in Channel}
    return None if told.by in own else told


def _working(clinic: Clinic, go: Go, run: MessageRun) -> Verdict:
    """Nothing is tried with a notifier that could send nothing a moment ago."""
    if run.breaker is None:
        with clinic.store.read() as connection:
            run.breaker = breaker.known(connection, clinic.store.clinic)
    barred = run.breaker.barred.get(go.notifiers[0])
    return Wait(barred.until, barred.reason) if barred and clinic.now < barred.until else go


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
    fresh: Fresh | None,
    person: Patient | Practitioner | None,
    go: Go,
    run: MessageRun,
) -> None:
    message = message_of(clinic, due, fresh, person, go)
    name = go.notifiers[0]
    notifier = clinic.notifier(name)
    patience = notifier.patience
    clinic.hand_over = lambda attempt: _hand_over(clinic, lease, attempt, patience=patience)
    with clinic.store.write() as connection:
        lease.fence(connection, patience)
        said.begin_attempt(
            connection,
            clinic.store.clinic,
            due,
            message,
            name,
            run=clinic.run,
            now=clinic.now,
        )
    if not clinic.dry:
        high_water.note(clinic.settings.data, lease.token)
    result = notifier.send(message)
    before = run.breaker or Breaker()
    run.breaker = breaker.note(clinic, lease, before, name, due.say.recipient, result)
    conclude(clinic, lease, due, message, result, run)


def conclude(
    clinic: Clinic, lease: Lease, due: Due, message: Message, result: SendResult, run: MessageRun
) -> None:
    """Write down what became of an attempt, and what the person knows from now on."""
    with clinic.store.write() as connection:
        lease.fence(connection)
        said.end_attempt(connection, message.id, result, now=clinic.now)
        if result.outcome is Outcome.ACCEPTED:
            reason = "unproven_repeated" if due.say.repeated else None
            said.settle(connection, due.id, "sent", now=clinic.now, reason=reason)
            _tell(connection, clinic, due, message)
            run.sent += 1
            run.by_channel[message.channel.value] += 1
        elif result.outcome is Outcome.REJECTED:
            why = f"{result.code}: {result.reason}" if result.code else result.reason
            reason = f"provider_rejected({why})"
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
