"""Makes one calendar agree: a look at what others did there, then what is to be written.

What is to be written was committed before (write-ahead), under an id that is always the same, so
that doing it again after a kill is harmless. Nothing is written twice that reads the same.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from clinicrelay.contracts import EventResult, Memo, Outcome
from clinicrelay.model import decode
from sync import outcomes
from sync.hands import Rules
from sync.outcomes import Job
from sync.store import calendars, events, quarantine, seconds
from sync.store.calendars import Mark
from sync.store.events import Place
from sync.store.leases import renewed
from sync.store.quarantine import SetAside
from sync.wanted import wanted

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from clinicrelay.contracts import Calendar, Look, Sighting
    from sync.clinic import Clinic
    from sync.store.calendars import Kept
    from sync.store.events import Pending, Written
    from sync.store.leases import Lease

T = TypeVar("T")

_AT_ONCE = 2000
_ROUNDS = 4  # one, and three more where somebody edits an event while it is written
_LONGEST_STOP = timedelta(hours=4)
_LONGEST_PUSH = timedelta(hours=1)
_STRANGERS = (
    "events of another installation, or of this one with another key, are there: clinicrelay verify "
    "calendars --adopt (they are ours), --replace (remove them), or --beside (they belong to "
    "another clinic)"
)


@dataclass(slots=True)
class Account:
    """What the calendars of one plugin share in a run.

    Events before `oldest` are left as they are. `stopped` is why none of the calendars can be written
    any more; `over` says that the run is to end.
    """

    clinic: Clinic
    plugin: Calendar
    rules: Rules
    oldest: datetime
    stopped: Mark | None = None
    given_up: bool = False

    @property
    def over(self) -> bool:
        return self.given_up or self.clinic.ending.is_set()


def account_of(clinic: Clinic, plugin: Calendar) -> Account:
    """Return what a plugin's calendars share, as settings have it."""
    settings = clinic.settings.calendars[plugin.kit.name]
    rules = Rules(settings.if_doctor, clinic.zone, clinic.now)
    return Account(clinic, plugin, rules, settings.window.past.before(clinic.now, clinic.zone))


