"""The values that travel down the line: what a visit is, whoever it came from.

All are frozen `msgspec.Struct`s: cheap to make (a first load makes a million) and encodable as they
stand, so the store keeps exactly what the line saw. Instants are aware UTC datetimes; the IANA zone
that gives them a wall-clock reading travels beside them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from enum import StrEnum

import msgspec


class Status(StrEnum):
    """Where a visit stands, in words that every source's own are translated into."""

    PROPOSED = "proposed"
    PENDING = "pending"
    WAITLIST = "waitlist"
    BOOKED = "booked"
    ARRIVED = "arrived"
    CHECKED_IN = "checked_in"
    IN_PROGRESS = "in_progress"
    FULFILLED = "fulfilled"
    CANCELLED = "cancelled"
    NO_SHOW = "no_show"
    ENTERED_IN_ERROR = "entered_in_error"
    UNKNOWN = "unknown"

    @property
    def on_calendar(self) -> bool:
        """Whether a doctor should see the visit (a no-show keeps its place in the past day)."""
        return self in _ON_CALENDAR

    @property
    def reminds(self) -> bool:
        """Whether people are still to be told about the visit beforehand."""
        return self is Status.BOOKED

    @property
    def called_off(self) -> bool:
        """Whether the visit will not take place."""
        return self in (Status.CANCELLED, Status.ENTERED_IN_ERROR)


_ON_CALENDAR = frozenset(
    {
        Status.PENDING,
        Status.BOOKED,
        Status.ARRIVED,
        Status.CHECKED_IN,
        Status.IN_PROGRESS,
        Status.FULFILLED,
        Status.NO_SHOW,
    }
)


class Modality(StrEnum):
    """How patient and practitioner meet."""

    IN_PERSON = "in_person"
    VIDEO = "video"
    PHONE = "phone"
    UNKNOWN = "unknown"


class Kind(StrEnum):
    """A visit has a patient; a block only keeps time free and is told to nobody."""

    VISIT = "visit"
    BLOCK = "block"


class Channel(StrEnum):
    """A way to reach a person."""

    SMS = "sms"
    WHATSAPP = "whatsapp"
    EMAIL = "email"


class Issue(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something odd about a record that did not stop it: a code, the field, never the value."""

    code: str
    field: str | None = None
    detail: str | None = None


class ContactPoint(msgspec.Struct, frozen=True):
    """One address of a person on one channel: E.164 for sms and whatsapp, an addr-spec for email."""

    channel: Channel
    address: str


class Guardian(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who is addressed in a minor's place; named only where there is a way to reach them."""

    name: str | None = None
    phone: str | None = None
    email: str | None = None
    language: str | None = None


class Patient(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who is to come. `phone` is E.164, `language` a BCP 47 tag, `timezone` an IANA name.

    `opted_in` and `opted_out` are the channels that the source says they agreed to or refused; `test`
    marks a record that stands for nobody. `birth_date` is kept only beside a `guardian`, or
    where there is no way to reach anybody, as nothing else asks for it.
    """

    key: str
    name: str | None = None
    phone: str | None = None
    email: str | None = None
    language: str | None = None
    preferred_channel: str | None = None
    timezone: str | None = None
    deceased: bool = False
    opted_in: tuple[Channel, ...] = ()
    opted_out: tuple[Channel, ...] = ()
    test: bool = False
    guardian: Guardian | None = None
    birth_date: date | None = None


class Practitioner(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who is to be visited; exactly one of a visit's practitioners is the primary one."""

    key: str
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    specialty: str | None = None
    primary: bool = True


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the visit takes place."""

    key: str | None = None
    name: str | None = None
    address: str | None = None


class Appointment(msgspec.Struct, frozen=True, omit_defaults=True):
    """One visit as its source tells it, in our words.

    `start` is None for a visit that is not scheduled yet: it is kept, and goes nowhere.
    `call_in` is the number to dial for a phone visit; without one the clinic calls.
    `end_inferred` says that the end was computed from a duration or a default.
    """

    source: str
    key: str
    status: Status
    timezone: str
    start: datetime | None = None
    end: datetime | None = None
    end_inferred: bool = False
    kind: Kind = Kind.VISIT
    modality: Modality = Modality.IN_PERSON
    join_url: str | None = None
    join_url_practitioner: str | None = None
    patients: tuple[Patient, ...] = ()
    practitioners: tuple[Practitioner, ...] = ()
    location: Place | None = None
    service: str | None = None
    notes: str | None = None
    status_raw: str | None = None
    issues: tuple[Issue, ...] = ()
    call_in: str | None = None

    @property
    def primary(self) -> Practitioner | None:
        """The practitioner whose visit it is."""
        for one in self.practitioners:
            if one.primary:
                return one
        return self.practitioners[0] if self.practitioners else None


# The canonical JSON of a visit, and back: equal bytes mean an equal visit.
encode: Callable[[Appointment], bytes] = msgspec.json.Encoder(order="deterministic").encode
decode: Callable[[bytes | str], Appointment] = msgspec.json.Decoder(Appointment).decode
