"""One read of a source while it goes on: what it has met, what it told, and what is not written yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from clinicrelay.contracts import Cursor, Page
from clinicrelay.model import Appointment
from sync.recall import Recall
from sync.store.incoming import Waiting
from sync.store.quarantine import SetAside
from sync.store.sightings import Sheet

_HIGH = 1 << 24  # numbers from here on are noted one by one


class Said(msgspec.Struct, frozen=True):
    """Where on its page a record stands, and what it tells; the record itself can be made again."""

    at: int
    gone: bool
    visit: Appointment
    start_at: int | None  # seconds
    created: datetime | None = None  # in the source


@dataclass(slots=True)
class Sorted:
    """The records of one page, sorted into what has to be done about them."""

    page: Page
    sheet: Sheet
    new: dict[str, Said] = field(default_factory=dict)
    waiting: dict[str, Waiting] = field(default_factory=dict)
    aside: list[SetAside] = field(default_factory=list)
    people: list[Appointment] = field(default_factory=list)

    def belongs(self, at: int, visit: int, start_at: int | None) -> None:
        """Note whose visit a record is, so that it is known by its digest the next time."""
        self.sheet.visits[at], self.sheet.starts[at] = visit, start_at or 0


class Met:
    """Which known visits a read has met, by their numbers.

    A byte each, so that a million cost a megabyte. Where many clinics share a database one has few
    of its high numbers: those are a set.
    """

    def __init__(self) -> None:
        self._marks = bytearray(4096)
        self._high: set[int] = set()

    def add(self, numbers: Sequence[int]) -> list[int]:
        """Note visits, 0 for none; return which of the places in `numbers` name one met before."""
        some, marks, highest = [*filter(None, numbers)], self._marks, max(numbers, default=0)
        if highest < _HIGH:
            self._make_room(highest)
            if len(set(some)) == len(some) and not any(map(marks.__getitem__, some)):
                for number in some:
                    marks[number] = 1
                return []
        return [place for place, number in enumerate(numbers) if number and self.again(number)]

    def again(self, number: int) -> bool:
        """Note one visit; return whether it was met before."""
        before = number in self
        if number >= _HIGH:
            self._high.add(number)
        else:
            self._make_room(number)
            self._marks[number] = 1
        return before

    def _make_room(self, number: int) -> None:
        short = number + 1 - len(self._marks)
        if short > 0:
            self._marks.extend(bytes(max(short, len(self._marks))))

    def __contains__(self, number: int) -> bool:
        if number >= _HIGH:
            return number in self._high
        return number < len(self._marks) and bool(self._marks[number])


@dataclass(slots=True)
class Unwritten:
    """What pages without a new visit told, to be written together: each commit has its price."""

    pages: int = 0
    cursor: Cursor | None = None  # None where the read has ended: keep writes that
    sheets: dict[int, Sheet] = field(default_factory=dict)
    withdrawn: set[int] = field(default_factory=set)  # visits
    waiting: dict[str, Waiting] = field(default_factory=dict)
    aside: list[SetAside] = field(default_factory=list)
    people: list[Appointment] = field(default_factory=list)

    def withdraw(self, numbers: Collection[int]) -> None:
        """Let no change of these visits wait: a later record says that they are as they were."""
        self.withdrawn |= set(numbers)
        for key in [k for k, one in self.waiting.items() if one.appointment in numbers]:
            del self.waiting[key]

    def add(self, done: Sorted) -> None:
        self.pages += 1
        self.cursor = None if done.page.last else done.page.cursor
        self.waiting |= done.waiting
        self.aside += done.aside
        self.people += done.people

    def __bool__(self) -> bool:
        told = self.sheets or self.withdrawn or self.waiting or self.aside or self.people
        return bool(told) or self.cursor is not None


@dataclass(slots=True)
class Reading:
    """One read of one scope, from its first page to its last, in numbers."""

    importing: bool
    recall: Recall
    began: Cursor | None = None  # the cursor that the source was asked from
    aside: frozenset[str] = frozenset()  # keys of records that are set aside
    met: Met = field(default_factory=Met)
    spared: set[int] = field(default_factory=set)  # visits whose absence proves nothing this time
    unwritten: Unwritten = field(default_factory=Unwritten)
    pages: int = 0
    records: int = 0
    set_aside: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    nameless: bool = False  # something was set aside and nobody knows which visit it was
    first: int | None = None
    last: int | None = None
    mended: list[str] = field(default_factory=list)  # keys that were set aside before this read
    answered: list[str] = field(default_factory=list)  # entries set aside that this read mends
    coming: int = 0  # visits met that are still to take place, those that are new included
    booked: int = 0  # how many of those are new
    held: bool = False  # once it was judged: the next read begins where this one did

    def meet(self, number: int, start_at: int | None, *, now: int) -> bool:
        """Note a known visit; False when this read met it before."""
        if self.met.again(number):
            return False
        self.coming += start_at is not None and start_at > now
        return True

    def meet_all(self, numbers: Sequence[int], starts: Sequence[int], *, now: int) -> list[int]:
        """Note visits, 0 for none, with their starts; return the places of those met before."""
        before = self.met.add(numbers)
        self.coming += sum(map(now.__lt__, starts))
        self.coming -= sum(starts[place] > now for place in before)
        return before

    def cover(self, starts: Iterable[int | None]) -> None:
        """Widen the stretch of time that this read speaks for."""
        known = [*filter(None, starts), *filter(None, (self.first, self.last))]
        self.first, self.last = min(known, default=None), max(known, default=None)
