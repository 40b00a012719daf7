"""The rows of one patient: finding them all, and taking them out of the store in one transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from clinicrelay.model import Appointment, Patient, Status, decode, encode
from sync.store import bulk, dialects, looking, retention, seconds, sightings

if TYPE_CHECKING:
    from sqlalchemy import Connection

_AT_ONCE = 900
ERASED = "erased"  # the reason for which a visit is gone that only waits for its events to go


class Person(NamedTuple):
    """A patient of a source."""

    source: str
    key: str

    @property
    def recipient(self) -> str:
        return f"patient/{self.key}"


class Visit(NamedTuple):
    """A visit that names somebody, or once did; `mine` where nobody else is its patient."""

    id: int
    key: str
    start_at: int | None
    stands: bool
    mine: bool


class Rows(NamedTuple):
    """All that the store has of a patient."""

    visits: Sequence[Visit]
    known_as: Sequence[Patient]
    messages: Sequence[int]
    attempts: Sequence[str]
    events: int

    def ids(self, *, mine: bool) -> list[int]:
        return [one.id for one in self.visits if one.mine is mine]


def rows_of(connection: Connection, clinic: str, who: Person) -> Rows:
    """Return what names a patient; every visit and version of the source is looked at."""
    contents: dict[int, list[Appointment]] = {}
    for table in ("appointments", "versions", "incoming"):
        for number, content in retention.naming(connection, table, clinic, *who):
            contents.setdefault(number, []).append(decode(content))
    contents = {n: some for n, some in contents.items() if any(_names(v, who) for v in some)}
    found = [*_visits(connection, sorted(contents), who)]
    people = {p for some in contents.values() for v in some for p in v.patients if p.key == who.key}
    mine = [one.id for one in found if one.mine]
    messages = _messages(connection, clinic, who, mine, [one.id for one in found if not one.mine])
    return Rows(
        found,
        [*people],
        messages,
        [*_attempts(connection, messages)],
        _events(connection, mine),
    )


def _names(visit: Appointment, who: Person) -> bool:
    return any(one.key == who.key for one in visit.patients)


def _visits(connection: Connection, ids: Sequence[int], who: Person) -> Iterator[Visit]:
    for some in _slices(ids):
        rows = connection.exec_driver_sql(
            "SELECT id, source_key, start_at, gone_at, content FROM appointments "
            f"WHERE id IN ({dialects.marks(connection, len(some))})",
            some,
        )
        for number, key, start, gone, content in rows:
            visit = decode(content)
            stands = gone is None and not visit.status.called_off and _names(visit, who)
            mine = all(one.key == who.key for one in visit.patients) and bool(visit.patients)
            yield Visit(number, key, start, stands, mine)


def _messages(
    connection: Connection, clinic: str, who: Person, mine: Sequence[int], others: Sequence[int]
) -> list[int]:
    """Return all that was said about visits of theirs, and to them about visits that are others'."""
    found: list[int] = []
    for some in _slices(mine):
        marks = dialects.marks(connection, len(some))
        rows = connection.exec_driver_sql(
            f"SELECT id FROM messages WHERE appointment IN ({marks})", some
        )
        found += [int(row[0]) for row in rows]
    for some in _slices(others):
        marks, mark = dialects.marks(connection, len(some)), dialects.marks(connection, 1)
        rows = connection.exec_driver_sql(
            f"SELECT id FROM messages WHERE appointment IN ({marks}) "
            f"AND clinic = {mark} AND recipient = {mark}",
            (*some, clinic, who.recipient),
        )
        found += [int(row[0]) for row in rows]
    return found


def _attempts(connection: Connection, messages: Sequence[int]) -> Iterator[str]:
    for some in _slices(messages):
        rows = connection.exec_driver_sql(
            f"SELECT id FROM attempts WHERE message IN ({dialects.marks(connection, len(some))})",
            some,
        )
        yield from (str(row[0]) for row in rows)


def _events(connection: Connection, visits: Sequence[int]) -> int:
    number = 0
    for some in _slices(visits):
        rows = connection.exec_driver_sql(
            "SELECT count(*) FROM events WHERE written IS NOT NULL "
            f"AND appointment IN ({dialects.marks(connection, len(some))})",
            some,
        )
        number += int(rows.scalar_one())
    return number


def shared(
    connection: Connection, clinic: str, who: Person, addresses: Collection[str]
) -> set[str]:
    """Return which of these phones and e-mails another patient, or another's guardian, has as well."""
    found = set[str]()
    for address in addresses:
        asked = {"email": address} if "@" in address else {"phone": address}
        others = looking.people_at(connection, clinic, **asked)
        if any(one[1] != who.key for one in others):
            found.add(address)
    return found