@dataclass(slots=True)
class Agreement:
    """One calendar at work under its lease; `mark` is how it stands in the end."""

    account: Account
    calendar: str
    kept: Kept
    held: Lease
    mark: Mark = calendars.OK
    written: int = 0
    removed: int = 0
    unchanged: int = 0
    looked: bool = False

    def reach(self, *, look: bool) -> None:
        """Look at the calendar, where wanted, and write what is pending; note how it stands."""
        with self._lease_kept_up():
            if not look or self._look():
                self._write_all()
        self._note()

    def known(self, refs: Collection[str] | None = None) -> Mapping[str, Memo]:
        """Return the memos of the events that the calendar is to show."""
        with self._clinic.store.read() as connection:
            return calendars.memos(connection, self._clinic.store.clinic, self.calendar, refs)

    def keep(self, rows: Sequence[Written]) -> None:
        """Keep how events stand now."""
        if rows:
            with self._transaction() as connection:
                events.written(connection, rows)

    @property
    def _clinic(self) -> Clinic:
        return self.account.clinic

    @property
    def _address(self) -> str:
        return self.calendar.partition(":")[2]

    def _lease_kept_up(self) -> AbstractContextManager[None]:
        """A calendar may take long to answer; a scratch store is for one thread alone."""
        if self._clinic.dry:
            return nullcontext()
        return renewed(self._clinic.store, self.held, at_most=_LONGEST_PUSH)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._clinic.store.write() as connection:
            self.held.fence(connection)
            yield connection

    # --- the look --------------------------------------------------------------------------------

    def _look(self) -> bool:
        """See what others did, and keep what follows with where the look ended."""
        look = self.account.plugin.seen(self._address, self.kept.cursor, self.known)
        if look.trouble is not None:
            self._blocked(look.trouble)
            self._forget_what_never_was()
        elif self._is_strange(look):
            self.mark = Mark("blocked", "other_instance", _STRANGERS)
        else:
            self._keep(look)
            self.looked = True
        return self.looked

    def _forget_what_never_was(self) -> None:
        """Let what is to go be gone where no look ever succeeded: nothing was ever written there.

        That calendar may have another address, or none at all, and the settings may know it by now.
        """
        if self.kept.cursor is None:
            with self._transaction() as connection:
                events.forget_unwritten(connection, self._clinic.store.clinic, self.calendar)

    def _is_strange(self, look: Look) -> bool:
        """Whether others' events stand where none of ours does, and nobody said what they are."""
        if self.kept.cursor is not None or not set(look.strangers) - set(self.kept.strangers):
            return False
        return not any(self.known().values())

    def _keep(self, look: Look) -> None:
        rows = list(self._after(look.sightings))
        moved_on = look.cursor is not None and look.cursor != self.kept.cursor
        if not rows and not moved_on:
            return
        with self._transaction() as connection:
            events.written(connection, rows)
            if look.cursor is not None:
                clinic = self._clinic.store.clinic
                calendars.go_on_from(connection, clinic, self.calendar, look.cursor)

    def _after(self, sightings: Sequence[Sighting]) -> Iterator[Written]:
        refs = list({sighting.ref for sighting in sightings})
        with self._clinic.store.read() as connection:
            clinic = self._clinic.store.clinic
            known = {e.ref: e for e in events.by_refs(connection, clinic, self.calendar, refs)}
        for sighting in sightings:
            event = known.get(sighting.ref)
            if event is None:
                continue
            write = wanted(self._clinic, self.account.plugin, self._address, event)
            if write.start is not None and write.start < self.account.oldest:
                continue  # the past stands as it is
            row = outcomes.seen(event, sighting, write, self.account.rules)
            if row is not None:
                yield row

    # --- the writing -----------------------------------------------------------------------------

    def _write_all(self) -> None:
        after = Place()
        while self._goes_on and (batch := self._pending(after)):
            after = batch[-1].place
            todo = self._begin(batch)
            for _ in range(_ROUNDS):
                todo = self._round(todo) if todo and self._goes_on else todo
            if self._goes_on:
                now = self._clinic.now
                self._commit([outcomes.edited_meanwhile(job, now) for job in todo.values()])

    @property
    def _goes_on(self) -> bool:
        if self.account.stopped is not None and self.mark.state == "ok":
            self.mark = self.account.stopped
        return self.mark.state == "ok" and not self.account.over

    def _pending(self, after: Place) -> list[Pending]:
        with self._clinic.store.read() as connection:
            return events.pending(
                connection,
                self._clinic.store.clinic,
                self.calendar,
                now=self._clinic.now,
                after=after,
                limit=_AT_ONCE,
                waits=self.account.plugin.looks,
            )

    def _begin(self, batch: Sequence[Pending]) -> dict[str, Job]:
        """Return what really has to be written; the rest reads as it was written last time."""
        jobs = [self._job(event) for event in batch]
        todo = {job.write.ref: job for job in jobs if job.row.state in ("put", "remove")}
        rest = [job for job in jobs if job.write.ref not in todo]
        self.unchanged += sum(job.row.state == "synced" for job in rest)
        self._commit([outcomes.kept_from(job) for job in rest], rest)
        return todo

    def _job(self, event: Pending) -> Job:
        write = wanted(self._clinic, self.account.plugin, self._address, event)
        return outcomes.begun(event, write, self.account.rules)

    def _round(self, todo: Mapping[str, Job]) -> dict[str, Job]:
        """Write once; return what has to be written again, with what is known of it by then."""
        again: dict[str, Job] = {}
        writes = [job.write for job in todo.values()]
        for results in spaced(self.account.plugin.apply(self._address, writes)):
            self._commit(
                [self._after_result(todo[r.ref], r, again) for r in results],
                [todo[r.ref] for r in results],
                [(todo[r.ref], r) for r in results if _refused(r)],
            )
            if self.account.over:
                break
        return again

    def _after_result(self, job: Job, result: EventResult, again: dict[str, Job]) -> Written:
        if result.outcome is Outcome.AGAIN:
            job = outcomes.again(job, result, self.account.rules)
            if job.row.state in ("put", "remove"):
                again[result.ref] = job
            return outcomes.kept_from(job)
        if result.outcome is Outcome.ACCEPTED:
            self.written += job.write.put
            self.removed += not job.write.put
        elif result.blocks and self.mark.state == "ok":
            self._blocked(result)
        return outcomes.ended(job, result, self._clinic.now)

    def _commit(
        self,
        rows: Sequence[Written],
        jobs: Iterable[Job] = (),
        refused: Sequence[tuple[Job, EventResult]] = (),
    ) -> None:
        if not rows:
            return
        store, name = self._clinic.store.clinic, self.account.plugin.kit.name
        with self._transaction() as connection:
            events.written(connection, rows)
            if self.written or self.removed:
                own = [self.calendar]
                calendars.succeeded(connection, store, done=own, now=self._clinic.now)
            for job in jobs:
                if job.forgiven:
                    quarantine.forget_event(connection, store, name, _visit(job))
            quarantine.set_aside(
                connection,
                store,
                [_set_aside(name, job, result) for job, result in refused],
                run=self._clinic.run,
                now=self._clinic.now,
            )

    # --- how the calendar stands -----------------------------------------------------------------

    def _blocked(self, trouble: EventResult) -> None:
        """Note why nothing can be written; each wait in a row is longer, for who asks too early."""
        state = "stopped" if trouble.everywhere else "blocked"
        self.mark = Mark(state, trouble.reason, trouble.fix or trouble.detail)
        if trouble.retry_after is not None:
            tries = (self.kept.mark.tries or 0) + 1
            longer = min(trouble.retry_after * (1 << min(tries - 1, 10)), _LONGEST_STOP)
            until = self._clinic.now + max(trouble.retry_after, longer)
            self.mark = self.mark._replace(retry_at=seconds(until), tries=tries)
        if trouble.everywhere:
            self.account.stopped = self.mark

    def _note(self) -> None:
        if self.mark != self.kept.mark:
            with self._transaction() as connection:
                clinic = self._clinic
                calendars.mark(
                    connection, clinic.store.clinic, self.calendar, self.mark, now=clinic.now
                )


def _refused(result: EventResult) -> bool:
    return result.outcome is Outcome.REJECTED and not result.blocks


def _visit(job: Job) -> str:
    visit = decode(job.before.content)
    return f"{visit.source}/{visit.key}"


def _set_aside(name: str, job: Job, result: EventResult) -> SetAside:
    """Only where it belongs: what a calendar's own words or the event's text say stays out."""
    visit = decode(job.before.content)
    reason = result.reason or result.outcome.value
    return SetAside(name, _visit(job), reason, result.fix, "", key=visit.key, kind="event")


def spaced(things: Iterable[T], at_most: float = 1.0) -> Iterator[list[T]]:
    """Yield things as they come, in lists of which none is held back much longer than a second."""
    some: list[T] = []
    began = time.monotonic()
    try:
        for thing in things:
            some.append(thing)
            if time.monotonic() - began >= at_most:
                yield some
                some, began = [], time.monotonic()
    except Exception:
        yield some  # what was done before is done
        raise
    if some:
        yield some
