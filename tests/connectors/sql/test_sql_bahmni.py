"""Bahmni: the query that the how-to ships, on MariaDB with the columns of the module's own schema."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import mappings

pytestmark = pytest.mark.parametrize("store_url", ["mysql"], indirect=True)

PAGE = Path(__file__).parents[3] / "docs" / "howto" / "connect-bahmni-sql.md"
WHO = "uuid char(38), voided tinyint NOT NULL DEFAULT 0"
WHEN = (
    "date_created datetime NOT NULL DEFAULT '2026-11-01 10:00:00', date_changed datetime, "
    "date_voided datetime, voided tinyint"
)
SCHEMA = (
    "CREATE TABLE patient_appointment (patient_appointment_id int PRIMARY KEY, "
    "appointment_number varchar(50), patient_id int NOT NULL, start_date_time datetime, "
    "end_date_time datetime, appointment_service_id int, appointment_service_type_id int, "
    "status varchar(45) NOT NULL, location_id int, appointment_kind varchar(45) NOT NULL, "
    f"comments varchar(255), uuid varchar(38) NOT NULL, tele_health_video_link varchar(255), {WHEN})",
    "CREATE TABLE patient_appointment_audit (patient_appointment_audit_id int PRIMARY KEY, "
    f"appointment_id int NOT NULL, uuid varchar(38), status varchar(45), notes varchar(1000), {WHEN})",
    "CREATE TABLE patient_appointment_provider (patient_appointment_provider_id int PRIMARY KEY, "
    "patient_appointment_id int NOT NULL, provider_id int NOT NULL, response varchar(32), "
    f"comments varchar(1000), uuid varchar(38), {WHEN})",
    "CREATE TABLE appointment_service (appointment_service_id int PRIMARY KEY, name varchar(50))",
    "CREATE TABLE appointment_service_type (appointment_service_type_id int PRIMARY KEY, "
    "appointment_service_id int, name varchar(50))",
    f"CREATE TABLE person (person_id int PRIMARY KEY, birthdate date, dead tinyint DEFAULT 0, {WHO})",
    "CREATE TABLE person_name (person_name_id int PRIMARY KEY, person_id int, preferred tinyint, "
    f"given_name varchar(50), middle_name varchar(50), family_name varchar(50), {WHO})",
    "CREATE TABLE person_attribute_type (person_attribute_type_id int PRIMARY KEY, name varchar(50))",
    "CREATE TABLE person_attribute (person_attribute_id int PRIMARY KEY, person_id int, "
    f"value varchar(50), person_attribute_type_id int, {WHO})",
    "CREATE TABLE provider (provider_id int PRIMARY KEY, person_id int, name varchar(255), "
    "identifier varchar(255), uuid char(38))",
    "CREATE TABLE location (location_id int PRIMARY KEY, name varchar(255), uuid char(38))",
    "INSERT INTO person (person_id, uuid, voided) VALUES (1, 'p1', 0), (2, 'p2', 0), (3, 'p3', 1), "
    "(9, 'p9', 0)",
    "INSERT INTO person_name (person_name_id, person_id, preferred, given_name, family_name, voided) "
    "VALUES (1, 1, 0, 'Old', 'Name', 0), (2, 1, 1, 'Ada', 'Sample', 0), (3, 1, 1, 'No', 'Name', 1), "
    "(4, 2, 1, 'Bo', 'Sample', 0), (9, 9, 1, 'Eve', 'Example', 0)",
    "INSERT INTO person_attribute_type VALUES (1, 'phoneNumber'), (2, 'primaryContact'), (3, 'email'), "
    "(4, 'caste')",
    "INSERT INTO person_attribute (person_attribute_id, person_id, value, person_attribute_type_id, "
    "voided) VALUES (1, 1, '+12025550199', 2, 0), (2, 1, '+12025550100', 1, 0), "
    "(3, 1, '+12025550111', 1, 1), (4, 1, 'ada@mail.example', 3, 0), (5, 2, '+12025550102', 2, 0)",
    "INSERT INTO provider VALUES (1, NULL, 'Dr Bo', 'b', 'd1'), (2, 9, NULL, 'e', 'd2')",
    "INSERT INTO location VALUES (1, 'Room 2', 'l1')",
    "INSERT INTO appointment_service VALUES (1, 'Cardiology')",
    "INSERT INTO appointment_service_type VALUES (1, 1, 'First visit')",
)
APPOINTMENT = (
    "INSERT INTO patient_appointment (patient_appointment_id, uuid, patient_id, start_date_time, "
    "end_date_time, status, appointment_kind, appointment_service_id, location_id, voided) "
    "VALUES (?, ?, ?, ?, ?, ?, 'Scheduled', 1, 1, ?)"
)
PROVIDER = (
    "INSERT INTO patient_appointment_provider (patient_appointment_provider_id, "
    "patient_appointment_id, provider_id, response, voided) VALUES (?, ?, ?, ?, ?)"
)
CHANGES = {"cursor": "changed_at", "zones": {"changed_at": "utc"}}


def shipped(*, changes: bool = False) -> dict[str, Any]:
    whole, added = (
        part.split("```")[0] for part in PAGE.read_text(encoding="utf-8").split("```sql\n")[1:]
    )
    said = {"query": whole, "key": "uuid", "gone": {"voided": 1}}
    if changes:
        said |= CHANGES | {
            "query": whole.replace(
                "FROM patient_appointment a", f"{added}FROM patient_appointment a"
            )
        }
    return said


@pytest.fixture
def bahmni(clinic: Any) -> Any:
    for statement in SCHEMA:
        clinic.run(statement)
    clinic.run(
        APPOINTMENT,
        (1, "a1", 1, "2026-12-01 09:30:00", "2026-12-01 10:00:00", "Scheduled", 0),
        (2, "a2", 2, "2026-12-02 09:30:00", "2026-12-02 10:00:00", "Missed", None),
        (3, "a3", 1, "2026-12-03 09:30:00", "2026-12-03 10:00:00", "Scheduled", 1),
        (
            4,
            "a4",
            3,
            "2026-12-04 09:30:00",
            "2026-12-04 10:00:00",
            "Scheduled",
            0,
        ),  # voided patient
        (5, "a5", 1, None, None, "WaitList", 0),
        (6, "a6", 1, "2020-12-01 09:30:00", "2020-12-01 10:00:00", "Completed", 0),  # long past
    )
    clinic.run(
        PROVIDER,
        (1, 1, 2, "CANCELLED", 0),
        (2, 1, 2, "ACCEPTED", 1),
        (3, 1, 1, "ACCEPTED", None),
        (4, 2, 2, None, 0),
    )
    return clinic


def visits(bahmni: Any) -> dict[str, Any]:
    context = mappings.Context(source="x", timezone="Europe/Berlin", country="IN", language="en")
    mapper = mappings.load("bahmni_sql", bahmni.folder).compile(context)
    records = bahmni.read(**shipped()).records
    return {record.key: mapper(record) for record in records if not record.gone}


def test_the_shipped_query_and_mapping_read_bahmni(bahmni: Any) -> None:
    found = visits(bahmni)
    assert {key: visit.status.value for key, visit in found.items()} == {
        "a1": "booked",
        "a2": "no_show",
        "a5": "waitlist",
    }
    visit = found["a1"]
    assert visit.start.isoformat() == "2026-12-01T08:30:00+00:00"
    assert visit.end.isoformat() == "2026-12-01T09:00:00+00:00"
    (patient,) = visit.patients
    assert (patient.key, patient.name, patient.phone) == ("p1", "Ada Sample", "+12025550100")
    assert patient.email == "ada@mail.example"
    assert not patient.deceased
    assert [(one.key, one.name) for one in visit.practitioners] == [("d1", "Dr Bo")]
    assert (visit.location.name, visit.service) == ("Room 2", "Cardiology")
    assert found["a2"].practitioners[0].name == "Eve Example"
    assert found["a2"].patients[0].phone == "+12025550102"
    assert bahmni.made[-1].strategy == "row_hash"


def test_what_is_voided_is_proven_gone(bahmni: Any) -> None:
    records = bahmni.read(**shipped()).records
    assert sorted(record.key for record in records if record.gone) == ["a3", "a4"]
    bahmni.run("DELETE FROM patient_appointment WHERE uuid = 'a1'")
    connector = bahmni.connector(**shipped())
    found = {r.key: r.gone for page in connector.reread(["a1", "a2"]) for r in page.records}
    assert found == {"a1": True, "a2": False}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE patient_appointment SET status = 'Cancelled', date_changed = ?",
        "UPDATE patient_appointment SET voided = 1, date_voided = ?",
        "INSERT INTO patient_appointment_audit (patient_appointment_audit_id, appointment_id, "
        "date_created) VALUES (1, 1, ?)",
        "UPDATE patient_appointment_provider SET response = 'REJECTED', date_changed = ?",
    ],
    ids=["changed", "voided", "audited", "refused"],
)
def test_only_what_changed_is_read_where_the_page_says_how(bahmni: Any, change: str) -> None:
    first = bahmni.read(**shipped(changes=True))
    where = {"UPDATE patient_appointment SET": " WHERE uuid = 'a1'",
             "UPDATE patient_appointment_provider": " WHERE patient_appointment_id = 1"}  # fmt: skip
    which = next((then for begin, then in where.items() if change.startswith(begin)), "")
    bahmni.run("UPDATE patient_appointment SET date_created = '2026-10-01' WHERE uuid <> 'a5'")
    bahmni.run("UPDATE patient_appointment_provider SET date_created = '2026-10-01'")
    bahmni.run(change + which, (datetime(2026, 11, 23, 7, 50),))
    second = bahmni.read(first.cursor, **shipped(changes=True))
    assert second.pages[-1].changes
    assert {record.key for record in second.records} == {"a1", "a5"}  # a5: again, for the overlap


def test_probe_points_to_the_whole_query(bahmni: Any) -> None:
    first = next(iter(bahmni.connector(query=None).offers()))
    assert first.name == "patient_appointment"
    assert any("connect-bahmni-sql" in note for note in first.notes)
