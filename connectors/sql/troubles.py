"""What can go wrong with a database, each with its own sentence; none repeats what a driver says.

A driver's words hold the URL, the user, parts of the query, or a cell that it could not read.
"""

from __future__ import annotations

import re
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from clinicrelay.errors import ClinicrelayError, Refused, TryLater

if TYPE_CHECKING:
    from connectors.sql.server import Server


class Trouble(NamedTuple):
    """What an error means. `soon`: it may pass by itself. {place} is host and port, or the file."""

    message: str
    fix: str = ""
    soon: bool = False


AWAY = Trouble(
    "{place} does not answer: nothing listens there, or a firewall is between", soon=True
)
NO_HOST = Trouble(
    "the name of the host in the URL of {name} is not known here",
    "write it as the network knows it, or its number; see with `getent hosts`",
)
PASSWORD = Trouble(
    "{place} does not accept the user or its password",
    "set the password that it knows; special signs in a URL are written as %40 for @, %3A for :",
)
NO_DATABASE = Trouble(
    "{place} has no database of the name in the URL", "end the URL with the name that it has"
)
NO_FILE = Trouble(
    "{place} is not there, or may not be opened",
    "name a SQLite file that the user who runs clinicrelay may read; none is ever made",
)
NOT_SQLITE = Trouble("{place} is no SQLite database", "name the file that the program works on")
NOT_ALLOWED_IN = Trouble(
    "{place} does not let this user in from here, or not into this database",
    "let the account in from this host: a line in pg_hba.conf, or 'user'@'host' in MySQL",
)
NO_RIGHT = Trouble(
    "the account may not read what the query names{what}",
    "GRANT SELECT on it to the account; `clinicrelay check` writes the statements",
)
NO_TABLE = Trouble(
    "the query names a table that is not there{what}",
    "write it as the database does, with its schema; see `clinicrelay probe {name}`",
)
NO_COLUMN = Trouble(
    "the query, cursor or key names a column that is not there{what}",
    "write it as the database does; see `clinicrelay probe {name}`",
)
SYNTAX = Trouble(
    "the database does not understand the query",
    "try it in the database's own console, with times in place of :watermark and the others",
)
TYPES = Trouble(
    "the query compares things that do not compare, such as a text with a time",
    "cast the column to a time in the query",
)
TOO_LONG = Trouble(
    "the database stopped the query after the timeout",
    "make an index on the cursor column or on the visit's start, or raise timeout",
    soon=True,
)
TOO_BIG = Trouble(
    "a row holds more than 4 MB: no visit does",
    "name the columns that are needed, without pictures and files, in place of *",
)
LOCKED = Trouble("another program holds a lock on what the query reads", soon=True)
LOST = Trouble("the connection to {place} was lost while it was read", soon=True)
BUSY = Trouble("{place} has no connection left for us", soon=True)
WROTE = Trouble(
    "the query tried to change something, and the read-only session stopped it",
    "leave out functions that do more than read",
)
TWO_ALIKE = Trouble(
    "two columns of the query have one name{what}", "give one of them another name with AS"
)
TLS = Trouble(
    "no encrypted connection to {place} came about",
    "name its signer (sslrootcert, ssl_ca) in the URL, or what else it asks for",
)
OTHER = Trouble("the database refused what it was asked, in a way that is not known", "see its log")

_NAME = re.compile(r"[\w.$ -]{1,128}")


class Translated:
    """Turns what a driver raises inside of it into TryLater or Refused."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception) and is_a_drivers(self._server, error):
            raise as_error(self._server, error) from error


class Forgiven:
    """Passes over what a driver raises inside of it, where nothing depends on it any more."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        return isinstance(error, Exception) and is_a_drivers(self._server, error)


def is_a_drivers(server: Server, error: Exception) -> bool:
    """Whether an error is of the driver, or of the connection below it."""
    if isinstance(error, (ClinicrelayError, ImportError)):
        return False
    return isinstance(error, (server.driver.Error, OSError, RuntimeError))


def as_error(server: Server, error: Exception) -> TryLater | Refused:
    """Return a driver's error as one of ours."""
    trouble = server.trouble_of(error)
    named = {"place": place_of(server), "name": "NAME", "what": _what(trouble, str(error))}
    message, fix = trouble.message.format_map(named), trouble.fix.format_map(named)
    return TryLater(message) if trouble.soon else Refused(message, fix=fix)


def place_of(server: Server) -> str:
    """Return where the database is, as it may be shown."""
    url = server.url
    if server.backend == "sqlite":
        return "the file in the URL"
    return f"{url.host or 'the database'}{f':{url.port}' if url.port else ''}"


def _what(trouble: Trouble, said: str) -> str:
    """Return the name of a table or column that is missing: those are the query's, and nobody's data."""
    if trouble not in (NO_TABLE, NO_COLUMN, NO_RIGHT, TWO_ALIKE):
        return ""
    words = r"(?:table|column|relation|view|name)\s*:?\s*[\"'`]?([\w.$]+)"
    found = re.search(words, said, re.IGNORECASE)
    return f": {found[1]}" if found and _NAME.fullmatch(found[1]) else ""
