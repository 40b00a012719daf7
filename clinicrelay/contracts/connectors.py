"""Sources: what a clinic's system says of its visits, page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, overload

import msgspec

from clinicrelay.contracts.kit import Cursor, Finding, Kit, Leftover
from clinicrelay.model import Issue

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel


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
    carries no records; it may be said only of a read that was kept (see `Connector.doubted`).
    `notes` are sentences for the run report, without patient data.
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
    and `strategy` of a cursor are shown to people. `brought` says that what it reads is
    brought to us, as files are: that nothing came is then no failure.
    """

    Options: ClassVar[type[BaseModel]]
    mapping: ClassVar[str | None] = None  # the mapping used when settings name none
    rereads: bool = False
    brought: ClassVar[bool] = False
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

    def take_back(self, since: datetime, cursor: Cursor | None) -> int | None:
        """Bring back what was read and put away since a moment, to be read again before all else.

        Asked once after a store was put back from a copy, which does not know of it. Returns how much
        that is; None where nothing is put away, or what was may be lost.
        """
        return None

    def put_away(self, since: datetime) -> Iterator[Page] | None:
        """Yield once more what was read since a moment and put away, in that order.

        None where a source is simply asked again. Raises Refused.
        """
        return None

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

    def doubted(self, cursor: Cursor | None) -> Cursor | None:
        """Return where the next read begins after one that began at `cursor` and was held.

        What a person lets through of it is not what stood at `cursor`. So no read from there may be
        `same`, also not a later one of this pull. Called before the held read is committed.
        """
        return cursor

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

    def left(self) -> Iterator[Leftover]:
        """Yield the files that lie on this machine with patients' data when their work is done.

        They are deleted once they are old enough, so the clinic must not need them any more.
        """
        yield from ()

    def holds(self, path: Path, mentions: Callable[[str], bool]) -> bool:
        """Whether such a file has something in it that `mentions` somebody. Raises OSError."""
        return False

    def cut(self, path: Path, mentions: Callable[[str], bool]) -> None:
        """Take all that out of a file, or delete it where that cannot be done. Raises OSError."""

    def close(self) -> None:
        """Let go of connections; called when the run is over, and harmless at any time."""

    def nothing_to_read(self) -> str | None:
        """Say why a pull that yielded nothing found nothing, and what to do about it."""
        return None
