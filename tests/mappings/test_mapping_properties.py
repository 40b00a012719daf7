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
from mappings.columns import InTable, InTexts
from mappings.spec import Name
from mappings.transforms import clean, read_email

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


# Spaces of every kind, what nobody sees, halves of characters, and marks that compose with others.
_ODD = st.text(
    "ab\u00e9 \t\r\n\x00\x07\x1f\x85\u00a0\u2003\u2028\u200b\u2060\ufeff\ud800"
    "<=e\u0301\u0308\u0338\u1100\u1161"
)
_ROWS = st.lists(
    _CELLS | _ODD | st.text(max_size=300), min_size=len(COLUMNS), max_size=len(COLUMNS)
)


def told(data: object) -> object:
    try:
        return MAPPER(Record(data=data, digest=b""))  # type: ignore[arg-type]
    except BadRecord as wrong:
        return wrong.reason, wrong.field, wrong.key, wrong.detail


@given(_ROWS)
def test_a_row_read_at_once_is_read_as_its_cells_one_by_one(cells: list[str]) -> None:
    row = Row(Header(COLUMNS), cells, list)
    assert told(row) == told(dict(zip(COLUMNS, cells, strict=True)))


@given(st.lists(_ODD | st.sampled_from(["", "N/A", "a" * 256]), min_size=1, max_size=4))
def test_texts_taken_at_once_are_clean_and_not_too_long(cells: list[str]) -> None:
    names = [Name(str(number)) for number in range(len(cells))]
    table = InTable(Header([name.path for name in names]), {"", "N/A"})
    taken = InTexts(table, names).take(cells)
    cleaned = [clean(cell) for cell in cells]
    if taken is not None:
        assert list(taken) == [None if text in {"", "N/A"} else text for text in cleaned]
    if all(text.isascii() and text.isalpha() and len(text) < 256 for text in cells):
        assert taken is not None


@given(st.emails() | st.from_regex(r"[\w.+-]{1,70}@[A-Za-z0-9.-]{1,20}", fullmatch=True))
def test_an_address_is_read_as_one_in_brackets(address: str) -> None:
    def read(text: str) -> str | None:
        with suppress(ValueError):
            return read_email(text)
        return None

    assert read(address) == read(f"<{address}>")


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
