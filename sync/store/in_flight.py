"""What may be on its way to people, and who was told something newer meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from clinicrelay.actions import Say
from sync.store import dialects, instant, seconds
from sync.store.said import say_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sync.store.said import Open

_OPEN = "('sending', 'handed_over', 'unknown')"


class InFlight(NamedTuple):
    """A message that nobody knows the end of: what is said about the visit, and when it was begun."""

    message: int
    say: Say
    started_at: datetime


def in_flight(
    connection: Connection, visits: Sequence[int]
) -> dict[tuple[int, str], list[InFlight]]:
    """Return what may be on its way about visits, also within another message: by visit, recipient."""
    found: dict[tuple[int, str], list[InFlight]] = {}
    for start in range(0, len(visits), 900):
        some = tuple(visits[start : start + 900])
        marks = dialects.marks(connection, len(some))
        rows = dialects.fetch(
            connection,
            "SELECT m.appointment, m.id, m.say, a.started_at "
            "FROM messages m JOIN attempts a ON a.message = m.id "
            f"WHERE m.appointment IN ({marks}) "
            f"AND m.state IN ('sending', 'unknown') AND a.state IN {_OPEN} UNION ALL "
            "SELECT m.appointment, m.id, m.say, a.started_at FROM messages m "
            "JOIN together t ON t.message = m.id JOIN attempts a ON a.message = t.told_with "
            f"WHERE m.appointment IN ({marks}) AND m.state = 'skipped' AND a.state IN {_OPEN}",
            (*some, *some),
        )
        for visit, number, said, at in rows:
            one = InFlight(number, say_of(said), instant(at))
            found.setdefault((visit, one.say.recipient), []).append(one)
    return found


def knows_newer(connection: Connection, visit: int, recipient: str, attempt: Open) -> bool:
    """Return whether a person was told of a visit by what left after an attempt.

    Of one moment the later entry of the ledger is the newer one.
    """
    rows = dialects.fetch(
        connection,
        "SELECT t.told_at, t.told_by, b.message FROM told t LEFT JOIN attempts b ON b.id = t.told_by "
        "WHERE t.appointment = ? AND t.recipient = ?",
        (visit, recipient),
    )
    begun = seconds(attempt.started_at)
    return any(
        at > begun or (at == begun and by is not None and (message or 0) > attempt.message)
        for at, by, message in rows
        if message != attempt.message
    )
