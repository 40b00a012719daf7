"""Dates and times as people and machines write them, read without ever guessing.

Texts of errors tell the shape that was expected and never the value: a date can identify a person.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta, timezone
from enum import Enum
from typing import Literal, TypeAlias

from clinicrelay.months import FILLERS, MONTHS, NAMED_TIMES, plain

DateOrder: TypeAlias = Literal["dmy", "mdy", "ymd"]


class Doubt(Enum):
    """Why a column's order of day and month is not known.

    UNDECIDED: every value with slashes can be read both ways; a person has to say it.
    CONFLICT: some values can only be day first, others only month first; the column is mixed.
    """

    UNDECIDED = "undecided"
    CONFLICT = "conflict"


class AmbiguousDate(ValueError):
    """The date can be read day first and month first, and nobody said which."""

    def __init__(self) -> None:
        super().__init__("ambiguous: day and month could be either way round")


_TRIPLE = re.compile(r"(\d{1,4})\s?([./-])\s?(\d{1,2})\s?\2\s?(\d{4}|\d{1,2})\.?")
_SLASHED = re.compile(r"\s*(\d{1,2})\s?([/-])\s?(\d{1,2})\s?\2\s?(?:\d{4}|\d{2})(?!\d)")
_SERIAL = re.compile(r"(\d{5})(?:[.,](\d+))?")
_WORDS = re.compile(r"\d+|[^\W\d_]+")
_CLOCK = re.compile(
    r"(?:godz\.?\s?|saat\s)?"
    r"(\d{1,2})(?:\s?[:.hu]\s?(\d{2})(?:\s?[:.m]\s?(\d{2})(?:[.,]\d+)?)?)?\s?"
    r"(?:(a|p)\.?\s?(?:m\.?)?|(h|uhr|uur|u|hrs?|ore|horas?|heures?|min|m|s))?",
)
_COMPACT = re.compile(r"(\d{1,2})(\d{2})(\d{2})?")
_DAY_SHARE = re.compile(r"0?[.,]\d+")
_OFFSET = re.compile(r"(.*\d:\d\d\S*?(?:\s?[apAP]\.?[mM]\.?)?)\s?(Z|z|UTC|GMT|[+-]\d\d(?::?\d\d)?)")
_LINK = re.compile(r"(?:at|um|à|a las?|alle(?: ore)?|ore|às|@|-)\s+", re.IGNORECASE)
_GAP = re.compile(r"(?<=\w)[T_]|,?\s+|,")

# Day 0 of Excel's 1900 system, one day early because it believes in 29 February 1900.
_EXCEL_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001
_DAY_SECONDS = 86_400


def read_date(text: str, order: DateOrder | None = None) -> date:
    """Read a date without a time.

    ISO, compact `20260304`, dotted (always day first), slashes and hyphens in `order`, months by
    name in nine languages, Excel serials of the 1900 system. Two-digit years: 69 is 1969, 68 is
    2068. Raises AmbiguousDate when `order` is None and the value does not decide itself, and
    ValueError for anything else that is no date.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        return _odd_date(_tidy(text), order)


def _odd_date(text: str, order: DateOrder | None) -> date:
    if found := _TRIPLE.fullmatch(text):
        first, mark, middle, last = found.groups()
        return _from_numbers(first, middle, last, "dmy" if mark == "." else order)
    if found := _SERIAL.fullmatch(text):
        return _from_serial(text).date()
    if text.isdecimal():
        return _from_compact(text)
    return _from_words(text)


def _from_numbers(first: str, middle: str, last: str, order: DateOrder | None) -> date:
    if len(first) == 4 or (order == "ymd" and len(last) == 2):
        return _day(_year(first), int(middle), int(last))
    if len(first) == 3 or len(last) == 1:
        raise ValueError("not a date: a year has four digits or two")
    chosen = order if order in ("dmy", "mdy") else _forced(int(first), int(middle))
    if chosen is None:
        raise AmbiguousDate
    day, month = (first, middle) if chosen == "dmy" else (middle, first)
    return _day(_year(last), int(month), int(day))


def _forced(first: int, middle: int) -> DateOrder | None:
    """The order two numbers allow; two equal ones read the same either way."""
    if first > 12 or first == middle:
        return "dmy"
    return "mdy" if middle > 12 else None


def _from_compact(text: str) -> date:
    if len(text) != 8:
        raise ValueError("not a date: digits without marks must be YYYYMMDD")
    return _day(int(text[:4]), int(text[4:6]), int(text[6:]))


def _from_words(text: str) -> date:
    """Read `3. März 2026`, `Mar 3, 2026`, `mardi 3 mars 2026`, `3-Mar-26`."""
    words = _WORDS.findall(plain(text))
    months = [w for w in words if w in MONTHS]
    numbers = [w for w in words if w.isdecimal()]
    strangers = [w for w in words if not (w in MONTHS or w in FILLERS or w.isdecimal())]
    if strangers or not months or len(numbers) != 2:
        raise ValueError("not a date: expected YYYY-MM-DD, DD.MM.YYYY or a month by name")
    first, second = numbers
    day, year = (second, first) if len(first) == 4 else (first, second)
    # `mar` is also Tuesday in Spanish, French and Italian: the month is the last such word.
    return _day(_year(year), MONTHS[months[-1]], int(day))


def _year(text: str) -> int:
    if len(text) != 2:
        return int(text)
    short = int(text)
    return short + (1900 if short >= 69 else 2000)


