"""What people are owed: the ledger of messages, and its open attempts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from sqlalchemy import text

from clinicrelay.actions import Role, Say
from clinicrelay.contracts import Message
from sync.store import attempts, bulk, dialects, instant, seconds
from sync.store.shards import shard_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

_COLUMNS = (
    "clinic",
    "dedupe",
    "appointment",
    "recipient",
    "role",
    "kind",
    "step",
    "say",
    "setting",
    "state",
    "reason",
    "due_at",
    "useless_after",
    "run",
    "created_at",
    "settled_at",
    "tries",
    "shard",
)

say_of = msgspec.json.Decoder(Say).decode


class Owed(NamedTuple):
    """Something to be said (or explained as unsaid), with the key that makes it unique.

    `anew`: it is decided because something changed, so what ended unsent may be taken up again.
    """

    dedupe: str
    appointment: int | None
    say: Say
    anew: bool = True


class Ended(NamedTuple):
    """A message that reached nobody: why, and the addresses at which it was tried in vain."""

    message: int
    reason: str
    tries: int = 0
    tried: frozenset[str] = frozenset()


class Due(NamedTuple):
    """A planned message whose time has come; `reason` is why it has not left yet, if it was tried."""

    id: int
    dedupe: str
    appointment: int | None
    say: Say
    tries: int
    reason: str | None = None


class Pass(StrEnum):
    """What is looked for among that which is due: news come before reminders, all else last.

    What was tried goes after what was not: one message that makes a server refuse everything would
    else be the first of every run, and the last.
    """

    NEWS = " AND tries = 0 AND kind <> 'reminder'"
    UNTRIED = " AND tries = 0"
    ALL = ""


def owe(
    connection: Connection,
    clinic: str,
    things: Iterable[Owed],
    *,
    run: str,
    now: datetime,
    reopens: Callable[[Owed, Ended], bool],
) -> None:
    """Enter what is owed into the ledger; what stands there already stays as it is.

    But for what ended unsent for a reason that holds no longer (`reopens`): it is taken up again.
    """
    at, things = seconds(now), list(things)
    _reopen(connection, clinic, things, run=run, reopens=reopens)
    rows = {
        thing.dedupe: (
            clinic,
            thing.dedupe,
            thing.appointment,
            thing.say.recipient,
            thing.say.role.value,
            thing.say.kind.value,
            thing.say.step,
            msgspec.json.encode(thing.say).decode(),
            thing.say.setting,
            "skipped" if thing.say.skip else "planned",
            thing.say.skip,
            seconds(thing.say.due_at),
            seconds(thing.say.useless_after),
            run,
            at,
            at if thing.say.skip else None,
            0,
            shard_of(thing.say.recipient),
        )
        for thing in things
    }
    bulk.write(connection, "messages", _COLUMNS, rows.values())


def _reopen(
    connection: Connection,
    clinic: str,
    things: Sequence[Owed],
    *,
    run: str,
    reopens: Callable[[Owed, Ended], bool],
) -> None:
    wanted = {thing.dedupe: thing for thing in things if thing.anew and not thing.say.skip}
    again: list[dict[str, object]] = []
    for start in range(0, len(wanted), 900):
        some = tuple(wanted)[start : start + 900]
        rows = connection.exec_driver_sql(
            f"SELECT id, dedupe, reason, state, tries FROM messages "
            f"WHERE clinic = {dialects.marks(connection, 1)} "
            f"AND dedupe IN ({dialects.marks(connection, len(some))}) "
            "AND state IN ('skipped', 'failed')",
            (clinic, *some),
        ).fetchall()
        tried = _in_vain(connection, [row[0] for row in rows if row[4]])
        for number, dedupe, reason, state, tries in rows:
            ended = Ended(number, reason, tries, tried.get(number, frozenset()))
            if reopens(wanted[dedupe], ended):
                again.append(_anew(wanted[dedupe].say, ended, failed=state == "failed"))
    if again:
        connection.execute(
            text(
                "UPDATE messages SET say = :say, due_at = :due, useless_after = :useless, "
                "run = :run, setting = :setting, state = 'planned', reason = :reason, "
                "settled_at = NULL, next_try_at = NULL, tries = :tries "
                "WHERE id = :id AND clinic = :clinic"
            ),
            [{**one, "run": run, "clinic": clinic} for one in again],
        )


def _anew(say: Say, ended: Ended, *, failed: bool) -> dict[str, object]:
    """Return a message as it is taken up again: by what was tried before where anything was."""
    return {
        "id": ended.message,
        "say": msgspec.json.encode(say).decode(),
        "due": seconds(say.due_at),
        "useless": seconds(say.useless_after),
        "setting": say.setting,
        "tries": ended.tries if ended.tried else 0,
        "reason": ended.reason if ended.tried and failed else None,
    }


def _in_vain(connection: Connection, messages: Sequence[int]) -> dict[int, frozenset[str]]:
    """Return the addresses at which each message was refused, or did not arrive."""
    return {
        message: tried
        for message, some in attempts.tried(connection, messages).items()
        if (tried := frozenset(one.address for one in some if one.state != "abandoned"))
    }


class NotArrived(NamedTuple):
    """News that were accepted, reached nobody, and by which somebody counts as told all the same."""

    dedupe: str
    appointment: int
    say: Say


def not_arrived(connection: Connection, told_by: Sequence[str]) -> dict[str, NotArrived]:
    """Return which of these attempts did not arrive, with their messages that are given up."""
    found: dict[str, NotArrived] = {}
    for start in range(0, len(told_by), 900):
        some = tuple(told_by[start : start + 900])
        rows = connection.exec_driver_sql(
            "SELECT a.id, m.dedupe, m.appointment, m.say FROM attempts a "
            "JOIN messages m ON m.id = a.message "
            f"WHERE a.id IN ({dialects.marks(connection, len(some))}) "
            "AND a.state = 'undelivered' AND m.state IN ('skipped', 'failed') "
            "AND m.kind <> 'reminder' AND m.appointment IS NOT NULL",
            some,
        )
        found.update((row[0], NotArrived(row[1], row[2], say_of(row[3]))) for row in rows)
    return found


def due(
    connection: Connection, clinic: str, shard: int, which: Pass, *, now: datetime, limit: int
) -> list[Due]:
    """Return planned messages of a shard whose time has come, the oldest first.

    Of those of one moment the nearest visit comes first: keys begin with its start.
    """
    rows = dialects.fetch(
        connection,
        "SELECT id, dedupe, appointment, say, tries, reason FROM messages "
        "WHERE clinic = ? AND state = 'planned' AND due_at <= ? AND shard = ? "
        f"AND (next_try_at IS NULL OR next_try_at <= ?){which} "
        "ORDER BY tries, CASE WHEN kind = 'reminder' THEN 1 ELSE 0 END, due_at, dedupe LIMIT ?",
        (clinic, seconds(now), shard, seconds(now), limit),
    )
    return [
        Due(number, dedupe, visit, say_of(say), tries, reason)
        for number, dedupe, visit, say, tries, reason in rows
    ]


def shards_with_due(
    connection: Connection, clinic: str, which: Pass, *, now: datetime
) -> list[int]:
    """Return the shards in which something is due, the one that waited longest first."""
    rows = connection.execute(
        text(
            "SELECT shard, min(tries) AS least, min(due_at) AS first FROM messages "
            "WHERE clinic = :clinic AND state = 'planned' AND due_at <= :now "
            f"AND (next_try_at IS NULL OR next_try_at <= :now){which} "
            "GROUP BY shard ORDER BY least, first, shard"
        ),
        {"clinic": clinic, "now": seconds(now)},
    )
    return [int(row.shard) for row in rows]


def reminders_due(
    connection: Connection,
    clinic: str,
    roles: Iterable[Role],
    shards: Collection[int],
    *,
    now: datetime,
) -> dict[str, list[str]]:
    """Return the visits that some are to be reminded of by now: keys by source, longest due first."""
    rows = connection.execute(
        text(
            "SELECT a.source, a.source_key, m.role, m.shard, min(m.due_at) AS first FROM messages m "
            "JOIN appointments a ON a.id = m.appointment WHERE m.clinic = :clinic "
            "AND m.state = 'planned' AND m.kind = 'reminder' AND m.due_at <= :now "
            "AND (m.next_try_at IS NULL OR m.next_try_at <= :now) "
            "GROUP BY a.source, a.source_key, m.role, m.shard ORDER BY first, a.source, a.source_key"
        ),
        {"clinic": clinic, "now": seconds(now)},
    )
    found: dict[str, dict[str, None]] = {}
    wanted = {role.value for role in roles}
    for source, key, role, shard, _ in rows:
        if role in wanted and shard in shards:
            found.setdefault(source, {})[key] = None
    return {source: [*keys] for source, keys in found.items()}


def count_later(connection: Connection, clinic: str, *, now: datetime) -> int:
    """Return how many planned messages wait for a later hour."""
    counted = text(
        "SELECT count(*) FROM messages WHERE clinic = :clinic AND state = 'planned' "
        "AND (due_at > :now OR next_try_at > :now)"
    )
    return int(connection.execute(counted, {"clinic": clinic, "now": seconds(now)}).scalar_one())


def count_unknown(connection: Connection, clinic: str) -> int:
    """Count messages of which nobody knows yet whether they left: their providers are being asked."""
    found = dialects.fetch(
        connection,
        "SELECT count(*) FROM messages WHERE clinic = ? AND state = 'unknown'",
        (clinic,),
    )
    return int(next(iter(found))[0])


def settle(
    connection: Connection,
    message: int,
    state: str,
    *,
    now: datetime,
    reason: str | None = None,
    next_try_at: datetime | None = None,
    setting: str = "",
) -> None:
    """Note what became of a message and which setting decided, or when it is tried again."""
    dialects.run(
        connection,
        "UPDATE messages SET state = ?, reason = ?, next_try_at = ?, settled_at = ?, "
        "setting = CASE WHEN ? = '' THEN setting ELSE ? END WHERE id = ?",
        (
            state,
            reason,
            seconds(next_try_at) if next_try_at else None,
            None if state == "planned" else seconds(now),
            setting,
            setting,
            message,
        ),
    )


def wait_again(
    connection: Connection, message: int, *, reason: str, refused: str, most: int, at: datetime
) -> None:
    """Let a message that was refused be tried again at a moment, unless it was tried so often."""
    dialects.run(
        connection,
        "UPDATE messages SET state = 'planned', reason = ?, next_try_at = ?, settled_at = NULL "
        "WHERE id = ? AND tries < ? "
        "AND (state = 'sending' OR (state IN ('failed', 'planned') AND reason = ?))",
        (reason, seconds(at), message, most, refused),
    )


def was_invited(connection: Connection, visit: int, recipient: str) -> bool:
    """Whether a mail of ours may have put a visit into somebody's own calendar."""
    rows = dialects.fetch(
        connection,
        "SELECT say FROM messages WHERE appointment = ? AND recipient = ? AND channel = 'email' "
        "AND state IN ('sent', 'unknown', 'unproven') AND kind <> 'reminder'",
        (visit, recipient),
    )
    return any(say_of(say).invite for (say,) in rows)


