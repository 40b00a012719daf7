"""What a database offers to `probe`: whatever its tables are called, and however many are broken."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from sqlalchemy.engine import make_url

from clinicrelay.contracts import Offer
from clinicrelay.errors import Refused
from connectors.sql.offers import offers_of
from connectors.sql.others import OtherServer
from connectors.sql.server import server_of

ON_POSTGRES = pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
SERVERS = pytest.mark.parametrize("store_url", ["postgresql", "mysql"], indirect=True)

BROKEN = "CREATE VIEW booking AS SELECT * FROM visits_2019"


def offers(clinic: Any, schema: str | None = None, **said: Any) -> list[Offer]:
    """Return what is offered of the clinic's own tables: the server holds those of other tests too."""
    server = clinic.connector(query=None, **said).server
    own = [
        t for t in server.tables() if (schema is None and len(t.parts) == 1) or t.parts[0] == schema
    ]
    server.tables = lambda: own
    return list(offers_of(server))


def test_probe_offers_the_table_of_appointments_first(clinic: Any) -> None:
    clinic.open()
    clinic.book(*range(9))
    clinic.run("CREATE TABLE audit_log (id INTEGER, what VARCHAR(20))")
    first = next(iter(clinic.connector(query=None).offers()))
    assert first.name == "appointments"
    assert first.settings["cursor"] == "updated_at"
    assert first.settings["key"] == "appointment_id"
    assert len(first.samples) == 5
    read = clinic.read(**first.settings)
    assert len(read.records) == 9


ABROAD = (
    ("termine", "termin_nr", "datum", "geaendert_am"),
    ("v_terminliste", "termin_nr", "datum", "letzte_aenderung"),
    ("citas", "id_cita", "fecha", "fecha_modificacion"),
    ("appuntamenti_citas", "id", "data_ora", "data_modifica"),
)


@pytest.mark.parametrize(("table", "key", "start", "written"), ABROAD)
def test_key_and_time_of_writing_are_found_in_other_languages(
    clinic: Any, table: str, key: str, start: str, written: str
) -> None:
    moment = "TIMESTAMP" if clinic.kind == "postgresql" else "DATETIME"
    clinic.run(
        f"CREATE TABLE {table} (raum INTEGER, {key} INTEGER, {start} VARCHAR(20), {written} {moment})"
    )
    clinic.run(f"INSERT INTO {table} SELECT 3, 7, '2026-12-01 09:30', '2026-11-20 10:00:00'")
    (found,) = offers(clinic)
    assert (found.settings["key"], found.settings["cursor"]) == (key, written)
    assert [record.key for record in clinic.read(**found.settings).records] == ["7"]


def test_who_changed_a_row_is_not_taken_for_when(sqlite_clinic: Any) -> None:
    sqlite_clinic.run(
        "CREATE TABLE termine (termin_nr INTEGER, datum TEXT, changed_by TEXT, geaendert_am TEXT)"
    )
    sqlite_clinic.run("INSERT INTO termine VALUES (7, '2026-12-01', NULL, '2026-11-20 10:00:00')")
    (found,) = offers(sqlite_clinic)
    assert found.settings["cursor"] == "geaendert_am"


def test_what_has_no_time_of_writing_is_said_to_have_none(sqlite_clinic: Any) -> None:
    sqlite_clinic.run("CREATE TABLE visits (visit_id INTEGER, start_time TEXT, updated_at TEXT)")
    sqlite_clinic.run("INSERT INTO visits VALUES (7, '2026-12-01 09:30', 'yes')")
    (found,) = offers(sqlite_clinic)
    assert "cursor" not in found.settings
    assert not any("updated_at seems to say" in note for note in found.notes)


def test_a_view_that_does_not_work_is_told_last_with_its_reason(clinic: Any) -> None:
    clinic.open()
    clinic.book(1)
    clinic.run("CREATE TABLE visits_2019 (visit_id INTEGER, start_time VARCHAR(20))")
    clinic.run(BROKEN)
    break_view(clinic)
    found = offers(clinic)
    assert found[0].name == "appointments"
    assert "booking (not readable: " in found[-1].name
    assert not found[-1].settings
    assert not found[-1].samples


def break_view(clinic: Any) -> None:
    """PostgreSQL lets nobody drop what a view reads; there a division by zero will do."""
    if clinic.kind == "postgresql":
        clinic.run("CREATE OR REPLACE VIEW booking AS SELECT visit_id / 0 AS visit_id, start_time "
                   "FROM visits_2019")  # fmt: skip
        clinic.run("INSERT INTO visits_2019 VALUES (1, '2026-12-01')")
    else:
        clinic.run("DROP TABLE visits_2019")


def test_where_nothing_can_be_read_the_reason_is_said(clinic: Any) -> None:
    clinic.run("CREATE TABLE visits_2019 (visit_id INTEGER, start_time VARCHAR(20))")
    clinic.run(BROKEN)
    break_view(clinic)
    if clinic.kind == "postgresql":
        clinic.run("ALTER TABLE visits_2019 RENAME TO other")
        clinic.run("ALTER TABLE other RENAME COLUMN start_time TO other")
    with pytest.raises(Refused):
        offers(clinic)


NAMES = ('visit "list"', "visit `list`", "Visit List", "visit.list", "visit's 100%")


@pytest.mark.parametrize("name", NAMES)
def test_a_table_is_read_whatever_it_is_called(clinic: Any, name: str) -> None:
    mark = "`" if clinic.kind == "mysql" else '"'
    table, start = (f"{mark}{text.replace(mark, mark * 2)}{mark}" for text in (name, "Start Time"))
    clinic.run(f"CREATE TABLE {table} (id INTEGER, {start} VARCHAR(20))")
    clinic.run(f"INSERT INTO {table} SELECT 7, '2026-12-01 09:30'")
    (found,) = offers(clinic)
    assert found.name == name
    assert found.samples[0]["Start Time"] == "2026-12-01 09:30"
    (record,) = clinic.read(**found.settings).records
    assert record.key == "7"


