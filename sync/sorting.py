"""Sorts what a page tells: new visits, changes of known ones, and what nobody understands."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from clinicrelay.actions import What
from clinicrelay.contracts import Record, Unreadable
from clinicrelay.errors import BadRecord
from clinicrelay.model import Appointment, Status, decode, encode
from sync.changes import changes
from sync.reading import Reading, Said, Sorted
from sync.store import incoming, sightings, visits
from sync.store.incoming import Waiting
from sync.store.quarantine import SetAside
from sync.store.sightings import Sheet
from sync.store.visits import Stored

if TYPE_CHECKING:
    from sync.pull import SourceRun

_MADE_AT_ONCE = 50
_OFF = (Status.CANCELLED.value, Status.ENTERED_IN_ERROR.value)


def mapped(source: SourceRun, reading: Reading, done: Sorted) -> list[Said]:
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


def sort(source: SourceRun, reading: Reading, said: list[Said], done: Sorted) -> None:
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
