"""Looks a store over: is it whole, is it what this program expects, is there room for it to grow.

Everything is read at one moment, and nothing is changed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Boolean, inspect
from sqlalchemy.exc import DBAPIError

from clinicrelay.actions import Facts, Say
from clinicrelay.contracts import Finding
from clinicrelay.model import decode
from sync.store import audit, dialects, leases, schema, troubles, wholesale

if TYPE_CHECKING:
    from sqlalchemy import Column, Connection, Dialect, Engine, Inspector

_ROOM = 200 << 20  # bytes that have to be free
_LONG_WAL = 256 << 20
_PACKET = 16 << 20
_NETWORK = ("nfs", "cifs", "smb", "9p", "fuse.sshfs", "ceph", "glusterfs", "lustre", "afs")

# (table, condition on it that is true where nothing is wrong, what is wrong)
_ORPHANS = (
    *(
        (table, "appointment", "appointments", "belong to no visit")
        for table in ("versions", "events", "told", "absences", "messages", "incoming")
    ),
    ("attempts", "message", "messages", "belong to no message"),
    ("incoming", "held", "held", "wait for a hold that there is not"),
    ("messages", "held", "held", "wait for a hold that there is not"),
    ("appointments", "replaces", "appointments", "replace a visit that there is not"),
)

Told = Callable[[str], None]


def check(engine: Engine, *, told: Told = lambda _at: None) -> Iterator[Finding]:
    """Yield what is wrong with a store; `told` hears what is looked at. Raises SettingsError.

    A warning is something to see to; an error is damage.
    """
    file = dialects.file_of(engine.url.render_as_string(hide_password=False))
    if file is not None and file.exists():
        yield from _file(file)
    try:
        version = schema.version_of(engine)
        if version is None:
            raise troubles.refused("no_store", "there is no store yet", "clinicrelay sync")
        schema.refuse_other(version)
        with wholesale.snapshot(engine) as connection:
            yield from _looked_over(connection, told)
    except DBAPIError as error:
        if troubles.trouble(error, engine) != troubles.DAMAGED:
            raise
        yield troubles.finding(troubles.DAMAGED)


def _looked_over(connection: Connection, told: Told) -> Iterator[Finding]:
    """Whole first, then as expected, and only then row by row: the latter takes the former."""
    stages: tuple[dict[str, Callable[[Connection], Iterator[Finding]]], ...] = (
        {"the file": _sqlite},
        {"the tables": different, "the server": _server},
        {
            "rows that belong together": _orphans,
            "visits": _visits,
            "texts": _texts,
            "what sources said": _sightings,
            "the audit trail": _trails,
            "leases": _leases,
        },
    )
    for looks in stages:
        found = False
        for name, look in looks.items():
            told(name)
            for finding in look(connection):
                found = found or finding.severity == "error"
                yield finding
        if found:
            return


# --- the file, the server ------------------------------------------------------------------------


def _file(file: Path) -> Iterator[Finding]:
    parts = [file, *(file.with_name(f"{file.name}-{end}") for end in ("wal", "shm"))]
    loose = [part for part in parts if part.exists() and part.stat().st_mode & 0o077]
    if loose and os.name == "posix":
        yield _warning(
            "store_readable",
            f"other users of this machine can read {', '.join(map(str, loose))}",
            f"chmod 600 {' '.join(map(str, loose))}",
        )
    wal = parts[1]
    if wal.exists() and wal.stat().st_size > _LONG_WAL:
        yield _warning(
            "wal_long",
            f"{wal} has {_megabytes(wal.stat().st_size)}: a program has had the store open for long",
            "end whatever else reads the store; the next sync empties it",
        )
    free, size = shutil.disk_usage(file.parent).free, file.stat().st_size
    if free < max(_ROOM, size):
        yield _warning(
            "disk_nearly_full",
            f"{_megabytes(free)} are free beside a store of {_megabytes(size)}: an upgrade copies it",
            "make room, or move `data` to a larger disk",
        )
    if (kind := _file_system(file)) and kind.startswith(_NETWORK):
        yield _error(
            "network_disk",
            f"the store is on a network file system ({kind}), where SQLite's locks do not hold",
            "put `data` on a local disk, or use PostgreSQL",
        )


def _file_system(file: Path) -> str:
    """Return the kind of file system a file is on, where the system says so."""
    try:
        lines = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return ""
    mounts = {line.split(" ")[1]: line.split(" ")[2] for line in lines}
    return next(
        (mounts[str(at)] for at in [file.resolve(), *file.resolve().parents] if str(at) in mounts),
        "",
    )


def _megabytes(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MB"


def _server(connection: Connection) -> Iterator[Finding]:
    if connection.dialect.name != "mysql":
        return
    packet = int(connection.exec_driver_sql("SELECT @@max_allowed_packet").scalar_one())
    if packet < _PACKET:
        yield _warning(
            "small_packets",
            f"the server takes at most {_megabytes(packet)} at once (max_allowed_packet)",
            "set max_allowed_packet to 16M or more",
        )
    from sync.store.mysql_tables import collation

    odd = connection.exec_driver_sql(
        "SELECT t.table_name FROM information_schema.tables t WHERE t.table_schema = DATABASE() "
        "AND (t.engine <> 'InnoDB' OR EXISTS (SELECT 1 FROM information_schema.columns c "
        "WHERE c.table_schema = t.table_schema AND c.table_name = t.table_name "
        f"AND c.collation_name <> '{collation(connection.dialect)}')) ORDER BY t.table_name"
    )
    from sync.store.tables import metadata

    for (name,) in odd.fetchall():
        if name in metadata.tables:
            yield _error(
                "table_converted",
                f"the table {name} was converted: it takes different keys for the same, or loses rows",
                troubles.RESTORE,
            )


def _sqlite(connection: Connection) -> Iterator[Finding]:
    if connection.dialect.name != "sqlite":
        return
    said = connection.exec_driver_sql("PRAGMA integrity_check(20)").scalars().all()
    if said != ["ok"]:
        yield troubles.finding(troubles.DAMAGED)
    broken = len(connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall())
    if broken:
        yield _error(
            "rows_torn", f"{broken} rows refer to rows that there are not", troubles.RESTORE
        )


# --- the tables ----------------------------------------------------------------------------------


def different(connection: Connection) -> Iterator[Finding]:
    """Yield where the tables are not those that this program was written for."""
    from sync.store.tables import metadata

    found = inspect(connection)
    there = set(found.get_table_names())
    for name, table in metadata.tables.items():
        if name not in there:
            yield _error("table_missing", f"the table {name} is not there", troubles.RESTORE)
            continue
        has = {column["name"]: column for column in found.get_columns(name)}
        for column in table.columns:
            if column.name not in has:
                yield _unlike(name, f"has no column {column.name}")
            elif not _alike(column, has[column.name], connection.dialect):
                yield _unlike(name, f"keeps {column.name} in another way")
        yield from _keys(found, name, table)


def _alike(column: Column[Any], other: Any, dialect: Dialect) -> bool:
    ours, theirs = column.type.dialect_impl(dialect), other["type"]
    same_kind = ours._type_affinity is theirs._type_affinity or isinstance(ours, Boolean)
    length = getattr(ours, "length", None)
    same_length = (
        not isinstance(length, int) or length >= 1 << 16 or theirs.length in (None, length)
    )
    return same_kind and same_length and bool(column.nullable) == bool(other["nullable"])


def _keys(found: Inspector, name: str, table: Any) -> Iterator[Finding]:
    primary = [column.name for column in table.primary_key]
    if found.get_pk_constraint(name)["constrained_columns"] != primary:
        yield _unlike(name, "has another primary key")
    there: list[Any] = [index["column_names"] for index in found.get_indexes(name)]
    there += [unique["column_names"] for unique in found.get_unique_constraints(name)]
    wanted = [[column.name for column in index.columns] for index in table.indexes]
    wanted += [
        [column.name for column in one.columns]
        for one in table.constraints
        if type(one).__name__ == "UniqueConstraint"
    ]
    for columns in wanted:
        if columns not in there:
            yield _unlike(name, f"has no index on {', '.join(columns)}")


def _unlike(table: str, how: str) -> Finding:
    return _error(
        "table_changed", f"the table {table} {how}: somebody changed it by hand", troubles.RESTORE
    )


# --- the rows ------------------------------------------------------------------------------------


def _orphans(connection: Connection) -> Iterator[Finding]:
    for table, column, of, wrong in _ORPHANS:
        number = connection.exec_driver_sql(
            f"SELECT count(*) FROM {table} x WHERE x.{column} IS NOT NULL "
            f"AND NOT EXISTS (SELECT 1 FROM {of} y WHERE y.id = x.{column})"
        ).scalar_one()
        if number:
            yield _error("orphans", f"{number} rows of {table} {wrong}", troubles.RESTORE)


def _visits(connection: Connection) -> Iterator[Finding]:
    """Every visit has to be readable, and to say what the columns beside it say."""
    unreadable = unlike = 0
    columns = ("source", "source_key", "status", "start_at", "content")
    for source, key, status, start, content in wholesale.rows(connection, "appointments", columns):
        try:
            visit = decode(content)
        except msgspec.MsgspecError:
            unreadable += 1
            continue
        at = int(visit.start.timestamp()) if visit.start else None
        unlike += (visit.source, visit.key, visit.status.value, at) != (source, key, status, start)
    if unreadable:
        yield _error("visits_unreadable", f"{unreadable} visits cannot be read", troubles.RESTORE)
    if unlike:
        yield _error(
            "visits_unlike", f"{unlike} visits are not what they are found by", troubles.RESTORE
        )
    ahead = connection.exec_driver_sql(
        "SELECT count(*) FROM versions v JOIN appointments a ON a.id = v.appointment "
        "WHERE v.version >= a.version"
    ).scalar_one()
    if ahead:
        yield _error(
            "versions_ahead", f"{ahead} old versions are newer than their visit", troubles.RESTORE
        )


def _texts(connection: Connection) -> Iterator[Finding]:
    """What is kept as JSON has to be readable as what it stands for."""
    readers: tuple[tuple[str, str, Callable[[str], object]], ...] = (
        ("versions", "content", decode),
        ("messages", "say", msgspec.json.Decoder(Say).decode),
        ("told", "facts", msgspec.json.Decoder(Facts).decode),
        ("memory", "value", json.loads),
        ("sources", "cursor_json", json.loads),
        ("events", "memo", json.loads),
        ("events", "hands", json.loads),
        ("calendars", "cursor_json", json.loads),
        ("calendars", "strangers", json.loads),
        ("runs", "report", json.loads),
    )
    for table, column, read in readers:
        texts = (row[0] for row in wholesale.rows(connection, table, (column,)))
        wrong = sum(1 for text in texts if text is not None and not _readable(read, text))
        if wrong:
            yield _error(
                "unreadable", f"{wrong} rows of {table} cannot be read ({column})", troubles.RESTORE
            )


def _readable(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except (ValueError, msgspec.MsgspecError):
        return False
    return True


def _sightings(connection: Connection) -> Iterator[Finding]:
    """A page has a digest, a visit and a start for each record; else the next read is a full one."""
    torn = sum(
        not _is_page(row) for row in wholesale.rows(connection, "sightings", _SIGHTING_COLUMNS)
    )
    if torn:
        yield _error(
            "sightings_torn",
            f"{torn} pages of what sources said last do not add up",
            troubles.RESTORE,
        )


_SIGHTING_COLUMNS = ("digests", "visits", "starts")


def _is_page(row: Sequence[bytes]) -> bool:
    digests, visits, starts = (len(part) for part in row)
    return digests % 16 == 0 and digests // 2 == visits == starts


def _trails(connection: Connection) -> Iterator[Finding]:
    """A trail that somebody altered says so; the rest of the store may be used all the same."""
    for (clinic,) in connection.exec_driver_sql("SELECT clinic FROM clinics").fetchall():
        if broken := audit.verify(connection, clinic).broken:
            yield _warning(
                "audit_altered",
                f"the audit trail of {clinic} was altered at entry {broken[0].number}: {broken[0].what}",
                "clinicrelay audit verify; ask who else can write to the database",
            )


def _leases(connection: Connection) -> Iterator[Finding]:
    for clinic, name in leases.of_the_dead(connection):
        yield _warning(
            "lease_of_the_dead",
            f"{name} of {clinic} is held by a run of this machine that is dead",
            "nothing has to be done: the next run takes it over at once",
        )


def _error(code: str, message: str, fix: str) -> Finding:
    return Finding("error", code, message, fix)


def _warning(code: str, message: str, fix: str) -> Finding:
    return Finding("warning", code, message, fix)
