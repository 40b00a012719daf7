"""Reads sources beside each other: one that hangs delays neither another nor anybody's message."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from clinicrelay.errors import ClinicrelayError
from sync import reads
from sync.report import SourceReport

if TYPE_CHECKING:
    from sync.clinic import Clinic

_A_MOMENT = 0.2  # seconds until a run that is told to end notices


class Reads:
    """The reads of one run. `done` are the reports of those that have ended.

    Threads are daemons: a run that is told to end does not wait for a source that hangs, and what
    that had not kept is read again by the next run.
    """

    def __init__(self, clinic: Clinic, names: Sequence[str]) -> None:
        self._clinic, self._names = clinic, names
        self._ended: SimpleQueue[tuple[str, SourceReport | BaseException]] = SimpleQueue()
        self._done: dict[str, SourceReport] = {}
        self._failed: BaseException | None = None
        self._running = 0
        if clinic.dry:  # a scratch store is one connection: nobody shares that
            for name in names:
                self._done[name] = pulled(clinic, name)
        else:
            for name in names:
                self._start(name)

    @property
    def done(self) -> dict[str, SourceReport]:
        """The reports there are, in the order in which the sources were named."""
        return {name: self._done[name] for name in self._names if name in self._done}

    def wait(self, seconds: float) -> bool:
        """Wait for the reads, at most so long; return whether all have ended."""
        until = time.monotonic() + seconds
        while self._running and self._end_of_one(max(0.0, until - time.monotonic())):
            pass
        return self._all_ended()

    def wait_for_one(self) -> bool:
        """Wait until one more has ended; return whether all have."""
        self._end_of_one(None)
        return self._all_ended()

    def _all_ended(self) -> bool:
        """Raise, once nobody reads any more, what a read raised: trouble with the store."""
        if self._running:
            return False
        if self._failed is not None:
            raise self._failed
        return True

    def _end_of_one(self, seconds: float | None) -> bool:
        found = self._next_end(seconds)
        if found is None:
            return False
        name, end = found
        self._running -= 1
        if isinstance(end, SourceReport):
            self._done[name] = end
        else:
            self._failed = self._failed or end
        return True

    def _next_end(self, seconds: float | None) -> tuple[str, SourceReport | BaseException] | None:
        """Wait for an end, so long or without limit; None as well when the run is told to end."""
        until = None if seconds is None else time.monotonic() + seconds
        while not self._clinic.ending.is_set():
            left = _A_MOMENT if until is None else min(_A_MOMENT, until - time.monotonic())
            try:
                return self._ended.get(timeout=max(0.0, left))
            except Empty:
                if until is not None and time.monotonic() >= until:
                    return None
        return None

    def _start(self, name: str) -> None:
        self._running += 1
        threading.Thread(target=self._read, args=(name,), name=name, daemon=True).start()

    def _read(self, name: str) -> None:
        try:
            end: SourceReport | BaseException = pulled(self._clinic, name)
        except BaseException as error:  # noqa: BLE001 - raised again where somebody waits
            end = error
        self._ended.put((name, end))


def pulled(clinic: Clinic, name: str) -> SourceReport:
    """Read a source. A bug that one odd record wakes up must not silence the whole clinic."""
    try:
        return reads.pull(clinic, name)
    except ClinicrelayError:
        raise  # the store is in trouble: nothing can go on
    except Exception as error:  # noqa: BLE001 - it is reported, and the command ends with it
        return reads.broken(clinic, name, error)
