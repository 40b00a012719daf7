"""How far each source was read, and which runs there were."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import text

from sync.store import dialects, memory, seconds

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Progress(NamedTuple):
    """Where a source was left off; `imported_at` is when its first read had ended."""

    cursor: dict[str, Any] | None
    fingerprint: bytes | None
    imported_at: int | None
    last_read_at: int | None
    last_complete_at: int | None
    last_count: int | None
    first_day: str | None
    last_day: str | None
    state: str
    error: str | None

    @property
    def believed_at(self) -> int:
        """When the source was last read and believed, in seconds; 0 for never."""
        return self.last_complete_at or self.last_read_at or 0


_UNREAD = Progress(None, None, None, None, None, None, None, None, "new", None)


def progress(connection: Connection, clinic: str, source: str) -> Progress:
    """Return where a source was left off."""
    row = connection.execute(
        text(
            "SELECT cursor_json, fingerprint, imported_at, last_read_at, last_complete_at, "
            "last_count, first_day, last_day, state, error FROM sources "
            "WHERE clinic = :clinic AND source = :source"
        ),
        {"clinic": clinic, "source": source},
    ).fetchone()
    if row is None:
        return _UNREAD
    cursor = json.loads(row.cursor_json) if row.cursor_json else None
    kept = bytes(row.fingerprint) if row.fingerprint else None
    return Progress(cursor, kept, *row[2:])


def note(connection: Connection, clinic: str, source: str, **values: Any) -> None:
    """Set columns of a source's row; `cursor` is a mapping, instants are datetimes."""
    if "cursor" in values:
        cursor = values.pop("cursor")
        values["cursor_json"] = None if cursor is None else json.dumps(cursor)
    ready = {k: seconds(v) if isinstance(v, datetime) else v for k, v in values.items()}
    at = {"clinic": clinic, "source": source, **ready}
    updated = connection.execute(
        text(
            f"UPDATE sources SET {', '.join(f'{c} = :{c}' for c in ready)} "
            "WHERE clinic = :clinic AND source = :source"
        ),
        at,
    )
    if updated.rowcount == 0:
        at.setdefault("state", "new")
        connection.execute(
            text(
                f"INSERT INTO sources ({', '.join(at)}) VALUES ({', '.join(f':{c}' for c in at)})"
            ),
            at,
        )


def note_held(connection: Connection, clinic: str, source: str, **values: Any) -> None:
    """Remember what a complete read that is held would have noted, until a person has decided.

    Instants are seconds, as in `believe_held`.
    """
    owner = _held_read(source)
    memory.remember(connection, clinic, owner, memory.recall(connection, clinic, owner), values)


def believe_held(connection: Connection, clinic: str, source: str, *, now: datetime) -> None:
    """Count a held read, of which everything was released, as the complete read that it was."""
    found = memory.recall(connection, clinic, _held_read(source))
    then = min(found.get("last_complete_at", 0), seconds(now))  # the clock may have been set back
    if then > (progress(connection, clinic, source).last_complete_at or 0):
        note(connection, clinic, source, **{**found, "last_complete_at": then})
    note_held(connection, clinic, source)


def _held_read(source: str) -> str:
    return f"sync/held/{source}"


def run_started(
    connection: Connection, clinic: str, run: str, command: str, *, now: datetime, at: datetime
) -> None:
    """Record that a run began: `now` is business time, `at` the real one."""
    connection.execute(
        text(
            "INSERT INTO runs (id, clinic, command, started_at, business_time) "
            "VALUES (:id, :clinic, :command, :at, :now)"
        ),
        {
            "id": run,
            "clinic": clinic,
            "command": command,
            "at": seconds(at),
            "now": seconds(now),
        },
    )


def run_finished(
    connection: Connection, run: str, *, exit_code: int, report: Mapping[str, Any], at: datetime
) -> None:
    """Record how a run ended."""
    connection.execute(
        text(
            "UPDATE runs SET finished_at = :at, exit_code = :exit_code, report = :report "
            "WHERE id = :id"
        ),
        {"id": run, "exit_code": exit_code, "report": json.dumps(report), "at": seconds(at)},
    )


def report_before(connection: Connection, clinic: str, run: str) -> dict[str, Any]:
    """Return what the run of the same command before this one reported; empty: there was none."""
    found = connection.execute(
        text(
            "SELECT b.report FROM runs a JOIN runs b ON b.clinic = a.clinic "
            "AND b.command = a.command AND b.id < a.id AND b.report IS NOT NULL "
            "WHERE a.clinic = :clinic AND a.id = :run ORDER BY b.started_at DESC, b.id DESC LIMIT 1"
        ),
        {"clinic": clinic, "run": run},
    ).scalar()
    return dict(json.loads(found)) if found else {}


def policy(connection: Connection, clinic: str) -> str:
    """Return the fingerprint of the settings that plan last decided by."""
    ((found,),) = dialects.fetch(
        connection, "SELECT policy FROM clinics WHERE clinic = ?", (clinic,)
    )
    return str(found)


def set_policy(
    connection: Connection, clinic: str, fingerprint: str, *, wake_since: datetime | None
) -> None:
    """Note what plan decides by from now on; it looks again at every visit that starts after then."""
    at = {"clinic": clinic, "policy": fingerprint}
    connection.execute(text("UPDATE clinics SET policy = :policy WHERE clinic = :clinic"), at)
    if wake_since is not None:
        later = "UPDATE appointments SET wake_at = 0 WHERE clinic = :clinic AND start_at > :since"
        connection.execute(text(later), {"clinic": clinic, "since": seconds(wake_since)})
