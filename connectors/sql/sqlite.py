"""SQLite: a file that is opened to read, through an authorizer that knows nothing else."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar
from urllib.parse import quote

from connectors.sql import troubles
from connectors.sql.server import Clock, Server, Table
from connectors.sql.troubles import Trouble

Made = TypeVar("Made")

_READS = frozenset(
    {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_RECURSIVE,
        sqlite3.SQLITE_TRANSACTION,
    }
)
_BUSY_SECONDS = 5
_GRACE_SECONDS = 1  # till an interrupt is heard; a function that is at work hears none
_LONGEST = 4_000_000  # bytes of a value, and of a row: a file can hold what fills our memory
_AT_ONCE = 32_000_000  # bytes of rows that are held at a time
_SAYS = (
    ("too big", troubles.TOO_BIG),
    ("too large", troubles.TOO_BIG),
    ("no such table", troubles.NO_TABLE),
    ("no such column", troubles.NO_COLUMN),
    ("no such function", troubles.NO_FUNCTION),
    ("wrong number of arguments", troubles.NO_FUNCTION),
    ("ambiguous column", troubles.AMBIGUOUS),
    ("unable to open", troubles.CLOSED_FILE),
    ("not a database", troubles.NOT_SQLITE),
    ("image is malformed", troubles.DAMAGED),
    ("malformed database", troubles.DAMAGED),
    ("malformed", troubles.NO_VALUE),
    ("integer overflow", troubles.TOO_LARGE),
    ("interrupted", troubles.TOO_LONG),
    ("locked", troubles.LOCKED),
    ("readonly", troubles.WROTE),
    ("not authorized", troubles.WROTE),
    ("prohibited", troubles.WROTE),
    ("one statement", troubles.SYNTAX),
    ("syntax error", troubles.SYNTAX),
    ("incomplete input", troubles.SYNTAX),
    ("unrecognized token", troubles.SYNTAX),
    ("misuse of", troubles.SYNTAX),
    ("number of result columns", troubles.SYNTAX),
    ("disk i/o", troubles.LOST),
)


class Sqlite(Server):
    """A SQLite file."""

    backend = "sqlite"
    tested = True
    driver = sqlite3
    fills_batches = False

    @property
    def file(self) -> Path:
        """The file; a relative one begins at the settings file's folder."""
        return Path(self.folder, self.url.database or "")

    def opened(self) -> Any:
        if not self.file.is_file():
            raise FileNotFoundError
        connection = sqlite3.connect(
            f"file:{quote(str(self.file.absolute()))}?mode=ro",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,  # one at a time all the same
        )
        connection.execute("PRAGMA query_only=ON")
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
        connection.text_factory = _text
        connection.set_authorizer(_authorize)
        return connection

    def execute(self, cursor: Any, statement: str, bound: Any) -> None:
        self._in_time(lambda: cursor.execute(statement, bound))

    def fetch(self, cursor: Any, size: int) -> Sequence[tuple[Any, ...]]:
        """Return fewer rows than `size` where they are large."""
        return self._in_time(lambda: _fetched(cursor, size))

    def _in_time(self, work: Callable[[], Made]) -> Made:
        """Return what the work gives, unless that takes longer than the timeout.

        SQLite works inside of our own process. It is interrupted, which it hears between two steps of
        its machine; a single one may last for hours, so that one is left to itself, with its
        connection.
        """
        answer: Future[Made] = Future()
        Thread(target=_answer, args=(answer, work), daemon=True).start()
        if not wait([answer], self.timeout.total_seconds()).done:
            self.connection.interrupt()
            if not wait([answer], _GRACE_SECONDS).done:
                self._connection = None
                raise sqlite3.OperationalError("interrupted")
        return answer.result()

    def moment(self, wall: datetime) -> Any:
        # With a space: a column that writes a T sorts after it, so that no row of the day is missed.
        return wall.isoformat(" ", timespec="microseconds" if wall.microsecond else "seconds")

    def clock(self) -> Clock:
        """The program that writes may stand on another machine, but the file tells no other time.

        There is one writer at a time, and what it commits is seen at once; still a row may have been
        stamped long before its transaction ended.
        """
        return Clock(datetime.now(UTC))

    def quoted(self, column: str) -> str:
        # Not "so": where there is no such column SQLite takes that for a text.
        return "`{}`".format(column.replace("`", "``"))

    def trouble_of(self, error: Exception) -> Trouble:
        if isinstance(error, OSError):
            missing = isinstance(error, FileNotFoundError)
            return troubles.NO_FILE if missing else troubles.CLOSED_FILE
        said = str(error).lower()
        return next((trouble for word, trouble in _SAYS if word in said), troubles.OTHER)

    def may_write(self) -> str:
        return "write the file" if os.access(self.file, os.W_OK) else ""

    def grants(self, tables: Sequence[str]) -> str:
        return "let the user that runs clinicrelay only read the file: chmod o-w, chmod g-w"

    def tables(self) -> list[Table]:
        names = self.look("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
        return [
            Table((name,), self._columns(name))
            for (name,) in names
            if not name.startswith("sqlite_")
        ]

    def _columns(self, table: str) -> Sequence[str]:
        """Return the columns of a table, none where it is a view that does not work."""
        with self.forgiven():
            found = self.connection.execute(f"SELECT * FROM {self.quoted(table)} LIMIT 0")
            return [column[0] for column in found.description]
        return []


def _fetched(cursor: Any, size: int) -> Sequence[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    held = 0
    while len(rows) < size and held < _AT_ONCE and (row := cursor.fetchone()) is not None:
        rows.append(row)
        held += sum(len(cell) for cell in row if isinstance(cell, str | bytes))
    return rows


def _answer(answer: Future[Made], work: Callable[[], Made]) -> None:
    try:
        answer.set_result(work())
    except Exception as error:  # noqa: BLE001 - raised where the answer is waited for
        answer.set_exception(error)


def _authorize(action: int, first: str | None, second: str | None, *_where: str | None) -> int:
    """Let SELECT read, and call functions that only compute; ATTACH, PRAGMA and writes are denied."""
    if action == sqlite3.SQLITE_FUNCTION:
        denied = (second or "").lower() in ("load_extension", "writefile", "edit", "readfile")
        return sqlite3.SQLITE_DENY if denied else sqlite3.SQLITE_OK
    return sqlite3.SQLITE_OK if action in _READS else sqlite3.SQLITE_DENY


def _text(raw: bytes) -> str:
    """Old programs write their Windows code page into a file that says it is UTF-8."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")
