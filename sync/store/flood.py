"""Messages beyond what is usual: counted, held for a person, and let go or dropped by one."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import text

from sync.store import seconds

if TYPE_CHECKING:
    from sqlalchemy import Connection


def count_due(connection: Connection, clinic: str, *, now: datetime) -> int:
    """Return how many planned messages could leave now, those that a person released aside.

    Alerts are not counted: they say that there are too many.
    """
    counted = text(
        "SELECT count(*) FROM messages WHERE clinic = :clinic AND state = 'planned' "
        "AND held IS NULL AND due_at <= :now AND (next_try_at IS NULL OR next_try_at <= :now) "
        "AND role <> 'staff'"
    )
    return int(connection.execute(counted, {"clinic": clinic, "now": seconds(now)}).scalar_one())


def count_held(connection: Connection, clinic: str) -> int:
    """Return how many messages wait for a person to let them go."""
    counted = text("SELECT count(*) FROM messages WHERE clinic = :clinic AND state = 'held'")
    return int(connection.execute(counted, {"clinic": clinic}).scalar_one())


def sent_by_hour(connection: Connection, clinic: str, *, now: datetime) -> list[int]:
    """Return how many left in the last 60 minutes, and in each earlier hour (of 14 days) with any."""
    rows = connection.execute(
        text(
            # Without a division: some databases give whole numbers, others fractions.
            "SELECT hour, count(*) AS number FROM ("
            "SELECT (:now - settled_at) - (:now - settled_at) % 3600 AS hour FROM messages "
            "WHERE clinic = :clinic AND state = 'sent' AND settled_at > :since) sent GROUP BY hour"
        ),
        {"clinic": clinic, "now": seconds(now), "since": seconds(now) - 14 * 86400},
    )
    hours = {int(row.hour) // 3600: row.number for row in rows}
    return [hours.pop(0, 0), *hours.values()]


def hold_after(connection: Connection, clinic: str, hold: int, *, now: datetime, keep: int) -> None:
    """Hold all due messages but `keep`: those of the visits that are soonest leave."""
    rows = connection.execute(
        text(
            "SELECT id FROM messages WHERE clinic = :clinic AND state = 'planned' "
            "AND held IS NULL AND due_at <= :now AND (next_try_at IS NULL OR next_try_at <= :now) "
            "AND role <> 'staff' ORDER BY dedupe"  # begins with the visit's start (sync.plan)
        ),
        {"clinic": clinic, "now": seconds(now)},
    ).fetchall()
    surplus = [{"hold": hold, "id": row.id} for row in rows[keep:]]
    connection.execute(
        text(
            "UPDATE messages SET state = 'held', held = :hold, reason = 'awaiting_approval' "
            "WHERE id = :id"
        ),
        surplus,
    )


def release(connection: Connection, hold: int) -> None:
    """Let held messages go: they pass the gate once more."""
    connection.execute(
        text("UPDATE messages SET state = 'planned', reason = NULL WHERE held = :hold"),
        {"hold": hold},
    )


def reject(connection: Connection, hold: int, *, now: datetime) -> None:
    """Drop held messages for good."""
    connection.execute(
        text(
            "UPDATE messages SET state = 'skipped', reason = 'rejected', settled_at = :now "
            "WHERE held = :hold AND state = 'held'"
        ),
        {"hold": hold, "now": seconds(now)},
    )
