"""What a run really left behind: files in the outbox and the calendars, counted from outside."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

_LANGUAGE = re.compile(r"^(?:Content-)?Language: (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Said:
    """One message in the outbox."""

    file: Path
    kind: str
    channel: str
    language: str


def messages(folder: Path) -> list[Said]:
    """Return everything in the outbox, oldest first; the name tells when, what and how."""
    return [_said(file) for file in sorted((folder / "data" / "outbox").glob("*-*-*-*.*"))]


def kinds(said: list[Said]) -> Counter[str]:
    return Counter(one.kind for one in said)


def calendars(folder: Path) -> dict[str, int]:
    """Return the calendar files and how many events each holds."""
    files = sorted((folder / "data" / "calendars").glob("*.ics"))
    return {file.name: file.read_bytes().count(b"BEGIN:VEVENT") for file in files}


def _said(file: Path) -> Said:
    _, kind, channel, _ = file.stem.split("-", 3)
    # Every line is looked at, for the headers of a mail end with the first blank one.
    found = _LANGUAGE.search(file.read_text(encoding="utf-8").replace("\r\n", "\n"))
    return Said(file, kind, channel, found[1] if found else "?")
