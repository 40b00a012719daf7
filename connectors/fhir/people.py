"""Patients, practitioners and places as flat entries, from whatever refers to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from clinicrelay.model import Issue
from clinicrelay.tables import Shared
from clinicrelay.times import zone_of
from connectors.fhir.contacts import (
    EMAILS,
    PHONES,
    address_of,
    contact,
    dated,
    label_of_any,
    language_of,
    name_of,
    work_contact,
)
from connectors.fhir.elements import Concept, ContactPoint, Extension
from connectors.fhir.found import MOST_HOPS, Found, Met, replaced_by
from connectors.fhir.guardians import NO_GUARDIAN, guardian_of
from connectors.fhir.resources import Location, Person, Role, decode

Entry: TypeAlias = Mapping[str, Any]

_ZONE = "http://hl7.org/fhir/StructureDefinition/timezone"
_ZONES = frozenset({_ZONE, "http://hl7.org/fhir/StructureDefinition/tz-code"})

_TEST = "HTEST"  # v3 ActReason: test health data

_INACTIVE = Issue("inactive_patient", "patient")
_MERGED_AWAY = Issue("unresolved_merge", "patient")


class Told(NamedTuple):
    """An entry, and what was odd about it."""

    entry: Entry
    issues: tuple[Issue, ...] = ()


class Doctor(NamedTuple):
    """A practitioner's entry, as one among others and as the one whose visit it is."""

    besides: Entry
    primary: Entry


class Place(NamedTuple):
    """Where something takes place."""

    key: str | None = None
    name: str | None = None
    address: str | None = None
    zone: str | None = None


NOWHERE = Place()

# Of a patient, in the order of docs/reference/fhir-record.md.
_UNKNOWN: Entry = dict.fromkeys(
    (
        *("key", "name", "phone", "email", "language", "preferred_channel", "deceased", "test"),
        *("guardian_name", "guardian_phone", "guardian_email", "birth_date"),
    )
)


def unknown_patient(key: str | None, name: str | None) -> Entry:
    """Return the entry of a patient of whom no more is known."""
    return _patient(key, name)


def _patient(key: str | None, name: str | None, **known: Any) -> Entry:
    return Shared(_UNKNOWN, key=key, name=name, **known)


def unknown_practitioner(key: str | None, name: str | None) -> dict[str, Any]:
    """Return the entry of a practitioner of whom no more is known."""
    return _practitioner(key, name)


def _practitioner(
    key: str | None,
    name: str | None,
    email: str | None = None,
    phone: str | None = None,
    specialty: str | None = None,
) -> dict[str, Any]:
    return {
        "key": key,
        "name": name,
        "email": email,
        "phone": phone,
        "specialty": specialty,
        "primary": False,
    }


# --- patients ------------------------------------------------------------------------------------


def patient(met: Met, found: Found, day: str) -> Told:
    """Return a patient; `day` of the visit decides which of several numbers holds.

    What does not depend on the day is made once for all visits of the patient.
    """
    if type(met.made) is Told:
        return met.made
    person = decode(met.content, Person)
    if met.leads or replaced_by(person):
        return _survivor(met, person, found, day)
    told = _stated(met.key, person, day, dead=_is_dead(person), test=_is_test(person))
    if met.type == "Patient" and not dated(person):
        met.made = told
    return told


def contained_patient(person: Person, day: str) -> Told:
    """Return a patient whose record stands in the appointment itself and has no key."""
    return _stated(None, person, day, dead=_is_dead(person), test=_is_test(person))


def _stated(key: str | None, person: Person, day: str, *, dead: bool, test: bool) -> Told:
    inactive = person.active is False
    guardian = guardian_of(person, day) if key and person.contact else NO_GUARDIAN
    entry = _patient(
        key,
        name_of(person.name),
        phone=contact(person.telecom, PHONES, day),
        email=contact(person.telecom, EMAILS, day),
        language=language_of(person.communication),
        preferred_channel="none" if inactive else None,
        deceased=dead or None,
        test=test or None,
        guardian_name=guardian.name,
        guardian_phone=guardian.phone,
        guardian_email=guardian.email,
        birth_date=guardian.birth_date,
    )
    return Told(entry, (_INACTIVE,) if inactive else ())


