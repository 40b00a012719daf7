"""Fetches what appointments refer to and did not bring along: patients, practitioners, places.

Fifty at once where the server can search by `_id`, one by one otherwise, and not at all where a
former run knows them; but who has a visit in the next two days is asked for each time, as a new phone
number has to be known before the reminder. A server may hide one patient from us, or all: after a few
refusals, and nobody that it showed, it is not asked a thousand times.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec
from msgspec import Raw

from clinicrelay.errors import Refused
from clinicrelay.http import Foreign, Unwelcome
from connectors.fhir.acquainted import Acquainted
from connectors.fhir.capability import Capability
from connectors.fhir.found import Found
from connectors.fhir.resources import head_of
from connectors.fhir.seen import moment_of
from connectors.fhir.server import Expired, Query, Server
from connectors.fhir.walk import Walk

_AT_ONCE = 50
_ROUNDS = 5  # from a role to its practitioner, from a merged patient to the one that stands
_NEAR = timedelta(hours=48)
_REFUSALS = 5  # of single ones, before a kind counts as hidden


class Lookups:
    """Fills `Found` for one run."""

    def __init__(
        self,
        server: Server,
        found: Found,
        capability: Capability,
        acquainted: Acquainted,
        now: datetime,
    ) -> None:
        self.server = server
        self.found = found
        self._notes: list[str] = []
        self._capability = capability
        self._acquainted = acquainted
        self._now = now
        self._forbidden: set[str] = set()
        self._shown: set[str] = set()  # kinds of which somebody could be read
        self._refused: dict[str, set[str]] = defaultdict(set)  # ids by kind
        self._singly: set[str] = set()
        self._since: float | None = None
        self._met: set[str] = set()
        self.asked = 0  # of whom was asked in this run, in lists or singly

    def fill(self, appointments: Sequence[Raw]) -> None:
        """Ask for whatever the appointments still need. Raises Refused, NotAnswered and Spent."""
        for _ in range(_ROUNDS):
            wanted = self._wanted(appointments)
            if not wanted:
                return
            self._fetch_all(key for key in wanted if not self._believed(*key, near=wanted[key]))
        for kind, key in self._wanted(appointments):
            self.found.absent(kind, key)

    def complete(self, appointment: Raw) -> bool:
        """Fetch what is only known by its digest; return whether there was anything."""
        asked = False
        for _ in range(_ROUNDS):
            unread = self.found.unread(appointment)
            if not unread:
                break
            self._fetch_all(unread)
            self.fill([appointment])
            asked = True
        return asked

    @property
    def in_lists(self) -> bool:
        """Whether many may be asked for at once."""
        return self._may_batch("Patient")

    def knows(self, appointment: Raw | None) -> bool:
        """Whether a visit can be read without asking for anybody."""
        if appointment is None:
            return True
        return not self.found.missing(appointment) and not self.found.unread(appointment)

    def goes_on(self, since: datetime) -> None:
        """Believe whom a run met that was part of this read, which began then: also who is near."""
        self._since = since.timestamp()

    def pause(self) -> None:
        """Remember whom this run has met, so that the next one of this read gets further."""
        for name in sorted(self._met):
            self._acquainted.renew(name)

    def end(self) -> None:
        """Remember whether patients can be read, however they come."""
        if self.found.patients:
            self._acquainted.note_patients()

    def trust_nobody(self) -> None:
        """Ask for everybody in this run, as if for the first time."""
        self._acquainted.trusting = False

    def _wanted(self, appointments: Sequence[Raw]) -> dict[tuple[str, str], bool]:
        """Return what is missing, and whether a visit that needs it is near."""
        wanted: dict[tuple[str, str], bool] = {}
        for raw in appointments:
            if missing := self.found.missing(raw):
                near = self._is_near(raw)
                wanted |= {key: near or wanted.get(key, False) for key in missing}
        return wanted

    def _is_near(self, appointment: Raw) -> bool:
        try:
            start = moment_of(_start(appointment).start)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            start = None
        return start is None or -_NEAR < start - self._now < _NEAR

    def _believed(self, kind: str, key: str, *, near: bool) -> bool:
        """Take what a former run has met for what it was, where that may be."""
        known = self._acquainted.recall(f"{kind}/{key}")
        if known is None or not self._acquainted.is_fresh(known):
            return False
        if near and kind == "Patient" and (self._since is None or known.asked < self._since):
            return False
        self.found.known(f"{kind}/{key}", known.digest)
        return True

    # --- asking --------------------------------------------------------------------------------

    def _fetch_all(self, wanted: Iterable[tuple[str, str]]) -> None:
        kinds: dict[str, list[str]] = {}
        for kind, key in sorted(wanted):
            kinds.setdefault(kind, []).append(key)
        for kind, keys in kinds.items():
            self._fetch(kind, keys)

    def _fetch(self, kind: str, keys: Sequence[str]) -> None:
        self.asked += len(keys)
        if kind in self._forbidden:
            self._absent(kind, keys)
            return
        left = set(keys)
        if len(keys) > 1 and self._may_batch(kind):
            for at in range(0, len(keys), _AT_ONCE):
                if self._may_batch(kind):
                    left -= self._batch(kind, keys[at : at + _AT_ONCE])
        for key in sorted(left):
            self._single(kind, key)

    def _may_batch(self, kind: str) -> bool:
        known = self._capability
        hopeless = kind in self._singly or kind in self._forbidden
        return not hopeless and (not known.declared or kind in known.by_id)

    def _batch(self, kind: str, keys: Sequence[str]) -> set[str]:
        """Return which of the keys came. What did not may be merged into another, or gone."""
        query = Query(kind, (("_id", ",".join(keys)), ("_count", str(len(keys)))))
        came: set[str] = set()
        try:
            for sheet in Walk(self.server, query):
                for entry in sheet.bundle.entries:
                    if entry.resource and entry.mode != "outcome":
                        self.found.add(entry.resource, entry.full_url)
                came.update(key for key in keys if self._has_met(kind, key, None))
            self._shown.add(kind)
        except (Unwelcome, Expired) as error:
            if isinstance(error, Unwelcome) and error.status == 401:
                raise
            self._singly.add(kind)  # it cannot search by _id after all, or hides one of these
        return came

    def _single(self, kind: str, key: str) -> None:
        if kind in self._forbidden:
            self.found.absent(kind, key)
            return
        known = self._acquainted.recall(f"{kind}/{key}") if self._may_be_unread(kind, key) else None
        try:
            answer = self.server.read(kind, key, etag=known.etag if known else None)
        except Unwelcome as error:
            if error.status == 401:
                raise
            merged = "was merged into one of another server: not followed"
            status = f"({error.status})" if error.status else ""
            refused = f"is refused to us {status}"
            self._note(f"a {kind} {merged if isinstance(error, Foreign) else refused.strip()}")
            self.found.absent(kind, key)
            return
        if answer.status == 403:
            self._is_refused(kind, key)
            return
        self._shown.add(kind)
        if answer.status == 304 and known:
            self.found.known(f"{kind}/{key}", known.digest)
            self._acquainted.note(f"{kind}/{key}", known.digest, known.etag)
            self._met.add(f"{kind}/{key}")
            return
        if answer.status == 200:
            self._take(kind, key, Raw(answer.content))
        if not self._has_met(kind, key, answer.headers.get("etag")):
            self.found.absent(kind, key)

    def _take(self, kind: str, key: str, raw: Raw) -> None:
        """Remember what came; after a merge that is another than was asked for (Epic's 4107)."""
        try:
            head = head_of(raw)
        except ValueError:
            return
        if head.type == kind and head.id:
            self.found.add(raw, f"{self.server.options.base_url}/{kind}/{head.id}")
            if head.id != key:
                self.found.stands_for(f"{kind}/{key}", f"{kind}/{head.id}")

    def _may_be_unread(self, kind: str, key: str) -> bool:
        """Whether a digest will do: not where its content is what is asked for."""
        return self.found.find(f"{kind}/{key}") is None

    def _has_met(self, kind: str, key: str, etag: str | None) -> bool:
        """Whether it came; what leads nowhere else is remembered by its digest."""
        name = f"{kind}/{key}"
        met = self.found.find(name)
        if met is None or not met.content:
            return False
        if met.leads:
            self._acquainted.forget(name)
        else:
            self._acquainted.note(name, met.digest, etag)
            self._met.add(name)
        return True

    def _absent(self, kind: str, keys: Iterable[str]) -> None:
        for key in keys:
            self.found.absent(kind, key)

    def _is_refused(self, kind: str, key: str) -> None:
        self.found.absent(kind, key)
        self._refused[kind].add(key)
        if kind in self._shown or len(self._refused[kind]) < _REFUSALS or self._shows_known(kind):
            return
        self._forbidden.add(kind)
        if self._acquainted.knows_patients and kind == "Patient" and not self.found.patients:
            raise self._hides_all()

    def _shows_known(self, kind: str) -> bool:
        """Whether somebody whom a former run met can be read: then only these are hidden."""
        key = self._acquainted.somebody(kind, besides=self._refused[kind])
        try:
            answer = self.server.read(kind, key) if key else None
        except Unwelcome as error:
            if error.status == 401:
                raise
            return False
        if answer is not None and answer.status == 200:
            self._shown.add(kind)
        return kind in self._shown

    def _hides_all(self) -> Refused:
        """Read on, and all visits would lose their names and numbers, and nobody were reminded."""
        return Refused(
            f"{self.server.client.host} no longer lets us read Patient (403): nothing was read, so "
            "that nobody's number is lost",
            fix="ask its administrators to give our account the scope system/Patient.read again",
        )

    @property
    def notes(self) -> list[str]:
        """What could not be had, a sentence each."""
        return [*self._notes, *map(self._hidden, self._refused)]

    def _hidden(self, kind: str) -> str:
        host, without = self.server.client.host, "visits come without what it would say"
        if kind in self._shown:
            return f"{host} keeps {len(self._refused[kind])} {kind} from us (403): {without}"
        return f"{host} does not let us read {kind} (403): {without}"

    def _note(self, sentence: str) -> None:
        if sentence not in self._notes:
            self._notes.append(sentence)


class _Start(msgspec.Struct):
    start: str | None = None


_start = msgspec.json.Decoder(_Start).decode
