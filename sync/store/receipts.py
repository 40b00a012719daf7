"""How far accepted messages came: which are to be asked about, and what is written once it is known."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from sqlalchemy import text

from clinicrelay.contracts import Message
from sync.store import seconds
from sync.store.said import Due, say_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

_decode = msgspec.json.Decoder(Message).decode


class Asked(NamedTuple):
    """An accepted attempt whose delivery is not known yet."""

    id: str
    notifier: str
    provider_id: str | None
    body: Message
    started_at: datetime
    begun_at: datetime
    due: Due


def to_ask(connection: Connection, clinic: str, *, now: datetime, limit: int) -> list[Asked]:
    """Return the accepted attempts that are to be asked about by now, the longest waiting first."""
    rows = connection.execute(
        text(
            "SELECT a.id, a.notifier, a.provider_id, a.body, a.started_at, "
            "COALESCE(a.begun_at, a.started_at) AS begun_at, a.message, m.dedupe, m.appointment, "
            "m.say, m.tries FROM attempts a JOIN messages m ON m.id = a.message "
            "WHERE a.clinic = :clinic AND a.look_at <= :now AND a.state = 'accepted' "
            "AND a.body IS NOT NULL ORDER BY a.look_at, a.id LIMIT :limit"
        ),
        {"clinic": clinic, "now": seconds(now), "limit": limit},
    )
    return [
        Asked(
            row.id,
            row.notifier,
            row.provider_id,
            _decode(row.body),
            datetime.fromtimestamp(row.started_at, UTC),
            datetime.fromtimestamp(row.begun_at, UTC),
            Due(row.message, row.dedupe, row.appointment, say_of(row.say), row.tries),
        )
        for row in rows
    ]


def note(
    connection: Connection, attempt: str, delivery: str | None, *, look_at: datetime | None
) -> None:
    """Note how far an attempt came, where that is known, and when to ask again."""
    connection.execute(
        text(
            "UPDATE attempts SET delivery = COALESCE(:delivery, delivery), look_at = :look "
            "WHERE id = :id AND state = 'accepted'"
        ),
        {"id": attempt, "delivery": delivery, "look": seconds(look_at) if look_at else None},
    )


def undelivered(connection: Connection, attempt: str, reason: str, detail: str) -> bool:
    """Note that an accepted attempt did not arrive: whoever counts as told by it may not know.

    Returns whether that is news.
    """
    changed = connection.execute(
        text(
            "UPDATE attempts SET state = 'undelivered', delivery = 'undelivered', look_at = NULL, "
            "reason = :reason, detail = :detail WHERE id = :id AND state = 'accepted'"
        ),
        {"id": attempt, "reason": reason, "detail": detail},
    )
    if changed.rowcount != 1:
        return False
    # Later news is still measured by it, but no reminder is spared for its sake.
    connection.execute(text("UPDATE told SET kind = NULL WHERE told_by = :id"), {"id": attempt})
    return True


def send_again(connection: Connection, message: int, reason: str) -> bool:
    """Plan a message that counted as sent anew, for another way; return whether it did."""
    changed = connection.execute(
        text(
            "UPDATE messages SET state = 'planned', reason = :reason, next_try_at = NULL, "
            "settled_at = NULL WHERE id = :id AND state = 'sent'"
        ),
        {"id": message, "reason": reason},
    )
    return changed.rowcount == 1
