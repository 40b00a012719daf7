"""Asks for single visits by their ids: one is there, or proven to be gone, or nothing is known of it.

A deletion is believed of a server that is known to find visits by id, and says in FHIR's own words
that it has none of this id: a proxy says 404 too, as does a server that offers no reading by id.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any

from msgspec import Raw

from clinicrelay.http import Answer, Unwelcome
from connectors.fhir.outcomes import remarks, says_gone
from connectors.fhir.resources import head_of
from connectors.fhir.server import Server

_KIND = "Appointment"
_NAMED = "named"


class Single:
    """Asks one server, for one run; `memory` knows a visit that a listing has named."""

    def __init__(self, server: Server, memory: MutableMapping[str, Any]) -> None:
        self._server = server
        self._memory = memory
        self._finds = False  # whether it has found a visit by its id in this run
        self._in_vain: str | None = None  # a visit that a listing named, and that it did not find
        self._told = False

    def named(self, key: str) -> None:
        """Remember a visit that a listing names: it can be found, or none can."""
        if self._memory.get(_NAMED) != key:
            self._memory[_NAMED] = key

    def ask(self, keys: Sequence[str]) -> tuple[dict[str, Raw], list[str], list[str]]:
        """Return visits that are there, keys of those proven to be gone, and notes.

        Raises Unwelcome where our credentials are refused, NotAnswered and Spent.
        """
        there: dict[str, Raw] = {}
        gone = []
        for key in keys:
            answer = self._answer(key)
            if answer is None:
                continue  # it proves nothing about this visit
            if (raw := _visit(answer, key)) is not None:
                there[key] = raw
                self._finds = True
            elif self._says_gone(answer):
                gone.append(key)
        if gone and not self._is_believed():
            return there, [], self._doubt()
        return there, gone, []

    def _answer(self, key: str) -> Answer | None:
        try:
            return self._server.read(_KIND, key)
        except Unwelcome as error:
            if error.status == 401:
                raise
            return None

    def _says_gone(self, answer: Answer) -> bool:
        if answer.status == 410:
            return True
        epic = self._server.options.preset == "epic"
        return answer.status in (200, 404) and says_gone(answer.content, answer.status, epic=epic)

    def _is_believed(self) -> bool:
        """Whether the server finds visits by id: one that a listing named has to be among them."""
        named = self._memory.get(_NAMED)
        if not self._finds and named and named != self._in_vain:
            answer = self._answer(named)
            self._finds = answer is not None and _visit(answer, named) is not None
            self._in_vain = None if self._finds else named
        return self._finds

    def _doubt(self) -> list[str]:
        if self._told:
            return []
        self._told = True
        host = self._server.client.host
        return [
            f"{host} does not find visits by their ids, not even one that it lists: "
            "nothing is taken for deleted because of that"
        ]


def _visit(answer: Answer, key: str) -> Raw | None:
    """Return the visit that was asked for, where it is what came."""
    if answer.status != 200 or remarks(answer.content):
        return None
    try:
        head = head_of(answer.content)
    except ValueError:
        return None
    return Raw(answer.content) if (head.type, head.id) == (_KIND, key) else None
