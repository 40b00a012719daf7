"""Each thing that goes wrong is made to go wrong, and said by a sentence that is true of it alone."""

from __future__ import annotations

import secrets
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from clinicrelay.errors import Refused, TryLater
from connectors.sql import troubles
from connectors.sql.server import server_of

SERVERS = pytest.mark.parametrize("store_url", ["postgresql", "mysql"], indirect=True)
ON_POSTGRES = pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
ON_MYSQL = pytest.mark.parametrize("store_url", ["mysql"], indirect=True)
EVERY, PG, MY, LITE = ("postgresql", "mysql", "sqlite"), "postgresql", "mysql", "sqlite"

QUERIES = {
    "table": (EVERY, "SELECT * FROM nowhere", "names a table that is not there: NAME"),
    "table of two words": (EVERY, "SELECT * FROM {q}no where{q}", "that is not there: NAME"),
    "column": (EVERY, "SELECT nobody FROM t", "names a column that is not there: nobody"),
    "function": (
        EVERY,
        "SELECT nofunc(n) FROM t",
        "calls a function that the database does not have",
    ),
    "arguments": (EVERY, "SELECT lower(n, n, n) FROM t", "or not for such values: lower"),
    "zero": (PG, "SELECT 1 / (n - 1) FROM t", "divides by zero"),
    "large": (EVERY, "SELECT {large} FROM t", "computes a number that is too large"),
    "kinds": (PG, "SELECT n FROM t WHERE w = s", "compares things that do not compare"),
    "union": (PG, "SELECT n FROM t UNION SELECT s FROM t", "compares things that do not compare"),
    "time": (PG, "SELECT s::timestamp FROM t", "takes something for a time, a number or JSON"),
    "number": (PG, "SELECT s::int FROM t", "takes something for a time, a number or JSON"),
    "json": (LITE, "SELECT json('{{')", "takes something for a time, a number or JSON"),
    "pattern": (
        PG,
        "SELECT regexp_replace(s, '(', '') FROM t",
        "something that cannot be computed",
    ),
    "several": (
        (PG, MY),
        "SELECT (SELECT 1 UNION SELECT 2) FROM t",
        "gives several rows where one",
    ),
    "which": (EVERY, "SELECT n FROM t a, t b", "a column that several of its tables have: n"),
    "syntax": (EVERY, "SELECT n FROM t WHERE", "does not understand the query"),
    "unions": (EVERY, "SELECT 1 UNION SELECT 1, 2", "does not understand the query"),
    "aggregate": (EVERY, "SELECT count(count(*)) FROM t", "does not understand the query"),
    "slow": (EVERY, "SELECT {slow}", "took longer than the timeout"),
}
LARGE = {PG: "2147483647 + n", MY: "9223372036854775807 + n", LITE: "abs(-9223372036854775807 - n)"}
SLOW = {
    PG: "pg_sleep(9)",
    MY: f"COUNT(*) FROM {', '.join(f'information_schema.columns c{n}' for n in range(4))}",
    LITE: "COUNT(*) FROM (WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) "
    "SELECT i FROM c)",
}
OF_KINDS = [
    pytest.param(kind, name, id=f"{kind}-{name}")
    for name, (kinds, _, _) in QUERIES.items()
    for kind in ((kinds,) if isinstance(kinds, str) else kinds)
]


def test_no_two_troubles_are_said_alike() -> None:
    said = [one.message for one in vars(troubles).values() if isinstance(one, troubles.Trouble)]
    assert len(said) > 30
    assert len(set(said)) == len(said)


def asked(url: str, query: str = "SELECT 1 AS a", folder: Any = None) -> str:
    """Return what a query raises, with what to do."""
    server = server_of(make_url(url), timeout=timedelta(seconds=1), folder=folder)
    try:
        with pytest.raises((TryLater, Refused)) as error:
            server.ask(query, {}, 10).close()
    finally:
        server.close()
    assert isinstance(error.value, TryLater) or error.value.fix
    words = f"{error.value} {getattr(error.value, 'fix', '')}"
    assert not [secret for secret in ("Ann Sample", "hush") if secret in words]
    return str(error.value)


@pytest.mark.parametrize(("store_url", "name"), OF_KINDS, indirect=["store_url"])
def test_what_is_wrong_with_a_query_is_said(clinic: Any, name: str) -> None:
    clinic.run("CREATE TABLE t (n INTEGER, s VARCHAR(20), w TIMESTAMP)")
    clinic.run("INSERT INTO t (n, s) VALUES (1, 'Ann Sample')")
    _, query, sentence = QUERIES[name]
    quote = "`" if clinic.kind == MY else '"'
    text = query.format(q=quote, large=LARGE[clinic.kind], slow=SLOW[clinic.kind])
    where = f"{clinic.engine.url.database}." if clinic.kind == MY else ""
    missing = where + ("no where" if "no where" in query else "nowhere")
    said = asked(clinic.url, text, clinic.folder)
    assert sentence.replace("NAME", missing) in said


