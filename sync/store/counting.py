"""Counts for `status`: each goes by an index, so that a million visits cost next to nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from sqlalchemy import text

from clinicrelay.actions import Say
from sync.store import dialects, seconds
from sync.store.wakes import ALL, Share

if TYPE_CHECKING:
    from sqlalchemy import Connection

_AT_ONCE = 900  # parameters of one statement


def kept(connection: Connection, clinic: str, source: str) -> int:
    """Return how many visits are kept of a source, gone ones included: counted in an index."""
    statement = "SELECT count(*) FROM appointments WHERE clinic = :clinic AND source = :source"
    at = {"clinic": clinic, "source": source}
    return int(connection.execute(text(statement), at).scalar_one())


def set_aside_by_source(
    connection: Connection, clinic: str, kind: str = "record"
) -> dict[str, int]:
    """Return how many records are set aside of each source, or how many events of each calendar."""
    rows = connection.execute(
        text(
            "SELECT source, count(*) AS number FROM quarantine "
            "WHERE clinic = :clinic AND kind = :kind GROUP BY source"
        ),
        {"clinic": clinic, "kind": kind},
    )
    return {row.source: row.number for row in rows}


def messages_by_state(connection: Connection, clinic: str, *, now: datetime) -> Mapping[str, int]:
    """Return how many messages are due, unknown, and sent, failed or left unproven within a day.

    What is due and has to wait (for the end of a pause or a night, for another try) counts as due.
    A message is settled within days of falling due, so the index by due time bounds the look back.
    """
    day = seconds(now) - 86400
    at = {"clinic": clinic, "now": seconds(now), "day": day, "week": day - 7 * 86400}
    due = (
        "SELECT count(*) FROM messages WHERE clinic = :clinic AND state = 'planned' "
        "AND due_at <= :now"
    )
    settled = (
        "SELECT count(*) FROM messages WHERE clinic = :clinic AND state = '{}' "
        "AND due_at > :week AND due_at <= :now AND settled_at > :day"
    )
    open_ = (
        "SELECT count(*) FROM messages WHERE clinic = :clinic AND state IN ('unknown', 'sending')"
    )
    asked = {
        "due": due,
        "sent_24h": settled.format("sent"),
        "unknown": open_,
        "failed": settled.format("failed"),
        "unproven": settled.format("unproven"),
    }
    return {
        name: int(connection.execute(text(statement), at).scalar_one())
        for name, statement in asked.items()
    }


def awake(connection: Connection, clinic: str, *, now: datetime, at_most: int) -> int:
    """Return at how many visits plan has to look by now, of so many at most: counted in an index."""
    statement = (
        "SELECT count(*) FROM (SELECT wake_at FROM appointments "
        "WHERE clinic = :clinic AND wake_at <= :now LIMIT :most) awake"
    )
    at = {"clinic": clinic, "now": seconds(now), "most": at_most}
    return int(connection.execute(text(statement), at).scalar_one())


def in_ledger(connection: Connection, clinic: str, keys: Collection[str]) -> int:
    """Return how many of these keys the ledger has."""
    some, found = sorted(keys), 0
    for start in range(0, len(some), _AT_ONCE):
        part = tuple(some[start : start + _AT_ONCE])
        rows = connection.exec_driver_sql(
            f"SELECT count(*) FROM messages WHERE clinic = {dialects.marks(connection, 1)} "
            f"AND dedupe IN ({dialects.marks(connection, len(part))})",
            (clinic, *part),
        )
        found += int(rows.scalar_one())
    return found


class Entry(NamedTuple):
    """A message of the ledger, as it stands; `again` is when it is tried next, where it waits."""

    state: str
    reason: str | None
    again: datetime | None
    say: Say


_decode_say = msgspec.json.Decoder(Say).decode


def coming(
    connection: Connection, clinic: str, *, first: datetime, end: datetime
) -> tuple[int, int]:
    """Return how many visits begin in a stretch of time and will take place, and the first number."""
    found = connection.execute(
        text(
            "SELECT count(*), COALESCE(min(id), 0) FROM appointments "
            "WHERE clinic = :clinic AND start_at >= :first AND start_at < :end "
            "AND gone_at IS NULL AND status NOT IN ('cancelled', 'entered_in_error')"
        ),
        {"clinic": clinic, "first": seconds(first), "end": seconds(end)},
    )
    number, first_id = found.one()
    return int(number), int(first_id)


def said_about(
    connection: Connection, clinic: str, *, first: datetime, end: datetime, share: Share = ALL
) -> Iterator[tuple[int, Entry]]:
    """Yield (visit, message) of patients' messages about visits of a stretch of time."""
    rows = connection.execute(
        text(
            "SELECT m.appointment, m.state, m.reason, m.next_try_at, m.say FROM appointments a "
            "JOIN messages m ON m.appointment = a.id "
            "WHERE a.clinic = :clinic AND a.start_at >= :first AND a.start_at < :end "
            "AND a.id % :every = :rest AND m.role = 'patient' AND m.kind <> 'cancellation'"
        ),
        {"clinic": clinic, "first": seconds(first), "end": seconds(end), **share._asdict()},
    )
    for row in rows:
        again = None if row.next_try_at is None else datetime.fromtimestamp(row.next_try_at, UTC)
        yield row.appointment, Entry(row.state, row.reason, again, _decode_say(row.say))


def complete_reads(connection: Connection, clinic: str) -> Iterator[tuple[int, str]]:
    """Yield business time and report of recent runs in which a source was read whole, newest first."""
    rows = connection.execute(
        text(
            "SELECT business_time, report FROM (SELECT business_time, report, started_at FROM runs "
            "WHERE clinic = :clinic AND report IS NOT NULL ORDER BY started_at DESC LIMIT 3000) "
            "recent WHERE report LIKE :whole ORDER BY started_at DESC LIMIT 40"
        ),
        {"clinic": clinic, "whole": '%"complete": true%'},
    )
    for row in rows:
        yield row.business_time, row.report
