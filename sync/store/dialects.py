"""All that differs between databases, so that nothing else has to name one."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from zlib import crc32

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError

from clinicrelay.errors import StoreBusy
from sync.store import troubles

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

_BUSY_SECONDS = 20
_COPY_FROM = 64  # rows; below this the copy's set-up costs more than it saves

# Seconds since 1970, as the database sees it.
MOMENT = {
    "sqlite": "(julianday('now') - 2440587.5) * 86400.0",
    "postgresql": "extract(epoch from clock_timestamp())::float8",
    "mysql": "UNIX_TIMESTAMP(SYSDATE(6))",
}
CLOCK = {name: f"SELECT {moment}" for name, moment in MOMENT.items()}

_WAITING = "SET lock_timeout = '20s'; SET idle_in_transaction_session_timeout = '60s'"

# READ COMMITTED, as on PostgreSQL: under MySQL's own REPEATABLE READ a transaction that waited for
# another does not see what that one wrote, and inserts lock the gaps between rows, hence deadlocks.
# Whatever the server's sql_mode says, a value that does not fit is an error here, never cut.
# UTC: the local clock names an hour of autumn twice, and a lease would seem to run again.
# The server ends a connection that is idle for a minute: a frozen run must not hold its locks.
_MYSQL_SESSION = (
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ONLY_FULL_GROUP_BY', "
    f"time_zone = '+00:00', innodb_lock_wait_timeout = {_BUSY_SECONDS}, "
    f"lock_wait_timeout = {_BUSY_SECONDS}, wait_timeout = 60",
)

_MYSQL_DUPLICATE = 1062

# Of a lost connection the pool and the driver tell with a traceback, and Python prints what nobody
# listens to. Whoever opened the transaction is told the same by an error, and says it in a sentence.
for _name in ("sqlalchemy", "psycopg"):
    logging.getLogger(_name).addHandler(logging.NullHandler())

# What drivers make of an option in a URL that they do not know, or cannot use.
_OF_AN_OPTION = (AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)


def connect(url: str) -> Engine:
    """Return an engine whose writing transactions never fail half-way for want of a lock.

    SQLite: WAL, and every transaction that `begin()` opens is BEGIN IMMEDIATE: a deferred one that
    reads and then writes fails at once with "database is locked" however long it may wait.
    Raises StoreRefused where an option in the URL is none.
    """
    backend = make_url(url).get_backend_name()
    if backend in ("mysql", "mariadb"):
        # One driver and one dialect for both: which of them it is, the server says itself.
        url = url.replace("mariadb", "mysql", 1)
        told = {"charset": "utf8mb4", "connect_timeout": _BUSY_SECONDS}
        engine = _of_server(url, connect_args=told)
        event.listen(engine, "connect", _prepare_mysql)
        return engine
    if backend != "sqlite":
        engine = _of_server(url)
        event.listen(engine, "connect", _prepare_server)
        return engine
    told = {"timeout": _BUSY_SECONDS, "check_same_thread": False}
    # A file knows no limit of connections, and who waits for a lock must not wait for one as well.
    more = {"max_overflow": -1} if file_of(url) else {}
    engine = create_engine(url, connect_args=told, **more)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def _of_server(url: str, **more: Any) -> Engine:
    try:
        engine = create_engine(url, pool_pre_ping=True, **more)
    except _OF_AN_OPTION as error:
        raise troubles.as_error(troubles.OPTION) from error
    event.listen(engine, "do_connect", _connect)
    return engine


def _connect(dialect: Any, _record: object, args: Any, options: Any) -> Any:
    """Connect to a server. Raises StoreRefused where the driver cannot make use of an option."""
    try:
        return dialect.connect(*args, **options)
    except dialect.loaded_dbapi.Error:
        raise
    except _OF_AN_OPTION as error:
        raise troubles.as_error(troubles.OPTION) from error


def _prepare_server(connection: Any, _record: object) -> None:
    """A run that froze in the middle of a transaction must not stop all others for ever."""
    connection.autocommit = True
    connection.execute(_WAITING)
    connection.autocommit = False


def _prepare_mysql(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        for statement in _MYSQL_SESSION:
            cursor.execute(statement)


def may_take_long(connection: Connection) -> None:
    """Let this one transaction be idle while sources are read: it holds nothing others need."""
    if connection.dialect.name == "mysql":
        connection.exec_driver_sql("SET SESSION wait_timeout = 28800")
    elif connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")


@contextmanager
def alone(connection: Connection) -> Iterator[None]:
    """Let nobody else create or upgrade this store meanwhile; whoever comes second waits.

    SQLite needs nothing: the transaction itself keeps others out. Raises StoreBusy.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7061417)")
    elif connection.dialect.name == "mysql":
        # By name, and for the whole server, hence the database in it. Their DDL commits at once, so
        # that a lock of the transaction would be gone with the first table.
        name = "CONCAT('clinicrelay ', MD5(DATABASE()))"
        taken = connection.exec_driver_sql(f"SELECT GET_LOCK({name}, {_BUSY_SECONDS})")
        if taken.scalar_one() != 1:
            raise StoreBusy("another program is creating or upgrading the store")
        try:
            yield
            # Before the lock goes: whoever waits for it must find what was done.
            connection.exec_driver_sql("COMMIT")
        finally:
            if not connection.invalidated:
                connection.exec_driver_sql(f"SELECT RELEASE_LOCK({name})")
        return
    yield


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
    with cursor_of(connection) as cursor:
        cursor.execute("BEGIN" if reading else "BEGIN IMMEDIATE")


