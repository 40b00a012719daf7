"""What a message is told about a visit, before it is put into words: facts in, nothing decided."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from clinicrelay import ical
from clinicrelay.actions import Facts, MessageKind, Role, Say
from clinicrelay.contracts import Attachment, EventWrite
from clinicrelay.model import Appointment, Modality, Patient, Practitioner
from clinicrelay.times import parse_span
from sync.store.wakes import Woken
from sync.words.facts import (
    DigestChange,
    DigestLine,
    Other,
    TextFacts,
    one_line,
    web_link,
)
from sync.words.names import first_name
from sync.words.titles import initials

if TYPE_CHECKING:
    from sync import together
    from sync.clinic import Clinic
    from sync.digest import News
    from sync.gate import Go
    from sync.words import Rendered


def text_facts(
    clinic: Clinic,
    say: Say,
    visit: Appointment | None,
    person: Patient | Practitioner | None,
    visits: Sequence[Woken],
    news: Sequence[News] = (),
    names_whom: bool = False,
    others: Sequence[together.Other] = (),
) -> TextFacts:
    """Return all that a text may be made of; `visits` and `news` are those of a digest."""
    start = say.facts.start
    if say.kind is MessageKind.CANCELLATION and say.before is not None:
        start = say.before.start  # the time that the person has in mind
    assert start is not None
    return TextFacts(
        at=clinic.now,
        start=start,
        timezone=visit.timezone if visit else clinic.zone,
        end=visit.end if visit else None,
        modality=say.facts.modality,
        place=say.facts.place,
        join_url=_link(say, visit),
        call_in=say.facts.call_in,
        practitioner_name=_practitioner(clinic, visit, person),
        first_name=first_name(person.name) if isinstance(person, Patient) else None,
        names_whom=names_whom,
        others=tuple(Other(one.start, one.practitioner) for one in others),
        recipient_timezone=(person.timezone if isinstance(person, Patient) else None)
        or clinic.zone,
        kind_of_change=_changes(say),
        before_start=say.before.start if say.before else None,
        before_place=say.before.place if say.before else None,
        before_modality=say.before.modality if say.before else None,
        reminded_again=_is_reminded_again(clinic, say),
        visits=tuple(_digest_line(woken.visit) for woken in visits),
        changed=tuple(DigestChange(one.what, _digest_line(one.visit), one.before) for one in news),
    )


def invitation(
    clinic: Clinic,
    say: Say,
    woken: Woken,
    visit: Appointment,
    go: Go,
    words: Rendered,
) -> Attachment:
    """Return the calendar part of a mail: the same UID for ever, a sequence that only grows.

    Its organizer is whom people answer: the clinic, else the address that the mail is from.

    RFC 5546: a CANCEL carries the UID of the REQUEST and a higher SEQUENCE.
    """
    from sync.words.titles import invitation_link, invitation_number, invitation_text

    off = say.kind is MessageKind.CANCELLATION
    facts = clinic.settings.clinic.facts()
    link, number = ("", "") if off else (invitation_link(visit), invitation_number(visit))
    title, description, location = invitation_text(visit, facts, words.language, link, number)
    start = (say.before.start if off and say.before else None) or visit.start
    assert start is not None
    method = ical.Method.CANCEL if off else ical.Method.REQUEST
    event = EventWrite(
        ref="",
        put=not off,
        start=start,
        end=visit.end if visit.end and visit.end > start else start + timedelta(minutes=30),
        timezone=visit.timezone,
        title=title,
        description=description,
        location=location,
        sequence=woken.version,
        written_at=clinic.now,
    )
    uid = f"{clinic.opaque('invitation', woken.source, woken.source_key)}@{facts.id}.clinicrelay"
    mailbox = facts.email or clinic.notifier(go.notifiers[0]).mailbox
    organizer = ical.Person(mailbox or f"noreply@{facts.id}.invalid", facts.name)
    content = ical.invite(
        event,
        uid,
        organizer=organizer,
        attendee=ical.Person(go.address),
        method=method,
        url=link,
    )
    return Attachment("invite.ics", f"text/calendar; method={method.value}", content)


def _is_reminded_again(clinic: Clinic, say: Say) -> bool:
    """Whether a nearer reminder is to come, which may show what a patient joins the visit by."""
    rules, start = clinic.settings.reminders.patient, say.facts.start
    if rules is None or start is None or say.role is not Role.PATIENT:
        return False
    lead = parse_span(say.step).length if say.kind is MessageKind.REMINDER else None
    return any(
        (lead is None or step.before.length < lead) and start - step.before.length > clinic.now
        for step in rules.steps
    )


def _practitioner(
    clinic: Clinic, visit: Appointment | None, person: Patient | Practitioner | None
) -> str | None:
    """Return whom a patient visits; a doctor reads their own name, also where a colleague leads."""
    if isinstance(person, Practitioner):
        return person.name
    doctor = visit.primary if visit else None
    return clinic.as_named(visit.source, doctor).name if visit and doctor else None


def _link(say: Say, visit: Appointment | None) -> str | None:
    """Patient and practitioner join by links of their own; one is never given the other's."""
    if say.role is Role.DOCTOR:
        return visit.join_url_practitioner if visit else None
    return say.facts.join_url


def _way_in(facts: Facts) -> str:
    """Return what a patient joins a video visit or a phone visit by, if it is known."""
    if facts.modality is Modality.VIDEO:
        return web_link(facts.join_url)
    return one_line(facts.call_in) if facts.modality is Modality.PHONE else ""


def _changes(say: Say) -> Collection[str]:
    before, now = say.before, say.facts
    if say.kind is not MessageKind.CHANGE or before is None:
        return frozenset()
    if not before.on:
        return {"reinstated"}
    differing = {
        "time": before.start != now.start,
        "place": now.place not in (None, "", before.place) or before.modality != now.modality,
        "link": _way_in(now) not in ("", _way_in(before)),
        "practitioner": before.practitioner != now.practitioner,
    }
    return {name for name, differs in differing.items() if differs}


def _digest_line(visit: Appointment) -> DigestLine:
    assert visit.start is not None
    name = visit.patients[0].name if len(visit.patients) == 1 else None
    return DigestLine(visit.start, visit.modality, initials(name or ""))
