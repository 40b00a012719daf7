"""What records only refer to, such as patients: each asked for once, and many at once where it goes.

What was found is never kept beyond the run. Only its fingerprint is, so that an unchanged visit of an
unchanged patient costs no request for as long as `cache` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from clinicrelay.contracts import Kit
from clinicrelay.model import Issue
from connectors.rest.door import Door
from connectors.rest.placeholders import Values
from connectors.rest.reference import Reference
from connectors.rest.requests import Lookup

_MET, _MOST_MET = "met", 20_000  # entries; each takes 20 bytes
_encode = msgspec.json.Encoder(order="deterministic").encode


class Lookups:
    """Everything that the records of one run refer to."""

    def __init__(self, lookups: Mapping[str, Lookup], door: Door, kit: Kit, values: Values) -> None:
        self._each = [
            Reference(name, lookup, door, kit, values) for name, lookup in lookups.items()
        ]
        self._memory = kit.memory
        # Entries that an earlier page brought: only what is new or changed is looked at again.
        self._met: dict[str, None] = dict.fromkeys(self._memory.get(_MET) or ())
        self._news: list[str] = []

    def prepare(self, items: Sequence[Any]) -> None:
        """Ask for what no fingerprint is known of. Raises what the client raises.

        What is refused of a few is noted (see `closed`); of many in a row it is raised.
        """
        new = {id(item) for item in items if _mark(item) not in self._met} if self._each else set()
        self.look_at(items)
        for one in self._each:
            one.prepare(items, new)

    def look_at(self, items: Sequence[Any]) -> None:
        """Learn what records refer to, and ask for nothing."""
        for one in self._each:
            one.look_at(items)

    def answered(self, items: Sequence[Any]) -> list[Any]:
        """Return the entries of which everything is known that they refer to."""
        return [
            item
            for item in items
            if all(one.knows(item, new=_mark(item) not in self._met) for one in self._each)
        ]

    def meet(self, items: Sequence[Any]) -> None:
        """Note entries that the next page brings, with everything that they refer to."""
        if self._each:
            self._news += [_mark(item) for item in items]

    def closed(self, item: Any) -> str | None:
        """Return the name of something that a record refers to and that could not be read."""
        return next((one.name for one in self._each if one.is_closed(item)), None)

    def digests(self, item: Any) -> Iterator[bytes]:
        """Yield a fingerprint of each thing that a record refers to."""
        for one in self._each:
            for ref in one.refs(item):
                yield one.digest(ref)

    def lay(self, item: Mapping[str, Any]) -> tuple[dict[str, Any], list[Issue]]:
        """Return a record with what it refers to; asks for what only a fingerprint is known of."""
        laid, issues = dict(item), list[Issue]()
        for one in self._each:
            issues += one.lay(item, laid)
        return laid, issues

    def remember(self) -> None:
        """Put the fingerprints where they outlive the run, with the page they belong to."""
        for one in self._each:
            one.remember()
        if self._news:
            for mark in self._news:
                self._met.pop(mark, None)
                self._met[mark] = None
            self._news = []
            self._memory[_MET] = list(self._met)[-_MOST_MET:]

    @property
    def unmet(self) -> Iterator[str]:
        """Yield a sentence on each lookup that no record asked for: its `ref` may be misspelt."""
        for one in self._each:
            if one.unmet is not None:
                near = f"; the nearest that they have is {one.unmet}" if one.unmet else ""
                yield f"no record has anything at lookups.{one.name}.ref ({one.ref}){near}"

    @property
    def notes(self) -> Iterator[str]:
        for one in self._each:
            if one.absent:
                yield f"{one.absent} of the {one.name} records that visits refer to were not there"


def _mark(item: Any) -> str:
    return blake2b(_encode(item), digest_size=8).hexdigest()
