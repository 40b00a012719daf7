"""The first lock: what may stand in a query, and what is bound into it."""

from __future__ import annotations

import hmac
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.sql.query import BadQuery, approve, check, tidied


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
