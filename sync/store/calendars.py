"""How each calendar stands: whether it takes what is written, and where the last look at it ended."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import text

from sync.store import dialects, seconds

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from clinicrelay.contracts import Cursor, Memo

_AT_ONCE = 900
_SHOWS = "('put', 'synced', 'hidden', 'held', 'blocked')"  # what a calendar is to show
_SHOWS_OR_LEAVES = "('put', 'synced', 'hidden', 'held', 'blocked', 'remove')"


class Mark(NamedTuple):
    """Whether a calendar takes what is written: ok, blocked, or stopped with all of its account.

    `tries` looks in a row ended in a wait; nothing is tried before `retry_at`.
    """

    state: str = "ok"
    reason: str = ""
    fix: str = ""
    retry_at: int | None = None
    tries: int | None = None


OK = Mark()
OPEN = ("put", "remove", "blocked")  # still to be written, what is refused for good included


class Kept(NamedTuple):
    """One calendar as it is kept. `in_use` says that it shows an event, or is to lose one.

    One that takes nothing is so only for visits that calendars still show. It is `leaving` if all of
    those are to go from there: nobody of them is linked to it any more.
    """

    mark: Mark
    since: datetime
    cursor: Cursor | None
    done_at: datetime | None
    looked_at: datetime | None
    strangers: Sequence[str]
    in_use: bool
    leaving: bool

    @property
    def last_success(self) -> datetime | None:
        """When all was last as it should be there, as far as that was looked at."""
        return max((at for at in (self.done_at, self.looked_at) if at), default=None)


_EVENTS_IN = "FROM events e WHERE e.calendar = c.calendar AND e.clinic = c.clinic AND e.state IN "
_STILL_SHOWN = (
    "FROM events e JOIN appointments a ON a.id = e.appointment WHERE e.calendar = c.calendar "
    "AND e.clinic = c.clinic AND COALESCE(a.start_at, :since) >= :since AND e.state IN "
)


def kept(connection: Connection, clinic: str, *, since: datetime) -> dict[str, Kept]:
    """Return every calendar (`NAME:ADDRESS`) that something was ever to be written to.

    Visits before `since` stand there as they stood.
    """
    rows = connection.execute(
        text(
            "SELECT c.calendar, c.state, c.reason, c.fix, c.retry_at, c.tries, c.since, "
            "c.cursor_json, c.done_at, c.looked_at, c.strangers, CASE WHEN c.state = 'ok' "
            f"THEN EXISTS (SELECT 1 {_EVENTS_IN} {_SHOWS_OR_LEAVES}) "
            f"ELSE EXISTS (SELECT 1 {_STILL_SHOWN} {_SHOWS_OR_LEAVES}) END AS in_use, "
            "CASE WHEN c.state = 'ok' THEN 0 "
            f"WHEN EXISTS (SELECT 1 {_STILL_SHOWN} {_SHOWS}) THEN 0 ELSE 1 END AS leaving "
            "FROM calendars c WHERE c.clinic = :clinic ORDER BY c.calendar"
        ),
        {"clinic": clinic, "since": seconds(since)},
    )
    return {
        calendar: Kept(
            Mark(*stands),
            datetime.fromtimestamp(at, UTC),
            json.loads(cursor) if cursor else None,
            _instant(done),
            _instant(looked),
            json.loads(strangers) if strangers else (),
            bool(in_use),
            bool(in_use and leaving),
        )
        for calendar, *stands, at, cursor, done, looked, strangers, in_use, leaving in rows
    }


def written(connection: Connection, clinic: str) -> list[str]:
    """Return every calendar (`NAME:ADDRESS`) that all was written to at some time."""
    rows = connection.execute(
        text("SELECT calendar FROM calendars WHERE clinic = :clinic AND done_at IS NOT NULL"),
        {"clinic": clinic},
    )
    return list(rows.scalars())


def mark(connection: Connection, clinic: str, calendar: str, new: Mark, *, now: datetime) -> None:
    """Note how a calendar stands; since when is kept while the reason is the same."""
    connection.execute(
        text(  # MySQL sets one column after the other: `reason` must be the old one until the end
            "UPDATE calendars SET since = CASE WHEN reason = :reason THEN since ELSE :now END, "
            "state = :state, fix = :fix, retry_at = :retry_at, tries = :tries, reason = :reason "
            "WHERE clinic = :clinic AND calendar = :calendar"
        ),
        {"clinic": clinic, "calendar": calendar, "now": seconds(now), **new._asdict()},
    )


def go_on_from(connection: Connection, clinic: str, calendar: str, cursor: Cursor) -> None:
    """Keep where a look ended, with what it saw."""
    connection.execute(
        text(
            "UPDATE calendars SET cursor_json = :cursor "
            "WHERE clinic = :clinic AND calendar = :calendar"
        ),
        {"clinic": clinic, "calendar": calendar, "cursor": json.dumps(cursor)},
    )


def answered(
    connection: Connection, clinic: str, calendar: str, strangers: Collection[str]
) -> None:
    """Keep of which other installations a person has said what is to become of their events."""
    connection.execute(
        text(
            "UPDATE calendars SET strangers = :names WHERE clinic = :clinic AND calendar = :calendar"
        ),
        {"clinic": clinic, "calendar": calendar, "names": json.dumps(sorted(strangers))},
    )


def succeeded(
    connection: Connection,
    clinic: str,
    *,
    done: Iterable[str] = (),
    looked: Iterable[str] = (),
    now: datetime,
) -> None:
    """Note which calendars took what was written, and which were looked at."""
    for column, names in (("done_at", done), ("looked_at", looked)):
        rows = [{"clinic": clinic, "calendar": name, "now": seconds(now)} for name in names]
        if rows:
            connection.execute(
                text(
                    f"UPDATE calendars SET {column} = :now "
                    "WHERE clinic = :clinic AND calendar = :calendar"
                ),
                rows,
            )


def memos(
    connection: Connection, clinic: str, calendar: str, refs: Collection[str] | None = None
) -> Mapping[str, Memo]:
    """Return the memos of the events that a calendar is to show, by their references."""
    if refs is None:
        rows: Iterable[Any] = connection.execute(
            text(
                "SELECT ref, memo FROM events WHERE calendar = :calendar AND clinic = :clinic "
                f"AND state IN {_SHOWS}"
            ),
            {"clinic": clinic, "calendar": calendar},
        )
        return {ref: json.loads(memo) for ref, memo in rows}
    found: dict[str, Memo] = {}
    names = list(refs)
    mark_ = dialects.marks(connection, 1)
    for start in range(0, len(names), _AT_ONCE):
        some = tuple(names[start : start + _AT_ONCE])
        rows = connection.exec_driver_sql(
            f"SELECT ref, memo FROM events WHERE clinic = {mark_} "
            f"AND {dialects.unindexed('calendar')} = {mark_} "
            f"AND ref IN ({dialects.marks(connection, len(some))}) "
            f"AND {dialects.unindexed('state')} IN {_SHOWS}",
            (clinic, calendar, *some),
        )
        found.update((ref, json.loads(memo)) for ref, memo in rows)
    return found


class Tally(NamedTuple):
    """How many events of a calendar are open, since when, and what others' hands did to them."""

    states: Mapping[str, int]
    oldest: datetime | None = None


def tallies(connection: Connection, clinic: str) -> dict[str, Tally]:
    """Return how many events of each calendar stand in each state that is not as it should be."""
    rows = connection.execute(
        text(
            "SELECT calendar, state, count(*) AS number, min(changed_at) AS oldest FROM events "
            "WHERE clinic = :clinic AND state IN ('put', 'remove', 'blocked', 'hidden', 'held') "
            "GROUP BY calendar, state"
        ),
        {"clinic": clinic},
    )
    found: dict[str, Tally] = {}
    for row in rows:
        states, oldest = found.get(row.calendar, Tally({}))
        if row.state in ("put", "remove"):
            oldest = min(filter(None, (oldest, _instant(row.oldest))))
        found[row.calendar] = Tally({**states, row.state: row.number}, oldest)
    return found


def touched(connection: Connection, clinic: str) -> list[tuple[str, str]]:
    """Return (calendar, hands) of every event that somebody's hand was ever on."""
    rows = connection.execute(
        text(
            "SELECT calendar, hands FROM events "
            "WHERE clinic = :clinic AND touched_at >= 0 AND hands IS NOT NULL"
        ),
        {"clinic": clinic},
    )
    return [(row.calendar, row.hands) for row in rows]


def _instant(at: int | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)
