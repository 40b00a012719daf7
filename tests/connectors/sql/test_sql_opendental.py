"""Open Dental: the query that the how-to ships, on MariaDB with the columns of its own schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import mappings

pytestmark = pytest.mark.parametrize("store_url", ["mysql"], indirect=True)

PAGE = Path(__file__).parents[3] / "docs" / "howto" / "connect-opendental-sql.md"
NEVER = "datetime NOT NULL DEFAULT '0001-01-01 00:00:00'"
SCHEMA = (
    "CREATE TABLE appointment (AptNum bigint PRIMARY KEY, PatNum bigint NOT NULL, "
    "AptStatus tinyint unsigned NOT NULL DEFAULT 0, Pattern varchar(255) DEFAULT '', "
    "ProvNum bigint NOT NULL DEFAULT 0, ProvHyg bigint NOT NULL DEFAULT 0, "
    f"AptDateTime {NEVER}, ProcDescript text, ClinicNum bigint NOT NULL DEFAULT 0, "
    "IsHygiene tinyint unsigned NOT NULL DEFAULT 0, "
    "DateTStamp timestamp NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(), "
    f"DateTimeArrived {NEVER}, DateTimeSeated {NEVER}, DateTimeDismissed {NEVER}) ENGINE = MyISAM",
    "CREATE TABLE patient (PatNum bigint PRIMARY KEY, LName varchar(100), FName varchar(100), "
    "Preferred varchar(100) DEFAULT '', PatStatus tinyint unsigned NOT NULL DEFAULT 0, "
    "Birthdate date NOT NULL DEFAULT '0001-01-01', WirelessPhone varchar(30) DEFAULT '', "
    "Email varchar(100) DEFAULT '', Language varchar(100) DEFAULT '', "
    "TxtMsgOk tinyint NOT NULL DEFAULT 0) ENGINE = MyISAM",
    "CREATE TABLE provider (ProvNum bigint PRIMARY KEY, Abbr varchar(255), LName varchar(100), "
    "FName varchar(100)) ENGINE = MyISAM",
    "CREATE TABLE clinic (ClinicNum bigint PRIMARY KEY, Description varchar(255)) ENGINE = MyISAM",
    "INSERT INTO provider VALUES (1, 'DOC1', 'Example', 'Dora')",
    "INSERT INTO clinic VALUES (4, 'Great Dental')",
)
PATIENT = (
    "INSERT INTO patient (PatNum, LName, FName, Preferred, PatStatus, WirelessPhone, Email, TxtMsgOk) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
APPOINTMENT = (
    "INSERT INTO appointment (AptNum, PatNum, AptStatus, Pattern, ProvNum, AptDateTime, ClinicNum, "
    "ProcDescript) VALUES (?, ?, ?, '//XXXX//', 1, ?, ?, 'Ex, PA')"
)


def shipped() -> dict[str, Any]:
    query = PAGE.read_text(encoding="utf-8").split("```sql\n")[1].split("```")[0]
    return {"query": query, "key": "AptNum"}


@pytest.fixture
def office(clinic: Any) -> Any:
    for statement in SCHEMA:
        clinic.run(statement)
    clinic.run(
        PATIENT,
        (17, "Sample", "Adelaide", "Ada", 0, "+12025550100", "ada@mail.example", 1),
        (18, "Quiet", "Bo", "", 0, "+12025550101", "bo@mail.example", 2),
        (19, "Late", "Cy", "", 5, "", "", 0),
    )
    clinic.run(
        APPOINTMENT,
        (1, 17, 1, "2026-12-01 09:30:00", 4),
        (2, 18, 5, "2026-12-02 09:30:00", 0),
        (3, 19, 2, "2026-12-03 09:30:00", 0),
        (4, 17, 3, "0001-01-01 00:00:00", 0),  # on the unscheduled list
        (5, 17, 4, "2026-12-04 09:30:00", 0),
        (6, 17, 6, "0001-01-01 00:00:00", 0),  # planned
        (7, 17, 7, "2026-12-05 09:30:00", 0),  # a note on the schedule
        (8, 17, 1, "2020-01-05 09:30:00", 0),  # long past
        (9, 99, 1, "2026-12-06 09:30:00", 0),  # its patient is not there
    )
    return clinic


def visits(office: Any) -> dict[str, Any]:
    context = mappings.Context(source="x", timezone="Europe/Berlin", country="US", language="en")
    mapper = mappings.load("opendental_sql", office.folder).compile(context)
    return {record.key: mapper(record) for record in office.read(**shipped()).records}


def test_the_shipped_query_and_mapping_read_open_dental(office: Any) -> None:
    found = visits(office)
    assert {key: visit.status.value for key, visit in found.items()} == {
        "1": "booked",
        "2": "no_show",
        "3": "fulfilled",
        "4": "waitlist",
        "5": "booked",
        "9": "booked",
    }
    visit = found["1"]
    assert visit.start.isoformat() == "2026-12-01T08:30:00+00:00"
    assert (visit.end - visit.start).total_seconds() == 40 * 60
    (patient,) = visit.patients
    assert (patient.key, patient.name, patient.phone) == ("17", "Ada Sample", "+12025550100")
    assert visit.practitioners[0].name == "Dora Example"
    assert visit.location.name == "Great Dental"
    assert visit.service == "Ex, PA"
    assert found["2"].location is None
    assert found["4"].start is None
    assert office.made[-1].strategy == "row_hash"


def test_who_said_no_to_text_messages_has_no_number(office: Any) -> None:
    (patient,) = visits(office)["2"].patients
    assert (patient.name, patient.phone, patient.email) == ("Bo Quiet", None, "bo@mail.example")


def test_midnight_stands_for_not_yet(office: Any) -> None:
    office.run("UPDATE appointment SET DateTimeArrived = '2026-12-01 00:00:00' WHERE AptNum = 1")
    office.run("UPDATE appointment SET DateTimeArrived = '2026-12-04 09:21:00' WHERE AptNum = 5")
    found = visits(office)
    assert [found[key].status.value for key in ("1", "5")] == ["booked", "arrived"]


def test_a_visit_that_is_put_on_the_unscheduled_list_is_not_taken_for_deleted(office: Any) -> None:
    office.read(**shipped())
    office.run("UPDATE appointment SET AptStatus = 3, AptDateTime = '0001-01-01' WHERE AptNum = 1")
    office.run("DELETE FROM appointment WHERE AptNum = 2")
    connector = office.connector(**shipped())
    assert connector.rereads
    found = {r.key: r.gone for page in connector.reread(["1", "2"]) for r in page.records}
    assert found == {"1": False, "2": True}
    assert visits(office)["1"].status.value == "waitlist"


def test_probe_points_to_the_whole_query(office: Any) -> None:
    first = next(iter(office.connector(query=None).offers()))
    assert first.name == "appointment"
    assert any("connect-opendental-sql" in note for note in first.notes)
