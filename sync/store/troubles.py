"""What it means when a database says no: try again later, a person has to mend something, or a bug.

No word of a driver is passed on: it may hold a part of the store's URL, and so of its password.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from clinicrelay.contracts import Finding
from clinicrelay.errors import StoreBusy, StoreRefused

if TYPE_CHECKING:
    from sqlalchemy import Engine

_NO_ROOM = 1 << 20  # bytes that are free, and nothing can be written any more


class Trouble(NamedTuple):
    """What is wrong and how a person mends it; without a `fix` it may pass by itself."""

    message: str
    code: str = ""
    fix: str = ""
    path: str = "store.url"


RESTORE = "clinicrelay store restore FILE --replace, with the last good backup"
DAMAGED = Trouble(
    "the store's file is damaged",
    "store_damaged",
    RESTORE,
)

_LOCKED = Trouble("another program has the store locked")
FULL = Trouble("the disk of the store is full")
_FAR = "the store does not answer"
_LOST = Trouble(f"{_FAR}: the connection to it was lost")
_SILENT = Trouble(f"{_FAR}: nobody takes a connection at its host and port")
_SLOW = Trouble(f"{_FAR}: it took too long")
_NAMELESS = Trouble(f"{_FAR}: the name of its host is not known here")
_CROWDED = Trouble(f"{_FAR}: its server has no connection left for us")
_RESTARTING = Trouble(f"{_FAR}: its server is starting or shutting down")
_WRITES_NOTHING = Trouble("the store's server takes no changes just now")

_CHANGED = Trouble(
    "the store's tables are not those that this program made",
    "store_changed",
    "see what is wrong with it: clinicrelay store check",
)
_NO_DATABASE = Trouble(
    "the server has no database of the name in store.url",
    "store_no_database",
    "make an empty database of that name, or correct the name",
)
_NOT_LET_IN = Trouble(
    "the server of the store does not let us in",
    "store_not_let_in",
    "correct user and password in store.url (signs such as @ : / % in them are written as %40 %3A "
    "%2F %25), and let this user in from this machine",
)
_NOT_ALLOWED = Trouble(
    "the user in store.url may not do what a store needs",
    "store_not_allowed",
    "let this user create, alter, index and drop tables in the database, and change their rows",
)
OPTION = Trouble(
    "an option in store.url is refused",
    "store_option",
    "correct what stands behind the ? in store.url; sslmode and the like want a server with TLS",
)
_REFUSED = Trouble(
    "the server of the store refuses the connection",
    "store_not_let_in",
    "look for the reason in the server's own log: most often user, password or database",
)


def refused(code: str, message: str, fix: str, *, path: str = "store.url") -> StoreRefused:
    """Return what is raised when the store is not what somebody took it for."""
    return StoreRefused([Finding("error", code, message, fix, path=path)])


def finding(found: Trouble) -> Finding:
    """Return a trouble as what a person is told."""
    return Finding("error", found.code, found.message, found.fix, path=found.path)


def as_error(found: Trouble) -> StoreBusy | StoreRefused:
    """Return what is raised for a trouble: to be tried again, or to be mended."""
    if not found.fix:
        return StoreBusy(found.message)
    return StoreRefused([finding(found)])


@contextmanager
def understood(engine: Engine) -> Iterator[None]:
    """Turn what a database says no to into what a person can act on; what else it says is a bug.

    Raises StoreBusy and StoreRefused.
    """
    try:
        yield
    except DBAPIError as error:
        found = trouble(error, engine)
        if found is None:
            raise
        raise as_error(found) from error


def trouble(error: DBAPIError, engine: Engine) -> Trouble | None:
    """Return what an error of a database means; None for a bug of ours."""
    if isinstance(error.orig, sqlite3.Error):
        return _of_sqlite(error.orig, engine.url.database or "")
    if engine.dialect.name == "mysql":
        return _of_mysql(error)
    return _of_postgresql(error)


def means_no_table(error: DBAPIError) -> bool:
    """Whether a statement failed because its table was never made."""
    if (number := _number(error)) is not None:
        return number == _MYSQL_NO_TABLE
    return "no such table" in str(error.orig) or _state(error) == _POSTGRES_NO_TABLE


# --- SQLite (https://sqlite.org/rescode.html) ----------------------------------------------------


_SQLITE = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_PROTOCOL: _LOCKED,
    sqlite3.SQLITE_NOMEM: Trouble("there is no memory left for the store"),
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: DAMAGED,
}


def _of_sqlite(error: sqlite3.Error, file: str) -> Trouble | None:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF  # without its finer part
    if code in _SQLITE:
        return _SQLITE[code]
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return unwritable(Path(file))
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR):
        return _not_to_be_used(Path(file), code)
    return _CHANGED if "no such table" in str(error) else None


def _not_to_be_used(file: Path, code: int) -> Trouble:
    """Say why a file cannot be opened, read or written: SQLite only says that."""
    if file.is_dir():
        return Trouble(f"{file} is a folder", "store_no_file", "name a file in store.url")
    if (found := in_the_way(file)) is not None:
        return found
    if code == sqlite3.SQLITE_CANTOPEN:
        return unwritable(file)
    return Trouble(
        f"{file} cannot be read or written: its disk fails",
        "store_disk_fails",
        "see to the disk; what was lost is found by: clinicrelay store check",
        path="data",
    )


def in_the_way(file: Path, *, room: int = _NO_ROOM) -> Trouble | None:
    """Return why a file cannot be written, as far as a look can tell; `room` is what has to be free."""
    folder = file.parent
    if any(at.exists() and not os.access(at, os.W_OK) for at in (folder, file)):
        return unwritable(file)
    disk = shutil.disk_usage(folder) if folder.is_dir() else None
    return (
        FULL if disk and disk.total and disk.free < room else None
    )  # /proc and the like have none


def unwritable(file: Path) -> Trouble:
    """Return what is said of a file that cannot be written."""
    return Trouble(
        f"{file} cannot be written: it, its folder or its disk does not allow it",
        "store_read_only",
        f"let the user that runs clinicrelay write to {file.parent}, on a disk that is not read-only",
        path="data",
    )


# --- PostgreSQL (https://www.postgresql.org/docs/current/errcodes-appendix.html) -----------------


_POSTGRES_NO_TABLE = "42P01"

# By SQLSTATE, or by its class where all of that means the same.
_POSTGRES = {
    "08": _LOST,
    "25006": _WRITES_NOTHING,
    "25P03": _LOST,
    "25P04": _LOST,
    "28": _NOT_LET_IN,
    "3D": _NO_DATABASE,
    "3F": _NO_DATABASE,
    "40": _LOCKED,
    "42501": _NOT_ALLOWED,
    _POSTGRES_NO_TABLE: _CHANGED,
    "53100": FULL,
    "53": _CROWDED,
    "55": _LOCKED,
    "57014": _SLOW,
    "57": _RESTARTING,
    "58": Trouble(f"{_FAR}: its server's system fails"),
    "XX001": DAMAGED,
    "XX002": DAMAGED,
}

# A connection that does not come about has no SQLSTATE (libpq gives none), only words. The server's
# are in its own language: what is not known of them is at least known to be a refusal.
_WORDS = (
    (r"invalid response", _SILENT),
    (r"starting up|shutting down|recovery|not yet accepting", _RESTARTING),
    (r"too many|connection slots|connection limit", _CROWDED),
    (r"database does not exist", _NO_DATABASE),
    (r"authentication|password|pg_hba|role ", _NOT_LET_IN),
    (r"permission denied", _NOT_ALLOWED),
    (r"sslmode|invalid|bad value|SSL was required|certificate|parameter", OPTION),
    (r"failed: \w+:  ", _REFUSED),
    (r"resolve host|translate host|not known", _NAMELESS),
    (r"timeout|timed out", _SLOW),
    (r"refused|No such file|No route|unreachable", _SILENT),
)


def _of_postgresql(error: DBAPIError) -> Trouble | None:
    state = _state(error)
    if state is not None:
        return _POSTGRES.get(state) or _POSTGRES.get(state[:2])
    if error.connection_invalidated:
        return _LOST
    if not isinstance(error, OperationalError | ProgrammingError):
        return None
    said = re.sub(r"""\s*"[^"]*"|'[^']*'""", "", str(error.orig))  # names hold any words
    found = next((meant for words, meant in _WORDS if re.search(words, said)), None)
    if isinstance(error, ProgrammingError):
        return found if found is OPTION else None
    return found or Trouble(_FAR)


