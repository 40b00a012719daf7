"""Messages that leave within another: which they are, and what becomes of them when that one ends."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from clinicrelay.actions import Say
from sync.store import bulk, dialects, instant, said, seconds
from sync.store.said import Owed, say_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

TOLD_TOGETHER = "told_together"


class Booked(NamedTuple):
    """A booked visit of a patient, as far as it is needed to find those of one day."""

    id: int
    source: str
    patient: str
    start_at: int


def booked(
    connection: Connection,
    clinic: str,
    patients: Collection[str],
    *,
    first: datetime,
    end: datetime,
) -> list[Booked]:
    """Return the booked visits of patients (their keys) in a stretch of time."""
    found: list[Booked] = []
    keys, mark = sorted(patients), dialects.marks(connection, 1)
    for start in range(0, len(keys), 900):
        some = keys[start : start + 900]
        rows = connection.exec_driver_sql(
            "SELECT id, source, patient, start_at FROM appointments "
            f"WHERE {dialects.unindexed('clinic')} = {mark} "
            f"AND patient IN ({dialects.marks(connection, len(some))}) "
            f"AND start_at >= {mark} AND start_at < {mark} "
            "AND status = 'booked' AND gone_at IS NULL",
            (clinic, *some, seconds(first), seconds(end)),
        )
        found += [Booked(*row) for row in rows]
    return found


def beside_due(connection: Connection, clinic: str, *, now: datetime) -> dict[str, list[str]]:
    """Return the booked visits that patients have beside one they are due to be reminded of.

    Their keys by source; those within a day of it, as a reminder may tell of them too.
    """
    found: dict[str, list[str]] = {}
    rows = dialects.fetch(
        connection,
        "SELECT DISTINCT b.source, b.source_key FROM messages m "
        "JOIN appointments a ON a.id = m.appointment JOIN appointments b ON b.patient = a.patient "
        "WHERE m.clinic = ? AND m.state = 'planned' AND m.kind = 'reminder' AND m.due_at <= ? "
        "AND m.role = 'patient' AND (m.next_try_at IS NULL OR m.next_try_at <= ?) "
        f"AND b.id <> a.id AND b.source = a.source AND {dialects.unindexed('b.clinic')} = a.clinic "
        "AND b.start_at > a.start_at - 86400 AND b.start_at < a.start_at + 86400 "
        "AND b.status = 'booked' AND b.gone_at IS NULL ORDER BY b.source, b.source_key",
        (clinic, seconds(now), seconds(now)),
    )
    for source, key in rows:
        found.setdefault(source, []).append(key)
    return found


def decided(connection: Connection, clinic: str, keys: Collection[str]) -> set[str]:
    """Return those of some messages (by their ledger keys) that are more than planned."""
    some = sorted(keys)
    rows = connection.exec_driver_sql(
        f"SELECT dedupe FROM messages WHERE clinic = {dialects.marks(connection, 1)} "
        f"AND dedupe IN ({dialects.marks(connection, len(some))}) "
        "AND (state <> 'planned' OR tries > 0)",
        (clinic, *some),
    )
    return {row[0] for row in rows}


def join(
    connection: Connection,
    clinic: str,
    lead: int,
    others: Sequence[Owed],
    *,
    run: str,
    now: datetime,
) -> None:
    """Let messages, in the ledger or not yet, leave within another one."""
    said.owe(connection, clinic, others, run=run, now=now, reopens=lambda thing, ended: False)
    keys = [one.dedupe for one in others]
    rows = connection.exec_driver_sql(
        f"SELECT id FROM messages WHERE clinic = {dialects.marks(connection, 1)} "
        f"AND dedupe IN ({dialects.marks(connection, len(keys))}) AND state = 'planned'",
        (clinic, *keys),
    ).fetchall()
    for (number,) in rows:
        said.settle(connection, number, "skipped", now=now, reason=TOLD_TOGETHER)
    bulk.write(
        connection,
        "together",
        ("clinic", "message", "told_with"),
        [(clinic, number, lead) for (number,) in rows],
        update=("told_with",),
    )


def within(connection: Connection, lead: int) -> list[tuple[int, Say]]:
    """Return the visits, with what is said of each, that a message tells of beside its own."""
    rows = dialects.fetch(
        connection,
        "SELECT m.appointment, m.say FROM together t JOIN messages m ON m.id = t.message "
        "WHERE t.told_with = ? AND m.state = 'skipped' AND m.reason = ?",
        (lead, TOLD_TOGETHER),
    )
    return [(int(appointment), say_of(say)) for appointment, say in rows]


def part(connection: Connection, lead: int) -> None:
    """Let what was to leave within a message leave by itself, as that one did not."""
    dialects.run(
        connection,
        "UPDATE messages SET state = 'planned', reason = NULL, settled_at = NULL "
        "WHERE reason = ? AND id IN (SELECT message FROM together WHERE told_with = ?)",
        (TOLD_TOGETHER, lead),
    )
    dialects.run(connection, "DELETE FROM together WHERE told_with = ?", (lead,))


def share(connection: Connection, lead: int, state: str, reason: str) -> None:
    """Let what left within a message share its end: nobody knows whether it arrived."""
    dialects.run(
        connection,
        "UPDATE messages SET state = ?, reason = ? "
        "WHERE reason = ? AND id IN (SELECT message FROM together WHERE told_with = ?)",
        (state, reason, TOLD_TOGETHER, lead),
    )


class Lead(NamedTuple):
    """The visit (`source/key`) with whose reminder a message leaves; once sent, when and by what."""

    visit: str
    sent_at: datetime | None
    channel: str | None


def leads(connection: Connection, messages: Sequence[int]) -> dict[int, Lead]:
    """Return with which reminder each message left, or is to leave."""
    if not messages:
        return {}
    rows = connection.exec_driver_sql(
        "SELECT t.message, a.source, a.source_key, m.state, m.settled_at, m.channel FROM together t "
        "JOIN messages m ON m.id = t.told_with JOIN appointments a ON a.id = m.appointment "
        f"WHERE t.message IN ({dialects.marks(connection, len(messages))})",
        tuple(messages),
    )
    return {
        int(message): Lead(f"{source}/{key}", instant(at) if state == "sent" else None, channel)
        for message, source, key, state, at, channel in rows
    }
