"""Columns are found as the database calls them, and one that is gone is not passed over."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from clinicrelay.contracts import Columns
from clinicrelay.errors import Refused

NAMES = {
    "UpdatedAt": "updated_at",
    "UPDATED_AT": "updated_at",
    "end": "end",
    "user": "user",
    "changedAt": "changedAt",
}


@pytest.mark.parametrize("said", sorted(NAMES))
def test_a_cursor_is_found_however_its_name_is_written(clinic: Any, said: str) -> None:
    clinic.open()
    clinic.book(1, 2)
    mark = "`" if clinic.kind == "mysql" else '"'
    real = f"{mark}{NAMES[said]}{mark}"
    how = {
        "query": f"SELECT appointment_id, status, updated_at AS {real} FROM appointments",
        "cursor": said,
        "key": "AppointmentId",
    }
    first = clinic.read(**how)
    clinic.book(3, at="2026-11-20 10:30:00")
    second = clinic.read(first.cursor, **how)
    assert second.pages[-1].changes
    assert "A-3" in {record.key for record in second.records}
    clinic.run("DELETE FROM appointments WHERE appointment_id = 'A-1'")
    connector = clinic.connector(**how)
    found = {r.key: r.gone for page in connector.reread(["A-1", "A-2"]) for r in page.records}
    assert found == {"A-1": True, "A-2": False}


def test_what_no_memory_holds_is_asked_for(clinic: Any) -> None:
    """A cursor that was kept before its columns were."""
    clinic.open()
    clinic.book(1)
    how = {"cursor": "UpdatedAt"}
    first = clinic.read(**how)
    clinic.memory.pop("columns")
    assert clinic.read(first.cursor, **how).pages[-1].changes


def test_sqlite_takes_no_missing_column_for_a_text(sqlite_clinic: Any) -> None:
    sqlite_clinic.open()
    sqlite_clinic.book(1)
    how = {"query": "SELECT * FROM appointments", "cursor": "updated_at"}
    first = sqlite_clinic.read(**how)
    sqlite_clinic.run("ALTER TABLE appointments RENAME COLUMN updated_at TO written")
    with pytest.raises(Refused):
        sqlite_clinic.read(first.cursor, **how)


def test_a_zone_that_does_not_exist_is_named_with_the_one_that_was_meant(
    sqlite_clinic: Any,
) -> None:
    with pytest.raises(ValidationError) as error:
        sqlite_clinic.connector(zones={"appointment_date": "Europe/Berln"})
    (wrong,) = error.value.errors()
    assert "'Europe/Berln' is not an IANA time zone" in wrong["msg"]


@pytest.mark.parametrize(
    "said",
    [
        {"zones": {"updated_att": "utc"}},
        {"cursor": "update_at"},
        {"key": "UpdatedAtt"},
    ],
    ids=str,
)
def test_a_column_that_is_not_there_is_named_with_the_nearest(
    clinic: Any, said: dict[str, Any]
) -> None:
    """Else a zone would silently be none, and every visit hours off."""
    clinic.open()
    clinic.book(1)
    (option,) = said
    with pytest.raises(Refused, match=f"{option} names ") as error:
        clinic.read(**said)
    assert "did you mean updated_at?" in error.value.fix
    (finding,) = [f for f in clinic.connector(**said).check() if f.severity == "error"]
    assert finding.message == str(error.value)


STAR = {"query": "SELECT * FROM appointments"}
READ = Columns(
    names=frozenset({"appointmentid", "status", "state", "patientemail", "patientphone", "mobile"}),
    required=(frozenset({"appointmentid"}),),
    hoped=((frozenset({"patientphone", "mobile"}), "nobody is reached by phone"),),
)


@pytest.mark.parametrize("column", ["status", "patient_email"])
@pytest.mark.parametrize("way", [{}, {"cursor": "updated_at"}])
def test_a_column_that_was_read_and_is_gone_ends_the_read(
    clinic: Any, column: str, way: dict[str, str]
) -> None:
    clinic.open()
    clinic.book(1)
    how = STAR | way | {"columns": READ}
    first = clinic.read(**how)
    clinic.run(f"ALTER TABLE appointments RENAME COLUMN {column} TO other")
    for known in (first.cursor, None, first.cursor):
        with pytest.raises(Refused, match=f"no longer gives the column {column}") as error:
            clinic.read(known, **how)
    assert "check" in error.value.fix
    with pytest.raises(Refused, match=column):
        list(clinic.connector(**how).reread(["A-1"]))
    assert clinic.read(**how | {"query": "SELECT * FROM appointments a"}).records


def test_a_column_that_nobody_reads_may_go(clinic: Any) -> None:
    clinic.open()
    clinic.book(1)
    first = clinic.read(**STAR, columns=READ)
    clinic.run("ALTER TABLE appointments RENAME COLUMN doctor_id TO other")
    clinic.run("ALTER TABLE appointments RENAME COLUMN patient_phone TO mobile")
    assert clinic.read(first.cursor, **STAR, columns=READ).records
