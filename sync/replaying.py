"""replay: maps once more what a source said, after its mapping was mended; nobody hears anything twice.

Of what was put away (files), the last that was said of each visit counts: an older record never
overwrites a newer one. A system that can be asked is read once more as if for the first time. What
differs goes the way of every change: the guard judges it, calendars follow, and people are told where
they were told wrongly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from clinicrelay.contracts import Page, Record, Window
from clinicrelay.errors import BadRecord
from sync import absence, keep, rewording
from sync import pull as pulling
from sync.pull import SourceRun
from sync.store import progress, visits

if TYPE_CHECKING:
    from sync.clinic import Clinic


def replay(clinic: Clinic, source: SourceRun, since: datetime) -> None:
    """Map what a source said since a moment, and keep what is different. Raises TryLater, Refused."""
    limits, zone = clinic.settings.safety.hold_if, clinic.zone
    put_away = source.connector.put_away(since)
    if put_away is None:
        _forget_where_it_stood(source)
        window = clinic.window(source.name)
        wide = Window(min(window.start, since), window.end)
        for reading, page in pulling.pull(source, wide):
            source.unfinished = page.unfinished
            absence.ask_by_key(source, reading, page, limits=limits, zone=zone)
            keep.end_read(source, reading, page, limits=limits, zone=zone)
        return
    records = _still_said(source, *_last_said(source, put_away))
    source.widened = True  # what a mapping lets through just now was there before
    source.reword = partial(rewording.reword, clinic, only_understood=True)
    page = Page("replay", records, cursor={}, last=True, correction=True, widened=True)
    reading = pulling.reading_of_answers(source)
    source.read += len(records)
    reading.records += len(records)
    pulling.keep_page(source, reading, page)
    keep.end_read(source, reading, replace(page, records=()), limits=limits, zone=zone)


def _forget_where_it_stood(source: SourceRun) -> None:
    with source.store.write() as connection:
        source.lease.fence(connection)
        progress.note(connection, source.clinic, source.name, cursor=None, fingerprint=None)


def _last_said(source: SourceRun, pages: Iterator[Page]) -> tuple[dict[str, Record], set[str]]:
    """Return the last record of each visit, and the keys that the newest file names.

    A record that nobody understands is the last word on its visit as well: what stands, stays.
    """
    said: dict[str, Record] = {}
    newest: set[str] = set()
    scope = ""
    for page in pages:
        if page.scope != scope:
            scope, newest = page.scope, set()
        for at in range(len(page.records)):
            record = page.record(at)
            if key := _key_of(source, record):
                said.pop(key, None)  # in the order of their last words
                said[key] = record
                newest.add(key)
    return said, newest


def _key_of(source: SourceRun, record: Record) -> str | None:
    try:
        visit = source.mapper(record)
    except BadRecord as error:
        return error.key or record.key
    return None if visit is None else visit.key


def _still_said(source: SourceRun, said: Mapping[str, Record], newest: set[str]) -> list[Record]:
    """Return the records by which visits are to be understood anew.

    Where the newest file lists everything, what it leaves out is not brought back by an older one.
    """
    if not source.connector.lists_everything:
        return [*said.values()]
    with source.store.read() as connection:
        known = visits.by_keys(connection, source.clinic, source.name, [*said])
    standing = {key for key, one in known.items() if one.gone_at is None}
    return [record for key, record in said.items() if key in newest or key in standing]
