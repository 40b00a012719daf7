"""A doctor's calendar in memory: they move, delete and copy events, and it remembers who was last.

All instances of the plugin write into one `World`, as all processes do into one provider.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar

import msgspec

from clinicrelay.contracts import (
    Calendar,
    Cursor,
    EventResult,
    EventWrite,
    Hand,
    Known,
    Look,
    Memo,
    Outcome,
    Sighting,
)
from clinicrelay.model import Practitioner
from clinicrelay.testing.fakes import NoOptions


@dataclass(frozen=True, slots=True)
class Shown:
    """An event as a calendar has it; `etag` moves with every change, whoever made it.

    `sent` is what we wrote last, so that a write whose answer was lost is known for ours.
    """

    ref: str
    etag: int
    start: datetime
    end: datetime
    title: str
    live: bool = True
    instance: str = "ours"
    sent: tuple[datetime, datetime, str] | None = None


@dataclass(slots=True)
class World:
    """What stands in every calendar, and what a test wants to go wrong there.

    `troubles` answer every look and write of a calendar, `refuses` every event that starts then;
    `meanwhile` is called before each write, as a doctor might be at it, and `lost` after each, to say
    whether its answer is. `calls` are the looks and the events written, in their order.
    """

    calendars: dict[str, dict[str, Shown]] = field(default_factory=dict)
    troubles: dict[str, EventResult | Exception] = field(default_factory=dict)
    refuses: set[datetime] = field(default_factory=set)
    faults: list[EventResult] = field(default_factory=list)
    meanwhile: Callable[[str, EventWrite], None] = lambda calendar, write: None
    lost: Callable[[], bool] = lambda: False
    calls: list[tuple[str, str, str]] = field(default_factory=list)
    etag: int = 0

    def live(self, calendar: str) -> list[Shown]:
        """Return what a doctor sees, the earliest first."""
        found = self.calendars.get(calendar, {}).values()
        return sorted((one for one in found if one.live), key=lambda one: (one.start, one.ref))

    # --- the doctor's side -----------------------------------------------------------------------

    def move(self, calendar: str, by: timedelta = timedelta(minutes=30)) -> None:
        """Move the first event."""
        one = self.live(calendar)[0]
        self._put(calendar, one.ref, start=one.start + by, end=one.end + by)

    def delete(self, calendar: str) -> None:
        self._put(calendar, self.live(calendar)[0].ref, live=False)

    def retitle(self, calendar: str, title: str) -> None:
        self._put(calendar, self.live(calendar)[0].ref, title=title)

    def purge(self, calendar: str) -> None:
        """Let the first event vanish without a trace."""
        del self.calendars[calendar][self.live(calendar)[0].ref]

    def copy(self, calendar: str) -> None:
        one = self.live(calendar)[0]
        self.calendars[calendar][f"{one.ref}-copy"] = replace(one, etag=self._next())

    def _put(self, calendar: str, ref: str, **changes: Any) -> None:
        there = self.calendars[calendar]
        there[ref] = replace(there[ref], etag=self._next(), **changes)

    def _next(self) -> int:
        self.etag += 1
        return self.etag

    # --- the provider's side ---------------------------------------------------------------------

    def write(self, calendar: str, write: EventWrite) -> Memo:
        there = self.calendars.setdefault(calendar, {})
        known = there.get(write.ref)
        assert write.start is None or write.end is not None
        if not write.put:
            if known is not None:
                there[write.ref] = replace(known, etag=self._next(), live=False)
        elif known is not None and write.keep_time:
            sent = (known.start, known.end, write.title)
            there[write.ref] = replace(
                known, etag=self._next(), title=write.title, live=True, sent=sent
            )
        elif write.start and write.end:
            sent = (write.start, write.end, write.title)
            there[write.ref] = Shown(write.ref, self._next(), *sent, sent=sent)
        return memo_of(there.get(write.ref))


class Diary(Calendar):
    """A calendar plugin on a `World`."""

    Options = NoOptions
    outside = False
    connects = False
    looks = True
    at_once = 3
    world: ClassVar[World] = World()

    @classmethod
    def address_of(cls, practitioner: Practitioner) -> str | None:
        return practitioner.key

    def seen(self, calendar: str, cursor: Cursor | None, known: Known) -> Look:
        world = self.world
        world.calls.append(("look", calendar, ""))
        if (trouble := self._trouble(calendar)) is not None:
            return Look(trouble=trouble)
        since = (cursor or {}).get("at", 0)
        there = world.calendars.get(calendar, {})
        news = {name: one for name, one in there.items() if one.etag > since}
        memos = known() if cursor is None else known([one.ref for one in news.values()])
        found = [*_compared(news, memos)]
        if cursor is None:
            lost = (ref for ref, memo in memos.items() if memo and ref not in there)
            found += [Sighting(ref, {}, Hand.MISSING) for ref in lost]
        return Look(found, {"at": world.etag}, strangers=_strangers(there.values()))

    def apply(self, calendar: str, writes: Sequence[EventWrite]) -> Iterator[EventResult]:
        for write in writes:
            self.world.meanwhile(calendar, write)
            self.world.calls.append(("put" if write.put else "remove", calendar, write.ref))
            yield self._one(calendar, write)

    def _one(self, calendar: str, write: EventWrite) -> EventResult:
        trouble = self._trouble(calendar)
        if trouble is None and self.world.faults:
            trouble = self.world.faults.pop(0)
        if trouble is not None:
            return _as(trouble, write)
        if write.start in self.world.refuses:
            return EventResult(write.ref, Outcome.REJECTED, write.memo, "bad_event", fix="Mend it.")
        if _is_known(write):
            return EventResult(write.ref, Outcome.ACCEPTED, write.memo)
        known = self.world.calendars.get(calendar, {}).get(write.ref)
        if known is not None and known.etag != write.memo.get("etag"):
            hand = hand_of(known, write.memo) if write.memo else None
            memo = memo_of(known, write.memo)
            return EventResult(
                write.ref, Outcome.AGAIN, memo, hand=hand, start=known.start, end=known.end
            )
        memo = self.world.write(calendar, write)
        if self.world.lost():
            return EventResult(write.ref, Outcome.UNKNOWN, write.memo, "no_answer")
        return EventResult(write.ref, Outcome.ACCEPTED, memo)

    def _trouble(self, calendar: str) -> EventResult | None:
        trouble = self.world.troubles.get(calendar)
        if isinstance(trouble, Exception):
            raise trouble
        return trouble


def memo_of(one: Shown | None, before: Memo | None = None) -> Memo:
    """Return what to keep of an event: how it is, under the title that we wrote."""
    if one is None:
        return {}
    times = {"start": one.start.isoformat(), "end": one.end.isoformat()}
    title = (before or {}).get("title", one.title)
    return {"etag": one.etag, "live": one.live, "title": title, **times}


def _is_known(write: EventWrite) -> bool:
    """Whether an event is known to be shown like that already, so that nothing is written."""
    if not write.put or write.in_doubt or write.keep_time or not write.memo.get("live"):
        return False
    wanted = {"start": write.start, "end": write.end}
    times = {name: at.isoformat() for name, at in wanted.items() if at is not None}
    return {**write.memo, **times, "title": write.title} == write.memo


def hand_of(one: Shown, memo: Memo) -> Hand | None:
    """Return what somebody did to an event since we kept its memo."""
    if not one.live:
        return Hand.DELETED
    if (one.start, one.end, one.title) == one.sent:
        return None
    if (one.start.isoformat(), one.end.isoformat()) != (memo["start"], memo["end"]):
        return Hand.MOVED
    return Hand.EDITED if one.title != memo["title"] else None


def _compared(news: Mapping[str, Shown], memos: Mapping[str, Memo]) -> Iterator[Sighting]:
    for name, one in news.items():
        memo = memos.get(one.ref)
        if name != one.ref:
            yield Sighting(one.ref, {"copy": name}, Hand.COPIED, one.start, one.end)
        elif memo is None:
            if one.live and one.instance == "ours":
                yield Sighting(one.ref, memo_of(one), Hand.ORPHANED, one.start, one.end)
        elif memo and memo["etag"] != one.etag:
            hand = hand_of(one, memo)
            yield Sighting(one.ref, memo_of(one, memo), hand, one.start, one.end)


def _strangers(there: Collection[Shown]) -> dict[str, int]:
    names = [one.instance for one in there if one.live and one.instance != "ours"]
    return {name: names.count(name) for name in names}


def _as(result: EventResult, write: EventWrite) -> EventResult:
    return msgspec.structs.replace(result, ref=write.ref, memo=write.memo)
