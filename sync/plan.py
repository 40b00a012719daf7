"""What is owed: messages as the difference between told and true, and events as they should stand.

Nothing here reacts to an occurrence. Whoever was told something that is no longer so is owed a
message; whoever was told the truth is owed nothing, however often the source repeats itself.
Everything is pure: no clock, no store, no settings beyond those passed in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from clinicrelay import times
from clinicrelay.actions import (
    Facts,
    MessageKind,
    PutEvent,
    RemoveEvent,
    Role,
    Say,
    Told,
    facts_of,
)
from clinicrelay.model import Appointment, Kind, Modality, Patient, Status

if TYPE_CHECKING:
    from clinicrelay.settings.schema import PatientReminders, Reminders

URGENT = timedelta(hours=12)
CONFIRMATION_KEEPS = timedelta(hours=24)
MINOR_MOVE = timedelta(minutes=5)

# The patient has been there, or the day has passed: messages would only puzzle.
UNDER_WAY = frozenset(
    {Status.ARRIVED, Status.CHECKED_IN, Status.IN_PROGRESS, Status.FULFILLED, Status.NO_SHOW}
)


class Seen(msgspec.Struct, frozen=True):
    """One visit as it is kept, with what every person was last told about it.

    `told` maps a recipient (`patient/KEY`, `doctor/KEY`) to what they were last told. For a visit
    that took the place of another one (`replaces`), the caller passes what was told of the old one.
    `moved_at` is when the present start was first to be told of: the visit moved, came back, or what
    was only asked for was booked; None where that was from the beginning. `imported` says that the
    visit was there before us: what it was then counts as told (see `baseline`). `live_since` says
    from when on patients and doctors are really reached, for those who are. `displaced` are those who
    were told of it and whose visit it is no longer: it was given to somebody else.
    """

    appointment: Appointment
    first_seen: datetime
    told: Mapping[str, Told] = {}
    version: int = 1
    gone: bool = False
    gone_reason: str | None = None
    imported: bool = False
    moved_at: datetime | None = None
    replaced_by: str | None = None
    replaces: str | None = None
    live_since: Mapping[Role, datetime] = {}
    displaced: Collection[str] = ()


def recipients(appointment: Appointment, role: Role) -> dict[str, str]:
    """Return who is told about a visit: recipient to the zone in which their night falls."""
    zone = appointment.timezone
    if role is Role.PATIENT:
        return {f"patient/{p.key}": p.timezone or zone for p in appointment.patients}
    return {f"doctor/{p.key}": zone for p in appointment.practitioners}


def baseline(visit: Appointment, *, gone: bool = False, now: datetime) -> dict[str, Told]:
    """Return what counts as told where nobody is to be told: at an import, or when going live.

    A visit that is only asked for, or not on at all, is not counted: its booking is news.
    """
    facts = facts_of(visit, gone=gone)
    asked_for = visit.status in (Status.PROPOSED, Status.PENDING, Status.WAITLIST)
    if not facts.on or asked_for or visit.kind is Kind.BLOCK:
        return {}
    return {recipient: Told(facts, at=now) for recipient in recipients(visit, Role.PATIENT)}


def owed(seen: Seen, reminders: Reminders, *, now: datetime) -> list[Say]:
    """Return what patients are owed at once: confirmations, changes, cancellations.

    A Say with `skip` is a decision to stay silent, kept for explanation; it must not alter what
    counts as told. Once a Say without `skip` was sent and its facts count as told, nothing is owed.
    """
    rules, visit = reminders.patient, seen.appointment
    if rules is None or visit.kind is Kind.BLOCK or visit.status in UNDER_WAY:
        return []
    facts, told = facts_of(visit, gone=seen.gone), seen.told
    here = {f"patient/{p.key}": p for p in visit.patients}
    if here.keys() == told.keys() and all(
        one.facts == facts and not one.unconfirmed for one in told.values()
    ):
        return []  # as it is for nearly every visit: all were told the truth, and nobody else
    case = _Case(seen, rules, facts, now)
    return [*_owed_to_those_who_come(case, here), *_owed_to_those_who_left(case, here)]


def owed_again(seen: Seen, reminders: Reminders, say: Say, *, now: datetime) -> Say | None:
    """Return news that reached nobody as they are to be said once more; None: they hold no longer.

    `owed` knows nothing of them: whoever may have got a message counts as told by it.
    """
    told = {who: known for who, known in seen.told.items() if who != say.recipient}
    if say.before is not None:
        told[say.recipient] = Told(say.before, at=seen.told[say.recipient].at)
    wanted = say.recipient, say.kind, say.facts
    for one in owed(replace(seen, told=told), reminders, now=now):
        if (one.recipient, one.kind, one.facts) == wanted:
            return replace(one, step=say.step)
    return None


class _Case(msgspec.Struct, frozen=True):
    seen: Seen
    rules: PatientReminders
    facts: Facts
    now: datetime

    def say(
        self,
        kind: MessageKind,
        recipient: str,
        setting: str,
        *,
        useless_after: datetime,
        before: Facts | None = None,
        skip: str | None = None,
        urgent: bool = False,
    ) -> Say:
        confirmation = self.rules.confirmation
        return Say(
            kind=kind,
            role=Role.PATIENT,
            recipient=recipient,
            facts=self.facts,
            due_at=self.now,
            useless_after=useless_after,
            setting=f"reminders.patient.{setting}",
            before=before,
            skip=skip,
            urgent=urgent,
            # An invitation once sent has to be moved and withdrawn as well.
            invite=confirmation is not None and confirmation.invite,
        )


def _owed_to_those_who_come(case: _Case, here: Mapping[str, Patient]) -> Iterator[Say]:
    for recipient, patient in here.items():
        say = _owed_to(recipient, case)
        if say is not None:
            silent = hears_nothing(patient)
            yield replace(say, skip=silent) if silent else say


def _owed_to(recipient: str, case: _Case) -> Say | None:
    told = case.seen.told.get(recipient)
    if told is None or (told.unconfirmed and told.facts == case.facts):
        return _confirmation(recipient, case)
    if told.facts == case.facts:
        return None
    if not case.facts.on:
        return _cancellation(recipient, told, case)
    return _change(recipient, told, case)


def _confirmation(recipient: str, case: _Case) -> Say | None:
    seen, start = case.seen, case.facts.start
    imported = seen.imported and seen.version == 1
    if case.rules.confirmation is None or imported or not case.facts.on:
        return None
    if start is None or start <= case.now or not seen.appointment.status.reminds:
        return None
    return case.say(
        MessageKind.CONFIRMATION,
        recipient,
        "confirmation",
        useless_after=min(start, case.now + CONFIRMATION_KEEPS),
    )


def _cancellation(recipient: str, told: Told, case: _Case) -> Say | None:
    """Tell that the visit is off to those who believe it is on, by the time that they were told."""
    expected = told.facts.start
    if not told.facts.on or expected is None or expected <= case.now:
        return None
    setting, skip = _why_no_cancellation(case)
    return case.say(
        MessageKind.CANCELLATION,
        recipient,
        setting,
        useless_after=expected,
        before=told.facts,
        skip=skip,
        urgent=expected - case.now < URGENT,
    )


def _why_no_cancellation(case: _Case) -> tuple[str, str | None]:
    """Return the setting that decides, and why nothing is said, if nothing is."""
    seen, rules = case.seen, case.rules
    status = seen.appointment.status
    if seen.replaced_by is not None:
        return "on_change", "superseded_by_reschedule"  # told as one move, by the other visit
    if status is Status.ENTERED_IN_ERROR:
        return "on_cancel", "entered_in_error"  # the patient never had this visit
    if status is Status.CANCELLED:
        return "on_cancel", None if rules.on_cancel else "outside_policy"
    if seen.gone:
        return "on_gone", None if rules.on_gone else "gone"
    return "on_cancel", "unscheduled"


def _change(recipient: str, told: Told, case: _Case) -> Say | None:
    start, status = case.facts.start, case.seen.appointment.status
    if start is None or start <= case.now or status is Status.UNKNOWN:
        return None
    reinstated = not told.facts.on
    minor = not reinstated and not matters(told.facts, case.facts)
    if minor and told.facts.start == start:
        return None
    return case.say(
        MessageKind.CHANGE,
        recipient,
        "on_change",
        useless_after=start,
        before=told.facts,
        skip=_why_no_change(case, minor=minor),
        urgent=_soonest(told.facts, start, case.now) - case.now < URGENT,
    )


def _why_no_change(case: _Case, *, minor: bool) -> str | None:
    if case.seen.replaced_by is not None:
        return "superseded_by_reschedule"
    if not case.seen.appointment.status.reminds:
        return "not_booked"
    if not case.rules.on_change:
        return "outside_policy"
    return "minor_change" if minor else None


def _soonest(believed: Facts, start: datetime, now: datetime) -> datetime:
    """Return when somebody would next set out: also for a time that no longer holds."""
    if believed.on and believed.start is not None and believed.start > now:
        return min(believed.start, start)
    return start


def hears_nothing(patient: Patient) -> str | None:
    """Return why a patient is told nothing whatever the settings say, if so."""
    if patient.deceased:
        return "deceased"
    return "test_patient" if patient.test else None


def matters(told: Facts, true: Facts) -> bool:
    """Return whether a difference is worth a message of its own.

    A move of less than 5 minutes is told with the next reminder. What became unknown (a place, a
    link, a practitioner) or has no name leaves nothing to say, and a practitioner named for the
    first time is no change of practitioner.
    """
    return (
        _moved(told.start, true.start)
        or told.on != true.on
        or true.modality not in (Modality.UNKNOWN, told.modality)
        or true.place not in (None, "", told.place)
        or true.join_url not in (None, told.join_url)
        or true.call_in not in (None, told.call_in)
        or (told.practitioner is not None and true.practitioner not in (None, told.practitioner))
    )


def _moved(told: datetime | None, true: datetime | None) -> bool:
    if told is None or true is None:
        return told is not true
    return abs(true - told) >= MINOR_MOVE


def _owed_to_those_who_left(case: _Case, here: Mapping[str, Patient]) -> Iterator[Say]:
    """Explain the silence towards people who were told and are no longer named.

    A merged record looks exactly like this, and a cancellation to somebody whose visit stands is
    worse than none. Where it is another person who comes now, theirs is for a person to tell (see
    `gate.needs_a_call`).
    """
    for recipient, told in case.seen.told.items():
        if recipient in here or not recipient.startswith("patient/") or not told.facts.on:
            continue
        say = _cancellation(recipient, told, _without_them(case))
        if say is not None:
            displaced = case.facts.on and recipient in case.seen.displaced
            yield replace(say, skip=None if displaced else "not_on_visit")


def _without_them(case: _Case) -> _Case:
    """Return the case as it stands for a person who has no part in it: off."""
    return _Case(case.seen, case.rules, replace(case.facts, on=False), case.now)


def dedupe_key(visit_source: str, visit_key: str, say: Say, told: Told | None) -> str:
    """Return the ledger's unique key of a Say: 32 hex digits.

    A reminder is unique for visit, person, step and facts. Anything else is unique also for what
    it corrects, so that A→B→A→B is told each time. Where the truth went back before B was sent, B
    has the key of the entry that was dropped: `gate.reopens` says which of those come back.

    The first 8 digits are the visit's start (seconds): what falls due together then lies together
    in the ledger's index, where keys by chance would touch a page each.
    """
    start = int(say.facts.start.timestamp()) if say.facts.start else 0
    parts = [visit_source, visit_key, say.recipient, say.kind, say.step, say.facts.hash]
    if say.kind is not MessageKind.REMINDER:
        corrects = "" if say.kind is MessageKind.CONFIRMATION else _set_by(told)
        parts += [corrects, say.skip or ""]
    return f"{start & 0xFFFFFFFF:08x}" + sha256("\x1f".join(parts).encode()).hexdigest()[:24]


def follow_up_key(dedupe: str, step: str) -> str:
    """Return the ledger's key of what follows from a message that was sent."""
    return dedupe[:8] + sha256(f"{dedupe}\x1f{step}".encode()).hexdigest()[:24]


def _set_by(told: Told | None) -> str:
    if told is None:
        return ""
    return told.by or times.iso(told.at)


def event_actions(
    appointment: Appointment,
    *,
    gone: bool,
    wanted: Mapping[str, str],
    existing: Collection[str],
) -> list[PutEvent | RemoveEvent]:
    """Return which calendars are to show the visit and which no longer, in a stable order.

    `wanted` maps calendars to the practitioner whose they are, `existing` names those that show the
    visit now. A status nobody understands leaves every calendar as it is.
    """
    if appointment.status is Status.UNKNOWN and not gone:
        return []
    shown = appointment.status.on_calendar and appointment.start is not None and not gone
    wanted = wanted if shown else {}
    return [
        *(PutEvent(calendar, wanted[calendar]) for calendar in sorted(wanted)),
        *(RemoveEvent(calendar) for calendar in sorted(set(existing) - set(wanted))),
    ]
