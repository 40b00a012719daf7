"""What a scratch run did, and when something next happens: read by plan."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from sqlalchemy import bindparam, text

from clinicrelay.actions import facts_of
from clinicrelay.model import Appointment, decode
from clinicrelay.times import iso
from sync.store import seconds

if TYPE_CHECKING:
    from sqlalchemy import Connection


def next_moment(
    connection: Connection, clinic: str, mute: Collection[str], *, after: datetime
) -> datetime | None:
    """Return when the next visit wakes or the next planned message falls due.

    What became of a message by a `mute` notifier is never known: when that is decided is such a
    moment. What another one would answer by then cannot be foreseen.

    A visit that a message has just woken is awake already. What a pause keeps back is asked for
    every few minutes and leaves when the pause ends, no sooner; what waits for its source, or for a
    person's word, leaves once that has come.
    """
    row = connection.execute(
        text(
            "SELECT min(moment) FROM ("
            "SELECT min(wake_at) AS moment FROM appointments "
            "WHERE clinic = :clinic AND wake_at IS NOT NULL UNION ALL "
            "SELECT min(CASE WHEN next_try_at > due_at THEN next_try_at ELSE due_at END) "
            "FROM messages WHERE clinic = :clinic AND state = 'planned' "
            "AND (reason IS NULL OR reason NOT IN ('paused', 'source_stale', 'change_held')) "
            "AND (due_at > :after OR next_try_at > :after) UNION ALL "
            "SELECT min(next_try_at) FROM messages WHERE clinic = :clinic AND state = 'unknown' "
            "AND notifier IN :mute AND next_try_at > :after) moments"
        ).bindparams(bindparam("mute", expanding=True)),
        {"clinic": clinic, "after": seconds(after), "mute": ["", *mute]},
    ).scalar_one()
    return None if row is None else datetime.fromtimestamp(int(row), UTC)


def changes_of(connection: Connection, clinic: str, run: str) -> list[dict[str, Any]]:
    """Return what a run changed about visits: one entry a visit and kind of change."""
    booked = connection.execute(
        text(
            "SELECT source, source_key, content FROM appointments "
            "WHERE clinic = :clinic AND first_run = :run "
            "AND status NOT IN ('cancelled', 'entered_in_error') ORDER BY id"
        ),
        {"clinic": clinic, "run": run},
    )
    found = [
        {"source": r.source, "key": r.source_key, "what": "booked", "before": None,
         "after": _facts(decode(r.content))}
        for r in booked
    ]  # fmt: skip
    altered = connection.execute(
        text(
            "SELECT a.source, a.source_key, v.what, v.content AS was, a.content AS is_now, a.gone_at "
            "FROM versions v JOIN appointments a ON a.id = v.appointment "
            "WHERE v.clinic = :clinic AND v.run = :run ORDER BY v.appointment, v.version"
        ),
        {"clinic": clinic, "run": run},
    )
    for row in altered:
        before, after = _facts(decode(row.was)), _facts(decode(row.is_now))
        found += [
            {
                "source": row.source,
                "key": row.source_key,
                "what": what,
                "before": before,
                "after": None if row.gone_at else after,
            }
            for what in row.what.split(",")
        ]
    return found


def _facts(visit: Appointment) -> dict[str, Any]:
    """Return what of a visit may be printed anywhere: no person but the practitioner's id."""
    facts, place = facts_of(visit), visit.location
    return {
        "start": iso(visit.start) if visit.start else None,
        "end": iso(visit.end) if visit.end else None,
        "status": visit.status.value,
        "practitioner": facts.practitioner,
        "location": (facts.place or place.key) if place else None,
    }


def sent_by(connection: Connection, clinic: str, run: str) -> list[dict[str, Any]]:
    """Return the messages that a run sent, in their order."""
    rows = connection.execute(
        text(
            "SELECT m.settled_at, m.kind, m.step, m.role, m.recipient, m.channel, a.source, "
            "a.source_key "
            "FROM attempts t JOIN messages m ON m.id = t.message "
            "LEFT JOIN appointments a ON a.id = m.appointment "
            "WHERE t.clinic = :clinic AND t.run = :run AND m.state = 'sent' "
            "ORDER BY m.settled_at, m.id"
        ),
        {"clinic": clinic, "run": run},
    )
    return [
        {
            "at": iso(datetime.fromtimestamp(row.settled_at, UTC)),
            "kind": row.kind,
            "step": row.step or None,
            "to": row.role,
            **_which_doctor(row.recipient),
            "channel": row.channel,
            "appointment": f"{row.source}/{row.source_key}" if row.source else None,
        }
        for row in rows
    ]


