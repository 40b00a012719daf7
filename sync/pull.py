"""pull: asks a source what it has, sets aside what nobody understands, and keeps page by page.

A record whose raw digest is already kept is not even mapped. New visits are kept with their page;
whatever would alter or remove a known visit waits in `incoming` until the read has ended and the
guard has judged the whole of it (see `sync.keep`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from clinicrelay.actions import What
from clinicrelay.contracts import Connector, Page, Record, Unreadable, Window
from clinicrelay.errors import BadRecord
from clinicrelay.model import Appointment, Status, encode
from sync.changes import changes
from sync.store import incoming, memory, progress, quarantine, visits
from sync.store.incoming import Waiting
from sync.store.quarantine import SetAside
from sync.store.visits import New, Stored

if TYPE_CHECKING:
    from mappings.compile import Mapper
    from sync.store import Store
    from sync.store.leases import Lease


_OFF = (Status.CANCELLED.value, Status.ENTERED_IN_ERROR.value)


@dataclass(slots=True)
class SourceRun:
    """One source, ready to be read, and what became of it in this run."""

    name: str
    connector: Connector
    mapper: Mapper
    store: Store
    lease: Lease
    run: str
    now: datetime
    remembered: dict[str, Any]
    dry: bool = False  # plan: the source's files stay where they are
    told: Callable[[int], None] = lambda records: None  # progress on a terminal
    read: int = 0
    unchanged: int = 0
    set_aside: int = 0
    skipped: int = 0
    changes: Counter[str] = field(default_factory=Counter)
    complete: bool | None = None
    notes: list[str] = field(default_factory=list)
    holds: list[dict[str, Any]] = field(default_factory=list)
    reads: int = 0
    people: set[int] = field(default_factory=set)
    first_look: Callable[[Appointment], int] = lambda visit: 0

    @property
    def clinic(self) -> str:
        return self.store.clinic


class Met:
    """Which known visits a read has met: a bit each, so that a million cost 125 kB."""

    def __init__(self) -> None:
        self._bits = bytearray(1024)

    def add(self, number: int) -> bool:
        """Note a visit; False when it was met before."""
        at, bit = number >> 3, 1 << (number & 7)
        if at >= len(self._bits):
            self._bits.extend(bytes(max(at + 1 - len(self._bits), len(self._bits))))
        new = not self._bits[at] & bit
        self._bits[at] |= bit
        return new

    def __contains__(self, number: int) -> bool:
        at = number >> 3
        return at < len(self._bits) and bool(self._bits[at] & (1 << (number & 7)))


@dataclass(slots=True)
class Reading:
    """One read of one scope, from its first page to its last, in numbers."""

    trusted: bool
    importing: bool
    met: Met = field(default_factory=Met)
    records: int = 0
    set_aside: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    nameless: bool = False  # something was set aside and nobody knows which visit it was
    first: int | None = None
    last: int | None = None
    good_keys: list[str] = field(default_factory=list)
    coming: int = 0  # known visits met that are still to take place

    def meet(self, number: int, start_at: int | None, *, now: int) -> bool:
        """Note a known visit; False when this read met it before."""
        new = self.met.add(number)
        if new and start_at is not None and start_at > now:
            self.coming += 1
        return new

    def cover(self, start: int | None) -> None:
        """Widen the stretch of time that this read speaks for."""
        if start is not None:
            self.first = start if self.first is None else min(self.first, start)
            self.last = start if self.last is None else max(self.last, start)


def pull(source: SourceRun, window: Window) -> Iterator[tuple[Reading, Page]]:
    """Read the source and keep it page by page; yield at the end of each read for `keep` to judge.

    Raises what the connector raises (TryLater, Refused); everything kept so far stays kept.
    """
    with source.store.read() as connection:
        known = progress.progress(connection, source.clinic, source.name)
    trusted = known.fingerprint == source.mapper.fingerprint
    importing = known.imported_at is None
    reading = Reading(trusted, importing)
    for page in source.connector.pull(known.cursor if trusted else None, window):
        _keep_page(source, reading, page)
        source.told(source.read)
        if page.last:
            yield reading, page
            source.reads += 1
            reading = Reading(trusted, importing)


@dataclass(slots=True)
class _Sorted:
    """The records of one page, sorted into what has to be done about them."""

    new: dict[str, New] = field(default_factory=dict)
    waiting: dict[str, Waiting] = field(default_factory=dict)
    digests: list[tuple[bytes, int]] = field(default_factory=list)
    aside: list[SetAside] = field(default_factory=list)
    people: list[Appointment] = field(default_factory=list)


def _keep_page(source: SourceRun, reading: Reading, page: Page) -> None:
    mapped, done = _map(source, reading, page)
    _sort(source, reading, mapped, done)
    reading.records += len(page.records) + len(page.unreadable)
    reading.set_aside += len(done.aside)
    source.read += len(page.records) + len(page.unreadable)
    source.set_aside += len(done.aside)
    source.notes.extend(page.notes)
    if page.last and not (done.new or done.waiting or done.aside or done.digests):
        return  # nothing to write but the end of the read, and keep does that
    with source.store.write() as connection:
        source.lease.fence(connection)
        visits.insert(
            connection,
            source.clinic,
            done.new.values(),
            run=source.run,
            now=source.now,
            first_look=source.first_look,
        )
        visits.keep_people(connection, source.clinic, done.people, source.people)
        visits.refresh_digests(connection, done.digests)
        incoming.wait(connection, source.clinic, source.name, done.waiting.values(), run=source.run)
        quarantine.set_aside(connection, source.clinic, done.aside, run=source.run, now=source.now)
        if not page.last:
            progress.note(connection, source.clinic, source.name, cursor=page.cursor)
            remember(source, connection)
    for new in done.new.values():
        if not new.visit.status.called_off:
            source.changes[What.BOOKED] += 1


def remember(source: SourceRun, connection: Any) -> None:
    """Write what the connector wants to remember, with the page it belongs to."""
    now = dict(source.connector.kit.memory)
    owner = f"connectors/{source.name}"
    memory.remember(connection, source.clinic, owner, source.remembered, now)
    source.remembered = now


def _map(
    source: SourceRun, reading: Reading, page: Page
) -> tuple[list[tuple[Record, Appointment]], _Sorted]:
    """Translate what is not known word for word; everything else has been met, or is set aside."""
    done = _Sorted()
    for thing in page.unreadable:
        reading.nameless |= thing.key is None
        _set_aside(reading, done, _unreadable(source.name, thing))
    fresh = _unknown(source, reading, page) if reading.trusted else list(page.records)
    mapped = []
    for record in fresh:
        try:
            visit = source.mapper(record)
        except BadRecord as error:
            if record.gone and error.key:  # a deletion often says little more than which
                visit = Appointment(source.name, error.key, Status.UNKNOWN, "UTC")
            else:
                _put_aside_record(source, reading, done, record, error)
                continue
        if visit is None:
            source.skipped += 1
        else:
            mapped.append((record, visit))
    return mapped, done


def _unknown(source: SourceRun, reading: Reading, page: Page) -> list[Record]:
    """Return the records that are not kept word for word; note the others as met."""
    with source.store.read() as connection:
        known = visits.sightings(
            connection, source.clinic, source.name, [r.digest for r in page.records]
        )
    fresh, now = [], int(source.now.timestamp())
    for record in page.records:
        sighting = known.get(record.digest)
        if sighting is None or record.gone:
            fresh.append(record)
        elif reading.meet(*sighting, now=now):
            source.unchanged += 1
    starts = [start_at for _, start_at in known.values() if start_at is not None]
    if starts:
        reading.cover(min(starts))
        reading.cover(max(starts))
    return fresh


def _sort(
    source: SourceRun, reading: Reading, mapped: list[tuple[Record, Appointment]], done: _Sorted
) -> None:
    """Tell new visits from known ones, and what is different about those."""
    if not mapped:
        return
    mapped = _without_contradictions(source, reading, mapped, done)
    keys = [visit.key for _, visit in mapped]
    with source.store.read() as connection:
        known = visits.by_keys(connection, source.clinic, source.name, keys)
    for record, visit in mapped:
        reading.good_keys.append(visit.key)
        if visit.start is not None:
            reading.cover(int(visit.start.timestamp()))
        stored = known.get(visit.key)
        if stored is not None:
            _compare(source, reading, done, record, visit, stored)
        elif not record.gone:
            done.new[visit.key] = New(visit, record.digest, reading.importing)
            done.people.append(visit)


def _compare(
    source: SourceRun,
    reading: Reading,
    done: _Sorted,
    record: Record,
    visit: Appointment,
    stored: Stored,
) -> None:
    now = int(source.now.timestamp())
    again = not reading.meet(stored.id, stored.start_at if _stands(stored) else None, now=now)
    right = source.connector.duplicates
    if (again or _new_in_this_read(source, stored)) and right != "last":
        if stored.visit != visit and right != "first":
            _put_aside_record(source, reading, done, record, _duplicate(visit.key))
        return
    before = stored.visit
    if record.gone:
        whats = [] if stored.gone_at else [What.GONE]
    elif before == visit and not stored.gone_at:
        done.digests.append((record.digest, stored.id))
        source.unchanged += 1
        return
    else:
        whats = changes(before, visit, was_gone=stored.gone_at is not None)
        done.people.append(visit)
    if whats:
        done.waiting[visit.key] = _waiting(stored, visit, record, whats)


def _waiting(stored: Stored, visit: Appointment, record: Record, whats: list[What]) -> Waiting:
    gone = What.GONE in whats
    return Waiting(
        stored.id,
        stored.source_key,
        ",".join(whats),
        stored.start_at,
        stored.start_at if gone or not visit.start else int(visit.start.timestamp()),
        None if gone else encode(visit).decode(),
        None if gone else record.digest,
    )


def _stands(stored: Stored) -> bool:
    return stored.gone_at is None and stored.status not in _OFF


def _new_in_this_read(source: SourceRun, stored: Stored) -> bool:
    """Whether the visit was kept by an earlier page of this very run's read."""
    return stored.first_run == source.run and source.reads == 0


