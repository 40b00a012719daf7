"""Pages of one file, and the cursor that each asks to keep."""

from __future__ import annotations

from collections.abc import Iterator

from clinicrelay.contracts import Cursor, Page, Record, Unreadable
from connectors.csv.inbox import Drop
from connectors.csv.reading import Form, read
from connectors.csv.text import Survey

PAGE = 4000


def paged(form: Form, known: Cursor) -> Iterator[Page]:
    """Yield at least one page; while the file is being read the cursor stays the old one."""
    records: list[Record] = []
    unreadable: list[Unreadable] = []
    for found in read(form):
        if isinstance(found, Unreadable):
            unreadable.append(found)
        else:
            records += found
        while len(records) + len(unreadable) >= PAGE:
            yield Page(form.drop.name, records[:PAGE], unreadable, known)
            records, unreadable = records[PAGE:], []
    yield Page(form.drop.name, records, unreadable, known)


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
