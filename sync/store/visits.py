"""Visits: finding what is known, keeping what is new, replacing what changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import text

from clinicrelay.model import Appointment, Patient, decode, encode
from sync.store import bulk, dialects, seconds

if TYPE_CHECKING:
    from sqlalchemy import Connection

_PEOPLE_REMEMBERED = 100_000  # fingerprints, some 6 MB
_AT_ONCE = 900  # parameters of one statement; SQLite of old takes 999

_INSERTED = (
    "clinic",
    "source",
    "source_key",
    "status",
    "start_at",
    "patient",
    "practitioner",
    "version",
    "baseline",
    "content",
    "wake_at",
    "first_run",
    "first_seen_at",
    "changed_at",
)

_SEARCHED = ("name", "phone", "email", "guardian_phone", "guardian_email")


class Stored(NamedTuple):
    """A known visit with what is compared when its source says it anew."""

    id: int
    source_key: str
    version: int
    status: str
    start_at: int | None
    gone_at: int | None
    content: str

    @property
    def visit(self) -> Appointment:
        return decode(self.content)


def by_keys(
    connection: Connection, clinic: str, source: str, keys: Sequence[str]
) -> dict[str, Stored]:
    """Return the known visits among these keys of a source, gone ones too."""
    found: dict[str, Stored] = {}
    mark, unindexed = dialects.marks(connection, 1), dialects.unindexed
    for start in range(0, len(keys), _AT_ONCE):
        some = tuple(keys[start : start + _AT_ONCE])
        rows = dialects.fetch(
            connection,
            "SELECT id, source_key, version, status, start_at, gone_at, content "
            "FROM appointments "
            f"WHERE {unindexed('clinic')} = {mark} AND {unindexed('source')} = {mark} "
            f"AND source_key IN ({dialects.marks(connection, len(some))})",
            (clinic, source, *some),
        )
        for row in rows:
            found[row[1]] = Stored(*row)
    return found


def insert(
    connection: Connection,
    clinic: str,
    source: str,
    visits: Sequence[Appointment],
    starts: Sequence[int | None],
    *,
    run: str,
    now: datetime,
    first_look: Callable[[Appointment], int] | None = None,
) -> list[int]:
    """Keep visits of one source that were not known, with their starts (seconds).

    Returns their numbers; one whose key is known all the same stays as it was, and has 0. Given a
    `first_look` the visits come with an import: everybody counts as told of them, and it says when
    plan has to look at one.
    """
    at, newest, baseline = seconds(now), _newest(connection), 1 if first_look else None
    rows = (
        (
            clinic,
            source,
            visit.key,
            visit.status.value,
            start,
            visit.patients[0].key if visit.patients else None,
            visit.practitioners[0].key if visit.practitioners else None,
            1,
            baseline,
            encode(visit).decode(),
            first_look(visit) if first_look else 0,
            run,
            at,
            at,
        )
        for visit, start in zip(visits, starts, strict=True)
    )
    bulk.write(connection, "appointments", _INSERTED, rows)
    if not newest:
        dialects.learn(connection, "appointments")
    made = dict(_since(connection, clinic, source, newest))
    return [made.get(visit.key, 0) for visit in visits]


def _since(connection: Connection, clinic: str, source: str, newest: int) -> list[tuple[Any, ...]]:
    """Return the keys and numbers of a source's visits after one of all visits."""
    mark, unindexed = dialects.marks(connection, 1), dialects.unindexed
    return dialects.fetch(
        connection,
        f"SELECT source_key, id FROM appointments WHERE id > {mark} "
        f"AND {unindexed('clinic')} = {mark} AND {unindexed('source')} = {mark}",
        (newest, clinic, source),
    )


def _newest(connection: Connection) -> int:
    newest = connection.exec_driver_sql("SELECT max(id) FROM appointments").scalar_one()
    return int(newest or 0)


def keep_people(
    connection: Connection, clinic: str, visits: Iterable[Appointment], known: set[int]
) -> None:
    """Keep patients by what they may be searched by; `known` spares those kept in this run."""
    people: dict[str, tuple[str | None, ...]] = {}
    for visit in visits:
        for who in visit.patients:
            if (print_ := hash(who)) not in known:
                known.add(print_)
                people[who.key] = (clinic, visit.source, who.key, *_searched(who))
    if len(known) > _PEOPLE_REMEMBERED:
        known.clear()
    bulk.write(
        connection,
        "people",
        ("clinic", "source", "source_key", *_SEARCHED),
        people.values(),
        update=_SEARCHED,
    )


def _searched(who: Patient) -> tuple[str | None, ...]:
    guardian = who.guardian
    theirs = (guardian.phone, guardian.email) if guardian else (None, None)
    return who.name, who.phone, who.email, *theirs


class Replacement(NamedTuple):
    """A known visit's next version; `content` None leaves it as it was (it is gone)."""

    id: int
    what: str
    content: str | None
    gone: bool


