"""What plugins remember between runs, and where a source was left off."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from sync.store import bulk, dialects

if TYPE_CHECKING:
    from sqlalchemy import Connection


def recall(connection: Connection, clinic: str, owner: str) -> dict[str, Any]:
    """Return everything a plugin instance (`connectors/NAME`) remembers."""
    rows = dialects.fetch(
        connection,
        "SELECT name, value FROM memory WHERE clinic = ? AND owner = ?",
        (clinic, owner),
    )
    return {name: json.loads(value) for name, value in rows}


def remember(
    connection: Connection,
    clinic: str,
    owner: str,
    before: Mapping[str, Any],
    now: Mapping[str, Any],
) -> None:
    """Write what is new or different, delete what is no longer there."""
    changed = [
        (clinic, owner, name, json.dumps(value))
        for name, value in now.items()
        if name not in before or before[name] != value
    ]
    bulk.write(
        connection, "memory", ("clinic", "owner", "name", "value"), changed, update=("value",)
    )
    for name in before.keys() - now.keys():
        connection.execute(
            text("DELETE FROM memory WHERE clinic = :clinic AND owner = :owner AND name = :name"),
            {"clinic": clinic, "owner": owner, "name": name},
        )


def text_of(connection: Connection, clinic: str, owner: str, name: str) -> str | None:
    """Return one thing that is remembered, as it is written."""
    row = connection.execute(
        text("SELECT value FROM memory WHERE clinic = :clinic AND owner = :owner AND name = :name"),
        {"clinic": clinic, "owner": owner, "name": name},
    ).fetchone()
    return None if row is None else str(row.value)


def replace(
    connection: Connection, clinic: str, owner: str, name: str, before: str | None, now: str
) -> bool:
    """Write one thing unless somebody else changed it since `before` was read; return whether."""
    at = {"clinic": clinic, "owner": owner, "name": name}
    if before is None:
        return dialects.insert_once(connection, "memory", {**at, "value": now})
    changed = connection.execute(
        text(
            "UPDATE memory SET value = :now WHERE clinic = :clinic AND owner = :owner "
            "AND name = :name AND value = :before"
        ),
        {**at, "now": now, "before": before},
    )
    return changed.rowcount == 1
