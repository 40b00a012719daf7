"""How many processes may call a notifier's provider at once: each that does holds one of so many leases.

A process makes one call at a time, so one lease is enough for all of them.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING

from sync.store.leases import lease, renewed

if TYPE_CHECKING:
    from sync.clinic import Clinic

_LONGEST = timedelta(hours=1)  # that a process which hangs may keep others off
_PATIENCE = 10.0  # seconds that one waits for a place
_MOMENT = 0.2


class Connections:
    """Those of one process; they are let go with `held`."""

    def __init__(self, clinic: Clinic, held: ExitStack) -> None:
        self._clinic, self._held = clinic, held
        self._has: dict[str, bool] = {}

    def has(self, notifier: str) -> bool:
        """Whether this process may use a notifier; who found no place asks no more."""
        if notifier not in self._has:
            entry = self._clinic.settings.notifiers.get(notifier)
            most = entry.at_once if entry else None
            self._has[notifier] = most is None or self._wait_for(notifier, most)
        return self._has[notifier]

    def _wait_for(self, notifier: str, most: int) -> bool:
        until = time.monotonic() + _PATIENCE
        while not any(self._take(f"notifier:{notifier}:{number}") for number in range(most)):
            if time.monotonic() >= until or self._clinic.ending.wait(_MOMENT):
                return False
        return True

    def _take(self, name: str) -> bool:
        store, length = self._clinic.store, self._clinic.settings.store.lease
        taken = self._held.enter_context(lease(store, name, length))
        if taken is not None:
            self._held.enter_context(renewed(store, taken, at_most=_LONGEST))
        return taken is not None