def test_a_name_that_no_query_may_hold_is_told_with_what_to_do(clinic: Any) -> None:
    clinic.open()
    mark = "`" if clinic.kind == "mysql" else '"'
    clinic.run(f"CREATE TABLE {mark}visits;{mark} (id INTEGER, start VARCHAR(20))")
    assert [offer.name.partition(" (")[0] for offer in offers(clinic)] == [
        "appointments",
        "visits;",
    ]


@SERVERS
def test_a_table_of_another_schema_is_named_with_it(clinic: Any) -> None:
    other = f"cr Other {secrets.token_hex(4)}"
    mark = "`" if clinic.kind == "mysql" else '"'
    clinic.run(f"CREATE SCHEMA {mark}{other}{mark}")
    try:
        clinic.run(f"CREATE TABLE {mark}{other}{mark}.appointments (id INTEGER, start VARCHAR(20))")
        clinic.run(f"INSERT INTO {mark}{other}{mark}.appointments VALUES (7, '2026-12-01 09:30')")
        url = clinic.engine.url
        if clinic.kind == "mysql":
            url = url.set(database="")
        said = {"url": url.render_as_string(hide_password=False)}
        (found,) = offers(clinic, other, **said)
        assert found.name == f"{other}.appointments"
        assert [record.key for record in clinic.read(**found.settings, **said).records] == ["7"]
    finally:
        clinic.run(f"DROP SCHEMA {mark}{other}{mark}{cascade(clinic)}")


def cascade(clinic: Any) -> str:
    return " CASCADE" if clinic.kind == "postgresql" else ""


@ON_POSTGRES
def test_what_the_account_may_not_read_is_told_and_the_rest_is_offered(clinic: Any) -> None:
    clinic.open()
    clinic.book(1)
    clinic.run("CREATE TABLE bookings (id INTEGER, start_time VARCHAR(20))")
    role, schema = f"cr_{secrets.token_hex(6)}", clinic.rows("SELECT current_schema()::text")[0][0]
    clinic.run(f"CREATE ROLE {role}")
    try:
        clinic.run(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
        clinic.run(f"GRANT SELECT (appointment_id, appointment_date) ON appointments TO {role}")
        url = f"{clinic.url}%20-crole%3D{role}"
        found = offers(clinic, url=url)
        assert found[0].name == "appointments"
        assert set(found[0].samples[0]) == {"appointment_id", "appointment_date"}
        assert "bookings (not readable: the account may not read" in found[-1].name
    finally:
        clinic.run(f"DROP OWNED BY {role}")
        clinic.run(f"DROP ROLE {role}")


def test_a_table_is_looked_into_and_not_read(clinic: Any) -> None:
    """A server that keeps results aside would copy a million rows to show five."""
    clinic.open()
    clinic.book(*range(9))
    server = clinic.connector().server
    rows = server.ask(server.few("SELECT * FROM appointments", 5), {}, 1000)
    assert [len(batch) for batch in rows] == [5]
    rows.close()


class _Driver:
    """What a driver of Oracle or SQL Server was told, and the rows that it gives for any question."""

    paramstyle = "named"
    Error = ValueError
    rows: ClassVar[list[tuple[Any, ...]]] = [
        (1, "DBO", "APPOINTMENTS", "APPOINTMENT_ID"),
        (1, "DBO", "APPOINTMENTS", "APPOINTMENT_DATE"),
        (0, "OTHER", "ROOMS", "ID"),
    ]

    def __init__(self) -> None:
        self.told: list[str] = []
        self.description = [(name,) for name in ("APPOINTMENT_ID", "APPOINTMENT_DATE")]

    def execute(self, statement: str, bound: Any = ()) -> None:
        self.told.append(" ".join(statement.split()))
        self._rows = self.rows if "SCHEMA" in statement else [("7", "2026-12-01")]

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._rows

    def fetchmany(self, size: int) -> list[tuple[Any, ...]]:
        some, self._rows = self._rows[:size], self._rows[size:]
        return some

    def cursor(self) -> _Driver:
        return self

    def rollback(self) -> None:
        self.told.append("ROLLBACK")

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        (
            "oracle+oracledb://u:p@db.example/x",
            'SELECT * FROM ( SELECT "APPOINTMENT_ID", "APPOINTMENT_DATE" FROM "APPOINTMENTS" ) '
            "WHERE ROWNUM <= 5",
        ),
        (
            "mssql+pyodbc://u:p@db.example/x",
            'SELECT TOP (5) * FROM ( SELECT "APPOINTMENT_ID", "APPOINTMENT_DATE" '
            'FROM "APPOINTMENTS" ) few',
        ),
    ],
)
def test_oracle_and_sql_server_are_asked_in_their_own_words(
    monkeypatch: pytest.MonkeyPatch, url: str, asked: str
) -> None:
    """By a driver that only notes them: neither server can be had for tests."""
    driver = _Driver()
    monkeypatch.setattr(OtherServer, "driver", driver)
    monkeypatch.setattr(OtherServer, "opened", lambda _: driver)
    server = server_of(make_url(url), timeout=timedelta(seconds=1), folder=None)
    (offer,) = offers_of(server)
    assert offer.name == "APPOINTMENTS"
    assert offer.settings["key"] == "APPOINTMENT_ID"
    assert asked in driver.told
    if server.backend == "oracle":
        assert driver.told[driver.told.index(asked) - 1] == "SET TRANSACTION READ ONLY"
