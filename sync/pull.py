"""pull: asks a source what it has, sets aside what nobody understands, and keeps page by page.

A record whose raw digest is already kept is not even mapped. New visits are kept with their page;
whatever would alter or remove a known visit waits in `incoming` until the read has ended and the
guard has judged the whole of it (see `sync.keep`).
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from clinicrelay.actions import What
from clinicrelay.contracts import Connector, Cursor, Page, Record, Unreadable, Window
from clinicrelay.errors import BadRecord, Refused, TryLater
from clinicrelay.model import Appointment, Status, decode, encode
from sync.changes import changes
from sync.reading import Reading, Said, Sorted, Unwritten
from sync.recall import Recall
from sync.store import bulk, incoming, memory, progress, quarantine, sightings, visits
from sync.store.incoming import Waiting
from sync.store.quarantine import SetAside
from sync.store.sightings import Sheet
from sync.store.visits import Stored

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from mappings.compile import Mapper
    from sync.erased import Gone
    from sync.store import Store
    from sync.store.leases import Lease
    from sync.store.progress import Progress


_LATE = 3600  # seconds that a booking may take until a source tells it
_MADE_AT_ONCE = 50
_PAGES_AT_ONCE = 16  # that wait to be written; a page of 4000 records takes 130 kB

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
    erased: Gone
    oldest: int  # seconds; a visit that is over since before then is not kept (settings: retention)
    dry: bool = False  # plan: the source's files stay where they are
    told: Callable[[int], None] = lambda records: None  # progress on a terminal
    read: int = 0
    unchanged: int = 0
    set_aside: int = 0
    skipped: int = 0
    changes: Counter[str] = field(default_factory=Counter)
    complete: bool | None = None
    unfinished: bool = False  # the next run goes on with the same read
    notes: list[str] = field(default_factory=list)
    failing: str = ""
    holds: list[dict[str, Any]] = field(default_factory=list)
    people: set[int] = field(default_factory=set)
    first_look: Callable[[Appointment], int] = lambda visit: 0
    widened: bool = False
    last_read: int = 0  # seconds
    # What the mapping only says in other words now counts as told (`sync.rewording`).
    reword: Callable[[Connection, Sequence[Waiting]], None] = lambda connection, changes: None

    @property
    def clinic(self) -> str:
        return self.store.clinic


def pull(source: SourceRun, window: Window) -> Iterator[tuple[Reading, Page]]:
    """Read the source and keep it page by page; yield at the end of each read for `keep` to judge.

    Raises what the connector raises (TryLater, Refused); everything kept so far stays kept.
    """
    with source.store.read() as connection:
        known = progress.progress(connection, source.clinic, source.name)
        aside = quarantine.keys(connection, source.clinic, source.name)
    trusted = known.fingerprint == source.mapper.fingerprint
    cursor = known.cursor if trusted else None
    source.widened = not trusted  # what a mapping let through just now was there before
    source.last_read = known.last_read_at or 0
    reading = _reading(source, known, cursor, aside)
    try:
        for page in source.connector.pull(cursor, window):
            _count(source, reading, page)
            keep_page(source, reading, page)
            source.told(source.read)
            if page.last:
                yield reading, page
                began = reading.began if reading.held else page.cursor
                reading = _reading(source, known, began, aside)
    except (TryLater, Refused):
        _write(source, reading)
        raise


def _reading(
    source: SourceRun, known: Progress, cursor: Cursor | None, aside: frozenset[str]
) -> Reading:
    def load(page: int) -> Sheet | None:
        with source.store.read() as connection:
            return sightings.load(
                connection,
                source.clinic,
                source.name,
                page,
                fingerprint=source.mapper.fingerprint,
            )

    lists = source.connector.lists_everything
    recall = Recall(load if lists else lambda page: None)
    return Reading(known.imported_at is None, recall, cursor, aside)


def reading_of_answers(source: SourceRun) -> Reading:
    """Return a read that holds nothing but what a source answers about single visits."""
    with source.store.read() as connection:
        known = progress.progress(connection, source.clinic, source.name)
        aside = quarantine.keys(connection, source.clinic, source.name)
    return Reading(known.imported_at is None, Recall(lambda page: None), known.cursor, aside)


def _count(source: SourceRun, reading: Reading, page: Page) -> None:
    records = len(page.records) + len(page.unreadable)
    reading.records += records
    source.read += records


def keep_page(source: SourceRun, reading: Reading, page: Page) -> None:
    """Map what a page tells and keep what is new; what alters a known visit waits for the guard."""
    # What changed since is in no order of the last read: to look for it there costs and finds nothing.
    sheet = Sheet.of(b"".join(page.digests)) if page.changes else reading.recall.whose(page.digests)
    done = Sorted(page, sheet)
    said = _map(source, reading, done)
    _sort(source, reading, said, done)
    reading.set_aside += len(done.aside)
    reading.answered += page.mends
    source.set_aside += len(done.aside)
    source.notes.extend(page.notes)
    number, reading.pages = reading.pages, reading.pages + bool(page.records and not page.changes)
    if _says_otherwise(source, reading, page, done, number):
        reading.unwritten.sheets[number] = done.sheet
    reading.unwritten.add(done)
    if done.new or (reading.unwritten.pages >= _PAGES_AT_ONCE and not page.last):
        _write(source, reading, done)


def _write(source: SourceRun, reading: Reading, done: Sorted | None = None) -> None:
    """Write what was told up to here, and new visits, in one transaction with the cursor."""
    if not reading.unwritten and not (done and done.new):
        return
    if done and done.new:
        bulk.load()
    with source.store.write() as connection:
        source.lease.fence(connection)
        at = (connection, source.clinic, source.name)
        if done and done.new:
            _insert(connection, source, reading, done)
        cursor = reading.unwritten.cursor
        incoming.wait(*at, write_all_but_changes(connection, source, reading), run=source.run)
        if cursor is not None:
            progress.note(*at, cursor=cursor)
            remember(source, connection)


def write_all_but_changes(
    connection: Connection, source: SourceRun, reading: Reading
) -> Collection[Waiting]:
    """Write what pages told since the last time; return the changes, which have to wait."""
    unwritten, reading.unwritten = reading.unwritten, Unwritten()
    at = (connection, source.clinic, source.name)
    visits.keep_people(connection, source.clinic, unwritten.people, source.people)
    incoming.withdraw(*at, unwritten.withdrawn, run=source.run)
    quarantine.set_aside(connection, source.clinic, unwritten.aside, run=source.run, now=source.now)
    sightings.keep(*at, unwritten.sheets, fingerprint=source.mapper.fingerprint)
    return unwritten.waiting.values()


def _says_otherwise(
    source: SourceRun, reading: Reading, page: Page, done: Sorted, number: int
) -> bool:
    """Whether the page has to be written down for the next read to recall."""
    if page.correction or page.changes:
        return False
    if not (page.records and source.connector.lists_everything):
        return False
    return bool(done.new) or done.sheet != reading.recall.sheet(number)


def _insert(connection: Connection, source: SourceRun, reading: Reading, done: Sorted) -> None:
    """Keep the new visits of a page, and note that the read has met them."""
    said = list(done.new.values())
    known, news = list[Said](), list[Said]()
    for one in said:
        (known if _is_no_news(source, reading, done.page, one) else news).append(one)
    kept = _inserted(connection, source, known, source.first_look)
    kept |= _inserted(connection, source, news, None)
    numbers = [kept[one.visit.key] for one in said]
    off = {one.at for one in said if one.visit.status.called_off}
    starts = [
        one.start_at or 0 if number and one.at not in off else 0
        for one, number in zip(said, numbers, strict=True)
    ]
    for one, number, start in zip(said, numbers, starts, strict=True):
        done.belongs(one.at, number, start)
    source.changes[What.BOOKED] += len(said) - len(off)
    before = reading.coming
    reading.meet_all(numbers, starts, now=int(source.now.timestamp()))
    reading.booked += reading.coming - before


def _inserted(
    connection: Connection,
    source: SourceRun,
    said: Sequence[Said],
    first_look: Callable[[Appointment], int] | None,
) -> dict[str, int]:
    """Keep new visits; return their numbers by key. See `visits.insert`."""
    if not said:
        return {}
    told = [one.visit for one in said]
    numbers = visits.insert(
        connection,
        source.clinic,
        source.name,
        told,
        [one.start_at for one in said],
        run=source.run,
        now=source.now,
        first_look=first_look,
    )
    return {visit.key: number for visit, number in zip(told, numbers, strict=True)}


def _is_no_news(source: SourceRun, reading: Reading, page: Page, said: Said) -> bool:
    """Whether a visit that is new to us was arranged before anybody could have told us (ADR 19)."""
    if reading.importing:
        return True
    widened = source.widened or page.widened
    if not widened and page.widened_from and said.start_at is not None:
        widened = said.start_at >= page.widened_from.timestamp()
    lately = said.created is not None and said.created.timestamp() > source.last_read - _LATE
    return widened and not lately


def remember(source: SourceRun, connection: Any) -> None:
    """Write what the connector wants to remember, with the page it belongs to."""
    now = dict(source.connector.kit.memory)
    owner = f"connectors/{source.name}"
    memory.remember(connection, source.clinic, owner, source.remembered, now)
    source.remembered = now


def _map(source: SourceRun, reading: Reading, done: Sorted) -> list[Said]:
    """Translate what is not known word for word; everything else has been met, or is set aside."""
    for thing in done.page.unreadable:
        aside = _unreadable(source.name, thing)
        if source.erased.has_record(aside.key, aside.fingerprint):
            source.skipped += 1
            continue
        reading.nameless |= thing.key is None
        _set_aside(reading, done, aside)
    said, record_at = [], done.page.record
    for at, record in _records(record_at, _unknown(source, reading, done.sheet)):
        try:
            visit = source.mapper(record)
        except BadRecord as error:
            if record.gone and error.key:  # a deletion often says little more than which
                visit = Appointment(source.name, error.key, Status.UNKNOWN, "UTC")
            else:
                _put_aside_record(source, reading, done, record, error)
                continue
        left = visit and source.erased.left_of(visit)
        if left is None:
            source.skipped += 1
            if visit is not None:
                _leave_out(source, reading, done, at, visit)
        else:
            start_at = int(left.start.timestamp()) if left.start else None
            said.append(Said(at, record.gone, left, start_at, record.created))
    return said


def _leave_out(
    source: SourceRun, reading: Reading, done: Sorted, at: int, visit: Appointment
) -> None:
    """Note that a record is known and not kept, so that the same said again is not looked at."""
    start = int(visit.start.timestamp()) if visit.start else 0
    reading.cover([start])
    done.belongs(at, sightings.NOBODY, start if start <= source.now.timestamp() else 0)


def _records(
    record_at: Callable[[int], Record], positions: Sequence[int]
) -> Iterator[tuple[int, Record]]:
    """Yield records with where they are.

    Some are made at once before the first of them is mapped: a processor keeps at hand either what
    makes them or what maps them, and to change after each costs a tenth of both (9 µs of FHIR).
    """
    for at in range(0, len(positions), _MADE_AT_ONCE):
        some = positions[at : at + _MADE_AT_ONCE]
        yield from zip(some, [record_at(one) for one in some], strict=True)


def _unknown(source: SourceRun, reading: Reading, sheet: Sheet) -> list[int]:
    """Return where on the page is what is not kept word for word; note the others as met."""
    unknown = [at for at, visit in enumerate(sheet.visits) if not visit]
    numbers, left_out = sheet.visits, sheet.visits.count(sightings.NOBODY)
    if left_out:
        numbers = array("q", (0 if n == sightings.NOBODY else n for n in numbers))
    again = reading.meet_all(numbers, sheet.starts, now=int(source.now.timestamp()))
    source.skipped += left_out
    source.unchanged += len(sheet.visits) - len(unknown) - len(again) - left_out
    if again and source.connector.duplicates == "last":
        reading.unwritten.withdraw({sheet.visits[at] for at in again})
    reading.cover(sheet.starts)
    return unknown


def _sort(source: SourceRun, reading: Reading, said: list[Said], done: Sorted) -> None:
    """Tell new visits from known ones, and what is different about those."""
    if not said:
        return
    by_key = _without_contradictions(source, reading, said, done)
    with source.store.read() as connection:
        known = visits.by_keys(connection, source.clinic, source.name, [*by_key])
    reading.mended += reading.aside.intersection(by_key)
    reading.cover(one.start_at for one in by_key.values())
    done.new = {key: one for key, one in by_key.items() if not (key in known or one.gone)}
    for key in [key for key, one in done.new.items() if _is_over(source, one)]:
        one = done.new.pop(key)
        source.skipped += 1
        _leave_out(source, reading, done, one.at, one.visit)
    done.people = [one.visit for one in done.new.values()]
    for key, one in by_key.items() if known else ():
        if key in known:
            _compare(source, reading, done, one, known[key])


def _is_over(source: SourceRun, said: Said) -> bool:
    """Whether a visit is so old that it would be deleted at once: what is not kept is no news."""
    if said.start_at is None or said.start_at >= source.oldest:
        return False
    return said.visit.end is None or said.visit.end.timestamp() < source.oldest


def _compare(source: SourceRun, reading: Reading, done: Sorted, said: Said, stored: Stored) -> None:
    visit, before = said.visit, stored.visit
    start_at = stored.start_at if _stands(stored) else None
    again = not reading.meet(stored.id, start_at, now=int(source.now.timestamp()))
    right = source.connector.duplicates
    if again and right != "last":
        if right != "first" and visit != _told_before(source, reading, stored):
            record = done.page.record(said.at)
            _put_aside_record(source, reading, done, record, _duplicate(visit.key))
            reading.unwritten.withdraw({stored.id})
        return
    if again and stored.id in done.sheet.visits[said.at :]:
        return  # a later record, known word for word, says what stands
    if said.gone:
        whats = [] if stored.gone_at else [What.GONE]
    elif before == visit and not stored.gone_at:
        done.belongs(said.at, stored.id, start_at)
        source.unchanged += 1
        if again:
            reading.unwritten.withdraw({stored.id})
        return
    else:
        whats = changes(before, visit, was_gone=stored.gone_at is not None)
        if visit.patients != before.patients:
            done.people.append(visit)
    if whats:
        done.waiting[visit.key] = _waiting(stored, said, whats)


def _told_before(source: SourceRun, reading: Reading, stored: Stored) -> Appointment:
    """Return what an earlier page of this read said of a visit."""
    waits = reading.unwritten.waiting.get(stored.source_key)
    content = waits.content if waits else None
    if waits is None and stored.id not in reading.unwritten.withdrawn:
        with source.store.read() as connection:
            content = incoming.content_of(
                connection, source.clinic, source.name, stored.id, run=source.run
            )
    return decode(content) if content else stored.visit


def _waiting(stored: Stored, said: Said, whats: list[What]) -> Waiting:
    gone = What.GONE in whats
    return Waiting(
        stored.id,
        stored.source_key,
        ",".join(whats),
        stored.start_at,
        stored.start_at if gone or said.start_at is None else said.start_at,
        None if gone else encode(said.visit).decode(),
    )


def _stands(stored: Stored) -> bool:
    return stored.gone_at is None and stored.status not in _OFF


def _without_contradictions(
    source: SourceRun, reading: Reading, said: list[Said], done: Sorted
) -> dict[str, Said]:
    """Fold records that say the same twice; set aside both of two that contradict."""
    right, record_at = source.connector.duplicates, done.page.record
    first = {one.visit.key: one for one in said}
    if len(first) == len(said):
        return first
    first.clear()
    torn: dict[str, None] = {}
    for one in said:
        key = one.visit.key
        other = first.setdefault(key, one)
        if other.visit != one.visit and right == "last":
            first[key] = one
        elif other.visit != one.visit and right != "first":
            torn[key] = None
            error = _duplicate(key, record_at(other.at))
            _put_aside_record(source, reading, done, record_at(one.at), error)
    for key in torn:
        _put_aside_record(source, reading, done, record_at(first.pop(key).at), _duplicate(key))
    return first


def _duplicate(key: str, other: Record | None = None) -> BadRecord:
    where = f" (the other is line {other.line})" if other and other.line else ""
    return BadRecord(
        "duplicate_key",
        field="key",
        key=key,
        detail=f"two records with one key say different things{where}; leave one in the source",
    )


def _put_aside_record(
    source: SourceRun, reading: Reading, done: Sorted, record: Record, error: BadRecord
) -> None:
    key = error.key or record.key
    aside = SetAside(
        source=source.name,
        place=f"{record.place}:{record.line}" if record.line else record.place,
        reason=error.reason,
        detail=error.detail,
        raw=record.raw or "",
        key=key,
        field=error.field,
        line=record.line,
        column=source.mapper.column_of(record, error.field),
    )
    if source.erased.has_record(key, aside.fingerprint):
        source.skipped += 1
        return
    if key is None:
        reading.nameless = True
    else:
        _meet(source, reading, key)
    _set_aside(reading, done, aside)


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


def _set_aside(reading: Reading, done: Sorted, thing: SetAside) -> None:
    done.aside.append(thing)
    reading.reasons[f"{thing.reason} ({thing.field})" if thing.field else thing.reason] += 1
