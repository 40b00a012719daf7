"""When it is whose turn, in seconds of a clock that nobody sets: pure, so no test has to wait."""

from __future__ import annotations

from math import floor

LOOK = 60.0  # between two looks at whether anything is due
_BESIDE = 30.0  # looks lie between cycles of a whole number of minutes
_APART = 1.0  # at most, between the first cycles of two clinics
_ALIVE = 30.0  # the loop ticks every second
_SILENT = (
    1800.0  # whoever waits for somebody's answer renews a lease meanwhile, for an hour at most
)


def first(position: int, of: int, every: float) -> float:
    """Return how long after the start a clinic's first cycle begins, so that not all begin at once."""
    return position * min(_APART, every / of)


def first_look(first_cycle: float) -> float:
    """Return when a clinic's first look is, by its first cycle."""
    return first_cycle + _BESIDE


def following(due: float, every: float, now: float) -> float:
    """Return the turn after one that was due; those that were missed are not made up for."""
    missed = max(0, floor((now - due) / every))
    return due + (missed + 1) * every


def is_late(last: float, every: float, now: float) -> bool:
    """Whether a cycle should have ended since the last one did: two may fail, or take their time."""
    return now - last > 3 * every + _BESIDE


def is_stopped(beat: float, now: float) -> bool:
    """Whether the loop has not ticked for so long that it does not run any more."""
    return now - beat > _ALIVE


def is_stuck(wrote: float, now: float) -> bool:
    """Whether a thread at work has written nothing for so long that it will not end by itself."""
    return now - wrote > _SILENT
