"""What records refer to by one of their fields, such as their patient: asked for, and laid into them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from difflib import get_close_matches
from typing import Any
from urllib.parse import unquote

from clinicrelay.contracts import Kit
from clinicrelay.http import Foreign, NotAnswered, Unwelcome, sentences
from clinicrelay.model import Issue
from connectors.rest.asking import asking_for, pairs
from connectors.rest.bodies import as_id, found_at
from connectors.rest.door import Asking, Door, Said
from connectors.rest.failures import Failures, at_the_door
from connectors.rest.fingerprints import Fingerprints, fingerprint
from connectors.rest.placeholders import Unfit, Values, filled
from connectors.rest.requests import Lookup, Request

_FEW = 3  # records of a page whose names are looked at, and addresses elsewhere that are borne
_MANY = 100  # names of fields, to find the nearest among
_ABSENT = (404, 410)
_NAME = re.compile(r"[A-Za-z_]\w{0,30}", re.ASCII)


class Reference:
    """One kind of thing that records refer to, and what is known of it in this run."""

    def __init__(self, name: str, lookup: Lookup, door: Door, kit: Kit, values: Values) -> None:
        self.name = name
        self._lookup, self._door, self._values = lookup, door, values
        self._ref, self._records = found_at(lookup.ref), found_at(lookup.records)
        self._id = found_at(lookup.id)
        self._found: dict[str, Any] = {}
        self._closed: set[str] = set()
        self._failures = Failures()
        self._elsewhere = 0  # addresses that lead to another host
        self._known = Fingerprints(f"lookup.{name}", lookup.cache, kit)
        self._met = False  # a record refers to anything
        self._like: dict[str, None] = {}  # names that some records have, in dots

    @property
    def ref(self) -> str:
        """Where records hold the id, as settings say."""
        return self._lookup.ref

    @property
    def unmet(self) -> str | None:
        """None where a record refers to anything; else the name nearest to `ref`, if any is near."""
        if self._met or not self._like:
            return None
        return next(iter(get_close_matches(self.ref, self._like, n=1)), "")

    @property
    def absent(self) -> int:
        """How many were asked for and not there."""
        return sum(found is None for found in self._found.values())

    def refs(self, item: Any) -> list[str]:
        """Return the ids that a record refers to."""
        value = self._ref(item)
        values = value if isinstance(value, list) else [value]
        return [ref for one in values if (ref := self._reference(one))]

    def _reference(self, value: Any) -> str | None:
        text = as_id(value)
        if not text or text == "0" or self._lookup.path is None:
            return text if text != "0" else None
        # A foreign key may be an address whose last part is the id.
        bare = text.partition("?")[0].partition("#")[0]
        return unquote(bare.rstrip("/").rpartition("/")[2]) if "/" in text else text

    def look_at(self, items: Sequence[Any]) -> None:
        """Learn whether any record refers to anything, and by which names they could."""
        self._met = self._met or any(self.refs(item) for item in items)
        if not self._met and len(self._like) < _MANY:
            self._like.update(dict.fromkeys(name for item in items[:_FEW] for name in _names(item)))

    def prepare(self, items: Sequence[Any], new: Set[int]) -> None:
        """Ask for what no fingerprint is known of, and for all that new records refer to."""
        wanted: dict[str, bool] = {}
        for item in items:
            for ref in self.refs(item):
                wanted[ref] = wanted.get(ref, False) or id(item) in new
        known = self._found.keys() | self._closed
        fresh = self._known.is_fresh
        refs = [r for r, ours in wanted.items() if r not in known and (ours or not fresh(r))]
        for some in self._batches(refs):
            self._try(some)

    def _try(self, refs: Sequence[str]) -> None:
        """Ask for some; where one of many is refused, so are all: halves tell which it is."""
        try:
            self._fetch(refs)
        except (Unwelcome, NotAnswered) as error:
            if len(refs) == 1:
                self._give_up(refs[0], error)
            elif isinstance(error, Unwelcome) and not at_the_door(error):
                half = len(refs) // 2
                self._try(refs[:half])
                self._try(refs[half:])
            else:
                raise
        else:
            self._failures.over()

    def _give_up(self, ref: str, error: Unwelcome | NotAnswered) -> None:
        """That one cannot be read is its own affair, unless others fare the same."""
        if getattr(error, "status", 0) in _ABSENT and any(self._found.values()):
            self._keep([ref], {})  # others are there, at the same place
            return
        self._failures.bear(error)
        self._closed.add(ref)
        self._known.forget(ref)

    def is_closed(self, item: Any) -> bool:
        """Whether a record refers to something that could not be read."""
        return any(ref in self._closed for ref in self.refs(item))

    def knows(self, item: Any, *, new: bool) -> bool:
        """Whether everything is known that a record refers to."""
        known = self._found.keys() | self._closed
        return all(
            ref in known or (not new and self._known.is_fresh(ref)) for ref in self.refs(item)
        )

    def digest(self, ref: str) -> bytes:
        """Return the fingerprint of what an id stands for."""
        return fingerprint(self._found[ref]) if ref in self._found else self._known.of(ref)

    def lay(self, item: Any, laid: dict[str, Any]) -> list[Issue]:
        """Put what a record refers to into it, and return what is wrong with that."""
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

    def _batches(self, refs: Sequence[str]) -> Iterable[Sequence[str]]:
        size = self._lookup.size if self._lookup.in_batches else 1
        return (refs[at : at + size] for at in range(0, len(refs), size))

    def _fetch(self, refs: Sequence[str]) -> None:
        for some in self._batches(refs):
            batch = self._lookup.in_batches
            self._keep(some, self._all(some) if batch else {some[0]: self._single(some[0])})

    def _all(self, refs: Sequence[str]) -> dict[str, Any]:
        """Ask for many, and again for those left out: some give fewer than they are asked for."""
        found = more = self._many(refs)
        while more and (left := [ref for ref in refs if ref not in found]):
            more = self._many(left)
            found |= more
        return found

    def _keep(self, refs: Sequence[str], found: Mapping[str, Any]) -> None:
        for ref in refs:
            self._found[ref] = found.get(ref)
            self._known.note(ref, fingerprint(self._found[ref]))

    def remember(self) -> None:
        """Put the fingerprints where they outlive the run."""
        self._known.remember()

    def _single(self, ref: str) -> Any:
        try:
            asking = self._asking(ref)
        except Foreign:
            self._elsewhere += 1
            if self._elsewhere > _FEW and not any(self._found.values()):
                raise  # all of them: base_url is wrong, or theirs
            return None
        except (Unwelcome, Unfit):
            return None  # one record's odd address stops nobody else's visit; nothing was sent
        said = self._door.ask(asking, passing=_ABSENT)
        if said.nothing or said.answer.status in _ABSENT:
            return None
        found = self._records(said.body)
        if isinstance(found, list) and len(found) < 2:
            found = found[0] if found else None
        if found is None or (found and isinstance(found, dict)):
            return found
        raise self._odd(said)

    def _asking(self, ref: str) -> Asking:
        if self._lookup.path is None:
            params = pairs(filled(self._lookup.params, self._values))
            return Asking("GET", self._door.client.follow(ref), params)
        request = Request(path=self._lookup.path, params=self._lookup.params)
        return asking_for(request, self._values.but(id=ref))

    def _many(self, refs: Sequence[str]) -> dict[str, Any]:
        request = Request(path=self._lookup.path or "", params=self._lookup.params)
        said = self._door.ask(asking_for(request, self._values.but(ids=",".join(refs))))
        if said.nothing and said.answer.status in _ABSENT and len(refs) > 1:
            raise sentences.unwelcome(said.answer, self._door.host, self._door.client.options)
        found = [] if said.nothing else self._records(said.body)
        if not isinstance(found, list):
            raise self._odd(said)
        here = {as_id(self._id(entry)): entry for entry in found if isinstance(entry, dict)}
        return {ref: here[ref] for ref in refs if ref in here}

    def _odd(self, said: Said) -> Unwelcome:
        """An answer of another shape says nothing of anybody: least of all that nobody is there."""
        return Unwelcome(
            f"{self._door.host} answers {said.answer.where} with nothing that could be a {self.name}",
            fix=f"check lookups.{self.name}: its path and records",
            answer=said.answer,
        )


def _names(item: Any, path: str = "", depth: int = 3) -> Iterator[str]:
    """Yield the names in a record whose values may be ids, in dots; keys that are data are none."""
    for name, value in item.items():
        if not _NAME.fullmatch(name):
            continue
        if isinstance(value, dict) and depth:
            yield from _names(value, f"{path}{name}.", depth - 1)
        elif as_id(value):
            yield f"{path}{name}"


def _last(ref: str) -> str:
    return ref.rstrip("/").rpartition("/")[2]
