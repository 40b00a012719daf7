"""Read-only looks into the store for people: lists, searches and the life of single visits.

Everything here goes by an index; only a search for a patient looks through all of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from sqlalchemy import text

from sync.store import dialects, seconds
from sync.store.quarantine import MENDED

if TYPE_CHECKING:
    from sqlalchemy import Connection

_AT_ONCE = 900
_NUMBERED = re.compile(r"m\d{1,18}")  # a message, as `messages list` calls one that was never tried


class Listed(NamedTuple):
    """A visit for a list; `content` is its canonical JSON."""

    id: int
    source: str
    content: str
    version: int
    gone_at: int | None


def appointments(
    connection: Connection,
    clinic: str,
    *,
    first: datetime | None,
    end: datetime | None,
    source: str | None = None,
    status: str | None = None,
    gone: bool = False,
) -> Iterator[Listed]:
    """Yield visits by their start, unscheduled ones first where no beginning is asked for."""
    where = ["clinic = :clinic"]
    values: dict[str, Any] = {"clinic": clinic}
    if first is not None:
        where.append("start_at >= :first")
        values["first"] = seconds(first)
    if end is not None:
        where.append(
            "start_at < :end" if first is not None else "(start_at < :end OR start_at IS NULL)"
        )
        values["end"] = seconds(end)
    for column, value in (("source", source), ("status", status)):
        if value is not None:
            where.append(f"{column} = :{column}")
            values[column] = value
    if not gone:
        where.append("gone_at IS NULL")
    rows = connection.execute(
        text(
            "SELECT id, source, content, version, gone_at FROM appointments "
            f"WHERE {' AND '.join(where)} ORDER BY start_at, source, source_key"
        ),
        values,
    )
    for row in rows:
        yield Listed(*row)


# --- finding what is meant -----------------------------------------------------------------------


def sources(connection: Connection, clinic: str) -> list[str]:
    """Return every source that was ever read."""
    rows = connection.execute(
        text("SELECT source FROM sources WHERE clinic = :clinic ORDER BY source"),
        {"clinic": clinic},
    )
    return [row.source for row in rows]


def by_key(connection: Connection, clinic: str, names: Sequence[str], key: str) -> list[int]:
    """Return the visits with this key in any of these sources."""
    found = []
    for source in names:
        rows = connection.execute(
            text(
                "SELECT id FROM appointments "
                "WHERE clinic = :clinic AND source = :source AND source_key = :key"
            ),
            {"clinic": clinic, "source": source, "key": key},
        )
        found += [int(row.id) for row in rows]
    return found


def by_patient(connection: Connection, clinic: str, people: Sequence[tuple[str, str]]) -> list[int]:
    """Return the visits of patients (source or "", key), in no order.

    Unordered on purpose: told to sort by start, SQLite walks through all starts instead of using
    the index by patient, which costs a second in a million visits.
    """
    found: list[int] = []
    for source, key in people:
        rows = connection.execute(
            text(
                "SELECT id, source FROM appointments "
                f"WHERE {dialects.unindexed('clinic')} = :clinic AND patient = :key LIMIT 1000"
            ),
            {"clinic": clinic, "key": key},
        )
        found += [int(row.id) for row in rows if source in ("", row.source)]
    return found


def people_at(
    connection: Connection, clinic: str, *, phone: str | None = None, email: str | None = None
) -> list[tuple[str, str]]:
    """Return the patients (source, key) who, or whose guardian, have this phone (E.164) or e-mail."""
    column = "phone" if phone is not None else "email"
    rows = connection.execute(
        text(
            f"SELECT source, source_key FROM people WHERE clinic = :clinic AND {column} = :value "
            "UNION SELECT source, source_key FROM people "
            f"WHERE clinic = :clinic AND guardian_{column} = :value"
        ),
        {"clinic": clinic, "value": phone if phone is not None else email},
    )
    return [(row.source, row.source_key) for row in rows]


def addresses_of(
    connection: Connection, clinic: str, names: Sequence[str], key: str
) -> set[tuple[str | None, str | None]]:
    """Return the phone and e-mail of a patient and of their guardian, in any of these sources."""
    found: set[tuple[str | None, str | None]] = set()
    for source in names:
        rows = connection.execute(
            text(
                "SELECT phone, email, guardian_phone, guardian_email FROM people "
                "WHERE clinic = :clinic AND source = :source AND source_key = :key"
            ),
            {"clinic": clinic, "source": source, "key": key},
        )
        for row in rows:
            found |= {(row.phone, row.email), (row.guardian_phone, row.guardian_email)}
    return found


def people_like(
    connection: Connection, clinic: str, pattern: str
) -> Iterator[tuple[str, str, str]]:
    """Yield patients (source, key, name) whose name, in lower case, is LIKE the pattern."""
    rows = connection.execute(
        text(
            "SELECT source, source_key, name FROM people "
            "WHERE clinic = :clinic AND lower(name) LIKE :pattern"
        ),
        {"clinic": clinic, "pattern": pattern},
    )
    for row in rows:
        yield row.source, row.source_key, row.name


def by_message(connection: Connection, clinic: str, reference: str) -> list[int]:
    """Return the visit that a message is about: by its number (`m12`) or an id of its attempts.

    That is ours, or the provider's own, which its console may show with more behind a point.
    """
    return _about(connection, clinic, _messages(connection, clinic, reference))


def by_contact(connection: Connection, clinic: str, contacts: Collection[str]) -> list[int]:
    """Return the visits of which people at an address (opaque ids of both) were ever written to."""
    some = tuple(contacts)
    if not some:
        return []
    rows = connection.exec_driver_sql(
        "SELECT DISTINCT message FROM attempts "
        f"WHERE contact IN ({dialects.marks(connection, len(some))})",
        some,
    )
    return _about(connection, clinic, [row[0] for row in rows])


def _messages(connection: Connection, clinic: str, reference: str) -> list[int]:
    if _NUMBERED.fullmatch(reference):
        return [int(reference[1:])]
    rows = connection.execute(
        text(
            "SELECT message FROM attempts WHERE id = :id UNION SELECT message FROM attempts "
            "WHERE clinic = :clinic AND provider_id IN (:id, :first)"
        ),
        {"id": reference, "first": reference.partition(".")[0], "clinic": clinic},
    )
    return [row.message for row in rows]


def _about(connection: Connection, clinic: str, messages: Sequence[int]) -> list[int]:
    found: dict[int, None] = {}
    for some in _slices(messages):
        rows = connection.exec_driver_sql(
            "SELECT appointment FROM messages "
            f"WHERE id IN ({dialects.marks(connection, len(some))}) "
            f"AND clinic = {dialects.marks(connection, 1)} AND appointment IS NOT NULL",
            (*some, clinic),
        )
        found.update((int(row.appointment), None) for row in rows)
    return list(found)


def by_event(connection: Connection, clinic: str, ref: str) -> list[int]:
    """Return the visit that a calendar event belongs to."""
    rows = connection.execute(
        text("SELECT DISTINCT appointment FROM events WHERE clinic = :clinic AND ref = :ref"),
        {"clinic": clinic, "ref": ref},
    )
    return [int(row.appointment) for row in rows]


def by_their_event(connection: Connection, clinic: str, name: str) -> list[int]:
    """Return the visit of an event by what its calendar calls it: small letters and digits.

    It stands in no index: of 100,000 events it takes some 20 ms.
    """
    rows = connection.execute(
        text(
            "SELECT DISTINCT appointment FROM events WHERE clinic = :clinic AND memo LIKE :called"
        ),
        {"clinic": clinic, "called": f'%"{name}"%'},
    )
    return [int(row.appointment) for row in rows]


# --- the life of a visit -------------------------------------------------------------------------


def first_run(connection: Connection, visit: int) -> str:
    """Return the run that first saw a visit."""
    return str(
        connection.execute(
            text("SELECT first_run FROM appointments WHERE id = :id"), {"id": visit}
        ).scalar_one()
    )


def runs_of_versions(connection: Connection, visit: int) -> dict[int, str]:
    """Return which run replaced each version of a visit."""
    rows = connection.execute(
        text("SELECT version, run FROM versions WHERE appointment = :id"), {"id": visit}
    )
    return {row.version: row.run for row in rows}


_OF_LEDGER = (
    "m.id, m.recipient, m.role, m.kind, m.step, m.setting, m.state, m.reason, m.due_at, "
    "m.useless_after, m.next_try_at, m.channel, m.notifier, m.tries, m.created_at, m.settled_at, "
    "m.held, m.say"
)
_LEDGER = f"SELECT {_OF_LEDGER} FROM messages m "


def messages_of(connection: Connection, visit: int) -> list[dict[str, Any]]:
    """Return the ledger of a visit, the oldest first."""
    rows = connection.execute(
        text(f"{_LEDGER} WHERE appointment = :id ORDER BY created_at, id"), {"id": visit}
    )
    return [dict(row._mapping) for row in rows]


def of_no_visit(connection: Connection, clinic: str, reference: str) -> dict[str, Any] | None:
    """Return the message about no visit that its number, or an id of its attempts, names."""
    for number in _messages(connection, clinic, reference):
        row = connection.execute(
            text(f"{_LEDGER} WHERE id = :id AND clinic = :clinic AND appointment IS NULL"),
            {"id": number, "clinic": clinic},
        ).fetchone()
        if row:
            return dict(row._mapping)
    return None


def messages_to(
    connection: Connection, clinic: str, recipients: Sequence[str], *, since: datetime, most: int
) -> list[dict[str, Any]]:
    """Return the latest messages to somebody that fell due since, newest first, with their `visit`."""
    states = "'planned', 'sending', 'sent', 'skipped', 'failed', 'unknown', 'unproven', 'held'"
    names = {f"to{n}": recipient for n, recipient in enumerate(recipients)}
    rows = connection.execute(
        text(
            f"SELECT {_OF_LEDGER}, a.source, a.source_key FROM messages m "
            "LEFT JOIN appointments a ON a.id = m.appointment "
            f"WHERE m.clinic = :clinic AND m.state IN ({states}) AND m.due_at > :since "
            f"AND m.recipient IN ({', '.join(f':{name}' for name in names)}) "
            "ORDER BY m.due_at DESC, m.id DESC LIMIT :most"
        ),
        {"clinic": clinic, "since": seconds(since), "most": most, **names},
    )
    return [
        {**row._mapping, "visit": f"{row.source}/{row.source_key}" if row.source else ""}
        for row in rows
    ]


def attempts_of(connection: Connection, messages: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    """Return the attempts of messages, the oldest first; never their texts.

    Of those of one second the one that did not fail is the last: after it nothing else was tried.
    """
    found: dict[int, list[dict[str, Any]]] = {}
    for some in _slices(messages):
        rows = connection.exec_driver_sql(
            "SELECT id, message, notifier, state, reason, detail, provider_id, started_at, "
            "finished_at, delivery FROM attempts "
            f"WHERE message IN ({dialects.marks(connection, len(some))}) ORDER BY started_at, CASE "
            "WHEN state IN ('rejected', 'not_sent', 'undelivered', 'abandoned') THEN 0 ELSE 1 END, "
            "finished_at, id",
            some,
        )
        for row in rows:
            found.setdefault(row.message, []).append(dict(row._mapping))
    return found


class _Written(msgspec.Struct):
    language: str = ""


_decode_language = msgspec.json.Decoder(_Written).decode


def languages_of(connection: Connection, messages: Sequence[int]) -> dict[int, str]:
    """Return in which language messages were written last, where their texts are kept still."""
    found: dict[int, str] = {}
    for some in _slices(messages):
        rows = connection.exec_driver_sql(
            "SELECT message, body FROM attempts WHERE body IS NOT NULL AND state <> 'not_sent' "
            f"AND message IN ({dialects.marks(connection, len(some))}) ORDER BY started_at, id",
            some,
        )
        found |= {row.message: _decode_language(row.body).language for row in rows}
    return {message: language for message, language in found.items() if language}


def events_of(connection: Connection, visit: int) -> list[dict[str, Any]]:
    """Return a visit's events with how their calendar stands."""
    rows = connection.execute(
        text(
            "SELECT e.calendar, e.ref, e.state, e.sequence, e.reason, e.detail, e.next_try_at, "
            "e.changed_at, e.hands, c.reason AS blocked, c.fix, "
            "u.calendar IS NOT NULL AS unlinked FROM events e "
            "LEFT JOIN calendars c ON c.clinic = e.clinic AND c.calendar = e.calendar "
            "LEFT JOIN unlinked u ON u.appointment = e.appointment AND u.calendar = e.calendar "
            "WHERE e.appointment = :id ORDER BY e.calendar"
        ),
        {"id": visit},
    )
    return [dict(row._mapping) for row in rows]


