"""What was set aside: each thing once, with its place, its reason and its raw text.

Of a record that was mended stays, without its text, when it was set aside, why, and when its visit
was taken in after all (`last_seen_at`): that is a part of the visit's story, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import text

from clinicrelay.contracts import Unreadable
from sync.store import bulk, dialects, seconds

if TYPE_CHECKING:
    from sqlalchemy import Connection

MENDED = "mended"  # the kind of such a record from then on
_AT_ONCE = 900
_COLUMNS = (
    "clinic",
    "fingerprint",
    "kind",
    "source",
    "source_key",
    "place",
    "line_no",
    "column_no",
    "field",
    "reason",
    "detail",
    "raw",
    "first_seen_at",
    "last_seen_at",
    "times",
    "run",
    "first_run",
)


class SetAside(NamedTuple):
    """Something nobody could make sense of."""

    source: str
    place: str
    reason: str
    detail: str
    raw: str
    key: str | None = None
    field: str | None = None
    line: int | None = None
    column: int | None = None
    kind: str = "record"

    @property
    def fingerprint(self) -> str:
        """The same record with the same fault is one entry, wherever in a file it stands."""
        parts = (self.kind, self.source, self.key or "", self.reason, self.field or "", self.raw)
        return blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()


def set_aside(
    connection: Connection, clinic: str, things: Iterable[SetAside], *, run: str, now: datetime
) -> None:
    """Keep what could not be used; what lay there already is seen once more."""
    at = seconds(now)
    rows = {
        t.fingerprint: (
            clinic,
            t.fingerprint,
            t.kind,
            t.source,
            t.key,
            t.place[:300],
            t.line,
            t.column,
            t.field,
            t.reason[:40],
            t.detail,
            t.raw,
            at,
            at,
            1,
            run,
            run,
        )
        for t in things
    }
    _forget_story(connection, clinic, rows)
    bulk.write(
        connection,
        "quarantine",
        _COLUMNS,
        rows.values(),
        update=("place", "line_no", "last_seen_at", "detail", "run"),
    )
    for fingerprint in rows:
        connection.execute(
            text(
                "UPDATE quarantine SET times = times + 1 "
                "WHERE clinic = :clinic AND fingerprint = :fingerprint AND first_run <> :run"
            ),
            {"clinic": clinic, "fingerprint": fingerprint, "run": run},
        )


def _forget_story(connection: Connection, clinic: str, fingerprints: Iterable[str]) -> None:
    """Drop what is known of records that were mended and are wrong again in the same way."""
    names, mark = list(fingerprints), dialects.marks(connection, 1)
    for begin in range(0, len(names), _AT_ONCE):
        some = names[begin : begin + _AT_ONCE]
        connection.exec_driver_sql(
            f"DELETE FROM quarantine WHERE clinic = {mark} AND kind = '{MENDED}' "
            f"AND fingerprint IN ({dialects.marks(connection, len(some))})",
            (clinic, *some),
        )


def keys(connection: Connection, clinic: str, source: str) -> frozenset[str]:
    """Return the keys of a source's records that are set aside."""
    rows = connection.execute(
        text(
            "SELECT source_key FROM quarantine WHERE clinic = :clinic AND source = :source "
            "AND kind = 'record' AND source_key IS NOT NULL"
        ),
        {"clinic": clinic, "source": source},
    )
    return frozenset(row.source_key for row in rows)


def mend(
    connection: Connection,
    clinic: str,
    source: str,
    keys: Sequence[str],
    *,
    run: str,
    now: datetime,
) -> None:
    """Keep of the records of visits that were taken in after all what tells their story."""
    at = seconds(now)
    for begin in range(0, len(keys), _AT_ONCE):
        some = keys[begin : begin + _AT_ONCE]
        mark, marks = dialects.marks(connection, 1), dialects.marks(connection, len(some))
        connection.exec_driver_sql(
            f"UPDATE quarantine SET kind = '{MENDED}', raw = '', detail = '', "
            f"last_seen_at = {mark}, run = {mark} WHERE clinic = {mark} AND source = {mark} "
            f"AND kind = 'record' AND run <> {mark} AND source_key IN ({marks}) AND EXISTS "
            "(SELECT 1 FROM appointments a WHERE a.clinic = quarantine.clinic "
            "AND a.source = quarantine.source AND a.source_key = quarantine.source_key)",
            (at, run, clinic, source, run, *some),
        )