def file_of(url: str) -> Path | None:
    """Return the file of a SQLite store; None for a server or a store in memory."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        return None
    return Path(str(parsed.database))


_IDENTITY = {
    "postgresql": "SELECT system_identifier::text || '/' || (SELECT oid FROM pg_database "
    "WHERE datname = current_database()) FROM pg_control_system()",
    "mysql": "SELECT CONCAT(@@hostname, ':', @@port, '/', DATABASE())",
}


# Where a server keeps the first from its users; a copy under the same name is then taken for it.
_NAME = {
    "postgresql": "SELECT current_database() || '/' || oid::text FROM pg_database "
    "WHERE datname = current_database()",
    "mysql": "SELECT DATABASE()",
}


def identity(connection: Connection) -> str:
    """Return what tells a server's database from every other, copies of it included."""
    try:
        with connection.begin_nested():
            found = connection.exec_driver_sql(_IDENTITY[connection.dialect.name])
            return str(found.scalar_one())
    except DBAPIError:
        return str(connection.exec_driver_sql(_NAME[connection.dialect.name]).scalar_one())


def marks(connection: Connection, number: int) -> str:
    """Return n placeholders for `exec_driver_sql`, comma between them."""
    mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    return ",".join([mark] * number)


def learn(connection: Connection, table: str) -> None:
    """Let the database look at the first rows of a table.

    PostgreSQL does so by itself, a minute later; until then it takes a query for a page of keys for
    one that wants them all, and reads the whole table. MySQL looks by itself, at once, and its
    ANALYZE would commit.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"ANALYZE {table}")


def unindexed(column: str) -> str:
    """Return a column in a form that no index helps to find.

    SQLite has no statistics of ours: of two indexes it may take the one that all rows of a clinic
    share, where the other leads to a handful.
    """
    return f"COALESCE({column}, '')"


def fetch(
    connection: Connection, statement: str, values: tuple[Any, ...] = ()
) -> list[tuple[Any, ...]]:
    """Return the rows of a query as plain tuples; a `?` stands for each value.

    For what runs once for every record or message: what SQLAlchemy does around a statement costs
    ten times what SQLite does for it.
    """
    with cursor_of(connection) as cursor:
        cursor.execute(_marked(statement, connection.dialect.paramstyle), values)
        return cast("list[tuple[Any, ...]]", cursor.fetchall())


def locked(
    connection: Connection, statement: str, values: tuple[Any, ...] = ()
) -> list[tuple[Any, ...]]:
    """Return rows that nobody else can change before this transaction ends."""
    if connection.dialect.name != "sqlite":  # there a writing transaction is alone anyway
        statement += " FOR UPDATE"
    return fetch(connection, statement, values)


def run(connection: Connection, statement: str, values: tuple[Any, ...] = ()) -> int:
    """Change rows the same way; return how many were met."""
    with cursor_of(connection) as cursor:
        cursor.execute(_marked(statement, connection.dialect.paramstyle), values)
        return int(cursor.rowcount)


def run_many(connection: Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Change rows the same way, once for each of these values."""
    with cursor_of(connection) as cursor:
        cursor.executemany(_marked(statement, connection.dialect.paramstyle), rows)


@lru_cache(maxsize=256)
def _marked(statement: str, style: str) -> str:
    return statement if style == "qmark" else statement.replace("?", "%s")


class cursor_of:  # noqa: N801 - used as a function would be; a generator takes three times as long
    """Gives the driver's own cursor; what goes wrong with it looks as if SQLAlchemy had been asked."""

    __slots__ = ("_connection", "_cursor")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._cursor: Any = connection.connection.cursor()

    def __enter__(self) -> Any:
        return self._cursor

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._cursor.close()
        if error is not None and isinstance(error, self._connection.dialect.loaded_dbapi.Error):
            raise _as_told(self._connection, error) from error


def _as_told(connection: Connection, error: Exception) -> Exception:
    lost = connection.dialect.is_disconnect(error, connection.connection.dbapi_connection, None)  # type: ignore[arg-type]
    driver = connection.dialect.loaded_dbapi
    return DBAPIError.instance(None, None, error, driver.Error, connection_invalidated=lost)


