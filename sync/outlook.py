"""What will become of a reminder that is still to come, judged as the gate would judge it then."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from clinicrelay.actions import Role
from clinicrelay.model import Appointment, Channel, Patient
from sync import outward, ways
from sync.breaker import barred
from sync.compose import addresses_of
from sync.due import coming_reminders, due_reminders
from sync.gate import OPEN_ENDED, Drop, Go, gate
from sync.standing import PART_OF, Leave, Rehearse
from sync.store.said import Due

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from clinicrelay.actions import Say
    from sync.clinic import Clinic
    from sync.gate import GateOptions
    from sync.plan import Seen
    from sync.standing import Pause, Standing
    from sync.ways import Ways


class Stuck(NamedTuple):
    """A notifier that sent nothing when it was last tried, why, and since when.

    `instead` is the channel by which a message leaves where that takes too long, if one is open.
    """

    notifier: str
    reason: str
    since: datetime
    instead: str | None = None


@dataclass(frozen=True, slots=True)
class Next:
    """A coming reminder of a patient, why it will not be sent, if so, or what pause it waits for.

    `at` is now for one that fell due while nothing ran. `notifiers` are those that could send it, in
    their order; `stuck` is the first of them where none of them sends anything now.
    """

    step: str
    at: datetime
    channel: str | None = None
    reason: str | None = None
    pause: Pause | None = None
    notifiers: tuple[str, ...] = ()
    setting: str = ""
    stuck: Stuck | None = None


def ahead(clinic: Clinic, seen: Seen) -> list[Say]:
    """Return the reminders of a visit's patients: those due by now, said or not, then those to come.

    What fell due while nothing ran stands in no ledger yet; the next run says it all the same.
    """
    rules, start = clinic.settings.reminders.patient, seen.appointment.start
    if rules is None or start is None or start <= clinic.now:
        return []
    now, quiet = clinic.now, clinic.settings.quiet_hours
    due = due_reminders(seen, rules.steps, Role.PATIENT, now=now, quiet=quiet)
    coming = coming_reminders(seen, rules.steps, Role.PATIENT, now=now, until=start, quiet=quiet)
    return [*due, *coming]


def ways_to(clinic: Clinic, connection: Connection, visits: Iterable[Appointment]) -> Ways:
    """Return what is known of the ways to the patients of visits, looked up for all of them at once."""
    people = [
        (f"patient/{patient.key}", addresses_of(clinic.as_reached(patient, visit)))
        for visit in visits
        for patient in visit.patients
    ]
    return ways.known_of(connection, clinic, people)


def outlook(
    clinic: Clinic,
    standing: Standing,
    seen: Seen,
    patient: Patient,
    say: Say,
    *,
    at: datetime | None = None,
    known: Ways | None = None,
    closed: Mapping[Channel, str] | None = None,
) -> Next:
    """Say what will become of a message once its time has come, or at another time if one is given.

    `known` are the ways to its recipient, among others', where somebody has looked them up already;
    `closed` are further channels that it cannot take.
    """
    then = at or say.due_at
    if say.skip:
        return Next(say.step, then, reason=say.skip, setting=say.setting)
    patient = clinic.as_reached(patient, seen.appointment)
    resumed = replace(standing, pauses=())
    asked = outward.options(clinic, resumed, say, seen.appointment)
    options = _ways_left(clinic, patient, say, asked, then, known)
    verdict = gate(
        say,
        fresh=seen.appointment,
        gone=seen.gone,
        told=seen.told.get(say.recipient),
        person=patient,
        addresses=addresses_of(patient),
        options=replace(options, closed={**options.closed, **closed}) if closed else options,
        now=then,
    )
    if isinstance(verdict, Drop):
        return Next(say.step, then, reason=verdict.reason, setting=verdict.setting)
    if not isinstance(verdict, Go):
        why = verdict.reason if verdict.reason in OPEN_ENDED else None
        return Next(say.step, verdict.until, reason=why)
    return _on_its_way(clinic, standing, seen, say, verdict, then)


def outlook_now(
    clinic: Clinic, connection: Connection, seen: Seen, patient: Patient, say: Say, *, at: datetime
) -> Next:
    """Say the same, and whether what is to send the message sends anything now."""
    standing, stuck = clinic.standing(), barred(connection, clinic.store.clinic)
    found = outlook(clinic, standing, seen, patient, say, at=at)
    if found.reason or found.pause or not _are_stuck(found, stuck):
        return found
    name, channel = found.notifiers[0], Channel(found.channel or "")
    closed = {channel: stuck[name].reason}
    other = outlook(clinic, standing, seen, patient, say, at=at, closed=closed)
    works = not (other.reason or other.pause or _are_stuck(other, stuck))
    instead = other.channel if works else None
    return replace(found, stuck=Stuck(name, stuck[name].reason, stuck[name].since, instead))


def _are_stuck(found: Next, stuck: Collection[str]) -> bool:
    return bool(found.notifiers) and all(name in stuck for name in found.notifiers)


def _ways_left(
    clinic: Clinic,
    patient: Patient,
    say: Say,
    options: GateOptions,
    then: datetime,
    known: Ways | None,
) -> GateOptions:
    """Leave out what was learned to be of no use to this person."""
    addresses, due = addresses_of(patient), Due(0, "", None, say, 0)
    if known is None:
        with clinic.store.read() as connection:
            known = ways.known(connection, clinic, [due], [addresses])
    return known.left(due, addresses, options, now=then)


def _on_its_way(
    clinic: Clinic, standing: Standing, seen: Seen, say: Say, go: Go, then: datetime
) -> Next:
    part, ready = PART_OF[say.role], Next(say.step, then, go.channel.value)
    ready = replace(ready, notifiers=go.notifiers)
    if pause := standing.paused(part, go.notifiers[0], then):
        return replace(ready, pause=pause)
    leaving = outward.message(clinic, replace(standing, pauses=()), say, seen.appointment, go)
    if isinstance(leaving, Leave):
        return ready
    why = "rehearsal" if isinstance(leaving, Rehearse) else leaving.reason
    return replace(ready, reason=why)
