"""keep: when a read has ended, lets the guard judge it and applies what may be applied.

All in one transaction with the source's cursor: superseded versions, the new state, holds. A kill at
any point leaves either the read still to be judged, or judged and done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from clinicrelay.actions import What
from clinicrelay.contracts import Page, Unreadable
from sync import pairing
from sync.absence import Absence, absent, days_covered
from sync.guard import Hold, Limits, Read, judge
from sync.pull import SourceRun, remember, write_all_but_changes
from sync.reading import Reading
from sync.store import absences, bulk, incoming, progress, quarantine, sightings, visits
from sync.store.incoming import Waiting

if TYPE_CHECKING:
    from sqlalchemy import Connection

_HOLDS = {  # which changes a guard holds back when it strikes
    "gone": {What.GONE},
    "cancelled": {What.CANCELLED},
    "rescheduled": {What.RESCHEDULED},
    "shifted": {What.RESCHEDULED},
    "reassigned": {What.REASSIGNED},
    "reinstated": {What.REINSTATED},
}


@dataclass(frozen=True, slots=True)
class _Verdict:
    apply: list[Waiting]
    held: list[tuple[Hold, list[Waiting]]]


def end_read(source: SourceRun, reading: Reading, page: Page, *, limits: Limits, zone: str) -> None:
    """Judge a whole read and keep what stands; what does not is held for a person."""
    if reading.unwritten.waiting:
        bulk.load()
    with source.store.write() as connection:
        source.lease.fence(connection)
        known = progress.progress(connection, source.clinic, source.name)
        if page.same:
            reading.records = known.last_count or 0
        if page.correction:
            reading.set_aside = 0  # row by row by a person: that some are still wrong is no alarm
        coming = cache(partial(_count_coming, connection, source))
        told = write_all_but_changes(connection, source, reading)
        waiting = _waiting(connection, source, told)
        back = [w for w in waiting if What.REINSTATED in w.whats]
        absence = absent(connection, source, reading, page, known, coming, zone, back)
        waiting += incoming.unlike_rejected(connection, source.clinic, source.name, absence.gone)
        verdict = _judge(reading, source.now, waiting, absence, coming, limits)
        if source.widened and not reading.importing:
            source.reword(connection, verdict.apply)
        _apply(
            connection, source, verdict.apply, since=known.believed_at, silently=reading.importing
        )
        _hold(connection, source, verdict, page)
        if page.complete and not (page.same or page.changes or page.resumed):
            sightings.cut(connection, source.clinic, source.name, reading.pages)
        _note_progress(connection, source, reading, page, zone, held=bool(verdict.held))
        if not verdict.held:  # a read that is not believed mends nothing either
            _forget_mended(connection, source, reading, page)
        remember(source, connection)
    if not page.correction:
        source.complete = page.complete and source.complete is not False
    if not source.dry:
        source.connector.rejected(page.cursor, _all_aside(source))
        source.connector.kept(page.cursor)


def _all_aside(source: SourceRun) -> Iterator[Unreadable]:
    with source.store.read() as connection:
        yield from quarantine.records(connection, source.clinic, source.name)


def _count_coming(connection: Connection, source: SourceRun) -> int:
    return visits.count_coming(connection, source.clinic, source.name, now=source.now)


def _waiting(connection: Connection, source: SourceRun, last: Iterable[Waiting]) -> list[Waiting]:
    """Return all changes that this read told: those that wait in the store, and its last ones."""
    at = (connection, source.clinic, source.name)
    waiting = {one.key: one for one in incoming.of_run(*at, source.run)}
    waiting |= {one.key: one for one in incoming.unlike_rejected(*at, last)}
    return sorted(waiting.values(), key=attrgetter("appointment"))


def _judge(
    reading: Reading,
    now: datetime,
    waiting: Sequence[Waiting],
    absence: Absence,
    coming: Callable[[], int],
    limits: Limits,
) -> _Verdict:
    left = {w.key: w for w in waiting if w.key not in absence.renumbered}
    ahead = [w for w in left.values() if w.start_at is not None and w.start_at > now.timestamp()]
    deleted = sum(What.GONE in w.whats for w in ahead)
    read = Read(
        # Counting costs something, and an unchanged read has nothing to compare.
        known=coming() - reading.booked if ahead or absence.visits else 0,
        records=reading.records,
        set_aside=reading.set_aside,
        absent=max(absence.visits, deleted),
        cancelled=sum(What.CANCELLED in w.whats for w in ahead),
        reassigned=sum(What.REASSIGNED in w.whats for w in ahead),
        reinstated=sum(What.REINSTATED in w.whats for w in ahead),
        moves=[w.delta for w in ahead if w.delta and What.RESCHEDULED in w.whats],
        why_set_aside=", ".join(f"{n}x {reason}" for reason, n in reading.reasons.most_common(3)),
    )
    held = []
    for hold in judge(read, limits):
        kinds = _HOLDS.get(hold.guard)
        caught = [w for w in left.values() if kinds is None or kinds & set(w.whats)]
        for one in caught:
            del left[one.key]
        held.append((hold, caught))
    renumbered = [w for w in waiting if w.key in absence.renumbered]
    return _Verdict([*left.values(), *renumbered], held)


def _apply(
    connection: Connection,
    source: SourceRun,
    changes: Sequence[Waiting],
    *,
    since: int,
    silently: bool,
) -> None:
    apply(
        connection,
        source.clinic,
        source.name,
        changes,
        run=source.run,
        now=source.now,
        since=since,
        silently=silently,
    )
    for change in changes:
        source.changes.update(change.whats)


def apply(
    connection: Connection,
    clinic: str,
    name: str,
    changes: Sequence[Waiting],
    *,
    run: str,
    now: datetime,
    since: int,
    silently: bool = False,
) -> None:
    """Give visits their next version and forget that the changes waited; pair moves under a new id.

    `since` (seconds) is when the source was last believed: what came after it may be an old visit
    under a new id, also where the run that kept it was killed, or its read held.
    """
    if not changes:
        return
    visits.replace(
        connection,
        clinic,
        [change.replacement for change in changes],
        run=run,
        now=now,
        silently=silently,
    )
    changed = [change.appointment for change in changes]
    sightings.forget(connection, clinic, name, changed)
    absences.forget(connection, clinic, name, changed)
    incoming.done(connection, clinic, name, [change.key for change in changes])
    off = [c.key for c in changes if {What.GONE, What.CANCELLED} & set(c.whats)]
    back = [c for c in changes if What.REINSTATED in c.whats]
    visits.unpair(connection, [c.appointment for c in back])
    if off:
        keys = [c.key for c in back]
        pairing.pair(connection, clinic, name, off, keys, since=since, now=now)


def _hold(connection: Connection, source: SourceRun, verdict: _Verdict, page: Page) -> None:
    told = {}
    whole = source.connector.lists_everything and not page.changes
    at = (connection, source.clinic, source.name)
    for hold, caught in verdict.held:
        incoming.wait(*at, caught, run=source.run)
        keys = [w.key for w in caught]
        number = incoming.hold(*at, keys, hold, now=source.now, whole=whole)
        told[number] = hold.told_as(number)
    if whole and page.complete:  # a read that tells only part of the truth contradicts no hold
        incoming.dissolve(*at, but=[*told], now=source.now)
        source.holds = []
    again = {hold["id"] for hold in told.values()}
    source.holds = [*(h for h in source.holds if h["id"] not in again), *told.values()]


def _note_progress(
    connection: Connection,
    source: SourceRun,
    reading: Reading,
    page: Page,
    zone: str,
    *,
    held: bool,
) -> None:
    """Write where the source stands. A held read moves no cursor: the same is judged again."""
    whole = page.complete or not (source.connector.lists_everything or _is_unreadable(reading))
    values: dict[str, Any] = {
        "state": "held" if held else "ok" if whole else "partial",
        "error": None if whole or held else next(reversed(page.notes), None),
        "last_read_at": source.now,
    }
    if whole and not held:
        values["last_complete_at"] = source.now
    if page.correction:
        values = {"state": "held"} if held else {}
    elif held:
        # Where the read began, and not where its last page was: the whole of it is judged again.
        reading.held, reading.began = True, source.connector.doubted(reading.began)
        values["cursor"] = reading.began
        if whole:
            _note_held(connection, source, _days_noted(reading, page, zone))
    elif not page.same:
        values["cursor"] = page.cursor
        values["fingerprint"] = source.mapper.fingerprint
        values |= {} if page.changes else {"last_count": reading.records}
        values |= _days_noted(reading, page, zone)
    # A file that nobody could read was no import: what the next one brings is no news either. Nor
    # is the rest of a first read that had to stop half-way.
    read_some = reading.records > reading.set_aside and not page.unfinished
    if reading.importing and (page.complete or read_some):
        values["imported_at"] = source.now
    if values:
        progress.note(connection, source.clinic, source.name, **values)


def _is_unreadable(reading: Reading) -> bool:
    """Whether nothing could be understood: what is listed row by row is whole without a few of them."""
    return 0 < reading.set_aside >= reading.records


def _note_held(connection: Connection, source: SourceRun, days: dict[str, str]) -> None:
    """Note how far a read went that only a person can let count: see `sync.release`."""
    at = int(source.now.timestamp())
    progress.note_held(connection, source.clinic, source.name, last_complete_at=at, **days)


def _days_noted(reading: Reading, page: Page, zone: str) -> dict[str, str]:
    """Return the days that a complete read covered, as they are noted."""
    covered = days_covered(reading, zone)
    if not (page.complete and covered) or page.changes:
        return {}
    return {"first_day": covered.first.isoformat(), "last_day": covered.last.isoformat()}


def _names_all(source: SourceRun, page: Page) -> bool:
    listed = page.complete and source.connector.lists_everything
    return listed and not (page.changes or page.resumed)


def _forget_mended(connection: Connection, source: SourceRun, reading: Reading, page: Page) -> None:
    if page.same:
        return
    at = (connection, source.clinic, source.name)
    quarantine.mend(*at, reading.mended, run=source.run, now=source.now)
    quarantine.forget_mended(
        connection,
        source.clinic,
        source.name,
        run=source.run,
        keys=None if _names_all(source, page) else reading.mended,
    )
    quarantine.forget_answered(
        connection, source.clinic, source.name, reading.answered, run=source.run
    )