def hurry(connection: Connection, clinic: str, reason: str) -> None:
    """Let what waits for a reason that is gone be tried by the next run."""
    dialects.run(
        connection,
        "UPDATE messages SET next_try_at = NULL "
        "WHERE clinic = ? AND state = 'planned' AND reason = ?",
        (clinic, reason),
    )


class Open(NamedTuple):
    """An attempt nobody knows the end of."""

    id: str
    message: int
    notifier: str
    state: str
    body: Message
    due: Due
    started_at: datetime  # by the clinic's clock; `begun_at` is by the provider's
    begun_at: datetime
    nothing_since: datetime | None
    restored: bool = False  # of a store that was put back from a copy: see `sync.store.gap`


def shards_with_open(connection: Connection, clinic: str, *, now: datetime) -> list[int]:
    """Return the shards in which an attempt has no known end and may be asked about."""
    rows = connection.execute(
        text(
            "SELECT DISTINCT m.shard FROM attempts a JOIN messages m ON m.id = a.message "
            "WHERE a.clinic = :clinic AND a.state IN ('sending', 'handed_over', 'unknown') "
            "AND (m.next_try_at IS NULL OR m.next_try_at <= :now) ORDER BY m.shard"
        ),
        {"clinic": clinic, "now": seconds(now)},
    )
    return [int(row.shard) for row in rows]


