"""The values that settings are written in: durations, times, shares, rates, phones, zones.

Each is an annotated type for a pydantic model, those of plugins included. What people write is read
here and nowhere else; a value that cannot be read is refused with a sentence and its remedy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import time, timedelta
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from clinicrelay.phones import is_e164, read_phone
from clinicrelay.times import Span, parse_span, zone_of


class Section(BaseModel):
    """A part of the settings, or a plugin's options: unknown keys are errors, nothing changes."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True
    )


class Plain(str):
    """A text that stands in the file without quotes, which other YAML readers may read otherwise."""

    __slots__ = ()


def wrong(reason: str, fix: str = "") -> PydanticCustomError:
    """Return the error for a validator to raise: why the value cannot stand, and what would."""
    return PydanticCustomError("wrong", "{reason}", {"reason": reason, "fix": fix})


def unquoted(reason: str, fix: str = "") -> PydanticCustomError:
    """Return the error for a value that lost its meaning because it stands without quotes.

    Without a `fix` the text as it stands in the file, in quotes, is proposed.
    """
    return PydanticCustomError("unquoted", "{reason}", {"reason": reason, "fix": fix})


# --- time ------------------------------------------------------------------------------------


def read_span(value: Any) -> Span:
    """Read `15m`, `6h`, `30d`, `2w`, `1h30m`; days stay calendar days."""
    if isinstance(value, Span):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise wrong(f"{value} has no unit", f"write {value}s, {value}m, {value}h or {value}d")
    if not isinstance(value, str):
        raise wrong("this is not a duration", "write 15m, 6h, 30d or 1h30m")
    try:
        return parse_span(value)
    except ValueError as error:
        reason = str(error).partition(";")[0]
        raise wrong(reason, "write 15m, 6h, 30d or 1h30m") from None


def read_duration(value: Any) -> timedelta:
    """Read a duration whose days are 24 hours each."""
    return value if isinstance(value, timedelta) else read_span(value).length


def _above_zero(value: timedelta) -> timedelta:
    if not value:
        raise wrong("this must be longer than nothing", "write 30s, 15m or 6h")
    return value


_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


def read_clock(value: Any) -> time:
    """Read a wall-clock time; without quotes it is refused, as YAML 1.1 reads 21:00 as 1260."""
    if isinstance(value, time):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        raise _number_for_a_clock(value)
    if not isinstance(value, str) or not (parts := _CLOCK.fullmatch(value.strip())):
        raise wrong("this is not a time of day", 'write hours and minutes in quotes: "21:00"')
    if isinstance(value, Plain):
        raise unquoted("a time without quotes is read as a number by other programs: quote this")
    return time(int(parts[1]), int(parts[2]))


def _number_for_a_clock(value: int) -> PydanticCustomError:
    if not (meant := [f"{hours:02}:{minutes:02}" for hours, minutes in _clocks(value)]):
        return wrong(f"{value} is not a time of day", 'write hours and minutes in quotes: "21:00"')
    message = f"{value} is a number and looks like an unquoted {' or '.join(meant)}: quote this"
    return unquoted(message, "write " + " or ".join(f'"{text}"' for text in meant))


def _clocks(value: int) -> list[tuple[int, int]]:
    """Return the times that a number may have been written for.

    It stands for hours alone (21, and 24 for midnight), for what YAML 1.1 makes of 21:00 and of
    21:00:00, or for a time without its colon (2100): 1320 may be 22:00 and 13:20.
    """
    if 0 <= value <= 24:
        return [(value % 24, 0)]
    minutes = value // 60 if value >= 60 * 60 else value
    sexagesimal = [divmod(minutes, 60)] if 60 <= minutes < 24 * 60 else []
    hour, minute = divmod(value, 100)
    plain = [(hour, minute)] if 0 < hour < 24 and minute < 60 else []
    return [*sexagesimal, *plain]


_ABBREVIATIONS = {
    "CET": "Europe/Berlin",
    "CEST": "Europe/Berlin",
    "MET": "Europe/Berlin",
    "WET": "Europe/Lisbon",
    "EET": "Europe/Athens",
    "GMT": "Europe/London",
    "BST": "Europe/London",
    "MSK": "Europe/Moscow",
    "EST": "America/New_York",
    "EDT": "America/New_York",
    "CST": "America/Chicago",
    "CDT": "America/Chicago",
    "MST": "America/Denver",
    "MDT": "America/Denver",
    "PST": "America/Los_Angeles",
    "PDT": "America/Los_Angeles",
    "IST": "Asia/Kolkata",
    "JST": "Asia/Tokyo",
    "AEST": "Australia/Sydney",
}


def read_zone(value: str) -> str:
    """Accept an IANA name; offsets and abbreviations know no summer time and are refused."""
    try:
        return zone_of(value).key
    except ValueError:
        near = _ABBREVIATIONS.get(value.upper()) or _nearest_zone(value)
        raise wrong(
            f"{value!r} is not an IANA time zone, which alone knows summer time",
            f"write {near}" if near else "write the zone of a city, such as Europe/Berlin",
        ) from None