def person_of(
    connection: Connection, clinic: str, is_it: Callable[[str, str], bool]
) -> Person | None:
    """Return the patient of whom something says that it is them; all of them are looked at."""
    rows = connection.exec_driver_sql(
        f"SELECT source, source_key FROM people WHERE clinic = {dialects.marks(connection, 1)}",
        (clinic,),
    ).fetchall()
    return next((Person(source, key) for source, key in rows if is_it(source, key)), None)


def is_known(connection: Connection, clinic: str, who: Person) -> bool:
    """Whether anything in the store goes by a patient's key."""
    asked = (
        "SELECT 1 FROM people WHERE clinic = ? AND source = ? AND source_key = ?",
        "SELECT 1 FROM appointments WHERE clinic = ? AND source = ? AND patient = ?",
    )
    return any(dialects.fetch(connection, f"{one} LIMIT 1", (clinic, *who)) for one in asked)


# --- taking out --------------------------------------------------------------------------------------


def take_out(
    connection: Connection,
    clinic: str,
    who: Person,
    rows: Rows,
    *,
    set_aside: Sequence[int],
    mark_of: Callable[[str], str],
    now: datetime,
) -> None:
    """Delete all that is a patient's, and strike them out of what is others' as well.

    A visit whose event stands in a calendar stays without anything of them, under a mark, until the
    event has gone (`emptied`); its events are wanted away by whoever calls.
    """
    retention.forget_messages(connection, rows.messages)
    mine, others = rows.ids(mine=True), rows.ids(mine=False)
    sightings.retire(connection, clinic, who.source, mine, now=seconds(now))
    _drop_unwritten(connection, mine)
    shown = _with_events(connection, mine)
    for one in rows.visits:
        if one.id in shown:
            _empty(connection, clinic, who.source, one, mark_of(one.key), now=now)
    retention.forget_visits(connection, clinic, [number for number in mine if number not in shown])
    for number in others:
        _strike_out(connection, who, number)
    sightings.forget(connection, clinic, who.source, others)
    if set_aside:
        dialects.run_many(
            connection, "DELETE FROM quarantine WHERE id = ?", [(number,) for number in set_aside]
        )
    _forget_who(connection, clinic, who)


def _drop_unwritten(connection: Connection, visits: Sequence[int]) -> None:
    """Drop events of which no calendar can have heard, or that have gone already."""
    for some in _slices(visits):
        connection.exec_driver_sql(
            "DELETE FROM events WHERE (state = 'removed' OR (written IS NULL AND memo = '{}' "
            "AND doubt = '' AND state NOT IN ('put', 'remove'))) "
            f"AND appointment IN ({dialects.marks(connection, len(some))})",
            some,
        )


def _with_events(connection: Connection, visits: Sequence[int]) -> set[int]:
    found = set[int]()
    for some in _slices(visits):
        rows = connection.exec_driver_sql(
            "SELECT DISTINCT appointment FROM events "
            f"WHERE appointment IN ({dialects.marks(connection, len(some))})",
            some,
        )
        found.update(int(row[0]) for row in rows)
    return found


def _empty(
    connection: Connection, clinic: str, source: str, one: Visit, mark: str, *, now: datetime
) -> None:
    """Leave of a visit nothing but that there was one, for its events to be taken away."""
    for table in ("versions", "told", "unlinked", "absences", "incoming"):
        dialects.run(connection, f"DELETE FROM {table} WHERE appointment = ?", (one.id,))
    for column, other in (("replaced_by", "replaces"), ("replaces", "replaced_by")):
        dialects.run(
            connection,
            f"UPDATE appointments SET {column} = NULL WHERE id IN "
            f"(SELECT o FROM (SELECT {other} AS o FROM appointments WHERE id = ?) pair)",
            (one.id,),
        )
    nothing = encode(Appointment(source, mark, Status.CANCELLED, "UTC")).decode()
    dialects.run(
        connection,
        "UPDATE appointments SET source_key = ?, status = ?, start_at = NULL, patient = NULL, "
        "practitioner = NULL, baseline = NULL, content = ?, wake_at = NULL, replaces = NULL, "
        "replaced_by = NULL, changed_at = ?, gone_at = ?, gone_reason = ? WHERE id = ?",
        (mark, "cancelled", nothing, seconds(now), seconds(now), ERASED, one.id),
    )
    dialects.run(
        connection,
        "UPDATE events SET hands = NULL, detail = '', reason = '' WHERE appointment = ?",
        (one.id,),
    )


