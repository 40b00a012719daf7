"""deliver, messages: passes what is due through the gate on fresh data, and sends it once.

An attempt is written down before its provider can have accepted it, under an id that is always the
same for the same message. What is known of its end is written with the told-state in one transaction
(`sync.conclude`); what is not known is found out by `sync.settle`, never guessed. What a provider
refuses comes round again and takes the next way that is left to the person (`sync.ways`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec import structs

from clinicrelay.contracts import Attempt, Found, Message, Notifier, Outcome
from clinicrelay.counts import counted
from sync import breaker, outward, ways
from sync.beforehand import Decided, beforehand, decided_on
from sync.breaker import Barred, Breaker
from sync.case import Case, look_up
from sync.conclude import Conclusion, count, join, know_anyhow, tell, write
from sync.gate import Drop, Go, Verdict, Wait, needs_a_call
from sync.guard import Hold, messages_allowed
from sync.reasons import base
from sync.standing import Answer, Leave, NotNamed, Rehearse, Stopped
from sync.store import attempts, bulk, flood, incoming, said
from sync.store.said import Due, Pass

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sync.clinic import Clinic
    from sync.connections import Connections
    from sync.store.attempts import Tried
    from sync.store.leases import Lease
    from sync.together import Other

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
    connections: Connections | None = None
    holds: list[dict[str, object]] = field(default_factory=list)
    looked_again: bool = False  # sources were asked once more, and other senders waited for that
    broken_texts: set[str] = field(default_factory=set)  # the clinic's own; ours were sent instead

    @property
    def worked(self) -> bool:
        """Whether anything became of any message."""
        counts = self.sent, self.failed, self.unknown, self.rehearsed
        return any(counts) or bool(self.skipped or self.unproven)

    def may_use(self, notifier: str) -> bool:
        """Whether fewer processes use a notifier at present than may."""
        return self.connections is None or self.connections.has(notifier)


def send(clinic: Clinic, lease: Lease, shard: int, which: Pass, run: MessageRun) -> None:
    """Send what is due in a shard, oldest first."""
    sender = _Sender(clinic, lease, run)
    try:
        while batch := _due(clinic, shard, which):
            sender.send(batch)
            run.broken_texts |= clinic.words.passed_over
            if clinic.ending.is_set():
                return
    except _InUse:
        return
    finally:
        sender.conclude()


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
    summary = f"{counted(due, 'message')} are due at once, {allowed} may leave now"
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


class _InUse(Exception):
    """As many processes as may use a notifier at present; what is left is left to them."""


class _NotAsSeen(Exception):
    """What was decided about a message was decided by what holds no longer."""


def _why_not(verdict: Verdict, leaving: Answer | None) -> Drop | Wait:
    if isinstance(leaving, Stopped):
        return Wait(leaving.until, leaving.reason)
    if isinstance(leaving, NotNamed):
        return Drop(leaving.reason, "safety.only_recipients")
    assert not isinstance(verdict, Go)
    return verdict


def _working(case: Case, go: Go, run: MessageRun) -> Verdict:
    """Nothing is tried with a notifier that could send nothing a moment ago, or is in use enough."""
    if run.breaker is None:
        with case.clinic.store.read() as connection:
            run.breaker = breaker.known(connection, case.clinic.store.clinic)
    now = case.clinic.now
    verdict = ways.working(case.due, go, run.breaker.barred, case.ask, now=now)
    if isinstance(verdict, Go) and not run.may_use(verdict.notifiers[0]):
        raise _InUse
    return verdict


def _has_others(case: Case, go: Go) -> bool:
    """Whether it may leave another way at once: by the channel's next notifier, or the next channel."""
    return len(go.notifiers) > 1 or case.clinic.now >= ways.patience_ends(case.due.say)


