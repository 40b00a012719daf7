"""From a page as it came to a page of records: what is a visit, what is only referred to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

from msgspec import Raw, Struct

from clinicrelay.contracts import Record, Unmade, Unreadable
from clinicrelay.errors import BadRecord
from clinicrelay.http import Spent
from connectors.fhir.bundles import Entry
from connectors.fhir.found import Found
from connectors.fhir.lookups import Lookups
from connectors.fhir.resources import head_of
from connectors.fhir.seen import Seen, moment_of
from connectors.fhir.server import Sheet
from connectors.fhir.visit import Reader

# What a record always has, in this order; of a deletion no more is known than which visit it was.
KEYS = (
    "key",
    "status",
    "cancel_reason",
    "start",
    "end",
    "minutes",
    "kind",
    "modality",
    "join_url",
    "join_url_practitioner",
    "service",
    "specialty",
    "reason",
    "notes",
    "visit_number",
    "location_key",
    "location_name",
    "location_address",
    "timezone",
    "patients",
    "practitioners",
)

_AN_INSTANT = timedelta(milliseconds=1)
_LATEST = datetime(2199, 12, 31, tzinfo=UTC)  # of a deletion that nothing dates: it wins

_A_FEW = 20  # visits

_SHOWN = 20_000  # characters of what could not be read


class Version(Struct, frozen=True, gc=False):
    """One appointment as a page has it; without `raw` it was deleted."""

    key: str
    raw: Raw | None
    updated: str | None
    changed: datetime | None = None


@dataclass(slots=True)
class Sorted:
    """What a page holds: visits by key, each once, and what could not be read."""

    visits: dict[str, Version] = field(default_factory=dict)
    unreadable: list[Unreadable] = field(default_factory=list)


def sort(sheet: Sheet, seen: Seen, found: Found) -> Sorted:
    """Tell visits from what they refer to, which goes to `found`; what is no news is left out."""
    done, undated = Sorted(), _undated(sheet)
    for at, entry in enumerate(sheet.bundle.entries):
        mode = entry.search.mode if entry.search is not None else None
        if mode == "outcome" or (mode == "include" and found.has_met(entry)):
            continue
        if entry.request is not None and entry.method == "DELETE" and (key := _deleted(entry)):
            changed = moment_of(entry.changed) or undated.get(at)
            _keep(key, None, entry.changed, changed, done, seen)
        elif entry.resource:
            _take(entry, mode, done, seen, found)
    return done


def _take(entry: Entry, mode: str | None, done: Sorted, seen: Seen, found: Found) -> None:
    try:
        head = head_of(entry.resource)
    except ValueError as error:
        done.unreadable.append(_unreadable(entry, "not_fhir", str(error)))
        return
    if head.type != "Appointment":
        if head.type.lower() == "appointment":
            done.unreadable.append(
                _unreadable(entry, "not_fhir", "a type that FHIR writes otherwise")
            )
        elif head.type != "OperationOutcome":
            found.add(entry.resource, entry.full_url)
    elif mode == "include":
        return  # such as the one that another took the place of: not what was asked for
    elif not head.id:
        done.unreadable.append(_unreadable(entry, "no_id", "an appointment without an id"))
    else:
        _keep(head.id, entry.resource, head.updated, moment_of(head.updated), done, seen)


def _undated(sheet: Sheet) -> dict[int, datetime]:
    """Return when deletions were made that do not say so, by where they stand in a history.

    A history tells the newest first; where its dates tell otherwise, they are believed. So such a
    deletion came right after what stands on its older side.
    """
    entries = sheet.bundle.entries
    lacking = [
        at
        for at, one in enumerate(entries)
        if one.request and one.method == "DELETE" and moment_of(one.changed) is None
    ]
    if not lacking:
        return {}
    dated = [(at, moment) for at, one in enumerate(entries) if (moment := _dated(one))]
    turn = -1 if dated and dated[0][1] < dated[-1][1] else 1
    return {at: _between(at, dated, turn) or sheet.date or _LATEST for at in lacking}


def _between(at: int, dated: Sequence[tuple[int, datetime]], turn: int) -> datetime | None:
    """Return a moment after the nearest older neighbour, else before the nearest newer one."""
    older = [moment for one, moment in dated if (one - at) * turn > 0]
    newer = [moment for one, moment in dated if (one - at) * turn < 0]
    if older:
        return (older[0] if turn > 0 else older[-1]) + _AN_INSTANT
    return (newer[-1] if turn > 0 else newer[0]) - _AN_INSTANT if newer else None


def _dated(entry: Entry) -> datetime | None:
    if entry.method == "DELETE" or entry.changed or not entry.resource:
        return moment_of(entry.changed)
    try:
        return moment_of(head_of(entry.resource).updated)
    except ValueError:
        return None


def _keep(
    key: str,
    raw: Raw | None,
    updated: str | None,
    changed: datetime | None,
    done: Sorted,
    seen: Seen,
) -> None:
    mark = hash(bytes(raw)) if raw is not None else 0  # it need not outlive this read
    if seen.is_news(key, changed, mark):
        done.visits.pop(key, None)
        done.visits[key] = Version(key, raw, updated, changed)


def _deleted(entry: Entry) -> str | None:
    kind, _, rest = (entry.url or "").rpartition("Appointment/")
    key = rest.partition("/")[0].partition("?")[0]
    return key if key and (not kind or kind.endswith("/")) else None


def _unreadable(entry: Entry, reason: str, detail: str) -> Unreadable:
    text = bytes(entry.resource).decode("utf-8", "replace")[:_SHOWN]
    return Unreadable("Appointment", reason, text or "(nothing)", detail)


def batches(
    done: Sorted, reader: Reader, lookups: Lookups, *, careful: bool
) -> Iterator[tuple[Unmade, bool]]:
    """Yield the visits of a page, of which only digests are made, and whether these are the last.

    What they refer to and did not bring along is fetched before, what of it only a digest is known of
    when a visit is read. To be `careful` is for a budget that has run out before: a few at a time,
    so that what could be read is kept. Raises Unwelcome and NotAnswered, and Spent after the visits
    that were finished before it.
    """
    versions = [*done.visits.values()]
    size = (_A_FEW if careful else len(versions)) or 1
    for at in range(0, len(versions) or 1, size):
        some = versions[at : at + size]
        lookups.found.lacking = False
        digests = _digests(some, reader)
        if lookups.found.lacking:
            try:
                _fill(some, lookups, careful=careful)
            except Spent:
                some = [one for one in some if lookups.knows(one.raw)]
                yield _unmade(some, _digests(some, reader), reader, lookups), False
                raise
            digests = _digests(some, reader)
        yield _unmade(some, digests, reader, lookups), at + size >= len(versions)


def _fill(versions: Sequence[Version], lookups: Lookups, *, careful: bool) -> None:
    """Fetch what visits refer to: for all at once, or visit by visit where it comes singly."""
    raws = [one.raw for one in versions if one.raw is not None]
    if lookups.in_lists:
        lookups.fill(raws)
    for raw in raws:
        asked = lookups.asked
        lookups.fill([raw])
        if careful and lookups.asked > asked:  # it will be read, so while there is something left
            lookups.complete(raw)


def _unmade(
    versions: Sequence[Version], digests: list[bytes], reader: Reader, lookups: Lookups
) -> Unmade:
    def make(at: int) -> Record:
        key, raw, digest = versions[at].key, versions[at].raw, digests[at]
        if raw is not None and lookups.complete(raw):
            digest = reader.digest(raw)
        return record(key, raw, reader, digest)

    return Unmade(digests, make)


def _digests(versions: Sequence[Version], reader: Reader) -> list[bytes]:
    return [_gone_digest(one) if one.raw is None else reader.digest(one.raw) for one in versions]


def record(key: str, raw: Raw | None, reader: Reader, digest: bytes) -> Record:
    """Return a visit as the mapping reads it; one that cannot be a visit says so when it is read."""
    place = f"Appointment/{key}"
    if raw is None:
        return Record(dict.fromkeys(KEYS) | {"key": key}, digest, place, key=key, gone=True)
    try:
        return reader.record(raw, place=place, digest=digest)
    except BadRecord as error:
        text = bytes(raw).decode("utf-8", "replace")
        return Record(_Unusable(error, key), digest, place, raw=text, key=key)


def gone(key: str) -> Record:
    """Return the proof that a visit is deleted."""
    return record(key, None, _NO_READER, _gone_digest(Version(key, None, None)))


_NO_READER: Any = None


def _gone_digest(version: Version) -> bytes:
    said = f"gone\0{version.key}\0{version.updated or ''}"
    return blake2b(said.encode(), digest_size=16).digest()


class _Unusable(Mapping[str, Any]):
    """Stands for a record that cannot be a visit: whoever reads it learns why."""

    def __init__(self, error: BadRecord, key: str) -> None:
        self._error = error
        error.key = error.key or key

    def __getitem__(self, name: str) -> Any:
        raise self._error

    def __iter__(self) -> Iterator[str]:
        raise self._error

    def __len__(self) -> int:
        return len(KEYS)
