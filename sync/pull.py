"""pull: asks a source what it has, sets aside what nobody understands, and keeps page by page.

A record whose raw digest is already kept is not even mapped. New visits are kept with their page;
whatever would alter or remove a known visit waits in `incoming` until the read has ended and the
guard has judged the whole of it (see `sync.keep`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from clinicrelay.actions import What
from clinicrelay.contracts import Connector, Cursor, Page, Window
from clinicrelay.errors import Refused, TryLater
from clinicrelay.model import Appointment
from sync.reading import Reading, Said, Sorted, Unwritten
from sync.recall import Recall
from sync.sorting import mapped, sort
from sync.store import bulk, incoming, memory, progress, quarantine, sightings, visits
from sync.store.incoming import Waiting
from sync.store.sightings import Sheet

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from mappings.compile import Mapper
    from sync.erased import Gone
    from sync.store import Store
    from sync.store.leases import Lease
    from sync.store.progress import Progress


_LATE = 3600  # seconds that a booking may take until a source tells it
_PAGES_AT_ONCE = 16  # that wait to be written; a page of 4000 records takes 130 kB


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
    said = mapped(source, reading, done)
    sort(source, reading, said, done)
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