def open_attempts(connection: Connection, clinic: str, shard: int, *, now: datetime) -> list[Open]:
    """Return attempts of a shard that were begun and never ended: no answer, or a killed sender."""
    rows = connection.execute(
        text(
            "SELECT a.id, a.message, a.notifier, a.state, a.body, a.nothing_since, a.started_at, "
            "a.reason = 'restored' AS restored, "
            "COALESCE(a.begun_at, a.started_at) AS begun_at, "
            "m.dedupe, m.appointment, m.say, m.tries "
            "FROM attempts a JOIN messages m ON m.id = a.message "
            "WHERE a.clinic = :clinic AND a.state IN ('sending', 'handed_over', 'unknown') "
            "AND m.shard = :shard AND (m.next_try_at IS NULL OR m.next_try_at <= :now) "
            "ORDER BY a.started_at, a.id"
        ),
        {"clinic": clinic, "now": seconds(now), "shard": shard},
    )
    return [
        Open(
            row.id,
            row.message,
            row.notifier,
            row.state,
            msgspec.json.decode(row.body, type=Message),
            Due(row.message, row.dedupe, row.appointment, say_of(row.say), row.tries),
            instant(row.started_at),
            instant(row.begun_at),
            instant(row.nothing_since) if row.nothing_since else None,
            bool(row.restored),
        )
        for row in rows
    ]