def _which_doctor(recipient: str) -> dict[str, str]:
    """Return what tells one doctor's list of a day from another's; a patient is known by the visit."""
    role, _, key = recipient.partition("/")
    return {"doctor": key} if role == "doctor" else {}


def unsaid_since(
    connection: Connection, clinic: str, start: datetime, *, look_back: timedelta
) -> list[dict[str, Any]]:
    """Return what was decided since not to be said, and what waits for a pause, a source or a person.

    Also what nobody knows the end of yet.
    """
    rows = connection.execute(
        text(
            "SELECT m.due_at, m.kind, m.step, m.role, m.recipient, m.reason, m.setting, a.source, "
            "a.source_key "
            "FROM messages m LEFT JOIN appointments a ON a.id = m.appointment "
            "WHERE m.clinic = :clinic AND m.state IN ('skipped', 'failed', 'planned', 'unknown') "
            "AND m.due_at >= :oldest AND m.reason IS NOT NULL "
            "AND (m.settled_at >= :start OR m.state = 'unknown' OR (m.state = 'planned' "
            "AND m.reason IN ('paused', 'source_stale', 'change_held'))) "
            "ORDER BY m.due_at, m.id"
        ),
        {"clinic": clinic, "start": seconds(start), "oldest": seconds(start - look_back)},
    )
    return [
        {
            "at": iso(datetime.fromtimestamp(row.due_at, UTC)),
            "kind": row.kind,
            "step": row.step or None,
            "to": row.role,
            **_which_doctor(row.recipient),
            "appointment": f"{row.source}/{row.source_key}" if row.source else None,
            "reason": row.reason,
            "setting": row.setting,
        }
        for row in rows
    ]


def shown(connection: Connection, clinic: str) -> frozenset[tuple[str, str]]:
    """Return the events that stand in a calendar: the calendar and the visit (`source/key`)."""
    rows = connection.execute(
        text(
            "SELECT e.calendar, a.source, a.source_key FROM events e "
            "JOIN appointments a ON a.id = e.appointment "
            "WHERE e.clinic = :clinic AND e.written IS NOT NULL"
        ),
        {"clinic": clinic},
    )
    return frozenset((row.calendar, f"{row.source}/{row.source_key}") for row in rows)


class Said(NamedTuple):
    """A message of a run as it left; `appointment` is None for a digest."""

    at: datetime
    kind: str
    recipient: str
    channel: str
    appointment: int | None
    text: str


def said_by(connection: Connection, clinic: str, run: str, role: str) -> list[Said]:
    """Return what a run said to patients or doctors, in its order."""
    rows = connection.execute(
        text(
            "SELECT m.settled_at, m.kind, m.recipient, m.channel, m.appointment, t.body "
            "FROM attempts t JOIN messages m ON m.id = t.message "
            "WHERE t.clinic = :clinic AND t.run = :run AND m.state = 'sent' AND m.role = :role "
            "ORDER BY m.settled_at, m.id"
        ),
        {"clinic": clinic, "run": run, "role": role},
    )
    return [
        Said(
            datetime.fromtimestamp(row.settled_at, UTC),
            row.kind,
            row.recipient,
            row.channel,
            row.appointment,
            msgspec.json.decode(row.body)["text"],
        )
        for row in rows
    ]


class Shown(NamedTuple):
    """The visit (`source/key`) that an event shows, and when it is."""

    visit: str
    start: datetime | None


def refs(connection: Connection, clinic: str) -> dict[str, Shown]:
    """Return which visit each opaque event reference means."""
    rows = connection.execute(
        text(
            "SELECT DISTINCT e.ref, a.source, a.source_key, a.start_at "
            "FROM events e JOIN appointments a ON a.id = e.appointment WHERE e.clinic = :clinic"
        ),
        {"clinic": clinic},
    )
    return {
        row.ref: Shown(
            f"{row.source}/{row.source_key}",
            None if row.start_at is None else datetime.fromtimestamp(row.start_at, UTC),
        )
        for row in rows
    }
