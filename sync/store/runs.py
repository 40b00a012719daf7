"""The record of single runs: what each command did, by the id that its log lines carry."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import text

from sync.store import instant

if TYPE_CHECKING:
    from sqlalchemy import Connection

_MOST = 10


class Run(NamedTuple):
    """One run. `finished` and `exit` are None while it is at work, or where it was killed."""

    id: str
    command: str
    started: datetime
    finished: datetime | None
    business_time: datetime
    exit: int | None
    report: dict[str, Any] | None


def last_started(connection: Connection, clinic: str) -> datetime | None:
    """Return when the last run began, on the real clock; None: there was none."""
    found = connection.execute(
        text("SELECT max(started_at) FROM runs WHERE clinic = :clinic"), {"clinic": clinic}
    ).scalar()
    return None if found is None else instant(int(found))


def beginning(connection: Connection, clinic: str, prefix: str) -> list[Run]:
    """Return runs whose id begins like this, the oldest first; at most ten."""
    rows = connection.execute(
        text(
            "SELECT id, command, started_at, finished_at, business_time, exit_code, report "
            "FROM runs WHERE clinic = :clinic AND id LIKE :ids ORDER BY id LIMIT :most"
        ),
        {"clinic": clinic, "ids": f"{prefix}%", "most": _MOST},
    )
    return [
        Run(
            row.id,
            row.command,
            instant(row.started_at),
            None if row.finished_at is None else instant(row.finished_at),
            instant(row.business_time),
            row.exit_code,
            json.loads(row.report) if row.report else None,
        )
        for row in rows
    ]
