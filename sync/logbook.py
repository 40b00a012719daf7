"""Reads the log back: the last lines first, through rotated files, and on as it grows.

A log is written by many runs and cut off by some of them: a line that is no whole JSON object is
passed over, never a reason to stop.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from clinicrelay.log import allow, mask

LEVELS = ("debug", "info", "warning", "error")
_BLOCK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """One event of the log: its text as it stands there, and its fields."""

    text: str
    fields: dict[str, Any]

    @property
    def at(self) -> datetime | None:
        """When it was written (UTC); None where the line does not say."""
        try:
            return datetime.fromisoformat(str(self.fields.get("at")))
        except ValueError:
            return None

    @property
    def shown(self) -> dict[str, Any]:
        """Its fields but for time, level and event: those that may be shown, masked once more."""
        allowed = mask(None, "", allow(None, "", dict(self.fields)))
        return {k: v for k, v in allowed.items() if k not in ("at", "level", "event")}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines are asked for: of a level and above, and of a run (the beginning of its id)."""

    level: str = "debug"
    run: str = ""

    def takes(self, line: Line) -> bool:
        """Whether a line is one of those."""
        level = line.fields.get("level", "info")
        least = LEVELS.index(self.level)
        high = level not in LEVELS or LEVELS.index(level) >= least
        return high and str(line.fields.get("run", "")).startswith(self.run)


def last(file: Path, wanted: Wanted, most: int | None, *, end: int) -> list[Line]:
    """Return the last lines that are wanted, the oldest of them first; `most` None: all there are.

    `end` is how far the file itself is read: see `whole_lines`. Raises OSError where a file that is
    there cannot be read.
    """
    found: list[Line] = []
    for one in _files(file):
        for raw in _backwards(one, end if one == file else None):
            line = read(raw)
            if line is not None and wanted.takes(line):
                found.append(line)
                if len(found) == most:
                    return found[::-1]
    return found[::-1]


def whole_lines(file: Path) -> int:
    """Return where the last whole line of a file ends: what is behind it is still being written."""
    if not file.exists():
        return 0
    with file.open("rb") as opened:
        place = opened.seek(0, os.SEEK_END)
        while place > 0:
            size = min(_BLOCK, place)
            place -= size
            opened.seek(place)
            if (end := opened.read(size).rfind(b"\n")) >= 0:
                return place + end + 1
    return 0


def follow(file: Path, wanted: Wanted, wait: Callable[[], None], *, after: int) -> Iterator[Line]:
    """Yield lines as they are written from a place in the file on, for ever.

    `wait` is called when there is none. A file that was rotated away is read to its end, then the
    new one from its beginning; a line without its end is waited for.
    """
    place = after
    while True:
        if file.exists():
            with file.open("rb") as opened:
                opened.seek(place)
                yield from _grown(file, opened, wanted, wait)
        else:
            wait()
        place = 0


def read(raw: bytes) -> Line | None:
    """Read one line; None where it is no whole JSON object."""
    try:
        fields = msgspec.json.decode(raw)
        text = raw.decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return Line(text, fields) if isinstance(fields, dict) else None


# --- back through what was written ---------------------------------------------------------------


def _files(file: Path) -> Iterator[Path]:
    """Yield the log and what was rotated away from it (`.1`, `-20261122`, `.gz`), newest first."""
    if file.exists():
        yield file
    older = [
        one
        for pattern in (f"{file.name}.[0-9]*", f"{file.name}-[0-9]*")
        for one in file.parent.glob(pattern)
        if one.is_file()
    ]
    yield from sorted(older, key=lambda one: (one.stat().st_mtime_ns, one.name), reverse=True)


def _backwards(file: Path, end: int | None) -> Iterator[bytes]:
    """Yield the lines of a file from its end, without reading more of it than is asked for."""
    if file.suffix == ".gz":
        with gzip.open(file) as packed:
            try:
                lines = packed.read().splitlines()
            except EOFError:  # cut off while it was packed
                lines = []
        yield from reversed(lines)
        return
    with file.open("rb") as opened:
        yield from _lines_before(opened, opened.seek(0, os.SEEK_END) if end is None else end)


def _lines_before(opened: BinaryIO, place: int) -> Iterator[bytes]:
    rest = b""
    while place > 0:
        size = min(_BLOCK, place)
        place -= size
        opened.seek(place)
        rest, *whole = (opened.read(size) + rest).split(b"\n")
        yield from (line for line in reversed(whole) if line)
    if rest:
        yield rest


# --- on as it grows ------------------------------------------------------------------------------


def _grown(
    file: Path, opened: BinaryIO, wanted: Wanted, wait: Callable[[], None]
) -> Iterator[Line]:
    """Yield what is added to an open file until another file has its name, or it was cut short."""
    begun, ended = b"", False
    while True:
        if chunk := opened.read(_BLOCK):
            *whole, begun = (begun + chunk).split(b"\n")
            lines = (read(raw) for raw in whole)
            yield from (line for line in lines if line is not None and wanted.takes(line))
        elif ended:
            return
        elif _is_another(file, opened):
            ended = True  # what was written just before that is still to be read
        else:
            wait()


def _is_another(file: Path, opened: BinaryIO) -> bool:
    try:
        there = file.stat()
    except FileNotFoundError:
        return True
    ours = os.fstat(opened.fileno())
    return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino) or (
        there.st_size < opened.tell()
    )
