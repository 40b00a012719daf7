"""Changes to known visits that wait: for the guard until a read ends, for a person once it held them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from sqlalchemy import text

from clinicrelay.actions import What
from sync.store import bulk, dialects, seconds
from sync.store.visits import Replacement

if TYPE_CHECKING:
    from sqlalchemy import Connection

_AT_ONCE = 900  # parameters of one statement; SQLite of old takes 999

_UNJUDGED = "run = :run AND held IS NULL AND rejected = false"  # said by the read that goes on

_COLUMNS = (
    "clinic",
    "source",
    "source_key",
    "appointment",
    "what",
    "start_at",
    "new_start_at",
    "content",
    "run",
    "held",
    "rejected",
)


class Waiting(NamedTuple):
    """One change: `what` in words joined by a comma, both starts in seconds, the new content."""

    appointment: int
    key: str
    what: str
    start_at: int | None
    new_start_at: int | None
    content: str | None

    @property
    def delta(self) -> timedelta | None:
        """How far the visit would move."""
        if self.start_at is None or self.new_start_at is None or self.start_at == self.new_start_at:
            return None
        return timedelta(seconds=self.new_start_at - self.start_at)

    @property
    def replacement(self) -> Replacement:
        return Replacement(self.appointment, self.what, self.content, What.GONE in self.whats)

    @property
    def whats(self) -> tuple[What, ...]:
        return _whats(self.what)


@lru_cache(maxsize=256)
def _whats(words: str) -> tuple[What, ...]:
    return tuple(What(word) for word in words.split(","))


def forget_unjudged(connection: Connection, clinic: str, source: str) -> None:
    """Drop what an earlier run left waiting when it was cut off: this read says it again."""
    connection.execute(
        text(
            "DELETE FROM incoming WHERE clinic = :clinic AND source = :source "
            "AND held IS NULL AND rejected = false"
        ),
        {"clinic": clinic, "source": source},
    )


def any_unjudged(connection: Connection, clinic: str, source: str) -> bool:
    """Whether an earlier run left changes waiting that no guard has seen."""
    found = text(
        "SELECT 1 FROM incoming WHERE clinic = :clinic AND source = :source "
        "AND held IS NULL AND rejected = false LIMIT 1"
    )
    return connection.execute(found, {"clinic": clinic, "source": source}).fetchone() is not None


def wait(
    connection: Connection, clinic: str, source: str, changes: Iterable[Waiting], *, run: str
) -> None:
    """Let changes wait, but for those that a person rejected."""
    bulk.write(
        connection,
        "incoming",
        _COLUMNS,
        [
            (
                clinic,
                source,
                w.key,
                w.appointment,
                w.what,
                w.start_at,
                w.new_start_at,
                w.content,
                run,
                None,
                False,
            )
            for w in unlike_rejected(connection, clinic, source, changes)
        ],
        update=_COLUMNS[3:],
    )


def unlike_rejected(
    connection: Connection, clinic: str, source: str, changes: Iterable[Waiting]
) -> Iterator[Waiting]:
    """Yield the changes that nobody said no to: what was rejected stays so while it is said again."""
    refused = rejected(connection, clinic, source)
    for one in changes:
        if refused.get(one.key, _NOTHING) != (one.what, one.content):
            yield one


_NOTHING = ("", "")


def withdraw(
    connection: Connection, clinic: str, source: str, visits: Iterable[int], *, run: str
) -> None:
    """Forget what this run left waiting for these visits."""
    rows = [
        {"clinic": clinic, "source": source, "visit": visit, "run": run} for visit in sorted(visits)
    ]
    if rows:
        connection.execute(
            text(
                "DELETE FROM incoming WHERE clinic = :clinic AND source = :source "
                f"AND appointment = :visit AND {_UNJUDGED}"
            ),
            rows,
        )


def rejected(connection: Connection, clinic: str, source: str) -> dict[str, tuple[str, str | None]]:
    """Return what a person said no to, by key: what it was, and its content."""
    rows = connection.execute(
        text(
            "SELECT source_key, what, content FROM incoming "
            "WHERE clinic = :clinic AND source = :source AND rejected = true"
        ),
        {"clinic": clinic, "source": source},
    )
    return {row.source_key: (row.what, row.content) for row in rows}


def refused_absences(connection: Connection, clinic: str, source: str) -> dict[int, str]:
    """Return the visits of which a person said that they are not gone, with their keys."""
    rows = dialects.fetch(
        connection,
        "SELECT appointment, source_key FROM incoming "
        "WHERE clinic = ? AND source = ? AND rejected = true AND what = ?",
        (clinic, source, What.GONE.value),
    )
    return dict(rows)


def of_run(connection: Connection, clinic: str, source: str, run: str) -> Iterator[Waiting]:
    """Yield what this run's read left waiting; what an earlier one of its reads said is held by now."""
    yield from _waiting(
        connection, f"source = :source AND {_UNJUDGED}", clinic=clinic, source=source, run=run
    )


def content_of(
    connection: Connection, clinic: str, source: str, visit: int, *, run: str
) -> str | None:
    """Return the content that a visit will have by what this run left waiting, if anything."""
    row = connection.execute(
        text(
            "SELECT content FROM incoming WHERE clinic = :clinic AND source = :source "
            f"AND appointment = :visit AND {_UNJUDGED}"
        ),
        {"clinic": clinic, "source": source, "visit": visit, "run": run},
    ).fetchone()
    return None if row is None else row.content