def replace(
    connection: Connection,
    clinic: str,
    replacements: Sequence[Replacement],
    *,
    run: str,
    now: datetime,
    silently: bool = False,
) -> None:
    """Give known visits their next version, keep the one it replaces, and wake the planner.

    `silently`: everybody counts as told of the new version.
    """
    at = seconds(now)
    before = {row[0]: row for row in _by_ids(connection, [r.id for r in replacements])}
    versions, rows, patients = [], [], []
    for new in replacements:
        _, version, content, gone_at, whose = before[new.id]
        versions.append((clinic, new.id, version, content, new.what, at, run))
        text_now = new.content if new.content is not None else content
        visit = decode(text_now)
        patient = visit.patients[0].key if visit.patients else None
        if patient != whose:
            patients.append((patient, new.id))
        rows.append(
            (
                visit.status.value,
                seconds(visit.start) if visit.start else None,
                visit.practitioners[0].key if visit.practitioners else None,
                version + 1,
                text_now,
                at,
                (gone_at or at) if new.gone else None,
                "source_deleted" if new.gone else None,
                new.id,
            )
        )
    bulk.write(
        connection,
        "versions",
        ("clinic", "appointment", "version", "content", "what", "replaced_at", "run"),
        versions,
    )
    _many(
        connection,
        "UPDATE appointments SET status = {}, start_at = {}, practitioner = {}, version = {}, "
        "content = {}, changed_at = {}, gone_at = {}, gone_reason = {}, wake_at = 0 WHERE id = {}",
        rows,
    )
    # Apart, because naming a column makes the database write its index anew.
    _many(connection, "UPDATE appointments SET patient = {} WHERE id = {}", patients)
    if silently:
        _many(
            connection,
            "UPDATE appointments SET baseline = version WHERE id = {}",
            [(r.id,) for r in replacements],
        )


def _by_ids(connection: Connection, ids: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    for start in range(0, len(ids), _AT_ONCE):
        some = tuple(ids[start : start + _AT_ONCE])
        yield from dialects.fetch(
            connection,
            "SELECT id, version, content, gone_at, patient FROM appointments "
            f"WHERE id IN ({dialects.marks(connection, len(some))})",
            some,
        )


class Coming(NamedTuple):
    """A known visit that is still to take place."""

    id: int
    source_key: str
    start_at: int


_COMING = (
    "FROM appointments WHERE clinic = :clinic AND start_at > :now AND source = :source "
    "AND gone_at IS NULL AND status NOT IN ('cancelled', 'entered_in_error')"
)


def coming(connection: Connection, clinic: str, source: str, *, now: datetime) -> Iterator[Coming]:
    """Yield the known visits of a source that are still to take place, a few at a time."""
    rows = connection.execute(
        text(f"SELECT id, source_key, start_at {_COMING}"),
        {"clinic": clinic, "source": source, "now": seconds(now)},
        execution_options={"yield_per": 5000},
    )
    for row in rows:
        yield Coming(*row)


def count_coming(connection: Connection, clinic: str, source: str, *, now: datetime) -> int:
    """Return how many visits of a source are still to take place."""
    at = {"clinic": clinic, "source": source, "now": seconds(now)}
    return int(connection.execute(text(f"SELECT count(*) {_COMING}"), at).scalar_one())


def newly_booked(
    connection: Connection, clinic: str, source: str, patients: Sequence[str], *, since: int
) -> list[Stored]:
    """Return visits of these patients first seen after `since` (seconds) that nobody was told of.

    Once somebody was, the old visit's cancellation has to be said, or they would believe in both.
    """
    mark, unindexed = dialects.marks(connection, 1), dialects.unindexed
    found: list[Stored] = []
    for start in range(0, len(patients), _AT_ONCE):
        some = tuple(patients[start : start + _AT_ONCE])
        rows = connection.exec_driver_sql(
            "SELECT id, source_key, version, status, start_at, gone_at, content "
            "FROM appointments "
            f"WHERE {unindexed('clinic')} = {mark} AND {unindexed('source')} = {mark} "
            f"AND first_seen_at > {mark} AND replaces IS NULL AND gone_at IS NULL "
            "AND status NOT IN ('cancelled', 'entered_in_error') "
            f"AND patient IN ({dialects.marks(connection, len(some))}) "
            "AND NOT EXISTS (SELECT 1 FROM told WHERE told.appointment = appointments.id)",
            (clinic, source, since, *some),
        )
        found += [Stored(*row) for row in rows]
    return found


def pair(connection: Connection, old: int, new: int) -> None:
    """Record that the new visit is the old one at another time."""
    at = {"old": old, "new": new}
    connection.execute(
        text("UPDATE appointments SET replaced_by = :new, wake_at = 0 WHERE id = :old"), at
    )
    connection.execute(
        text("UPDATE appointments SET replaces = :old, wake_at = 0 WHERE id = :new"), at
    )


def unpair(connection: Connection, ids: Sequence[int]) -> None:
    """Let visits that are back stand for themselves, though another had taken their place.

    Where people were told of that other one, they believe that these are off: they are told anew.
    """
    for start in range(0, len(ids), _AT_ONCE):
        some = tuple(ids[start : start + _AT_ONCE])
        rows = connection.exec_driver_sql(
            "SELECT id, EXISTS (SELECT 1 FROM told WHERE told.appointment = a.replaced_by) "
            "FROM appointments a WHERE a.replaced_by IS NOT NULL "
            f"AND a.id IN ({dialects.marks(connection, len(some))})",
            some,
        ).fetchall()
        told = [(row[0],) for row in rows if row[1]]
        _many(connection, "UPDATE appointments SET replaced_by = NULL WHERE id = {}",
              [(row[0],) for row in rows])  # fmt: skip
        _many(connection, "UPDATE appointments SET baseline = NULL WHERE id = {}", told)
        _many(connection, "DELETE FROM told WHERE appointment = {}", told)


def _many(connection: Connection, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
    if rows:
        mark = dialects.marks(connection, 1)
        connection.exec_driver_sql(statement.replace("{}", mark), list(rows))
