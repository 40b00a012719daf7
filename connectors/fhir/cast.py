"""Who and what takes part in an appointment, and as what (F-18, F-19, X-13, X-14)."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Raw

from clinicrelay.model import Issue
from clinicrelay.paths import fold
from connectors.fhir.contacts import label_of_any
from connectors.fhir.elements import Participant, Reference
from connectors.fhir.found import Found, Met, opaque
from connectors.fhir.people import (
    Entry,
    Place,
    Told,
    at_work,
    contained_patient,
    made,
    patient,
    place,
    place_of,
    practitioner,
    practitioner_of,
    specialty_of,
    unknown_patient,
    unknown_practitioner,
)
from connectors.fhir.resources import Appointment, Location, Person, Role, Service, decode, head_of

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
_PRACTITIONERS = frozenset({"Practitioner", "Person"})
# v3 ParticipationType, as far as it tells a role; PART tells none.
_ROLES_BY_CODE = {
    **dict.fromkeys(("PPRF", "SPRF", "PRF", "ATND", "CON", "ADM", "DIS"), "practitioner"),
    **dict.fromkeys(("SBJ", "PATSBJ", "RCT", "patient"), "patient"),
    "LOC": "location",
}

_OF_PRACTITIONERS = frozenset({"http://hl7.org/fhir/sid/us-npi"})

_FOREIGN = "foreign_reference"
_UNRESOLVED = "unresolved_reference"
_DISPLAY_ONLY = "display_only"
_IDENTIFIER_ONLY = "identifier_reference"
_GROUP = Issue("group_not_read", "patient")


class Actor:
    """One participant as far as its reference says who it is.

    `key` is what it is known by, `met` its resource, `contained` one that stands in the appointment,
    `trouble` the code of what is odd about the reference.
    """

    __slots__ = ("contained", "key", "kind", "met", "name", "trouble")

    def __init__(self, reference: Reference) -> None:
        self.key: str | None = None
        self.kind = reference.type or ""
        self.met: Met | None = None
        self.contained: Raw | None = None
        self.name = reference.display or None
        self.trouble: str | None = None


class Cast:
    """The people, the place and the services of one appointment; `issues` gather on the way."""

    def __init__(self, visit: Appointment, found: Found, by_display: Mapping[str, str]) -> None:
        self._visit = visit
        self._found = found
        self._by_display = by_display
        self._day = (visit.start or "")[:10]
        self._contained = _contained(visit) if visit.contained else {}
        self.issues: list[Issue] = []
        self.patients: list[Entry] = []
        self.practitioners: list[Entry] = []
        self.place: Place | None = None
        self.service: str | None = None
        self.services: list[Service] = []
        self.expects_patient = False
        self._other_place: Place | None = None
        self._lead = 0
        self._stranger: Actor | None = None
        for raw in self._contained.values():
            if head_of(raw).type == "HealthcareService":  # Cerner's meeting rooms
                self.services.append(decode(raw, Service))
        self._gather()

    def _gather(self) -> None:
        for participant in self._visit.participant:
            if participant.actor is not None:
                self._join(participant.actor, participant)
        subject = self._visit.subject
        if subject is not None and not self.patients:
            self._join(subject, Participant())
        for kind in self._visit.service_type:
            if kind.reference is not None:  # R5
                self._join_service(self._actor(kind.reference))
        if self._stranger is not None and not self.expects_patient:
            self._join_patient(self._stranger)
        self.place = self.place or self._other_place
        if self.practitioners and not any(one["primary"] for one in self.practitioners):
            self.practitioners[0]["primary"] = True

    def _join(self, reference: Reference, participant: Participant) -> None:
        if reference.reference and self._join_known(reference.reference, participant):
            return
        actor = self._actor(reference)
        role = self._role(actor, participant)
        if role == "patient":
            self._join_patient(actor)
        elif role == "practitioner":
            self._join_practitioner(actor, participant)
        elif role == "location":
            self._join_location(actor)
        elif role == "service":
            self._join_service(actor)
        elif role == "group":
            self.expects_patient = True
            self.issues.append(_GROUP)
        elif actor.trouble == _IDENTIFIER_ONLY and not actor.kind:
            # Whom nothing but a number names is the patient where nobody else is: a visit must not
            # turn into a block, and to a mere number nothing can be sent by mistake.
            self._stranger = self._stranger or actor

    def _join_known(self, written: str, participant: Participant) -> bool:
        """Let somebody take part of whom all is known from another visit: most are."""
        met = self._found.met_by(written)
        if met is None:
            return False
        if met.type == "Patient" and (told := made(met, "patient")):
            self._add_patient(told)
        elif met.type == "Practitioner":
            self._add_practitioner(practitioner(met, self._day), participant)
        elif met.type == "Location":
            self.place = self.place or place(met)
        else:
            return False
        return True

    # --- who a reference means -------------------------------------------------------------

    def _actor(self, reference: Reference) -> Actor:
        actor = Actor(reference)
        written = reference.reference
        if not written:
            self._without_address(actor, reference)
        elif written[0] == "#":
            self._within(actor, written[1:])
        else:
            self._elsewhere(actor, written)
        return actor

    def _elsewhere(self, actor: Actor, written: str) -> None:
        key = self._found.key_of(written)
        if key is None:
            actor.trouble = _FOREIGN if "://" in written else _UNRESOLVED
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
            actor.trouble = _UNRESOLVED

    def _within(self, actor: Actor, name: str) -> None:
        actor.contained = self._contained.get(name)
        if actor.contained is None:
            actor.trouble = _UNRESOLVED
        else:
            actor.kind = head_of(actor.contained).type

    def _without_address(self, actor: Actor, reference: Reference) -> None:
        identifier = reference.identifier
        if identifier is not None and identifier.value:
            actor.trouble = _IDENTIFIER_ONLY
            actor.key = opaque(f"{identifier.system or ''}|{identifier.value}")
            if identifier.system in _OF_PRACTITIONERS:
                actor.kind = "Practitioner"
        else:
            actor.trouble = _DISPLAY_ONLY

    def _role(self, actor: Actor, participant: Participant) -> str:
        role = _ROLES.get(actor.kind)
        if role is None:
            codes = (_ROLES_BY_CODE.get(code) for code in _codes(participant))
            role = next((found for found in codes if found), "other")
        if role == "other" and actor.name and fold(actor.name) in self._by_display:
            return "practitioner"
        return role

    # --- taking part -----------------------------------------------------------------------

    def _trouble(self, actor: Actor, field: str) -> None:
        if actor.trouble:
            self.issues.append(Issue(actor.trouble, field))

    def _join_patient(self, actor: Actor) -> None:
        self._trouble(actor, "patient")
        if actor.met is not None:
            self._add_patient(patient(actor.met, self._found, self._day))
        elif actor.contained is not None:
            self._add_patient(contained_patient(decode(actor.contained, Person), self._day))
        else:
            self._add_patient(Told(unknown_patient(actor.key, actor.name)))

    def _add_patient(self, told: Told) -> None:
        self.expects_patient = True
        self.issues += told.issues
        if not self.patients or not _twice(told.entry, self.patients):
            self.patients.append(told.entry)

    def _join_practitioner(self, actor: Actor, participant: Participant) -> None:
        self._add_practitioner(self._practitioner(actor), participant)

    def _add_practitioner(self, entry: Entry, participant: Participant) -> None:
        codes = _codes(participant)
        lead = 2 if "PPRF" in codes else int(participant.required in (True, "required"))
        same = next((one for one in self.practitioners if _alike(one, entry)), None)
        if same is None:
            self.practitioners.append(entry)
            same = entry
        if lead > self._lead:
            self._lead = lead
            for one in self.practitioners:
                one["primary"] = one is same

    def _practitioner(self, actor: Actor) -> Entry:
        if actor.kind == "PractitionerRole":
            return self._by_role(actor)
        if actor.met is not None:
            return practitioner(actor.met, self._day)
        if actor.contained is not None:
            person = decode(actor.contained, Person)
            return practitioner_of(None, person, (), None, self._day)
        return self._named(actor)

    def _named(self, actor: Actor) -> Entry:
        """Return a practitioner of whom the appointment itself says all that is known."""
        given = self._by_display.get(fold(actor.name)) if actor.name else None
        if given is None:
            self._trouble(actor, "practitioner")
            # A name can be told from others and written into settings; a made-up key cannot.
            known = None if actor.trouble != _UNRESOLVED and actor.name else actor.key
            return unknown_practitioner(known, actor.name)
        met = self._found.find(given)
        if met is not None and met.content and met.type in _PRACTITIONERS:
            return practitioner(met, self._day)
        return unknown_practitioner(given, actor.name)

    def _by_role(self, actor: Actor) -> Entry:
        raw = actor.met.content if actor.met else actor.contained
        if raw is None:
            return self._named(actor)
        role = decode(raw, Role)
        for one in role.location:
            self._place_besides(one)
        # What stands within a role of its own is not what stands within this appointment.
        written = role.practitioner.reference if role.practitioner else None
        if role.practitioner is None or (actor.met and written and written[0] == "#"):
            entry = unknown_practitioner(actor.key, actor.name)
            entry["specialty"] = specialty_of(role.specialty)
            return entry
        who = self._actor(role.practitioner)
        who.kind = who.kind or "Practitioner"
        who.name = who.name or actor.name
        return at_work(self._practitioner_in_role(who), role, self._day)

    def _practitioner_in_role(self, who: Actor) -> Entry:
        if who.kind not in _PRACTITIONERS:  # a role of a role, or of a patient, leads nowhere
            return self._named(who)
        return self._practitioner(who)

    def _join_location(self, actor: Actor) -> None:
        where = self._place(actor)
        if where is None:
            self._trouble(actor, "location")
            where = Place(actor.key if actor.trouble == _UNRESOLVED else None, actor.name)
        self.place = self.place or where

    def _place(self, actor: Actor) -> Place | None:
        if actor.met is not None:
            return place(actor.met)
        if actor.contained is not None:
            return place_of(None, decode(actor.contained, Location))
        return None

    def _place_besides(self, reference: Reference) -> None:
        """Remember where a role or a service is, for an appointment that names no place itself."""
        if self._other_place is None:
            actor = self._actor(reference)
            if actor.kind == "Location":
                self._other_place = self._place(actor)

    def _join_service(self, actor: Actor) -> None:
        raw = actor.met.content if actor.met else actor.contained
        if raw is None:
            self.service = self.service or actor.name
            return
        service = decode(raw, Service)
        if actor.met is not None:
            self.services.append(service)
            self.service = self.service or service.name or label_of_any(service.type)
        for one in service.location:
            self._place_besides(one)


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


def _codes(participant: Participant) -> list[str]:
    return [one.code for kind in participant.type for one in kind.coding if one.code]


def _kind_in(address: str) -> str:
    """Return the type of a resource at `https://…/Patient/5`."""
    parts = address.split("/")
    return parts[-2] if len(parts) > 1 else ""


def _twice(entry: Entry, entries: list[Entry]) -> bool:
    return any(_alike(one, entry) for one in entries)


def _alike(one: Entry, other: Entry) -> bool:
    if one["key"] or other["key"]:
        return bool(one["key"] == other["key"])
    return bool(one["name"] == other["name"] and one["phone"] == other["phone"])
