"""What a mapping file says, once it is read and found right: values, and nothing that runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from clinicrelay.model import Channel, Kind, Modality, Status

FLAGS: dict[str, Status] = {
    "deleted": Status.ENTERED_IN_ERROR,
    "cancelled": Status.CANCELLED,
    "no_show": Status.NO_SHOW,
    "checked_out": Status.FULFILLED,
    "in_progress": Status.IN_PROGRESS,
    "arrived": Status.ARRIVED,
    "confirmed": Status.BOOKED,
}

# Every field there is, with the type it has unless the mapping says otherwise.
FIELDS: dict[str, str] = {
    "key": "text",
    "start": "datetime",
    "end": "datetime",
    "duration": "minutes",
    "status": "text",
    **{f"status.{flag}": "bool" for flag in FLAGS},
    "timezone": "text",
    "kind": "text",
    "modality": "text",
    "join_url": "text",
    "join_url_practitioner": "text",
    "call_in": "phone",
    "service": "text",
    "notes": "text",
    "patient.key": "text",
    "patient.name": "text",
    "patient.birth_date": "text",
    "patient.phone": "phone",
    "patient.email": "email",
    "patient.language": "language",
    "patient.preferred_channel": "text",
    "patient.timezone": "text",
    "patient.deceased": "bool",
    "patient.test": "bool",
    "patient.guardian.name": "text",
    "patient.guardian.phone": "phone",
    "patient.guardian.email": "email",
    "patient.guardian.language": "language",
    **{f"patient.consent.{channel}": "bool" for channel in Channel},
    "practitioner.key": "text",
    "practitioner.name": "text",
    "practitioner.email": "email",
    "practitioner.phone": "phone",
    "practitioner.specialty": "text",
    "practitioner.primary": "bool",
    "location.key": "text",
    "location.name": "text",
    "location.address": "text",
}

# Whom a record may list several of, with `each`.
SEVERAL = ("patient", "practitioner")

# Fields whose words are ours alone; a table has to lead to one of them.
WORDS: dict[str, frozenset[str]] = {
    "status": frozenset(Status),
    "kind": frozenset(Kind),
    "modality": frozenset(Modality),
    "patient.preferred_channel": frozenset({"sms", "whatsapp", "email", "none"}),
}


@dataclass(frozen=True, slots=True)
class Name:
    """One place in a record: a column by any of its names, or a path into JSON."""

    path: str
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FirstOf:
    """The first of several origins that holds something."""

    parts: tuple[Origin, ...]


@dataclass(frozen=True, slots=True)
class Joined:
    """Several origins read as one text, what is blank left out."""

    parts: tuple[Origin, ...]
    mark: str = " "


@dataclass(frozen=True, slots=True)
class Constant:
    """The same text for every record."""

    text: str


Origin: TypeAlias = Name | FirstOf | Joined | Constant


def names_in(origin: Origin | None) -> Iterator[Name]:
    """Yield every place an origin looks at."""
    if isinstance(origin, Name):
        yield origin
    elif isinstance(origin, (FirstOf, Joined)):
        for part in origin.parts:
            yield from names_in(part)


@dataclass(frozen=True, slots=True)
class Field:
    """How one of our fields is read. `steps` are transforms with their argument, in file order."""

    name: str
    origin: Origin
    type: str = "text"
    table: Mapping[str, str] | None = None
    unknown: str = "default"
    default: str | None = None
    formats: tuple[str, ...] = ()
    zone: str | None = None
    unit: str = "minutes"
    required: bool = False
    add_minutes: int = 0
    steps: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Skip:
    """A condition under which a record is none of our business; compared folded."""

    name: Name
    equals: frozenset[str]


@dataclass(frozen=True, slots=True)
class Case:
    """A mapping's own test: what `record` must become, or the field it must be set aside for.

    With `skipped` the record must be passed over.
    """

    record: Mapping[str, Any]
    out: Mapping[str, Any] = field(default_factory=dict)
    set_aside: Mapping[str, str] | None = None
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class Context:
    """What the engine must know of the place a source speaks from.

    `timezone` is an IANA name, `country` ISO 3166 alpha-2 (for local phone numbers), `language`
    BCP 47, `default_minutes` the length of a visit that neither has an end nor a duration.
    """

    source: str
    timezone: str
    country: str
    language: str
    default_minutes: int = 30
