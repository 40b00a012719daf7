"""What a store that was put back from a copy does not know of: from when till when, of which sources.

Whatever leaves in that time may have left before. It is asked about first, as an attempt that nobody
knows the end of, until each source was read again and told what had changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import text

from sync.store import dialects, instant, memory, seconds
from sync.store.said import Due, say_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

OWNER = "sync/gap"
MAYBE = "restored"  # an attempt that the lost part of the store may have made
FOUND, ABSENT, UNPROVEN = "restored_found", "restored_absent", "restored_unproven"
# A source of which a part cannot be read is not waited for any longer.
_PATIENCE = timedelta(days=1)


class Left(NamedTuple):
    """Where a source stood in the copy, in seconds, and whether what it had put away is read again."""

    complete_at: int
    read_at: int
    back: bool


class Gap(NamedTuple):
    """`since` is when the copy was made, `until` when it was put back, on the real clock.

    `sources` are those that were not read whole since, `begun` says that what was due before any
    of them was read is asked about, `asked` how many messages are.
    """

    since: datetime
    until: datetime
    sources: Mapping[str, Left]
    begun: bool
    asked: int

    @property
    def is_over(self) -> bool:
        """Whether nothing that becomes due from now on may have left before."""
        return self.begun and not self.sources


class Tally(NamedTuple):
    """What became of the messages that may have left before."""

    asked: int
    found: int
    unproven: int
    open: int

    @property
    def absent(self) -> int:
        return max(0, self.asked - self.found - self.unproven - self.open)


def note(connection: Connection, clinic: str, *, since: datetime, until: datetime) -> None:
    """Note that what happened between two moments is lost; of two such stretches the whole counts."""
    before = find(connection, clinic)
    before = None if before is None or before.is_over else before
    rows = connection.execute(
        text(
            "SELECT source, last_complete_at, last_read_at FROM sources "
            "WHERE clinic = :clinic AND imported_at IS NOT NULL"
        ),
        {"clinic": clinic},
    )
    sources = {row[0]: [row[1] or 0, row[2] or 0, False] for row in rows}
    told = {
        "since": seconds(min(since, before.since) if before else since),
        "until": seconds(until),
        "sources": sources,
        "begun": False,
        "asked": 0,
    }
    memory.remember(connection, clinic, OWNER, memory.recall(connection, clinic, OWNER), told)


def find(connection: Connection, clinic: str) -> Gap | None:
    """Return what the store does not know of, as far as it is not settled."""
    told = memory.recall(connection, clinic, OWNER)
    if not told:
        return None
    return Gap(
        instant(told["since"]),
        instant(told["until"]),
        {name: Left(*left) for name, left in told["sources"].items()},
        told["begun"],
        told["asked"],
    )


def waits(connection: Connection, clinic: str) -> bool:
    """Whether anything that may have left before is still to be asked about, as far as that matters."""
    if find(connection, clinic) is None:
        return False
    rows = connection.execute(
        text(
            "SELECT 1 FROM attempts WHERE clinic = :clinic AND state = 'unknown' "
            f"AND reason = '{MAYBE}' LIMIT 1"
        ),
        {"clinic": clinic},
    )
    return rows.fetchone() is not None


def keep(connection: Connection, clinic: str, **said: Any) -> None:
    """Note how far it is settled."""
    before = memory.recall(connection, clinic, OWNER)
    if before:
        memory.remember(connection, clinic, OWNER, before, {**before, **said})


def taken_back(connection: Connection, clinic: str, source: str, *, found: int | None) -> None:
    """Note how much a source brought back of what it had put away: 0 says that it was not read."""
    left = dict(memory.recall(connection, clinic, OWNER).get("sources", {}))
    if found == 0:
        left.pop(source, None)
    else:
        left[source] = [*left[source][:2], True]
    keep(connection, clinic, sources=left)


def close(connection: Connection, clinic: str, sources: Collection[str]) -> None:
    """Note that sources told what changed meanwhile, and that it was asked about."""
    left = memory.recall(connection, clinic, OWNER).get("sources", {})
    keep(
        connection, clinic, sources={k: v for k, v in left.items() if k not in sources}, begun=True
    )


def end(connection: Connection, clinic: str) -> None:
    """Forget it: nothing that becomes due may have left before."""
    memory.remember(connection, clinic, OWNER, memory.recall(connection, clinic, OWNER), {})


def read_since(
    connection: Connection, clinic: str, gap: Gap, named: Collection[str], *, now: datetime
) -> list[str]:
    """Return the sources that were read whole since the copy was put back, or are in no settings."""
    rows = connection.execute(
        text("SELECT source, last_complete_at, last_read_at FROM sources WHERE clinic = :clinic"),
        {"clinic": clinic},
    )
    stands = {row[0]: (row[1] or 0, row[2] or 0) for row in rows}
    long_ago = now - gap.until > _PATIENCE
    found = []
    for name, left in gap.sources.items():
        complete, read = stands.get(name, (0, 0))
        whole = complete != left.complete_at or (long_ago and read != left.read_at)
        if whole or name not in named:
            found.append(name)
    return found


def doubtful(
    connection: Connection,
    clinic: str,
    sources: Collection[str] | None,
    *,
    now: datetime,
    after: int,
    limit: int,
) -> list[Due]:
    """Return what is due and may have left before; of some sources, or None: of all, and of no visit.

    What was asked about once, and never left, is asked about no more.
    """
    named = sorted(sources or ())
    of_some = f"AND v.source IN ({dialects.marks(connection, len(named))}) " if named else ""
    rows = dialects.fetch(
        connection,
        "SELECT m.id, m.dedupe, m.appointment, m.say, m.tries, m.reason FROM messages m "
        "LEFT JOIN appointments v ON v.id = m.appointment "
        "WHERE m.clinic = ? AND m.state = 'planned' AND m.due_at <= ? AND m.role <> 'staff' "
        f"AND m.id > ? {of_some}AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.message = m.id "
        f"AND a.reason = '{ABSENT}') ORDER BY m.id LIMIT ?",
        (clinic, seconds(now), after, *named, limit),
    )
    return [Due(row[0], row[1], row[2], say_of(row[3]), row[4], row[5]) for row in rows]


def doubt(
    connection: Connection, attempts: Sequence[tuple[str, int]], gap: Gap, *, now: datetime
) -> None:
    """Let attempts that were just begun count as made by the part of the store that is lost."""
    for attempt, message in attempts:
        connection.execute(
            text(
                "UPDATE attempts SET state = 'unknown', reason = :maybe, begun_at = :since, "
                "nothing_since = :until WHERE id = :id"
            ),
            {
                "maybe": MAYBE,
                "since": seconds(gap.since),
                # Looks at a provider are told apart by the clinic's clock.
                "until": min(seconds(gap.until), seconds(now)),
                "id": attempt,
            },
        )
        connection.execute(
            text(
                "UPDATE messages SET state = 'unknown', reason = :maybe, next_try_at = NULL, "
                "settled_at = NULL WHERE id = :id"
            ),
            {"maybe": MAYBE, "id": message},
        )


def tally(connection: Connection, clinic: str, gap: Gap) -> Tally:
    """Return what became of what was asked about."""
    rows = connection.execute(
        text(
            "SELECT reason, count(*) FROM attempts WHERE clinic = :clinic AND begun_at = :since "
            f"AND reason IN ('{FOUND}', '{MAYBE}', '{UNPROVEN}') GROUP BY reason"
        ),
        {"clinic": clinic, "since": seconds(gap.since)},
    )
    found = {str(reason): int(number) for reason, number in rows}
    return Tally(gap.asked, found.get(FOUND, 0), found.get(UNPROVEN, 0), found.get(MAYBE, 0))


def send_unproven(connection: Connection, clinic: str, *, now: datetime) -> int:
    """Let what nobody can tell about leave all the same, where it is of use; return how much."""
    from sync.store import unproven

    rows = connection.execute(
        text(
            "SELECT id, say FROM messages WHERE clinic = :clinic AND state = 'unproven' "
            "AND reason = :reason AND useless_after > :now"
        ),
        {"clinic": clinic, "reason": UNPROVEN, "now": seconds(now)},
    ).fetchall()
    for number, say in rows:
        unproven.repeat(connection, number, say_of(say), "unproven_repeated")
    return len(rows)
