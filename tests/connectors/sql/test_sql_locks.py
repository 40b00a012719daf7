"""Nothing is ever written: each way that was found to get past one lock ends at another.

Every attempt is made twice: as the query of the settings, and past the parser, straight into the
session. After each the rows of the clinic and the files around are what they were.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from clinicrelay.errors import Refused, TryLater
from clinicrelay.testing.connectors import cycle
from connectors.sql import Sql

ON_POSTGRES = pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
SERVERS = pytest.mark.parametrize("store_url", ["postgresql", "mysql"], indirect=True)

EVERYWHERE = (
    "DELETE FROM appointments",
    "UPDATE appointments SET status = 'x'",
    "INSERT INTO appointments (appointment_id) VALUES ('x')",
    "DROP TABLE appointments",
    "CREATE TABLE theirs (a INT)",
    "DELETE FROM appointments; SELECT 1",
    "SELECT 1; DELETE FROM appointments",
    "SELECT 1; COMMIT; DELETE FROM appointments",
    "EXPLAIN DELETE FROM appointments",
    "VALUES (1)",
)
ATTEMPTS = {
    "postgresql": (
        "WITH gone AS (DELETE FROM appointments RETURNING *) SELECT * FROM gone",
        "SELECT nextval('numbers')",
        "SET TRANSACTION READ WRITE; DELETE FROM appointments",
        "SELECT 1; COMMIT; BEGIN READ WRITE; DELETE FROM appointments; COMMIT",
        "COPY (SELECT 1) TO PROGRAM 'touch {file}'",
        "COPY appointments TO '{file}'",
        "SELECT set_config('transaction_read_only', 'off', true), strike()",
        "SELECT * INTO theirs FROM appointments",
        "SELECT * FROM appointments FOR UPDATE",
        "SELECT lo_export(1, '{file}')",
        "DO $$ BEGIN DELETE FROM appointments; END $$",
        "SELECT query_to_xml('DELETE FROM appointments RETURNING *', true, true, '')",
        "SELECT 1 /* /* */ */; DELETE FROM appointments --",
    ),
    "mysql": (
        "SELECT 1 /*!50000 INTO OUTFILE '{file}' */",
        "SELECT 1 /*M!100000 INTO OUTFILE '{file}' */",
        "SELECT * FROM appointments INTO OUTFILE '{file}'",
        "SELECT status INTO DUMPFILE '{file}' FROM appointments",
        "SELECT 1 --1 INTO OUTFILE '{file}'",
        "SELECT 1 /* /* */ INTO OUTFILE '{file}' -- */",
        "SELECT 1 # \n INTO OUTFILE '{file}'",
        "SET SESSION TRANSACTION READ WRITE; COMMIT; DELETE FROM appointments",
        "COMMIT; DELETE FROM appointments",
        "SELECT * FROM appointments LOCK IN SHARE MODE",
        "SELECT status INTO @kept FROM appointments",
        "SELECT LOAD_FILE('/etc/hostname')",
        "HANDLER appointments OPEN",
        "TRUNCATE TABLE appointments",
    ),
    "sqlite": (
        "ATTACH '{file}' AS theirs",
        "PRAGMA query_only = OFF",
        "PRAGMA writable_schema = ON",
        "VACUUM INTO '{file}'",
        "SELECT load_extension('{file}')",
        "WITH one AS (SELECT 1) DELETE FROM appointments",
        "REPLACE INTO appointments (appointment_id) VALUES ('A-1')",
    ),
}
# Parsed or not, these change nothing, or only what a session forgets.
_HARMLESS = ("VALUES", "EXPLAIN", "LOCK IN SHARE", "@kept", "LOAD_FILE", "FOR UPDATE")


@pytest.fixture
def held(clinic: Any, tmp_path: Path) -> Any:
    """A clinic with visits and functions that write; after each test it is as it was."""
    clinic.open()
    clinic.book(1, 2, 3)
    if clinic.kind == "postgresql":
        clinic.run("CREATE SEQUENCE numbers")
        clinic.run(
            "CREATE FUNCTION strike() RETURNS int LANGUAGE sql AS "
            "'DELETE FROM appointments; SELECT 1'"
        )
    if clinic.kind == "mysql":
        clinic.run(
            "CREATE FUNCTION strike() RETURNS int MODIFIES SQL DATA BEGIN "
            "DELETE FROM appointments; RETURN 1; END"
        )
    before, files = _state(clinic), sorted(tmp_path.rglob("*"))
    yield clinic
    assert _state(clinic) == before
    assert sorted(tmp_path.rglob("*")) == files


def _state(clinic: Any) -> Any:
    tables = {
        "sqlite": "SELECT name FROM sqlite_master",
        "postgresql": "SELECT relname::text FROM pg_class "
        "WHERE relnamespace = current_schema()::regnamespace",
        "mysql": "SHOW TABLES",
    }
    return sorted(clinic.rows("SELECT * FROM appointments")), sorted(
        clinic.rows(tables[clinic.kind])
    )


def _attempts(clinic: Any, folder: Path) -> list[str]:
    texts = (*EVERYWHERE, *ATTEMPTS[clinic.kind])
    return [text.replace("{file}", str(folder / "theirs")) for text in texts]


def test_each_known_bypass_is_refused_as_a_query(held: Any, tmp_path: Path) -> None:
    let_through = []
    for text in _attempts(held, tmp_path):
        try:
            connector = held.connector(query=text, key=None)
            connector.approved()
        except (ValidationError, Refused):
            continue
        let_through.append(text)
    assert not let_through


def test_each_known_bypass_ends_at_the_session_where_no_parser_looks(
    held: Any, tmp_path: Path
) -> None:
    let_through = []
    for text in _attempts(held, tmp_path):
        server = held.connector().server
        try:
            rows = server.ask(text, {}, 10)
            rows.close()
        except (Refused, TryLater):
            continue
        finally:
            server.close()
        let_through.append(text)
    assert [text for text in let_through if not any(h in text for h in _HARMLESS)] == []


@SERVERS
def test_a_function_that_writes_is_stopped_by_the_session(held: Any) -> None:
    """SQLite keeps no functions of its own."""
    server = held.connector().server
    with pytest.raises(Refused, match="read-only session"):
        server.ask("SELECT appointment_id, strike() AS n FROM appointments", {}, 10)


def test_one_session_stays_locked_after_each_refusal(held: Any) -> None:
    """A refusal must not leave the next statement in a transaction that may write."""
    connector = held.connector()
    for _ in range(2):
        with pytest.raises((Refused, TryLater)):
            connector.server.ask("DELETE FROM appointments", {}, 10)
    assert len(cycle(connector, None).records) == 3


def test_a_url_cannot_take_a_lock_off(sqlite_clinic: Any) -> None:
    for url in (
        "mysql://u:p@db.example/x?client_flag=65536",
        "mysql://u:p@db.example/x?init_command=SET+SESSION+TRANSACTION+READ+WRITE",
        "mysql://u:p@db.example/x?local_infile=1",
        "mysql://u:p@db.example/x?read_default_file=/etc/my.cnf",
        "mysql+mysqldb://u:p@db.example/x",
        "postgresql+psycopg2://u:p@db.example/x",
        "sqlite:///file:x.db?mode=rwc&uri=true",
        "sqlite+aiosqlite:///x.db",
    ):
        with pytest.raises(ValidationError) as error:
            sqlite_clinic.connector(url=url)
        assert "p@db" not in str(error.value)


@ON_POSTGRES
def test_options_of_the_url_do_not_make_the_session_writable(clinic: Any) -> None:
    clinic.open()
    clinic.book(1)
    loose = clinic.url.replace("options=", "options=-cdefault_transaction_read_only%3Doff%20")
    server = clinic.connector(url=loose).server
    assert server.look("SHOW transaction_read_only") == [("on",)]
    with pytest.raises(Refused, match="read-only"):
        server.look("DELETE FROM appointments")


def test_sqlite_never_makes_a_file(sqlite_clinic: Any, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is not there"):
        sqlite_clinic.read(url="sqlite:///missing.db")
    assert not (tmp_path / "missing.db").exists()


def test_sqlite_is_denied_by_the_authorizer_even_where_the_file_could_be_written(
    sqlite_clinic: Any, tmp_path: Path
) -> None:
    sqlite_clinic.open()
    connection = sqlite_clinic.connector().server.connection
    for statement in ("PRAGMA query_only", f"ATTACH '{tmp_path / 'new.db'}' AS new", "ANALYZE"):
        with pytest.raises(sqlite3.DatabaseError):
            connection.execute(statement)
    assert not (tmp_path / "new.db").exists()


def test_the_plugin_is_found_by_its_name() -> None:
    from clinicrelay.plugins import find

    assert find("connectors", "sql") is Sql
