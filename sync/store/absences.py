"""Coming visits that a source stopped naming, and for how many complete reads in a row."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from sqlalchemy import text

from sync.store import bulk

if TYPE_CHECKING:
    from sqlalchemy import Connection


def of(connection: Connection, clinic: str, source: str) -> dict[int, int]:
    """Return how many reads in a row did not name each visit that the last one did not name."""
    rows = connection.execute(
        text(  # with its table before it, because `reads` alone is a word of MySQL's own
            "SELECT appointment, absences.reads FROM absences "
            "WHERE clinic = :clinic AND source = :source"
        ),
        {"clinic": clinic, "source": source},
    )
    return {row.appointment: row.reads for row in rows}


def keys_of(connection: Connection, clinic: str, source: str) -> list[str]:
    """Return the source's own keys of visits that the last reads did not name, oldest first."""
    rows = connection.execute(
        text(
            "SELECT appointments.source_key FROM absences "
            "JOIN appointments ON appointments.id = absences.appointment "
            "WHERE absences.clinic = :clinic AND absences.source = :source "
            "AND appointments.gone_at IS NULL ORDER BY absences.appointment"
        ),
        {"clinic": clinic, "source": source},
    )
    return [row.source_key for row in rows]


def note(
    connection: Connection,
    clinic: str,
    source: str,
    named: Collection[int],
    absent: Iterable[tuple[int, int]],
) -> None:
    """Forget visits that were named again; write down the absent ones with their number of reads."""
    forget(connection, clinic, source, named)
    bulk.write(
        connection,
        "absences",
        ("clinic", "source", "appointment", "reads"),
        [(clinic, source, visit, reads) for visit, reads in absent],
        update=("reads",),
    )


def forget(connection: Connection, clinic: str, source: str, visits: Collection[int]) -> None:
    """Count nothing any more for visits that were named again, or that are gone for good."""
    counted = of(connection, clinic, source).keys() & visits if visits else ()
    if counted:
        gone = [{"visit": visit} for visit in counted]
        connection.execute(text("DELETE FROM absences WHERE appointment = :visit"), gone)
