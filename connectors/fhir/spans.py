"""Stretches of days, of somebody or of all, and what is left of them once some were read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

EVER = "~"  # after any instant, as a text


class Span(NamedTuple):
    """Of an id of the partition, or of all; instants as our JSON writes them, which sort as texts."""

    who: str = ""
    start: str = ""
    end: str = EVER

    def after(self, start: str) -> Span:
        """Return what of it comes after a moment; maybe nothing."""
        return self._replace(start=max(self.start, start))

    def without(self, other: Span) -> Iterator[Span]:
        """Yield what another leaves of it."""
        yield from self._replace(end=min(self.end, other.start)).kept
        yield from self._replace(start=max(self.start, other.end)).kept

    @property
    def kept(self) -> tuple[Span, ...]:
        """Itself, unless nothing is left of it."""
        return (self,) if self.start < self.end else ()


def uncovered(asked: Iterable[Span], read: Iterable[Span]) -> tuple[Span, ...]:
    """Return what was asked for and not read, in order, each once."""
    by_id: dict[str, list[Span]] = defaultdict(list)
    for one in read:
        by_id[one.who].append(one)
    left: set[Span] = set()
    for span in asked:
        parts = list(span.kept)
        for one in by_id[span.who]:
            parts = [piece for part in parts for piece in part.without(one)]
        left.update(parts)
    return tuple(sorted(left))
