"""FHIR's JSON as far as it is used: one tolerant shape for STU3, R4, R4B and R5.

Only fields that mean something to a visit are decoded; all others cost no more than being skipped.
What one version calls differently stands beside the other's name. A resource in which something has
the wrong type is decoded a second time, field by field, so that only what is wrong is lost (F-02).
"""

from __future__ import annotations

import json
import re
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct, field

from connectors.fhir.lenient import fitted, loose

_TYPE = re.compile(r"[A-Z][A-Za-z]{1,48}", re.ASCII)

Kind = TypeVar("Kind", bound=Struct)


class NotABundle(ValueError):
    """What came is something else; the text says what, without any of its data."""


# --- parts ---------------------------------------------------------------------------------------


class Coding(Struct, gc=False):
    """A code of a code system."""

    system: str | None = None
    code: str | None = None
    display: str | None = None


class Identifier(Struct, gc=False):
    """A business identifier, such as a visit number or a medical record number."""

    system: str | None = None
    value: str | None = None
    type: Concept | None = None


class Reference(Struct, gc=False):
    """What leads to another resource: by address, by business identifier, or by name alone."""

    reference: str | None = None
    type: str | None = None
    display: str | None = None
    identifier: Identifier | None = None


class Concept(Struct, gc=False):
    """A CodeableConcept; R5 puts one, or a reference, into a CodeableReference."""

    coding: tuple[Coding, ...] = ()
    text: str | None = None
    concept: Concept | None = None
    reference: Reference | None = None


class Period(Struct, gc=False):
    """From when to when; both ends belong to it and may be as coarse as a year."""

    start: str | None = None
    end: str | None = None


class ContactPoint(Struct, gc=False):
    """A phone number, an e-mail address, a link …"""

    system: str | None = None
    value: str | None = None
    use: str | None = None
    rank: int | None = None
    period: Period | None = None


class Extension(Struct, gc=False, rename="camel"):
    """What a profile or a vendor added."""

    url: str | None = None
    extension: tuple[Extension, ...] = ()
    value_code: str | None = None
    value_string: str | None = None
    value_url: str | None = None
    value_uri: str | None = None
    value_contact_point: ContactPoint | None = None


class Extended(Struct, gc=False):
    """The extensions of a primitive value, such as `_start`."""

    extension: tuple[Extension, ...] = ()


class Participant(Struct, gc=False):
    """Who or what takes part; `required` is a code up to R4 and a boolean from R5 on."""

    actor: Reference | None = None
    type: tuple[Concept, ...] = ()
    required: bool | str | None = None


class VirtualService(Struct, gc=False, rename="camel"):
    """R5: how to join a call."""

    channel_type: Coding | None = None
    address_url: str | None = None
    address_string: str | None = None
    address_contact_point: ContactPoint | None = None


class Annotation(Struct, gc=False):
    """R5: a note; its author and time are not used."""

    text: str | None = None


class HumanName(Struct, gc=False):
    """A name in its parts, as whole text, or both."""

    use: str | None = None
    text: str | None = None
    family: str | None = None
    given: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()
    suffix: tuple[str, ...] = ()
    period: Period | None = None


class Address(Struct, gc=False, rename="camel"):
    """A postal address."""

    text: str | None = None
    line: tuple[str, ...] = ()
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None


class Spoken(Struct, gc=False):
    """A language that somebody speaks."""

    language: Concept | None = None
    preferred: bool | None = None


class Linked(Struct, gc=False):
    """Another record of the same person."""

    other: Reference | None = None
    type: str | None = None


class Contact(Struct, gc=False):
    """R5's ExtendedContactDetail."""

    telecom: tuple[ContactPoint, ...] = ()


# --- resources -----------------------------------------------------------------------------------


class Appointment(Struct, gc=False, rename="camel"):
    """An appointment of any version."""

    id: str | None = None
    status: str | None = None
    identifier: tuple[Identifier, ...] = ()
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
    deceased_boolean: bool | None = None
    deceased_date_time: str | None = None
    link: tuple[Linked, ...] = ()


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


# --- bundles -------------------------------------------------------------------------------------


class Link(Struct, gc=False):
    """Where else to look: next, self …"""

    relation: str = ""
    url: str = ""


