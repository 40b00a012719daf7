"""The URL of a source's database: what may stand in it, and what is never taken from it.

No sentence here repeats any part of a URL: what stands in the wrong place may be the password.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

from clinicrelay.settings.values import wrong

if TYPE_CHECKING:
    from sqlalchemy import URL

_EXAMPLE = "write postgresql://user:password@host/name, mysql://… or sqlite:///file.db"
_SCHEMES = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
    "mariadb+pymysql": "mysql+pymysql",
    "mssql": "mssql+pyodbc",
    "oracle": "oracle+oracledb",
}
_DRIVERS = {"postgresql": ("psycopg",), "mysql": ("pymysql",), "sqlite": ("", "pysqlite")}

# What a driver may be told by its URL. Everything else could switch a lock off: MySQL's client_flag
# lets several statements through, init_command runs whatever it says, SQLite's mode opens to write.
_ALLOWED = {
    "postgresql": frozenset(
        {
            *("host", "port", "options", "application_name", "connect_timeout", "client_encoding"),
            *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "channel_binding"),
            *("gssencmode", "target_session_attrs", "keepalives", "keepalives_idle"),
        }
    ),
    "mysql": frozenset(
        {
            *("charset", "unix_socket", "connect_timeout", "ssl_ca", "ssl_cert", "ssl_key"),
            *("ssl_check_hostname", "ssl_verify_cert", "ssl_verify_identity"),
        }
    ),
    "sqlite": frozenset(),
}


def read_url(value: str) -> str:
    """Return a URL with its driver named. Raises what a validator raises."""
    scheme, separator, rest = value.strip().partition("://")
    scheme = scheme.lower()
    if not separator or not re.fullmatch(r"[a-z][a-z0-9_]*(\+[a-z0-9_]+)?", scheme):
        raise wrong("this is not the URL of a database", _EXAMPLE)
    backend, _, driver = scheme.partition("+")
    backend = (
        "mysql" if backend == "mariadb" else "postgresql" if backend == "postgres" else backend
    )
    if driver not in _DRIVERS.get(backend, (driver,)) and driver:
        named = f"+{_DRIVERS[backend][-1]}" if backend != "sqlite" else ""
        raise wrong("this driver is not one that is read with", f"begin with {backend}{named}://")
    _check_dialect(backend, scheme)
    _check_options(backend, rest)
    if backend in ("postgresql", "mysql") and rest.partition("?")[0].count("@") > 1:
        raise wrong(
            "the user's name or the password holds a sign that has to be written otherwise",
            "write @ as %40, / as %2F, : as %3A, # as %23 and ? as %3F",
        )
    return f"{_SCHEMES.get(scheme, scheme)}://{rest}"


def _check_dialect(backend: str, scheme: str) -> None:
    """Refuse what nothing here can read, with what was meant where that is likely."""
    if backend in ("postgresql", "mysql", "sqlite", "mssql", "oracle"):
        return
    from sqlalchemy.dialects import registry
    from sqlalchemy.exc import NoSuchModuleError

    try:
        registry.load(scheme.replace("+", "."))
    except (NoSuchModuleError, ImportError):
        near = get_close_matches(backend, [*_SCHEMES, "sqlite"], 1)
        fix = f"did you mean {near[0]}://?" if near else _EXAMPLE
        raise wrong("the URL begins with no database that is known here", fix) from None


def _check_options(backend: str, rest: str) -> None:
    allowed = _ALLOWED.get(backend)
    if allowed is None:
        return
    named = {pair.partition("=")[0] for pair in rest.partition("?")[2].split("&") if pair}
    if named - allowed:
        some = f"; these may stand there: {', '.join(sorted(allowed))}" if allowed else ""
        raise wrong(
            f"an option in this URL is not one that a source may set{some}",
            "take it out: everything after the ?" if not allowed else "take it out",
        )


def parsed(url: str) -> URL:
    """Return the URL in its parts. Raises ValueError without repeating any of them."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError("the URL cannot be taken apart") from None
