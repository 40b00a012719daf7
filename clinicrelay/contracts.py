"""The three contracts a plugin can fulfil, and what passes through them.

Every plugin is built as `Plugin(options, kit)`: `options` is an instance of its own `Options` model,
`kit` is all it may touch of the house. Leaves keep no state of their own: what has to outlive a run
goes into a cursor, a memo or `kit.memory`, which are stored with the page or outcome they belong to.
"""

from __future__ import annotations

import time
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    Sequence,
)
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias, overload

import msgspec

from clinicrelay.model import Channel, Issue, Practitioner

if TYPE_CHECKING:
    from pydantic import BaseModel

    from clinicrelay.settings.values import Rate

Cursor: TypeAlias = dict[str, Any]
Memo: TypeAlias = dict[str, Any]


class Finding(msgspec.Struct, frozen=True):
    """Something a person should know or mend: where it is, why it is wrong, what would be right."""

    severity: str  # error | warning
    code: str
    message: str
    fix: str = ""
    path: str = ""
    file: str = ""
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class ClinicFacts:
    """What a plugin may know of the clinic it works for."""

    id: str
    name: str
    timezone: str
    country: str
    language: str
    phone: str | None = None
    email: str | None = None
    address: str | None = None


class Pace(Protocol):
    """Rate limits that survive restarts and are shared by workers; implemented by the store."""

    def take(self, key: str, n: int = 1) -> timedelta:
        """Reserve n calls under `key` and return how long to wait before making them.

        Nothing is reserved where a wait of `timedelta.max` says: not in this run.
        """
        ...

    def refused(self, key: str, after: timedelta | None = None) -> None:
        """Note that the other side found a call under `key` too fast, whatever our count says.

        `after` is how long it asked us to wait. The calls that follow are fewer for a while.
        """
        ...


class Unpaced:
    """No limit: for folders and tests."""

    def take(self, key: str, n: int = 1) -> timedelta:
        return timedelta(0)

    def refused(self, key: str, after: timedelta | None = None) -> None:
        """Nothing is counted, so nothing is slowed down."""


def _rest(seconds: float) -> bool:
    time.sleep(seconds)
    return True


@dataclass(frozen=True, slots=True)
class Kit:
    """All that a plugin may touch: nothing here knows the store.

    `memory` is a small durable text → JSON mapping of this instance. `folder` is where relative
    paths of this plugin begin (the settings file's folder for sources, `data` for the others).
    `now` is the business clock; `tell` reports progress worth showing on a terminal. `fresh_options`
    reads the settings again: a secret in a file may have been renewed since.

    `handing_over` is called by a notifier with a message's id right before the bytes that may make
    the provider accept it. It writes that down, so of a process that dies earlier it is proven that
    the message never left. It raises when this process may no longer send: let that pass through.

    `rest` waits so many seconds; False as soon as the run is to come to its end.
    """

    name: str
    clinic: ClinicFacts
    folder: Path
    now: datetime
    memory: MutableMapping[str, Any] = field(default_factory=dict)
    pace: Pace = field(default_factory=Unpaced)
    instance_key: bytes = b""
    callback_url: str | None = None
    find_columns: Callable[[], Columns] | None = None
    wait: bool = False  # a person is watching: waiting for a file to settle is worth it
    tell: Callable[[str], None] = lambda text: None
    handing_over: Callable[[str], None] = lambda attempt: None
    rest: Callable[[float], bool] = _rest
    fresh_options: Callable[[], Any] | None = None

    @property
    def columns(self) -> Columns | None:
        """What the mapping reads of a table; found out when a header has to be recognised."""
        return self.find_columns() if self.find_columns else None


# --- sources ---------------------------------------------------------------------------------


