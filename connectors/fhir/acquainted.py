"""Whom former runs have met: a digest and an age each, so that nobody is asked for without need.

What was read of a person is not kept here. As long as nothing else changed, the digest alone proves
that a visit is what it was; whoever needs more has to ask again.
"""

from __future__ import annotations

from collections.abc import Collection, MutableMapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zlib import crc32

_SHELF = "met/{:02}"
_SHELVES = 64  # rows in the store; what changes on one leaves the others unwritten
_FORGOTTEN = timedelta(days=30)
_PATIENTS = "patients"  # when they could last be read
_A_DAY = 86_400


class Acquaintance(NamedTuple):
    """A resource as it was when last asked for; `asked` in seconds since 1970, our business time."""

    digest: bytes
    asked: int
    etag: str | None


class Acquainted:
    """Remembers, in `memory`, what was met under keys such as Patient/5."""

    def __init__(
        self, memory: MutableMapping[str, Any], now: datetime, believed: timedelta
    ) -> None:
        self._memory = memory
        self._now = int(now.timestamp())
        self._believed = int(believed.total_seconds())
        self.trusting = True  # else everybody is met as if for the first time

    def recall(self, key: str) -> Acquaintance | None:
        """Return what is remembered, however old."""
        known = self._memory.get(_shelf(key), {}).get(key) if self.trusting else None
        return Acquaintance(bytes.fromhex(known[0]), known[1], known[2]) if known else None

    def is_fresh(self, known: Acquaintance) -> bool:
        """Whether it may be believed without asking."""
        return 0 <= self._now - known.asked < self._believed

    def note(self, key: str, digest: bytes, etag: str | None) -> None:
        """Remember that it is so now; nothing is written where that is news to nobody."""
        known = self.recall(key)
        if known and known[:1] + known[2:] == (digest, etag) and self.is_fresh(known):
            return
        self._put(key, [digest.hex(), self._now, etag])

    def renew(self, key: str) -> None:
        """Remember that what is known was so at this run."""
        known = self.recall(key)
        if known and known.asked != self._now:
            self._put(key, [known.digest.hex(), self._now, known.etag])

    def somebody(self, kind: str, *, besides: Collection[str]) -> str | None:
        """Return the id of one of a kind who was met, and is none of some."""
        names = (name for n in range(_SHELVES) for name in self._memory.get(_SHELF.format(n), ()))
        ids = (own for found, _, own in (name.partition("/") for name in names) if found == kind)
        return next((one for one in ids if one not in besides), None) if self.trusting else None

    @property
    def knows_patients(self) -> bool:
        """Whether patients could be read, and not too long ago."""
        last = self._memory.get(_PATIENTS, 0) if self.trusting else 0
        return bool(last) and self._now - last < _FORGOTTEN.total_seconds()

    def note_patients(self) -> None:
        """Remember that they can be read; written once a day."""
        last = self._memory.get(_PATIENTS, 0)
        if not 0 <= self._now - last < _A_DAY:
            self._memory[_PATIENTS] = self._now

    def forget(self, key: str) -> None:
        """Ask the next time."""
        if key in self._memory.get(_shelf(key), {}):
            self._put(key, None)

    def _put(self, key: str, said: list[Any] | None) -> None:
        oldest = self._now - int(_FORGOTTEN.total_seconds())
        # A new shelf each time: the store compares it with the old one to see what to write.
        shelf = {k: v for k, v in self._memory.get(_shelf(key), {}).items() if v[1] > oldest}
        shelf.pop(key, None)
        if said:
            shelf[key] = said
        self._memory[_shelf(key)] = shelf


def _shelf(key: str) -> str:
    return _SHELF.format(crc32(key.encode()) % _SHELVES)