@SERVERS
def test_a_view_that_does_not_work_is_told_from_a_wrong_query(clinic: Any) -> None:
    clinic.run("CREATE TABLE t (n INTEGER)")
    clinic.run("CREATE VIEW v AS SELECT n FROM t")
    clinic.run("DROP TABLE t" + (" CASCADE" if clinic.kind == PG else ""))
    said = asked(clinic.url, "SELECT * FROM v")
    assert ("reads a view that does not work" in said) == (clinic.kind == MY)


@ON_MYSQL
def test_no_right_to_a_table_and_to_a_column(clinic: Any) -> None:
    clinic.run("CREATE TABLE t (n INTEGER, s INTEGER)")
    with account(clinic) as url:
        base = clinic.engine.url.database
        assert "not into this database" in asked(url)
        clinic.run(f"GRANT INSERT ON {base}.t TO {named(url)}")
        assert f"may not read what the query names: {base}.t" in asked(url, "SELECT * FROM t")
        clinic.run(f"GRANT SELECT (n) ON {base}.t TO {named(url)}")
        assert "may not read what the query names: s" in asked(url, "SELECT n, s FROM t")


def named(url: str) -> str:
    return f"'{make_url(url).username}'@'%'"


@contextmanager
def account(clinic: Any, word: str = "right") -> Iterator[str]:
    """An account of its own, and the URL to come in by."""
    name = f"cr_{secrets.token_hex(6)}"
    who = name if clinic.kind == PG else f"'{name}'@'%'"
    kind = "ROLE" if clinic.kind == PG else "USER"
    clinic.run(
        f"CREATE ROLE {who} LOGIN PASSWORD 'right'"
        if clinic.kind == PG
        else f"CREATE USER {who} IDENTIFIED BY 'right'"
    )
    try:
        made = clinic.engine.url.set(username=name, password=word)
        yield made.render_as_string(hide_password=False)
    finally:
        clinic.run(f"DROP {kind} {who}")


@SERVERS
def test_what_keeps_us_out_is_said(clinic: Any) -> None:
    url = clinic.engine.url
    said = {
        "down": asked(_text(url.set(port=9))),
        "host": asked(_text(url.set(host="nowhere.invalid"))),
        "database": asked(_text(url.set(database="nowhere"))),
        "user": asked(_text(url.set(username="cr_nobody", password="x"))),
        "other kind": asked(_text(url.set(port=3306 if clinic.kind == PG else 5432))),
    }
    expected = {
        "down": "does not answer",
        "host": "the name of the host in the URL is not known here",
        "database": "has no database of the name in the URL",
        "user": "has no account of the name" if clinic.kind == PG else "does not accept the user",
        "other kind": "no database of this kind",
    }
    assert {name: expected[name] in said[name] for name in said} == dict.fromkeys(said, True)


def _text(url: Any) -> str:
    return str(url.render_as_string(hide_password=False))


@ON_MYSQL
def test_mysql_is_told_no_password_and_no_database(clinic: Any) -> None:
    with account(clinic, "hush") as url:
        assert "does not accept the user or its password" in asked(url)
    said = asked(_text(clinic.engine.url.set(database="")), "SELECT * FROM t")
    assert "the URL names no database" in said


@ON_POSTGRES
def test_a_role_that_may_not_log_in_and_one_with_no_connection_left(clinic: Any) -> None:
    with account(clinic) as url:
        name = make_url(url).username
        clinic.run(f"ALTER ROLE {name} CONNECTION LIMIT 0")
        assert "has no connection left for us" in asked(url)
        clinic.run(f"ALTER ROLE {name} NOLOGIN")
        assert "does not let it log in" in asked(url)


@SERVERS
def test_a_server_without_encryption_is_told_from_a_file_that_is_missing(
    clinic: Any, tmp_path: Any
) -> None:
    refused = "sslmode=require" if clinic.kind == PG else f"ssl_ca={_certificates()}"
    sign = "&" if "?" in clinic.url else "?"
    assert "no encrypted connection" in asked(f"{clinic.url}{sign}{refused}")
    url = clinic.url
    if clinic.kind == PG:  # the file is looked for once the server has agreed
        url = _text(make_url(url).set(port=listening(b"S")))
        missing = f"sslmode=verify-full&sslrootcert={tmp_path}/none"
    else:
        missing = f"ssl_ca={tmp_path}/none"
    assert "a file of certificates that the URL names is not there" in asked(
        f"{url}{sign}{missing}"
    )


