"""What was seen to change, what is owed because of it, and what somebody was last told."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import TypeAlias

import msgspec

from clinicrelay.model import Appointment, Channel, Modality


class What(StrEnum):
    """A typed difference between what was kept and what came; reassigned: another doctor or patient."""

    BOOKED = "booked"
    RESCHEDULED = "rescheduled"
    RELOCATED = "relocated"
    REASSIGNED = "reassigned"
    STATUS = "status"
    CANCELLED = "cancelled"
    REINSTATED = "reinstated"
    DETAILS = "details"
    GONE = "gone"


class MessageKind(StrEnum):
    """What a message is for; also the first part of its template's name."""

    CONFIRMATION = "confirmation"
    REMINDER = "reminder"
    CHANGE = "change"
    CANCELLATION = "cancellation"
    DIGEST = "digest"
    ALERT = "alert"


class Role(StrEnum):
    PATIENT = "patient"
    DOCTOR = "doctor"
    STAFF = "staff"


class Facts(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that a message about a visit depends on; when it differs from what was told, tell.

    `on` is false once the visit will not take place (cancelled or gone). `place` is empty where the
    source says that there is one and not how people call it: a key would mean nothing to them.
    """

    on: bool
    start: datetime | None = None
    modality: Modality = Modality.IN_PERSON
    place: str | None = None
    join_url: str | None = None
    practitioner: str | None = None
    call_in: str | None = None

    @property
    def hash(self) -> str:
        """A short fingerprint; part of the key that makes a second identical message impossible."""
        return sha256(msgspec.json.encode(self)).hexdigest()[:16]


def facts_of(visit: Appointment, *, gone: bool = False) -> Facts:
    """Return what people need to know of a visit as it stands."""
    place = visit.location
    doctor = visit.primary
    return Facts(
        on=not gone and not visit.status.called_off and visit.start is not None,
        start=visit.start,
        modality=visit.modality,
        place=(place.name or place.address or "") if place else None,
        join_url=visit.join_url,
        practitioner=doctor.key if doctor else None,
        call_in=visit.call_in,
    )


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one person was last told about one visit.

    `by` is None where they know it without us: an import counts as told, and a visit whose
    confirmation reached nobody is known to whoever booked it.
    """

    facts: Facts
    at: datetime
    by: str | None = None
    channel: Channel | None = None
    kind: MessageKind | None = None

    @property
    def unconfirmed(self) -> bool:
        """Whether a confirmation was owed and reached nobody; it still is, once there is a way."""
        return self.by is None and self.kind is MessageKind.CONFIRMATION


INVITATION = "invitation"  # the step of news that go by e-mail only for the calendar's sake


class Say(msgspec.Struct, frozen=True, omit_defaults=True):
    """Somebody is owed a message: what about, from when, until when, and which setting says so.

    `recipient` is `patient/KEY`, `doctor/KEY` or `staff/ADDRESS`. `skip` carries the reason code
    when the decision is that nothing will be said; it is kept all the same, so that it can be
    explained. `step` is that of a reminder, or `INVITATION`. `repeated` says that it may have
    arrived before, which nobody can prove. `about` is the number of an alert's episode (see
    `sync.alerts`).
    """

    kind: MessageKind
    role: Role
    recipient: str
    facts: Facts
    due_at: datetime
    useless_after: datetime
    setting: str
    step: str = ""
    skip: str | None = None
    before: Facts | None = None
    invite: bool = False
    urgent: bool = False
    repeated: bool = False
    about: int | None = None


class PutEvent(msgspec.Struct, frozen=True):
    """A calendar is to show the visit."""

    calendar: str
    practitioner: str


class RemoveEvent(msgspec.Struct, frozen=True):
    """A calendar is no longer to show the visit."""

    calendar: str


Action: TypeAlias = PutEvent | RemoveEvent | Say
