"""Asks, for one clinic, whether a message or an event may leave now (see `sync.standing`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from clinicrelay.actions import Role
from clinicrelay.contracts import Finding
from clinicrelay.model import Appointment
from sync.gate import GateOptions, options_for
from sync.standing import PART_OF, Answer, Leaving, Standing, may_leave

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
    part, settings = PART_OF[say.role], clinic.settings
    found = options_for(
        say, settings, clinic.senders, paused=standing.paused(part, "", clinic.now) is not None
    )
    if standing.since(part, doctors_of(clinic, visit)) is None:
        return replace(found, only_recipients=None)
    return found


def message(
    clinic: Clinic, standing: Standing, say: Say, visit: Appointment | None, go: Go
) -> Answer:
    """Decide about a message that passed the gate, on its way to the first notifier that can."""
    name = go.notifiers[0]
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
