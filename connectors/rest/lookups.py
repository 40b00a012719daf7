"""What records only refer to, such as patients: each asked for once, and many at once where it goes.

What was found is never kept beyond the run. Only its fingerprint is, so that an unchanged visit of an
unchanged patient costs no request for as long as `cache` says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from datetime import timedelta
from hashlib import blake2b
from typing import Any
from urllib.parse import unquote

import msgspec

from clinicrelay.contracts import Kit
from clinicrelay.http import Foreign, NotAnswered, Unwelcome
from clinicrelay.model import Issue
from connectors.rest.asking import asking_for, pairs
from connectors.rest.door import Asking, Door, found_at
from connectors.rest.placeholders import Unfit, Values, filled
from connectors.rest.requests import Lookup, Request

_MOST_REMEMBERED = 5000  # fingerprints of one lookup; each takes 60 bytes
_FEW = 3  # that cannot be read one after another, before it is the server's affair and not theirs
_MET, _MOST_MET = "met", 20_000  # entries; each takes 20 bytes
_encode = msgspec.json.Encoder(order="deterministic").encode


class Lookups:
    """Everything that the records of one run refer to."""

    def __init__(self, lookups: Mapping[str, Lookup], door: Door, kit: Kit, values: Values) -> None:
        self._each = [_One(name, lookup, door, kit, values) for name, lookup in lookups.items()]
        self._memory = kit.memory
        # Entries that an earlier page brought: only what is new or changed is looked at again.
        self._met: dict[str, None] = dict.fromkeys(self._memory.get(_MET) or ())
        self._news: list[str] = []

    def prepare(self, items: Sequence[Any]) -> None:
        """Ask for what no fingerprint is known of. Raises what the client raises.

        What is refused of a few is noted (see `closed`); of many in a row it is raised.
        """
        new = {id(item) for item in items if _mark(item) not in self._met} if self._each else set()
        for one in self._each:
            one.prepare(items, new)

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
    def notes(self) -> Iterator[str]:
        for one in self._each:
            if one.absent:
                yield f"{one.absent} of the {one.name} records that visits refer to were not there"


class _One:
    def __init__(self, name: str, lookup: Lookup, door: Door, kit: Kit, values: Values) -> None:
        self.name = name
        self._lookup, self._door, self._values = lookup, door, values
        self._ref, self._records = found_at(lookup.ref), found_at(lookup.records)
        self._id = found_at(lookup.id)
        self._found: dict[str, Any] = {}
        self._closed: set[str] = set()
        self._in_a_row: list[Unwelcome | NotAnswered] = []
        self._memory, self._now = kit.memory, int(kit.now.timestamp())
        self._room = f"lookup.{name}"
        self._known: dict[str, list[Any]] = dict(self._memory.get(self._room) or {})
        self._news = False

    @property
    def absent(self) -> int:
        """How many were asked for and not there."""
        return sum(found is None for found in self._found.values())

    def refs(self, item: Any) -> list[str]:
        value = self._ref(item)
        values = value if isinstance(value, list) else [value]
        return [ref for one in values if (ref := self._reference(one))]

    def _reference(self, value: Any) -> str | None:
        if value is None or isinstance(value, bool | dict | list):
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        text = str(value).strip()
        if not text or text == "0" or self._lookup.path is None:
            return text if text != "0" else None
        # A foreign key may be an address whose last part is the id.
        bare = text.partition("?")[0].partition("#")[0]
        return unquote(bare.rstrip("/").rpartition("/")[2]) if "/" in text else text

    def prepare(self, items: Sequence[Any], new: Set[int]) -> None:
        wanted: dict[str, bool] = {}
        for item in items:
            for ref in self.refs(item):
                wanted[ref] = wanted.get(ref, False) or id(item) in new
        known = self._found.keys() | self._closed
        refs = [r for r, ours in wanted.items() if r not in known and (ours or not self._fresh(r))]
        if self._lookup.in_batches:
            self._fetch(refs)
            return
        for ref in refs:
            self._try(ref)

    def _try(self, ref: str) -> None:
        """Ask for one; that it cannot be read is its own affair, unless others fare the same."""
        try:
            self._fetch([ref])
        except (Unwelcome, NotAnswered) as error:
            self._in_a_row.append(error)
            # Sent to a login page, or told to log in: that is nothing about this one person.
            at_the_door = isinstance(error, Foreign) or getattr(error, "status", 0) == 401
            if at_the_door or len(self._in_a_row) > _FEW:
                raise self._in_a_row[0] from None
            self._closed.add(ref)
            self._news = self._known.pop(_hidden(ref), None) is not None or self._news
        else:
            self._in_a_row = []

    def is_closed(self, item: Any) -> bool:
        return any(ref in self._closed for ref in self.refs(item))

    def knows(self, item: Any, *, new: bool) -> bool:
        known = self._found.keys() | self._closed
        return all(ref in known or (not new and self._fresh(ref)) for ref in self.refs(item))

    def digest(self, ref: str) -> bytes:
        if ref in self._found:
            return _digest(self._found[ref])
        return bytes.fromhex(self._known[_hidden(ref)][0])

    def lay(self, item: Any, laid: dict[str, Any]) -> list[Issue]:
        refs = self.refs(item)
        self._fetch([ref for ref in refs if ref not in self._found])
        if not refs:
            if not isinstance(laid.get(self.name), dict | list):
                laid[self.name] = None
            return []
        found = [{"id": _last(ref), **(self._found[ref] or {})} for ref in refs]
        laid[self.name] = found if isinstance(self._ref(item), list) else found[0]
        lost = any(self._found[ref] is None for ref in refs)
        return [Issue("reference_not_found", self.name)] if lost else []

    # --- asking ----------------------------------------------------------------------------------

    def _fetch(self, refs: Sequence[str]) -> None:
        if self._lookup.in_batches:
            for some in _batches(refs, self._lookup.size):
                self._keep(some, self._many(some))
        else:
            for ref in refs:
                self._keep([ref], {ref: self._single(ref)})

    def _keep(self, refs: Sequence[str], found: Mapping[str, Any]) -> None:
        for ref in refs:
            self._found[ref] = found.get(ref)
            self._known[_hidden(ref)] = [_digest(self._found[ref]).hex(), self._until(ref)]
        self._news = True

    def remember(self) -> None:
        """Put the fingerprints where they outlive the run."""
        if self._news:
            fresh = [one for one in self._known.items() if one[1][1] > self._now]
            self._memory[self._room] = dict(fresh[-_MOST_REMEMBERED:])
            self._news = False

    def _single(self, ref: str) -> Any:
        try:
            asking = self._asking(ref)
        except (Unwelcome, Unfit):
            return None  # one record's odd address stops nobody else's visit; nothing was sent
        said = self._door.ask(asking, passing=(404, 410))
        if said.nothing or said.answer.status in (404, 410):
            return None
        found = self._records(said.body)
        if isinstance(found, list):
            found = found[0] if len(found) == 1 else None
        return found if isinstance(found, dict) else None

    def _asking(self, ref: str) -> Asking:
        if self._lookup.path is None:
            params = pairs(filled(self._lookup.params, self._values))
            return Asking("GET", self._door.client.resolve(ref), params)
        request = Request(path=self._lookup.path, params=self._lookup.params)
        return asking_for(request, self._values.but(id=ref))

    def _many(self, refs: Sequence[str]) -> dict[str, Any]:
        request = Request(path=self._lookup.path or "", params=self._lookup.params)
        said = self._door.ask(asking_for(request, self._values.but(ids=",".join(refs))))
        found = None if said.nothing else self._records(said.body)
        entries = found if isinstance(found, list) else []
        return {str(self._id(entry)): entry for entry in entries if isinstance(entry, dict)}

    # --- what is remembered ----------------------------------------------------------------------

    def _fresh(self, ref: str) -> bool:
        known = self._known.get(_hidden(ref))
        return known is not None and known[1] > self._now

    def _until(self, ref: str) -> int:
        """Between half of `cache` and all of it, so that not all are asked for in one run."""
        share = 0.5 + int(_hidden(ref)[:4], 16) / 0x20000
        return self._now + int(self._lookup.cache / timedelta(seconds=1) * share)


def _batches(refs: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    return (refs[at : at + size] for at in range(0, len(refs), size))


def _hidden(ref: str) -> str:
    return blake2b(ref.encode(), digest_size=8).hexdigest()


def _mark(item: Any) -> str:
    return blake2b(_encode(item), digest_size=8).hexdigest()


def _digest(found: Any) -> bytes:
    return blake2b(_encode(found), digest_size=16).digest()


def _last(ref: str) -> str:
    return ref.rstrip("/").rpartition("/")[2]