def of_hold(connection: Connection, clinic: str, hold: int) -> Iterator[Waiting]:
    """Yield what a hold keeps back."""
    yield from _waiting(connection, "held = :hold", clinic=clinic, hold=hold)


def held_back(connection: Connection, clinic: str) -> Iterator[tuple[tuple[str, str], str | None]]:
    """Yield the visits (source, key) of which a hold keeps a change back, and their new content.

    There is none where a visit is only missing.
    """
    rows = dialects.fetch(
        connection,
        "SELECT source, source_key, what, content FROM incoming "
        "WHERE clinic = ? AND held IS NOT NULL",
        (clinic,),
    )
    for source, key, what, content in rows:
        yield (source, key), None if What.GONE in _whats(what) else content


def _waiting(connection: Connection, where: str, **values: Any) -> Iterator[Waiting]:
    rows = connection.execute(
        text(
            "SELECT appointment, source_key, what, start_at, new_start_at, content "
            f"FROM incoming WHERE clinic = :clinic AND {where} ORDER BY appointment"
        ),
        values,
    )
    yield from map(Waiting._make, rows.fetchall())


def done(connection: Connection, clinic: str, source: str, keys: Sequence[str]) -> None:
    """Forget changes that were applied or came to nothing."""
    mark = dialects.marks(connection, 1)
    for start in range(0, len(keys), _AT_ONCE):
        some = tuple(keys[start : start + _AT_ONCE])
        connection.exec_driver_sql(
            f"DELETE FROM incoming WHERE clinic = {mark} AND source = {mark} "
            f"AND source_key IN ({dialects.marks(connection, len(some))})",
            (clinic, source, *some),
        )


class Strike(Protocol):
    """A guard that struck: how many of how many, and a sentence for a person."""

    @property
    def guard(self) -> str: ...
    @property
    def visits(self) -> int: ...
    @property
    def known(self) -> int: ...
    @property
    def summary(self) -> str: ...


def hold(
    connection: Connection,
    clinic: str,
    source: str,
    keys: Sequence[str],
    why: Strike,
    *,
    now: datetime,
    whole: bool = True,
) -> int:
    """Hold changes back for a person; the same guard striking again keeps its number.

    What a `whole` read did not say again is held no longer. One that tells only what changed leaves
    it so: nothing will say that again.
    """
    at = {
        "clinic": clinic,
        "source": source,
        "guard": why.guard,
        "visits": why.visits,
        "known": why.known,
        "summary": why.summary,
        "now": seconds(now),
    }
    where = "clinic = :clinic AND source = :source AND guard = :guard AND state = 'open'"
    row = connection.execute(text(f"SELECT id FROM held WHERE {where}"), at).fetchone()
    if row is None:
        connection.execute(
            text(
                "INSERT INTO held (clinic, source, guard, visits, known, since, summary, state) "
                "VALUES (:clinic, :source, :guard, :visits, :known, :now, :summary, 'open')"
            ),
            at,
        )
        row = connection.execute(text(f"SELECT id FROM held WHERE {where}"), at).one()
    else:
        connection.execute(
            text(
                "UPDATE held SET visits = :visits, known = :known, summary = :summary "
                f"WHERE {where}"
            ),
            at,
        )
        if whole:
            connection.execute(
                text("DELETE FROM incoming WHERE clinic = :clinic AND held = :hold"),
                {"clinic": clinic, "hold": row[0]},
            )
    if keys:
        connection.execute(
            text(
                "UPDATE incoming SET held = :hold WHERE clinic = :clinic AND source = :source "
                "AND source_key = :key"
            ),
            [{"hold": row[0], "clinic": clinic, "source": source, "key": key} for key in keys],
        )
    return int(row[0])


def dissolve(
    connection: Connection, clinic: str, source: str, *, but: Sequence[int], now: datetime
) -> None:
    """Close holds that the newest whole read no longer bears out, and forget what they held."""
    for number in open_holds(connection, clinic, source):
        if number["id"] not in but and number["guard"] not in ("storm", "unlinked"):
            close(connection, clinic, number["id"], "dissolved", now=now)


def close(connection: Connection, clinic: str, number: int, state: str, *, now: datetime) -> None:
    """End a hold. Rejected changes stay known as such, all others are forgotten."""
    at = {"clinic": clinic, "id": number, "state": state, "now": seconds(now)}
    connection.execute(
        text(
            "UPDATE held SET state = :state, closed_at = :now WHERE clinic = :clinic AND id = :id"
        ),
        at,
    )
    if state == "rejected":
        connection.execute(
            text(
                "UPDATE incoming SET rejected = true, held = NULL "
                "WHERE clinic = :clinic AND held = :id"
            ),
            at,
        )
    else:
        connection.execute(text("DELETE FROM incoming WHERE clinic = :clinic AND held = :id"), at)


def open_holds(
    connection: Connection, clinic: str, source: str | None = None
) -> list[dict[str, Any]]:
    """Return the open holds of a clinic, oldest first."""
    names = ("id", "source", "guard", "visits", "known", "since", "summary")
    rows = dialects.fetch(
        connection,
        f"SELECT {', '.join(names)} FROM held WHERE clinic = ? AND state = 'open'"
        + (" AND source = ?" if source else "")
        + " ORDER BY id",
        (clinic, source) if source else (clinic,),
    )
    return [dict(zip(names, row, strict=True)) for row in rows]