def _nearest_zone(value: str) -> str | None:
    from difflib import get_close_matches
    from zoneinfo import available_timezones

    cities = {z.casefold(): z for z in available_timezones() if "/" in z and z[:4] != "Etc/"}
    tails = {z.rpartition("/")[2]: z for z in cities}
    wanted = value.casefold().replace(" ", "_")
    near = get_close_matches(wanted, cities, n=1, cutoff=0.75)
    if near:
        return cities[near[0]]
    return cities[tails[wanted]] if wanted in tails else None


# --- numbers ---------------------------------------------------------------------------------


def read_share(value: Any) -> float:
    """Read `5%` or 0.05 as 0.05."""
    fix = "write a share with its sign: 5%"
    text = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch(r"\d+(\.\d+)?\s*%?|\.\d+", text):
        raise wrong("this is not a share", fix)
    number = float(text.rstrip("% "))
    share = number / 100 if text.endswith("%") else number
    if share > 1 or (share == 1 and not text.endswith("%")):
        # A bare 1 may mean one per cent or all of it, and the two differ by a whole clinic.
        raise wrong(f"{text} is not clearly a share", "write it with its sign, from 0% to 100%")
    return share


def read_factor(value: Any) -> float:
    """Read `5x` as 5.0: how many times as much."""
    text = str(value).strip().lower()
    if isinstance(value, bool) or not re.fullmatch(r"\d+(\.\d+)?\s*x?", text):
        raise wrong("this is not a factor", "write how many times as much: 5x")
    if (factor := float(text.rstrip("x "))) <= 1:
        raise wrong("a factor must be more than 1x", "write how many times as much: 5x")
    return factor


_PERIODS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_RATE = re.compile(r"(\d+)\s*/\s*(s|m|h|d|run)")


@dataclass(frozen=True, slots=True)
class Rate:
    """How many calls there may be in a period: s, m, h, d, or one run."""

    count: int
    per: Literal["s", "m", "h", "d", "run"]

    @property
    def period(self) -> timedelta | None:
        """The period as a stretch of time; None where it is a run."""
        return None if self.per == "run" else timedelta(seconds=_PERIODS[self.per])

    def __str__(self) -> str:
        return f"{self.count}/{self.per}"


def read_rate(value: Any) -> Rate:
    """Read `5/s`, `600/m`, `1000/h`, `10000/d` or `2000/run`."""
    if isinstance(value, Rate):
        return value
    parts = _RATE.fullmatch(str(value).strip().lower())
    if not parts:
        raise wrong("this is not a rate", "write how many in what: 5/s, 600/m or 2000/run")
    if not int(parts[1]):
        raise wrong("a rate of 0 would never let anything through", "write at least 1/s")
    return Rate(int(parts[1]), cast(Any, parts[2]))


def _whole(value: Any) -> Any:
    if isinstance(value, bool):
        raise wrong("true and false are not numbers", "write a whole number")
    return value


# --- names and addresses -----------------------------------------------------------------------


_NAME = re.compile(r"[a-z0-9_-]+")
_EMAIL = re.compile(r"[^@\s<>,;\"]+@[^@\s<>,;\"]+\.[^@\s<>,;\"]+")
_TAG = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|\d{3}))?")


def not_blank(value: str) -> str:
    """Accept a text in which something can be read."""
    if value.strip():
        return value
    raise wrong("this must not be empty", "write something")


def read_name(value: str) -> str:
    """Accept what may become part of a file's name and of an identity."""
    if _NAME.fullmatch(value):
        return value
    proper = re.sub(r"[^a-z0-9_-]+", "_", value.lower()).strip("_")
    raise wrong(
        f"{value!r} becomes part of file names: small letters, digits, _ and - only",
        f"write {proper}" if proper else "write a short name such as main_ehr",
    )


def read_email(value: str) -> str:
    if not _EMAIL.fullmatch(value):
        raise wrong("this is not an e-mail address", "write it plainly: name@clinic.example")
    return value


def read_number(value: Any, info: ValidationInfo) -> str:
    """Accept E.164; a number in local notation is refused with its E.164 form as the remedy."""
    if isinstance(value, int | float):
        raise unquoted("an unquoted phone number loses its + and its zeros: quote this")
    if not isinstance(value, str):
        raise wrong("this is not a phone number", 'write it in quotes: "+493012345678"')
    if is_e164(value):
        return str(value)
    country = (info.context or {}).get("country") or "ZZ"
    if number := read_phone(value, country).number:
        raise wrong("write phone numbers in their international form", f'write "{number}"')
    raise wrong(
        "this is not a phone number", 'write it in quotes, with its country code: "+493012345678"'
    )


@lru_cache(maxsize=1)
def countries() -> dict[str, str]:
    """Return ISO 3166 alpha-2 codes and English names (tzdata's copy: no heavy import for it)."""
    package = find_spec("tzdata")
    place = (package and package.submodule_search_locations) or ["/usr/share"]
    table = Path(place[0], "zoneinfo", "iso3166.tab").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in table.splitlines() if line and line[0] != "#")
    return {row[0]: row[1] for row in rows}


