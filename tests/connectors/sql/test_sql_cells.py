"""Cells of every type that databases have become texts that mappings read; nothing ends a read."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

import mappings
from clinicrelay import BadRecord
from connectors.sql.cells import text_of, zoned

SERVERS = pytest.mark.parametrize("store_url", ["postgresql", "mysql"], indirect=True)

ID = UUID("0191e9a1-0000-4000-8000-00000000abcd")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("A-1   ", "A-1"),
        (17, "17"),
        (17.0, "17"),
        (Decimal("17.00"), "17"),
        (Decimal("17.50"), "17.5"),
        (Decimal("1E+2"), "100"),
        (True, "true"),
        (b"\x01", "1"),
        (b"\x00", "0"),
        (ID.bytes, str(ID)),
        (ID, str(ID)),
        (b"Zo\xc3\xab", "Zoë"),
        (b"\xff\xfe\xfd", "fffefd"),
        (datetime(2026, 12, 1, 9, 30), "2026-12-01 09:30:00"),
        (datetime(2026, 12, 1, 9, 30, tzinfo=UTC), "2026-12-01 09:30:00+00:00"),
        (date(2026, 12, 1), "2026-12-01"),
        (time(9, 30), "09:30:00"),
        (timedelta(hours=9, minutes=30), "09:30:00"),
        (timedelta(minutes=-30), "-00:30:00"),
    ],
    ids=str,
)
def test_a_value_becomes_the_text_that_a_person_would_write(value: Any, text: str) -> None:
    assert text_of(value) == text


def test_a_naive_time_gets_the_offset_of_its_columns_zone() -> None:
    noted: list[Any] = []
    assert (
        zoned("2026-12-01 09:30:00", "Europe/Berlin", "c", noted.append)
        == "2026-12-01 08:30:00+00:00"
    )
    for text in ("", "2026-12-01", "0000-00-00 00:00:00", "9999-12-31 00:00:00", "soon",
                 "2026-12-01 09:30:00+05"):  # fmt: skip
        assert zoned(text, "Europe/Berlin", "c", noted.append) == text
    assert not noted
    zoned("2026-10-25 02:30:00", "Europe/Berlin", "c", noted.append)
    zoned("2026-03-29 02:30:00", "Europe/Berlin", "c", noted.append)
    assert [issue.code for issue in noted] == ["ambiguous_local_time", "nonexistent_local_time"]


def mapped(clinic: Any, records: Any) -> dict[str, Any]:
    """Return what reception_sql, as it is shipped, makes of each record: a start, or why not."""
    context = mappings.Context(source="x", timezone="Europe/Berlin", country="DE", language="de")
    mapper = mappings.load("reception_sql", clinic.folder).compile(context)
    found = {}
    for record in records:
        try:
            found[record.key] = mapper(record).start.isoformat()
        except BadRecord as wrong:
            found[record.key] = wrong.reason
    return found


ODD = {
    "postgresql": ("'2026-12-01 09:30'", "'infinity'", "'0044-03-15 10:00 BC'",
                   "'9999-12-31 00:00'", "NULL"),
    "mysql": ("'2026-12-01 09:30'", "'0000-00-00 00:00:00'", "'2022-11-00 00:00:00'",
              "'9999-12-31 00:00'", "NULL"),
    "sqlite": ("'2026-12-01 09:30'", "'0000-00-00'", "'2022-11-00'", "'9999-12-31'", "NULL"),
}  # fmt: skip


def test_dates_that_are_none_set_one_row_aside_and_no_more(clinic: Any) -> None:
    clinic.run(f"CREATE TABLE odd (n INTEGER, t {clinic.time.replace('(6)', '')} NULL)")
    loose = "" if clinic.kind != "mysql" else "SET SESSION sql_mode = ''"
    with clinic.engine.begin() as connection:
        if loose:
            connection.exec_driver_sql(loose)
        for n, value in enumerate(ODD[clinic.kind]):
            connection.exec_driver_sql(f"INSERT INTO odd VALUES ({n}, {value})")
    query = "SELECT n AS appointment_id, t AS appointment_date, 'p' AS patient_id FROM odd"
    read = clinic.read(query=query)
    starts = mapped(clinic, read.records)
    assert starts.pop("0") == "2026-12-01T08:30:00+00:00"
    assert set(starts) == {"1", "2", "3", "4"}
    assert set(starts.values()) <= {"missing", "bad_time"}
    assert read.pages[-1].complete


@SERVERS
def test_one_instant_comes_the_same_from_columns_with_and_without_a_zone(clinic: Any) -> None:
    """TIMESTAMP and DATETIME, timestamptz and timestamp; SQLite has one kind of text."""
    aware = "TIMESTAMPTZ" if clinic.kind == "postgresql" else "TIMESTAMP"
    wall = "TIMESTAMP" if clinic.kind == "postgresql" else "DATETIME"
    clinic.run(f"CREATE TABLE both_kinds (n INTEGER, a {aware} NULL, w {wall} NULL)")
    with clinic.engine.begin() as connection:
        zone = "SET TIME ZONE 'UTC'" if clinic.kind == "postgresql" else "SET time_zone = '+00:00'"
        connection.exec_driver_sql(zone)
        connection.exec_driver_sql(
            "INSERT INTO both_kinds VALUES (1, '2026-12-01 08:30:00', '2026-12-01 09:30:00')"
        )
    zones = {"a": "utc", "w": "clinic"}
    for column in ("a", "w"):
        query = (
            f"SELECT n AS appointment_id, {column} AS appointment_date, 1 AS patient_id "
            "FROM both_kinds"
        )
        said = {"appointment_date": zones[column]}
        assert mapped(clinic, clinic.read(query=query, zones=said).records) == {
            "1": "2026-12-01T08:30:00+00:00"
        }


def test_keys_of_every_type_are_asked_for_only_where_that_is_sure(clinic: Any) -> None:
    binary = {"postgresql": "BYTEA", "mysql": "BINARY(16)", "sqlite": "BLOB"}[clinic.kind]
    clinic.run(f"CREATE TABLE ids (n INTEGER, d NUMERIC(6, 2), c CHAR(9), b {binary})")
    clinic.run("INSERT INTO ids VALUES (?, ?, ?, ?)", (17, 17.0, "A-1", ID.bytes))
    for column, key, sure in (
        ("n", "17", True),
        ("d", "17", clinic.kind != "sqlite"),
        ("b", str(ID), False),
    ):
        query = f"SELECT {column} FROM ids"
        (record,) = clinic.read(query=query, key=column).records
        assert record.key == key
        connector = clinic.connector(query=query, key=column)
        assert connector.rereads or not sure
        if connector.rereads:
            (page,) = connector.reread([key, "18"])
            assert {r.key: r.gone for r in page.records} == {key: False, "18": True}
        elif column == "b":
            assert not list(connector.reread([key]))
    (padded,) = clinic.read(query="SELECT c FROM ids", key="c").records
    assert padded.key == "A-1"


def test_a_key_of_two_columns_is_one_key(clinic: Any) -> None:
    clinic.run("CREATE TABLE pairs (a INTEGER, b VARCHAR(9))")
    clinic.run("INSERT INTO pairs VALUES (?, ?)", (1, "x"), (2, "x"))
    said = {"query": "SELECT a, b FROM pairs", "key": ["a", "b"]}
    assert sorted(str(r.key) for r in clinic.read(**said).records) == ["1|x", "2|x"]
    (page,) = clinic.connector(**said).reread(["1|x", "2|y", "odd"])
    assert {r.key: r.gone for r in page.records} == {"1|x": False, "2|y": True}


def test_a_visit_outside_the_window_is_there_when_it_is_asked_for(clinic: Any) -> None:
    """Moved to next year is not deleted."""
    clinic.open()
    clinic.book(1, 2)
    clinic.run(
        "UPDATE appointments SET appointment_date = '2028-06-01 10:00:00' WHERE appointment_id = 'A-2'"
    )
    query = (
        "SELECT * FROM appointments WHERE appointment_date >= :window_start "
        "AND appointment_date < :window_end"
    )
    assert [r.key for r in clinic.read(query=query).records] == ["A-1"]
    (page,) = clinic.connector(query=query).reread(["A-2", "A-3"])
    assert {r.key: r.gone for r in page.records} == {"A-2": False, "A-3": True}


def test_the_window_is_widened_for_local_time_and_speaks_only_for_itself(clinic: Any) -> None:
    from clinicrelay.testing.kits import WINDOW

    clinic.open()
    clinic.book(1)
    edge = WINDOW.end.replace(tzinfo=None).isoformat(" ")
    clinic.run(f"UPDATE appointments SET appointment_date = '{edge}'")
    read = clinic.read(
        query="SELECT * FROM appointments WHERE appointment_date >= :window_start "
        "AND appointment_date < :window_end"
    )
    assert len(read.records) == 1
    (stretch,) = read.pages[-1].covers or ()
    assert (stretch.start, stretch.end) == (WINDOW.start, WINDOW.end)
