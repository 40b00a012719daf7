"""What each calendar should show, what was written there, and how that went."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import text

from sync.store import bulk, dialects, seconds

if TYPE_CHECKING:
    from sqlalchemy import Connection

_AT_ONCE = 900
REMOVAL = "removal"  # stands for the fingerprint of an event that is to go


class Wanted(NamedTuple):
    """A calendar (`NAME:ADDRESS`) that should show a visit, or no longer should.

    `unlinked` says that it does, and only nobody of the visit is linked to the calendar any more;
    `doubt` what else was wanted before, and may have been done: see `Pending`.
    """

    appointment: int
    calendar: str
    ref: str
    put: bool
    unlinked: bool = False
    doubt: str = ""

    @property
    def state(self) -> str:
        return "put" if self.put or self.unlinked else "remove"


class Shown(NamedTuple):
    """An event that a calendar shows or is to show: whether it surely stands there as last written.

    `doubt` is as in `Pending`, should something else be wanted of it.
    """

    stands: bool
    doubt: str


class Pending(NamedTuple):
    """An event that has to be written, or was seen; `content` is the visit as it stands.

    `place` is where it stands in the order of writing: see `pending`. `hands` is as `sync.hands`
    keeps it. `doubt` says what else was wanted since its calendar last answered, `put` or `remove`, and
    may have been done: the answer was lost, or who waited for it was killed. So it may say something
    else than `written`, or be gone by our own hand.
    """

    place: Place
    calendar: str
    ref: str
    state: str
    sequence: int
    written: bytes | None
    memo: dict[str, Any]
    tries: int
    content: str
    changed_at: int
    hands: str | None
    reason: str
    wish: int
    doubt: str

    @property
    def appointment(self) -> int:
        return self.place.appointment


class Place(NamedTuple):
    """Where an event stands in the order of writing."""

    rank: int = -1
    start: int = 0
    appointment: int = 0


class Written(NamedTuple):
    """What became of one event, after what was wanted by a `wish`."""

    appointment: int
    calendar: str
    wish: int
    state: str
    sequence: int
    written: bytes | None
    memo: dict[str, Any]
    hands: str | None
    touched_at: int | None = None
    tries: int = 0
    reason: str = ""
    detail: str = ""
    next_try_at: datetime | None = None
    doubt: str = ""


def want(connection: Connection, clinic: str, things: Iterable[Wanted], *, now: datetime) -> None:
    """Write down, before anything is called, which events are to be put or removed.

    Each time is another wish: who is writing an event to a calendar at this very moment learns so
    that what was written is not what is wanted any more.
    """
    at, wish, things = seconds(now), another_wish(), list(things)
    bulk.write(
        connection,
        "calendars",
        ("clinic", "calendar", "state", "reason", "fix", "since"),
        ((clinic, name, "ok", "", "", at) for name in sorted({w.calendar for w in things})),
    )
    bulk.write(
        connection,
        "events",
        ("clinic", "appointment", "calendar", "ref", "state", "wish", "doubt", "sequence", "memo",
         "tries", "next_try_at", "reason", "detail", "changed_at"),
        (
            (clinic, w.appointment, w.calendar, w.ref, w.state, wish, w.doubt, 0, "{}",
             0, None, "", "", at)
            for w in things
        ),
        update=("state", "wish", "doubt", "tries", "next_try_at", "changed_at"),
    )  # fmt: skip


def another_wish() -> int:
    """Return a number that no wish had before."""
    return secrets.randbits(62)


def of_visits(connection: Connection, appointments: Sequence[int]) -> dict[int, dict[str, Shown]]:
    """Return the calendars that each visit is shown in, or is about to be."""
    found: dict[int, dict[str, Shown]] = {}
    for start in range(0, len(appointments), _AT_ONCE):
        some = tuple(appointments[start : start + _AT_ONCE])
        rows = connection.exec_driver_sql(
            "SELECT appointment, calendar, state, written IS NOT NULL, doubt FROM events "
            f"WHERE appointment IN ({dialects.marks(connection, len(some))})",
            some,
        )
        for appointment, calendar, state, written, doubt in rows:
            if state != "removed":
                stands = bool(written) and state != "remove"
                shown = Shown(stands, _doubted(state, doubt))
                found.setdefault(appointment, {})[calendar] = shown
    return found


def states(connection: Connection, appointments: Sequence[int]) -> dict[tuple[int, str], str]:
    """Return how each event of visits stands, by the visit's number and the calendar."""
    found: dict[tuple[int, str], str] = {}
    for start in range(0, len(appointments), _AT_ONCE):
        some = tuple(appointments[start : start + _AT_ONCE])
        rows = connection.exec_driver_sql(
            "SELECT appointment, calendar, state FROM events "
            f"WHERE appointment IN ({dialects.marks(connection, len(some))})",
            some,
        )
        found.update(((number, calendar), state) for number, calendar, state in rows)
    return found


