"""Visits that begin after the days of the last listing: no read before could have told of them.

With each day that passes a listing reaches a day further, and what changed is told of any day there
is. What was booked there long ago is no news to its patient when we meet it (ADR 19).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import msgspec

from connectors.fhir.entries import Sorted, Version
from connectors.fhir.resources import decode
from connectors.fhir.seen import moment_of


class _Times(msgspec.Struct):
    start: str | None = None
    created: str | None = None


@dataclass(frozen=True, slots=True)
class Beyond:
    """`until` is where the last listing ended; None where there are no such days.

    `since` is from when on changes are asked for: a visit that was made since then is news.
    """

    until: datetime | None = None
    since: datetime | None = None

    def parted(self, done: Sorted) -> Iterator[tuple[Sorted, bool]]:
        """Yield what a page holds with whether it lies beyond; what cannot be read comes last."""
        far = {key: one for key, one in done.visits.items() if self.until and self._holds(one)}
        if far:
            near = {key: one for key, one in done.visits.items() if key not in far}
            yield Sorted(far), True
            yield Sorted(near, done.unreadable), False
        else:
            yield done, False

    def _holds(self, version: Version) -> bool:
        if version.raw is None or self.until is None:
            return False
        try:
            times = decode(version.raw, _Times)
        except ValueError:
            return False
        start = moment_of(times.start)
        return start is not None and start >= self.until and not self._is_new(times.created)

    def _is_new(self, created: str | None) -> bool:
        made = moment_of(created)
        if made is None or self.since is None:
            return False
        if created and "T" not in created:
            return made.date() >= self.since.date()
        return made >= self.since