def read_country(value: str) -> str:
    """Accept an ISO 3166 alpha-2 code; an unquoted NO is Norway here, whatever YAML 1.1 thinks."""
    code = value.strip().upper()
    if code in countries():
        return code
    named = next((c for c, n in countries().items() if n.casefold() == value.casefold()), None)
    near = "GB" if code == "UK" else named
    raise wrong(
        f"{value!r} is not a country code of ISO 3166", f"write {near or 'two letters such as DE'}"
    )


def read_language(value: str) -> str:
    """Accept a BCP 47 tag: language, maybe script, maybe region."""
    if _TAG.fullmatch(value):
        return value
    tidy = value.replace("_", "-")
    parts = tidy.lower().split("-")
    shaped = "-".join([parts[0], *(p.upper() if len(p) == 2 else p.title() for p in parts[1:])])
    near = shaped if _TAG.fullmatch(shaped) else "a language tag such as de, en or pt-BR"
    raise wrong(f"{value!r} is not a language tag", f"write {near}")


# --- types, each with what JSON Schema can say of it ---------------------------------------------


SPAN_PATTERN = r"^\s*(\d+(\.\d+)?\s*[smhdwSMHDW]\s*)+$"


def _text_schema(pattern: str, example: str, **more: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example], **more})


def _number_schema(pattern: str, example: str, **limits: float) -> WithJsonSchema:
    text = {"type": "string", "pattern": pattern}
    return WithJsonSchema({"anyOf": [text, {"type": "number", **limits}], "examples": [example]})


_SPAN_SCHEMA = _text_schema(SPAN_PATTERN, "15m")
_SHARE_SCHEMA = _number_schema(
    r"^\s*((100(\.0+)?|\d{1,2}(\.\d+)?)\s*%|0(\.\d+)?|\.\d+)\s*$",
    "5%",
    minimum=0,
    exclusiveMaximum=1,
)
_FACTOR_SCHEMA = _number_schema(
    r"^\s*(1\.\d*[1-9]\d*|[2-9](\.\d+)?|[1-9]\d+(\.\d+)?)\s*[xX]?\s*$", "5x", exclusiveMinimum=1
)

CalendarSpan: TypeAlias = Annotated[Span, PlainValidator(read_span), _SPAN_SCHEMA]
Duration: TypeAlias = Annotated[timedelta, PlainValidator(read_duration), _SPAN_SCHEMA]
SomeTime: TypeAlias = Annotated[Duration, AfterValidator(_above_zero)]
ClockTime: TypeAlias = Annotated[
    time,
    PlainValidator(read_clock),
    _text_schema(r"^\s*([01]?\d|2[0-3]):[0-5]\d\s*$", "21:00", quoted=True),
]
Share: TypeAlias = Annotated[float, PlainValidator(read_share), _SHARE_SCHEMA]
Factor: TypeAlias = Annotated[float, PlainValidator(read_factor), _FACTOR_SCHEMA]
RateLimit: TypeAlias = Annotated[
    Rate, PlainValidator(read_rate), _text_schema(r"^\s*0*[1-9]\d*\s*/\s*(s|m|h|d|run)\s*$", "5/s")
]
Whole: TypeAlias = Annotated[int, BeforeValidator(_whole)]
Said: TypeAlias = Annotated[str, AfterValidator(not_blank)]
Name: TypeAlias = Annotated[
    str, AfterValidator(read_name), _text_schema(f"^{_NAME.pattern}$", "main_ehr")
]
Email: TypeAlias = Annotated[
    str, AfterValidator(read_email), _text_schema(f"^{_EMAIL.pattern}$", "name@clinic.example")
]
Zone: TypeAlias = Annotated[
    str,
    AfterValidator(read_zone),
    _text_schema(r"^(UTC|(?!Etc/|posix/|right/)[A-Za-z_]+(/[A-Za-z0-9_+-]+)+)$", "Europe/Berlin"),
]
Country: TypeAlias = Annotated[
    str, AfterValidator(read_country), _text_schema(r"^\s*[A-Za-z]{2}\s*$", "DE")
]
Language: TypeAlias = Annotated[
    str, AfterValidator(read_language), _text_schema(f"^{_TAG.pattern}$", "de")
]
Phone: TypeAlias = Annotated[
    str,
    PlainValidator(read_number),
    _text_schema(r"^\+[1-9]\d{7,14}$", "+493012345678", quoted=True),
]


def none_if_off(value: Any) -> Any:
    """Read `off` (also `no` and `false`, which YAML 1.1 makes of it) as None."""
    off = value is False or (isinstance(value, str) and value.lower() in ("off", "no", "false"))
    return None if off else value


def with_off(schema: dict[str, Any]) -> None:
    """Let the JSON Schema of a section take what `none_if_off` reads as none."""
    schema["anyOf"] += [{"enum": ["off", "no"]}, {"const": False}]
