"""From what a source wrote to a value of ours: the closed set of things a mapping can ask for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, TypeAlias

from clinicrelay.dates import AmbiguousDate, read_date, read_datetime, read_time
from clinicrelay.paths import fold
from clinicrelay.times import parse_span

Transform: TypeAlias = Callable[[str], str | None]

TRANSFORMS = ("regex", "split", "strip", "lower", "swap", "add_minutes", "length")
TYPES = ("text", "datetime", "date", "time", "minutes", "phone", "email", "language", "bool")

_INVISIBLE = "\ufeff\u200b\u2060"
_YES = (
    "yes y true t 1 x on ja j wahr si s oui o vrai vero sim verdadero verdadeiro waar tak prawda "
    "evet e dogru"
)
_NO = (
    "no n false f 0 off nein falsch non faux falso nao nunca never none null nee onwaar nie fałsz "
    "falsz hayır hayir yanlıs"
)
_TRUE, _FALSE = frozenset(_YES.split()), frozenset(_NO.split())
_PLAIN_EMAIL = re.compile(r"[\w+-]+(?:\.[\w+-]+)*@[a-z0-9]+(?:[.-][a-z0-9]+)*\.[a-z]{2,}", re.ASCII)
_EMAIL = re.compile(r"[^\s@<>,;:\"()\[\]\\]{1,64}@(?:[^\W_](?:[\w-]*[^\W_])?\.)+[^\W\d_][\w-]+")
_CLOCK_SPAN = re.compile(r"(\d{1,2}):([0-5]\d)(?::([0-5]\d))?")
_WORD_SPAN = re.compile(
    r"(?:(\d+(?:[.,]\d+)?)(?:h|hrs?|hours?|std|stunden?|horas?|heures?|ore|ora|uur|u|godz|saat|sa)\.?)?"
    r"(?:(\d+(?:[.,]\d+)?)(?:m|min|mins|minutes?|minuten?|minutos?|minuti|minuty?|dakika|dk|'|′)\.?)?"
    r"(?:(\d+)(?:s|secs?|seconds?|sek|sekunden?|segundos?|secondes?|secondi))?"
)
_UNITS = {"seconds": 1, "minutes": 60, "hours": 3600}


def as_text(value: Any) -> str | None:
    """Return a scalar as people write it: ids that a database made decimals (`17.0`) are whole.

    Raises ValueError for lists and objects: a path has to lead to one value.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (list, tuple, dict)):
        raise ValueError("the path leads to a list or an object; it must lead to one value")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):  # how MySQL drivers give a TIME
        return f"{value // timedelta(hours=1):02d}:{value.seconds // 60 % 60:02d}"
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    return str(value) if type(value) is int else _number(str(value))


def _number(text: str) -> str:
    whole, point, rest = text.partition(".")
    return whole if point and not rest.strip("0") and whole.lstrip("-").isdecimal() else text


def clean(text: str) -> str:
    """Return the text in NFC without control characters, trimmed of every kind of space."""
    if text.isascii() and text.isprintable():
        return text.strip()
    return _scrub(text)


def _scrub(text: str) -> str:
    lines = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    kept = (c for c in lines.replace("\t", " ") if c == "\n" or _shows(c))
    return "".join(kept).strip()


def _shows(character: str) -> bool:
    # Lone surrogates (Cs) cannot be stored or sent; zero-width characters make equal names differ.
    return character not in _INVISIBLE and unicodedata.category(character) not in {"Cc", "Cs"}


def one_line(text: str) -> str:
    """Collapse inner whitespace: a line feed in a name would break a subject line."""
    if "  " in text or not (text.isascii() and text.isprintable()):
        return " ".join(text.split())
    return text


@lru_cache(maxsize=4096)
def read_bool(text: str) -> bool:
    """Read yes, no, 1, 0, x … in nine languages; a date counts as yes: it says when.

    Raises ValueError.
    """
    word = fold(text)
    if word in _FALSE:
        return False
    if word in _TRUE or _is_date(text):
        return True
    raise ValueError("neither yes nor no, nor a date")