def forget_mended(
    connection: Connection, clinic: str, source: str, *, run: str, keys: Sequence[str] | None
) -> int:
    """Drop records that are fine by now: all that a whole read no longer brought, or these keys."""
    at = {"clinic": clinic, "source": source, "run": run}
    statement = (
        "DELETE FROM quarantine WHERE clinic = :clinic AND source = :source "
        "AND kind = 'record' AND run <> :run"
    )
    if keys is None:
        return connection.execute(text(statement), at).rowcount
    return sum(
        connection.execute(text(f"{statement} AND source_key = :key"), {**at, "key": key}).rowcount
        for key in keys
    )


def forget_answered(
    connection: Connection, clinic: str, source: str, fingerprints: Iterable[str], *, run: str
) -> None:
    """Drop the records that corrected ones have come for; one that is wrong again has an own entry."""
    for fingerprint in fingerprints:
        connection.execute(
            text(
                "DELETE FROM quarantine WHERE clinic = :clinic AND fingerprint = :fingerprint "
                "AND source = :source AND kind = 'record' AND run <> :run"
            ),
            {"clinic": clinic, "source": source, "fingerprint": fingerprint, "run": run},
        )


def forget_event(connection: Connection, clinic: str, calendar: str, place: str) -> None:
    """Drop what a calendar plugin refused of a visit (`source/key`): it is another event by now."""
    connection.execute(
        text(
            "DELETE FROM quarantine WHERE clinic = :clinic AND source = :calendar "
            "AND kind = 'event' AND place = :place"
        ),
        {"clinic": clinic, "calendar": calendar, "place": place[:300]},
    )


def records(connection: Connection, clinic: str, source: str) -> Iterator[Unreadable]:
    """Yield a source's records that are set aside, as connectors know such, the oldest first."""
    rows = connection.execute(
        text(
            "SELECT place, reason, raw, detail, field, column_no, line_no, source_key, fingerprint "
            "FROM quarantine WHERE clinic = :clinic AND source = :source AND kind = 'record' "
            "ORDER BY last_seen_at, id"
        ),
        {"clinic": clinic, "source": source},
    )
    yield from (Unreadable(*row) for row in rows)


def new_in(connection: Connection, clinic: str, source: str, run: str) -> int:
    """Return how many were set aside for the first time in this run."""
    return int(
        connection.execute(
            text(
                "SELECT count(*) FROM quarantine "
                "WHERE clinic = :clinic AND source = :source AND kind = 'record' "
                "AND first_run = :run"
            ),
            {"clinic": clinic, "source": source, "run": run},
        ).scalar_one()
    )


def listed(connection: Connection, clinic: str, run: str | None = None) -> list[dict[str, Any]]:
    """Return everything set aside, oldest first, without its raw text; or what a run met of it."""
    rows = connection.execute(
        text(
            "SELECT id, kind, source, source_key, place, line_no, column_no, field, reason, detail, "
            "first_seen_at, last_seen_at, times FROM quarantine "
            "WHERE clinic = :clinic AND (CAST(:run AS CHAR(26)) IS NULL OR run = :run) "
            f"AND kind <> '{MENDED}' "
            "ORDER BY first_seen_at, id"
        ),
        {"clinic": clinic, "run": run},
    )
    return [dict(row._mapping) for row in rows]


def one(connection: Connection, clinic: str, number: int) -> dict[str, Any] | None:
    """Return one thing set aside, raw text included."""
    row = connection.execute(
        text(
            f"SELECT * FROM quarantine WHERE clinic = :clinic AND id = :id AND kind <> '{MENDED}'"
        ),
        {"clinic": clinic, "id": number},
    ).fetchone()
    return dict(row._mapping) if row else None


def told(
    connection: Connection, clinic: str
) -> Iterator[tuple[int, str, str, str | None, str, str]]:
    """Yield everything that was set aside as (number, fingerprint, source, key, place, its text)."""
    rows = connection.execute(
        text(
            "SELECT id, fingerprint, source, source_key, place, raw, detail FROM quarantine "
            "WHERE clinic = :clinic ORDER BY id"
        ),
        {"clinic": clinic},
    )
    for row in rows:
        said = f"{row.raw}\n{row.detail}"
        yield row.id, row.fingerprint, row.source, row.source_key, row.place, said


def discard(connection: Connection, clinic: str, number: int) -> bool:
    """Drop one thing set aside; it comes back if the source says it again."""
    return (
        connection.execute(
            text("DELETE FROM quarantine WHERE clinic = :clinic AND id = :id"),
            {"clinic": clinic, "id": number},
        ).rowcount
        == 1
    )
