"""A few records of a source, as `check --connect` shows them: understood, and without anybody's name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from commands._call import Call
from commands._table import Table, show

if TYPE_CHECKING:
    from sync.sampling import Sample

_HEADINGS = ("record", "start", "status", "with", "patient", "phone", "e-mail", "odd")


def show_samples(call: Call, source: str, found: Sample) -> None:
    """Print what a source's first records were understood to be."""
    if not found.looked_at:
        print(f"{source}: it answers, and has no record in the window.")
        return
    skipped = f", {found.skipped} passed over by the mapping" if found.skipped else ""
    print(f"{source}: {len(found.visits)} of its first {found.looked_at} records{skipped}")
    show(call, Table(_HEADINGS, [tuple(_row(visit)) for visit in found.visits]))


def _row(visit: dict[str, Any]) -> Iterator[str]:
    people = visit["patients"]
    yield visit["key"]
    yield visit["start"] or "not scheduled"
    yield visit["status"]
    yield ", ".join(visit["practitioners"]) or "nobody"
    for part in ("name", "phone", "email"):
        yield ", ".join(one[part] or "-" for one in people) or ("nobody" if part == "name" else "-")
    yield ", ".join(visit["issues"])
