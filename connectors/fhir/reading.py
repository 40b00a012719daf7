"""One read: its searches one after the other, each page with a cursor that loses nothing.

What fails is set apart: one refused practitioner leaves the others complete, an expired result is
asked for again, and a budget that is used up ends the read where the next run goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from clinicrelay.contracts import Page, Stretch, Window
from clinicrelay.http import NotAnswered, Spent, Unwelcome
from clinicrelay.reach import Reach
from connectors.fhir.apart import Apart
from connectors.fhir.entries import batches, sort
from connectors.fhir.found import Found
from connectors.fhir.lookups import Lookups
from connectors.fhir.search import Job, Part
from connectors.fhir.seen import Seen, moment_of
from connectors.fhir.server import Expired, Query, Server, Sheet
from connectors.fhir.standing import WRONG_CLOCK, Cycle, Standing, began, later
from connectors.fhir.visit import Reader
from connectors.fhir.walk import Walk

_RESTARTS = 3
_TYPING_ERROR = timedelta(minutes=5)  # a change that is later than now was never made


@dataclass(slots=True)
class Tools:
    """What a read works with."""

    server: Server
    found: Found
    lookups: Lookups
    reader: Reader
    reach: Reach
    ask: Callable[[Part], Query]


@dataclass(slots=True)
class Reading:
    """A listing, or what changed; see `pages`."""

    tools: Tools
    scope: str
    standing: Standing
    now: datetime
    real: datetime  # by the clock of this machine
    window: Window
    undeclared: Sequence[str] = ()  # parameters that the server does not list
    notes: list[str] = field(default_factory=list)
    covers: list[Stretch] = field(default_factory=list)
    resumed: bool = False
    first: str | None = None  # the visit that this run named first
    troubles: list[str] = field(default_factory=list)
    _seen: Seen = field(default_factory=Seen)
    _heard: set[str] = field(default_factory=set)  # ids of the partition
    _told_all: bool = False  # of at least one search
    _lacked: bool = False  # of at least one
    _apart: Apart = field(default_factory=Apart)
    _read: int = 0  # pieces that were read to their ends
    _finished: int = 0  # jobs, in this run
    _at: str | None = None
    _link: str | None = None
    _ours: bool = False
    _empty: bool = False
    _nameless: int = 0
    _kept: int = 0  # visits that were given on

    @property
    def cycle(self) -> Cycle:
        """The read under way."""
        assert self.standing.cycle is not None
        return self.standing.cycle

    def pages(self, kind: str, jobs: Sequence[Job]) -> Iterator[Page]:
        """Yield page by page; the last one carries no records. `kind` is listing or changes.

        Raises Unwelcome, NotAnswered and TryLater; a budget that is used up ends it without.
        """
        known = self.standing.under_way(kind, self.now)
        self.resumed = known is not None
        if known and (since := moment_of(known.began)):
            self.tools.lookups.goes_on(since)
        self.standing = replace(
            self.standing,
            cycle=known
            or began(kind, self.now, self._believed(self.tools.server.clock), self.window),
        )
        spent: Spent | None = None
        try:
            for job in jobs:
                if job.name not in self.cycle.done:
                    yield from self._job(job)
            while self._apart.postponed and self._has_read:
                yield from self._job(self._apart.postponed.pop())
        except Spent as error:
            spent = error
        yield self._last(jobs, spent)

    # --- one search ----------------------------------------------------------------------------

    def _job(self, job: Job) -> Iterator[Page]:
        """Read one search, in pieces if it has to be; it is done when all of them came whole."""
        pieces, expired, whole = self._pieces(job), 0, True
        while pieces:
            piece = pieces[0]
            try:
                for page, walk, ended in self._walked(piece):
                    if ended and walk.next_link is None:
                        pieces.pop(0)
                        whole = self._ended(piece, walk) and whole
                        if whole and not pieces and not self._lacks_ids(job):
                            self._done(job)
                    yield self._with_cursor(page)
            except Expired:
                expired += 1
                if expired > _RESTARTS:
                    halves = self._halves(piece)
                    expired, whole, pieces[:1] = 0, whole and bool(halves), halves
            except (Unwelcome, NotAnswered) as error:
                pieces[:1] = self._set_apart(piece, error)
                whole = False

    def _pieces(self, job: Job) -> list[Job]:
        if job.part is None or not job.part.by:
            return [job]
        left = tuple(one for one in job.part.ids if one not in self._apart.refused)
        if left == job.part.ids:
            return [job]
        return [self._piece(job, replace(job.part, ids=left))] if left else []

    def _lacks_ids(self, job: Job) -> bool:
        return job.part is not None and any(one in self._apart.refused for one in job.part.ids)

    def _piece(self, job: Job, part: Part) -> Job:
        return Job(job.name, self.tools.ask(part), part)

    def _walked(self, job: Job) -> Iterator[tuple[Page, Walk, bool]]:
        """Yield pages, the walk, and whether a page is the last of what came at once."""
        resumed = (self.cycle.at == job.name and self.cycle.link) or None
        if resumed:
            self.standing = replace(
                self.standing, cycle=replace(self.cycle, at=None, link=None, pieced=True)
            )
        walk = Walk(self.tools.server, job.query, resumed)
        self._at, self._link = job.name, resumed
        for sheet in walk:
            widened = self.cycle.kind == "listing" and self.tools.reach.is_new(job.ids)
            for page, ended in self._pages(sheet, widened=widened):
                self._link = walk.next_link if ended else self._link
                self._kept += len(page.records)
                yield page, walk, ended

    def _ended(self, piece: Job, walk: Walk) -> bool:
        """Note what a search that came to its end covers. Return whether it came whole."""
        self._at = self._link = None
        self._read += 1
        self._apart.answered()
        self.notes += [note for note in walk.notes if note not in self.notes]
        self.troubles += [one for one in walk.troubles if one not in self.troubles]
        self._lacked = self._lacked or walk.lacks
        if not walk.lacks:
            self._heard.update(piece.ids)
            self._told_all = True
        if walk.troubles:
            return False
        if piece.part and not walk.resume:  # what an earlier run read of it is not this run's word
            self.covers += piece.part.covers()
        return True

    def _done(self, job: Job) -> None:
        self._finished += 1
        done = (*self.cycle.done, job.name)
        self.standing = replace(
            self.standing, cycle=replace(self.cycle, done=done, at=None, link=None)
        )

    def _halves(self, piece: Job) -> list[Job]:
        """Return a search whose results expire too soon in two halves."""
        halves = piece.part.halves() if piece.part else []
        host = self.tools.server.client.host
        called = piece.part.called if piece.part else "what changed"
        if not halves:
            self.troubles.append(f"{host} forgets the pages of {called} before they can be read")
        else:
            self.notes.append(f"{host} forgets the pages of {called} too soon: asked for in halves")
        return [self._piece(piece, half) for half in halves]

    def _set_apart(self, piece: Job, error: Unwelcome | NotAnswered) -> list[Job]:
        """Return the searches to try instead of one that failed; see `Apart`."""
        parts = self._apart.narrowed(piece, error, has_read=self._has_read)
        return [self._piece(piece, part) for part in parts]

    @property
    def _has_read(self) -> bool:
        return bool(self._read or self.cycle.done)

    # --- pages ---------------------------------------------------------------------------------

    def _pages(self, sheet: Sheet, *, widened: bool) -> Iterator[tuple[Page, bool]]:
        tools = self.tools
        self._learn_names(sheet)
        done = sort(sheet, self._seen, tools.found)
        self._nameless += len(done.unreadable)
        self.first = self.first or next((one.key for one in done.visits.values() if one.raw), None)
        self._note_clock(sheet, [one.changed for one in done.visits.values()])
        changes = self.cycle.kind == "changes"
        until = tools.reach.until
        for some, ended in batches(done, tools.reader, tools.lookups, careful=self.resumed):
            aside = done.unreadable if ended else ()
            page = Page(
                self.scope, some, aside, changes=changes, widened=widened, widened_from=until
            )
            yield page, ended

    def _learn_names(self, sheet: Sheet) -> None:
        """Learn by its self link what a server behind a proxy calls itself."""
        if self._ours:
            return
        self._ours = True
        for link in sheet.bundle.links:
            base, found, _ = link.url.partition("/Appointment")
            if link.relation == "self" and found and "://" in base:
                self.tools.found.calls_itself(base)

    def _note_clock(self, sheet: Sheet, changes: Sequence[datetime | None]) -> None:
        """Move what the watermark will be, by the server's clock and the changes met."""
        date = self._believed(sheet.date) or self._believed(moment_of(sheet.bundle.updated))
        until = (date or self.real) + _TYPING_ERROR
        for changed in changes:
            self._seen.note(changed, until=until)
        cycle = self.cycle
        clock = cycle.clock or later(None, date)
        newest = later(cycle.newest, self._seen.newest)
        if (clock, newest) != (cycle.clock, cycle.newest):
            self.standing = replace(self.standing, cycle=replace(cycle, clock=clock, newest=newest))

    def _believed(self, clock: datetime | None) -> datetime | None:
        return clock if clock and clock - self.real <= WRONG_CLOCK else None

    def _with_cursor(self, page: Page) -> Page:
        from msgspec.structs import replace as changed

        return changed(page, cursor=self.standing.cursor_on_the_way())

    def _last(self, jobs: Sequence[Job], spent: Spent | None) -> Page:
        """Return the page that ends the read; raises what refused all of it."""
        if self._apart.error and not self._has_read:
            raise self._apart.error
        self.troubles += [self._apart.told] if self._apart.told else []
        self.tools.lookups.end()
        self._tell_nameless()
        self._doubt_emptiness()
        whole = (
            spent is None and not self._empty and all(job.name in self.cycle.done for job in jobs)
        )
        changes = self.cycle.kind == "changes"
        if spent is not None:
            self._pause(spent)
        else:
            if not changes:
                self._note_heard(jobs)
            self.standing = self.standing.ended(self.now, whole=whole)
        said = [*self.notes, *self.troubles, *self.tools.lookups.notes]
        return Page(
            self.scope,
            cursor=self.standing.cursor(),
            last=True,
            complete=whole and not self._nameless,
            notes=list(dict.fromkeys(said)),
            changes=changes,
            covers=None if changes else self.covers,
            unfinished=spent is not None,
            resumed=self.resumed,
        )

    def _note_heard(self, jobs: Sequence[Job]) -> None:
        read = [job for job in jobs if job.name in self.cycle.done]
        ids = [one for job in jobs for one in job.ids]
        # What a first listing left out, as behind links that were not followed, is still unknown.
        left_out = self._lacked and not ids and self.tools.reach.is_new()
        if left_out or not (read or self._told_all):
            return
        self.tools.reach.ended(
            until=max(filter(None, (job.end for job in jobs)), default=None),
            read_until=max(filter(None, (job.end for job in read)), default=None),
            parts=ids,
            read=self._heard.union(one for job in read for one in job.ids),
        )

    def _tell_nameless(self) -> None:
        if self._nameless:
            # Read they were, so the watermark moves; but which visits they are nobody knows.
            many = "an entry" if self._nameless == 1 else f"{self._nameless} entries"
            self.troubles.append(f"{many} without an id, or of no known kind, could be any visit")

    def _doubt_emptiness(self) -> None:
        """Some servers match nothing with a parameter they do not know, and say 200 (OpenEMR)."""
        listing = self.cycle.kind == "listing"
        if listing and self.undeclared and not len(self._seen) and not self.cycle.newest:
            self._empty, self.covers = True, []
            host, names = self.tools.server.client.host, ", ".join(self.undeclared)
            self.troubles.append(
                f"{host} finds nothing and does not list the search parameter {names}: "
                "nothing is taken for deleted; check params and partition"
            )

    def _pause(self, spent: Spent) -> None:
        """Note where the next run goes on; inside a search only where no search could be finished."""
        self.troubles.append(str(spent))
        self.tools.lookups.pause()
        if self.resumed and not self._finished and not self._kept:
            self.troubles.append(
                f"and they are too few to read a single visit from {self.tools.server.client.host}: "
                "allow more of them (budget)"
            )
        if not self._finished and self._link:
            self.standing = replace(
                self.standing, cycle=replace(self.cycle, at=self._at, link=self._link)
            )
