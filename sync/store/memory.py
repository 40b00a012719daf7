"""What plugins remember between runs, and where a source was left off."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from sync.store import bulk

if TYPE_CHECKING:
    from sqlalchemy import Connection


def recall(connection: Connection, clinic: str, owner: str) -> dict[str, Any]:
    """Return everything a plugin instance (`connectors/NAME`) remembers."""
    rows = connection.execute(
        text("SELECT name, value FROM memory WHERE clinic = :clinic AND owner = :owner"),
        {"clinic": clinic, "owner": owner},
    )
    return {row.name: json.loads(row.value) for row in rows}


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
