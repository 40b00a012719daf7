"""FHIR servers of any vendor: appointments by search, by what changed, or by history.

Few of them can say what changed since (Epic and Oracle Health cannot), and some that can are wrong;
so the window is read whole at least daily, and what changed in between where a server can tell.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import msgspec
from pydantic import BaseModel

from clinicrelay.contracts import Connector, Cursor, Finding, Kit, Offer, Page, Window
from clinicrelay.http import Client, Spent, Unwelcome
from clinicrelay.reach import Reach
from connectors.fhir import checks, declared
from connectors.fhir.acquainted import Acquainted
from connectors.fhir.capability import Capability
from connectors.fhir.entries import gone, record
from connectors.fhir.found import Found
from connectors.fhir.lookups import Lookups
from connectors.fhir.options import FhirOptions
from connectors.fhir.presets import preset_of
from connectors.fhir.reading import Reading, Tools
from connectors.fhir.search import Job, Searching, parts, slices
from connectors.fhir.seen import moment_of
from connectors.fhir.server import Server
from connectors.fhir.single import Single
from connectors.fhir.standing import Standing, standing_of
from connectors.fhir.strategies import Way, choose, ids_of, includes, undeclared
from connectors.fhir.visit import Reader

_SCOPE = "Appointment"
_NEAR = timedelta(days=2)  # visits of which a new phone number has to be known at once
_AT_ONCE = 50  # of those asked for by id, a page


@dataclass(frozen=True, slots=True)
class Opened:
    """A server that has said what it can: how it is read, and what reads it."""

    known: Capability
    way: Way
    searching: Searching
    tools: Tools
    single: Single


class Fhir(Connector):
    """Reads one FHIR server."""

    Options: ClassVar[type[BaseModel]] = FhirOptions
    mapping: ClassVar[str | None] = "fhir"
    rereads = True

    # The real clock, for waits and for how far the server's is off; tests put their own in.
    sleep: Callable[[float], None] = staticmethod(time.sleep)
    clock: Callable[[], datetime] = staticmethod(lambda: datetime.now(UTC))

    options: FhirOptions

    def __init__(self, options: Any, kit: Kit) -> None:
        super().__init__(options, kit)
        self.preset = preset_of(options)
        self._client: Client | None = None
        self._opened: Opened | None = None

    @property
    def duplicates(self) -> str:
        return "last"  # of two versions met in one read, the newer is given on later

    def pull(self, cursor: Cursor | None, window: Window) -> Iterator[Page]:
        """Yield what changed, or from time to time the whole window; see `reading`.

        Raises TryLater and Refused.
        """
        begun = False
        try:
            for page in self._read(cursor, window):
                begun = True
                yield page
        except Unwelcome:
            # What it was said to do a day ago it may do no longer, since an update.
            if begun or not self._says_otherwise():
                raise
            yield from self._read(cursor, window)

    def _read(self, cursor: Cursor | None, window: Window) -> Iterator[Page]:
        try:
            opened = self._open()
        except Spent as error:
            # Nothing was read, and nothing is wrong: the next run begins where this one would have.
            yield Page(
                _SCOPE,
                cursor=cursor or {},
                last=True,
                notes=[str(error)],
                covers=[],
                unfinished=True,
            )
            return
        self.strategy = opened.way.strategy
        if not cursor:
            opened.tools.lookups.trust_nobody()
        real = self.clock()
        standing = standing_of(cursor, self._mark(opened), opened.way.strategy).without_future(real)
        unlisted = undeclared(self.options, opened.known)
        window = standing.window(window, self.kit.now)
        reading = Reading(opened.tools, _SCOPE, standing, self.kit.now, real, window, unlisted)
        if standing.reconciled is None:
            reading.notes.append(opened.way.told)
        if opened.way.changes and not self._lists(standing):
            yield from reading.pages("changes", self._changes(opened, standing, window))
        else:
            for page in reading.pages("listing", self._listing(opened, window)):
                if reading.first:
                    opened.single.named(reading.first)
                yield page

    def _says_otherwise(self) -> bool:
        """Whether the server, asked anew, declares something else than is remembered."""
        before = self._opened
        if before is None or not declared.forget(self.kit.memory, self.kit.now):
            return False
        self._opened = None
        return self._open().known != before.known

    def reread(self, keys: Sequence[str]) -> Iterator[Page]:
        """Ask for visits one by one: there, gone, or nothing where neither is proven."""
        opened = self._open()
        for at in range(0, len(keys), _AT_ONCE):
            there, proven, notes = opened.single.ask(keys[at : at + _AT_ONCE])
            opened.tools.lookups.fill([*there.values()])
            reader = opened.tools.reader
            for raw in there.values():
                opened.tools.lookups.complete(raw)
            found = [record(key, raw, reader, reader.digest(raw)) for key, raw in there.items()]
            last = at + _AT_ONCE >= len(keys)
            told = [*found, *map(gone, proven)]
            yield Page(_SCOPE, told, last=last, changes=True, notes=notes)

    def check(self) -> Iterator[Finding]:
        """Yield what stands between us and a complete read, each in its own sentence."""
        server, now = self._server(), self.kit.now
        yield from checks.check(server, self.options, self.preset, now, clock=self.clock())

    def advise(self) -> Iterator[Finding]:
        yield from checks.advise(self.options, self.preset)

    def offers(self) -> Iterator[Offer]:
        """Yield the appointments, with a few of them, and how they would be read."""
        opened = self._open()
        window = Window(self.kit.now, self.kit.now + timedelta(days=14))
        standing = Standing("", opened.way.strategy)
        reading = Reading(opened.tools, _SCOPE, standing, self.kit.now, self.clock(), window)
        pages = reading.pages("listing", self._listing(opened, window))
        samples = [dict(one.data) for one in next(pages).records[:5]]
        vendor = opened.known.vendor
        if vendor and not self.options.preset:
            # Which may want another way than the one its /metadata promises.
            said, notes = {"preset": vendor}, [f"the server says that it is of {vendor}"]
        else:
            said, notes = {"strategy": opened.way.strategy}, [opened.way.told]
        yield Offer("Appointment", said, samples, notes=notes, mapping=self.mapping)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = self._opened = None

    # --- what is asked -------------------------------------------------------------------------

    def _lists(self, standing: Standing) -> bool:
        """Whether everything is read whole now: it is due, or a read of it was cut off."""
        now = self.kit.now
        if standing.under_way("changes", now):
            return False
        due = standing.is_due(now, self.options.reconcile_every)
        return due or standing.under_way("listing", now) is not None

    def _listing(self, opened: Opened, window: Window) -> list[Job]:
        options, way = self.options, opened.way
        whom = options.partition if way.strategy == "partition" else None
        if not way.by_days:
            days = []
        elif whom and whom.by == "patient":  # one patient has few visits: a slice each is a waste
            days = slices(window, self.kit.clinic.timezone, 36500)
        else:
            days = slices(window, self.kit.clinic.timezone, options.slice.days)
        if whom is None:
            asked = parts(days)
        else:
            at_once = whom.ids_per_request or self.preset.ids_per_request
            new = {one for one in ids_of(options) if opened.tools.reach.is_new([one])}
            known = [one for one in ids_of(options) if one not in new]
            # Apart, so that it is known of whom what comes is no news.
            asked = parts(days, whom.by, known, at_once)
            asked += parts(days, whom.by, sorted(new), at_once)
        return [Job(one.name, opened.searching.listing(one), one) for one in asked]

    def _changes(self, opened: Opened, standing: Standing, window: Window) -> list[Job]:
        since = (moment_of(standing.watermark) or self.kit.now) - self.options.overlap
        searching = opened.searching
        by_history = opened.way.changes == "history"
        query = searching.history(since) if by_history else searching.changes(since)
        jobs = [Job("changes", query)]
        if opened.way.by_days:
            # A patient's new number changes no appointment, so those of the next days are looked at.
            near = Window(max(window.start, self.kit.now), min(window.end, self.kit.now + _NEAR))
            days = slices(near, self.kit.clinic.timezone, 36500) if near.start < near.end else []
            jobs += [
                Job(f"near {one.name}", searching.listing(one), one) for one in parts(days) if days
            ]
        return jobs

    # --- who is asked --------------------------------------------------------------------------

    def _open(self) -> Opened:
        """Ask what the server can, if that is not known, and decide how to read it."""
        if self._opened is None:
            server = self._server()
            known = declared.declared(server, self.options, self.kit.memory, self.kit.now)
            way = choose(self.options, self.preset, known)
            tools, single = self._tools(server, known), Single(server, self.kit.memory)
            self._opened = Opened(known, way, self._searching(known), tools, single)
        return self._opened

    def _server(self) -> Server:
        if self._client is None:
            self._client = Client(
                self.options,
                self.kit,
                headers=self.preset.headers,
                scope=("Appointment", "Patient", "Practitioner", "PractitionerRole", "Location"),
                sleep=self.sleep,
            )
        return Server(self._client, self.options, self.preset)

    def _searching(self, known: Capability) -> Searching:
        options = self.options
        given = tuple((name, value) for name, values in options.params.items() for value in values)
        return Searching(given, includes(known), options.page_size, self.preset.wide)

    def _tools(self, server: Server, known: Capability) -> Tools:
        options = self.options
        found = Found(options.base_url)
        reader = Reader(
            found,
            version=options.version or known.version,
            trust_unlabelled_link=options.trust_unlabelled_link,
            statuses={**self.preset.statuses, **options.statuses},
            status_extension=options.status_extension,
            by_display=options.by_display,
        )
        now = self.kit.now
        acquainted = Acquainted(self.kit.memory, now, options.cache_ttl)
        lookups = Lookups(server, found, known, acquainted, now)
        reach = Reach(self.kit.memory, self._question())
        return Tools(server, found, lookups, reader, reach, self._searching(known).listing)

    def _question(self) -> str:
        """Return a mark of whose visits are asked for, whichever way and of whatever days and ids."""
        options, partition = self.options, self.options.partition
        asked = [options.base_url, sorted(options.params.items()), partition and partition.by]
        return hashlib.blake2b(msgspec.json.encode(asked), digest_size=6).hexdigest()

    def _mark(self, opened: Opened) -> str:
        """Return a mark of what is asked: what another question left off is of no use to this one."""
        options, partition = self.options, self.options.partition
        asked = [options.base_url, sorted(options.params.items()), opened.way.strategy]
        asked += [partition.by, ids_of(options)] if partition else []
        return hashlib.blake2b(msgspec.json.encode(asked), digest_size=6).hexdigest()
