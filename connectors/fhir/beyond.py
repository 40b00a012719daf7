"""Days that no read has told of yet, and the old bookings that come to light in them (ADR 19).

With each day that passes a listing reaches a day further, a slice that failed is read at last, and
what changed is told of any day there is. What was booked there long ago is no news to its patient.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from clinicrelay.times import iso
from connectors.fhir.entries import Sorted, Version
from connectors.fhir.resources import decode
from connectors.fhir.seen import moment_of
from connectors.fhir.spans import Span


class _Times(msgspec.Struct):
    start: str | None = None
    created: str | None = None


@dataclass(frozen=True, slots=True)
class Beyond:
    """`until` is where the days of the last listing end, `gaps` what before it was never read.

    `since` is from when on changes are asked for: a visit that was made since then is news.
    """

    until: str | None = None
    gaps: Sequence[Span] = ()
    since: datetime | None = None

    def parted(self, done: Sorted, ids: Sequence[str]) -> Iterator[tuple[Sorted, bool]]:
        """Yield what a page of these ids holds with whether it lies there; what cannot be read last."""
        gaps = [gap for gap in self.gaps if not gap.who or gap.who in ids]
        if not gaps and self.until is None:
            yield done, False
            return
        far = {key: one for key, one in done.visits.items() if self._holds(one, gaps)}
        if far:
            yield Sorted(far), True
        near = {key: one for key, one in done.visits.items() if key not in far}
        yield Sorted(near, done.unreadable), False

    def _holds(self, version: Version, gaps: Sequence[Span]) -> bool:
        if version.raw is None:
            return False
        try:
            times = decode(version.raw, _Times)
        except ValueError:
            return False
        moment = moment_of(times.start)
        if moment is None or self._is_new(times.created):
            return False
        start = iso(moment)
        late = self.until is not None and start >= self.until
        return late or any(gap.start <= start < gap.end for gap in gaps)

    def _is_new(self, created: str | None) -> bool:
        made = moment_of(created)
        if made is None or self.since is None:
            return False
        if created and "T" not in created:
            return made.date() >= self.since.date()
        return made >= self.since
