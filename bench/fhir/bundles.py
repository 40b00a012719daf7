"""What a FHIR server sends: 200 appointments a page, and whom they refer to.

The resources hold what the specification's own examples hold (R4: `appointment-example`,
`patient-example`, `practitioner-example`), narratives included, as real servers send them.
"""

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
    doctor = number % 40
    attends = _coded("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "ATND")
    follow_up = ("http://terminology.hl7.org/CodeSystem/v2-0276", "FOLLOWUP", "A follow up visit")
    actors = {
        f"Patient/{patient}": f"Ada {_family(patient)}",
        f"Practitioner/{doctor}": f"Dr {_family(doctor)}",
        "Location/1": "South Wing, second floor",
    }
    parts: list[dict[str, Any]] = [
        {
            "actor": {"reference": one, "display": name},
            "required": "required",
            "status": "accepted",
        }
        for one, name in actors.items()
    ]
    parts[1]["type"] = [attends]
    return {
        **_resource("Appointment", number, "Discussion of results"),
        "identifier": [{"system": "urn:example:visit", "value": f"V-{number:06d}"}],
        "status": "booked",
        "serviceCategory": [_coded("urn:example:category", "gp", "General Practice")],
        "serviceType": [
            _coded("http://snomed.info/sct", "394579002", "Cardiology") | {"text": "Cardiology"}
        ],
        "specialty": [_coded("http://snomed.info/sct", "394814009", "General practice")],
        "appointmentType": _coded(*follow_up),
        "reasonReference": [{"reference": f"Condition/{number}", "display": "See the record"}],
        "priority": 5,
        "description": "Discussion on the results of your recent examination",
        "start": start.isoformat(),
        "end": (start + timedelta(minutes=30)).isoformat(),
        "minutesDuration": 30,
        "created": "2026-11-01T08:00:00Z",
        "comment": "Further expand on the results and determine the next actions.",
        "basedOn": [{"reference": f"ServiceRequest/{number}"}],
        "participant": parts,
    }


def _resource(kind: str, number: int, narrative: str) -> dict[str, Any]:
    meta = {"versionId": "1", "lastUpdated": "2026-11-01T08:00:00Z"}
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">{narrative}</div>'
    text = {"status": "generated", "div": div}
    return {"resourceType": kind, "id": str(number), "meta": meta, "text": text}


def _coded(system: str, code: str, display: str | None = None) -> dict[str, Any]:
    coding = {"system": system, "code": code}
    return {"coding": [coding | ({"display": display} if display else {})]}


def _family(number: int) -> str:
    return f"{_FAMILIES[number % len(_FAMILIES)]}-{number}"


def _person(kind: str, number: int) -> dict[str, Any]:
    family = _family(number)
    numbered = _coded("http://terminology.hl7.org/CodeSystem/v2-0203", "MR")
    return _resource(kind, number, f"Ada {family}") | {
        "identifier": [
            {
                "use": "usual",
                "type": numbered,
                "system": "urn:example:person",
                "value": f"{number:06d}",
                "period": {"start": "2001-05-06"},
                "assigner": {"display": "Bench Clinic"},
            }
        ],
        "active": True,
        "name": [
            {"use": "official", "family": family, "given": ["Ada", "Lee"]},
            {"use": "usual", "given": ["Ada"]},
        ],
        "telecom": [
            {"system": "phone", "use": "mobile", "value": f"+1202555{number % 10_000:04d}"},
            {"system": "phone", "use": "work", "value": "(202) 555-0199", "rank": 2},
            {"system": "email", "value": f"{kind.lower()}{number}@mail.example"},
        ],
        "address": [
            {
                "use": "home",
                "type": "both",
                "text": "534 Sample St, Riverside, 12345",
                "line": ["534 Sample St"],
                "city": "Riverside",
                "state": "NY",
                "postalCode": "12345",
                "period": {"start": "1999-12-25"},
            }
        ],
        "gender": "unknown",
        "birthDate": "1970-01-01",
    }


def _patient(number: int) -> dict[str, Any]:
    next_of_kin = {
        "relationship": [_coded("http://terminology.hl7.org/CodeSystem/v2-0131", "N")],
        "name": {"family": "Sample", "given": ["Ben"]},
        "telecom": [{"system": "phone", "value": "(202) 555-0198"}],
        "gender": "unknown",
    }
    return _person("Patient", number) | {
        "deceasedBoolean": False,
        "contact": [next_of_kin],
        "communication": [{"language": {"coding": [{"code": "en"}]}, "preferred": True}],
        "managingOrganization": {"reference": "Organization/1"},
    }


def _doctor(number: int) -> dict[str, Any]:
    degree = _coded("http://terminology.hl7.org/CodeSystem/v2-0360", "BS", "Bachelor of Science")
    issued = {"period": {"start": "1995"}, "issuer": {"display": "Example University"}}
    return _person("Practitioner", number) | {"qualification": [{"code": degree} | issued]}


def _place() -> dict[str, Any]:
    zone = {
        "url": "http://hl7.org/fhir/StructureDefinition/timezone",
        "valueCode": "America/New_York",
    }
    return _resource("Location", 1, "Riverside") | {"name": "Riverside", "extension": [zone]}
