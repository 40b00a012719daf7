"""Columns are found as the database calls them, and one that is gone is not passed over."""

from __future__ import annotations

from typing import Any

import pytest

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
