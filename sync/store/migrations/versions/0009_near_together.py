"""The ledger's keys begin with the start of their visit: what falls due together lies together."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

AT_ONCE = 1000


def upgrade() -> None:
    """Give each entry the key that it would get today, or what was sent would be owed again."""
    connection, after = op.get_bind(), 0
    page = sa.text(
        "SELECT id, dedupe, say FROM messages WHERE id > :after AND kind <> 'alert' "
        "ORDER BY id LIMIT :many"
    )
    while rows := connection.execute(page, {"after": after, "many": AT_ONCE}).fetchall():
        after = rows[-1].id
        changed = [
            {"id": number, "dedupe": key}
            for number, dedupe, say in rows
            if (key := _key(dedupe, say)) != dedupe
        ]
        if changed:
            connection.execute(
                sa.text("UPDATE messages SET dedupe = :dedupe WHERE id = :id"), changed
            )


def _key(dedupe: str, say: str) -> str:
    """Return an entry's key of today; one that has it already keeps it."""
    facts: dict[str, Any] = json.loads(say)["facts"]
    start = facts.get("start")
    since = int(datetime.fromisoformat(start).timestamp()) if start else 0
    first = f"{since & 0xFFFFFFFF:08x}"
    return dedupe if dedupe.startswith(first) else f"{first}{dedupe[:24]}"