def _certificates() -> str:
    import certifi

    return str(certifi.where())


# --- as a server says it, which this one cannot be brought to say --------------------------------------


def listening(*answers: bytes) -> int:
    """Return the port of a server that gives one answer to each thing it is told, and hangs up."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with server, server.accept()[0] as peer:
            for answer in answers:
                peer.recv(4096)
                peer.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return int(server.getsockname()[1])


def fatal(code: str, text: str) -> bytes:
    """Return an ErrorResponse of PostgreSQL's protocol, version 3."""
    body = b"".join(
        f"{kind}{said}\0".encode() for kind, said in (("S", "FATAL"), ("C", code), ("M", text))
    )
    return b"E" + (len(body) + 5).to_bytes(4, "big") + body + b"\0"


ASKS_FOR_PASSWORD = b"R" + (8).to_bytes(4, "big") + (3).to_bytes(4, "big")


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ((ASKS_FOR_PASSWORD, fatal("28P01", 'password authentication failed for user "r"')),
         "does not accept the user or its password"),
        ((fatal("28000", 'no pg_hba.conf entry for host "10.0.0.9"'),), "does not let this user in"),
        ((fatal("28000", 'role "password" does not exist'),), "has no account of the name"),
        ((fatal("3D000", 'database "ssl" does not exist'),), "has no database of the name"),
        ((fatal("57P03", "the database system is starting up"),), "is just starting up"),
        ((fatal("53300", "sorry, too many clients already"),), "has no connection left"),
        ((fatal("28000", "Rolle »r« existiert nicht"),), "lets nobody in, for a reason"),
        ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), "is no database of this kind"),
        ((b"",), "closed the connection before anything was asked"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_a_postgresql_says_before_it_lets_us_in(
    answers: tuple[bytes, ...], sentence: str
) -> None:
    url = f"postgresql+psycopg://r:hush@127.0.0.1:{listening(*answers)}/x?sslmode=disable"
    assert sentence in asked(url)


@SERVERS
def test_a_query_that_somebody_stops_is_told_from_a_timeout(clinic: Any) -> None:
    server = server_of(make_url(clinic.url), timeout=timedelta(seconds=9), folder=None)
    if clinic.kind == PG:
        stop = f"SELECT pg_cancel_backend({server.connection.info.backend_pid})"
    else:
        stop = f"KILL QUERY {server.connection.thread_id()}"
    timer = threading.Timer(0.5, lambda: clinic.run(stop))
    timer.start()
    with pytest.raises(TryLater, match="somebody at the database stopped the query"):
        server.ask(f"SELECT {SLOW[clinic.kind]}", {}, 10)
    timer.join()
    server.close()


# --- SQLite's file ---------------------------------------------------------------------------------


def test_what_is_wrong_with_a_file_is_said(sqlite_clinic: Any, tmp_path: Any) -> None:
    sqlite_clinic.run("CREATE TABLE t (n INTEGER)")
    sqlite_clinic.run("INSERT INTO t VALUES (1)")
    whole = (tmp_path / "clinic.db").read_bytes()
    (tmp_path / "text.db").write_text("no database, but long enough to be taken for one " * 30)
    (tmp_path / "broken.db").write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    said = {
        name: asked(f"sqlite:///{name}", "SELECT * FROM t", tmp_path)
        for name in ("missing.db", "text.db", "broken.db")
    }
    assert said == {
        "missing.db": "the file in the URL is not there",
        "text.db": "the file in the URL is no SQLite database, or an encrypted one",
        "broken.db": "the file in the URL is a damaged SQLite database",
    }


def test_a_file_that_another_holds_is_said(
    sqlite_clinic: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.sql.sqlite._BUSY_SECONDS", 0.1)
    sqlite_clinic.run("CREATE TABLE t (n INTEGER)")
    other = sqlite3.connect(tmp_path / "clinic.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert "another program holds a lock" in asked(sqlite_clinic.url, "SELECT * FROM t", tmp_path)
    other.close()


def test_a_file_that_may_not_be_opened_is_said(
    sqlite_clinic: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: Any, **__: Any) -> None:
        raise sqlite3.OperationalError("unable to open database file")

    sqlite_clinic.run("CREATE TABLE t (n INTEGER)")
    monkeypatch.setattr("sqlite3.connect", denied)  # the tests may run as root, who is never denied
    said = asked("sqlite:///clinic.db", "SELECT * FROM t", tmp_path)
    assert said == "the file in the URL is there, but may not be opened"