@lru_cache(maxsize=256)
def upsert(dialect: str, table: Table, columns: tuple[str, ...], update: tuple[str, ...]) -> str:
    """Return an INSERT that updates `update` where the row is already there, or leaves it be."""
    key = _conflict(table, columns)
    if dialect == "mysql":
        return _mysql_upsert(table, columns, update, key[0])
    action = ", ".join(f"{c}=excluded.{c}" for c in update)
    return (
        f"INSERT INTO {table.name} ({', '.join(columns)}) {{rows}} "
        f"ON CONFLICT ({', '.join(key)}) " + (f"DO UPDATE SET {action}" if update else "DO NOTHING")
    )


def _mysql_upsert(table: Table, columns: Sequence[str], update: Sequence[str], same: str) -> str:
    """The same for MySQL and MariaDB.

    Not INSERT IGNORE, which would also ignore a value that does not fit. MySQL 8 would rather have
    a row alias than VALUES(), which MariaDB does not know; both take VALUES().
    """
    action = ", ".join(f"`{c}`=VALUES(`{c}`)" for c in update) or f"`{same}`=`{same}`"
    listed = ", ".join(f"`{c}`" for c in columns)
    return f"INSERT INTO `{table.name}` ({listed}) {{rows}} ON DUPLICATE KEY UPDATE {action}"


def insert_once(connection: Connection, table: str, values: Mapping[str, Any]) -> bool:
    """Insert a row, or leave the one that is there; return whether it was inserted."""
    names = ", ".join(values)
    insert = f"INSERT INTO {table} ({names}) VALUES ({', '.join(f':{name}' for name in values)})"
    if connection.dialect.name != "mysql":
        insert += " ON CONFLICT DO NOTHING"
        return connection.execute(text(insert), dict(values)).rowcount == 1
    try:
        connection.execute(text(insert), dict(values))
    except IntegrityError as error:
        if error.orig is None or error.orig.args[0] != _MYSQL_DUPLICATE:
            raise
        return False
    return True


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
    name = connection.dialect.name
    statement = upsert(name, table, tuple(columns), tuple(update))
    if name == "postgresql" and len(rows) >= _COPY_FROM:
        _copy(connection, table, columns, statement, rows)
        return
    values = ",".join("?" * len(columns))
    run_many(connection, statement.format(rows=f"VALUES ({values})"), rows)


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
    with (
        cursor_of(connection) as cursor,
        cursor.copy(f"COPY {staging} ({listed}) FROM STDIN") as copy,
    ):
        for row in rows:
            copy.write_row(row)
    connection.exec_driver_sql(statement.format(rows=f"SELECT {listed} FROM {staging}"))
    connection.exec_driver_sql(f"TRUNCATE {staging}")


def overwrite_what_goes(connection: Connection) -> None:
    """Let a SQLite file keep nothing of what this connection deletes, not even in its free space.

    On a server nobody can say that: its own clean-up and its logs decide.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete = ON").fetchall()


def write_back(engine: Engine) -> bool:
    """Empty the write-ahead log of a SQLite file into it: the log holds what was there before.

    False where somebody is still reading what it held; they, or the next one, do it later.
    """
    if engine.dialect.name != "sqlite" or is_in_memory(engine):
        return True
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        busy, _, _ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy


def write_anew(engine: Engine) -> bool:
    """Write a SQLite file anew, so that nothing is left in it of what was deleted at any time.

    False where somebody else is at work on it for too long, or there is no room for a second copy.
    """
    if engine.dialect.name != "sqlite" or is_in_memory(engine):
        return True
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        try:
            driver.execute("PRAGMA secure_delete = ON").fetchall()
            driver.execute("PRAGMA temp_store = FILE")  # a store may be larger than the memory
            driver.execute("VACUUM")
            busy, _, _ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError:
            return False
        finally:
            connection.invalidate()
        return not busy


def copy_file(source: Path, target: sqlite3.Connection) -> None:
    """Copy a SQLite file that may be in use into a database that is open."""
    try:
        with closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as opened:
            opened.backup(target)
    except sqlite3.Error as error:
        raise DBAPIError.instance(None, None, error, sqlite3.Error) from error


def is_in_memory(engine: Engine) -> bool:
    """Whether it is an engine of `copy_in_memory`."""
    return engine.url.database in (None, "", ":memory:") and engine.dialect.name == "sqlite"


def copy_in_memory(url: str | None) -> Engine:
    """Return an engine on a copy in memory of a SQLite file, or on an empty database."""
    from sqlalchemy.pool import StaticPool

    target = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    if url is not None:
        copy_file(cast(Path, file_of(url)), target)
    engine = create_engine("sqlite://", creator=lambda: target, poolclass=StaticPool)
    event.listen(engine, "begin", _begin_immediate)
    return engine
