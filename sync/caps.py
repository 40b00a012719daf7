"""How many messages one person gets at one address: what is above the cap waits, or is not said.

Only what may be left out counts, and is left out: confirmations and reminders. A change or a
cancellation always leaves, as somebody would stand in front of a closed door. What is about visits
that are far ahead leaves some of it free: six confirmations of a series of visits are not to cost
the reminder of tomorrow's.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from clinicrelay import times
from clinicrelay.actions import MessageKind

if TYPE_CHECKING:
    from clinicrelay.settings.upkeep import Caps

CAPPED = (MessageKind.CONFIRMATION, MessageKind.REMINDER)
WEEK = timedelta(days=7)
_DAY = timedelta(days=1)
NEAR = timedelta(hours=36)  # a reminder a day ahead may leave in the evening before


def sparing(caps: Caps) -> Caps:
    """Return what may be used up by what is far ahead: some is left for the reminders of tomorrow."""
    return caps.model_copy(update={"day": max(1, caps.day - 1), "week": max(1, caps.week // 2)})


def full_until(
    said: Collection[datetime], caps: Caps | None, zone: str, *, now: datetime
) -> datetime | None:
    """Return from when on one more may be said to a person; None: at once.

    `said` are the instants of what they got in the last seven days, in any order.
    """
    if caps is None:
        return None
    today = times.day_of(now, zone)
    of_today = sum(times.day_of(at, zone) == today for at in said)
    of_week = sorted(at for at in said if now - WEEK < at <= now)
    ends = []
    if of_today >= caps.day:
        ends.append(times.first_instant(today + _DAY, zone))
    if len(of_week) >= caps.week:
        ends.append(of_week[len(of_week) - caps.week] + WEEK)
    return max(ends, default=None)