def waiting_of(connection: Connection, clinic: str, source: str, key: str) -> dict[str, Any] | None:
    """Return a change to a visit that waits: held by a guard, or rejected by a person."""
    row = connection.execute(
        text(
            "SELECT i.what, i.held, i.rejected, i.start_at, i.new_start_at, i.content, h.guard, "
            "h.summary, h.since FROM incoming i LEFT JOIN held h ON h.id = i.held "
            "WHERE i.clinic = :clinic AND i.source = :source AND i.source_key = :key"
        ),
        {"clinic": clinic, "source": source, "key": key},
    ).fetchone()
    return dict(row._mapping) if row else None


def set_aside_of(
    connection: Connection, clinic: str, source: str, key: str
) -> list[dict[str, Any]]:
    """Return records of a visit that were set aside and not mended since."""
    return _aside(connection, clinic, source, key, "record")


def mended_of(connection: Connection, clinic: str, source: str, key: str) -> list[dict[str, Any]]:
    """Return records of a visit that were set aside and mended; `last_seen_at` is when."""
    return _aside(connection, clinic, source, key, MENDED)


def _aside(
    connection: Connection, clinic: str, source: str, key: str, kind: str
) -> list[dict[str, Any]]:
    rows = connection.execute(
        text(
            "SELECT id, source, place, field, reason, detail, first_seen_at, last_seen_at "
            "FROM quarantine WHERE clinic = :clinic AND source = :source AND source_key = :key "
            "AND kind = :kind ORDER BY last_seen_at"
        ),
        {"clinic": clinic, "source": source, "key": key, "kind": kind},
    )
    return [dict(row._mapping) for row in rows]