def _state(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


# --- MySQL and MariaDB (https://mariadb.com/kb/en/mariadb-error-codes/) --------------------------


_MYSQL_NO_TABLE = 1146

# Their drivers call nearly everything an OperationalError, a column that does not exist included.
_MYSQL = {
    _LOCKED: (1205, 1213, 1305, 1614, 3572),
    _CROWDED: (1040, 1203, 1226),
    _RESTARTING: (1053, 1077, 1079),
    _LOST: (1152, 1153, 1158, 1159, 1160, 1161, 1317, 1927, 2006, 2013, 2055, 4031),
    _SILENT: (2002, 2003),
    _SLOW: (3024, 1969),
    FULL: (1021, 1114),
    _WRITES_NOTHING: (1290, 1792, 1836),
    _NO_DATABASE: (1046, 1049),
    _NOT_LET_IN: (
        1044,
        1045,
        1129,
        1130,
        1251,
        1275,
        1524,
        1698,
        1820,
        1862,
        2059,
        2061,
        3118,
        4151,
    ),
    _NOT_ALLOWED: (1142, 1143, 1227, 1370),
    OPTION: (1115, 1193, 2026),
    _CHANGED: (_MYSQL_NO_TABLE,),
    DAMAGED: (1034, 1194, 1195, 1712, 1877),
}
_BY_NUMBER = {number: meant for meant, numbers in _MYSQL.items() for number in numbers}


def _of_mysql(error: DBAPIError) -> Trouble | None:
    number, said = _number(error), str(error.orig)
    if number == 2003 and re.search(r"Errno -|getaddrinfo|not known", said):
        return _NAMELESS
    if number == 2003 and "timed out" in said:
        return _SLOW
    return _BY_NUMBER.get(number or 0) or (_LOST if error.connection_invalidated else None)


def _number(error: DBAPIError) -> int | None:
    """The number that MySQL and MariaDB give an error; others have none."""
    first = error.orig.args[0] if error.orig is not None and error.orig.args else None
    return first if isinstance(first, int) else None