def leave(connection: Connection, clinic: str, calendar: str, reason: str) -> int:
    """Leave what is to go from a calendar where it is; return how many events that are."""
    left = connection.execute(
        text(
            "UPDATE events SET state = 'removed', doubt = '', reason = :reason, wish = :wish "
            "WHERE clinic = :clinic AND calendar = :calendar AND state = 'remove'"
        ),
        {"clinic": clinic, "calendar": calendar, "reason": reason, "wish": another_wish()},
    )
    return left.rowcount


def _doubted(state: str, doubt: str) -> str:
    """Return what may have been done to an event, if something else is wanted of it now."""
    if "remove" in (state, doubt):
        return "remove"
    return "put" if "put" in (state, doubt) else ""


# --- what is to be written -----------------------------------------------------------------------

_DUE = "e.state IN ('put', 'remove') AND (e.next_try_at IS NULL OR e.next_try_at <= :now)"

# A doctor without the visit is worse than a visit that two calendars show for a while: an event goes
# only once the calendar of the same plugin that is to show the visit instead does so.
_WAITS = (
    "e.state = 'remove' AND EXISTS (SELECT 1 FROM events o WHERE o.appointment = e.appointment "
    "AND o.calendar <> e.calendar AND o.state IN ('put', 'blocked') AND o.written IS NULL "
    "AND SUBSTR(o.calendar, 1, {n}) = SUBSTR(e.calendar, 1, {n}))"
)


def calendars(
    connection: Connection, clinic: str, *, plugin: str, now: datetime, removals: bool = False
) -> list[str]:
    """Return the calendars of a plugin that have something to write whose time has come.

    With `removals` only those that have something to remove for which no other calendar is awaited.
    """
    prefix = f"{plugin}:"
    only = f"AND e.state = 'remove' AND NOT ({_WAITS.format(n=len(prefix))}) " if removals else ""
    rows = connection.execute(
        text(
            f"SELECT DISTINCT e.calendar FROM events e WHERE e.clinic = :clinic AND {_DUE} {only}"
            "AND SUBSTR(e.calendar, 1, :length) = :prefix"
        ),
        {"clinic": clinic, "now": seconds(now), "length": len(prefix), "prefix": prefix},
    )
    return sorted(row.calendar for row in rows)


_PENDING = (
    "e.calendar, e.ref, e.state, e.sequence, e.written, e.memo, e.tries, a.content, e.changed_at, "
    "e.hands, e.reason, e.wish, e.doubt"
)
_RANK = (
    "CASE WHEN e.state = 'remove' THEN 0 WHEN COALESCE(a.start_at, 0) < :now THEN 3 "
    "WHEN e.written IS NULL THEN 2 ELSE 1 END"
)


def pending(
    connection: Connection,
    clinic: str,
    calendar: str,
    *,
    now: datetime,
    after: Place,
    limit: int,
    waits: bool,
) -> list[Pending]:
    """Return what has to be written to a calendar, after a place in the order.

    What is to go comes first, then what is there already, then what is new; of each the nearest in
    time, and what is past comes last. With `waits` nothing goes that another calendar does not show.
    """
    held_back = f"AND NOT ({_WAITS.format(n=calendar.index(':') + 1)})" if waits else ""
    order = f"{_RANK} AS place, COALESCE(a.start_at, 0) AS starts, e.appointment AS appointment"
    rows = connection.execute(
        text(
            f"SELECT * FROM (SELECT {order}, {_PENDING} "
            "FROM events e JOIN appointments a ON a.id = e.appointment "
            f"WHERE e.clinic = :clinic AND e.calendar = :calendar AND {_DUE} {held_back}) due "
            "WHERE place > :place OR (place = :place AND (starts > :starts "
            "OR (starts = :starts AND appointment > :appointment))) "
            "ORDER BY place, starts, appointment LIMIT :limit"
        ),
        {
            "clinic": clinic,
            "calendar": calendar,
            "now": seconds(now),
            "place": after.rank,
            "starts": after.start,
            "appointment": after.appointment,
            "limit": limit,
        },
    )
    return [_pending(row) for row in rows]


def by_refs(
    connection: Connection, clinic: str, calendar: str, refs: Sequence[str]
) -> Iterator[Pending]:
    """Yield the events of a calendar with these references, in no order."""
    for start in range(0, len(refs), _AT_ONCE):
        some = tuple(refs[start : start + _AT_ONCE])
        mark = dialects.marks(connection, 1)
        rows = connection.exec_driver_sql(
            f"SELECT 0, 0, e.appointment, {_PENDING} "
            "FROM events e JOIN appointments a ON a.id = e.appointment "
            f"WHERE e.clinic = {mark} AND {dialects.unindexed('e.calendar')} = {mark} "
            f"AND e.ref IN ({dialects.marks(connection, len(some))})",
            (clinic, calendar, *some),
        )
        yield from map(_pending, rows)