class Columns(msgspec.Struct, frozen=True):
    """What a mapping reads of a table, for a connector that has to find the header and the dates.

    All names are folded (see `clinicrelay.paths.fold`). A row is a header when each group in
    `required` meets at least one of its names; `fields` are what the mapping calls those groups.
    `dates` are the names whose cells hold dates, `private` those whose cells say who somebody is.
    `hoped` are groups that a table may lack, each with the sentence on what it means that it does.
    """

    names: frozenset[str]
    required: tuple[frozenset[str], ...]
    dates: frozenset[str] = frozenset()
    fields: tuple[tuple[str, ...], ...] = ()
    private: frozenset[str] = frozenset()
    hoped: tuple[tuple[frozenset[str], str], ...] = ()


class Record(msgspec.Struct, frozen=True):
    """One thing as the source said it.

    `data` is what the mapping reads: names to values. It may parse itself only when asked, so that an
    unchanged record costs no parsing. `digest` is 16 bytes over the raw text and everything that
    decides how it is read: equal digests mean an equal record. `key` is the source's own id where
    the connector knows it, else the mapping finds it. `gone` says the source deleted it. `raw` is
    the text as it came, for a person to look at should the record be set aside; `place` says in
    which file or list, and `line` on which line of it. `issues` are oddities that the connector met
    on the way, such as a reference that leads nowhere; they travel with the visit. `created` is when
    the visit was entered, where the source says that; a day alone counts as its end.
    """

    data: Mapping[str, Any]
    digest: bytes
    place: str = ""
    line: int | None = None
    raw: str | None = None
    key: str | None = None
    gone: bool = False
    issues: tuple[Issue, ...] = ()
    created: datetime | None = None


class Unmade(Sequence[Record]):
    """Records of which only the digests are made: one that is known is never looked at.

    `make` returns the record at a position, a whole number from 0; `digests` are in the same order.
    """

    def __init__(self, digests: Sequence[bytes], make: Callable[[int], Record]) -> None:
        self.digests = digests
        self.make = make

    def __len__(self) -> int:
        return len(self.digests)

    @overload
    def __getitem__(self, at: int) -> Record: ...
    @overload
    def __getitem__(self, at: slice) -> list[Record]: ...
    def __getitem__(self, at: int | slice) -> Record | list[Record]:
        if isinstance(at, slice):
            return [self.make(n) for n in range(len(self))[at]]
        if not 0 <= at < len(self):
            raise IndexError(at)
        return self.make(at)


class Unreadable(msgspec.Struct, frozen=True):
    """A record that could not even be read: where, why, and its raw text for a person to look at.

    `place` is `file.csv:7`. With a `key`, absence of that record is not taken for a deletion. `ref`
    is what sync calls it once it is kept (see `Connector.rejected`).
    """

    place: str
    reason: str
    raw: str
    detail: str = ""
    field: str | None = None
    column: int | None = None
    line: int | None = None
    key: str | None = None
    ref: str = ""


class Stretch(msgspec.Struct, frozen=True):
    """A part of a source that was read to its end: visits that start in [start, end), instants.

    With `by` (practitioner, location or patient) only those of the one whose key is `id`, or ends
    with `/id`. None stands for no limit.
    """

    start: datetime | None = None
    end: datetime | None = None
    by: str = ""
    id: str = ""


