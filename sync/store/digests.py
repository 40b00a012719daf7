"""What doctors' digests are made from: when the last one left, and which visits changed since."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import text

from sync.store import dialects, seconds
from sync.store.wakes import SELECT, Woken

if TYPE_CHECKING:
    from sqlalchemy import Connection


def last_sent(connection: Connection, clinic: str, dedupes: Sequence[str]) -> datetime | None:
    """Return when the latest of these messages was sent, or written down in rehearsal."""
    mark = dialects.marks(connection, 1)
    found = connection.exec_driver_sql(
        f"SELECT max(settled_at) FROM messages WHERE clinic = {mark} "
        f"AND dedupe IN ({dialects.marks(connection, len(dedupes))}) "
        "AND (state = 'sent' OR (state = 'skipped' AND reason = 'rehearsal'))",
        (clinic, *dedupes),
    ).scalar_one()
    return None if found is None else datetime.fromtimestamp(int(found), UTC)


def changed(connection: Connection, clinic: str, *, since: datetime, now: datetime) -> list[Woken]:
    """Return the visits, coming or without a time, that changed or came since.

    Found by their start: a digest goes out once a day, and what is over is news to nobody.
    """
    at = {"clinic": clinic, "since": seconds(since), "now": seconds(now)}
    found = []
    for when in ("start_at > :now", "start_at IS NULL"):
        rows = connection.execute(
            text(f"{SELECT} WHERE clinic = :clinic AND {when} AND changed_at > :since ORDER BY id"),
            at,
        )
        found += [Woken(*row) for row in rows]
    return found
