"""Nothing is ever written: each way that was found to get past one lock ends at another.

Every attempt is made twice: as the query of the settings, and past the parser, straight into the
session. After each the rows of the clinic and the files around are what they were.
"""

from __future__ import annotations

import hmac
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from clinicrelay.errors import Refused, TryLater
from clinicrelay.testing.connectors import cycle
from connectors.sql import Sql
from connectors.sql.query import BadQuery, approve, check, tidied

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


# --- the parser ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backend", "text"),
    [
        ("postgresql", "SELECT a, b::date FROM t WHERE c >= :watermark"),
        ("postgresql", "WITH v AS (SELECT * FROM t) SELECT v.*, 'a:b' AS c FROM v -- the visits\n"),
        ("postgresql", "SELECT 1 AS a UNION ALL SELECT 2 ORDER BY a"),
        ("postgresql", "SELECT data #>> '{a,b}' AS x, coalesce(a, b) FROM t WHERE d ->> 'k' = '1'"),
        ("mysql", "SELECT IFNULL(a, '0000-00-00') AS a, `order` FROM t LEFT JOIN u USING (id)"),
        ("mysql", "SELECT CONCAT(a, ' ', b) AS n FROM t WHERE s <> '*' AND d < :window_end"),
        ("sqlite", 'SELECT "a b", datetime(t, \'utc\') FROM [my table]'),
        ("mssql", "SELECT [a], CONVERT(varchar, b, 126) AS b FROM dbo.t"),
        ("oracle", "SELECT a, TO_CHAR(b, 'YYYY-MM-DD') AS b FROM t"),
        ("sqlite", "SELECT a FROM t WHERE b = 'x' AND c >= :watermark AND d <> 'y {or} z:w'"),
    ],
)  # fmt: skip
def test_what_only_reads_is_let_through(backend: str, text: str) -> None:
    check(tidied(text), backend)


@pytest.mark.parametrize(
    ("backend", "text"),
    [
        ("mssql", "SELECT * INTO theirs FROM t"),
        ("mssql", "EXEC xp_cmdshell 'dir'"),
        ("mssql", "SELECT * FROM OPENROWSET('x', 'y', 'z')"),
        ("mssql", "SELECT * FROM t WITH (NOLOCK)"),
        ("oracle", "SELECT * FROM t FOR UPDATE"),
        ("postgresql", "SELECT pg_read_file('/etc/passwd')"),
        ("postgresql", "SELECT * FROM dblink('x', 'delete from t') AS t(a int)"),
        ("postgresql", "SELECT pg_terminate_backend(1)"),
        ("postgresql", "SELECT E'\\'' INTO theirs"),
        ("postgresql", "SELECT $a$ x $a$"),
        ("postgresql", "SELECT 1 -- a\r INTO theirs"),
        ("mysql", "SELECT SLEEP(5)"),
        ("mysql", "SELECT @a := 1"),
        ("sqlite", "SELECT writefile('x', 'y')"),
    ],
)
def test_what_does_more_than_read_is_refused(backend: str, text: str) -> None:
    with pytest.raises(BadQuery) as error:
        check(tidied(text), backend)
    assert error.value.fix


