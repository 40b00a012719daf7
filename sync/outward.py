"""Asks, for one clinic, whether a message or an event may leave now (see `sync.standing`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from clinicrelay.actions import MessageKind, Role
from clinicrelay.contracts import Finding
from clinicrelay.model import Appointment, decode
from sync import alerts, digest
from sync.changes import in_doubt
from sync.freshness import held_back, overdue
from sync.gate import GateOptions, options_for
from sync.standing import PART_OF, Answer, Leave, Leaving, Rehearse, Standing, may_leave
from sync.ways import patience_ends

if TYPE_CHECKING:
    from clinicrelay.actions import Say
    from clinicrelay.contracts import Calendar
    from sync.clinic import Clinic
    from sync.gate import Go


OTHER_CLOCK = Finding(
    "error",
    "live_now",
    "the clinic is live: its time cannot be set by hand",
    "leave out --now; `clinicrelay plan --now …` looks ahead without touching anything",
    path="--now",
)


def options(clinic: Clinic, standing: Standing, say: Say, visit: Appointment | None) -> GateOptions:
    """Return what settings and standing orders tell the gate about a message.

    In rehearsal `only_recipients` closes no channel: who is not named is rehearsed.
    """
    if say.role is Role.STAFF:
        return alerts.options(clinic, say, stopped=standing.elsewhere is not None)
    part = PART_OF[say.role]
    found = _rules(clinic, say, paused=standing.paused(part, "", clinic.now) is not None)
    if silent := _silent_source(clinic, say, visit):
        found = replace(found, stale=silent)
    if _is_held(clinic, say, visit):
        found = replace(found, change_held=True)
    if _is_to_be_asked(clinic, say, visit):
        found = replace(found, unasked=True)
    if standing.since(part, doctors_of(clinic, visit)) is None:
        return replace(found, only_recipients=None) if found.only_recipients is not None else found
    return found


def _silent_source(clinic: Clinic, say: Say, visit: Appointment | None) -> str:
    """Return which source of a message was silent for too long, if one was."""
    silent = overdue(clinic)
    if not silent:
        return ""
    if say.kind is MessageKind.DIGEST:
        sources = {woken.source for woken in digest.visits_of(clinic, say)} or silent
        return min(sources & silent, default="")
    return visit.source if visit is not None and visit.source in silent else ""


def _is_held(clinic: Clinic, say: Say, visit: Appointment | None) -> bool:
    """Whether a guard holds something of the visit by which its reminder would be wrong.

    That many are missing from a read says less: most often the export was cut, and the visits stand.
    """
    if say.kind is not MessageKind.REMINDER or visit is None:
        return False
    content = held_back(clinic).get((visit.source, visit.key))
    return content is not None and in_doubt(visit, decode(content))


def _is_to_be_asked(clinic: Clinic, say: Say, visit: Appointment | None) -> bool:
    """Whether a reminder waits for its source to be asked once more: never so long that it is no use."""
    if visit is None or (visit.source, visit.key) not in clinic.unasked:
        return False
    half = say.due_at + (say.useless_after - say.due_at) / 2
    return say.kind is MessageKind.REMINDER and clinic.now < min(half, patience_ends(say))


def _rules(clinic: Clinic, say: Say, *, paused: bool) -> GateOptions:
    """Return what is the same for all messages of a kind and step, whoever they are for."""
    alike = say.kind, say.role, say.step, say.setting, paused
    if alike not in clinic.rules:
        found = options_for(say, clinic.settings, clinic.senders, paused=paused)
        clinic.rules[alike] = replace(found, lost=clinic.lost)
    return clinic.rules[alike]


def message(
    clinic: Clinic, standing: Standing, say: Say, visit: Appointment | None, go: Go
) -> Answer:
    """Decide about a message that passed the gate, on its way to the first notifier that can."""
    name = go.notifiers[0]
    if say.role is Role.STAFF:
        return _alert(clinic, name)
    thing = Leaving(
        part=PART_OF[say.role],
        plugin=name,
        outside=clinic.notifier(name).outside,
        doctors=doctors_of(clinic, visit),
        address=go.address,
        named=clinic.settings.safety.only_recipients,
        rehearsed=clinic.rehearsed,
        foretold=clinic.dry,
        standing=standing,
    )
    return may_leave(thing, now=clinic.now)


def _alert(clinic: Clinic, notifier: str) -> Answer:
    """An alert leaves in rehearsal and during a pause as well, but not under a clock set by hand."""
    outside = clinic.rehearsed and clinic.notifier(notifier).outside
    return Rehearse() if outside else Leave()


def rehearsed_by(say: Say) -> str:
    """Return what lets a message leave that was only rehearsed."""
    return "leave out --now" if say.role is Role.STAFF else f"clinicrelay live {PART_OF[say.role]}"


def events(clinic: Clinic, standing: Standing, plugin: Calendar) -> Answer:
    """Decide about the events of a calendar plugin."""
    thing = Leaving(
        part="calendars",
        plugin=plugin.kit.name,
        outside=plugin.outside,
        rehearsed=clinic.rehearsed,
        foretold=clinic.dry,
        standing=standing,
    )
    return may_leave(thing, now=clinic.now)


def doctors_of(clinic: Clinic, visit: Appointment | None) -> tuple[str, ...]:
    """Return by which ids the doctors of a visit are known: in settings, and in its source."""
    if visit is None:
        return ()
    entries = (clinic.doctor(visit.source, who) for who in visit.practitioners)
    known = [doctor.id for doctor in entries if doctor is not None]
    return (*known, *(who.key for who in visit.practitioners))


def live_since(clinic: Clinic, standing: Standing, visit: Appointment) -> Mapping[Role, datetime]:
    """Return from when on the people of a visit are really reached, for those who are."""
    if not standing.live:
        return {}
    doctors = doctors_of(clinic, visit)
    found = {role: standing.since(part, doctors) for role, part in PART_OF.items()}
    return {role: since for role, since in found.items() if since is not None}


def not_to_be_worked_on(clinic: Clinic) -> Finding | None:
    """Return why nothing may be done that changes what a live clinic's people rely on."""
    standing = clinic.standing()
    if standing.elsewhere:
        return Finding(
            "error",
            "store_elsewhere",
            f"this store went live on {standing.elsewhere}, and this is another place; "
            "two that are live at once would tell everybody twice",
            "if it was moved here for good: `clinicrelay live here`; if it is a copy: "
            "`clinicrelay rehearse`",
        )
    return OTHER_CLOCK if clinic.rehearsed and standing.live else None