class Page(msgspec.Struct, frozen=True):
    """A stretch of a read that is kept in one transaction with its cursor.

    `scope` names what is being read (a file, a partition). `last` ends the read of that scope;
    `complete` is true only then, and only when nothing was left out: then absence means something.
    `same` says that everything the previous complete read of this scope found is still there, and
    carries no records. `notes` are sentences for the run report, without patient data.
    `correction` says that the read brings records mended by hand and speaks for no others: it is kept,
    but where the source stands (cursor, count, state) stays as it was. `mends` are the `ref`s of what
    was set aside and is answered by records of this page.

    `changes` says that the read asks only for what changed: that a visit is not in it means nothing.
    `covers`, on a last page, are the parts that this very run read to their ends, also when the read
    as a whole is not complete: absence means something inside them and nowhere else. None: the days
    that the records themselves cover, as of a file. `unfinished` says that the run had to stop (its
    budget is spent) and that the next one goes on from the cursor; `resumed` that this one did so, and
    alone is not the whole. The cursor of a page that is not the last must not lose anything either:
    after a kill it is where the next run goes on.

    `widened` says that no read before this one could have told what stands on the page, as a query
    was changed or somebody's calendar refused to us until now: what is new to us is no news to people,
    unless it was `created` since. `widened_from` says so of visits that start then or later; see
    `clinicrelay.reach`.

    Records are in the source's own order, where it has one: what stands where it stood last time is
    found again fastest. A connector with many of them gives them as `Unmade`.
    """

    scope: str
    records: Sequence[Record] = ()
    unreadable: Sequence[Unreadable] = ()
    cursor: Cursor = {}
    last: bool = False
    complete: bool = False
    same: bool = False
    notes: Sequence[str] = ()
    correction: bool = False
    mends: Sequence[str] = ()
    changes: bool = False
    covers: Sequence[Stretch] | None = None
    unfinished: bool = False
    resumed: bool = False
    widened: bool = False
    widened_from: datetime | None = None

    @property
    def record(self) -> Callable[[int], Record]:
        """What returns the record at a position, 0 for the first."""
        return self.records.make if isinstance(self.records, Unmade) else self.records.__getitem__

    @property
    def digests(self) -> Sequence[bytes]:
        """The digests of the records, in their order."""
        if isinstance(self.records, Unmade):
            return self.records.digests
        return [record.digest for record in self.records]


class Window(msgspec.Struct, frozen=True):
    """The stretch of time a run is interested in (instants, half open)."""

    start: datetime
    end: datetime


class Offer(msgspec.Struct, frozen=True):
    """A table, list or resource of a source that may hold appointments, for `probe` to choose from.

    `settings` are the keys to write under the source so that it is read; `samples` a few of its
    records, as a mapping would get them; `notes` sentences on what was found and why it should be
    read that way; `mapping` names one that fits as it is.
    """

    name: str
    settings: Mapping[str, Any]
    samples: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[str] = ()
    mapping: str | None = None


class Connector:
    """Reads one system. Subclass it, name your `Options`, and yield pages.

    `lists_everything` is true where a complete read names every coming visit, so that absence can
    mean a deletion; `gone_after` is how many complete reads must agree before it does. Where
    `rereads` is true, `reread` settles it at once. `strategy` is how the last pull read, and `watermark`
    and `strategy` of a cursor are shown to people.
    """

    Options: ClassVar[type[BaseModel]]
    mapping: ClassVar[str | None] = None  # the mapping used when settings name none
    rereads: bool = False
    strategy: str | None = None

    def __init__(self, options: Any, kit: Kit) -> None:
        self.options = options
        self.kit = kit

    @property
    def lists_everything(self) -> bool:
        return True

    @property
    def gone_after(self) -> int:
        return 2

    @property
    def duplicates(self) -> str:
        """Which of two records with one key that contradict is right: first, last, or reject."""
        return "reject"

    def waiting(self) -> bool:
        """Whether a pull may find anything; False spares the run all further preparation."""
        return True

    def claim(self) -> None:
        """Take what is ready so that no other run reads it; never called by `plan`."""

    def pull(self, cursor: Cursor | None, window: Window) -> Iterator[Page]:
        """Yield pages, read by read. `cursor` None means: as if for the first time, trust nothing.

        Raises TryLater or Refused; a bad record is yielded as unreadable, never raised.
        """
        raise NotImplementedError

    def reread(self, keys: Sequence[str]) -> Iterator[Page]:
        """Ask the source for visits by their keys, and yield what it says of each.

        A record with `gone` proves a deletion, any other that the visit is still there. One about
        which nothing comes stays as it was. Raises TryLater or Refused.
        """
        raise NotImplementedError

    def rejected(self, cursor: Cursor, set_aside: Iterable[Unreadable]) -> None:
        """Called before `kept` with all that is set aside of this source, by whomever, with `ref`s.

        For those who give a bad record back to where it came from. May be called again for the same
        read after a crash. What is not iterated costs nothing.
        """

    def kept(self, cursor: Cursor) -> None:
        """Called after the read that ended with this cursor is committed."""

    def advise(self) -> Iterator[Finding]:
        """Yield what is missing or unwise in the settings as they stand; connects to nothing."""
        yield from ()

    def check(self) -> Iterator[Finding]:
        """Yield what is wrong with the connection, without changing anything anywhere."""
        yield from ()

    def offers(self) -> Iterator[Offer]:
        """Yield what the source has that may be appointments, likeliest first; only looks.

        Raises TryLater or Refused.
        """
        yield from ()

    def close(self) -> None:
        """Let go of connections; called when the run is over, and harmless at any time."""

    def nothing_to_read(self) -> str | None:
        """Say why a pull that yielded nothing found nothing, and what to do about it."""
        return None


