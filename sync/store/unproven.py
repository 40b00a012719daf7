"""Attempts whose end nobody knows: how far they came, and what is written once nobody ever will."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import text

from clinicrelay.actions import Say
from sync.store import seconds

if TYPE_CHECKING:
    from sqlalchemy import Connection


def found_nothing(connection: Connection, attempt: str, *, now: datetime) -> None:
    """Note that the provider was asked and has nothing; only the first such look counts."""
    connection.execute(
        text("UPDATE attempts SET nothing_since = :at WHERE id = :id AND nothing_since IS NULL"),
        {"id": attempt, "at": seconds(now)},
    )


def is_known(connection: Connection, clinic: str, provider_id: str, *, but: str) -> bool:
    """Return whether a provider's id belongs to an attempt other than this one."""
    found = connection.execute(
        text(
            "SELECT 1 FROM attempts "
            "WHERE clinic = :clinic AND provider_id = :provider AND id <> :id LIMIT 1"
        ),
        {"clinic": clinic, "provider": provider_id, "id": but},
    )
    return found.scalar() is not None


def abandon(connection: Connection, attempt: str, reason: str, *, now: datetime) -> None:
    """Note that nobody will ever know what became of an attempt."""
    connection.execute(
        text(
            "UPDATE attempts SET state = 'abandoned', reason = :reason, finished_at = :at "
            "WHERE id = :id"
        ),
        {"id": attempt, "reason": reason, "at": seconds(now)},
    )


def repeat(connection: Connection, message: int, say: Say, reason: str) -> None:
    """Plan a message once more, at once and for the reason given."""
    connection.execute(
        text(
            "UPDATE messages SET state = 'planned', say = :say, reason = :reason, "
            "next_try_at = NULL, settled_at = NULL WHERE id = :id"
        ),
        {
            "id": message,
            "say": msgspec.json.encode(msgspec.structs.replace(say, repeated=True)).decode(),
            "reason": reason,
        },
    )
