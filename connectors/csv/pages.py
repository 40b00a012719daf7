"""Pages of one file, and the cursor that each asks to keep."""

from __future__ import annotations

from collections.abc import Iterator

from clinicrelay.contracts import Cursor, Page, Record, Unmade, Unreadable
from clinicrelay.tables import Header, Row
from connectors.csv.inbox import Drop
from connectors.csv.reading import Form, Stretch, read
from connectors.csv.text import Survey

PAGE = 4000


class _Batch:
    """The records of one page, each made when somebody looks at it."""

    def __init__(self, form: Form, header: Header) -> None:
        self._name = form.drop.name
        self._header = header
        self._split = form.split
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
        return Page(self._name, records, self._unreadable, known)

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
    header = Header(form.shape.names)  # one for all rows, so that a mapping is bound to it once
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
    return Page(
        page.scope,
        page.records,
        page.unreadable,
        cursor=cursor,
        last=True,
        complete=complete,
        notes=notes,
    )


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
    said = [*(notes or []), f"{drop.name} was moved to quarantine"]
    return Page(drop.name, (), unreadable or (), cursor=cursor, last=True, notes=said)


def identity(drop: Drop, seen: Survey) -> Cursor:
    return {
        "name": drop.name,
        "sha256": seen.sha256,
        "stamp": drop.stamp,
        "by": drop.by,
        "modified": drop.modified,
    }


def is_older(drop: Drop, known: Cursor) -> bool:
    """Whether a snapshot was taken before the one read last.

    Dates in names are compared with dates in names: the day a name tells begins before the hour at
    which a file without one was written.
    """
    if "stamp" not in known:
        return False
    if drop.by == known["by"]:
        return bool(drop.stamp < known["stamp"])
    return bool(drop.modified < known["modified"])
