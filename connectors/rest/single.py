"""Visits asked for one by one, to settle what became of those that a list no longer names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clinicrelay.contracts import Kit, Page, Record
from clinicrelay.http import Unwelcome
from clinicrelay.paths import compile_path
from connectors.rest.asking import asking_for
from connectors.rest.door import Door, Incomplete
from connectors.rest.lookups import Lookups
from connectors.rest.options import RestOptions
from connectors.rest.placeholders import Values
from connectors.rest.reading import zone_in
from connectors.rest.records import Shaper
from connectors.rest.requests import ReadById, Request

_AT_ONCE = 50
_GONE = (404, 410)
# About such a one nothing is proven: it stays as it was.
_CLOSED = (400, 401, 403, 422)


def reread(options: RestOptions, kit: Kit, door: Door, keys: Sequence[str]) -> Iterator[Page]:
    """Yield what the interface says of each key; nothing of one that it will not tell about."""
    if options.read_by_id is None:
        return
    values = Values(zone_in(options, kit), kit.clinic.timezone)
    lookups = Lookups(options.lookups, door, kit, values)
    ask = _Asked(options, options.read_by_id, door, lookups, values)
    for start in range(0, len(keys), _AT_ONCE):
        records = [r for key in keys[start : start + _AT_ONCE] if (r := ask(key)) is not None]
        lookups.remember()
        yield Page(options.lists[0].request.path, records, changes=True)


class _Asked:
    def __init__(
        self, options: RestOptions, by: ReadById, door: Door, lookups: Lookups, values: Values
    ) -> None:
        self._by, self._door, self._lookups, self._values = by, door, lookups, values
        self._shaper = Shaper(options, lookups)
        self._one = options.lists[0]
        self._record = compile_path(by.record)

    def __call__(self, key: str) -> Record | None:
        request = Request(path=self._by.path, params=self._by.params)
        asking = asking_for(request, self._values.but(id=key))
        try:
            said = self._door.ask(asking, passing=_GONE)
        except Incomplete:
            return None
        except Unwelcome as error:
            if error.status in _CLOSED:
                return None
            raise
        if said.answer.status in _GONE:
            return Record(data={}, digest=bytes(16), place=self._by.path, key=key, gone=True)
        return None if said.nothing else self._read(said.body, key)

    def _read(self, body: object, key: str) -> Record | None:
        found = self._record(body)
        if isinstance(found, list):
            found = found[0] if len(found) == 1 else None
        if not isinstance(found, dict) or self._shaper.name(found) not in (key, None):
            return None  # another one, or none: this proves nothing
        try:
            # Whom it refers to may be known no longer, or never have been: nobody listed it.
            self._lookups.prepare(self._shaper.need([found], self._one))
        except Incomplete:
            return None
        records, _ = self._shaper.shape([found], self._one, self._values, self._by.path)
        return records[0]
