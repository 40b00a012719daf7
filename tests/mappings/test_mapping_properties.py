"""What holds for every record, however odd: an answer or a reason, and nobody's data in it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mappings
from clinicrelay import Appointment, BadRecord, Record
from clinicrelay.model import decode, encode
from clinicrelay.tables import Header, Row

COLUMNS = (
    *("appointment_id", "start", "date", "time", "end", "duration", "status", "cancelled"),
    *("timezone", "patient_id", "first_name", "last_name", "phone", "email", "language"),
    *("birth_date", "preferred_channel", "doctor", "doctor_email", "room", "modality", "notes"),
)
MAPPER = mappings.load("clinic_csv", Path()).compile(
    mappings.Context("s", "Europe/Berlin", "DE", "de")
)

_TIMES = st.sampled_from(["2026-12-01", "09:30", "2026-12-01 09:30", "24:00", "9999-12-31 23:59"])
_WORDS = st.sampled_from(
    ["", "yes", "booked", "cancelled", "Europe/Rome", "45", "N/A", "x@y.example"]
)
_CELLS = _TIMES | _WORDS | st.text(max_size=12) | st.text("0123456789/:-. APMZ+", max_size=20)
_VALUES = _CELLS | st.none() | st.integers() | st.floats() | st.booleans() | st.datetimes()


def mapped(cells: list[object]) -> Appointment | None:
    return MAPPER(Record(data=Row(Header(COLUMNS), cells, list), digest=b""))


@given(st.lists(_VALUES, min_size=len(COLUMNS), max_size=len(COLUMNS)))
def test_any_row_becomes_a_visit_or_is_set_aside(cells: list[object]) -> None:
    try:
        visit = mapped(cells)
    except BadRecord:
        return
    assert visit is not None
    assert decode(encode(visit)) == visit
    if visit.start is not None:
        assert visit.end is not None
        assert visit.end > visit.start


@given(st.dictionaries(st.sampled_from(COLUMNS), st.lists(_VALUES, max_size=2) | _VALUES))
def test_any_object_becomes_a_visit_or_is_set_aside(data: dict[str, object]) -> None:
    with suppress(BadRecord):
        assert MAPPER(Record(data=data, digest=b"")) is not None


CANARIES = {
    "first_name": "Canaryvorname",
    "last_name": "Canarynachname",
    "phone": "0151 98765432",
    "email": "canary@mail.example",
    "birth_date": "1987-06-05",
    "notes": "canary in a coal mine",
}
BROKEN = {
    "start": "soon",
    "status": "Canarystatus with a much too long explanation",
    "cancelled": "because of the canary",
    "timezone": "Canary/Islands",
    "appointment_id": "canary" * 60,
    "patient_id": "canary" * 60,
}


@pytest.mark.parametrize("field", [*BROKEN, "nothing known"])
def test_a_reason_never_repeats_what_stood_in_the_record(field: str) -> None:
    good = {"appointment_id": "7", "start": "2026-12-01 09:30", **CANARIES}
    row = {**good, field: BROKEN.get(field, "")}
    if field == "nothing known":
        row = {**CANARIES, "appointment_id": "", "start": ""}
    with pytest.raises(BadRecord) as wrong:
        mapped([row.get(column, "") for column in COLUMNS])
    told = f"{wrong.value!r} {wrong.value} {wrong.value.detail} {wrong.value.field}".casefold()
    assert "canary" not in told
    assert "9876" not in told
    assert "1987" not in told


def test_issues_name_fields_and_never_values() -> None:
    row = {**CANARIES, "appointment_id": "7", "start": "2026-12-01 09:30"}
    row |= {"phone": "canary", "email": "canary", "language": "canary", "modality": "canary"}
    visit = mapped([row.get(column, "") for column in COLUMNS])
    assert visit is not None
    assert {issue.code for issue in visit.issues} >= {"invalid_phone", "unknown_modality"}
    assert "canary" not in "".join(f"{i.code}{i.field}{i.detail}" for i in visit.issues)