def _strike_out(connection: Connection, who: Person, number: int) -> None:
    """Take a patient out of a visit that others have, and out of its versions; plan looks at it."""
    for table, column in (("appointments", "id"), ("versions", "appointment")):
        rows = dialects.fetch(
            connection, f"SELECT content FROM {table} WHERE {column} = ?", (number,)
        )
        for (content,) in rows:
            without = _without(decode(content), who)
            dialects.run(
                connection,
                f"UPDATE {table} SET content = ? WHERE {column} = ? AND content = ?",
                (encode(without).decode(), number, content),
            )
            if table == "appointments":
                first = without.patients[0].key if without.patients else None
                dialects.run(
                    connection,
                    "UPDATE appointments SET patient = ?, wake_at = 0 WHERE id = ?",
                    (first, number),
                )
    dialects.run(
        connection,
        "DELETE FROM told WHERE appointment = ? AND recipient = ?",
        (number, who.recipient),
    )
    dialects.run(connection, "DELETE FROM incoming WHERE appointment = ?", (number,))


def _without(visit: Appointment, who: Person) -> Appointment:
    """Return a visit without a patient; what reception noted may be about them, too."""
    left = tuple(one for one in visit.patients if one.key != who.key)
    return replace(visit, patients=left, notes=None)


def _forget_who(connection: Connection, clinic: str, who: Person) -> None:
    dialects.run(
        connection,
        "DELETE FROM people WHERE clinic = ? AND source = ? AND source_key = ?",
        (clinic, *who),
    )
    # That an address wants no messages outlives them; whose it was does not.
    dialects.run(
        connection,
        "UPDATE contacts SET recipient = '', note = NULL, attempt = '' "
        "WHERE clinic = ? AND recipient = ?",
        (clinic, who.recipient),
    )
    named = retention.like(json.dumps(who.recipient, ensure_ascii=False))
    dialects.run(
        connection,
        "DELETE FROM memory WHERE clinic = ? AND SUBSTR(owner, 1, 5) = 'sync/' "
        "AND value LIKE ? ESCAPE '!'",
        (clinic, f"%{named}%"),
    )


def empty_lists(connection: Connection, clinic: str) -> None:
    """Take the text out of every list that was sent to a doctor: it may have their initials."""
    dialects.run(
        connection,
        "UPDATE attempts SET body = NULL WHERE clinic = ? AND body IS NOT NULL AND message IN "
        "(SELECT id FROM messages WHERE clinic = ? AND kind = 'digest' "
        "AND state IN ('sent', 'skipped', 'failed', 'unproven'))",
        (clinic, clinic),
    )


# --- what only waits for its events ------------------------------------------------------------------


class Left(NamedTuple):
    """An event that is still to leave a calendar."""

    appointment: int
    calendar: str
    written: bool
    reason: str


def waiting(connection: Connection, clinic: str) -> tuple[list[int], list[Left]]:
    """Return the visits that were emptied, and which of their events have not gone yet."""
    rows = dialects.fetch(
        connection,
        "SELECT id FROM appointments WHERE clinic = ? AND gone_reason = ?",
        (clinic, ERASED),
    )
    ids, left = [int(row[0]) for row in rows], list[Left]()
    for some in _slices(ids):
        found = connection.exec_driver_sql(
            "SELECT e.appointment, e.calendar, e.written IS NOT NULL OR e.memo <> '{}', "
            "COALESCE(c.reason, '') FROM events e "
            "LEFT JOIN calendars c ON c.clinic = e.clinic AND c.calendar = e.calendar "
            "WHERE e.state <> 'removed' "
            f"AND e.appointment IN ({dialects.marks(connection, len(some))})",
            some,
        )
        left += [Left(int(row[0]), str(row[1]), bool(row[2]), str(row[3])) for row in found]
    return ids, left


def drop(connection: Connection, clinic: str, ids: Sequence[int]) -> None:
    """Delete emptied visits whose events have gone."""
    retention.forget_visits(connection, clinic, ids)


def want_away(
    connection: Connection, clinic: str, ids: Sequence[int], wish: Callable[[], int], now: datetime
) -> None:
    """Let the events of these visits leave their calendars with the next run."""
    for some in _slices(ids):
        marks = dialects.marks(connection, len(some))
        rows = connection.exec_driver_sql(
            "SELECT appointment, calendar, ref, state, doubt FROM events "
            f"WHERE state <> 'removed' AND appointment IN ({marks})",
            some,
        ).fetchall()
        at, number = seconds(now), wish()
        bulk.write(
            connection,
            "events",
            ("clinic", "appointment", "calendar", "ref", "state", "wish", "doubt", "memo", "tries",
             "sequence", "next_try_at", "reason", "detail", "changed_at"),
            (
                (clinic, row[0], row[1], row[2], "remove", number,
                 "put" if "put" in (row[3], row[4]) else row[4], "{}", 0, 0, None, "", "", at)
                for row in rows
            ),
            update=("state", "wish", "doubt", "tries", "next_try_at", "changed_at"),
        )  # fmt: skip


def _slices(ids: Sequence[int]) -> Iterator[tuple[int, ...]]:
    for start in range(0, len(ids), _AT_ONCE):
        yield tuple(ids[start : start + _AT_ONCE])
