"""Runs the tests that a mapping carries in its own file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from clinicrelay.contracts import Record
from clinicrelay.errors import BadRecord, Refused
from clinicrelay.model import Appointment, encode
from mappings.compile import Mapper
from mappings.mapping import Mapping as Spec
from mappings.spec import Case, Context

# The clinic that the tests of our own mappings take place in.
BERLIN = Context(source="test", timezone="Europe/Berlin", country="DE", language="de")

_DEFAULTS: dict[str, Any] = {
    "start": None,
    "end": None,
    "end_inferred": False,
    "kind": "visit",
    "modality": "in_person",
    "patients": [],
    "practitioners": [],
    "location": None,
    "issues": [],
}


class Failure(NamedTuple):
    """A test that did not come out: which one (from 1), at what field, and both values."""

    mapping: str
    number: int
    field: str
    expected: Any
    found: Any

    def __str__(self) -> str:
        place = f"{self.mapping} test {self.number}: {self.field}"
        return f"{place}: expected {self.expected!r}, found {self.found!r}"


def run_tests(mapping: Spec, context: Context = BERLIN) -> list[Failure]:
    """Return what a mapping's own tests say is wrong with it, field by field.

    A test names only what it cares for: fields that `out` leaves out are not compared.
    """
    mapper = mapping.compile(context)
    return [
        Failure(mapping.name, number, *difference)
        for number, case in enumerate(mapping.tests, start=1)
        for difference in _differences(case, mapper)
    ]


def place_of_tests(mapping: Spec, own: Context) -> Context:
    """Return the clinic that a mapping's tests take place in: ours in Berlin, its own at home."""
    return BERLIN if mapping.shipped else own


def _differences(case: Case, mapper: Mapper) -> Iterator[tuple[str, Any, Any]]:
    record = Record(data=case.record, digest=b"", place="test")
    try:
        visit = mapper(record)
    except BadRecord as wrong:
        told = {"field": wrong.field, "reason": wrong.reason}
        if case.set_aside is None:
            yield "set_aside", None, told
        else:
            yield from _unlike(case.set_aside, told, "set_aside")
    except Refused as wrong:
        yield "header", "columns that can be told apart", str(wrong)
    else:
        yield from _visit_differences(case, visit)


def _visit_differences(case: Case, visit: Appointment | None) -> Iterator[tuple[str, Any, Any]]:
    if case.set_aside is not None:
        yield "set_aside", dict(case.set_aside), "not set aside"
    elif case.skipped or visit is None:
        if case.skipped != (visit is None):
            yield "skipped", case.skipped, visit is None
    else:
        yield from _unlike(case.out, as_json(visit), "")


def as_json(visit: Appointment) -> dict[str, Any]:
    """Return a visit the way tests and `map` show it: plain values, the usual ones spelled out."""
    told: dict[str, Any] = msgspec.json.decode(encode(visit))
    return _DEFAULTS | told


def _unlike(expected: Any, found: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Compare only what is expected, at any depth; lists have to be as long."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        for key, value in expected.items():
            yield from _unlike(value, found.get(key), f"{path}.{key}" if path else str(key))
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, (one, other) in enumerate(zip(expected, found, strict=True)):
            yield from _unlike(one, other, f"{path}[{index}]")
    elif expected != found:
        yield path, expected, found
