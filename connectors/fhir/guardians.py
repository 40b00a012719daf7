"""Whom a patient's record names as their guardian."""

from __future__ import annotations

from typing import NamedTuple

from connectors.fhir.contacts import EMAILS, PHONES, codes_in, contact, holds, name_of
from connectors.fhir.elements import Related
from connectors.fhir.resources import Person

_GUARDIAN = frozenset({"GUARD", "guardian"})  # v3 RoleCode; DSTU2's own
_PARENTS = frozenset(
    {
        *("PRN", "MTH", "FTH", "NPRN", "NMTH", "NFTH", "ADOPTP", "ADOPTM", "ADOPTF"),  # v3 RoleCode
        "parent",  # DSTU2's own
    }
)


class Contact(NamedTuple):
    """A guardian, and beside one the birth date of the patient."""

    name: str | None = None
    phone: str | None = None
    email: str | None = None
    birth_date: str | None = None


NO_GUARDIAN = Contact()


def guardian_of(person: Person, day: str) -> Contact:
    """Return a patient's guardian, else a parent, who can be reached on the day of the visit.

    A parent counts only where the birth date is known: grown-up patients name theirs as well. An
    emergency contact or next of kin (v2 table 0131: C, N) is neither.
    """
    kinds = (_GUARDIAN, _PARENTS) if person.birth_date else (_GUARDIAN,)
    for codes in kinds:
        for one in person.contact:
            if not codes.isdisjoint(codes_in(one.relationship)) and holds(one.period, day):
                found = _reached(one, person.birth_date, day)
                if found.phone or found.email:
                    return found
    return NO_GUARDIAN


def _reached(one: Related, born: str | None, day: str) -> Contact:
    name = name_of((one.name,)) if one.name else None
    phone, email = (contact(one.telecom, systems, day) for systems in (PHONES, EMAILS))
    return Contact(name, phone, email, born)