def _is_date(text: str) -> bool:
    for read in (read_datetime, read_date):
        try:
            read(text, None)
        except AmbiguousDate:
            return True
        except ValueError:
            continue
        return True
    return False


@lru_cache(maxsize=4096)
def read_minutes(text: str, unit: str = "minutes") -> timedelta:
    """Read `30`, `30 min`, `1h`, `1h30`, `00:30`, `1800 s`; a bare number counts in `unit`.

    Raises ValueError for anything else, and for nothing or more than a day.
    """
    seconds = _seconds(text.casefold().replace(" ", "").rstrip("."), unit)
    if not 0 < seconds <= 86_400:
        raise ValueError("not a length of a visit: expected more than nothing and at most a day")
    return timedelta(seconds=seconds)


def _seconds(text: str, unit: str) -> float:
    if re.fullmatch(r"\d+(?:[.,]\d+)?", text):
        return _amount(text) * _UNITS[unit]
    if re.fullmatch(r"\d+h\d{1,2}", text):
        text += "m"
    if found := _CLOCK_SPAN.fullmatch(text):
        hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return hours * 3600 + minutes * 60 + seconds
    if found := _WORD_SPAN.fullmatch(text):
        return sum(
            _amount(part) * size for part, size in zip(found.groups(), (3600, 60, 1), strict=True)
        )
    raise ValueError("not a length of time: expected minutes, 00:30 or 1h")


def _amount(text: str | None) -> float:
    return float(text.replace(",", ".")) if text else 0.0


def read_email(text: str) -> str:
    """Return the bare address of `Name <a@b>` or `mailto:a@b`, its domain in lower case.

    Raises ValueError, without the value, for what cannot be an address.
    """
    if _PLAIN_EMAIL.fullmatch(text) and text.find("@") <= 64:
        return text  # spares most addresses the long way, which is kept to judge all others
    return _bare_address(text)


def _bare_address(text: str) -> str:
    bare = text.rpartition("<")[2].rstrip("> ").removeprefix("mailto:").strip()
    if not _EMAIL.fullmatch(bare) or ".." in bare or bare.startswith("."):
        raise ValueError("not an e-mail address")
    local, _, domain = bare.rpartition("@")
    return f"{local}@{domain.lower()}"


def regex(pattern: str) -> Transform:
    """Keep the first group, else the whole match; no match means there is no value."""
    search = re.compile(pattern).search

    def apply(text: str) -> str | None:
        found = search(text)
        if found is None:
            return None
        kept: str | None = found[1] if found.re.groups else found[0]
        return kept.strip() if kept else kept

    return apply


def split(mark: str, take: int = 0) -> Transform:
    """Keep one part; a part that is not there means there is no value."""

    def apply(text: str) -> str | None:
        parts = text.split(mark)
        return parts[take].strip() if -len(parts) <= take < len(parts) else None

    return apply


def strip(characters: str | None = None) -> Transform:
    return lambda text: text.strip(characters)


def lower() -> Transform:
    return str.lower


_TITLE = re.compile(r"(?:jr|sr|i{2,3}|iv|m\.?d|ph\.?d|d\.?d\.?s|dr|esq)\.?", re.IGNORECASE)


def swap(mark: str) -> Transform:
    """Turn `Sample, Ada` into `Ada Sample`; a text without just one mark, or `Sample, Jr.`, stays."""

    def apply(text: str) -> str:
        if mark not in text:
            return text
        parts = [part.strip() for part in text.split(mark)]
        if len(parts) != 2 or not all(parts) or _TITLE.fullmatch(parts[1]):
            return text
        return f"{parts[1]} {parts[0]}"

    return apply


def length(unit: str) -> Callable[[str], timedelta]:
    """Count characters, each worth `unit` (Open Dental writes a visit's length as a pattern)."""
    worth = parse_span(unit).length
    return lambda text: len(text) * worth


@lru_cache(maxsize=4096)
def iso_date(text: str) -> str:
    """Return a date in ISO form. Raises ValueError."""
    return read_date(text, None).isoformat()


@lru_cache(maxsize=4096)
def iso_time(text: str) -> str:
    """Return a time of day in ISO form. Raises ValueError."""
    return read_time(text)[0].isoformat()
