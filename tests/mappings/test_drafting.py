"""A draft for records that nobody described: it loads, and it understands what it was made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mappings
from clinicrelay.contracts import Record
from clinicrelay.model import Appointment, Status
from mappings.drafting import Draft, draft

BOOKED = Status.BOOKED


def understood(found: Draft, folder: Path, record: dict[str, Any]) -> Appointment:
    file = folder / "draft.yaml"
    file.write_text(found.text, encoding="utf-8")
    mapping = mappings.load(str(file), folder)
    mapper = mapping.compile(mappings.Context("ehr", "Europe/Berlin", "DE", "de"))
    visit = mapper(Record(record, bytes(16)))
    assert visit is not None
    return visit


NESTED = {
    "id": 7,
    "created_at": "2026-01-01T00:00:00Z",
    "starts_at": "2026-12-01T09:30:00Z",
    "ends_at": "2026-12-01T10:00:00Z",
    "state": "confirmed",
    "client": {
        "id": 5,
        "name": "Pat Sample",
        "email": "pat@mail.example",
        "phone": "+4915155500001",
    },
    "staff_member": {"id": 9, "name": "Dr. Acar"},
}


def test_nested_records_say_whom_they_are_about(tmp_path: Path) -> None:
    other = {**NESTED, "id": 8, "client": {**NESTED["client"], "id": 6}}  # type: ignore[dict-item]
    found = draft([NESTED, other])
    visit = understood(found, tmp_path, NESTED)

    assert not found.lacking
    assert (visit.key, visit.status) == ("7", BOOKED)
    assert f"{visit.start:%Y-%m-%d %H:%M}" == "2026-12-01 09:30"
    assert f"{visit.end:%H:%M}" == "10:00"
    assert (visit.patients[0].key, visit.patients[0].email) == ("5", "pat@mail.example")
    assert (visit.practitioners[0].key, visit.practitioners[0].name) == ("9", "Dr. Acar")


def test_day_and_time_of_day_apart_are_joined(tmp_path: Path) -> None:
    row = {"AptNum": 3, "AptDate": "2026-12-01", "AptTime": "10:15", "PatNum": 5, "ProvNum": 2,
           "AptStatus": "Scheduled", "Length": 1800}  # fmt: skip
    visit = understood(draft([row]), tmp_path, row)

    assert f"{visit.start:%Y-%m-%d %H:%M}" == "2026-12-01 09:15"
    assert visit.end is not None
    assert visit.start is not None
    assert (visit.end - visit.start).total_seconds() == 1800


def test_other_languages_and_no_status_at_all(tmp_path: Path) -> None:
    row = {"termin_id": 1, "datum": "01.12.2026", "uhrzeit": "10:00", "patient_nr": 5, "arzt": "K"}
    found = draft([row])

    assert found.lacking == ["status"]
    assert "counts as booked" in found.text or "count as booked" in found.text
    assert understood(found, tmp_path, row).practitioners[0].name == "K"


def test_a_word_for_a_status_that_nobody_knows_is_left_to_a_person(tmp_path: Path) -> None:
    rows = [{"id": n, "start": "2026-12-01 10:00", "status": s, "patient_id": 1, "doctor_id": 2}
            for n, s in enumerate(["booked", "XQ", "cancelled"])]  # fmt: skip
    found = draft(rows)

    assert found.unknown == ["XQ"]
    assert "# not known: XQ" in found.text
    assert understood(found, tmp_path, rows[2]).status is Status.CANCELLED


def test_birthdays_and_dates_of_entry_are_no_starts() -> None:
    row = {"id": 1, "date_of_birth": "1980-01-01", "created": "2026-01-01 10:00:00",
           "updated_at": "2026-01-02 10:00:00", "when_date": "2026-12-01 10:00:00"}  # fmt: skip
    assert draft([row]).places["start"] == "when_date"


def test_a_name_that_no_file_can_hold_is_passed_over(tmp_path: Path) -> None:
    row = {"id": 1, "start": "2026-12-01 10:00", "patient\x7fid": 5, "status": "a\x07b"}
    assert understood(draft([row]), tmp_path, {**row, "status": None}).key == "1"


def test_people_without_a_name_for_it_are_not_told_apart_by_chance() -> None:
    assert draft([{"colour": "red", "size": 3}]).lacking == [
        "key", "start", "status", "patient.key", "practitioner.key",
    ]  # fmt: skip


@settings(max_examples=60)
@given(
    st.lists(
        st.dictionaries(
            st.text(min_size=1, max_size=12),
            st.none() | st.booleans() | st.integers() | st.text(max_size=20)
            | st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=8), max_size=3),
            max_size=6,
        ),
        max_size=4,
    )
)  # fmt: skip
def test_whatever_is_in_the_records_the_draft_is_a_mapping(
    tmp_path_factory: pytest.TempPathFactory, samples: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("draft")
    (folder / "m.yaml").write_text(draft(samples).text, encoding="utf-8")
    assert mappings.load("m.yaml", folder).fields


@pytest.mark.parametrize(
    "said",
    [
        {"nachname": "Sample", "vorname": "Ada"},
        {"arzt_name": "Quill", "patient_nachname": "Sample", "patient_vorname": "Ada"},
        {"nombre": "Ada", "apellidos": "Sample"},
        {"client": {"first_name": "Ada", "last_name": "Sample"}, "doctor": {"first_name": "Nora"}},
    ],
    ids=str,
)
def test_a_name_in_two_places_is_joined(tmp_path: Path, said: dict[str, Any]) -> None:
    record = {"id": 7, "start": "2026-12-01 09:30", "status": "booked", "patient_id": 5, **said}
    visit = understood(draft([record]), tmp_path, record)
    assert [patient.name for patient in visit.patients] == ["Ada Sample"]


def test_a_name_in_one_place_is_left_whole(tmp_path: Path) -> None:
    record = {"id": 7, "start": "2026-12-01 09:30", "status": "booked", "patient_id": 5}
    record |= {"patient_name": "Ada Sample", "first_name": "Nora", "last_name": "Quill"}
    visit = understood(draft([record]), tmp_path, record)
    assert [patient.name for patient in visit.patients] == ["Ada Sample"]
