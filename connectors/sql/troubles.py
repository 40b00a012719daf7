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
    """What an error means. `soon`: it may pass by itself.

    {place} is host and port, or the file; {what} a table or column.
    """

    message: str
    fix: str = ""
    soon: bool = False


# --- before there is a connection ---------------------------------------------------------------------

AWAY = Trouble(
    "{place} does not answer: nothing listens there, it is no database of this kind, or a firewall is "
    "between",
    soon=True,
)
NO_HOST = Trouble(
    "the name of the host in the URL is not known here",
    "write it as the network knows it, or its number; see with `getent hosts`",
)
NO_NAMES = Trouble(
    "the name of the host in the URL cannot be looked up now: no name server answers", soon=True
)
OTHER_KIND = Trouble(
    "what listens at {place} is no database of this kind",
    "look at the port and at how the URL begins: PostgreSQL is mostly at 5432, MySQL at 3306",
)
CLOSED = Trouble("{place} closed the connection before anything was asked", soon=True)
STARTING = Trouble("{place} is just starting up, or shutting down", soon=True)
BUSY = Trouble("{place} has no connection left for us", soon=True)
PASSWORD = Trouble(
    "{place} does not accept the user or its password",
    "set the password that it knows; special signs in a URL are written as %40 for @, %3A for :",
)
NO_USER = Trouble(
    "{place} has no account of the name in the URL",
    "write the name that it has before the @, or make one; `clinicrelay check` writes the statements",
)
NO_LOGIN = Trouble(
    "{place} knows the account and does not let it log in: it is locked, expired or made without LOGIN",
    "let its administrator open it",
)
NOT_ALLOWED_IN = Trouble(
    "{place} does not let this user in from here, or not into this database",
    "let the account in from this host: a line in pg_hba.conf, or 'user'@'host' in MySQL",
)
NO_DATABASE = Trouble(
    "{place} has no database of the name in the URL", "end the URL with the name that it has"
)
NAMELESS = Trouble(
    "the URL names no database, and the query does not say which one it means",
    "end the URL with the name of the database",
)
TLS = Trouble(
    "no encrypted connection to {place} came about",
    "name its signer (sslrootcert, ssl_ca) in the URL, or what else it asks for",
)
NO_CERTIFICATE = Trouble(
    "a file of certificates that the URL names is not there, or cannot be read as one",
    "name files that the user who runs clinicrelay may read",
)
UNKNOWN_REFUSAL = Trouble(
    "{place} answers and lets nobody in, for a reason that is not known here; see its log",
    soon=True,
)

# --- of a file ---------------------------------------------------------------------------------------

NO_FILE = Trouble("{place} is not there", "name a SQLite file that exists; none is ever made")
CLOSED_FILE = Trouble(
    "{place} is there, but may not be opened",
    "let the user who runs clinicrelay read it, and its folder",
)
NOT_SQLITE = Trouble(
    "{place} is no SQLite database, or an encrypted one", "name the file that the program works on"
)
DAMAGED = Trouble(
    "{place} is a damaged SQLite database", "see with `PRAGMA integrity_check`; restore a backup"
)
TOO_BIG = Trouble(
    "a row holds more than 4 MB: no visit does",
    "name the columns that are needed, without pictures and files, in place of *",
)

# --- of the query ------------------------------------------------------------------------------------

