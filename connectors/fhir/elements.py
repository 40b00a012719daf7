"""What resources are made of, as far as it is used: one tolerant shape for STU3, R4, R4B and R5.

Only fields that mean something to a visit are decoded; all others cost no more than being skipped.
What one version calls differently stands beside the other's name. Codes are frozen, so that what was
made of them can be remembered: they are the same in thousands of visits.
"""

from __future__ import annotations

from msgspec import Struct


class Coding(Struct, frozen=True, gc=False):
    """A code of a code system."""

    system: str | None = None
    code: str | None = None
    display: str | None = None


class Identifier(Struct, frozen=True, gc=False):
    """A business identifier, such as a visit number or a medical record number."""

    system: str | None = None
    value: str | None = None
    type: Concept | None = None


class Reference(Struct, frozen=True, gc=False):
    """What leads to another resource: by address, by business identifier, or by name alone."""

    reference: str | None = None
    type: str | None = None
    display: str | None = None
    identifier: Identifier | None = None


class Concept(Struct, frozen=True, gc=False):
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
    value_coding: Coding | None = None
    value_codeable_concept: Concept | None = None
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
    address_extended_contact_detail: Contact | None = None


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


class Labels(Struct, gc=False):
    """What a server says of a resource itself: its tags and security labels."""

    tag: tuple[Coding, ...] = ()
    security: tuple[Coding, ...] = ()


class Related(Struct, gc=False):
    """Somebody to turn to about a patient, and what they are to them."""

    relationship: tuple[Concept, ...] = ()
    name: HumanName | None = None
    telecom: tuple[ContactPoint, ...] = ()
    period: Period | None = None


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
