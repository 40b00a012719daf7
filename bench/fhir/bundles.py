"""What a FHIR server sends: 200 appointments a page, and whom they refer to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

PAGE = 200
_FIRST = datetime(2026, 12, 1, 8, tzinfo=UTC)
_FAMILIES = ("Sample", "Specimen", "Muster", "Beispiel", "Exempel", "Díaz", "Kowalska", "Ozols")


def pages(visits: int, base: str) -> list[bytes]:
    """Return Bundles as a server at `base` sends them, each with a link to the next."""
    return [_page(range(at, min(at + PAGE, visits)), visits, base) for at in range(0, visits, PAGE)]


def _page(numbers: range, visits: int, base: str) -> bytes:
    people = visits // 5 or 1
    patients = {number * 7919 % people for number in numbers}
    included = [*map(_patient, sorted(patients)), *map(_doctor, range(40)), _place()]
    entries = [_entry(_visit(n, n * 7919 % people), "match", base) for n in numbers]
    entries += [_entry(one, "include", base) for one in included]
    more = {"relation": "next", "url": f"{base}/Appointment?page={numbers.stop // PAGE}"}
    links = [more] if numbers.stop < visits else []
    bundle = {"resourceType": "Bundle", "type": "searchset", "link": links, "entry": entries}
    return msgspec.json.encode(bundle)


def _entry(resource: dict[str, Any], mode: str, base: str) -> dict[str, Any]:
    address = f"{base}/{resource['resourceType']}/{resource['id']}"
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
