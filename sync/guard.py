"""Judges a whole read before anything known is harmed. Pure: numbers in, a verdict out.

A source that answers wrongly usually answers wrongly about many visits at once: an empty export, a
cut file, a zone mistake that moves everything by an hour. Each of those is far more visible in the
numbers of one read than in any single record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Protocol

from clinicrelay.counts import counted


class Limits(Protocol):
    """The part of settings that says when to hold (`safety.hold_if`)."""

    gone: float
    rescheduled: float
    cancelled: float
    reassigned: float
    reinstated: float
    shifted: int
    set_aside: float
    at_least: int


@dataclass(frozen=True, slots=True)
class Read:
    """One whole read in numbers; visits are future ones known before it began."""

    known: int
    records: int
    set_aside: int
    absent: int = 0  # known, in the future, and not in this read
    cancelled: int = 0
    reassigned: int = 0
    reinstated: int = 0
    moves: Sequence[timedelta] = field(default_factory=tuple)
    why_set_aside: str = ""


@dataclass(frozen=True, slots=True)
class Hold:
    """A guard that struck: how many of how many, and a sentence for a person."""

    guard: str
    visits: int
    known: int
    summary: str

    def told_as(self, number: int) -> dict[str, object]:
        """Return the hold the way reports tell of it."""
        return {
            "id": f"h{number}",
            "guard": self.guard,
            "count": self.visits,
            "of": self.known,
            "summary": self.summary,
        }


def judge(read: Read, limits: Limits) -> list[Hold]:
    """Return the guards that strike; each holds its own kind of change, `set_aside` holds all."""
    return [hold for hold in _strikes(read, limits) if hold]


def _strikes(read: Read, limits: Limits) -> Iterable[Hold | None]:
    yield _set_aside(read, limits)
    yield _absent(read, limits)
    yield _share("cancelled", read.cancelled, read.known, limits.cancelled, limits)
    yield _share("reassigned", read.reassigned, read.known, limits.reassigned, limits)
    yield _share("reinstated", read.reinstated, read.known, limits.reinstated, limits)
    # One cause, one hold: that all moved by the same hour says more than that many moved.
    yield _shifted(read, limits) or _share(
        "rescheduled", len(read.moves), read.known, limits.rescheduled, limits
    )


def _set_aside(read: Read, limits: Limits) -> Hold | None:
    if read.set_aside < limits.at_least or read.set_aside <= limits.set_aside * read.records:
        return None
    return Hold(
        "set_aside",
        read.set_aside,
        read.records,
        f"{read.set_aside} of {read.records} records could not be understood "
        f"(limit {limits.set_aside:.0%})"
        + (f": {read.why_set_aside}" if read.why_set_aside else ""),
    )


def _absent(read: Read, limits: Limits) -> Hold | None:
    if not read.absent:
        return None
    if read.records == 0:
        return Hold(
            "gone",
            read.absent,
            read.known,
            f"the read was empty, {counted(read.known, 'visit')} known before",
        )
    hold = _share("gone", read.absent, read.known, limits.gone, limits)
    return hold and Hold(
        "gone",
        hold.visits,
        hold.known,
        f"{read.absent} of {counted(read.known, 'visit')} missing from this read "
        f"(limit {limits.gone:.0%})",
    )


def _share(guard: str, visits: int, known: int, limit: float, limits: Limits) -> Hold | None:
    if visits < limits.at_least or visits <= limit * known:
        return None
    of = f" of {known}" if visits <= known else ""  # what is back was none of those that stood
    summary = f"{visits}{of} visits {guard} (limit {limit:.0%})"
    return Hold(guard, visits, known, summary)


def _shifted(read: Read, limits: Limits) -> Hold | None:
    """Many visits moved by one and the same amount: a zone or clock-change mistake."""
    if not read.moves:
        return None
    delta, visits = Counter(read.moves).most_common(1)[0]
    if visits < limits.shifted or visits * 2 <= len(read.moves):
        return None
    return Hold(
        "shifted", visits, read.known, f"{visits} visits moved by the same {_signed(delta)}"
    )


def _signed(delta: timedelta) -> str:
    minutes = int(delta.total_seconds() // 60)
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours} h" + (f" {rest} min" if rest else "")


@dataclass(frozen=True, slots=True)
class Days:
    """The first and the last local day that a read has visits on."""

    first: date
    last: date

    @property
    def length(self) -> int:
        return (self.last - self.first).days + 1


def days_that_count(before: Days | None, now: Days | None, today: date) -> tuple[date, date]:
    """Return the days on which absence from a snapshot means something, both inclusive.

    A snapshot speaks for the days it covers. One that covers less than half of what the last one
    still had ahead (tomorrow's list after a month's) says nothing about the days beyond it; one that
    begins after the last one ended (each day's list for the next day) nothing about those before.
    An ordinary export that lost its last visit still speaks for that visit's day.
    """
    if now is None:
        return date.min, date.max
    ahead = Days(max(before.first, today), before.last) if before and before.last >= today else None
    first = now.first if before and now.first > before.last else date.min
    narrow = ahead is not None and now.last < ahead.last and now.length * 2 < ahead.length
    return first, now.last if narrow else date.max


UNLINKED = "unlinked"
_FEW_EVENTS = 20  # so many may always leave a calendar at once


def is_emptied(events: int, shown: int, limit: float) -> bool:
    """Whether too many of a calendar's events would go though their visits stand."""
    return events > max(_FEW_EVENTS, limit * shown)


_USUAL_AT_LEAST = 50  # a quiet clinic's ordinary morning must not look like a flood
_DAYS_OF_CUSTOM = 3


def messages_allowed(hours: Sequence[int], *, most: int, times: float) -> int:
    """Return how many messages may leave now.

    `hours` are those sent in each past hour with any, the running hour first (0 if none yet). No
    more than `most` in any hour; and once a clinic has some days of custom, no more than `times` the
    usual hour, but always 50.
    """
    running, custom = (hours[0], sorted(hours[1:])) if hours else (0, [])
    limit = most
    if len(custom) >= _DAYS_OF_CUSTOM * 3:
        limit = min(limit, max(_USUAL_AT_LEAST, int(times * custom[len(custom) // 2])))
    return max(0, limit - running)
