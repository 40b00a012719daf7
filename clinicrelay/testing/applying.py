"""An event as a doctor sees it, and writing as sync does: what contracts of calendars are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from clinicrelay.contracts import Calendar, EventResult, EventWrite, Memo, Outcome


@dataclass(frozen=True, slots=True)
class SeenEvent:
    """One event as the doctor sees it. `identity` is what the calendar knows it by."""

    identity: str
    title: str
    start: datetime
    end: datetime | None = None
    description: str = ""
    location: str = ""
    tentative: bool = False


def apply_all(
    plugin: Calendar,
    calendar: str,
    writes: Iterable[EventWrite],
    memos: dict[str, Memo] | None = None,
    *,
    rounds: int = 5,
) -> list[EventResult]:
    """Apply as sync does: memos are kept by event, and AGAIN is answered with the new one."""
    kept: dict[str, Memo] = {} if memos is None else memos
    open_writes = {write.ref: write for write in writes}
    results: dict[str, EventResult] = {}
    order = list(open_writes)
    for _ in range(rounds):
        for result in list(plugin.apply(calendar, _with_memos(open_writes, kept))):
            results[result.ref] = result
            kept[result.ref] = result.memo
            if result.outcome is not Outcome.AGAIN:
                open_writes.pop(result.ref)
        if not open_writes:
            break
    return [results[ref] for ref in order]


def _with_memos(writes: Mapping[str, EventWrite], memos: Mapping[str, Memo]) -> list[EventWrite]:
    return [msgspec.structs.replace(w, memo=memos.get(ref, w.memo)) for ref, w in writes.items()]
