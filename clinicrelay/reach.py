"""How far the reads of a source have reached: what lies beyond was there before anybody asked.

With each day a window reaches a day further, a clinic adds a doctor to a list of calendars, a server
grants what it refused. Visits that come to light that way are no news to their patients; a connector
says so with `widened` and `widened_from` of `Page`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, MutableMapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from clinicrelay.times import iso

_NAME = "reach"


class Reach:
    """Remembers it between runs, in a connector's `memory`, for the question `of` alone.

    `parts` are the ids of a partition, where a source is asked for one after the other.
    """

    def __init__(self, memory: MutableMapping[str, Any], of: str) -> None:
        self._memory = memory
        self._of = of

    def is_new(self, parts: Iterable[str] = ()) -> bool:
        """Whether a read that asks for these parts, or for everything, is the first to do so."""
        known = self._known
        return known is None or not {_mark(one) for one in parts} <= {*known["parts"]}

    @property
    def until(self) -> datetime | None:
        """The end of the days (UTC) that were read; None where they had none, or nothing was read."""
        known = self._known
        return datetime.fromisoformat(known["until"]) if known and known["until"] else None

    def ended(
        self,
        *,
        until: datetime | None,
        read_until: datetime | None = None,
        parts: Iterable[str] = (),
        read: Collection[str] = (),
    ) -> None:
        """Note that everything was asked for: which days up to `until`, None for all, and `parts`.

        `read` and `read_until` say how much of that came; what fails now takes back nothing that
        was known of it.
        """
        asked = {one: _mark(one) for one in parts}
        before = {*self._known["parts"]} if self._known else set()
        kept = {mark for one, mark in asked.items() if one in read or mark in before}
        if until is not None:
            until = min(until, max(filter(None, (self.until, read_until)), default=until))
            # By whole days, so that a poll which finds nothing new has nothing to write either.
            until = until.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        self._memory[_NAME] = {
            "of": self._of,
            "parts": sorted(kept),
            "until": iso(until) if until else None,
        }

    @property
    def _known(self) -> dict[str, Any] | None:
        known: dict[str, Any] | None = self._memory.get(_NAME)
        return known if known and known["of"] == self._of else None


def _mark(part: str) -> str:
    """Return a few characters for an id: there may be thousands, and some are of patients."""
    return blake2b(part.encode(), digest_size=6).hexdigest()