NO_RIGHT = Trouble(
    "the account may not read what the query names{what}",
    "GRANT SELECT on it to the account; `clinicrelay check` writes the statements",
)
NO_TABLE = Trouble(
    "the query, or a view that it reads, names a table that is not there{what}",
    "write it as the database does, with its schema; see `clinicrelay probe NAME`",
)
NO_COLUMN = Trouble(
    "the query, cursor or key names a column that is not there{what}",
    "write it as the database does; see `clinicrelay probe NAME`",
)
NO_FUNCTION = Trouble(
    "the query calls a function that the database does not have, or not for such values{what}",
    "look for its name there, and cast what it is given",
)
BROKEN_VIEW = Trouble(
    "the query reads a view that does not work: what it reads is gone, or its owner may not read it"
    "{what}",
    "let the database's administrator mend it, or read the tables themselves",
)
AMBIGUOUS = Trouble(
    "the query names a column that several of its tables have{what}",
    "write the table before it, as in a.status",
)
TWO_ALIKE = Trouble(
    "two columns of the query have one name{what}", "give one of them another name with AS"
)
SYNTAX = Trouble(
    "the database does not understand the query",
    "try it in the database's own console, with times in place of :watermark and the others",
)
TYPES = Trouble(
    "the query compares things that do not compare, such as a text with a time",
    "cast the column to a time in the query",
)
NO_VALUE = Trouble(
    "the query takes something for a time, a number or JSON that is none, in some row or in itself",
    "turn empty texts into NULL with NULLIF(column, ''), and leave rows out that hold other words",
)
BY_ZERO = Trouble("the query divides by zero", "write a / NULLIF(b, 0), which gives NULL")
TOO_LARGE = Trouble(
    "the query computes a number that is too large for its type", "cast it to a larger one before"
)
SEVERAL = Trouble(
    "a part of the query in brackets gives several rows where one value is wanted",
    "narrow it until it can give one only, or write MIN(…)",
)
CANNOT = Trouble(
    "the query asks for something that cannot be computed",
    "try it in the database's own console, part by part",
)
WROTE = Trouble(
    "the query tried to change something, and the read-only session stopped it",
    "leave out functions that do more than read",
)

# --- while it is read --------------------------------------------------------------------------------

TOO_LONG = Trouble(
    "the query took longer than the timeout, and was stopped",
    "make an index on the cursor column or on the visit's start, or raise timeout",
    soon=True,
)
STOPPED = Trouble("somebody at the database stopped the query", soon=True)
LOCKED = Trouble("another program holds a lock on what the query reads", soon=True)
LOST = Trouble("the connection to {place} was lost while it was read", soon=True)
OTHER = Trouble("the database refused what it was asked, in a way that is not known", "see its log")

_TELL_WHAT = (NO_TABLE, NO_COLUMN, NO_FUNCTION, NO_RIGHT, BROKEN_VIEW, TWO_ALIKE, AMBIGUOUS)
_KINDS = r"(?:table|column(?: name| reference)?|relation|view|function|schema|field list)"
_PART = r"(?:\"[^\"]+\"|'[^']+'|`[^`]+`)"
_MARKS = re.compile("[\"`]|^'|'$")
# A name in quotes, maybe of several parts; one to the end of the line; or a single word.
_WHAT = re.compile(
    rf"{_KINDS}:?\s(?P<quoted>{_PART}(?:\.{_PART})*)"
    rf"|(?:no such {_KINDS}|ambiguous {_KINDS}): (?P<rest>.+)"
    rf"|denied for {_KINDS} (?P<denied>.+)"
    rf"|{_KINDS}\s(?P<word>[\w.$]+)"
    r"|(?P<first>'[^']+') in "
    r"|duplicate column name '(?P<twice>[^']+)'",
    re.IGNORECASE,
)


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
    named = {"place": place_of(server), "what": _what(trouble, str(error))}
    message = trouble.message.format_map(named)
    return TryLater(message) if trouble.soon else Refused(message, fix=trouble.fix)


def place_of(server: Server) -> str:
    """Return where the database is, as it may be shown."""
    url = server.url
    if server.backend == "sqlite":
        return "the file in the URL"
    return f"{url.host or 'the database'}{f':{url.port}' if url.port else ''}"


def _what(trouble: Trouble, said: str) -> str:
    """Return the name of what is missing: such names are the query's, and nobody's data."""
    found = _WHAT.search(said) if trouble in _TELL_WHAT else None
    if found is None:
        return ""
    name = next(text for text in found.groups() if text).splitlines()[0]
    return f": {_MARKS.sub('', name)[:128]}"
