"""All that differs between databases, so that nothing else has to name one."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from zlib import crc32

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

_BUSY_SECONDS = 20
_COPY_FROM = 64  # rows; below this the copy's set-up costs more than it saves

CLOCK = {
    "sqlite": "SELECT (julianday('now') - 2440587.5) * 86400.0",
    "postgresql": "SELECT extract(epoch from clock_timestamp())::float8",
}

_WAITING = "SET lock_timeout = '20s'; SET idle_in_transaction_session_timeout = '60s'"

# Two runs that both find an empty database: the second waits and then finds the tables.
CREATION_LOCK = {"postgresql": "SELECT pg_advisory_xact_lock(7061417)"}


def connect(url: str) -> Engine:
    """Return an engine whose writing transactions never fail half-way for want of a lock.

    SQLite: WAL, and every transaction that `begin()` opens is BEGIN IMMEDIATE: a deferred one that
    reads and then writes fails at once with "database is locked" however long it may wait.
    """
    if make_url(url).get_backend_name() != "sqlite":
        engine = create_engine(url, pool_pre_ping=True)
        event.listen(engine, "connect", _prepare_server)
        return engine
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def _prepare_server(connection: Any, _record: object) -> None:
    """A run that froze in the middle of a transaction must not stop all others for ever."""
    connection.autocommit = True
    connection.execute(_WAITING)
    connection.autocommit = False


def may_take_long(connection: Connection) -> None:
    """Let this one transaction be idle while sources are read: it holds nothing others need."""
    connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    connection.execute("PRAGMA page_size=8192")  # of a new file: a visit takes a kilobyte
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA cache_size=-8000")  # 8 MB: memory stays flat, and more is no faster
    connection.execute("PRAGMA temp_store=MEMORY")
    connection.execute("PRAGMA wal_autocheckpoint=2000")  # 16 MB: fewer pages written twice


def _begin_immediate(connection: Connection) -> None:
    reading = connection.get_execution_options().get("reading")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def file_of(url: str) -> Path | None:
    """Return the file of a SQLite store; None for a server or a store in memory."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        return None
    return Path(str(parsed.database))


def marks(connection: Connection, number: int) -> str:
    """Return n placeholders for `exec_driver_sql`, comma between them."""
    mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    return ",".join([mark] * number)


def learn(connection: Connection, table: str) -> None:
    """Let the database look at the first rows of a table.

    PostgreSQL does so by itself, a minute later; until then it takes a query for a page of keys for
    one that wants them all, and reads the whole table.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"ANALYZE {table}")


def unindexed(column: str) -> str:
    """Return a column in a form that no index helps to find.

    SQLite has no statistics of ours: of two indexes it may take the one that all rows of a clinic
    share, where the other leads to a handful.
    """
    return f"COALESCE({column}, '')"


def fetch(connection: Connection, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Return the rows of a query as plain tuples, for queries that run once for every record."""
    cursor = connection.connection.cursor()
    try:
        cursor.execute(statement, values)
        return cast("list[tuple[Any, ...]]", cursor.fetchall())
    finally:
        cursor.close()


def upsert(
    connection: Connection, table: Table, columns: Sequence[str], update: Sequence[str]
) -> str:
    """Return an INSERT that updates `update` where the row is already there, or leaves it be."""
    key = _conflict(table, columns)
    action = ", ".join(f"{c}=excluded.{c}" for c in update)
    return (
        f"INSERT INTO {table.name} ({', '.join(columns)}) {{rows}} "
        f"ON CONFLICT ({', '.join(key)}) " + (f"DO UPDATE SET {action}" if update else "DO NOTHING")
    )


def _conflict(table: Table, columns: Sequence[str]) -> list[str]:
    """The primary key, or the one unique constraint of a table that numbers its rows itself."""
    primary = [c.name for c in table.primary_key]
    if set(primary) <= set(columns):
        return primary
    unique = [c for c in table.constraints if type(c).__name__ == "UniqueConstraint"]
    return [c.name for c in unique[0].columns]  # type: ignore[attr-defined]


def send(
    connection: Connection,
    table: Table,
    columns: Sequence[str],
    update: Sequence[str],
    rows: list[tuple[Any, ...]],
) -> None:
    """Send rows to an upsert the fastest way the database knows."""
    statement = upsert(connection, table, columns, update)
    if connection.dialect.name == "postgresql" and len(rows) >= _COPY_FROM:
        _copy(connection, table, columns, statement, rows)
    else:
        values = f"VALUES ({marks(connection, len(columns))})"
        connection.exec_driver_sql(statement.format(rows=values), rows)


def _copy(
    connection: Connection,
    table: Table,
    columns: Sequence[str],
    statement: str,
    rows: list[tuple[Any, ...]],
) -> None:
    """COPY into a temporary table, then one INSERT … SELECT: four times cheaper than executemany."""
    listed = ", ".join(columns)
    staging = f"staged_{table.name}_{crc32(listed.encode()):x}"
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE IF NOT EXISTS {staging} ON COMMIT DELETE ROWS "
        f"AS SELECT {listed} FROM {table.name} WITH NO DATA"
    )
    cursor = connection.connection.cursor()
    try:
        with cursor.copy(f"COPY {staging} ({listed}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    finally:
        cursor.close()
    connection.exec_driver_sql(statement.format(rows=f"SELECT {listed} FROM {staging}"))
    connection.exec_driver_sql(f"TRUNCATE {staging}")


def copy_in_memory(url: str | None) -> Engine:
    """Return an engine on a copy in memory of a SQLite file, or on an empty database."""
    from sqlalchemy.pool import StaticPool

    target = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    if url is not None:
        source = sqlite3.connect(f"file:{file_of(url)}?mode=ro", uri=True)
        with target:
            source.backup(target)
        source.close()
    engine = create_engine("sqlite://", creator=lambda: target, poolclass=StaticPool)
    event.listen(engine, "begin", _begin_immediate)
    return engine
