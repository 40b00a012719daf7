"""Fingerprints of what ids stand for: all of anybody's data that outlives a run, and not for long."""

from __future__ import annotations

from datetime import timedelta
from hashlib import blake2b
from typing import Any

import msgspec

from clinicrelay.contracts import Kit

_MOST = 5000  # each takes 60 bytes
_encode = msgspec.json.Encoder(order="deterministic").encode


class Fingerprints:
    """Those of one lookup, by their ids, each good for half of `cache` at least."""

    def __init__(self, room: str, cache: timedelta, kit: Kit) -> None:
        self._room, self._cache = room, cache
        self._memory, self._now = kit.memory, int(kit.now.timestamp())
        self._known: dict[str, list[Any]] = dict(self._memory.get(room) or {})
        self._news = False

    def of(self, ref: str) -> bytes:
        """Return the fingerprint of an id that has one."""
        return bytes.fromhex(self._known[_hidden(ref)][0])

    def is_fresh(self, ref: str) -> bool:
        """Whether nobody has to be asked again about an id."""
        known = self._known.get(_hidden(ref))
        return known is not None and known[1] > self._now

    def note(self, ref: str, found: bytes) -> None:
        """Take note of what was found now."""
        self._known[_hidden(ref)] = [found.hex(), self._until(ref)]
        self._news = True

    def forget(self, ref: str) -> None:
        """Let it be asked for again by the next run."""
        self._news = self._known.pop(_hidden(ref), None) is not None or self._news

    def remember(self) -> None:
        """Put them where they outlive the run."""
        if self._news:
            fresh = [one for one in self._known.items() if one[1][1] > self._now]
            self._memory[self._room] = dict(fresh[-_MOST:])
            self._news = False

    def _until(self, ref: str) -> int:
        """Between half of `cache` and all of it, so that not all are asked for in one run."""
        share = 0.5 + int(_hidden(ref)[:4], 16) / 0x20000
        return self._now + int(self._cache / timedelta(seconds=1) * share)


def fingerprint(found: Any) -> bytes:
    """Return what tells one content from another, and nothing of it."""
    return blake2b(_encode(found), digest_size=16).digest()


def _hidden(ref: str) -> str:
    return blake2b(ref.encode(), digest_size=8).hexdigest()
