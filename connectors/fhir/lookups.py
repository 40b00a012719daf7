"""Fetches what appointments refer to and did not bring along: patients, practitioners, places.

Fifty at once where the server can search by `_id`, one by one otherwise. What a server does not let
us see is asked for once and not a thousand times (F-20).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Raw

from clinicrelay.http import Foreign, Unwelcome
from connectors.fhir.capability import Capability
from connectors.fhir.found import Found
from connectors.fhir.server import Expired, Forbidden, Query, Server
from connectors.fhir.walk import Walk

_AT_ONCE = 50
_ROUNDS = 5  # from a role to its practitioner, from a merged patient to the one that stands


class Lookups:
    """Fills `Found` for one run. `notes` says what could not be had, once for each kind."""

    def __init__(self, server: Server, found: Found, capability: Capability) -> None:
        self.server = server
        self.found = found
        self.notes: list[str] = []
        self._capability = capability
        self._forbidden: set[str] = set()
        self._singly: set[str] = set()

    def fill(self, appointments: Sequence[Raw]) -> None:
        """Ask for whatever the appointments still need. Raises Unwelcome, NotAnswered and Spent."""
        for _ in range(_ROUNDS):
            wanted = {one for raw in appointments for one in self.found.missing(raw)}
            if not wanted:
                return
            for kind in sorted({kind for kind, _ in wanted}):
                self._fetch(kind, sorted(key for other, key in wanted if other == kind))
        for kind, key in {one for raw in appointments for one in self.found.missing(raw)}:
            self.found.absent(kind, key)

    def _fetch(self, kind: str, keys: Sequence[str]) -> None:
        if kind in self._forbidden:
            self._absent(kind, keys)
            return
        left = set(keys)
        if len(keys) > 1 and self._may_batch(kind):
            for at in range(0, len(keys), _AT_ONCE):
                left -= self._batch(kind, keys[at : at + _AT_ONCE])
        for key in sorted(left):
            self._single(kind, key)

    def _may_batch(self, kind: str) -> bool:
        known = self._capability
        return kind not in self._singly and (not known.declared or kind in known.by_id)

    def _batch(self, kind: str, keys: Sequence[str]) -> set[str]:
        """Return which of the keys came. What did not may be merged into another, or gone."""
        query = Query(kind, (("_id", ",".join(keys)), ("_count", str(len(keys)))))
        came: set[str] = set()
        try:
            for sheet in Walk(self.server, query):
                for entry in sheet.bundle.entries:
                    if entry.resource and entry.mode != "outcome":
                        self.found.add(entry.resource, entry.full_url)
        except Forbidden:
            self._is_forbidden(kind)
            self._absent(kind, keys)
            return set(keys)
        except (Unwelcome, Expired) as error:
            if isinstance(error, Unwelcome) and error.status == 401:
                raise
            self._singly.add(kind)  # it cannot search by _id after all
            return came
        came.update(key for key in keys if self.found.find(f"{kind}/{key}"))
        return came

    def _single(self, kind: str, key: str) -> None:
        if kind in self._forbidden:
            self.found.absent(kind, key)
            return
        try:
            answer = self.server.read(kind, key)
        except Foreign:
            self._note(f"a {kind} was merged into one of another server: not followed")
            self.found.absent(kind, key)
            return
        if answer.status == 200:
            self.found.add(Raw(answer.content), f"{self.server.options.base_url}/{kind}/{key}")
        if answer.status == 403:
            self._is_forbidden(kind)
        if self.found.find(f"{kind}/{key}") is None:
            self.found.absent(kind, key)

    def _absent(self, kind: str, keys: Iterable[str]) -> None:
        for key in keys:
            self.found.absent(kind, key)

    def _is_forbidden(self, kind: str) -> None:
        self._forbidden.add(kind)
        host = self.server.client.host
        self._note(
            f"{host} does not let us read {kind} (403): visits come without what it would say"
        )

    def _note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)
