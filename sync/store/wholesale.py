"""What differs between databases when a whole store is read, or written anew, at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sync.store import dialects

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_AT_ONCE = 1000


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """Open one moment of the whole store; what others write meanwhile is not seen."""
    with engine.connect() as connection:
        if engine.dialect.name == "mysql":
            for statement in (
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
                "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
            ):
                connection.exec_driver_sql(statement)
        elif engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        else:
            connection.execution_options(reading=True)
        dialects.may_take_long(connection)
        yield connection


def rows(connection: Connection, table: str, columns: Sequence[str]) -> Iterator[Sequence[Any]]:
    """Yield all rows of a table, a few at a time: a million of them cost no more memory than one."""
    listed = ", ".join(f"{table}.{column}" for column in columns)
    found = connection.exec_driver_sql(
        f"SELECT {listed} FROM {table}",
        execution_options={"stream_results": True, "max_row_buffer": _AT_ONCE},
    )
    for some in found.partitions(_AT_ONCE):
        yield from some


def keep_others_out(connection: Connection, tables: Sequence[str]) -> None:
    """Let nobody else write to these tables until the transaction ends. Raises StoreBusy.

    MySQL ends such a lock only with the connection, or by a statement that would also commit: so
    this one is not given back to the pool but closed.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"LOCK TABLE {', '.join(tables)} IN EXCLUSIVE MODE")
    elif connection.dialect.name == "mysql":
        connection.detach()
        listed = ", ".join(f"{table} WRITE" for table in tables)
        connection.exec_driver_sql(f"LOCK TABLES {listed}")


def load(
    connection: Connection, table: str, columns: Sequence[str], some: list[tuple[Any, ...]]
) -> None:
    """Insert rows into a table in which none of them is."""
    if connection.dialect.name == "postgresql":
        with (
            dialects.cursor_of(connection) as cursor,
            cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy,
        ):
            for row in some:
                copy.write_row(row)
        return
    listed = ", ".join(f"`{column}`" for column in columns)  # SQLite takes MySQL's quotes
    connection.exec_driver_sql(
        f"INSERT INTO {table} ({listed}) VALUES ({dialects.marks(connection, len(columns))})", some
    )


def number_on(connection: Connection, table: str) -> None:
    """Let a table that numbers its rows go on after the highest; others do so by themselves."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(
            f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), "
            f"coalesce((SELECT max(id) FROM {table}), 0) + 1, false)"
        )
