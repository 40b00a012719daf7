"""deliver, calendars: makes each calendar show what was planned; one that fails stops no other.

What is to be written was committed before (write-ahead), under an id that is always the same, so
that doing it again after a kill is harmless. Nothing is written twice that reads the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec

from clinicrelay.contracts import Calendar, EventResult, EventWrite, Outcome
from clinicrelay.model import Appointment, Status, decode
from sync import outward
from sync.standing import Rehearse, Stopped
from sync.store import events
from sync.store.events import Pending, Written
from sync.store.leases import lease

if TYPE_CHECKING:
    from clinicrelay.settings.schema import EventText
    from sync.clinic import Clinic
    from sync.store.leases import Lease

_AT_ONCE = 2000
_FIRST_RETRY = timedelta(minutes=1)
_LAST_RETRY = timedelta(hours=1)
# A calendar that these keep from being written is as it should be: nobody has to mend anything.
ON_PURPOSE = frozenset({"rehearsal", "paused"})
_TENTATIVE = (Status.PENDING, Status.PROPOSED)


@dataclass(slots=True)
class CalendarRun:
    """What became of one calendar plugin's events in this run."""

    written: int = 0
    removed: int = 0
    unchanged: int = 0
    pending: int = 0
    blocked: list[dict[str, str]] = field(default_factory=list)

    def after(self, before: CalendarRun | None) -> CalendarRun:
        """Return what both did in one run; what is still open is as it stands now."""
        if before is None:
            return self
        return replace(
            self, written=before.written + self.written, removed=before.removed + self.removed
        )


def push(clinic: Clinic) -> dict[str, CalendarRun]:
    """Write what is pending to every calendar; return what happened, by the name in settings."""
    runs = {name: CalendarRun() for name in clinic.settings.calendars}
    _restore_lost(clinic)
    with clinic.store.read() as connection:
        waiting = events.calendars(connection, clinic.store.clinic, now=clinic.now)
    for calendar in waiting:
        name = calendar.partition(":")[0]
        if name in runs:
            with lease(
                clinic.store, f"calendar:{calendar}"[:80], clinic.settings.store.lease
            ) as held:
                if held is not None:
                    _push_one(clinic, held, calendar, runs[name])
    _count_open(clinic, runs)
    return runs


def _restore_lost(clinic: Clinic) -> None:
    """Find calendars that lost all that was written there, and let it be written again."""
    with clinic.store.read() as connection:
        known = list(events.shown(connection, clinic.store.clinic))
    for calendar in known:
        name, _, address = calendar.partition(":")
        if name in clinic.settings.calendars and clinic.calendar(name).lost(address):
            with clinic.store.write() as connection:
                events.write_again(connection, clinic.store.clinic, calendar)


def _push_one(clinic: Clinic, held: Lease, calendar: str, run: CalendarRun) -> None:
    name, _, address = calendar.partition(":")
    plugin = clinic.calendar(name)
    leaving = outward.events(clinic, clinic.standing(), plugin)
    if isinstance(leaving, Stopped):
        _mark(clinic, calendar, leaving.reason, "clinicrelay resume")
        return
    if isinstance(leaving, Rehearse):
        _mark(clinic, calendar, "rehearsal", "clinicrelay live calendars")
        return
    after = 0
    while batch := _pending(clinic, calendar, after):
        after = batch[-1].appointment
        results = list(_apply(clinic, plugin, address, batch, run))
        with clinic.store.write() as connection:
            held.fence(connection)
            events.written(connection, results)
        blocked = next((r for r in results if r.reason), None)
        _mark(
            clinic, calendar, blocked.reason if blocked else "", blocked.detail if blocked else ""
        )


def _pending(clinic: Clinic, calendar: str, after: int) -> list[Pending]:
    with clinic.store.read() as connection:
        return events.pending(
            connection,
            clinic.store.clinic,
            calendar,
            now=clinic.now,
            after=after,
            limit=_AT_ONCE,
        )


