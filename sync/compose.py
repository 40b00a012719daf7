"""Makes a message that is due: which person it is for, and what it says to them, on fresh data."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clinicrelay.actions import MessageKind, Role, Say, Told
from clinicrelay.contracts import Attachment, Message
from clinicrelay.model import Appointment, Channel, Patient, Practitioner
from sync import alerts, digest

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.gate import Go
    from sync.store.said import Due
    from sync.store.wakes import Woken
    from sync.together import Other
    from sync.words import Rendered


@dataclass(frozen=True, slots=True)
class Fresh:
    """A visit as it stands at this moment, and who was told what of it."""

    woken: Woken
    visit: Appointment
    told: dict[str, Told]


def person_of(clinic: Clinic, say: Say, fresh: Fresh | None) -> Patient | Practitioner | None:
    """Return whom a message is for, the way settings name and reach them; None: nobody any more."""
    if say.role is Role.STAFF:
        return alerts.person(clinic, say)
    key = say.recipient.partition("/")[2]
    if say.role is Role.PATIENT:
        patients = fresh.visit.patients if fresh else ()
        found = next((p for p in patients if p.key == key), None)
        return clinic.as_reached(found, fresh.visit) if found and fresh else None
    visits = [fresh.visit] if fresh else digest.known_from(clinic, say)
    return next(
        (
            clinic.as_named(visit.source, p)
            for visit in visits
            for p in visit.practitioners
            if p.key == key
        ),
        None,
    )


def addresses_of(person: Patient | Practitioner | None) -> dict[Channel, str | None]:
    """Return how a person is reached on each channel."""
    return {
        Channel.EMAIL: person.email if person else None,
        Channel.SMS: person.phone if person else None,
        Channel.WHATSAPP: person.phone if person else None,
    }


def message_of(
    clinic: Clinic,
    due: Due,
    fresh: Fresh | None,
    person: Patient | Practitioner | None,
    go: Go,
    attempt: str,
    *,
    shared: Collection[str] = (),
    others: Sequence[Other] = (),
) -> Message:
    """Return the message as it is to leave, in the person's language, on the way it goes.

    `shared` are the telephone numbers that several patients have, `others` the visits told beside
    the message's own.
    """
    from sync.wording import invitation, text_facts
    from sync.words.templates import name_of

    say = due.say
    if say.role is Role.STAFF:
        return alerts.message(clinic, due, go, attempt)
    visits = [] if fresh else digest.visits_of(clinic, say)
    news = [] if fresh else digest.news_of(clinic, say)
    patient = person if isinstance(person, Patient) else None
    visit, named = fresh.visit if fresh else None, _names_whom(clinic, patient, shared)
    facts = text_facts(clinic, say, visit, person, visits, news, named, others)
    template = name_of(say.kind, say.role)
    wanted = patient.language if patient and patient.language else clinic.words.default
    language = clinic.notifier(go.notifiers[0]).language(template, wanted)
    words: Rendered = clinic.words.render(say.kind, say.role, go.channel, language, facts)
    attached: tuple[Attachment, ...] = ()
    if (
        say.invite
        and go.channel is Channel.EMAIL
        and fresh
        and say.kind is not MessageKind.REMINDER
    ):
        attached = (invitation(clinic, say, fresh.woken, fresh.visit, go, words),)
    return Message(
        id=attempt,
        channel=go.channel,
        to=go.address,
        text=words.text,
        html=words.html,
        subject=words.subject,
        language=words.locale or words.language,
        kind=say.kind.value,
        attachments=attached,
        useless_after=say.useless_after,
        written_at=clinic.now,
        template=template,
        values=words.values,
    )


def _names_whom(clinic: Clinic, patient: Patient | None, shared: Collection[str]) -> bool:
    """Whether an SMS to a patient says by first name whom it is for."""
    rules = clinic.settings.reminders.patient
    if patient is None or rules is None or rules.name_in_sms == "never":
        return False
    others_read_it = patient.guardian is not None or patient.phone in shared
    return rules.name_in_sms == "always" or others_read_it
