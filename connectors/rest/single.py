"""Visits asked for one by one, to settle what became of those that a list no longer names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clinicrelay.contracts import Kit, Page, Record
from clinicrelay.http import NotAnswered, NoToken, Unwelcome
from connectors.rest.asking import asking_for
from connectors.rest.bodies import found_at
from connectors.rest.door import Door, Incomplete, Said
from connectors.rest.failures import Failures
from connectors.rest.lookups import Lookups
from connectors.rest.options import RestOptions
from connectors.rest.placeholders import Unfit, Values
from connectors.rest.questions import zone_in
from connectors.rest.reading import LISTED
from connectors.rest.records import Shaper
from connectors.rest.requests import ReadById, Request

_AT_ONCE = 50
_GONE = (404, 410)
# About such a one nothing is proven: it stays as it was.
_CLOSED = (400, 401, 403, 422)
_UNPROVEN = (
    "visits that were not named stay as they are: their ids are not found, nor is that of one that "
    "was named (check read_by_id)"
)


def reread(options: RestOptions, kit: Kit, door: Door, keys: Sequence[str]) -> Iterator[Page]:
    """Yield what the interface says of each key; nothing of one that it will not tell about."""
    if options.read_by_id is None:
        return
    values = Values(zone_in(options, kit), kit.clinic.timezone)
    lookups = Lookups(options.lookups, door, kit, values)
    ask = _Asked(options, options.read_by_id, door, lookups, values)
    scope = options.lists[0].request.path
    for start in range(0, len(keys), _AT_ONCE):
        records = [r for key in keys[start : start + _AT_ONCE] if (r := ask(key)) is not None]
        if ask.absent and not ask.works(kit.memory.get(LISTED) or ()):
            yield Page(scope, [r for r in records if r not in ask.absent], notes=[_UNPROVEN])
            return
        lookups.remember()
        yield Page(scope, records, changes=True)


class _Asked:
    def __init__(
        self, options: RestOptions, by: ReadById, door: Door, lookups: Lookups, values: Values
    ) -> None:
        self._by, self._door, self._lookups, self._values = by, door, lookups, values
        self._shaper = Shaper(options, lookups)
        self._one = options.by_itself
        self._record = found_at(by.record)
        self.absent: list[Record] = []  # of which a 404 says that they are gone
        self._failures = Failures()
        self._found = False  # one visit at least, by its id

    def __call__(self, key: str) -> Record | None:
        said = self._said(key)
        if said is None:
            return None
        if said.answer.status in _GONE:
            gone = Record(data={}, digest=bytes(16), place=self._by.path, key=key, gone=True)
            self.absent.append(gone)
            return gone
        return self._read(said.body, key)

    def works(self, listed: Sequence[str]) -> bool:
        """Whether any visit is found by its id: where none is, not to be found proves nothing.

        A path that is wrong, or an account that may only list, says 404 of everything.
        """
        for key in listed:
            if self._found:
                break
            said = self._said(key)
            self._found = said is not None and self._is(self._one_of(said.body), key)
        return self._found

    def _said(self, key: str) -> Said | None:
        """Return what is answered; None where that tells nothing of this visit."""
        request = Request(path=self._by.path, params=self._by.params)
        try:
            said = self._door.ask(asking_for(request, self._values.but(id=key)), passing=_GONE)
        except (Incomplete, Unfit):
            return None
        except (Unwelcome, NotAnswered) as error:
            if getattr(error, "status", 0) not in _CLOSED or isinstance(error, NoToken):
                self._failures.bear(error)
            return None
        self._failures.over()
        return None if said.nothing else said

    def _one_of(self, body: object) -> object:
        found = self._record(body)
        if isinstance(found, list):
            return found[0] if len(found) == 1 else None
        return found

    def _is(self, found: object, key: str) -> bool:
        return isinstance(found, dict) and self._shaper.name(found) == key

    def _read(self, body: object, key: str) -> Record | None:
        found = self._one_of(body)
        if not self._is(found, key):
            return None  # another one, or none: this proves nothing
        self._found = True
        try:
            # Whom it refers to may be known no longer, or never have been: nobody listed it.
            self._lookups.prepare(self._shaper.need([found], self._one))
        except Incomplete:
            return None
        records, _ = self._shaper.shape([found], self._one, self._values, self._by.path)
        return records[0] if records else None  # none where whom it refers to cannot be read
