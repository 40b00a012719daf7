"""A visit as JSON for other programs, and as a line for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clinicrelay.times import iso, local

if TYPE_CHECKING:
    from clinicrelay.model import Appointment, Patient, Practitioner


def visit_json(visit: Appointment, *, version: int = 1, gone: bool = False) -> dict[str, Any]:
    """Return the promised JSON of a visit; `gone` is named only where it is."""
    place = visit.location
    told: dict[str, Any] = {
        "source": visit.source,
        "key": visit.key,
        "status": visit.status.value,
        "start": iso(visit.start) if visit.start else None,
        "end": iso(visit.end) if visit.end else None,
        "timezone": visit.timezone,
        "end_inferred": visit.end_inferred,
        "modality": visit.modality.value,
        "join_url": visit.join_url,
        "join_url_practitioner": visit.join_url_practitioner,
        "call_in": visit.call_in,
        "patients": [_patient(who) for who in visit.patients],
        "practitioners": [_practitioner(who) for who in visit.practitioners],
        "location": {"key": place.key, "name": place.name} if place else None,
        "service": visit.service,
        "version": version,
        "issues": [{"code": issue.code, "field": issue.field} for issue in visit.issues],
    }
    return {**told, "gone": True} if gone else told


def _patient(who: Patient) -> Mapping[str, Any]:
    told = {
        "key": who.key,
        "name": who.name,
        "phone": who.phone,
        "email": who.email,
        "language": who.language,
    }
    if who.guardian is None:
        return told
    one = who.guardian
    guardian = {"name": one.name, "phone": one.phone, "email": one.email, "language": one.language}
    return {**told, "guardian": guardian}


def _practitioner(who: Practitioner) -> Mapping[str, Any]:
    return {"key": who.key, "name": who.name, "email": who.email, "primary": who.primary}


def start_of(visit: Appointment, zone: str) -> str:
    """Return a visit's start on the clinic's clock."""
    if visit.start is None:
        return "no time"
    return local(visit.start, zone).strftime("%a %-d %b %Y %H:%M")


def row_of(visit: Appointment, zone: str, *, gone: bool = False) -> list[str]:
    """Return what a pipe may see of a visit: keys, times and codes."""
    return [
        f"{visit.source}/{visit.key}",
        start_of(visit, zone),
        "gone" if gone else visit.status.value,
        visit.primary.key if visit.primary else "-",
        ",".join(dict.fromkeys(issue.code for issue in visit.issues)),
    ]
