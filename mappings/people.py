"""Who is to come, who is to be visited and where, with opaque keys for those who have none."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any, TypeAlias

from clinicrelay.errors import BadRecord
from clinicrelay.model import Channel, Guardian, Issue, Patient, Place, Practitioner
from clinicrelay.paths import fold
from clinicrelay.times import zone_of
from mappings.births import read_birth
from mappings.fields import Read, Source

Readers: TypeAlias = dict[str, Read]
Part: TypeAlias = Callable[[Source, list[Issue]], Any]
Some: TypeAlias = Callable[[Source, list[Issue]], dict[str, Any]]  # fields of a patient, by name

_WORD = re.compile(r"[^\W_]+")
_CONTACTS = ("patient.phone", "patient.email", "patient.language")
_EXTRAS = ("preferred_channel", "timezone", "deceased", "test")
_GUARDIAN = ("name", "phone", "email", "language")


def derived(*parts: object) -> str:
    """Return a deterministic key made of what the source does give (2.3); it tells nothing."""
    text = "\x1f".join("" if part is None else str(part) for part in parts)
    return f"auto-{sha256(text.encode()).hexdigest()[:16]}"


def derived_visit_key(
    patient: Patient | None, practitioner: Practitioner | None, start: datetime | None
) -> str:
    """Return a key for a visit whose source gives none. Raises BadRecord when too little is known."""
    if start is None or (patient is None and practitioner is None):
        detail = "without an id it takes a start and a patient or a practitioner to know it again"
        raise BadRecord("missing", field="key", detail=detail)
    who, whom = patient and patient.key, practitioner and practitioner.key
    return derived(who, whom, start.isoformat())


def patient_part(readers: Readers) -> Part:
    """Return what makes the patient of a record; None where the record names nobody."""
    key, name, birth = (_reader(readers, f"patient.{n}") for n in ("key", "name", "birth_date"))
    phone, email, language = (_reader(readers, field) for field in _CONTACTS)
    extras = _extras(readers)

    def read(source: Source, issues: list[Issue]) -> Patient | None:
        known, called = key(source, issues), name(source, issues)
        number, address = phone(source, issues), email(source, issues)
        if known is None:
            known = _patient_key(called, birth(source, issues), number, address)
            if known is None:
                return None
        spoken = language(source, issues)
        if extras is None:
            return Patient(known, called, number, address, spoken)
        more = extras(source, issues)
        if (number or address) and "guardian" not in more:
            more.pop("birth_date", None)  # they are reached as themselves, whatever their age
        return Patient(known, called, number, address, spoken, **more)

    return read


def _patient_key(
    name: str | None, birth: str | None, phone: str | None, email: str | None
) -> str | None:
    """A birth date tells namesakes apart and never changes; a phone does both less well."""
    if not (name or phone or email):
        return None
    return derived(fold(name or ""), birth or phone or email)


def _extras(readers: Readers) -> Some | None:
    """Read what most sources do not have; their readers are not even asked where it is absent."""
    present = [(n, readers[f"patient.{n}"]) for n in _EXTRAS if f"patient.{n}" in readers]
    more = [part for part in (_consent(readers), _guardian(readers)) if part]
    if not (present or more):
        return None

    def read(source: Source, issues: list[Issue]) -> dict[str, Any]:
        found = {name: reader(source, issues) for name, reader in present}
        if found.get("timezone") and not _is_zone(found["timezone"]):
            found["timezone"] = None
            issues.append(Issue("unknown_timezone", "patient.timezone"))
        for part in more:
            found |= part(source, issues)
        return {name: value for name, value in found.items() if value is not None}

    return read


def _consent(readers: Readers) -> Some | None:
    """Return what reads the channels agreed to and refused; an empty cell is neither."""
    readers_of = {channel: readers.get(f"patient.consent.{channel}") for channel in Channel}
    present = [(channel, reader) for channel, reader in readers_of.items() if reader]
    if not present:
        return None

    def read(source: Source, issues: list[Issue]) -> dict[str, Any]:
        said = [(channel, reader(source, issues)) for channel, reader in present]
        return {
            "opted_in": tuple(channel for channel, agreed in said if agreed is True),
            "opted_out": tuple(channel for channel, agreed in said if agreed is False),
        }

    return read


def _guardian(readers: Readers) -> Some | None:
    """Return what reads the guardian, where one can be reached, and the birth date."""
    if not {"patient.guardian.phone", "patient.guardian.email"} & readers.keys():
        return None
    parts = [_reader(readers, f"patient.guardian.{part}") for part in _GUARDIAN]
    birth = _reader(readers, "patient.birth_date")

    def read(source: Source, issues: list[Issue]) -> dict[str, Any]:
        guardian = Guardian(*(part(source, issues) for part in parts))
        reached = bool(guardian.phone or guardian.email)
        noted = issues if reached else []
        born = _born(birth(source, noted), noted)
        return {"guardian": guardian if reached else None, "birth_date": born}

    return read


def _born(text: str | None, issues: list[Issue]) -> date | None:
    try:
        return read_birth(text) if text else None
    except ValueError:
        issues.append(Issue("invalid_date", "patient.birth_date"))
        return None


@lru_cache(maxsize=512)
def _is_zone(name: str) -> bool:
    try:
        zone_of(name)
    except ValueError:
        return False
    return True


def practitioner_part(readers: Readers) -> Part:
    """Return what makes the practitioner of a record, or None."""
    fields = ("key", "name", "email", "phone", "specialty")
    key, name, email, phone, specialty = (_reader(readers, f"practitioner.{f}") for f in fields)

    def read(source: Source, issues: list[Issue]) -> Practitioner | None:
        return _practitioner(
            key(source, issues),
            name(source, issues),
            email(source, issues),
            phone(source, issues),
            specialty(source, issues),
        )

    return read


@lru_cache(maxsize=4096)
def _practitioner(
    key: str | None, name: str | None, email: str | None, phone: str | None, specialty: str | None
) -> Practitioner | None:
    known = key or (email and email.casefold()) or _slug(name)
    if not known:
        return None
    return Practitioner(key=known, name=name, email=email, phone=phone, specialty=specialty)


def _slug(name: str | None) -> str | None:
    words = (fold(word) for word in _WORD.findall(name or ""))
    return "-".join(word for word in words if word) or None


def place_part(readers: Readers) -> Part:
    """Return what makes the place of a record, or None."""
    fields = ("key", "name", "address")
    key, name, address = (_reader(readers, f"location.{f}") for f in fields)

    def read(source: Source, issues: list[Issue]) -> Place | None:
        return _place(key(source, issues), name(source, issues), address(source, issues))

    return read


@lru_cache(maxsize=4096)
def _place(key: str | None, name: str | None, address: str | None) -> Place | None:
    return Place(key=key, name=name, address=address) if key or name or address else None


def _reader(readers: Readers, field: str) -> Read:
    return readers.get(field, _nothing)


def _nothing(source: Source, issues: list[Issue]) -> None:
    return None