@pytest.mark.parametrize(
    ("backend", "call"),
    [
        ("postgresql", "ts_stat('select dblink_exec(''delete from t'')')"),
        ("postgresql", "lo_export(1, 'x')"),
        ("postgresql", "pg_catalog.pg_terminate_backend(1)"),
        ("postgresql", "set_config('a', 'b', false)"),
        ("postgresql", "pg_stat_reset()"),
        ("postgresql", "ts_rewrite('a', 'select 1')"),
        ("postgresql", "crosstab('select 1')"),
        ("postgresql", "pg_backup_start('a')"),
        ("postgresql", "pg_sleep(9)"),
        ("postgresql", "theirs.lower('x')"),
        ("mysql", "spider_direct_sql('a', 'b', 'c')"),
        ("mysql", "benchmark(9, 1)"),
        ("mysql", "theirs.lower('x')"),
        ("sqlite", "load_extension('x')"),
        ("sqlite", "zeroblob(1000000000)"),
        ("mssql", "dbo.strike(1)"),
        ("oracle", "utl_http.request('x')"),
    ],
)
def test_a_function_that_nobody_knows_is_refused_by_its_name(backend: str, call: str) -> None:
    name = call.partition("(")[0].removeprefix("pg_catalog.")
    for text in (
        f"SELECT {call} AS a",
        f"SELECT * FROM {call}",
        f"SELECT a FROM t WHERE {call} > 1",
    ):
        with pytest.raises(BadQuery, match=name) as error:
            check(tidied(text), backend)
        assert "view" in error.value.fix


@pytest.mark.parametrize(
    ("backend", "text"),
    [
        ("postgresql", "SELECT to_char(a, 'x'), timezone('utc', b), age(a), pg_catalog.lower(c) FROM t"),
        ("postgresql", "SELECT string_agg(a, ',') FILTER (WHERE b), row_number() OVER () FROM t"),
        ("postgresql", "SELECT d FROM generate_series(1, 2) d, unnest(ARRAY[1]) u, "
         "LATERAL jsonb_array_elements(x) j WHERE a = ANY(ARRAY['b']) AND make_date(1, 2, 3) < now()"),
        ("postgresql", "SELECT date_trunc('day', a) + interval '1 day', extract(epoch FROM a), "
         "a AT TIME ZONE 'UTC', md5(b), regexp_replace(a, 'b', 'c'), (a->'b')->>'c' FROM t"),
        ("mysql", "SELECT DATE_FORMAT(a, 'x'), STR_TO_DATE(a, 'x'), CONVERT_TZ(a, b, c), "
         "FROM_UNIXTIME(a), UNIX_TIMESTAMP(a), GROUP_CONCAT(b SEPARATOR ','), TIMESTAMP(a, b), "
         "ADDTIME(a, b), SEC_TO_TIME(a), IF(a, b, c), CONCAT_WS(' ', a, b), NULLIF(a, 0), "
         "DATE_ADD(a, INTERVAL 1 DAY), JSON_UNQUOTE(JSON_EXTRACT(a, 'b')) FROM t"),
        ("sqlite", "SELECT strftime('x', a), julianday(a), ifnull(a, b), datetime(a, 'unixepoch'), "
         "printf('x', a), trim(a), substr(a, 1, 2), iif(a, b, c), j.value FROM t, json_each(x) j"),
        ("mssql", "SELECT ISNULL(a, b), DATEADD(day, 1, a), FORMAT(a, 'x'), GETDATE() FROM dbo.t"),
        ("oracle", "SELECT NVL(a, b), TO_DATE(a, 'x'), TRUNC(a), DECODE(a, b, c), SYSDATE FROM t"),
    ],
)  # fmt: skip
def test_functions_that_only_compute_are_let_through(backend: str, text: str) -> None:
    check(tidied(text), backend)


@pytest.mark.parametrize(
    ("backend", "text"),
    [
        ("postgresql", "SELECT a FROM t ORDER BY a LIMIT 100"),
        ("postgresql", "SELECT a FROM t OFFSET 5"),
        ("postgresql", "SELECT a FROM t FETCH FIRST 5 ROWS ONLY"),
        ("postgresql", "(SELECT a FROM t LIMIT 5)"),
        ("postgresql", "(SELECT a FROM t) LIMIT 5"),
        ("postgresql", "SELECT a FROM (SELECT a FROM t LIMIT 5) x"),
        ("postgresql", "WITH v AS (SELECT a FROM t LIMIT 5) SELECT a FROM v"),
        ("mysql", "SELECT a FROM t UNION ALL (SELECT a FROM u LIMIT 5)"),
        ("mysql", "SELECT a FROM t LIMIT 5, 10"),
        ("sqlite", "SELECT a FROM t LIMIT -1 OFFSET 3"),
        ("mssql", "SELECT TOP 5 a FROM dbo.t"),
        ("oracle", "SELECT a FROM t FETCH FIRST 5 ROWS ONLY"),
    ],
)
def test_a_query_that_ends_at_a_number_of_rows_is_refused(backend: str, text: str) -> None:
    with pytest.raises(BadQuery, match="taken for deleted"):
        check(tidied(text), backend)


