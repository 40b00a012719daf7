"""Pages of one file, and the cursor that each asks to keep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from clinicrelay.contracts import Cursor, Page, Record, Unmade, Unreadable
from clinicrelay.tables import Header, Row
from connectors.csv.inbox import Drop
from connectors.csv.reading import Form, Stretch, read
from connectors.csv.records import cells_splitter
from connectors.csv.text import Survey

PAGE = 4000


class _Batch:
    """The records of one page, each made when somebody looks at it."""

    def __init__(self, form: Form, header: Header) -> None:
        self._name = form.drop.name
        self._header = header
        self._split = form.split
        self._remarks = form.remarks
        self._as_sent = cells_splitter(form.shape)
        self._digests: list[bytes] = []
        self._raws: list[str | bytes] = []
        self._lines: list[int] = []
        self._gone: set[int] = set()
        self._unreadable: list[Unreadable] = []

    @property
    def full(self) -> bool:
        return len(self._digests) + len(self._unreadable) >= PAGE

    def take(self, found: Stretch | Unreadable) -> Stretch | None:
        """Add what fits into the page; return the rest, if there is any."""
        if isinstance(found, Unreadable):
            self._unreadable.append(found)
            return None
        if found.gone:
            self._gone.add(len(self._digests))
        room = PAGE - len(self._digests) - len(self._unreadable)
        self._digests += found.digests[:room]
        self._raws += found.raws[:room]
        self._lines += found.lines[:room]
        return found.after(room)

    def page(self, known: Cursor) -> Page:
        records = Unmade(self._digests, self._make)
        page = Page(self._name, records, self._unreadable, known)
        if self._remarks is None:
            return page
        mends = self._remarks.refs(self._raws, self._as_sent)
        return replace(page, correction=True, mends=mends)

    def _make(self, at: int) -> Record:
        raw = self._raws[at]
        if isinstance(raw, bytes):
            raw = raw.decode()
        return Record(
            Row(self._header, raw, self._split),
            self._digests[at],
            self._name,
            self._lines[at],
            raw,
            None,
            at in self._gone,
        )


def paged(form: Form, known: Cursor) -> Iterator[Page]:
    """Yield at least one page; while the file is being read the cursor stays the old one."""
    header = Header(form.names)  # one for all rows, so that a mapping is bound to it once
    batch = _Batch(form, header)
    for found in read(form):
        rest: Stretch | Unreadable | None = found
        while rest:
            rest = batch.take(rest)
            if batch.full:
                yield batch.page(known)
                batch = _Batch(form, header)
    yield batch.page(known)


def counted(page: Page, count: int, whole: bool) -> tuple[int, bool]:
    return count + len(page.records) + len(page.unreadable), whole and not page.unreadable


def ended(page: Page, cursor: Cursor, notes: list[str], *, complete: bool = False) -> Page:
    return replace(page, cursor=cursor, last=True, complete=complete, notes=notes)


def without_its_end(page: Page) -> Page:
    """Return the last page of a file that may end within its last row: that row is set aside."""
    if not page.records:
        return page
    end = page.record(len(page.records) - 1)
    if any((one.line or 0) > (end.line or 0) for one in page.unreadable):
        return page  # the last row is set aside as it is
    bad = Unreadable(
        f"{page.scope}:{end.line}" if end.line else page.scope,
        "truncated",
        end.raw or "",
        "the file has no line end after this row, and the one before it had: it may be cut off",
        line=end.line,
    )
    kept = Unmade([*page.digests][:-1], page.record)
    return replace(page, records=kept, unreadable=[*page.unreadable, bad])


def set_aside(
    drop: Drop,
    seen: Survey,
    known: Cursor,
    *,
    unreadable: list[Unreadable] | None = None,
    notes: list[str] | None = None,
) -> Page:
    """Return the page of a file that goes to quarantine whole; what was known stays known."""
    cursor = {**known, "aside": {"name": drop.name, "sha256": seen.sha256}}
    why = "".join(f": {bad.detail}" for bad in unreadable or [])
    said = [*(notes or []), f"{drop.name} was moved to quarantine{why}"]
    return Page(drop.name, (), unreadable or (), cursor=cursor, last=True, notes=said)


def corrected(drop: Drop, seen: Survey, known: Cursor, count: int) -> Cursor:
    """Return the cursor after a reject file that came back: the source stands where it stood."""
    return {**known, "corrected": {"name": drop.name, "sha256": seen.sha256, "count": count}}


class End(NamedTuple):
    """Which file a read ended with, and where it goes; `rows` where they were read."""

    name: str
    sha256: str
    place: str
    rows: int | None


def end_of(cursor: Cursor, *, month: str) -> End | None:
    """Return what the cursor of a read says of its file, None where it read none to the end."""
    for mark, place in (("aside", "quarantine"), ("corrected", f"processed/{month}")):
        if told := cursor.get(mark):
            return End(told["name"], told["sha256"], place, told.get("count"))
    if "name" not in cursor:
        return None
    return End(cursor["name"], cursor["sha256"], f"processed/{month}", cursor.get("count"))


def standing(cursor: Cursor) -> Cursor:
    """Return what a cursor says of the source, without the file that was put beside it."""
    return {key: value for key, value in cursor.items() if key not in ("aside", "corrected")}


def unproven(cursor: Cursor) -> Cursor:
    """Return a cursor that stands where it stood, but for what the store holds of its file.

    Part of another file was kept since, or a person may let it through: the same bytes are read then.
    """
    return {**cursor, "complete": False} if cursor else cursor


def identity(drop: Drop, seen: Survey) -> Cursor:
    return {
        "name": drop.name,
        "sha256": seen.sha256,
        "stamp": drop.stamp,
        "by": drop.by,
        "modified": drop.modified,
        "ended": seen.ended,
    }


def is_outdated(drop: Drop, known: Cursor) -> bool:
    """Whether a reject file is of a snapshot that a newer one has followed, as their names say."""
    return drop.by == "name" == known.get("by") and drop.stamp < known["stamp"]


def is_older(drop: Drop, known: Cursor) -> bool:
    """Whether a file was written before the one read last.

    Dates in names are compared with dates in names: the day a name tells begins before the hour at
    which a file without one was written.
    """
    if "stamp" not in known:
        return False
    if drop.by == known["by"]:
        return bool(drop.stamp < known["stamp"])
    return bool(drop.modified < known["modified"])