def _pending(row: Any) -> Pending:
    rank, start, appointment, calendar, ref, state, sequence, written, memo, *rest = row
    return Pending(
        Place(rank, start, appointment),
        calendar,
        ref,
        state,
        sequence,
        bytes(written) if written else None,
        json.loads(memo),
        *rest,
    )


def written(connection: Connection, results: Iterable[Written]) -> None:
    """Write down what became of events; what is wanted otherwise by now stays to be done."""
    rows = [
        (
            r.wish,
            r.state,
            r.wish,
            r.tries,
            r.wish,
            seconds(r.next_try_at) if r.next_try_at else None,
            r.wish,
            r.doubt,
            r.sequence,
            r.written,
            json.dumps(r.memo),
            r.hands,
            r.touched_at,
            r.reason[:40],
            r.detail,
            r.appointment,
            r.calendar,
        )
        for r in results
    ]
    if rows:
        statement = (
            "UPDATE events SET state = CASE WHEN wish = {} THEN {} ELSE state END, "
            "tries = CASE WHEN wish = {} THEN {} ELSE tries END, "
            "next_try_at = CASE WHEN wish = {} THEN {} ELSE next_try_at END, "
            "doubt = CASE WHEN wish = {} THEN {} ELSE doubt END, "
            "sequence = {}, written = {}, memo = {}, hands = {}, touched_at = {}, reason = {}, "
            "detail = {} WHERE appointment = {} AND calendar = {}"
        )
        mark = dialects.marks(connection, 1)
        connection.exec_driver_sql(statement.replace("{}", mark), rows)


def write_again(connection: Connection, clinic: str, calendar: str) -> None:
    """A calendar lost what was written there: all of it is to be put again."""
    connection.execute(
        text(
            "UPDATE events SET state = 'put', written = NULL "
            "WHERE clinic = :clinic AND calendar = :calendar "
            "AND (state = 'synced' OR (state = 'put' AND written IS NOT NULL))"
        ),
        {"clinic": clinic, "calendar": calendar},
    )


def forget_unwritten(connection: Connection, clinic: str, calendar: str) -> None:
    """Nothing was ever written to a calendar: what is to go from it is gone."""
    connection.execute(
        text(
            "UPDATE events SET state = 'removed', doubt = '', reason = '' "
            "WHERE clinic = :clinic AND calendar = :calendar "
            "AND state = 'remove' AND written IS NULL"
        ),
        {"clinic": clinic, "calendar": calendar},
    )


def note_waiting(connection: Connection, clinic: str, plugin: str, reason: str) -> None:
    """Note with what is to go why it is still there: another calendar does not show it yet."""
    waits = _WAITS.format(n=len(plugin) + 1)
    rows = connection.execute(
        text(
            "SELECT e.appointment, e.calendar FROM events e WHERE e.clinic = :clinic "
            f"AND {waits} AND e.reason <> :reason AND SUBSTR(e.calendar, 1, :length) = :prefix"
        ),
        {"clinic": clinic, "reason": reason, "length": len(plugin) + 1, "prefix": f"{plugin}:"},
    ).fetchall()
    if rows:
        connection.execute(
            text("UPDATE events SET reason = :reason WHERE appointment = :id AND calendar = :name"),
            [{"reason": reason, "id": row.appointment, "name": row.calendar} for row in rows],
        )


def try_refused(connection: Connection, clinic: str, plugin: str, place: str) -> None:
    """Let what a calendar refused for good of a visit (`source/key`) be tried once more."""
    rows = connection.execute(
        text(
            "SELECT e.appointment, e.calendar, e.hands, a.source, a.source_key FROM events e "
            "JOIN appointments a ON a.id = e.appointment "
            "WHERE e.clinic = :clinic AND e.state = 'blocked'"
        ),
        {"clinic": clinic},
    ).fetchall()
    for row in rows:
        visit = f"{row.source}/{row.source_key}"[:300]
        if row.calendar.startswith(f"{plugin}:") and visit == place:
            _try_again(connection, row)


def _try_again(connection: Connection, row: Any) -> None:
    hands = json.loads(row.hands or "{}")
    state = "remove" if hands.pop("refused", "") == REMOVAL else "put"
    connection.execute(
        text(
            "UPDATE events SET state = :state, wish = :wish, hands = :hands, next_try_at = NULL "
            "WHERE appointment = :appointment AND calendar = :calendar"
        ),
        {
            "state": state,
            "wish": another_wish(),
            "hands": json.dumps(hands) if hands else None,
            "appointment": row.appointment,
            "calendar": row.calendar,
        },
    )
