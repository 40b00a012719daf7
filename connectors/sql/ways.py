"""Which way a read goes: by which strategy, for changes or everything, and with which values bound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any

from clinicrelay.contracts import Cursor, Kit, Stretch, Window
from clinicrelay.reach import Reach
from connectors.sql.options import SqlOptions
from connectors.sql.query import bind_names
from connectors.sql.watermark import FIRST, begin, wall_of

# A column may hold local time or UTC: a day more on both sides loses no visit to that.
_MARGIN = timedelta(days=1)
_LAST = datetime(2199, 12, 31)  # noqa: DTZ001 - as databases hold it


@dataclass(frozen=True, slots=True)
class Way:
    """How a read goes: `changes` or everything; `known` is the cursor it stands on."""

    strategy: str
    changes: bool
    values: dict[str, Any]
    known: Cursor
    covers: Sequence[Stretch]
    reach: Reach
    notes: list[str] = field(default_factory=list)


class Ways:
    """Chooses how the query of one source is read. `moment` makes a time what the driver binds."""

    def __init__(
        self, options: SqlOptions, kit: Kit, text: str, moment: Callable[[datetime], Any]
    ) -> None:
        self._options, self._kit, self._moment = options, kit, moment
        self.binds = bind_names(text)
        zones, gone = sorted(options.zones.items()), sorted(options.gone.items())
        told = repr((text, options.cursor, options.keys, zones, gone))
        # What a cursor belongs to: read otherwise, it would leave rows out.
        self.of = blake2b(told.encode(), digest_size=8).hexdigest()
        self._reach = Reach(kit.memory, self.of)

    def way(self, cursor: Cursor | None, window: Window, *, zone: str) -> Way:
        """Choose how to read; a cursor of another query, or of other columns, is worth nothing.

        `zone` is that of the cursor column.
        """
        known = dict(cursor) if cursor and cursor.get("of") == self.of else {}
        strategy, why = self._strategy()
        notes = [why] if why and known.get("strategy") != strategy else []
        if strategy == "cursor" and known.get("watermark") and not self._is_due(known):
            values = self.values(window, self._begin(known, zone))
            return Way(strategy, True, values, known, [], self._reach, notes)
        values = self.values(window, FIRST)
        return Way(strategy, False, values, known, [self._stretch(window)], self._reach, notes)

    def values(self, window: Window, watermark: datetime) -> dict[str, Any]:
        """Return what is bound where a window is read."""
        start, end = (wall_of(at, "UTC") for at in (window.start, window.end))
        return self._bound(watermark, start - _MARGIN, end + _MARGIN)

    def anytime(self) -> dict[str, Any]:
        """Return what is bound where a visit is asked for, whenever it is."""
        return self._bound(FIRST, FIRST, _LAST)

    def _bound(self, watermark: datetime, start: datetime, end: datetime) -> dict[str, Any]:
        named = {"watermark": watermark, "window_start": start, "window_end": end}
        return {name: self._moment(at) for name, at in named.items()}

    def _strategy(self) -> tuple[str, str]:
        """Return the strategy, and why where the settings leave it open."""
        said, cursor = self._options.strategy, self._options.cursor
        if said != "auto":
            return said, ""
        if cursor:
            every = f"{self._options.reconcile_every.total_seconds() / 3600:g} h"
            return "cursor", f"reads what {cursor} says has changed, and everything every {every}"
        if self.binds & {"window_start", "window_end"}:
            return "row_hash", "reads the whole window and compares it: cursor names no column"
        return (
            "snapshot",
            "reads every row and compares it: neither cursor nor window is named",
        )

    def _is_due(self, known: Cursor) -> bool:
        before = datetime.fromisoformat(known.get("reconciled", "1970-01-01T00:00:00+00:00"))
        return not timedelta(0) <= self._kit.now - before < self._options.reconcile_every

    def _begin(self, known: Cursor, zone: str) -> datetime:
        at = datetime.fromisoformat(known["watermark"])
        coarse, naive = bool(known.get("coarse", True)), bool(known.get("naive", True))
        return wall_of(begin(at, self._options.overlap, coarse=coarse, naive=naive), zone)

    def _stretch(self, window: Window) -> Stretch:
        return Stretch(
            window.start if "window_start" in self.binds else None,
            window.end if "window_end" in self.binds else None,
        )
