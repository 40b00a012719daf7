"""Who takes part in an appointment, and where it is."""

from __future__ import annotations

from collections.abc import Mapping

from clinicrelay.model import Issue
from clinicrelay.paths import fold
from connectors.fhir.actors import UNRESOLVED, Actor, Actors, codes_of, role_of
from connectors.fhir.contacts import label_of_any
from connectors.fhir.elements import Participant, Reference
from connectors.fhir.found import Found
from connectors.fhir.people import (
    Doctor,
    Entry,
    Place,
    Told,
    at_work,
    contained_patient,
    doctor,
    patient,
    place,
    place_of,
    practitioner,
    practitioner_of,
    specialty_of,
    unknown_patient,
    unknown_practitioner,
)
from connectors.fhir.resources import (
    Appointment,
    Location,
    Person,
    Role,
    Service,
    decode,
    head_of,
)

_PRACTITIONERS = frozenset({"Practitioner", "Person"})
_REQUIRED = (True, "required")
_GROUP = Issue("group_not_read", "patient")


class Cast:
    """The people, the place and the services of one appointment; `issues` gather on the way."""

    place: Place | None = None
    service: str | None = None
    expects_patient = False
    _other_place: Place | None = None
    _leader: Doctor | None = None
    _lead = 0
    _stranger: Actor | None = None

    def __init__(self, visit: Appointment, found: Found, by_display: Mapping[str, str]) -> None:
        self._visit = visit
        self._found = found
        self._by_display = by_display
        self._day = (visit.start or "")[:10]
        self._actors = Actors(visit, found)
        self.issues: list[Issue] = []
        self.patients: list[Entry] = []
        self._doctors: list[Doctor] = []
        self.services: list[Service] = []
        for raw in self._actors.contained.values():
            if head_of(raw).type == "HealthcareService":  # Cerner's meeting rooms
                self.services.append(decode(raw, Service))
        self._gather()

    @property
    def practitioners(self) -> list[Entry]:
        """Whoever treats: one of them is primary, who leads or else is named first."""
        lead = self._leader or (self._doctors[0] if self._doctors else None)
        return [one.primary if one is lead else one.besides for one in self._doctors]

    def _gather(self) -> None:
        made_of = self._found.made_of
        for participant in self._visit.participant:
            reference = participant.actor
            if reference is None:
                continue
            # Most are known from another visit, and of those nothing is looked at again.
            known = made_of(reference.reference) if reference.reference else None
            if type(known) is Told:
                self._add_patient(known)
            elif type(known) is Doctor:
                self._add_practitioner(known, participant)
            elif type(known) is Place:
                self.place = self.place or known
            else:
                self._join(reference, participant)
        subject = self._visit.subject
        if subject is not None and not self.patients:
            self._join(subject, Participant())
        for kind in self._visit.service_type:
            if kind.reference is not None:  # R5
                self._join_service(self._actors.of(kind.reference))
        if self._stranger is not None and not self.expects_patient:
            self._join_patient(self._stranger)
        self.place = self.place or self._other_place

    def _join(self, reference: Reference, participant: Participant) -> None:
        actor = self._actors.of(reference)
        role = role_of(actor, participant, self._by_display)
        if role == "patient":
            self._join_patient(actor)
        elif role == "practitioner":
            self._add_practitioner(self._practitioner(actor), participant)
        elif role == "location":
            self._join_location(actor)
        elif role == "service":
            self._join_service(actor)
        elif role == "group":
            self.expects_patient = True
            self.issues.append(_GROUP)
        elif actor.is_a_number:
            # Whom nothing but a number names is the patient where nobody else is: a visit must not
            # turn into a block, and to a mere number nothing can be sent by mistake.
            self._stranger = self._stranger or actor

    # --- patients --------------------------------------------------------------------------

    def _join_patient(self, actor: Actor) -> None:
        self.issues += actor.issues("patient")
        if actor.met is not None:
            self._add_patient(patient(actor.met, self._found, self._day))
        elif actor.contained is not None:
            self._add_patient(contained_patient(decode(actor.contained, Person), self._day))
        else:
            self._add_patient(Told(unknown_patient(actor.key, actor.name)))

    def _add_patient(self, told: Told) -> None:
        self.expects_patient = True
        if told.issues:
            self.issues += told.issues
        if not self.patients or not any(_alike(one, told.entry) for one in self.patients):
            self.patients.append(told.entry)

    # --- practitioners ---------------------------------------------------------------------

    def _add_practitioner(self, given: Doctor, participant: Participant) -> None:
        for one in self._doctors:
            if _alike(one.besides, given.besides):
                given = one
                break
        else:
            self._doctors.append(given)
        lead = int(participant.required in _REQUIRED)
        if participant.type and "PPRF" in codes_of(participant):
            lead = 2
        if lead > self._lead:
            self._lead, self._leader = lead, given

    def _practitioner(self, actor: Actor) -> Doctor:
        if actor.kind == "PractitionerRole":
            return self._by_role(actor)
        if actor.met is not None:
            return practitioner(actor.met, self._day)
        if actor.contained is not None:
            person = decode(actor.contained, Person)
            return doctor(practitioner_of(None, person, (), None, self._day))
        return self._named(actor)

    def _named(self, actor: Actor) -> Doctor:
        """Return a practitioner of whom the appointment itself says all that is known."""
        given = self._by_display.get(fold(actor.name)) if actor.name else None
        if given is None:
            self.issues += actor.issues("practitioner")
            # A name can be told from others and written into settings; a made-up key cannot.
            known = None if actor.trouble != UNRESOLVED and actor.name else actor.key
            return doctor(unknown_practitioner(known, actor.name))
        met = self._found.find(given)
        if met is not None and met.content and met.type in _PRACTITIONERS:
            return practitioner(met, self._day)
        return doctor(unknown_practitioner(given, actor.name))

    def _by_role(self, actor: Actor) -> Doctor:
        raw = actor.content
        if raw is None:
            return self._named(actor)
        role = decode(raw, Role)
        for one in role.location:
            self._place_besides(one)
        # What stands within a role of its own is not what stands within this appointment.
        written = role.practitioner.reference if role.practitioner else None
        if role.practitioner is None or (actor.met and written and written[0] == "#"):
            entry = unknown_practitioner(actor.key, actor.name)
            return doctor(entry | {"specialty": specialty_of(role.specialty)})
        who = self._actors.of(role.practitioner)
        who.kind = who.kind or "Practitioner"
        who.name = who.name or actor.name
        return at_work(self._practitioner_in_role(who), role, self._day)

    def _practitioner_in_role(self, who: Actor) -> Doctor:
        if who.kind not in _PRACTITIONERS:  # a role of a role, or of a patient, leads nowhere
            return self._named(who)
        return self._practitioner(who)

    # --- places and services ---------------------------------------------------------------

    def _join_location(self, actor: Actor) -> None:
        where = _place(actor)
        if where is None:
            self.issues += actor.issues("location")
            where = Place(actor.key if actor.trouble == UNRESOLVED else None, actor.name)
        self.place = self.place or where

    def _place_besides(self, reference: Reference) -> None:
        """Remember where a role or a service is, for an appointment that names no place itself."""
        if self._other_place is None:
            actor = self._actors.of(reference)
            if actor.kind == "Location":
                self._other_place = _place(actor)

    def _join_service(self, actor: Actor) -> None:
        raw = actor.content
        if raw is None:
            self.service = self.service or actor.name
            return
        service = decode(raw, Service)
        if actor.met is not None:
            self.services.append(service)
            self.service = self.service or service.name or label_of_any(service.type)
        for one in service.location:
            self._place_besides(one)


def _place(actor: Actor) -> Place | None:
    if actor.met is not None:
        return place(actor.met)
    if actor.contained is not None:
        return place_of(None, decode(actor.contained, Location))
    return None


def _alike(one: Entry, other: Entry) -> bool:
    if one["key"] or other["key"]:
        return bool(one["key"] == other["key"])
    return bool(one["name"] == other["name"] and one["phone"] == other["phone"])
