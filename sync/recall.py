"""Recalls what a source said last: whose visit a record is, by its digest alone.

Most of an export stands where it stood yesterday, so a page is compared with the same page of the
last read; what is not there is looked for in the pages around it, further off the more is missing.
A record that is not found costs time, nothing else: it is mapped and compared with its visit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from sync.store.sightings import Sheet

_NEAR = 1  # pages looked at on either side of where we are
_A_FEW = 16  # one of so many records on a page may be unknown without a look around
_FAR = 25  # the same once a quarter of a page is missing: an export in another order


class Recall:
    """One read's memory of the last read. `load` returns a page of that by its number, from 0."""

    def __init__(self, load: Callable[[int], Sheet | None]) -> None:
        self._load = load
        self._sheets: dict[int, Sheet | None] = {}
        self._indexes: dict[int, dict[bytes, int]] = {}
        self._at = 0  # the page in which the next record should be
        self._reach = _NEAR

    def whose(self, digests: Sequence[bytes]) -> Sheet:
        """Return the records as a page of their own, with the visits that are known to be theirs."""
        sheet, old = Sheet.of(b"".join(digests)), self.sheet(self._at) if digests else None
        left = sheet.copy_alike(old) if old is not None else [*range(len(digests))]
        if len(left) * _A_FEW < len(digests):
            self._move_to(self._at + 1)  # looking further costs more than mapping those few
        else:
            self._move_to(self._look_around(digests, sheet, left))
        return sheet

    def _look_around(self, digests: Sequence[bytes], sheet: Sheet, left: list[int]) -> int:
        """Find records on the pages near by; return on which the record after the last should be."""
        last, then = -1, self._at
        for number in self._around():
            old = self.sheet(number)
            if old is None or not left:
                continue
            index, missing = self._index(number, old), []
            for at in left:
                there = index.get(digests[at])
                if there is None:
                    missing.append(at)
                    continue
                sheet.visits[at], sheet.starts[at] = old.visits[there], old.starts[there]
                if at > last:
                    last, then = at, number + (there == len(old.visits) - 1)
            left = missing
            if len(left) * 4 > len(digests):
                self._reach = _FAR
        return then

    def sheet(self, number: int) -> Sheet | None:
        """Return a page of the last read."""
        if number not in self._sheets:
            self._sheets[number] = self._load(number) if number >= 0 else None
        return self._sheets[number]

    def _index(self, number: int, sheet: Sheet) -> dict[bytes, int]:
        if number not in self._indexes:
            self._indexes[number] = sheet.places()
        return self._indexes[number]

    def _around(self) -> Iterator[int]:
        """Yield the pages to look at, nearest first; how far it goes may grow on the way."""
        yield self._at
        steps = 1
        while steps <= self._reach:
            yield self._at + steps
            yield self._at - steps
            steps += 1

    def _move_to(self, number: int) -> None:
        self._at = number
        for known in (self._sheets, self._indexes):
            for far in [n for n in known if abs(n - number) > self._reach]:
                del known[far]
