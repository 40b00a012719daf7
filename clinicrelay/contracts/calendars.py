"""Where visits are shown: what is written, what came of it, and what others did there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import msgspec

from clinicrelay.contracts.kit import Cursor, Finding, Kit, Memo, Outcome
from clinicrelay.model import Practitioner

if TYPE_CHECKING:
    from pydantic import BaseModel

    from clinicrelay.settings.values import Rate


class Hand(StrEnum):
    """How an event of ours differs from what we wrote there: what somebody else's hand did to it."""

    DELETED = "deleted"
    MOVED = "moved"  # another time; whatever else may differ as well
    EDITED = "edited"  # the same time, another text, place or visibility
    MISSING = "missing"  # not there and no trace of it, though the calendar itself is
    COPIED = "copied"  # a second live event that says it is the same visit's
    ORPHANED = "orphaned"  # ours, and no visit is to be shown there


class EventWrite(msgspec.Struct, frozen=True):
    """One event as it should be. `ref` is opaque and stable for a visit; `put` False removes it.

    Titles and texts arrive rendered at the configured level of detail. `sequence` only grows.
    `keep_time` says that the event stays where a person moved it to, whatever `start` says; only
    the rest is written. `video` says that the visit is by video and no link of the clinic's is known.
    `in_doubt` says that something else was wanted since the memo was made, and may have been done:
    the memo is then no proof of what the calendar shows.
    """

    ref: str
    put: bool
    start: datetime | None = None
    end: datetime | None = None
    timezone: str = "UTC"
    title: str = ""
    description: str = ""
    location: str = ""
    tentative: bool = False
    sequence: int = 0
    written_at: datetime | None = None
    memo: Memo = {}
    keep_time: bool = False
    video: bool = False
    in_doubt: bool = False


class EventResult(msgspec.Struct, frozen=True):
    """What became of one EventWrite; `reason` is a code such as not_shared, `fix` a sentence.

    `blocks` says that the reason lies with the calendar and no event: none of its events can be
    written, and the next run looks whether that has changed. `everywhere` says so of all calendars
    that are reached by the same account. With `retry_after` nothing is tried there before then.

    `hand` comes with AGAIN where somebody else had changed the event meanwhile: whoever calls again
    with the new memo wants it written all the same. `start` and `end` are then as the calendar shows.
    """

    ref: str
    outcome: Outcome
    memo: Memo = {}
    reason: str = ""
    detail: str = ""
    fix: str = ""
    retry_after: timedelta | None = None
    blocks: bool = False
    everywhere: bool = False
    hand: Hand | None = None
    start: datetime | None = None
    end: datetime | None = None


class Sighting(msgspec.Struct, frozen=True):
    """An event of ours as the calendar has it now, where that is news.

    `memo` is what to keep of it. Without a `hand` it is as it was written: only the memo is new.
    `start` and `end` are as the calendar shows. For COPIED and ORPHANED the memo is that of the
    event that is one too many; writing `put=False` with it removes that one.
    """

    ref: str
    memo: Memo
    hand: Hand | None = None
    start: datetime | None = None
    end: datetime | None = None


class Look(msgspec.Struct, frozen=True):
    """What a look at a calendar showed; nothing in it, and what is missing, proves anything gone.

    `cursor` is kept with what was seen, and the next look goes on from there; None: as it was.
    `trouble` says why events cannot be written there, as a result with an empty `ref`; then nothing
    else was found out. `strangers` are live events of this product that were written with another
    instance key, by an opaque name of that instance.
    """

    sightings: Sequence[Sighting] = ()
    cursor: Cursor | None = None
    trouble: EventResult | None = None
    strangers: Mapping[str, int] = {}


class Known(Protocol):
    """The memos of the events that a calendar is to show, by their refs; {} where none was written."""

    def __call__(self, refs: Collection[str] | None = None) -> Mapping[str, Memo]:
        """Return those of these refs, as far as they are known, or all of the calendar."""
        ...


class Reach(msgspec.Struct, frozen=True):
    """What can be done in one calendar, found out without changing anything.

    `role` is what the calendar lets us do, `zone` its own; `own_reminders` and `meetings` say
    whether alarms we set ring on the doctor's phone, and whether video meetings can be made. `wrong`
    is why events cannot be written, with the sentence to send to whoever can mend it.
    """

    calendar: str
    role: str = ""
    zone: str = ""
    own_reminders: bool = False
    meetings: bool = False
    wrong: Finding | None = None


class Calendar:
    """Keeps doctors' calendars. Never raises for a provider's errors: it returns outcomes.

    `connects` is false where `check` only looks at files of this machine; `looks` is true where
    others can change events, so that `seen` has something to tell. `at_once` is how many calendars
    may be worked on at the same time, each in a thread of its own.
    """

    Options: ClassVar[type[BaseModel]]
    connects: ClassVar[bool] = True
    looks: ClassVar[bool] = False
    at_once: ClassVar[int] = 1

    def __init__(self, options: Any, kit: Kit) -> None:
        self.options = options
        self.kit = kit

    @property
    def outside(self) -> bool:
        """Whether anything leaves this machine; see `clinicrelay.loopback`."""
        return True

    @classmethod
    def address_of(cls, practitioner: Practitioner) -> str | None:
        """Return the calendar a practitioner has when settings do not name one."""
        return practitioner.email

    @classmethod
    def limits(cls, options: Any) -> Mapping[str, Rate]:
        """Return how much `kit.pace` lets through, by what stands before the first / of its keys.

        What stands under the empty name is for all keys together.
        """
        return {}

    def apply(self, calendar: str, writes: Sequence[EventWrite]) -> Iterator[EventResult]:
        """Make the calendar agree, write by write; every write gets exactly one result."""
        raise NotImplementedError

    def shows(self, calendar: str, ref: str, memo: Memo) -> bool:
        """Whether the calendar itself, asked now, has the event that was accepted with this memo.

        Raises TryLater when it does not answer.
        """
        raise NotImplementedError

    def lost(self, calendar: str) -> bool:
        """Whether everything written there is gone and has to be written again."""
        return False

    def seen(self, calendar: str, cursor: Cursor | None, known: Known) -> Look:
        """Return what differs by another hand since the cursor; without one, of all there is.

        Writes nothing. Only a look without a cursor finds what is MISSING, COPIED or ORPHANED.
        """
        return Look()

    def theirs(self, calendar: str) -> Iterator[Sighting]:
        """Yield the live events of other installations of this product; `ref` is what those say.

        The memo names their `instance`; a write with it takes the event over, or removes it.
        Raises TryLater.
        """
        yield from ()

    def advise(self) -> Iterator[Finding]:
        """Yield what is missing or unwise in the settings as they stand; connects to nothing."""
        yield from ()

    def check(self) -> Iterator[Finding]:
        """Yield what is wrong with the way there, as far as no single calendar is to blame."""
        yield from ()

    def reach(self, calendars: Sequence[str]) -> Iterator[Reach]:
        """Yield what can be done in each calendar, where that is not the same for all."""
        yield from ()

    def close(self) -> None:
        """Let go of connections; called when the run is over, and harmless at any time."""
