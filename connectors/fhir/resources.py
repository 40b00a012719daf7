"""FHIR's resources as far as they are used, and how they are decoded.

A resource in which something has the wrong type is decoded a second time, field by field, so that
only what is wrong is lost.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct, field

from connectors.fhir.elements import (
    Address,
    Annotation,
    Concept,
    Contact,
    ContactPoint,
    Extended,
    Extension,
    HumanName,
    Identifier,
    Labels,
    Linked,
    Participant,
    Reference,
    Related,
    Spoken,
    VirtualService,
)
from connectors.fhir.lenient import fitted, loose

Kind = TypeVar("Kind", bound=Struct)


class Appointment(Struct, gc=False, rename="camel"):
    """An appointment of any version."""

    id: str | None = None
    status: str | None = None
    status_more: Extended | None = field(default=None, name="_status")
    identifier: tuple[Identifier, ...] = ()
    created: str | None = None
    start: str | None = None
    end: str | None = None
    start_more: Extended | None = field(default=None, name="_start")
    minutes_duration: int | float | str | None = None
    participant: tuple[Participant, ...] = ()
    subject: Reference | None = None  # R5
    service_type: tuple[Concept, ...] = ()
    appointment_type: Concept | None = None
    specialty: tuple[Concept, ...] = ()
    cancelation_reason: Concept | None = None  # R4
    cancellation_reason: Concept | None = None  # R5
    reason_code: tuple[Concept, ...] = ()  # R4
    reason: tuple[Concept, ...] = ()  # STU3 and R5
    reason_reference: tuple[Reference, ...] = ()  # R4
    indication: tuple[Reference, ...] = ()  # STU3
    comment: str | None = None  # up to R4
    note: tuple[Annotation, ...] = ()  # R5
    virtual_service: tuple[VirtualService, ...] = ()  # R5
    class_: tuple[Concept, ...] = field(default=(), name="class")  # R5
    extension: tuple[Extension, ...] = ()
    contained: tuple[Raw, ...] = ()


class Person(Struct, gc=False, rename="camel"):
    """A Patient, Practitioner, RelatedPerson or Person."""

    id: str | None = None
    active: bool | None = None
    name: tuple[HumanName, ...] = ()
    telecom: tuple[ContactPoint, ...] = ()
    communication: tuple[Spoken, ...] = ()
    birth_date: str | None = None
    contact: tuple[Related, ...] = ()
    deceased_boolean: bool | None = None
    deceased_date_time: str | None = None
    link: tuple[Linked, ...] = ()
    meta: Labels | None = None


class Role(Struct, gc=False, rename="camel"):
    """A PractitionerRole: somebody's work for somebody, somewhere."""

    practitioner: Reference | None = None
    location: tuple[Reference, ...] = ()
    specialty: tuple[Concept, ...] = ()
    telecom: tuple[ContactPoint, ...] = ()
    contact: tuple[Contact, ...] = ()  # R5


class Location(Struct, gc=False):
    """A place."""

    name: str | None = None
    description: str | None = None
    address: Address | None = None
    extension: tuple[Extension, ...] = ()


class Service(Struct, gc=False):
    """A HealthcareService; Cerner's virtual meeting rooms are contained ones."""

    name: str | None = None
    type: tuple[Concept, ...] = ()
    telecom: tuple[ContactPoint, ...] = ()
    contact: tuple[Contact, ...] = ()  # R5
    location: tuple[Reference, ...] = ()


class Meta(Struct, gc=False, rename="camel"):
    """What a server knows of a resource's versions."""

    last_updated: str | None = None
    version_id: str | None = None


class Head(Struct, gc=False, rename="camel"):
    """What a resource is, before anybody looks further."""

    resource_type: str | None = None
    id: str | None = None
    meta: Meta | None = None

    @property
    def type(self) -> str:
        return self.resource_type or ""

    @property
    def updated(self) -> str | None:
        return self.meta.last_updated if self.meta else None

    @property
    def version(self) -> str | None:
        return self.meta.version_id if self.meta else None


_head = msgspec.json.Decoder(Head).decode


def head_of(raw: Raw | bytes) -> Head:
    """Return type, id, version and age of a resource. Raises ValueError for what is none."""
    try:
        found = _head(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        found = _loosely(raw, Head)
    if not found.resource_type:
        raise ValueError("JSON that is no resource")
    return found


@cache
def _decoder(kind: type[Struct]) -> Any:
    return msgspec.json.Decoder(kind).decode


def decode(raw: Raw | bytes, kind: type[Kind]) -> Kind:
    """Return a resource as one of the shapes above; what does not fit is left out, and only that.

    Raises ValueError for what is no JSON object at all.
    """
    try:
        found: Kind = _decoder(kind)(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _loosely(raw, kind)
    return found


def _loosely(raw: Raw | bytes, kind: type[Kind]) -> Kind:
    given = loose(raw)
    if not isinstance(given, dict):
        raise ValueError("JSON that is no resource")
    try:
        return fitted(given, kind)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None
