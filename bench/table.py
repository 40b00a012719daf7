"""The tables of docs/performance.md: what is measured, beside what, and the limit it is held to."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"


class Line(NamedTuple):
    """One line: what, the yardstick, our figure, and the limit it is held to."""

    what: str
    yardstick: str
    figure: str
    limit: str


def show(lines: Iterable[Line]) -> list[Line]:
    """Print each line as soon as it is measured, and return them."""
    found = []
    for line in lines:
        found.append(line)
        print(f"{line.what:<46}{line.figure:>12}   (limit {line.limit})", flush=True)
    return found


def write(name: str, lines: Iterable[Line], rounds: int) -> None:
    """Put a table in the place of the one that the page has under `<!-- measured: NAME -->`."""
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    when = f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {machine}"
    rows = [f"| {one.what} | {one.yardstick} | {one.figure} | {one.limit} |" for one in lines]
    head = ["| what | beside | measured | limit |", "| --- | --- | --- | --- |"]
    text = "\n".join([f"Median of {rounds} rounds, {when}.", "", *head, *rows])
    place = re.compile(rf"(?<=<!-- measured: {name} -->\n).*?(?=\n## |\Z)", re.DOTALL)
    page, places = place.subn(lambda _: f"\n{text}\n", PAGE.read_text(encoding="utf-8"), count=1)
    if not places:
        raise SystemExit(f"{PAGE} has no place for this: <!-- measured: {name} -->")
    PAGE.write_text(page, encoding="utf-8")
