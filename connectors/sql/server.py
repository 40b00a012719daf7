"""A database as it is read: a session that cannot write (the third lock), and rows as they come.

What differs between the kinds stands in a module each; here is what they share.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from clinicrelay.errors import Refused, TryLater
from connectors.sql import troubles
from connectors.sql.query import in_style
from connectors.sql.troubles import Trouble


@dataclass(frozen=True, slots=True)
class Clock:
    """What time it is at the source, and since when a transaction there may still be open.

    `oldest` is None where nobody is writing; `sees_others` is false where that cannot be told.
    """

    now: datetime
    oldest: datetime | None = None
    sees_others: bool = False


class Table(NamedTuple):
    """A table or view: its schema, where that has to be written, and its name; and its columns.

    A view that does not work may tell of no columns.
    """

    parts: tuple[str, ...]
    columns: Sequence[str]

    @property
    def name(self) -> str:
        """What it is called where it is spoken of."""
        return ".".join(self.parts)


class Rows:
    """The rows of one query while they come: their columns, and tuples `size` at a time."""

    def __init__(self, server: Server, cursor: Any, size: int) -> None:
        self._server, self._cursor, self._size = server, cursor, size
        self.ended = False
        self.first = self._fetch()
        if cursor.description is None:
            raise Refused("the query gives no columns", fix="only a SELECT may read a source")
        self.columns = tuple(str(column[0]) for column in cursor.description)

    def __iter__(self) -> Iterator[Sequence[tuple[Any, ...]]]:
        rows = self.first
        while rows:
            yield rows
            rows = [] if self.ended else self._fetch()

    def _fetch(self) -> Sequence[tuple[Any, ...]]:
        with self._server.translated():
            rows = self._server.fetch(self._cursor, self._size)
        self.ended = len(rows) < (self._size if self._server.fills_batches else 1)
        return rows

    def close(self) -> None:
        """Let go of the rest, if there is any."""
        if not self.ended:
            self._server.abandon(self._cursor)
        with self._server.forgiven():
            self._cursor.close()


class Server:
    """One connection. Subclasses say how it is opened, prepared, and asked for the time."""

    backend = ""
    extra = ""  # what brings the driver
    tested = False
    fills_batches = True  # whether a batch that is not full is the last

    def __init__(self, url: Any, *, timeout: timedelta, folder: Any) -> None:
        self.url, self.timeout, self.folder = url, timeout, folder
        self._connection: Any = None

    # --- what differs ------------------------------------------------------------------------------

    def opened(self) -> Any:
        """Return the driver's connection, read-only and with its limits set."""
        dialect = self.url.get_dialect()()
        driver = self.url.get_dialect().import_dbapi()
        arguments, options = dialect.create_connect_args(self.url)
        return driver.connect(*arguments, **options)

    @property
    def driver(self) -> Any:
        """The driver's module."""
        return self.url.get_dialect().import_dbapi()

    def cursor(self) -> Any:
        """Return a cursor that does not fetch everything at once."""
        return self.connection.cursor()

    def moment(self, wall: datetime) -> Any:
        """Return a naive time as the driver binds it."""
        return wall

    def abandon(self, cursor: Any) -> None:
        """Prepare to let go of a cursor whose rows were not all fetched."""

    def clock(self) -> Clock:
        """Ask the source for the time, outside of the transaction that will be read in."""
        return Clock(datetime.now(UTC))

    def quoted(self, column: str) -> str:
        """Return a column's name as a statement writes it; it may be a reserved word."""
        return '"{}"'.format(column.replace('"', '""'))

    def trouble_of(self, error: Exception) -> Trouble:
        """Return what a driver's error means."""
        return troubles.OTHER

    def may_write(self) -> str:
        """Return what the account could change, empty where nothing."""
        return ""

    def grants(self, tables: Sequence[str]) -> str:
        """Return how an account that can only read is made."""
        return ""

    def tables(self) -> list[Table]:
        """Return tables and views with their columns."""
        return []

    def few(self, text: str, number: int) -> str:
        """Return a query for the first rows of another."""
        return f"{text}\nLIMIT {number}"

    # --- what is common ----------------------------------------------------------------------------

    @property
    def connection(self) -> Any:
        """The connection, opened when it is first needed. Raises TryLater and Refused."""
        if self._connection is None:
            try:
                with self.translated():
                    self._connection = self.opened()
            except ImportError as error:
                extra = self.extra or self.backend
                raise Refused(
                    f"the driver for {self.backend} is not installed",
                    fix=f"install clinicrelay[{extra}]",
                ) from error
        return self._connection

    def ask(self, text: str, values: Mapping[str, Any], size: int) -> Rows:
        """Run a query; its values are bound by the driver, and are never part of its text."""
        with self.translated():
            cursor = self.cursor()
        try:
            with self.translated():
                statement, bound = in_style(text, values, self.driver.paramstyle)
                self.execute(cursor, statement, bound)
            return Rows(self, cursor, size)
        except (TryLater, Refused):
            self.abandon(cursor)
            with self.forgiven():
                cursor.close()
            self.done()
            raise

    def execute(self, cursor: Any, statement: str, bound: Any) -> None:
        """Run a statement by the path that takes one only, and values apart."""
        cursor.execute(statement, bound)

    def fetch(self, cursor: Any, size: int) -> Sequence[tuple[Any, ...]]:
        """Return the next rows; the timeout is of the database's own work, not of ours with them."""
        rows: Sequence[tuple[Any, ...]] = cursor.fetchmany(size)
        return rows

    def look(self, statement: str, bound: Any = ()) -> list[tuple[Any, ...]]:
        """Run a statement of ours and return its few rows."""
        with self.translated():
            cursor = self.connection.cursor()
            try:
                cursor.execute(statement, bound)
                return [tuple(row) for row in cursor.fetchall()]
            finally:
                cursor.close()

    def done(self) -> None:
        """End the transaction; nothing is ever committed."""
        if self._connection is not None:
            with self.forgiven():
                self._connection.rollback()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with self.forgiven():
                connection.close()

    def translated(self) -> troubles.Translated:
        """Raise what the driver raises as one of ours."""
        return troubles.Translated(self)

    def forgiven(self) -> troubles.Forgiven:
        """Pass over what goes wrong where nothing depends on it any more."""
        return troubles.Forgiven(self)


def gathered(found: Iterable[tuple[Any, str, str, str | None]]) -> list[Table]:
    """Return tables from rows of (whether the schema goes without saying, schema, name, column)."""
    columns: dict[tuple[str, ...], list[str]] = {}
    for plain, schema, name, column in found:
        named = columns.setdefault((name,) if plain else (schema, name), [])
        if column is not None:
            named.append(column)
    return [Table(parts, names) for parts, names in columns.items()]


def server_of(url: Any, *, timeout: timedelta, folder: Any) -> Server:
    """Return what reads a database of the URL's kind; imports no driver of another."""
    backend = url.get_backend_name()
    if backend == "postgresql":
        from connectors.sql.postgres import Postgres

        return Postgres(url, timeout=timeout, folder=folder)
    if backend == "mysql":
        from connectors.sql.mysql import Mysql

        return Mysql(url, timeout=timeout, folder=folder)
    if backend == "sqlite":
        from connectors.sql.sqlite import Sqlite

        return Sqlite(url, timeout=timeout, folder=folder)
    from connectors.sql.others import OtherServer

    return OtherServer(url, timeout=timeout, folder=folder)
