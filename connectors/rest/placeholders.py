"""Values put into the texts of a request. Nothing is evaluated: what is no placeholder stays text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from clinicrelay.errors import Refused
from clinicrelay.times import iso, local

NAMES = ("window_start", "window_end", "watermark", "partition", "id", "ids")
FORMS = ("date", "iso", "iso_local", "epoch", "epoch_ms")

# {window_start}, {window_end:date}, {watermark:%Y-%m-%d %H:%M:%S}, {watermark:iso_local@utc}
PLACE = re.compile(
    rf"\{{({'|'.join(NAMES)})(?::([^{{}}@]+))?(?:@(clinic|utc|UTC|[A-Za-z_]+/[A-Za-z0-9_+/-]+))?\}}"
)
_TIME_OF_DAY = re.compile(r"%-?[HIMSXTcsR]")
_DAY = timedelta(days=1)
_YEARS = range(1900, 3000)


class Unset(Exception):
    """A placeholder has no value in this request: what holds it is left out."""


class Unfit(Refused):
    """A value that no server would read as one step of a path, such as `..`."""


@dataclass(frozen=True, slots=True)
class Values:
    """What placeholders stand for. `zone` is for local times, `clinic` what {…@clinic} means."""

    zone: str
    clinic: str
    window_start: datetime | None = None
    window_end: datetime | None = None
    watermark: datetime | None = None
    partition: str | None = None
    id: str | None = None
    ids: str | None = None

    def but(self, **changes: Any) -> Values:
        """Return the same with other values."""
        return replace(self, **changes)


def names_within(template: Any) -> Iterator[str]:
    """Yield the placeholders in a text, or in the texts of a list or object."""
    for text in texts_within(template):
        for found in PLACE.finditer(text):
            yield found[1]


def texts_within(template: Any) -> Iterator[str]:
    """Yield the texts of a list or object, or the only one."""
    if isinstance(template, str):
        yield template
    elif isinstance(template, Mapping):
        for part in template.values():
            yield from texts_within(part)
    elif isinstance(template, list | tuple):
        for part in template:
            yield from texts_within(part)


def filled(template: Any, values: Values) -> Any:
    """Return a template with its values; entries without one are left out. Raises Unset for a text."""
    if isinstance(template, str):
        return _text(template, values)
    if isinstance(template, Mapping):
        return dict(_entries(template.items(), values))
    if isinstance(template, list | tuple):
        return [value for _, value in _entries(enumerate(template), values)]
    return template


def _entries(entries: Any, values: Values) -> Iterator[tuple[Any, Any]]:
    for key, part in entries:
        try:
            yield key, filled(part, values)
        except Unset:
            continue


def path(template: str, values: Values) -> str:
    """Return a path with its values, each written so that it stays one part of it. Raises Unfit."""
    written = PLACE.sub(lambda found: quote(str(_value(found, values)), safe=""), template)
    for said, step in zip(template.split("/"), written.split("/"), strict=False):
        if said != step and step in ("", ".", ".."):
            raise Unfit(
                f"an id cannot stand in {template}: it would lead elsewhere",
                fix="see which of the source's records has an empty id, or one of dots only",
            )
    return written


def _text(template: str, values: Values) -> Any:
    if alone := PLACE.fullmatch(template):
        return _value(alone, values)
    return PLACE.sub(lambda found: str(_value(found, values)), template)


def _value(found: re.Match[str], values: Values) -> str | int:
    name, form, zone = found[1], found[2], found[3]
    value = getattr(values, name)
    if value is None:
        raise Unset(name)
    if not isinstance(value, datetime):
        return str(value)
    named = {"clinic": values.clinic, "utc": "UTC", None: values.zone}
    return _moment(name, value, form or "iso", named.get(zone, zone or values.zone))


def _moment(name: str, moment: datetime, form: str, zone: str) -> str | int:
    if form == "iso":
        return iso(moment)
    if form == "epoch":
        return int(moment.timestamp())
    if form == "epoch_ms":
        return int(moment.timestamp() * 1000)
    wall = local(moment, zone)
    if form == "date" or ("%" in form and not _TIME_OF_DAY.search(form)):
        return _whole_day(name, wall).strftime("%Y-%m-%d" if form == "date" else form)
    return wall.strftime("%Y-%m-%dT%H:%M:%S" if form == "iso_local" else form)


def _whole_day(name: str, wall: datetime) -> datetime:
    """A day alone never asks for less than the instant it stands for.

    As an end it is the first day that is not meant, so that it is right for servers that leave it
    out, and one day too many for those that count it in. Changes are asked for from the day before.
    """
    if name == "window_end" and (wall.hour or wall.minute or wall.second):
        return wall + _DAY
    return wall - _DAY if name == "watermark" else wall


def moment_of(value: Any, zone: str) -> datetime | None:
    """Read what a server says of time: ISO, or seconds or milliseconds since 1970; else None."""
    from clinicrelay.times import from_wall

    text = str(value).strip() if value is not None and not isinstance(value, bool) else ""
    try:
        if text.isdecimal() and len(text) >= 9:
            seconds = int(text) / (1000 if len(text) > 11 else 1)
            moment = datetime.fromtimestamp(seconds, UTC)
        else:
            moment = datetime.fromisoformat(text)
        told = from_wall(moment, zone).instant if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
    # Year 1 and year 9999 are how systems write that there is no date; no sums can be done with them.
    return told if told.year in _YEARS else None
