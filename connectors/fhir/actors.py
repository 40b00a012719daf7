"""Whom the references of an appointment mean, and as what somebody takes part."""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Raw

from clinicrelay.model import Issue
from clinicrelay.paths import fold
from connectors.fhir.elements import Participant, Reference
from connectors.fhir.found import Found, Met, opaque
from connectors.fhir.resources import Appointment, head_of

_ROLES = {
    "Patient": "patient",
    "Practitioner": "practitioner",
    "PractitionerRole": "practitioner",
    "Location": "location",
    "HealthcareService": "service",
    "RelatedPerson": "other",
    "Device": "other",
    "CareTeam": "other",
    "Group": "group",
}
# v3 ParticipationType, as far as it tells a role; PART tells none.
_ROLES_BY_CODE = {
    **dict.fromkeys(("PPRF", "SPRF", "PRF", "ATND", "CON", "ADM", "DIS"), "practitioner"),
    **dict.fromkeys(("SBJ", "PATSBJ", "RCT", "patient"), "patient"),
    "LOC": "location",
}
_OF_PRACTITIONERS = frozenset({"http://hl7.org/fhir/sid/us-npi"})

_FOREIGN = "foreign_reference"
UNRESOLVED = "unresolved_reference"
_DISPLAY_ONLY = "display_only"
_IDENTIFIER_ONLY = "identifier_reference"


class Actor:
    """One participant as far as its reference says who it is.

    `key` is what it is known by, `met` its resource, `contained` one that stands in the appointment,
    `trouble` the code of what is odd about the reference.
    """

    __slots__ = ("contained", "key", "kind", "met", "name", "trouble")

    def __init__(self, reference: Reference) -> None:
        self.key: str | None = None
        self.kind = (reference.type or "").rpartition("/")[2]  # it is a URI
        self.met: Met | None = None
        self.contained: Raw | None = None
        self.name = reference.display or None
        self.trouble: str | None = None

    @property
    def content(self) -> Raw | bytes | None:
        """Its resource as it came, None where there is none."""
        return self.met.content if self.met else self.contained

    @property
    def is_a_number(self) -> bool:
        """Whether nothing but a business identifier is known, not even of what."""
        return self.trouble == _IDENTIFIER_ONLY and not self.kind

    def issues(self, field: str) -> list[Issue]:
        """Return what is odd about it, in the words of a field."""
        return [Issue(self.trouble, field)] if self.trouble else []


class Actors:
    """Finds whom references mean that stand in one appointment."""

    def __init__(self, visit: Appointment, found: Found) -> None:
        self._found = found
        self.contained = _contained(visit) if visit.contained else {}

    def of(self, reference: Reference) -> Actor:
        """Return whom a reference means, as far as that can be told."""
        actor = Actor(reference)
        written = reference.reference
        if not written:
            _without_address(actor, reference)
        elif written[0] == "#":
            self._within(actor, written[1:])
        else:
            self._elsewhere(actor, written)
        return actor

    def _elsewhere(self, actor: Actor, written: str) -> None:
        key = self._found.key_of(written)
        if key is None:
            actor.trouble = _FOREIGN if "://" in written else UNRESOLVED
            actor.kind = actor.kind or _kind_in(written)
            actor.key = opaque(written)
            return
        actor.key, actor.met = key, self._found.find(key)
        if actor.met is not None and not actor.met.content:
            actor.met = None  # known to have been there, and not read
        if actor.met is not None:
            actor.kind = actor.met.type
        else:
            actor.kind = key.partition("/")[0]
            actor.trouble = UNRESOLVED

    def _within(self, actor: Actor, name: str) -> None:
        actor.contained = self.contained.get(name)
        if actor.contained is None:
            actor.trouble = UNRESOLVED
        else:
            actor.kind = head_of(actor.contained).type


def _without_address(actor: Actor, reference: Reference) -> None:
    identifier = reference.identifier
    if identifier is not None and identifier.value:
        actor.trouble = _IDENTIFIER_ONLY
        actor.key = opaque(f"{identifier.system or ''}|{identifier.value}")
        if identifier.system in _OF_PRACTITIONERS:
            actor.kind = "Practitioner"
    else:
        actor.trouble = _DISPLAY_ONLY


def role_of(actor: Actor, participant: Participant, by_display: Collection[str]) -> str:
    """Return as what somebody takes part: patient, practitioner, location, service, group or other."""
    role = _ROLES.get(actor.kind)
    if role is None:
        codes = (_ROLES_BY_CODE.get(code) for code in codes_of(participant))
        role = next((found for found in codes if found), "other")
    if role == "other" and actor.name and fold(actor.name) in by_display:
        return "practitioner"
    return role


def codes_of(participant: Participant) -> list[str]:
    """Return the codes of how somebody takes part."""
    return [one.code for kind in participant.type for one in kind.coding if one.code]


def _contained(visit: Appointment) -> dict[str, Raw]:
    """Return the resources that stand in the appointment itself, by what `#` refers to them."""
    found = {}
    for at, raw in enumerate(visit.contained):
        try:
            head = head_of(raw)
        except ValueError:
            continue
        found[(head.id or f"{at}#").removeprefix("#")] = raw
    return found


def _kind_in(address: str) -> str:
    """Return the type of a resource at `https://…/Patient/5`."""
    parts = address.split("/")
    return parts[-2] if len(parts) > 1 else ""
