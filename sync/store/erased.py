"""Who was erased: nothing of them but keyed hashes, by which what a source says again is known."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from sync.store import bulk, dialects, instant, seconds

if TYPE_CHECKING:
    from sqlalchemy import Connection

_COLUMNS = ("clinic", "mark", "kind", "erased_at", "who", "done_at")
PATIENT, VISIT, RECORD = "patient", "visit", "record"


class Mark(NamedTuple):
    """One hash: of a patient, of a visit of theirs, or of a record of theirs that was set aside."""

    mark: str
    kind: str
    erased_at: datetime
    who: str
    done_at: datetime | None = None


def put(
    connection: Connection,
    clinic: str,
    marks: Iterable[tuple[str, str]],
    *,
    now: datetime,
    who: str,
) -> None:
    """Note marks (mark, kind). Those that are there stay as they are, but nothing of them is done."""
    rows = [(clinic, mark, kind, seconds(now), who[:120], None) for mark, kind in marks]
    bulk.write(connection, "erased", _COLUMNS, rows, update=("done_at",))


def known(connection: Connection, clinic: str) -> dict[str, Mark]:
    """Return all marks of a clinic."""
    rows = dialects.fetch(
        connection,
        "SELECT mark, kind, erased_at, who, done_at FROM erased WHERE clinic = ?",
        (clinic,),
    )
    return {row[0]: _read(row) for row in rows}


def unfinished(connection: Connection, clinic: str) -> list[Mark]:
    """Return the patients of whom something may be left."""
    rows = dialects.fetch(
        connection,
        "SELECT mark, kind, erased_at, who, done_at FROM erased "
        "WHERE clinic = ? AND kind = ? AND done_at IS NULL ORDER BY erased_at, mark",
        (clinic, PATIENT),
    )
    return [_read(row) for row in rows]


def finish(connection: Connection, clinic: str, mark: str, *, now: datetime) -> None:
    """Note that nothing of a patient is left."""
    dialects.run(
        connection,
        "UPDATE erased SET done_at = ? WHERE clinic = ? AND mark = ?",
        (seconds(now), clinic, mark),
    )


def all_of(connection: Connection) -> list[tuple[object, ...]]:
    """Return the marks of every clinic of a store, for a restore to put back."""
    return dialects.fetch(connection, f"SELECT {', '.join(_COLUMNS)} FROM erased")


def put_back(connection: Connection, rows: Iterable[tuple[object, ...]]) -> None:
    """Put marks back after a restore: who was erased since is in the backup, and to be erased anew."""
    again = [(*row[:-1], None if row[2] == PATIENT else row[-1]) for row in rows]
    bulk.write(connection, "erased", _COLUMNS, again, update=("done_at",))


def _read(row: tuple[object, ...]) -> Mark:
    mark, kind, at, who, done = row
    return Mark(
        str(mark),
        str(kind),
        instant(int(str(at))),
        str(who),
        instant(int(str(done))) if done is not None else None,
    )
