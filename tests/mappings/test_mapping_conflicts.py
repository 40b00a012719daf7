"""Cells and columns that can be taken in more than one way: what is read, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import mappings
from clinicrelay import Appointment, BadRecord, Record
from clinicrelay.paths import fold
from clinicrelay.tables import Header, Row
from mappings.transforms import read_bool, read_minutes, swap

if TYPE_CHECKING:
    from conftest import Apply

    from mappings import Mapper


def of(visit: Appointment | None) -> Appointment:
    assert visit is not None
    return visit


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Sample, Ada", "Ada Sample"),
        ("Muestra Ejemplo,Ana María", "Ana María Muestra Ejemplo"),
        ("Ada Sample", "Ada Sample"),
        ("Sample, Jr.", "Sample, Jr."),
        ("Example, M.D.", "Example, M.D."),
        ("Sample, Ada, 1980", "Sample, Ada, 1980"),
        ("Sample,", "Sample,"),
        (", Ada", ", Ada"),
    ],
)
def test_a_last_name_before_a_comma_is_put_behind(written: str, meant: str, csv: Apply) -> None:
    assert swap(",")(written) == meant
    assert of(csv(id="1", start="2026-12-01 09:30", patient=written)).patients[0].name == meant


def test_a_name_beside_a_doctor_is_the_patients(csv: Apply) -> None:
    visit = of(csv(id="1", start="2026-12-01 09:30", name="Ada Sample", doctor="Dr Example"))
    assert [p.name for p in visit.patients] == ["Ada Sample"]
    assert [p.name for p in visit.practitioners] == ["Dr Example"]


def test_a_name_beside_a_patient_is_not_taken_for_one(csv: Apply) -> None:
    visit = of(csv(id="1", start="2026-12-01 09:30", name="Dr Example", patient="Ada Sample"))
    assert [p.name for p in visit.patients] == ["Ada Sample"]


@pytest.mark.parametrize(
    ("mobile", "home", "work", "taken"),
    [
        ("0151 55501430", "030 5550143", "030 5550144", "+4915155501430"),
        ("", "030 5550143", "030 5550144", "+49305550143"),
        ("", "", "030 5550144-12", "+49305550144"),
        ("Tel. 0151/555 014 30", "", "", "+4915155501430"),
        ("(0)151 55501430 ext. 7", "", "", "+4915155501430"),
    ],
)
def test_of_several_phones_the_mobile_one_comes_first(
    csv: Apply, mobile: str, home: str, work: str, taken: str
) -> None:
    cells = {"Handy": mobile, "Tel. privat": home, "Tel. dienstlich": work}
    visit = of(csv(id="1", start="2026-12-01 09:30", patient="Ada Sample", **cells))
    assert (visit.patients[0].phone or "")[: len(taken)] == taken


@pytest.mark.parametrize(
    ("written", "minutes"),
    [
        *(("30 min", 30), ("30 Min.", 30), ("1h", 60), ("1 h 30", 90), ("1:30", 90), ("0,5 h", 30)),
        ("1 Std. 30 Min.", 90),
        *(("1 Std.", 60), ("1,5 Stunden", 90), ("90 dakika", 90), ("30 dk", 30), ("1 saat", 60)),
        *(("15 minut", 15), ("1 godz. 15 min", 75), ("1 uur", 60), ("45 minuten", 45), ("45'", 45)),
    ],
)
def test_a_length_may_have_its_unit(written: str, minutes: int) -> None:
    assert read_minutes(written) == timedelta(minutes=minutes)


@pytest.mark.parametrize("written", ["half an hour", "30-45", "PT30M?", "", "0"])
def test_a_length_nobody_can_know_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="not a length"):
        read_minutes(written)


@pytest.mark.parametrize(
    ("yes", "no"),
    [("ja", "nee"), ("tak", "nie"), ("evet", "hayır"), ("Evet", "HAYIR"), ("prawda", "fałsz")],
)
def test_yes_and_no_are_known_in_dutch_polish_and_turkish(yes: str, no: str) -> None:
    assert read_bool(yes) is True
    assert read_bool(no) is False


@pytest.mark.parametrize(
    ("date", "time"),
    [
        *(("01.12.26", "9.30"), ("1. Dez 2026", "9h30"), ("Tue 01 Dec 2026", "09:30 Uhr")),
        *(("46357", "0,395833333"), ("1 grudnia 2026", "godz. 9:30"), ("1 Aralık 2026", "09.30")),
        *(("di 1 december 2026", "9u30"), ("1er décembre 2026", "9:30 AM"), ("20261201", "0930")),
    ],
)
def test_a_day_and_a_time_are_read_in_either_order_of_the_columns(
    csv: Apply, date: str, time: str
) -> None:
    one = of(csv(id="1", patient="Ada", date=date, time=time))
    other = of(csv(id="1", patient="Ada", von=time, datum=date))
    assert one.start is not None
    assert one.start.isoformat() == "2026-12-01T08:30:00+00:00"
    assert other.start == one.start


@pytest.mark.parametrize("date", ["01/12/2026", "1-2-26", "12/11/2026 "])
def test_a_date_that_can_be_read_two_ways_is_refused(csv: Apply, date: str) -> None:
    with pytest.raises(BadRecord, match="ambiguous_date"):
        csv(id="1", patient="Ada", date=date, time="09:30")


def test_a_word_that_means_two_things_in_two_languages_is_left_to_its_first() -> None:
    """`hasta` is the Spanish until and the Turkish patient: a Turkish list needs its own mapping."""
    columns = mappings.load("clinic_csv", Path()).columns
    assert not columns.required[1] & {fold("Hasta")}


WRONG = [
    ({"id": "1", "date": "2026-12-01", "time": "soon", "patient": "A"}, "start", "time"),
    ({"id": "1", "date": "2026-12-01", "time": "", "patient": "A"}, "start", "time"),
    ({"id": "1", "date": "31.11.2026", "time": "09:30", "patient": "A"}, "start", "date"),
    ({"id": "1", "start": "2026-12-01", "status": "XQ", "patient": "A"}, "status", "status"),
    ({"id": "1", "start": "2026-12-01", "patient": "A"}, "start", "start"),
    ({"id": "1", "start": "2026-12-01", "patient": "A"}, "status", None),
    ({"id": "1", "start": "2026-12-01", "patient": "A"}, None, None),
    ({"id": "1", "start": "2026-12-01", "patient": "A"}, "patient", "patient"),
]


@pytest.mark.parametrize(("cells", "field", "column"), WRONG)
def test_the_column_in_which_a_row_is_wrong_is_named(
    cells: dict[str, str], field: str | None, column: str | None, csv_mapper: Mapper
) -> None:
    record = Record(Row(Header(list(cells)), tuple(cells.values()), tuple), b"")
    found = csv_mapper.column_of(record, field)
    assert (found and list(cells)[found - 1]) == column
