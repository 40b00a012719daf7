"""What differs, by another hand, from what we wrote: of all that is there, or since the last look.

An event is one of ours by its marks; of several that say they are one visit's, the one whose id we
remember counts, else the one whose id we would have given it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from calendars.google.answers import Answer, Kind
from calendars.google.event import (
    Body,
    Marks,
    is_bare_tombstone,
    is_deleted,
    marks,
    memo_of,
    span,
)
from calendars.google.reading import in_full, list_all, nobody_looks_at, state_of
from calendars.google.troubles import trouble
from calendars.google.wire import Wire
from calendars.google.writing import changed_by
from clinicrelay import Hand, Known, Look, Memo, Sighting


def seen(wire: Wire, calendar: str, cursor: Mapping[str, Any] | None, known: Known) -> Look:
    """Return what differs from what we wrote; see `Calendar.seen`. Raises Stopped."""
    if nobody_looks_at(wire, calendar):
        return Look(trouble=trouble("own_calendar", wire.account.facts))
    token = cursor.get("token") if cursor else None
    listed = list_all(wire, calendar, token)
    if token and listed.answer.kind is Kind.DELETED:
        token, listed = (
            None,
            list_all(wire, calendar, None),
        )  # the token is dead: look at everything
    state = state_of(wire, listed.answer)
    if state.trouble is not None:
        return Look(trouble=state.trouble)
    found = _Found(wire, listed.items, known, whole=token is None)
    return Look(
        [*found.sightings(calendar)],
        {"token": listed.token} if listed.token else None,
        strangers=found.strangers,
    )


def of_strangers(wire: Wire, calendar: str) -> Iterator[Sighting]:
    """Yield the live events that other installations of this product wrote. Raises Stopped."""
    listed = list_all(wire, calendar, None)
    theirs = {
        item["id"]: item["id"]
        for item in listed.items
        if marks(item).instance not in ("", wire.identity.instance) and not is_deleted(item)
    }
    for _, answer in in_full(wire, calendar, theirs):
        if answer.kind is Kind.DONE and not is_deleted(answer.body):
            start, end = span(answer.body) or (None, None)
            said = marks(answer.body)
            more = {"adopted": True, "instance": said.instance}
            yield Sighting(
                said.ref, memo_of(answer.body, wire.identity, {}) | more, None, start, end
            )


class _TooMany(NamedTuple):
    """An event that is one too many: nobody's, or a second one of a visit."""

    ref: str
    event: str
    hand: Hand


class _Found:
    """Our events among those that were listed. `whole` says that the list was of all there is."""

    def __init__(self, wire: Wire, items: Iterable[Body], known: Known, *, whole: bool) -> None:
        self._wire, self._identity, self._whole = wire, wire.identity, whole
        self._ours: list[tuple[Body, Marks]] = []
        self._tombstones: set[str] = set()
        others: Counter[str] = Counter()
        for item in items:
            said = marks(item)
            if is_bare_tombstone(item):
                self._tombstones.add(item["id"])
            elif said.instance == self._identity.instance:
                self._ours.append((item, said))
            elif not is_deleted(item):
                others[said.instance] += 1
        self.strangers: Mapping[str, int] = others
        self._ours.sort(key=lambda one: one[1].generation)  # of a visit's the last one counts
        # Whose a tombstone is, only the memos of all can tell.
        everything = whole or self._tombstones
        self._memos = known() if everything else known({said.ref for _, said in self._ours})

    def sightings(self, calendar: str) -> Iterator[Sighting]:
        """Yield what is news, having read in full what may be. Raises Stopped."""
        suspects: dict[str, str] = {}
        answered: set[str] = set()
        too_many: list[_TooMany] = []
        counts = self._those_that_count()
        for item, said in self._ours:
            memo = self._memos.get(said.ref)
            if memo is None or item["id"] != counts.get(said.ref):
                hand = Hand.ORPHANED if memo is None else Hand.COPIED
                too_many += [] if is_deleted(item) else [_TooMany(said.ref, item["id"], hand)]
                continue
            answered.add(said.ref)
            if item.get("etag") != memo.get("etag") or (self._whole and memo.get("differs")):
                suspects[said.ref] = item["id"]
        suspects |= {
            ref: memo["id"]
            for ref, memo in self._memos.items()
            if self._is_out_of_sight(memo) and ref not in answered
        }
        for ref, answer in in_full(self._wire, calendar, suspects):
            yield from self._sighting(ref, answer)
        if self._whole:
            yield from self._too_many(calendar, too_many)

    def _those_that_count(self) -> dict[str, str]:
        """Return the id of the one event of each visit."""
        chosen: dict[str, str] = {}
        for item, said in self._ours:
            remembered = self._memos.get(said.ref, {}).get("id")
            by_name = item["id"] == self._identity.event_id(said.ref, said.generation)
            first = said.ref not in chosen and not is_deleted(item)
            if remembered or by_name or first:
                chosen[said.ref] = str(remembered or item["id"])
        return chosen

    def _is_out_of_sight(self, memo: Memo) -> bool:
        """Whether an event was deleted, or is not in a list of all there is: it is to be asked for."""
        event = memo.get("id")
        return bool(event) and not memo.get("gone") and (self._whole or event in self._tombstones)

    def _too_many(self, calendar: str, found: Iterable[_TooMany]) -> Iterator[Sighting]:
        for one, answer in in_full(self._wire, calendar, {one: one.event for one in found}):
            if answer.kind is Kind.DONE and not is_deleted(answer.body):
                start, end = span(answer.body) or (None, None)
                memo = memo_of(answer.body, self._identity, {})
                yield Sighting(one.ref, memo, one.hand, start, end)

    def _sighting(self, ref: str, answer: Answer) -> Iterator[Sighting]:
        before = self._memos[ref]
        if answer.kind is Kind.ABSENT:
            yield Sighting(ref, {"gen": before.get("gen", 0)}, Hand.MISSING)
        elif answer.kind is Kind.DONE and _is_of(ref, answer.body):
            event = answer.body
            memo = memo_of(event, self._identity, before)
            hand = self._hand(event, memo, before)
            start, end = span(event) or (None, None)
            if hand or memo != before:
                yield Sighting(ref, memo, hand, start, end)

    def _hand(self, event: Body, memo: Memo, before: Memo) -> Hand | None:
        if is_deleted(event):
            expected = before.get("deleted") or before.get("gone")
            return None if expected else Hand.DELETED
        # What was left as somebody had changed it is told again: it is not as we wrote it.
        known = None if before.get("differs") else before.get("print")
        return changed_by(known, str(memo["print"]), event)


def _is_of(ref: str, event: Body) -> bool:
    """Whether an event, asked for by the id of a visit's, is that visit's."""
    return marks(event).ref == ref or is_bare_tombstone(event)
