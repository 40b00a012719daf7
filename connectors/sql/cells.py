"""Cells as texts that a mapping reads, and rows as records of which only the digest is made."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import Any
from uuid import UUID

import msgspec

from clinicrelay.contracts import Record, Unmade, Unreadable
from clinicrelay.model import Issue
from clinicrelay.paths import fold
from clinicrelay.tables import Header, Row
from clinicrelay.times import from_wall

_VERSION = b"1"  # of how cells become texts: a digest says what would come out
_CODE = re.compile(r"[a-z][a-z_]{2,40}")  # what a query may note of a row, in a column called issue
_BETWEEN = "|"  # the columns of a composite key

_encode = msgspec.msgpack.Encoder(enc_hook=repr).encode


def text_of(value: Any) -> str:
    """Return a cell as a person would write it, trimmed; nothing for NULL.

    17.0 is 17, a bit is 0 or 1, sixteen bytes are a UUID, a TIME of MySQL is a clock.
    """
    if type(value) is str:
        return value.strip()
    if value is None:
        return ""
    write = next((write for kinds, write in _WRITTEN if isinstance(value, kinds)), str)
    return write(value).strip()


def _number(value: float | Decimal) -> str:
    if isinstance(value, Decimal) and value.is_finite():
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _clock(value: timedelta) -> str:
    seconds = round(value.total_seconds())
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    return f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _from_bytes(value: bytes) -> str:
    if len(value) == 1 and value < b"\x02":
        return str(value[0])
    try:
        text = value.decode()
        if text.isprintable():
            return text.strip()
    except UnicodeDecodeError:
        pass
    return str(UUID(bytes=value)) if len(value) == 16 else value.hex()


def _truth(value: bool) -> str:
    return "true" if value else "false"


# In this order: a bool is an int, and a datetime a date.
_WRITTEN: tuple[tuple[type | tuple[type, ...], Callable[[Any], str]], ...] = (
    (bool, _truth),
    ((float, Decimal), _number),
    (datetime, lambda value: value.isoformat(" ")),
    ((date, time), lambda value: value.isoformat()),
    (timedelta, _clock),
    ((bytes, bytearray, memoryview), lambda value: _from_bytes(bytes(value))),
)


# --- rows ------------------------------------------------------------------------------------------


class Shape:
    """What the columns of one query are: which are the key, in which zones they tell time, and which
    say that a visit is gone.

    `zones` are IANA names by column, `gone` the words that say so, in small letters; `place` is how a
    row is called where it is spoken of.
    """

    def __init__(
        self,
        columns: Sequence[str],
        *,
        key: Sequence[str],
        zones: Mapping[str, str],
        gone: Mapping[str, frozenset[str]],
        place: str,
    ) -> None:
        self.header = Header(columns)
        self.place = place
        index = self.header.index
        self.key = tuple(index[fold(name)] for name in key)
        self._zones = {index[fold(c)]: zone for c, zone in zones.items() if fold(c) in index}
        self._gone = {index[fold(column)]: words for column, words in gone.items()}
        self._issue = index.get("issue")
        gone_by = sorted((at, sorted(words)) for at, words in self._gone.items())
        how = [list(columns), list(self.key), sorted(self._zones.items()), gone_by]
        said = [_VERSION.decode(), *how]
        self._seed = blake2b(msgspec.json.encode(said), digest_size=16).digest()

    def at(self, column: str) -> int:
        """Return where a column stands. Raises KeyError."""
        return self.header.index[fold(column)]

    def key_of(self, row: Sequence[Any]) -> str | None:
        """Return a row's key; None where a part of it is missing."""
        parts = [text_of(row[at]) for at in self.key]
        return _BETWEEN.join(parts) if parts and all(parts) else None

    def lacks_key(self, row: Sequence[Any]) -> bool:
        """Whether a part of a row's key is missing."""
        return any(row[at] is None or row[at] == "" for at in self.key)

    def digests(self, rows: Sequence[Sequence[Any]]) -> list[bytes]:
        """Return what tells rows apart, 16 bytes each."""
        seed, encode = self._seed, _encoded
        return [blake2b(encode(row), digest_size=16, key=seed).digest() for row in rows]

    def records(self, rows: Sequence[Sequence[Any]]) -> Unmade:
        """Return rows as records, each made when somebody looks at it."""
        return Unmade(self.digests(rows), lambda at: self._record(rows[at]))

    def _record(self, row: Sequence[Any]) -> Record:
        issues: list[Issue] = []
        cells = self._cells(row, issues)
        return Record(
            Row(self.header, cells, _as_they_are),
            blake2b(_encoded(row), digest_size=16, key=self._seed).digest(),
            self.place,
            raw=self._raw(cells),
            key=self.key_of(row) if self.key else None,
            gone=any(text_of(row[at]).casefold() in words for at, words in self._gone.items()),
            issues=tuple(issues),
        )

    def _cells(self, row: Sequence[Any], issues: list[Issue]) -> list[str]:
        cells = [text_of(value) for value in row]
        for at, zone in self._zones.items():
            cells[at] = zoned(cells[at], zone, self.header.names[at], issues.append)
        if self._issue is not None and _CODE.fullmatch(cells[self._issue]):
            issues.append(Issue(cells[self._issue], "start"))
        return cells

    def _raw(self, cells: Sequence[str]) -> str:
        return msgspec.json.encode(dict(zip(self.header.names, cells, strict=True))).decode()

    def nameless(self, row: Sequence[Any]) -> Unreadable:
        """Return a row without its key as what cannot be read."""
        cells = self._cells(row, [])
        names = ", ".join(self.header.names[at] for at in self.key)
        detail = f"a visit needs {names} to be known again"
        return Unreadable(self.place, "missing", self._raw(cells), detail, field="key")


def keys_in(text: str, width: int) -> list[str] | None:
    """Return the parts of a key, None where it cannot be told which they are."""
    parts = text.split(_BETWEEN) if width > 1 else [text]
    return parts if len(parts) == width else None


def _encoded(row: Sequence[Any]) -> bytes:
    try:
        return _encode(row)
    except (OverflowError, TypeError, ValueError):  # a number beyond 64 bits, a type of the driver
        return repr(row).encode()


def _as_they_are(cells: Sequence[str]) -> Sequence[str]:
    return cells


# --- time ------------------------------------------------------------------------------------------


def zoned(text: str, zone: str, column: str, note: Callable[[Issue], None]) -> str:
    """Return a naive date and time with its offset; anything else as it is.

    A reading that a clock change skips or doubles is noted.
    """
    wall = moment(text)
    if wall is None or wall.tzinfo or not 1900 < wall.year < 2200 or ":" not in text:
        return text
    reading = from_wall(wall, zone)
    if reading.issue:
        note(Issue(reading.issue, column))
    return reading.instant.isoformat(" ")


def moment(text: str) -> datetime | None:
    """Return the date and time that a cell holds as ISO writes it, None for anything else."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def instant(wall: datetime, zone: str) -> datetime:
    """Return a reading as an instant; `zone` is that of a naive one."""
    return wall.astimezone(UTC) if wall.tzinfo else from_wall(wall, zone).instant
