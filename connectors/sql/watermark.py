"""How far a read of changes has got, by the source's own clock (the rule of late commits).

W is never later than the source's time when the read began, nor than the begin of a transaction that
was still open then; a read begins `overlap` before it. So a row is found also when it is committed
long after it was stamped, unless its transaction took longer than the overlap and nobody could see it:
for those everything is read once a day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from clinicrelay.times import local
from connectors.sql.cells import instant, moment, text_of
from connectors.sql.server import Clock

FIRST = datetime(1900, 1, 1)  # noqa: DTZ001 - as databases hold it
_TYPING_ERROR = timedelta(minutes=5)
_DAY = timedelta(days=1)
_REPEATED_HOUR = timedelta(hours=1)


@dataclass(slots=True)
class Marks:
    """The cursor values of one read, page by page. `zone` is that of naive values."""

    clock: Clock
    zone: str
    highest: datetime | None = None
    ahead: int = 0  # later than the source's clock
    unreadable: int = 0
    coarse: bool = True  # only days, or texts with offsets, which do not sort
    naive: bool = False

    def see(self, values: Sequence[Any]) -> None:
        """Take the values of a page; NULLs and dates that stand for none say nothing."""
        limit = self.clock.now + _TYPING_ERROR
        for text in {text_of(value) for value in values}:
            wall = moment(text)
            if wall is None:
                self.unreadable += bool(text) and not text.startswith("0000")
                continue
            if not 1900 <= wall.year < 9999:
                continue
            self.coarse = (self.coarse and len(text) == len("2026-12-01")) or bool(wall.utcoffset())
            self.naive |= wall.tzinfo is None
            at = instant(wall, self.zone)
            if at > limit:
                self.ahead += 1
            elif self.highest is None or at > self.highest:
                self.highest = at

    def reached(self, before: datetime | None) -> datetime | None:
        """Return W after a whole read; it never goes back."""
        if self.highest is None:
            return before
        found = min(self.highest, self.clock.now)
        if self.clock.oldest is not None:
            found = min(found, self.clock.oldest)
        return max(found, before) if before else found


def begin(watermark: datetime, overlap: timedelta, *, coarse: bool, naive: bool) -> datetime:
    """Return from when on rows are asked for, inclusive.

    A column of dates says only the day; texts with offsets are compared as texts. One without a
    zone may hold local time, which in autumn goes through one hour twice.
    """
    back = overlap + _DAY if coarse else overlap
    return watermark - back - (_REPEATED_HOUR if naive else timedelta(0))


def wall_of(at: datetime, zone: str) -> datetime:
    """Return an instant as the digits that stand in a column of that zone."""
    return (at.astimezone(UTC) if zone == "UTC" else local(at, zone)).replace(tzinfo=None)