class _Search(Struct, gc=False):
    mode: str | None = None


class _Request(Struct, gc=False):
    method: str | None = None
    url: str | None = None


class _Response(Struct, gc=False, rename="camel"):
    last_modified: str | None = None


class Entry(Struct, gc=False, rename="camel"):
    """One resource of a Bundle, as it came; `resource` is empty where there is none."""

    full_url: str | None = None
    resource: Raw = Raw()
    search: _Search | None = None
    request: _Request | None = None
    response: _Response | None = None

    @property
    def mode(self) -> str | None:
        """Why it is there: match, include, outcome, or not said."""
        return self.search.mode if self.search else None

    @property
    def method(self) -> str | None:
        """What was done to it, in a history."""
        return self.request.method if self.request else None

    @property
    def url(self) -> str | None:
        """What it was done to, in a history."""
        return self.request.url if self.request else None

    @property
    def changed(self) -> str | None:
        """When it was done, in a history."""
        return self.response.last_modified if self.response else None


class Bundle(Struct, gc=False, rename={"links": "link", "entries": "entry", "kind": "type"}):
    """A page of a search or a history."""

    links: tuple[Link, ...] = ()
    entries: list[Entry] = []
    total: int | None = None
    kind: str | None = None
    meta: Meta | None = None
    resourceType: str | None = None  # noqa: N815 - as it is called in JSON

    @property
    def updated(self) -> str | None:
        """The server's own clock, where it tells it."""
        return self.meta.last_updated if self.meta else None


class _Outline(Struct, gc=False):
    entry: list[Raw] = []


_bundle = msgspec.json.Decoder(Bundle).decode
_head = msgspec.json.Decoder(Head).decode
_outline = msgspec.json.Decoder(_Outline).decode


def read_bundle(content: bytes) -> Bundle:
    """Return a Bundle whose resources are not decoded yet. Raises NotABundle."""
    try:
        found = _bundle(content)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        found = _odd_bundle(content)
    if found.resourceType != "Bundle":
        raise NotABundle(_what(found.resourceType))
    return found


def _odd_bundle(content: bytes) -> Bundle:
    """Read a Bundle of which something has the wrong type; each entry stands for itself."""
    try:
        rest = loose(content)
    except ValueError:
        raise NotABundle("no JSON") from None
    kind = rest.get("resourceType") if isinstance(rest, dict) else None
    if kind != "Bundle":
        raise NotABundle(_what(kind))
    given = rest.pop("entry", [])
    if not isinstance(given, list):
        raise NotABundle("a Bundle without a list of entries")
    found = fitted(rest, Bundle)
    found.entries = [decode(entry, Entry) for entry in _entries(content, given)]
    return found


def _entries(content: bytes, given: list[Any]) -> list[Raw]:
    """Return the entries as they were written, where that can be told."""
    try:
        return _outline(content).entry
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return [Raw(json.dumps(one).encode()) for one in given]


def _what(kind: object) -> str:
    if not isinstance(kind, str) or not _TYPE.fullmatch(kind):
        return "JSON that is no resource"
    return f"{'an' if kind[0] in 'AEIOU' else 'a'} {kind}"


def head_of(raw: Raw | bytes) -> Head:
    """Return type, id, version and age of a resource. Raises ValueError for what is none."""
    try:
        found = _head(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        found = _loosely(raw, Head)
    if not found.resource_type:
        raise ValueError("JSON that is no resource")
    return found


_decoders: dict[type[Struct], Any] = {
    kind: msgspec.json.Decoder(kind).decode
    for kind in (Appointment, Person, Role, Location, Service, Entry)
}


def decode(raw: Raw | bytes, kind: type[Kind]) -> Kind:
    """Return a resource as one of the shapes above; what does not fit is left out, and only that.

    Raises ValueError for what is no JSON object at all.
    """
    try:
        found: Kind = _decoders[kind](raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _loosely(raw, kind)
    return found


def _loosely(raw: Raw | bytes, kind: type[Kind]) -> Kind:
    given = loose(raw)
    if kind is Entry and not isinstance(given, dict):
        return kind()
    if not isinstance(given, dict):
        raise ValueError("JSON that is no resource")
    try:
        return fitted(given, kind)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None
