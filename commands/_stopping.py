"""SIGTERM: a run finishes what it has in hand, says what it did, and is gone within seconds."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from types import FrameType

from commands._ending import TRY_AGAIN

# Kubernetes waits 30 seconds and systemd 90 before they kill; we promise 10.
_PATIENCE = 8.0

told = threading.Event()  # one for all clinics of a process


@contextmanager
def heeds(wake: Callable[[], None], reread: Callable[[], None]) -> Iterator[None]:
    """Let SIGTERM and SIGINT end a service, a second one at once; SIGHUP has it read its settings.

    `wake` and `reread` run in the middle of whatever the main thread does, which may hold any lock:
    they may only put something where it looks. For the same reason no thread is started in there.
    """
    signals: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        signals.append(number)
        if len(signals) > 1:
            leave_behind(TRY_AGAIN)
        told.set()
        wake()

    handlers: dict[int, Callable[[int, FrameType | None], None]] = {
        signal.SIGTERM: end,
        signal.SIGINT: end,
    }
    if hasattr(signal, "SIGHUP"):
        handlers[signal.SIGHUP] = lambda _number, _frame: reread()
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    _watch_for_the_end()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@cache
def _watch_for_the_end() -> None:
    threading.Thread(target=_leave_when_late, name="end", daemon=True).start()


def _leave_when_late() -> None:
    told.wait()
    time.sleep(_PATIENCE)
    leave_behind(TRY_AGAIN)


@contextmanager
def ends_when_told() -> Iterator[None]:
    """Let SIGTERM end a run between two steps; in a few seconds where an answer is late."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _watch_for_the_end()
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(_signal: int, _frame: FrameType | None) -> None:
    told.set()  # a thread that starts in here might wait for a lock that the main thread holds


def leave_behind(code: int) -> None:
    """End the process with a code, whatever still waits for an answer in other threads.

    What was kept is kept, and the next run finds out about the rest.
    """
    with suppress(Exception):  # somebody may just be writing there
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