def _apply(
    clinic: Clinic, plugin: Calendar, address: str, batch: Sequence[Pending], run: CalendarRun
) -> Iterator[Written]:
    """Write a batch; what reads as it was written last time is not written again."""
    todo: dict[str, tuple[Pending, EventWrite, bytes]] = {}
    for event in batch:
        write = _write(clinic, plugin, address, event)
        print_ = _fingerprint(write)
        if write.put and event.written == print_:
            run.unchanged += 1
            yield _done(event, event.sequence, print_, event.memo)
        else:
            todo[event.ref] = (event, write, print_)
    while todo:
        again: dict[str, tuple[Pending, EventWrite, bytes]] = {}
        for result in plugin.apply(address, [write for _, write, _ in todo.values()]):
            event, write, print_ = todo[result.ref]
            if result.outcome is Outcome.AGAIN:
                fresh = msgspec.structs.replace(write, memo=result.memo)
                again[result.ref] = (event, fresh, print_)
            else:
                yield _outcome(clinic, event, write, print_, result, run)
        todo = again


def _write(clinic: Clinic, plugin: Calendar, address: str, event: Pending) -> EventWrite:
    """Return an event as it should be, at the level of detail that settings allow."""
    from sync.words.titles import event_text

    visit = decode(event.content)
    put = event.state == "put"
    if not put or visit.start is None:
        return EventWrite(event.ref, put=False, memo=event.memo, sequence=event.sequence + 1)
    settings = clinic.settings
    title, description, location = event_text(
        _detail(settings.calendars[plugin.kit.name].event, plugin, address),
        visit,
        settings.clinic.facts(),
        settings.clinic.language,
    )
    return EventWrite(
        ref=event.ref,
        put=True,
        start=visit.start,
        end=_end(visit),
        timezone=visit.timezone,
        title=title,
        description=description,
        location=location,
        tentative=visit.status in _TENTATIVE,
        sequence=event.sequence + 1 if event.written else event.sequence,
        written_at=datetime.fromtimestamp(event.changed_at, UTC),
        memo=event.memo,
    )


def _detail(event: EventText, plugin: Calendar, address: str) -> str:
    """Return how much an event may give away: personal data only to the domains that are named."""
    domain = address.rpartition("@")[2].casefold()
    strange = plugin.outside and domain not in {one.casefold() for one in event.domains}
    return "minimal" if strange and event.detail in ("initials", "full") else event.detail


def _end(visit: Appointment) -> datetime:
    assert visit.start is not None
    return visit.end or visit.start + timedelta(minutes=30)


def _fingerprint(write: EventWrite) -> bytes:
    """What an event says, without how often it was written."""
    said = (
        write.start,
        write.end,
        write.timezone,
        write.title,
        write.description,
        write.location,
        write.tentative,
    )
    return blake2b(msgspec.json.encode(said), digest_size=16).digest()


def _outcome(
    clinic: Clinic,
    event: Pending,
    write: EventWrite,
    print_: bytes,
    result: EventResult,
    run: CalendarRun,
) -> Written:
    if result.outcome is Outcome.ACCEPTED:
        run.written += write.put
        run.removed += not write.put
        return _done(event, write.sequence, print_ if write.put else None, result.memo)
    state = "blocked" if result.outcome is Outcome.REJECTED else event.state
    wait = result.retry_after
    if wait is None:
        wait = min(_FIRST_RETRY * (1 << min(event.tries, 10)), _LAST_RETRY)
    return Written(
        event.appointment,
        event.calendar,
        state,
        event.sequence,
        event.written,
        result.memo,
        result.reason or result.outcome.value,
        result.fix or result.detail,
        None if state == "blocked" else clinic.now + wait,
    )


def _done(event: Pending, sequence: int, print_: bytes | None, memo: dict[str, object]) -> Written:
    state = "synced" if event.state == "put" else "removed"
    return Written(event.appointment, event.calendar, state, sequence, print_, memo)


def _mark(clinic: Clinic, calendar: str, reason: str, fix: str) -> None:
    with clinic.store.write() as connection:
        events.mark(connection, clinic.store.clinic, calendar, reason, fix, now=clinic.now)


def _count_open(clinic: Clinic, runs: dict[str, CalendarRun]) -> None:
    with clinic.store.read() as connection:
        tally = events.open_by_calendar(connection, clinic.store.clinic)
        known = events.shown(connection, clinic.store.clinic)
    for calendar, number in tally.items():
        name, _, address = calendar.partition(":")
        if name in runs:
            runs[name].pending += number
            _, reason, fix = known.get(calendar, ("", "", ""))
            if reason and reason not in ON_PURPOSE:
                runs[name].blocked.append({"calendar": address, "reason": reason, "fix": fix})