# --- destinations ----------------------------------------------------------------------------


class Outcome(StrEnum):
    """What became of a delivery. Only NOT_SENT may be tried again blindly."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"
    AGAIN = "again"  # calendars only: keep the new memo, then call again


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


class Attachment(msgspec.Struct, frozen=True):
    """A file of a message; `media_type` may carry parameters (`text/calendar; method=REQUEST`)."""

    name: str
    media_type: str
    content: str


class Message(msgspec.Struct, frozen=True):
    """One message to one recipient, rendered. `id` is the attempt's: deterministic, opaque, and the
    only thing of ours that leaves the house with it (Message-ID, callback address)."""

    id: str
    channel: Channel
    to: str
    text: str
    language: str
    kind: str = ""
    sender: str | None = None
    subject: str | None = None
    html: str | None = None
    attachments: tuple[Attachment, ...] = ()
    useless_after: datetime | None = None
    written_at: datetime | None = None


class SendResult(msgspec.Struct, frozen=True):
    """What became of a message; `detail` is free of personal data, `reason` a stable code.

    `pause` says that the notifier is to blame and no message (its server, account, password): for
    so long the others are not even tried, and none of them counts as refused. With UNKNOWN only the
    others wait: what became of this message is found out by itself.
    """

    outcome: Outcome
    reason: str = ""
    provider_id: str | None = None
    retry_after: timedelta | None = None
    detail: str = ""
    pause: timedelta | None = None


class Found(msgspec.Struct, frozen=True):
    """The provider has it."""

    provider_id: str | None = None


class Absent(msgspec.Struct, frozen=True):
    """The provider proves that it never took it."""


class CannotTell(msgspec.Struct, frozen=True):
    """No proof either way: ask again after `retry_after`; without it there will never be one."""

    retry_after: timedelta | None = None


Proof: TypeAlias = Found | Absent | CannotTell


class Notifier:
    """Sends messages on one or more channels: one attempt a call, no retries, no exceptions.

    `hands_over` is true where `kit.handing_over` is called before each message can be accepted.
    `connects` is false where `check` only looks at files of this machine.
    """

    Options: ClassVar[type[BaseModel]]
    channels: ClassVar[tuple[Channel, ...]]
    hands_over: ClassVar[bool] = False
    connects: ClassVar[bool] = True

    def __init__(self, options: Any, kit: Kit) -> None:
        self.options = options
        self.kit = kit

    @property
    def outside(self) -> bool:
        """Whether messages leave this machine; see `clinicrelay.loopback`."""
        return True

    @property
    def mailbox(self) -> str | None:
        """The address that e-mails are from, where the notifier decides; answers may go there."""
        return None

    @property
    def patience(self) -> timedelta:
        """How long one call of `send` may take at most: till then nobody takes its run for dead."""
        return timedelta(0)

    def send(self, message: Message) -> SendResult:
        raise NotImplementedError

    def lookup(self, message: Message) -> Proof:
        """Ask the provider what became of an attempt whose answer was lost."""
        return CannotTell()

    def advise(self) -> Iterator[Finding]:
        """Yield what is unwise in the settings as they stand; connects to nothing."""
        yield from ()

    def check(self) -> Iterator[Finding]:
        """Yield what is wrong with the way to the provider; sends nothing."""
        yield from ()

    def close(self) -> None:
        """Let go of connections; called when the run is over, and harmless at any time."""
