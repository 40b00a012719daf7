"""Ends a run when its time is up, as if it were told to: what is left is for the next one.

A destination with no end of work, or a source that goes on and on, must not keep a run for ever: it
would hold up whatever waits for its end, the alerts first.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sync.clinic import Clinic


class InTime(Event):
    """Set once the run was told to end, or its time (seconds) is up."""

    def __init__(self, told: Event, seconds: float) -> None:
        super().__init__()
        self._told, self._until = told, time.monotonic() + seconds

    @property
    def is_up(self) -> bool:
        """Whether it was the time, and nobody told it to end."""
        return time.monotonic() >= self._until and not self._told.is_set()

    @property
    def is_told(self) -> bool:
        return self._told.is_set()

    def is_set(self) -> bool:
        return self._told.is_set() or time.monotonic() >= self._until

    def wait(self, timeout: float | None = None) -> bool:
        left = max(0.0, self._until - time.monotonic())
        self._told.wait(left if timeout is None else min(timeout, left))
        return self.is_set()


@contextmanager
def in_time(clinic: Clinic) -> Iterator[InTime]:
    """Let the steps inside begin nothing more once `runner.budget` is spent."""
    told, budget = clinic.ending, clinic.settings.runner.budget
    clinic.ending = ending = InTime(told, budget.total_seconds())
    try:
        yield ending
    finally:
        clinic.ending = told
