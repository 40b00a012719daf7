"""OpenEMR: the query that the how-to ships, on MariaDB with the columns of OpenEMR's own schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import mappings

pytestmark = pytest.mark.parametrize("store_url", ["mysql"], indirect=True)

PAGE = Path(__file__).parents[3] / "docs" / "howto" / "connect-openemr-sql.md"
SCHEMA = (
    "CREATE TABLE openemr_postcalendar_events (pc_eid int unsigned PRIMARY KEY, "
    "pc_aid varchar(30), pc_pid varchar(11), pc_title varchar(150), pc_time datetime, "
    "pc_eventDate date NOT NULL, pc_endDate date, pc_duration bigint NOT NULL DEFAULT 0, "
    "pc_recurrtype int NOT NULL DEFAULT 0, pc_recurrspec text, pc_startTime time, "
    "pc_endTime time, pc_apptstatus varchar(15) NOT NULL DEFAULT '-', "
    "pc_facility int NOT NULL DEFAULT 0, uuid binary(16))",
    "CREATE TABLE patient_data (pid bigint PRIMARY KEY, fname varchar(255), lname varchar(255), "
    "DOB date, phone_cell varchar(255), email varchar(255), language varchar(255), "
    "deceased_date datetime, hipaa_allowsms varchar(3) NOT NULL DEFAULT 'NO', "
    "hipaa_allowemail varchar(3) NOT NULL DEFAULT 'NO')",
    "CREATE TABLE users (id bigint PRIMARY KEY, fname varchar(255), lname varchar(255), "
    "email varchar(255), specialty varchar(255))",
    "CREATE TABLE facility (id int PRIMARY KEY, name varchar(255))",
    "INSERT INTO patient_data VALUES (1, 'Ada', 'Sample', '1980-02-03', '+12025550100', "
    "'ada@mail.example', 'english', NULL, 'YES', 'NO')",
    "INSERT INTO users VALUES (3, 'Dora', 'Example', 'dora@riverside.example', 'Cardiology')",
    "INSERT INTO facility VALUES (4, 'Great Clinic')",
)
EVENT = (
    "INSERT INTO openemr_postcalendar_events (pc_eid, pc_aid, pc_pid, pc_title, pc_eventDate, "
    "pc_startTime, pc_duration, pc_apptstatus, pc_facility, pc_recurrtype) "
    "VALUES (?, '3', ?, 'Office Visit', ?, '09:30:00', 900, ?, 4, ?)"
)


def shipped() -> str:
    return PAGE.read_text(encoding="utf-8").split("```sql\n")[1].split("```")[0]


@pytest.fixture
def openemr(clinic: Any) -> Any:
    for statement in SCHEMA:
        clinic.run(statement)
    clinic.run(
        EVENT,
        (7, "1", "2026-12-01", "-", 0),
        (8, "1", "2026-12-02", "x", 0),
        (9, "1", "2026-12-03", "^", 1),
        (10, "", "2026-12-04", "-", 0),  # lunch
        (11, "99", "2026-12-05", "?", 0),  # its patient was deleted
        (12, "1", "2020-01-05", "-", 0),  # long past
    )
    return clinic


def visits(openemr: Any, records: Any) -> dict[str, Any]:
    context = mappings.Context(
        source="openemr", timezone="Europe/Berlin", country="US", language="en"
    )
    mapper = mappings.load("openemr_sql", openemr.folder).compile(context)
    return {record.key: mapper(record) for record in records}


def test_the_shipped_query_and_mapping_read_openemr(openemr: Any) -> None:
    read = openemr.read(query=shipped(), key="pc_eid")
    found = visits(openemr, read.records)
    assert {key: visit.status.value for key, visit in found.items()} == {
        "7": "booked",
        "8": "cancelled",
        "9": "pending",
        "11": "no_show",
    }
    visit = found["7"]
    assert visit.start.isoformat() == "2026-12-01T08:30:00+00:00"
    assert (visit.end - visit.start).total_seconds() == 900
    (patient,) = visit.patients
    assert (patient.key, patient.name, patient.phone) == ("1", "Ada Sample", "+12025550100")
    assert patient.email is None  # no consent
    assert visit.practitioners[0].name == "Dora Example"
    assert visit.location.name == "Great Clinic"
    assert openemr.made[-1].strategy == "row_hash"


def test_only_the_first_day_of_a_series_is_read_and_that_is_said(openemr: Any) -> None:
    records = openemr.read(query=shipped(), key="pc_eid").records
    told = {record.key: [issue.code for issue in record.issues] for record in records}
    assert told == {"7": [], "8": [], "9": ["recurring_first_only"], "11": []}


def test_a_deleted_event_is_proven_by_asking(openemr: Any) -> None:
    openemr.read(query=shipped(), key="pc_eid")
    openemr.run("DELETE FROM openemr_postcalendar_events WHERE pc_eid = 7")
    openemr.run(
        "UPDATE openemr_postcalendar_events SET pc_eventDate = '2028-01-01' WHERE pc_eid = 8"
    )
    connector = openemr.connector(query=shipped(), key="pc_eid")
    assert connector.rereads
    (page,) = connector.reread(["7", "8"])
    assert {record.key: record.gone for record in page.records} == {"7": True, "8": False}


def test_probe_finds_openemrs_calendar_and_its_mapping(openemr: Any) -> None:
    first = next(iter(openemr.connector(query=None).offers()))
    assert first.name == "openemr_postcalendar_events"
    assert first.mapping == "openemr_sql"
