"""What goes wrong with a database is said in a sentence of its own, and nothing is taken for deleted."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy.engine import make_url

from clinicrelay.contracts import Page
from clinicrelay.errors import Refused, TryLater
from clinicrelay.testing.kits import NOW, WINDOW

ON_POSTGRES = pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
SERVERS = pytest.mark.parametrize("store_url", ["postgresql", "mysql"], indirect=True)

SECRET = "hunter2-canary"


def changed(clinic: Any, **parts: Any) -> str:
    return make_url(clinic.url).set(**parts).render_as_string(hide_password=False)


def trouble(clinic: Any, **said: Any) -> Any:
    """Return what a read with such settings raises."""
    with pytest.raises((TryLater, Refused)) as error:
        clinic.read(**said)
    words = f"{error.value} {getattr(error.value, 'fix', '')}"
    assert SECRET not in words
    assert "Ann Sample" not in words
    return error.value


def test_each_failure_has_a_sentence_of_its_own(clinic: Any) -> None:
    clinic.open()
    clinic.book(1)
    said = {
        "table": trouble(clinic, query="SELECT * FROM apointments"),
        "column": trouble(clinic, query="SELECT appointment_idd FROM appointments"),
        "cursor": trouble(clinic, cursor="changed_at"),
        "key": trouble(clinic, key="number"),
    }
    if clinic.kind == "sqlite":
        said["file"] = trouble(clinic, url="sqlite:///nowhere.db")
        (clinic.folder / "text.db").write_text(
            "no database at all, but long enough to be one " * 30
        )
        said["kind"] = trouble(clinic, url="sqlite:///text.db")
    else:
        said |= {
            "host": trouble(clinic, url=changed(clinic, host="nowhere.invalid", password=SECRET)),
            "port": trouble(clinic, url=changed(clinic, port=9, host="127.0.0.1", password=SECRET)),
            "database": trouble(clinic, url=changed(clinic, database="nowhere")),
        }
    assert len({str(error) for error in said.values()}) == len(said)
    for name, error in said.items():
        assert getattr(error, "fix", "") or isinstance(error, TryLater), name
    assert "apointments" in str(said["table"])
    if clinic.kind != "sqlite":
        assert isinstance(said["port"], TryLater)
        assert isinstance(said["host"], Refused)


@ON_POSTGRES
def test_an_account_without_the_right_is_told_what_to_grant(clinic: Any) -> None:
    """Tried on PostgreSQL, where an account is a role to step into."""
    clinic.open()
    name = f"cr_{id(clinic):x}"
    schema = clinic.rows("SELECT current_schema()::text")[0][0]
    clinic.run(f"CREATE ROLE {name} LOGIN")
    try:
        clinic.run(f"GRANT USAGE ON SCHEMA {schema} TO {name}")
        error = trouble(clinic, url=f"{clinic.url}%20-crole%3D{name}")
        assert "may not read" in str(error)
        assert "GRANT SELECT" in error.fix
    finally:
        clinic.run(f"DROP OWNED BY {name}")
        clinic.run(f"DROP ROLE {name}")


def test_a_query_that_takes_too_long_is_stopped(clinic: Any) -> None:
    clinic.open()
    clinic.book(*range(60))
    join = ", ".join(f"appointments a{n}" for n in range(7))
    slow = f"SELECT COUNT(*) AS appointment_id FROM {join}"
    error = trouble(clinic, query=slow, timeout="1s")
    assert isinstance(error, TryLater)
    assert "timeout" in str(error)


@SERVERS
def test_what_another_holds_is_waited_for_briefly(clinic: Any) -> None:
    """A SQLite file that another holds has a test of its own."""
    clinic.open()
    lock, wait, free = {
        "postgresql": (
            "LOCK TABLE appointments IN ACCESS EXCLUSIVE MODE",
            "lock_timeout = '100ms'",
            "",
        ),
        "mysql": ("LOCK TABLES appointments WRITE", "lock_wait_timeout = 1", "UNLOCK TABLES"),
    }[clinic.kind]
    with clinic.engine.begin() as other:
        other.exec_driver_sql(lock)
        server = clinic.connector().server
        server.connection.cursor().execute(f"SET {wait}")
        with pytest.raises(TryLater, match="holds a lock"):
            server.ask("SELECT * FROM appointments", {}, 10)
        if free:
            other.exec_driver_sql(free)


@SERVERS
def test_a_connection_lost_in_mid_read_loses_nothing_and_deletes_nothing(clinic: Any) -> None:
    clinic.open()
    clinic.book(*range(3000))
    pad = "repeat('x', 2000)"
    query = f"SELECT appointment_id, {pad} AS pad FROM appointments"
    connector = clinic.connector(query=query, fetch_size=10)
    pages: list[Page] = []
    with pytest.raises(TryLater, match="lost"):
        for page in connector.pull(None, WINDOW):
            pages.append(page)
            if len(pages) == 2:
                kill(clinic, connector)
    assert pages
    assert not any(page.last or page.complete or page.covers for page in pages)
    connector.close()
    again = clinic.read(pages[-1].cursor, query=query)
    assert len(again.records) == 3000
    assert again.pages[-1].complete


def kill(clinic: Any, connector: Any) -> None:
    if clinic.kind == "postgresql":
        pid = connector.server.connection.info.backend_pid
        clinic.run(f"SELECT pg_terminate_backend({pid})")
    else:
        clinic.run(f"KILL CONNECTION {connector.server.connection.thread_id()}")


def test_a_missing_driver_is_named_with_its_extra(sqlite_clinic: Any) -> None:
    error = trouble(sqlite_clinic, url="oracle://u:p@db.example/x")
    assert error.fix == "install clinicrelay[oracle]"


def test_two_columns_of_one_name_are_refused_where_one_is_read(sqlite_clinic: Any) -> None:
    sqlite_clinic.open()
    twice = "SELECT appointment_id, status AS Appointment_ID FROM appointments"
    assert "are called" in str(trouble(sqlite_clinic, query=twice))


def test_more_rows_than_can_be_right_are_refused(sqlite_clinic: Any) -> None:
    sqlite_clinic.open()
    sqlite_clinic.book(*range(30))
    assert "more than 20 rows" in str(trouble(sqlite_clinic, max_rows=20, fetch_size=10))


def test_without_a_query_it_is_said_what_to_do(sqlite_clinic: Any) -> None:
    error = trouble(sqlite_clinic, query=None)
    assert "clinicrelay probe test" in error.fix
    (advice,) = sqlite_clinic.connector(query=None).advise()
    assert "clinicrelay probe test" in advice.fix


@pytest.mark.parametrize(
    "query",
    ["WITH d AS (DELETE FROM a RETURNING *) SELECT * FROM d", "SELECT writefile('a', 'b') AS id"],
)
def test_a_query_that_would_be_refused_is_told_without_connecting(
    sqlite_clinic: Any, query: str
) -> None:
    (advice,) = sqlite_clinic.connector(query=query, key="id").advise()
    assert (advice.severity, advice.code) == ("error", "refused_query")
    assert advice.fix


def test_a_missing_key_is_told_once_and_where(sqlite_clinic: Any) -> None:
    sqlite_clinic.open()
    source = sqlite_clinic.connector(key=None)
    told = [finding for finding in (*source.advise(), *source.check()) if finding.code == "no_key"]
    assert [finding.path for finding in told] == [""]  # so that `check` names the source


# --- check -----------------------------------------------------------------------------------------


def codes(clinic: Any, **said: Any) -> dict[str, Any]:
    return {finding.code: finding for finding in clinic.connector(**said).check()}


def test_check_warns_of_an_account_that_could_write(clinic: Any) -> None:
    clinic.open()
    found = codes(clinic, cursor="updated_at")
    assert found.keys() == {"may_write"}
    fix = found["may_write"].fix
    assert "GRANT SELECT" in fix or clinic.kind == "sqlite"
    assert "appointments" in fix or clinic.kind == "sqlite"


def test_the_statements_for_an_account_quote_what_the_query_quotes(clinic: Any) -> None:
    mark = "`" if clinic.kind == "mysql" else '"'
    name = f"{mark}Visit List{mark}"
    clinic.run(f"CREATE TABLE {name} (appointment_id INTEGER)")
    fix = codes(clinic, query=f"SELECT * FROM {name}")["may_write"].fix
    assert f"{name} TO" in fix or clinic.kind == "sqlite"
    assert f"`{clinic.engine.url.database}`.{name}" in fix or clinic.kind != "mysql"


def test_check_goes_on_where_the_clock_cannot_be_asked(sqlite_clinic: Any) -> None:
    def gone(_: Any) -> Any:
        raise TryLater("the connection was lost")

    sqlite_clinic.open()
    connector = sqlite_clinic.connector(cursor="updated_at")
    connector.clock = gone
    assert [finding.code for finding in connector.check()] == ["unreadable_source"]


@ON_POSTGRES
def test_check_says_nothing_of_an_account_that_can_only_read(clinic: Any) -> None:
    clinic.open()
    name = f"cr_{id(clinic):x}"
    schema = clinic.rows("SELECT current_schema()::text")[0][0]
    clinic.run(f"CREATE ROLE {name}")
    try:
        clinic.run(f"GRANT USAGE ON SCHEMA {schema} TO {name}")
        clinic.run(f"GRANT SELECT ON appointments TO {name}")
        assert not codes(clinic, url=f"{clinic.url}%20-crole%3D{name}", cursor="updated_at")
    finally:
        clinic.run(f"DROP OWNED BY {name}")
        clinic.run(f"DROP ROLE {name}")


def test_check_tells_of_a_clock_that_goes_wrong(sqlite_clinic: Any) -> None:
    sqlite_clinic.open()
    connector = sqlite_clinic.connector(cursor="updated_at")
    connector.real_now = lambda: NOW + timedelta(minutes=7)
    assert "7 minutes apart" in {f.code: f for f in connector.check()}["clock_skew"].message


def test_check_tells_that_other_transactions_are_not_seen(clinic: Any) -> None:
    clinic.open()
    clinic.real_clock, clinic.blind = True, True
    connector = clinic.connector(cursor="updated_at")
    found = {finding.code for finding in connector.check()}
    assert ("unseen_transactions" in found) == (clinic.kind != "sqlite")


def test_check_of_a_source_that_is_away_says_only_that(sqlite_clinic: Any) -> None:
    assert codes(sqlite_clinic, url="sqlite:///nowhere.db").keys() == {"unreachable"}


@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        ("postgresq", "postgresql://"),
        ("mysq", "mysql://"),
        ("sqllite", "sqlite://"),
        ("foo", "write postgresql://"),
        ("nodb+nodriver", "write postgresql://"),
    ],
)
def test_a_url_of_no_known_database_is_refused_when_it_is_read(
    sqlite_clinic: Any, scheme: str, said: str
) -> None:
    with pytest.raises(ValidationError, match="no database that is known here") as error:
        sqlite_clinic.connector(url=f"{scheme}://reader:hush@db.example/x")
    assert said in str(error.value.errors()[0])
    assert "hush" not in str(error.value)


def test_a_value_that_would_fill_the_memory_ends_the_read(sqlite_clinic: Any) -> None:
    sqlite_clinic.open()
    sqlite_clinic.book(1)
    sqlite_clinic.run("UPDATE appointments SET status = zeroblob(5000000)")
    with pytest.raises(Refused, match="more than 4 MB"):
        sqlite_clinic.read()
    server = sqlite_clinic.connector().server
    with pytest.raises(Refused, match="more than 4 MB"):
        server.ask("SELECT zeroblob(900000000) AS a", {}, 10)


@pytest.mark.parametrize(("length", "rows"), [(1_000_000, 1), (100_000, 200)])
def test_sqlite_is_stopped_also_within_a_step_of_its_machine(
    sqlite_clinic: Any, monkeypatch: pytest.MonkeyPatch, length: int, rows: int
) -> None:
    """One that takes seconds, and many that take long enough."""
    monkeypatch.setattr("connectors.sql.sqlite._GRACE_SECONDS", 0.2)
    sqlite_clinic.run("CREATE TABLE texts (hay TEXT, needle TEXT)")
    texts = ("a" * length, "a" * (length // 2) + "b")
    sqlite_clinic.run("INSERT INTO texts VALUES (?, ?)", *[texts] * rows)
    began = time.monotonic()
    query = "SELECT SUM(instr(hay, needle)) AS appointment_id FROM texts"
    error = trouble(sqlite_clinic, query=query, timeout="0.3s")
    assert isinstance(error, TryLater)
    assert "timeout" in str(error)
    assert time.monotonic() - began < 2
    assert sqlite_clinic.read(query="SELECT 7 AS appointment_id").records


def test_large_rows_come_in_smaller_batches_and_all_of_them(
    sqlite_clinic: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.sql.sqlite._AT_ONCE", 20_000)
    sqlite_clinic.open()
    sqlite_clinic.book(*range(50))
    sqlite_clinic.run("UPDATE appointments SET status = printf('%04000d', 1)")
    read = sqlite_clinic.read()
    assert len(read.records) == 50
    assert max(len(page.records) for page in read.pages) <= 5