def _day(year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except ValueError:
        raise ValueError("not a date: no such day in that month") from None


def _from_serial(text: str) -> datetime:
    """Read an Excel serial; a share of a day is rounded to the second, as Excel shows it."""
    days, _, share = text.replace(",", ".").partition(".")
    seconds = round(float(f"0.{share or 0}") * _DAY_SECONDS)
    return _EXCEL_EPOCH + timedelta(days=int(days), seconds=seconds)


def read_time(text: str) -> tuple[time, int]:
    """Read a time of day; the number says how many days it carries (24:00 is 00:00 a day on).

    `9:30`, `09.30`, `9h30`, `0930`, `9:30 AM`, `9:30a`, `noon`, Excel's `0.395833`. A bare number
    such as `9` is refused. Raises ValueError.
    """
    clock = plain(_tidy(text))
    if clock in NAMED_TIMES:
        return time(NAMED_TIMES[clock]), 0
    if _DAY_SHARE.fullmatch(clock):
        return _carried(round(float(clock.replace(",", ".")) * _DAY_SECONDS))
    if found := _COMPACT.fullmatch(clock):
        return _clock(*(int(part or 0) for part in found.groups()))
    if found := _CLOCK.fullmatch(clock):
        return _spoken(*found.groups())
    raise ValueError("not a time: expected HH:MM")


def _spoken(
    hour: str, minute: str | None, second: str | None, half: str | None, unit: str | None
) -> tuple[time, int]:
    if minute is None and half is None and unit in (None, "min", "m", "s"):
        raise ValueError("not a time: a bare number could be anything, expected HH:MM")
    hours = int(hour)
    if half:
        hours = _half_day(hours, half)
    return _clock(hours, int(minute or 0), int(second or 0))


def _half_day(hours: int, half: str) -> int:
    """12 AM is midnight, 12 PM is noon; `14:30 PM` is what it says."""
    if half == "p" and 12 <= hours < 24:
        return hours
    if not (1 <= hours <= 12 or (hours == 0 and half == "a")):
        raise ValueError("not a time: the hour does not go with AM or PM")
    return hours % 12 + (12 if half == "p" else 0)


def _clock(hours: int, minutes: int, seconds: int = 0) -> tuple[time, int]:
    # :60 is a leap second or a rounding; 24:00 is how schedules write the end of a day.
    if hours > 24 or minutes > 59 or seconds > 60 or (hours == 24 and (minutes or seconds)):
        raise ValueError("not a time: no such hour or minute")
    return _carried(hours * 3600 + minutes * 60 + seconds)


def _carried(seconds: int) -> tuple[time, int]:
    days, rest = divmod(seconds, _DAY_SECONDS)
    return time(rest // 3600, rest // 60 % 60, rest % 60), days


def read_datetime(text: str, order: DateOrder | None = None) -> datetime:
    """Read a date with a time: aware when the text carries an offset or Z, else naive wall time.

    Fractions of a second are cut. A date alone is refused: midnight would be a guess. Raises
    AmbiguousDate (see `read_date`) and ValueError.
    """
    if len(text) > 10 and not text.isdecimal():
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            pass
        else:
            return moment.replace(microsecond=0) if moment.microsecond else moment
    return _odd_datetime(_tidy(text), order)


def _odd_datetime(text: str, order: DateOrder | None) -> datetime:
    if (found := _SERIAL.fullmatch(text)) and found[2]:
        return _from_serial(text)
    if text.isdecimal() and len(text) in (12, 14):  # HL7 style: 202603040930
        return on_day(_from_compact(text[:8]), read_time(text[8:]))
    if found := _OFFSET.fullmatch(text):
        wall, offset = found.groups()
        return _split_datetime(wall, order).replace(tzinfo=_zone(offset))
    return _split_datetime(text, order)


def _split_datetime(text: str, order: DateOrder | None) -> datetime:
    """Find the gap with a date on its left and a time on its right."""
    for gap in _GAP.finditer(text):
        try:
            clock = read_time(_LINK.sub("", text[gap.end() :], count=1))
            return on_day(read_date(text[: gap.start()], order), clock)
        except AmbiguousDate:
            raise
        except ValueError:
            continue
    raise ValueError("not a date with a time: expected YYYY-MM-DD HH:MM")


def on_day(day: date, clock: tuple[time, int]) -> datetime:
    """Put a reading of `read_time` on a day, carrying what it carries. Raises ValueError."""
    try:
        return datetime.combine(day + timedelta(days=clock[1]), clock[0])
    except OverflowError:
        raise ValueError("not a date: beyond the calendar") from None


def _zone(offset: str) -> timezone:
    if offset[0] not in "+-":
        return UTC
    digits = offset[1:].replace(":", "").ljust(4, "0")
    away = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-away if offset[0] == "-" else away)


def _tidy(text: str) -> str:
    """One plain space wherever there is any (no-break ones too), none at the ends."""
    return " ".join(text.split())


def order_of(texts: Iterable[str]) -> DateOrder | Doubt | None:
    """Decide the order of day and month from all values of a date column, times included.

    `dmy` or `mdy` as soon as the whole column allows just one; None when no value needs to know
    (ISO, dotted, month by name, both numbers equal); else a Doubt. One value with a number above
    12 decides for all, which is why the whole column must be shown and not a sample.
    """
    forced: set[DateOrder] = set()
    open_values = False
    for text in texts:
        if found := _SLASHED.match(text):
            first, middle = int(found[1]), int(found[3])
            if first == middle:
                continue
            choice = _forced(first, middle)
            if choice:
                forced.add(choice)
            open_values = open_values or choice is None
    if len(forced) > 1:
        return Doubt.CONFLICT
    if forced:
        return forced.pop()
    return Doubt.UNDECIDED if open_values else None