def set_aside_raw(connection: Connection, clinic: str) -> Iterator[tuple[int, str | None, str]]:
    """Yield everything set aside as (number, key, raw text), the latest first."""
    rows = connection.execute(
        text(
            "SELECT id, source_key, raw FROM quarantine WHERE clinic = :clinic "
            f"AND kind <> '{MENDED}' ORDER BY last_seen_at DESC, id DESC"
        ),
        {"clinic": clinic},
    )
    for row in rows:
        yield row.id, row.source_key, row.raw


# --- holds ------------------------------------------------------------------------------------------


def hold_of(connection: Connection, clinic: str, number: int) -> dict[str, Any] | None:
    """Return an open hold."""
    row = connection.execute(
        text(
            "SELECT id, source, guard, visits, known, since, summary FROM held "
            "WHERE clinic = :clinic AND id = :id AND state = 'open'"
        ),
        {"clinic": clinic, "id": number},
    ).fetchone()
    return dict(row._mapping) if row else None


def messages_held(connection: Connection, clinic: str, hold: int) -> list[dict[str, Any]]:
    """Return the messages that a hold keeps back, in the order they were due."""
    rows = connection.execute(
        text(
            "SELECT m.kind, m.step, m.role, m.due_at, a.source, a.source_key FROM messages m "
            "LEFT JOIN appointments a ON a.id = m.appointment "
            "WHERE m.clinic = :clinic AND m.state = 'held' AND m.held = :hold ORDER BY m.due_at"
        ),
        {"clinic": clinic, "hold": hold},
    )
    return [dict(row._mapping) for row in rows]


def _slices(ids: Sequence[int]) -> Iterator[tuple[int, ...]]:
    for start in range(0, len(ids), _AT_ONCE):
        yield tuple(ids[start : start + _AT_ONCE])
