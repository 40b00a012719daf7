"""`python -m bench.fhir [--visits N]`: what reading FHIR costs beside merely decoding the same bytes.

The yardstick decodes each Bundle into typed structs of the very fields that are used, and understands
nothing. The pages hold 200 appointments each and the patients and practitioners they refer to.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

import mappings
from commands import GARBAGE
from connectors.fhir.found import Found
from connectors.fhir.resources import Appointment, Entry, Location, Person, head_of, read_bundle
from connectors.fhir.visit import Reader

BASE = "https://ehr.example/fhir"
PAGE = 200
_FIRST = datetime(2026, 12, 1, 8, tzinfo=UTC)
_FAMILIES = ("Sample", "Specimen", "Muster", "Beispiel", "Exempel", "Díaz", "Kowalska", "Ozols")


def pages(visits: int) -> list[bytes]:
    """Return Bundles as a server sends them; the same for the same number."""
    return [_page(range(at, min(at + PAGE, visits)), visits) for at in range(0, visits, PAGE)]


def _page(numbers: range, visits: int) -> bytes:
    people = visits // 5 or 1
    patients = {number * 7919 % people for number in numbers}
    included = [*map(_patient, sorted(patients)), *map(_doctor, range(40)), _place()]
    entries = [_entry(_visit(n, n * 7919 % people), "match") for n in numbers]
    entries += [_entry(one, "include") for one in included]
    bundle = {"resourceType": "Bundle", "type": "searchset", "link": [], "entry": entries}
    return msgspec.json.encode(bundle)


def _entry(resource: dict[str, Any], mode: str) -> dict[str, Any]:
    address = f"{BASE}/{resource['resourceType']}/{resource['id']}"
    return {"fullUrl": address, "resource": resource, "search": {"mode": mode}}


def _visit(number: int, patient: int) -> dict[str, Any]:
    start = _FIRST + timedelta(minutes=15 * (number // 2))
    code = {"system": "http://snomed.info/sct", "code": "394579002", "display": "Cardiology"}
    lead = {"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "PPRF"}
    actors = (f"Patient/{patient}", f"Practitioner/{number % 40}", "Location/1")
    parts: list[dict[str, Any]] = [
        {"actor": {"reference": one}, "required": "required", "status": "accepted"}
        for one in actors
    ]
    parts[1]["type"] = [{"coding": [lead]}]
    return {
        **_resource("Appointment", number),
        "identifier": [{"system": "urn:example:visit", "value": f"V-{number:06d}"}],
        "status": "booked",
        "serviceType": [{"coding": [code], "text": "Cardiology"}],
        "start": start.isoformat(),
        "end": (start + timedelta(minutes=30)).isoformat(),
        "minutesDuration": 30,
        "created": "2026-11-01T08:00:00Z",
        "participant": parts,
    }


def _resource(kind: str, number: int) -> dict[str, Any]:
    meta = {"versionId": "1", "lastUpdated": "2026-11-01T08:00:00Z"}
    return {"resourceType": kind, "id": str(number), "meta": meta}


def _person(kind: str, number: int) -> dict[str, Any]:
    family = _FAMILIES[number % len(_FAMILIES)]
    name = {"use": "official", "family": f"{family}-{number}", "given": ["Ada"]}
    phone = {"system": "phone", "use": "mobile", "value": f"+1202555{number % 10_000:04d}"}
    mail = {"system": "email", "value": f"{kind.lower()}{number}@mail.example"}
    return _resource(kind, number) | {"active": True, "name": [name], "telecom": [phone, mail]}


def _patient(number: int) -> dict[str, Any]:
    spoken = {"language": {"coding": [{"code": "en"}]}, "preferred": True}
    born = {"gender": "unknown", "birthDate": "1970-01-01", "communication": [spoken]}
    return _person("Patient", number) | born


def _doctor(number: int) -> dict[str, Any]:
    return _person("Practitioner", number)


def _place() -> dict[str, Any]:
    zone = {
        "url": "http://hl7.org/fhir/StructureDefinition/timezone",
        "valueCode": "America/New_York",
    }
    return _resource("Location", 1) | {"name": "Riverside", "extension": [zone]}


# --- contenders ----------------------------------------------------------------------------------


def yardstick() -> Callable[[list[bytes]], None]:
    """Return what decodes a Bundle into typed resources in one go."""
    kinds: dict[str, type[msgspec.Struct]] = {
        "Appointment": Appointment,
        "Patient": Person,
        "Practitioner": Person,
        "Location": Location,
    }
    tagged = [_tagged(name, shape) for name, shape in kinds.items()]
    union: Any = tagged[0]
    for one in tagged[1:]:
        union |= one
    entry = msgspec.defstruct("TypedEntry", [("resource", union), ("fullUrl", str | None, None)])
    bundle = msgspec.defstruct("TypedBundle", [("entry", list[entry])])  # type: ignore[valid-type]
    decode = msgspec.json.Decoder(bundle).decode

    def run(content: list[bytes]) -> None:
        for page in content:
            decode(page)

    return run


def _tagged(name: str, shape: type[msgspec.Struct]) -> type[msgspec.Struct]:
    fields: list[Any] = [
        (f.name, f.type, msgspec.field(default=f.default, name=f.encode_name))
        for f in msgspec.structs.fields(shape)
    ]
    return msgspec.defstruct(name, fields, tag_field="resourceType", tag=name, gc=False)


def unchanged(content: list[bytes]) -> None:
    """Do what a poll does where nothing changed: digests of all visits, and no more."""
    for reader, appointments in _read(content):
        for one in appointments:
            reader.digest(one.resource)


def first(content: list[bytes]) -> None:
    """Do what a first load does: every visit read, resolved and mapped."""
    context = mappings.Context("ehr", "America/New_York", "US", "en")
    mapper = mappings.load("fhir", Path()).compile(context)
    for reader, appointments in _read(content):
        for one in appointments:
            digest = reader.digest(one.resource)
            mapper(reader.record(one.resource, place="Appointment", digest=digest))


def _read(content: list[bytes]) -> Iterator[tuple[Reader, list[Entry]]]:
    found = Found(BASE)
    how: dict[str, Any] = {"version": "4.0.1", "trust_unlabelled_link": False}
    reader = Reader(found, **how, statuses={}, by_display={})
    for page in content:
        appointments = []
        for entry in read_bundle(page).entries:
            if head_of(entry.resource).type == "Appointment":
                appointments.append(entry)
            else:
                found.add(entry.resource, entry.full_url)
        for one in appointments:
            found.missing(one.resource)
        yield reader, appointments


def cpu(work: Callable[[list[bytes]], None], content: list[bytes]) -> float:
    """Return the least CPU seconds of three runs: whatever else the machine does only adds."""
    found = []
    for _ in range(3):
        before = time.process_time()
        work(content)
        found.append(time.process_time() - before)
    return min(found)


def main() -> None:
    """Print a line a contender."""
    parser = argparse.ArgumentParser(prog="python -m bench.fhir", description=__doc__)
    parser.add_argument("--visits", type=int, default=20_000)
    visits = parser.parse_args().visits
    content = pages(visits)
    gc.set_threshold(*GARBAGE)
    gc.freeze()
    bare = cpu(yardstick(), content)
    size = sum(map(len, content)) / 1e6
    print(f"{visits:,} visits, {size:.0f} MB; typed decode {bare / visits * 1e6:.1f} µs a visit")
    for name, work in (("unchanged, digests only", unchanged), ("first load, mapped", first)):
        spent = cpu(work, content)
        print(f"{name}: {spent / visits * 1e6:.1f} µs a visit, {spent / bare:.1f}x")


if __name__ == "__main__":
    main()