def ended(due: Due, tried: Sequence[Tried]) -> tuple[str, str]:
    """Return the state and the reason with which a message ends that was tried in vain.

    What was said last stands with it, unless it has waited for something else since.
    """
    reason, last = due.reason or "", tried[-1]
    if last.state == "abandoned":
        return "unproven", "unproven_not_repeated"  # were it to be, there was no time or way
    if base(reason) in ("provider_rejected", "undelivered", "no_receipt"):
        return "failed", reason
    if last.state == "rejected":
        return "failed", f"provider_rejected({last.reason})"
    return "failed", last.reason if last.reason == "no_receipt" else f"undelivered({last.reason})"


class _Sender:
    """Sends one message after the other.

    What an attempt came to is written in the transaction that begins the next one, so a message
    costs one; it is there before the next one's provider is called, and whatever happens.
    """

    def __init__(self, clinic: Clinic, lease: Lease, run: MessageRun) -> None:
        self._clinic = clinic
        self._lease = lease
        self._run = run
        self._standing = clinic.standing()
        self._end: Conclusion | None = None  # of the attempt before, not yet written down
        self._joined: set[str] = set()  # of this batch: what left within another message
        self._patience = timedelta(0)  # of the slowest notifier that was used

    def send(self, batch: Sequence[Due]) -> None:
        """Send a batch, unless the run is told to end. Nothing of it is left to be concluded."""
        known = look_up(self._clinic, batch)
        decided = beforehand(batch, known, self._standing)
        told: set[int | None] = set()
        self._joined.clear()
        for due in batch:
            if self._clinic.ending.is_set():
                break
            if due.dedupe in self._joined:
                continue
            done = due.appointment not in told and self._one(
                decided.get(due.id) or decided_on(known.case(due, self._standing))
            )
            while not done:  # it is not as it was looked up
                self.conclude()
                self._standing = self._clinic.standing()
                done = self._one(decided_on(look_up(self._clinic, [due]).case(due, self._standing)))
            told.add(due.appointment)
        self.conclude()

    def conclude(self) -> None:
        """Write down what the attempt before came to."""
        if self._end is not None:
            with self._writing():
                pass

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """Open a transaction that begins with what the attempt before came to."""
        clinic, run, end = self._clinic, self._run, self._end
        with clinic.store.write() as connection:
            self._lease.fence(connection, self._patience)
            if end is not None:
                write(connection, clinic, end, run)
            yield connection
        if end is not None:
            count(end, run)
            self._end = None

    def _one(self, decided: Decided) -> bool:
        """Do what was decided about a message; False: it was decided by what holds no longer."""
        case, verdict, leaving, message = decided
        if isinstance(verdict, Go) and isinstance(leaving, Leave):
            first, verdict = verdict, _working(case, verdict, self._run)
            # By another notifier it may be another question whether it may leave.
            if verdict != first:
                leaving = case.leaving(verdict) if isinstance(verdict, Go) else None
                message = None
        if isinstance(verdict, Go) and isinstance(leaving, Leave):
            return self._try(case, verdict, message)
        if isinstance(verdict, Go) and isinstance(leaving, Rehearse):
            return self._rehearse(case, verdict)
        return self._put_off(case, _why_not(verdict, leaving))

    def _try(self, case: Case, go: Go, message: Message | None) -> bool:
        clinic, run, due, name = self._clinic, self._run, case.due, go.notifiers[0]
        others = self._others(case, go)
        message = message or case.message(go, others)
        notifier = clinic.notifier(name)
        contact = ways.contact(clinic.opaque, due.say.recipient, go.channel, go.address)
        begun, begun_at = False, case.begins_at
        bulk.load()

        def begin(attempt: str) -> None:
            nonlocal begun
            with self._writing() as connection:
                if not case.stands(connection):
                    raise _NotAsSeen
                join(connection, clinic, due, others)
                attempts.begin(
                    connection,
                    clinic.store.clinic,
                    due,
                    message,
                    name,
                    contact=contact,
                    run=clinic.run,
                    now=begun_at,
                )
            begun = True

        self._have_patience(notifier)
        try:
            with clinic.handing_over(begin):
                if not notifier.hands_over:
                    begin(message.id)
                result = notifier.send(message)
            if not begun:  # it ended before anything could leave
                begin(message.id)
        except _NotAsSeen:
            return False
        self._joined.update(one.owed.dedupe for one in others)
        case.ways.note(due.say, contact, clinic.now)
        before = run.breaker or Breaker()
        run.breaker = breaker.note(clinic, self._lease, before, name, due, result)
        if result.outcome is Outcome.NOT_SENT and result.pause and _has_others(case, go):
            result = structs.replace(result, retry_after=timedelta(0))  # another way, at once
        seen = case.fresh.woken if case.fresh else None
        self._end = Conclusion(due, message, name, result, begun_at, seen, alone=not others)
        return True

    def _have_patience(self, notifier: Notifier) -> None:
        """Keep the lease for as long as a call may take before anything is written down."""
        if notifier.patience > self._patience:
            self._patience = notifier.patience
            with self._writing():
                pass

    def _others(self, case: Case, go: Go, *, rehearsed: bool = False) -> Sequence[Other]:
        """Return what else of the person's day the message can tell of, by all that is written down."""
        if not case.shares_a_day:
            return ()
        self.conclude()
        return case.others(go, rehearsed=rehearsed)

    def _rehearse(self, case: Case, go: Go) -> bool:
        """Write a message where a person can read it, and count the recipient as told.

        So a rehearsal goes on as the real thing would: a move of what was confirmed is told as a
        move.
        """
        clinic, due, others = self._clinic, case.due, self._others(case, go, rehearsed=True)
        message = case.message(go, others)
        self.conclude()
        with clinic.store.read() as connection:
            if not case.stands(connection):
                return False
        known = clinic.rehearsal.lookup(Attempt(message, clinic.now, clinic.now))
        if not isinstance(known, Found):  # from before a kill
            clinic.rehearsal.send(message)
        with self._writing() as connection:
            join(connection, clinic, due, others)
            tell(connection, clinic, due, message, at=clinic.now)
            said.settle(
                connection,
                due.id,
                "skipped",
                now=clinic.now,
                reason="rehearsal",
                setting=outward.rehearsed_by(due.say),
            )
        self._joined.update(one.owed.dedupe for one in others)
        self._run.rehearsed += 1
        self._run.skipped["rehearsal"] += 1
        return True

    def _put_off(self, case: Case, verdict: Drop | Wait) -> bool:
        clinic, due, run = self._clinic, case.due, self._run
        tried = case.ways.tried.get(due.id, ())
        given_up = isinstance(verdict, Drop) and (verdict.no_way or verdict.too_late) and tried
        missed = isinstance(verdict, Drop) and needs_a_call(due.say, verdict.reason)
        state = "failed" if missed else "skipped"
        with self._writing() as connection:
            if not case.stands(connection):
                return False
            if isinstance(verdict, Wait):
                said.settle(
                    connection,
                    due.id,
                    "planned",
                    now=clinic.now,
                    reason=verdict.reason,
                    next_try_at=max(verdict.until, clinic.now + timedelta(seconds=1)),
                )
            elif given_up:
                state, reason = ended(due, tried)
                said.settle(
                    connection,
                    due.id,
                    state,
                    now=clinic.now,
                    reason=reason,
                    setting=verdict.setting if verdict.too_late else "",
                )
            else:
                said.settle(
                    connection,
                    due.id,
                    state,
                    now=clinic.now,
                    reason=verdict.reason,
                    setting=verdict.setting,
                )
            if isinstance(verdict, Drop):
                know_anyhow(connection, clinic, due, verdict.reason)
        if state == "skipped":
            run.skipped[verdict.reason] += 1
        elif state == "unproven":
            run.unproven.append(tried[-1].id)
        else:
            run.failed += 1
        return True
