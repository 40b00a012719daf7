"""deliver, messages: passes what is due through the gate on fresh data, and sends it once.

An attempt is written down before its first byte leaves, under an id that is always the same for the
same message. What is known of its end is written with the told-state in one transaction
(`sync.conclude`); what is not known is found out by `sync.settle`, never guessed. What a provider
refuses comes round again and takes the next way that is left to the person (`sync.ways`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec import structs

from clinicrelay.actions import Told
from clinicrelay.contracts import Attempt, Found, Message, Outcome
from clinicrelay.model import Channel, Patient, Practitioner
from sync import breaker, outward, planner, ways
from sync.breaker import Barred, Breaker
from sync.compose import Fresh, addresses_of, message_of, person_of
from sync.conclude import conclude, tell
from sync.gate import Drop, Go, Verdict, Wait, gate
from sync.guard import Hold, messages_allowed
from sync.reasons import base
from sync.standing import PART_OF, Answer, Leave, NotNamed, Rehearse, Standing, Stopped
from sync.store import attempts, flood, incoming, said, unproven, wakes
from sync.store.said import Due, Pass
from sync.ways import Ways

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.store.leases import Lease

_AT_ONCE = 100


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


def send(clinic: Clinic, lease: Lease, shard: int, which: Pass, run: MessageRun) -> None:
    """Send what is due in a shard, oldest first."""
    while batch := _due(clinic, shard, which):
        known = _look_up(clinic, batch)
        told: set[int | None] = set()
        for due in batch:
            if clinic.ending.is_set():
                return
            fresh = due.appointment not in told and _stands(clinic, due, known)
            _one(clinic, lease, due, known if fresh else _look_up(clinic, [due]), run)
            told.add(due.appointment)
        run.broken_texts |= clinic.words.passed_over


def hold_surplus(clinic: Clinic, lease: Lease, run: MessageRun) -> None:
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


def _due(clinic: Clinic, shard: int, which: Pass) -> list[Due]:
    with clinic.store.read() as connection:
        return said.due(
            connection, clinic.store.clinic, shard, which, now=clinic.now, limit=_AT_ONCE
        )


def _hand_over(clinic: Clinic, lease: Lease, attempt: str, *, patience: timedelta) -> None:
    """Write down that the provider may have an attempt from now on. Raises LeaseLost."""
    with clinic.store.write() as connection:
        lease.fence(connection, patience)
        unproven.hand_over(connection, attempt)


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a batch: the visits as they stand, their people, and the ways to them."""

    visits: Mapping[int, Fresh]
    people: Mapping[int, Patient | Practitioner | None]
    ways: Ways


def _look_up(clinic: Clinic, batch: Sequence[Due]) -> _Known:
    ids = [due.appointment for due in batch if due.appointment]
    with clinic.store.read() as connection:
        found = wakes.by_ids(connection, ids)
        told = planner.told_of(connection, list(found.values()))
    visits = {n: Fresh(one, one.visit, dict(told.get(n, {}))) for n, one in found.items()}
    people = {due.id: person_of(clinic, due.say, visits.get(due.appointment or 0)) for due in batch}
    with clinic.store.read() as connection:
        known = ways.known(connection, clinic, batch, map(addresses_of, people.values()))
    return _Known(visits, people, known)


def _stands(clinic: Clinic, due: Due, known: _Known) -> bool:
    """Whether a visit is as it was looked up: the messages before this one may have taken a while."""
    fresh = known.visits.get(due.appointment or 0)
    if fresh is None:
        return due.appointment is None
    with clinic.store.read() as connection:
        return wakes.stands(connection, fresh.woken)


def _one(clinic: Clinic, lease: Lease, due: Due, known: _Known, run: MessageRun) -> None:
    case = _Case(
        clinic,
        clinic.standing(),  # a pause holds from the next message on
        due,
        known.visits.get(due.appointment or 0),
        known.people[due.id],
        known.ways,
    )
    verdict = case.ask()
    leaving = case.leaving(verdict) if isinstance(verdict, Go) else None
    if isinstance(verdict, Go) and isinstance(leaving, Leave):
        verdict = _working(case, verdict, run)
        # By another notifier it may be another question whether it may leave.
        leaving = case.leaving(verdict) if isinstance(verdict, Go) else None
    if isinstance(verdict, Go) and isinstance(leaving, Leave):
        _send_one(case, lease, verdict, run)
    elif isinstance(verdict, Go) and isinstance(leaving, Rehearse):
        _rehearse(case, lease, verdict, run)
    else:
        _put_off(case, lease, _why_not(verdict, leaving), run)


def _why_not(verdict: Verdict, leaving: Answer | None) -> Drop | Wait:
    if isinstance(leaving, Stopped):
        return Wait(leaving.until, leaving.reason)
    if isinstance(leaving, NotNamed):
        return Drop(leaving.reason, "safety.only_recipients")
    assert not isinstance(verdict, Go)
    return verdict


