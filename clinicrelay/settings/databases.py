"""The URL of the store: what may stand in it, and what its driver is given.

No sentence here repeats any part of a URL: what stands in the wrong place may be the password.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from clinicrelay.settings.values import wrong

_EXAMPLE = "write sqlite:///clinicrelay.db or postgresql://user:password@host/name"


class _Server(NamedTuple):
    """One kind of server: what SQLAlchemy calls it, its driver, and the extra that brings it."""

    dialect: str
    driver: str
    extra: str


_POSTGRES = _Server("postgresql+psycopg", "psycopg", "postgres")
_MYSQL = _Server("mysql+pymysql", "pymysql", "mysql")
# MariaDB too: one driver and one dialect for both, and which of them it is, the server says itself.
_SERVERS = {
    "postgres": _POSTGRES,
    "postgresql": _POSTGRES,
    "postgresql+psycopg": _POSTGRES,
    "mysql": _MYSQL,
    "mysql+pymysql": _MYSQL,
    "mariadb": _MYSQL,
    "mariadb+pymysql": _MYSQL,
}
_HOST = re.compile(r"(?P<host>[^\s:\[\]\\%]*|\[[^\s\[\]]+\])(?::(?P<port>.*))?", re.DOTALL)


def read_database(value: str) -> str:
    """Accept the URL of a database that can be the store; capitals in its scheme mean nothing."""
    scheme, separator, rest = value.partition("://")
    scheme = scheme.lower()
    if not separator or (scheme != "sqlite" and scheme not in _SERVERS):
        raise wrong("this is not the URL of a database that can be the store", _EXAMPLE)
    if scheme == "sqlite":
        if "?" in rest:
            raise wrong("a SQLite store takes no options", "delete everything from the ? on")
    else:
        _check_server(_SERVERS[scheme], rest)
    return f"{scheme}://{rest}"


def _check_server(server: _Server, rest: str) -> None:
    place = re.split(r"[/?#]", rest, maxsplit=1)[0]
    tail = rest[len(place) :]
    if place.count("@") > 1 or "@" in tail or "#" in tail:
        raise wrong(
            "the user's name, the password or an option holds a sign that has to be written otherwise",
            "write @ as %40, / as %2F, # as %23 and ? as %3F",
        )
    at = _HOST.fullmatch(place.rpartition("@")[2])
    if at is None or re.search(r"\s", rest):
        raise wrong(
            "the name of the host, or another part of this URL, holds a sign that cannot stand there",
            "write a space as %20, % as %25, and [ ] only around an IPv6 address",
        )
    if at["port"] is not None and not _is_port(at["port"]):
        raise wrong(
            "what stands after the host's colon is no port",
            "write a number from 1 to 65535, and : in a password as %3A",
        )
    if not tail.partition("?")[0].strip("/"):
        raise wrong("this URL names no database", "end it with a slash and the database's name")
    if find_spec(server.driver) is None:
        fix = f"install clinicrelay[{server.extra}], or clinicrelay[all]"
        raise wrong("the driver of this database is not installed", fix)


def _is_port(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9]{1,5}", text)) and 0 < int(text) < 1 << 16


def resolved(url: str, data: Path) -> str:
    """Return a URL for SQLAlchemy: driver named, a relative SQLite file placed in `data`."""
    scheme, _, rest = url.partition("://")
    if scheme != "sqlite":
        return f"{_SERVERS[scheme].dialect}://{rest}"
    name = rest.removeprefix("/")
    return url if name in ("", ":memory:") else f"sqlite:///{data / name}"
