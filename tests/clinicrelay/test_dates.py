"""Dates and times as people and machines write them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clinicrelay.dates import (
    AmbiguousDate,
    DateOrder,
    Doubt,
    order_of,
    read_date,
    read_datetime,
    read_time,
)

DAY = date(2026, 3, 4)


@pytest.mark.parametrize(
    "text",
    [
        *("2026-03-04", "20260304", "04.03.2026", "4.3.26", "2026/03/04", "2026.3.4", "46085"),
        *("4 March 2026", "Mar 4, 2026", "4-Mar-26", "Wednesday, 4th March 2026"),
        *("4. März 2026", "4 de marzo de 2026", "4 mars 2026", "mer 4 mars 2026", "4 marzo 2026"),
        *("4 de março de 2026", "mar 4 mar 2026", "4\u00a0March\u202f2026"),
    ],
)
def test_a_day_is_read_however_it_is_written(text: str) -> None:
    assert read_date(text) == DAY


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 January 2026", 1),
        ("1. Jänner 2026", 1),
        ("1 févr. 2026", 2),
        ("1 mag 2026", 5),
        ("1er août 2026", 8),
        ("1 Sept 2026", 9),
        ("1º de outubro de 2026", 10),
        ("1. Dez. 2026", 12),
        ("1 dicembre 2026", 12),
    ],
)
def test_months_are_known_by_name_in_six_languages(text: str, expected: int) -> None:
    assert read_date(text) == date(2026, expected, 1)


def test_the_declared_order_decides_which_number_is_the_day() -> None:
    assert read_date("03/04/2026", "dmy") == date(2026, 4, 3)
    assert read_date("03/04/2026", "mdy") == date(2026, 3, 4)
    assert read_date("26/03/04", "ymd") == DAY


def test_a_number_above_twelve_decides_the_order_and_otherwise_nobody_guesses() -> None:
    assert read_date("13/04/2026") == date(2026, 4, 13)
    assert read_date("04-13-2026") == date(2026, 4, 13)
    assert read_date("04/04/2026") == date(2026, 4, 4)
    with pytest.raises(AmbiguousDate, match="ambiguous"):
        read_date("03/04/2026")


def test_a_value_that_contradicts_the_declared_order_is_no_date() -> None:
    with pytest.raises(ValueError, match="no such day"):
        read_date("04/13/2026", "dmy")


def test_two_digit_years_turn_at_69() -> None:
    assert read_date("01.01.69").year == 1969
    assert read_date("01.01.68").year == 2068


@pytest.mark.parametrize("text", ["", "soon", "31.02.2026", "2026", "4 Brumaire 2026", "1/2", "²"])
def test_what_is_no_date_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not a date") as wrong:
        read_date(text)
    assert not text or text not in str(wrong.value)


@pytest.mark.parametrize(
    "text",
    [
        *("09:30", "9:30", "9.30", "0930", "930", "09:30:00", "09:30:00.750", "9h30", "9:30 Uhr"),
        *("9:30 AM", "9:30a", "9.30 a.m.", "9:30\u202fam", "0.395833", "09:29:60"),
    ],
)
def test_a_time_is_read_however_it_is_written(text: str) -> None:
    assert read_time(text) == (time(9, 30), 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12:30 AM", time(0, 30)),
        ("12 PM", time(12)),
        ("9.30 p.m.", time(21, 30)),
        ("14:30 PM", time(14, 30)),
        ("noon", time(12)),
        ("Mediodía", time(12)),
        ("midnight", time(0)),
        ("14 Uhr", time(14)),
        ("14h", time(14)),
        ("0,75", time(18)),
    ],
)
def test_half_days_words_and_shares_of_a_day_are_times(text: str, expected: time) -> None:
    assert read_time(text)[0] == expected


def test_the_end_of_a_day_is_carried_to_the_next() -> None:
    assert read_time("24:00") == (time(0), 1)
    assert read_time("23:59:60") == (time(0), 1)


@pytest.mark.parametrize("text", ["9", "10m", "24:01", "25:00", "9:60", "13:00 AM", "soon", ""])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not a time"):
        read_time(text)


@pytest.mark.parametrize(
    "text",
    [
        *("2026-03-04T09:30", "2026-03-04 09:30:00.999", "2026-03-04 0930", "20260304T0930"),
        *("202603040930", "20260304093000", "04.03.2026 09:30", "04.03.2026, 9.30 Uhr"),
        *("4 March 2026 at 9:30 AM", "4 de marzo de 2026 a las 9:30", "4 mars 2026 à 9h30"),
        *("3/13/2026 9:30 AM", "46085.395833", "Mar 4 2026 9:30AM"),
    ],
)
def test_a_moment_without_offset_is_wall_time(text: str) -> None:
    day = date(2026, 3, 13) if "13" in text else DAY
    assert read_datetime(text) == datetime.combine(day, time(9, 30))


@pytest.mark.parametrize(
    "text",
    ["2026-03-04T08:30:00Z", "2026-03-04T09:30+01:00", "04.03.2026 09:30 +01:00", "20260304T0830Z"],
)
def test_an_offset_makes_an_instant(text: str) -> None:
    assert read_datetime(text) == datetime(2026, 3, 4, 8, 30, tzinfo=UTC)


def test_the_offset_of_a_mail_header_is_kept() -> None:
    moment = read_datetime("Wed, 04 Mar 2026 09:30:00 -0530")
    assert moment.tzinfo == timezone(-timedelta(hours=5, minutes=30))


def test_midnight_at_the_end_of_a_day_is_the_next_day() -> None:
    assert read_datetime("2026-03-04T24:00:00") == datetime(2026, 3, 5)


@pytest.mark.parametrize("text", ["2026-03-04", "46085", "04.03.2026", "2026-W10-3"])
def test_a_date_alone_is_not_taken_for_midnight(text: str) -> None:
    with pytest.raises(ValueError, match="date with a time"):
        read_datetime(text)


def test_an_undecided_day_stays_undecided_with_a_time() -> None:
    with pytest.raises(AmbiguousDate):
        read_datetime("03/04/2026 10:00")
    assert read_datetime("03/04/2026 10:00", "mdy") == datetime(2026, 3, 4, 10)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (["01/02/2026", "13/02/2026 09:30"], "dmy"),
        (["01-02-2026", "02-13-26"], "mdy"),
        (["01/02/2026", "02/03/2026", ""], Doubt.UNDECIDED),
        (["13/02/2026", "02/13/2026"], Doubt.CONFLICT),
        (["2026-02-01", "01.02.2026", "1 March 2026", "03/03/2026", ""], None),
        ([], None),
    ],
)
def test_only_the_whole_column_decides_the_order(column: list[str], expected: object) -> None:
    assert order_of(column) == expected


@given(st.dates(min_value=date(1970, 1, 1), max_value=date(2068, 12, 31)))
def test_every_day_survives_being_written(day: date) -> None:
    assert read_date(day.strftime("%d.%m.%Y")) == day
    assert read_date(day.strftime("%m/%d/%Y"), "mdy") == day
    assert read_date(day.strftime("%d/%m/%y"), "dmy") == day
    assert read_date(day.strftime("%d %B %Y")) == day


_TYPED = st.text(alphabet="0123456789/.-: TZapmhUhr+,²٣März", max_size=24) | st.text(max_size=20)


@given(_TYPED, st.sampled_from(["dmy", "mdy", "ymd", None]))
@example("9999-12-31 24:00", None)
@example("99999", None)
@example("0.9999999999", None)
def test_whatever_is_typed_is_read_or_refused(text: str, order: DateOrder | None) -> None:
    readings: tuple[Callable[[], object], ...] = (
        lambda: read_date(text, order),
        lambda: read_time(text),
        lambda: read_datetime(text, order),
    )
    for read in readings:
        with suppress(ValueError):
            read()
