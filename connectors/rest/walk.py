"""Walks one list page by page, never in circles, and knows where it could be taken up again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgspec

from clinicrelay.http import Unwelcome
from clinicrelay.paths import Search
from connectors.rest.asking import asking_for, at_page, followed
from connectors.rest.bodies import found_at
from connectors.rest.door import Door, Said
from connectors.rest.options import List
from connectors.rest.paging import (
    Astray,
    Found,
    Linked,
    LinkHeader,
    Numbered,
    Offset,
    Single,
    Token,
)
from connectors.rest.placeholders import Values
from connectors.rest.requests import Request

_PARTIAL = 206  # some interfaces answer so where there are more pages
Position = dict[str, Any]  # JSON: token, page, and for numbered pages the last record's mark


class NoRecords(Unwelcome):
    """An answer that holds no list where the settings say there is one."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The records of one page. `here` leads to it again, None from the start; `beyond` past it."""

    items: list[Any]
    number: int
    said: Said
    here: Position | None
    beyond: Position | None


class Walk:
    """One list under one set of values, from its beginning or from a position."""

    def __init__(
        self,
        door: Door,
        one: List,
        request: Request,
        values: Values,
        *,
        name: Callable[[Any], str | None],
        position: Position | None = None,
    ) -> None:
        self._door, self._one = door, one
        self._records: Search = found_at(one.records)
        self._asking = asking_for(request, values)
        self._name, self._position = name, position
        self._met: dict[bytes, bytes] = {}  # identity: content
        self._told: int | None = None  # how many there are
        self.whole = position is None  # whether all of it was read in this run

    def pages(self) -> Iterator[Rows]:
        """Yield page after page. Raises Astray where it cannot be followed to its end."""
        position = self._position
        if position is not None:
            first = self._taken_up(position)
            if first is not None:
                yield from self._from(position["token"], position["page"], first)
                return
        self.whole = True
        yield from self._from(self._one.paging.first(), 1, None)

    def _taken_up(self, position: Position) -> Said | None:
        """Return the page at a position, None when that page is no longer what it was."""
        try:
            said = self._ask(position["token"])
        except Unwelcome as error:
            if error.status in (400, 404, 410, 422):
                return None  # the server has forgotten its own cursor
            raise
        mark = position.get("mark")
        if mark is None:
            return said
        marks = {self._mark(item).hex() for item in self._items(said)}
        return said if mark in marks else None

    def _from(self, token: Token | None, number: int, said: Said | None) -> Iterator[Rows]:
        paging, seen, here = self._one.paging, {token}, self._position if said else None
        while True:
            said = said or self._ask(token)
            items = self._items(said)
            new, fresh = self._sorted(items)
            after = None if said.nothing else self._next(token, said, len(items))
            self._hear(said)
            if items and not new and not (after is None and isinstance(paging, Offset)):
                raise Astray("a page has no record that an earlier one had not")
            beyond = None if after is None else self._beyond(token, after, number, items)
            yield Rows(fresh, number, said, here, beyond)
            if after is None:
                self._compare(said)
                return
            if after in seen:
                raise Astray("its pages lead in a circle")
            if number >= paging.max_pages:
                raise Astray(f"it has more than {paging.max_pages} pages (paging.max_pages)")
            seen.add(after)
            token, number, said, here = after, number + 1, None, beyond

    def _ask(self, token: Token | None) -> Said:
        return self._door.ask(at_page(self._asking, self._one.paging, token))

    def _items(self, said: Said) -> list[Any]:
        if said.nothing:
            return []
        found = self._records(said.body)
        if isinstance(found, list):
            return found
        raise NoRecords(
            f"{self._door.host} answers {said.answer.where} with no list at {self._one.records}",
            fix="see what it answers with clinicrelay check --connect, and set records",
            answer=said.answer,
        )

    def _sorted(self, items: list[Any]) -> tuple[int, list[Any]]:
        """Return how many records are new to this walk, and those that say anything new."""
        had, fresh = len(self._met), []
        for item in items:
            who, what = self._mark(item), _content(item)
            if self._met.get(who) != what:
                fresh.append(item)
            self._met[who] = what
        new = len(self._met) - had
        paging = self._one.paging
        if isinstance(paging, Offset) and paging.overlap and had and items and new == len(items):
            raise Astray("more records left the list while it was read than paging.overlap allows")
        return new, fresh

    def _mark(self, item: Any) -> bytes:
        name = self._name(item)
        return _content(item) if name is None else blake2b(name.encode(), digest_size=8).digest()

    def _next(self, token: Token | None, said: Said, rows: int) -> Token | None:
        found = Found(said.body, said.answer.headers, rows)
        paging, options = self._one.paging, self._door.client.options
        try:
            after = paging.then(token, found)
            if isinstance(paging, Linked | LinkHeader) and after is not None:
                after = followed(str(after), said.answer.url, paging, options)
        except Astray:
            raise
        except ValueError:  # a path of ours that does not fit, or a link that is no address
            raise Astray("an answer does not say in a readable way where it goes on") from None
        if isinstance(paging, Linked | LinkHeader) and after is not None:
            return self._door.client.follow(str(after))
        return after

    def _beyond(self, token: Token | None, after: Token, number: int, items: list[Any]) -> Position:
        """Numbers mean other records once the list changes: the last one read has to be there still."""
        if isinstance(self._one.paging, Numbered | Offset):
            mark = self._mark(items[-1]).hex() if items else None
            return {"token": token, "page": number, "mark": mark}
        return {"token": after, "page": number + 1}

    def _hear(self, said: Said) -> None:
        """Note how many records there are, by the last page that tells it."""
        told = None if said.nothing else self._one.paging.expected(said.body)
        self._told = self._told if told is None else told

    def _compare(self, said: Said) -> None:
        if said.answer.status == _PARTIAL and isinstance(self._one.paging, Single):
            raise Astray("it says that it gave only a part (206): set paging to come to the rest")
        if self._told is not None and self.whole and len(self._met) < self._told:
            raise Astray(f"it tells of {self._told} records and gave {len(self._met)}")


def _content(item: Any) -> bytes:
    return blake2b(msgspec.json.encode(item), digest_size=8).digest()
