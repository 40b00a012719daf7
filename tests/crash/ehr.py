"""A system of a clinic's own that is asked by HTTP: a FHIR server and a JSON interface in one."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from clinicrelay.testing import Asked, Reply

PAGE = 6


@dataclass
class Ehr:
    """A server with visits in a few pages, that can be asked what changed and for a single one."""

    visits: dict[str, dict[str, Any]] = field(default_factory=dict)
    url: str = ""
    now: str = ""  # by its own clock

    def answer(self, asked: Asked) -> Reply:
        return self.fhir(asked) if asked.path.startswith("/r4") else self.rest(asked)

    def page_of(self, asked: Asked, name: str) -> tuple[list[dict[str, Any]], int | None]:
        at = int(asked.one(name) or 0)
        since = asked.one("since") or ""
        some = [one for one in self.visits.values() if one.get("updated", "") >= since]
        some.sort(key=lambda one: str(one["id"]))
        left = at + PAGE < len(some)
        return some[at : at + PAGE], at + PAGE if left else None

    def rest(self, asked: Asked) -> Reply:
        found = asked.path.rpartition("/")[2]
        if found != "bookings":
            known = self.visits.get(found)
            return Reply(known) if known else Reply({"error": "unknown"}, 404)
        some, left = self.page_of(asked, "after")
        told = {"items": some, "next": None if left is None else str(left)}
        return Reply({**told, "now": self.now} if self.now else told)

    def fhir(self, asked: Asked) -> Reply:
        found = asked.path.removeprefix("/r4/")
        if found == "metadata":
            return Reply(CAPABLE)
        if found != "Appointment":
            known = self.visits.get(found.rpartition("/")[2])
            return Reply(as_fhir(known)[0]) if known else Reply(NOT_THERE, 404)
        some, left = self.page_of(asked, "_page")
        links = [{"relation": "self", "url": f"{self.url}/r4/Appointment?{query(asked)}"}]
        if left is not None:
            more = f"{self.url}/r4/Appointment?{query(asked, left)}"
            links.append({"relation": "next", "url": more})
        entries = [
            {"resource": one, "search": {"mode": "match" if n == 0 else "include"}}
            for visit in some
            for n, one in enumerate(as_fhir(visit))
        ]
        return Reply(
            {"resourceType": "Bundle", "type": "searchset", "link": links, "entry": entries}
        )


def query(asked: Asked, page: int | None = None) -> str:
    pairs = [(name, value) for name, value in asked.query if name != "_page"]
    return urlencode([*pairs, *([("_page", str(page))] if page is not None else [])])


NOT_THERE = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "not-found"}],
}
CAPABLE = {
    "resourceType": "CapabilityStatement",
    "fhirVersion": "4.0.1",
    "rest": [
        {
            "mode": "server",
            "resource": [
                {
                    "type": "Appointment",
                    "interaction": [{"code": "read"}, {"code": "search-type"}],
                    "searchInclude": ["Appointment:patient", "Appointment:practitioner"],
                    "searchParam": [{"name": "date", "type": "date"}],
                }
            ],
        }
    ],
}


def as_fhir(visit: dict[str, Any]) -> list[dict[str, Any]]:
    number = visit["id"]
    start = datetime.fromisoformat(visit["start"])
    return [
        {
            "resourceType": "Appointment",
            "id": number,
            "status": visit["status"],
            "start": visit["start"],
            "end": (start + timedelta(minutes=30)).isoformat(),
            "participant": [
                {"actor": {"reference": f"Patient/p{number}"}, "status": "accepted"},
                {"actor": {"reference": "Practitioner/acar"}, "status": "accepted"},
            ],
        },
        {
            "resourceType": "Patient",
            "id": f"p{number}",
            "name": [{"text": f"Pat {number} Sample"}],
            "telecom": [{"system": "email", "value": f"p{number}@mail.example"}],
        },
        {
            "resourceType": "Practitioner",
            "id": "acar",
            "name": [{"text": "Dr. Acar"}],
            "telecom": [{"system": "email", "value": "acar@riverside.example"}],
        },
    ]


def fhir_source(url: str) -> dict[str, Any]:
    return {"type": "fhir", "base_url": f"{url}/r4", "strategy": "window", "slice": "200d"}


def rest_source(url: str) -> dict[str, Any]:
    return {
        "type": "rest",
        "base_url": url,
        "request": {"path": "/bookings"},
        "records": "items",
        "key": "id",
        "paging": {"type": "cursor", "next": "next", "param": "after"},
        "read_by_id": {"path": "/bookings/{id}"},
        "mapping": "ours.yaml",
    }


MAPPING = """
version: 1
fields:
  key: {path: id, required: true}
  start: {path: start, type: datetime, required: true}
  status: {path: status}
  patient.key: {path: patient}
  patient.email: {path: email, type: email}
  patient.phone: {path: phone, type: phone}
  practitioner.key: {path: doctor}
  practitioner.email: {path: doctor, type: email}
"""


def visit(number: int, start: datetime, status: str = "booked") -> dict[str, Any]:
    return {
        "id": f"v{number:03}",
        "start": start.isoformat(),
        "status": status,
        "patient": f"p{number}",
        "email": f"p{number}@mail.example",
        "doctor": "acar@riverside.example",
    }


def at_first() -> dict[str, dict[str, Any]]:
    monday = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
    soon = [visit(n, monday + timedelta(days=1 + n // 2, hours=n)) for n in range(6)]
    far = [visit(n, monday + timedelta(days=10 + n // 3, hours=n % 7)) for n in range(6, 34)]
    return {one["id"]: one for one in (*soon, *far)}


def a_day_later() -> dict[str, dict[str, Any]]:
    visits = at_first()
    moved = datetime(2026, 12, 15, 16, tzinfo=UTC).isoformat()
    visits["v010"]["start"] = visits["v011"]["start"] = moved
    visits["v013"]["status"] = "cancelled"
    visits["v017"]["email"] = "other@mail.example"
    del visits["v019"]
    new = [visit(n, datetime(2026, 12, 16, 8 + n % 10, tzinfo=UTC)) for n in (50, 51)]
    return visits | {one["id"]: one for one in new}