@dataclass(frozen=True, slots=True)
class _Case:
    """One message with all that decides about it."""

    clinic: Clinic
    standing: Standing
    due: Due
    fresh: Fresh | None
    person: Patient | Practitioner | None
    ways: Ways

    def ask(self, closed: Mapping[Channel, str] | None = None) -> Verdict:
        """Ask the gate, with further channels closed."""
        say, visit = self.due.say, self.fresh.visit if self.fresh else None
        addresses = addresses_of(self.person)
        options = self.ways.left(
            self.due, addresses, outward.options(self.clinic, self.standing, say, visit)
        )
        if closed:
            options = replace(options, closed={**options.closed, **closed})
        return gate(
            say,
            fresh=visit,
            gone=self.fresh is not None and self.fresh.woken.gone_at is not None,
            told=self._told_by_another(),
            person=self.person,
            addresses=addresses,
            options=options,
            now=self.clinic.now,
        )

    def leaving(self, go: Go) -> Answer:
        """Ask whether it may leave this way."""
        visit = self.fresh.visit if self.fresh else None
        return outward.message(self.clinic, self.standing, self.due.say, visit, go)

    def message(self, go: Go) -> Message:
        attempt = self.ways.attempt(self.due, go)
        return message_of(self.clinic, self.due, self.fresh, self.person, go, attempt)

    def _told_by_another(self) -> Told | None:
        """Return what was last told, but for what an earlier attempt at this message may have told."""
        told = self.fresh.told.get(self.due.say.recipient) if self.fresh else None
        if told is None or not self.due.tries:
            return told
        return None if told.by in self.ways.own(self.due) else told


def _working(case: _Case, go: Go, run: MessageRun) -> Verdict:
    """Nothing is tried with a notifier that could send nothing a moment ago."""
    if run.breaker is None:
        with case.clinic.store.read() as connection:
            run.breaker = breaker.known(connection, case.clinic.store.clinic)
    return ways.working(case.due, go, run.breaker.barred, case.ask, now=case.clinic.now)


def _has_others(case: _Case, go: Go) -> bool:
    """Whether it may leave another way at once: by the channel's next notifier, or the next channel."""
    return len(go.notifiers) > 1 or case.clinic.now >= ways.patience_ends(case.due.say)


def _rehearse(case: _Case, lease: Lease, go: Go, run: MessageRun) -> None:
    """Write a message where a person can read it, and count the recipient as told.

    So a rehearsal goes on as the real thing would: a move of what was confirmed is told as a move.
    """
    clinic, due, message = case.clinic, case.due, case.message(go)
    known = clinic.rehearsal.lookup(Attempt(message, clinic.now, clinic.now))
    if not isinstance(known, Found):  # from before a kill
        clinic.rehearsal.send(message)
    with clinic.store.write() as connection:
        lease.fence(connection)
        tell(connection, clinic, due, message)
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


def _put_off(case: _Case, lease: Lease, verdict: Drop | Wait, run: MessageRun) -> None:
    clinic, due = case.clinic, case.due
    if isinstance(verdict, Drop) and verdict.no_way and due.tries:
        _give_up(case, lease, verdict, run)
        return
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


def _give_up(case: _Case, lease: Lease, verdict: Drop, run: MessageRun) -> None:
    """End a message that was tried and has no way left, by what the tries came to."""
    clinic, due = case.clinic, case.due
    state, reason = ended(due, verdict)
    with clinic.store.write() as connection:
        lease.fence(connection)
        said.settle(connection, due.id, state, now=clinic.now, reason=reason)
    if state == "unproven":
        run.unproven += [one.id for one in case.ways.tried.get(due.id, ())][-1:]
    else:
        run.failed += 1


def ended(due: Due, verdict: Drop) -> tuple[str, str]:
    """Return the state and the reason with which a message ends that has no way left."""
    reason = due.reason or ""
    if base(reason).startswith("unproven"):
        return "unproven", reason
    if base(reason) in ("provider_rejected", "undelivered"):
        return "failed", reason
    return "failed", f"provider_rejected({verdict.reason})"


def _send_one(case: _Case, lease: Lease, go: Go, run: MessageRun) -> None:
    clinic, due, message = case.clinic, case.due, case.message(go)
    name = go.notifiers[0]
    notifier = clinic.notifier(name)
    patience = notifier.patience
    clinic.hand_over = lambda attempt: _hand_over(clinic, lease, attempt, patience=patience)
    with clinic.store.write() as connection:
        lease.fence(connection, patience)
        attempts.begin(
            connection,
            clinic.store.clinic,
            due,
            message,
            name,
            run=clinic.run,
            now=clinic.now,
        )
    result = notifier.send(message)
    before = run.breaker or Breaker()
    run.breaker = breaker.note(clinic, lease, before, name, due.say.recipient, result)
    if result.outcome is Outcome.NOT_SENT and result.pause and _has_others(case, go):
        result = structs.replace(result, retry_after=timedelta(0))  # another way, at once
    seen = case.fresh.woken if case.fresh else None
    conclude(clinic, lease, due, message, name, result, run, seen=seen)