def test_a_number_of_rows_may_stand_where_a_single_value_is_looked_up() -> None:
    text = "SELECT a, (SELECT n FROM d WHERE d.a = t.a ORDER BY n LIMIT 1) AS n FROM t"
    check(tidied(text), "postgresql")


def test_only_the_names_that_mean_something_can_be_bound(sqlite_clinic: Any) -> None:
    with pytest.raises(ValidationError, match="nothing is bound to :since"):
        sqlite_clinic.connector(query="SELECT * FROM t WHERE a > :since")


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("a >= :Watermark", "did you mean :watermark?"),
        ("a >= :window_strat", "did you mean :window_start?"),
        ("a >= '{window_start:dat}'", "in braces"),
        ("a < {window_end:%Q}", "in braces"),
        ("a < ':window_end'", "inside quotes"),
        ("a >= timestamp ':watermark'", "inside quotes"),
        ("a >= %(watermark)s", "as Python writes it"),
        ("a >= @window_start", "as a variable"),
        ("a >= $watermark", "as a variable"),
    ],
)
def test_a_name_that_is_written_otherwise_is_an_error_when_settings_are_read(
    sqlite_clinic: Any, where: str, said: str
) -> None:
    """Compared as a mere text it would let every row through, or none."""
    with pytest.raises(ValidationError) as error:
        sqlite_clinic.connector(query=f"SELECT * FROM t WHERE {where}", cursor="a")
    assert said in str(error.value.errors()[0])


@pytest.mark.parametrize("backend", ["postgresql", "mysql", "sqlite", "mssql", "oracle"])
def test_a_question_mark_to_which_nothing_is_bound_is_refused(backend: str) -> None:
    with pytest.raises(BadQuery):
        check("SELECT a FROM t WHERE b >= ?", backend)
    check("SELECT a FROM t WHERE b >= :window_start AND c = 'why?'", backend)


def test_a_text_that_was_found_right_is_not_parsed_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memory: dict[str, Any] = {}
    approve("SELECT 1 AS a", "sqlite", memory=memory, key=b"k" * 32)
    monkeypatch.setattr("connectors.sql.query.check", _never)
    approve("SELECT 1 AS a", "sqlite", memory=memory, key=b"k" * 32)
    with pytest.raises(AssertionError):  # another text is
        approve("SELECT 2 AS a", "sqlite", memory=memory, key=b"k" * 32)
    with pytest.raises(AssertionError):  # and the same text for another server
        approve("SELECT 1 AS a", "mysql", memory=memory, key=b"k" * 32)


def test_nobody_can_slip_a_text_past_the_parser() -> None:
    """Who can write into the memory still lacks the key that a seal is made with."""
    bad = "WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d"
    forged = hmac.digest(b"", b"query\x004\x00postgresql\x00" + bad.encode(), "sha256").hex()
    for key in (b"k" * 32, b""):
        with pytest.raises(BadQuery):
            approve(bad, "postgresql", memory={"query": forged}, key=key)


def test_without_a_key_nothing_is_remembered() -> None:
    memory: dict[str, Any] = {}
    approve("SELECT 1 AS a", "sqlite", memory=memory, key=b"")
    assert not memory


def _never(*_: object) -> None:
    raise AssertionError("parsed")


def test_the_plugin_is_found_by_its_name() -> None:
    from clinicrelay.plugins import find

    assert find("connectors", "sql") is Sql
