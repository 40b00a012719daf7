"""Whether something that comes again and again is missing. Pure: all is a list of seconds since 1970.

Nights, week-ends and holidays are known by the visits: time counts only where visits are. And a pause
that was there at the same hours of an earlier day is no silence, such as that of an export which is
written in the mornings only.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

_DAY = 86400
_LEAST = 6  # moments, of which a rhythm can be told
_LAST = 40
_LAST_GAPS = 3


def usual_gap(moments: Sequence[int]) -> float | None:
    """Return how far apart the last moments usually were; None where they are few, or come at random."""
    gaps = _gaps(moments)
    if len(gaps) < _LEAST - 1:
        return None
    usual = median(gaps)
    regular = sum(gap <= 3 * usual for gap in gaps)
    return usual if regular >= 0.8 * len(gaps) else None


def patience(moments: Sequence[int], *, at_least: float) -> float | None:
    """Return after how many seconds without another moment something is missing.

    Three times the usual gap; more where the rhythm has just become slower.
    """
    usual = usual_gap(moments)
    if usual is None:
        return None
    latest = max(_gaps(moments)[-_LAST_GAPS:])
    return max(at_least, 3 * usual, 1.5 * min(latest, 12 * usual))


def _gaps(moments: Sequence[int]) -> list[int]:
    return [later - at for at, later in pairwise(moments[-_LAST:]) if later > at]


def open_seconds(starts: Sequence[int], *, since: int, until: int, after: int) -> int:
    """Return for how many seconds of a stretch of time visits were on, or had been `after` ago."""
    total, covered = 0, since
    for start in sorted(starts):
        first, last = max(start, covered), min(start + after, until)
        if last > first:
            total += last - first
            covered = last
    return total


def is_usual(moments: Sequence[int], *, since: int, until: int) -> bool:
    """Whether nothing came in the same hours of an earlier day either, although it was there before.

    A gap of a day and more is compared with the week before.
    """
    days = (7,) if until - since >= _DAY else (1, 7)
    for shift in (day * _DAY for day in days):
        first, end = since - shift, until - shift
        before = any(at <= first for at in moments)
        # What comes to an end in these hours, or begins there, is a pause all the same.
        edge = (end - first) // 10
        if before and not any(first + edge < at < end - edge for at in moments):
            return True
    return False