def _without_contradictions(
    source: SourceRun, reading: Reading, mapped: list[tuple[Record, Appointment]], done: _Sorted
) -> list[tuple[Record, Appointment]]:
    """Fold records that say the same twice; set aside both of two that contradict (C-14)."""
    right = source.connector.duplicates
    first: dict[str, tuple[Record, Appointment]] = {}
    torn: set[str] = set()
    for record, visit in mapped:
        other = first.setdefault(visit.key, (record, visit))
        if other[1] != visit and right == "last":
            first[visit.key] = (record, visit)
        elif other[1] != visit and right != "first":
            torn.add(visit.key)
            _put_aside_record(source, reading, done, record, _duplicate(visit.key, other[0]))
    for key in torn:
        _put_aside_record(source, reading, done, first.pop(key)[0], _duplicate(key))
    return list(first.values())


def _duplicate(key: str, other: Record | None = None) -> BadRecord:
    where = f" (the other is line {other.line})" if other and other.line else ""
    return BadRecord(
        "duplicate_key",
        field="key",
        key=key,
        detail=f"two records with one key say different things{where}; leave one in the source",
    )


def _put_aside_record(
    source: SourceRun, reading: Reading, done: _Sorted, record: Record, error: BadRecord
) -> None:
    key = error.key or record.key
    if key is None:
        reading.nameless = True
    else:
        _meet(source, reading, key)
    _set_aside(
        reading,
        done,
        SetAside(
            source=source.name,
            place=f"{record.place}:{record.line}" if record.line else record.place,
            reason=error.reason,
            detail=error.detail,
            raw=record.raw or "",
            key=key,
            field=error.field,
            line=record.line,
        ),
    )


def _meet(source: SourceRun, reading: Reading, key: str) -> None:
    """A record that was set aside is not missing: what was known of it stays."""
    with source.store.read() as connection:
        stored = visits.by_keys(connection, source.clinic, source.name, [key]).get(key)
    if stored is not None:
        start_at = stored.start_at if _stands(stored) else None
        reading.meet(stored.id, start_at, now=int(source.now.timestamp()))


def _unreadable(source: str, thing: Unreadable) -> SetAside:
    return SetAside(
        source=source,
        place=thing.place,
        reason=thing.reason,
        detail=thing.detail,
        raw=thing.raw,
        key=thing.key,
        field=thing.field,
        line=thing.line,
        column=thing.column,
    )


def _set_aside(reading: Reading, done: _Sorted, thing: SetAside) -> None:
    done.aside.append(thing)
    reading.reasons[f"{thing.reason} ({thing.field})" if thing.field else thing.reason] += 1