def _is_dead(person: Person) -> bool:
    return bool(person.deceased_boolean) or person.deceased_date_time is not None


def _is_test(person: Person) -> bool:
    """Whether a record is labelled as made up for tests, which is no patient of anybody's."""
    labels = person.meta
    return labels is not None and any(one.code == _TEST for one in (*labels.security, *labels.tag))


def _survivor(met: Met, person: Person, found: Found, day: str) -> Told:
    """Follow a merged patient to who replaced it: contact data is the survivor's, or nobody's (2.3).

    Whom any of the records calls dead, or a test, gets no message.
    """
    dead, test = _is_dead(person), _is_test(person)
    for _ in range(MOST_HOPS):
        nxt = found.find(found.key_of(replaced_by(person) or "") or "")
        if nxt is None or not nxt.content:
            break
        met, person = nxt, decode(nxt.content, Person)
        dead, test = dead or _is_dead(person), test or _is_test(person)
        if not replaced_by(person):
            return _stated(met.key, person, day, dead=dead, test=test)
    name = name_of(person.name)
    entry = _patient(
        met.key, name, preferred_channel="none", deceased=dead or None, test=test or None
    )
    return Told(entry, (_MERGED_AWAY,))


# --- practitioners -------------------------------------------------------------------------------


def doctor(entry: Entry) -> Doctor:
    """Return a practitioner of an entry of no rank yet."""
    return Doctor(Shared(entry), Shared(entry, primary=True))


def practitioner(met: Met, day: str) -> Doctor:
    """Return a practitioner; made once where the day of a visit makes no difference."""
    if type(met.made) is Doctor:
        return met.made
    person = decode(met.content, Person)
    found = doctor(practitioner_of(met.key, person, (), None, day))
    if met.type == "Practitioner" and not dated(person):
        met.made = found
    return found


def practitioner_of(
    key: str | None,
    person: Person,
    more: Sequence[ContactPoint],
    specialty: str | None,
    day: str,
) -> dict[str, Any]:
    """Return a practitioner's entry; `more` are a role's numbers, for one who has none."""
    return _practitioner(
        key,
        name_of(person.name, prefixed=True),
        work_contact(person.telecom, EMAILS, day) or work_contact(more, EMAILS, day),
        work_contact(person.telecom, PHONES, day) or work_contact(more, PHONES, day),
        specialty,
    )


def at_work(who: Doctor, role: Role, day: str) -> Doctor:
    """Return a practitioner with what a role adds."""
    points = (*role.telecom, *(point for one in role.contact for point in one.telecom))
    entry = dict(who.besides)
    entry["email"] = entry["email"] or work_contact(points, EMAILS, day)
    entry["phone"] = entry["phone"] or work_contact(points, PHONES, day)
    entry["specialty"] = specialty_of(role.specialty) or entry["specialty"]
    return doctor(entry)


def specialty_of(concepts: tuple[Concept, ...]) -> str | None:
    """Return what a specialty is called."""
    return label_of_any(concepts)


# --- places --------------------------------------------------------------------------------------


def place(met: Met) -> Place:
    """Return a place that was met."""
    if type(met.made) is Place:
        return met.made
    found = place_of(met.key, decode(met.content, Location))
    if met.type == "Location":
        met.made = found
    return found


def place_of(key: str | None, location: Location) -> Place:
    """Return a place of its resource."""
    return Place(
        key,
        location.name or location.description,
        address_of(location.address),
        zone_in(location.extension),
    )


def zone_in(extensions: Sequence[Extension]) -> str | None:
    """Return the time zone that an extension states, as written."""
    stated = (one.value_code or one.value_string for one in extensions if one.url in _ZONES)
    return next((zone for zone in stated if zone), None)


@lru_cache(maxsize=512)
def is_zone(name: str) -> bool:
    """Whether the world knows a time zone of this name."""
    try:
        zone_of(name)
    except ValueError:
        return False
    return True
