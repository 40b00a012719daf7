"""Reads the people of a record that lists them, each by the same fields (`each`).

The same person stands in many records. What was read of one is remembered by the values it was read
of, so that a patient met again costs no parsing of phone numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from clinicrelay.errors import BadRecord
from clinicrelay.model import Issue, Patient, Practitioner
from clinicrelay.paths import is_name
from clinicrelay.tables import Header, Shared
from mappings.columns import InKeys, Part, remembered
from mappings.fields import Get, InJson, Resolve, Source, compile_field
from mappings.people import Readers, patient_part, practitioner_part
from mappings.spec import Context, Field, names_in

Person = TypeVar("Person")
Known = TypeVar("Known", Patient, Practitioner)
Several: TypeAlias = Callable[[Source, list[Issue]], tuple[Person, ...]]
MakePart: TypeAlias = Callable[[Readers], Part]


def several_patients(
    fields: Mapping[str, Field], entries: Get, nulls: frozenset[str], context: Context
) -> Several[Patient]:
    """Return what reads all patients of a record, each once, in the order they are listed in."""
    listed = _Listed[Patient]("patient", patient_part, fields, nulls, context)

    def read(source: Source, issues: list[Issue]) -> tuple[Patient, ...]:
        found = listed.read(entries(source), issues)
        return tuple(found) if len(found) < 2 else _once(found)

    return read


def several_practitioners(
    fields: Mapping[str, Field], entries: Get, nulls: frozenset[str], context: Context
) -> Several[Practitioner]:
    """Return what reads all practitioners of a record: the flagged one is primary, else the first."""
    listed = _Listed[tuple[Practitioner, bool]](
        "practitioner", _flagged_part, fields, nulls, context
    )

    def read(source: Source, issues: list[Issue]) -> tuple[Practitioner, ...]:
        found = listed.read(entries(source), issues)
        if len(found) < 2:
            return (found[0][0],) if found else ()
        lead = next((one for one, flagged in found if flagged), found[0][0])
        everyone = _once([one for one, _ in found])
        return tuple(one if one.key == lead.key else _besides(one) for one in everyone)

    return read


def _flagged_part(readers: Readers) -> Part:
    """Return what reads a practitioner, and whether it is the one whose visit it is."""
    practitioner_of, flag = practitioner_part(readers), readers.get("practitioner.primary")

    def read(source: Source, issues: list[Issue]) -> tuple[Practitioner, bool] | None:
        found = practitioner_of(source, issues)
        return (found, bool(flag and flag(source, issues))) if found else None

    return read


def _once(people: list[Known]) -> tuple[Known, ...]:
    """Of two with the same key the first stays: nobody is told the same thing twice."""
    first: dict[str, Known] = {}
    for one in people:
        first.setdefault(one.key, one)
    return tuple(first.values())


@lru_cache(maxsize=4096)
def _besides(one: Practitioner) -> Practitioner:
    return msgspec.structs.replace(one, primary=False)


class _Listed(Generic[Person]):
    """Reads the entries of a list; compiled once for each set of keys that they have."""

    def __init__(
        self,
        owner: str,
        part: MakePart,
        fields: Mapping[str, Field],
        nulls: frozenset[str],
        context: Context,
    ) -> None:
        self._owner = owner
        self._part = part
        self._fields = {n: f for n, f in fields.items() if n.partition(".")[0] == owner}
        self._nulls = nulls
        self._context = context
        names = (name for field in self._fields.values() for name in names_in(field.origin))
        self._plain = all(is_name(name.path) for name in names)
        self._known: dict[tuple[str, ...], Part] = {}

    def read(self, entries: Any, issues: list[Issue]) -> list[Person]:
        """Return whoever is listed. Raises BadRecord for what is no list of objects."""
        if not entries:
            return []
        if type(entries) is not list and not isinstance(entries, (list, tuple)):
            raise self._bad_shape()
        found, noted = [], list[Issue]()
        for entry in entries:
            if type(entry) is Shared:
                known = entry.read
                if known is None or known[0] is not self:
                    known = self._read_once(entry)
                one = known[1]
                noted += known[2]
            elif type(entry) is dict or isinstance(entry, Mapping):
                one = self._read_one(entry, noted)
            else:
                raise self._bad_shape()
            if one is not None:
                found.append(one)
        if noted:  # of five patients without a mobile number one issue says it all
            issues += dict.fromkeys(noted) if len(entries) > 1 else noted
        return found

    def _read_once(self, entry: Shared) -> tuple[object, Person | None, list[Issue]]:
        noted: list[Issue] = []
        entry.read = known = self, self._read_one(entry, noted), noted
        return known

    def _read_one(self, entry: Mapping[str, Any], issues: list[Issue]) -> Person | None:
        keys = tuple(entry) if self._plain else ()
        part = self._known.get(keys)
        if part is None:
            part = self._known[keys] = self._compiled(keys)
        found: Person | None = part(tuple(entry.values()) if self._plain else entry, issues)
        return found

    def _compiled(self, keys: tuple[str, ...]) -> Part:
        if len(self._known) > 64:  # a source that invents keys must not fill the memory
            self._known.clear()
        resolve: Resolve = InKeys(Header(keys), self._nulls) if self._plain else InJson(self._nulls)
        found = (
            (name, compile_field(field, resolve, self._context))
            for name, field in self._fields.items()
        )
        part = self._part({name: reader for name, reader in found if reader})
        return remembered(part, self._fields, self._owner, resolve)

    def _bad_shape(self) -> BadRecord:
        detail = f"`each: {{{self._owner}: …}}` has to name a list of objects"
        return BadRecord("bad_shape", field=self._owner, detail=detail)
