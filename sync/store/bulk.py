"""The one way rows are written: many at a time, as tuples, in the order of the columns named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from sync.store import dialects

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

_AT_ONCE = 4000


def write(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    rows: Iterable[tuple[Any, ...]],
    *,
    update: Sequence[str] = (),
) -> int:
    """Insert rows; where one is already there, set its `update` columns (none: leave it be).

    "Already there" means the primary key where `columns` hold it, else the table's unique key.
    Returns how many rows were given.
    """
    written, coming = 0, iter(rows)
    while chunk := list(islice(coming, _AT_ONCE)):
        dialects.send(connection, _table(table), columns, update, chunk)
        written += len(chunk)
    return written


def load() -> None:
    """Load what writing rows takes, a fifth of a second: nobody is to wait for the store meanwhile."""
    _table("messages")


@cache
def _table(name: str) -> Table:
    from sync.store.tables import metadata

    return metadata.tables[name]
