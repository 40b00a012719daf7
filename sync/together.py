"""Several visits of one person on one day share a reminder: it leaves with the first that is due.

The reminders of the other visits are in the ledger as told together with it. They leave by themselves
after all if it does not, so nothing depends on their being taken along.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from clinicrelay import times
from clinicrelay.actions import MessageKind, Role
from clinicrelay.model import Channel, Modality, Patient
from sync import seeing
from sync.compose import addresses_of
from sync.due import coming_reminders, due_reminders
from sync.outlook import ahead, outlook
from sync.plan import dedupe_key
from sync.store import together, wakes
from sync.store.said import Owed

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from clinicrelay.actions import Say
    from sync.clinic import Clinic
    from sync.compose import Fresh
    from sync.gate import Go
    from sync.outlook import Next
    from sync.plan import Seen
    from sync.standing import Standing
    from sync.store.said import Due

_MOST = 5  # others in one text
_CHANNELS = (Channel.EMAIL, Channel.SMS)  # a provider's own templates have no place for more
_DAY = timedelta(days=1)

Person = tuple[str, str, date]  # source, key, and a day of theirs


class Other(NamedTuple):
    """Another visit that a reminder tells of, with the entry of its own in the ledger."""

    owed: Owed
    start: datetime
    practitioner: str | None


def days(
    connection: Connection, clinic: Clinic, batch: Sequence[Due], visits: Mapping[int, Fresh]
) -> dict[Person, list[int]]:
    """Return the visits (their numbers) of each person of a batch who has several on a day."""
    reminders = [
        due.say for due in batch if _may_share(due.say) and (due.appointment or 0) in visits
    ]
    starts = [say.facts.start for say in reminders if say.facts.start is not None]
    if not starts:
        return {}
    keys = {say.recipient.partition("/")[2] for say in reminders}
    found: dict[Person, list[int]] = {}
    for one in together.booked(
        connection, clinic.store.clinic, keys, first=min(starts) - _DAY, end=max(starts) + _DAY
    ):
        day = times.day_of(datetime.fromtimestamp(one.start_at, UTC), clinic.zone)
        found.setdefault((one.source, one.patient, day), []).append(one.id)
    return {person: some for person, some in found.items() if len(some) > 1}


def day_of(clinic: Clinic, due: Due, fresh: Fresh | None) -> Person | None:
    """Return whose day a reminder is about; None: no other visit can share it."""
    start = due.say.facts.start
    if fresh is None or start is None or not _may_share(due.say):
        return None
    who = due.say.recipient.partition("/")[2]
    return fresh.visit.source, who, times.day_of(start, clinic.zone)


def _may_share(say: Say) -> bool:
    alone = say.facts.modality is not Modality.IN_PERSON or say.facts.join_url is not None
    return say.kind is MessageKind.REMINDER and say.role is Role.PATIENT and not alone


def others(
    clinic: Clinic,
    standing: Standing,
    due: Due,
    go: Go,
    person: Patient,
    fresh: Fresh,
    known: Mapping[Person, Sequence[int]],
    *,
    rehearsed: bool,
) -> list[Other]:
    """Return the visits of that day whose reminder of the same step can leave within this one.

    They take place where its visit does, and would leave the same way within the step's own lead:
    one of tomorrow evening is told in the morning, one hours later is not told an hour ahead.
    """
    say, whose = due.say, day_of(clinic, due, fresh)
    if whose is None:
        return []
    numbers = [number for number in known.get(whose, ()) if number != due.appointment]
    if not numbers or not _has_room(clinic, say, go.channel, person):
        return []
    with clinic.store.read() as connection:
        found = wakes.by_ids(connection, numbers)
        seen = seeing.look(clinic, connection, list(found.values()))
    fitting = [
        Other(Owed(key, number, its, anew=False), its.facts.start, _practitioner(clinic, one))
        for number, one in seen.items()
        if (its := _same_step(clinic, say, one, now=clinic.now)) is not None
        and its.facts.start is not None
        and _leaves_alike(
            clinic, standing, one, its, go, person, rehearsed=rehearsed, at=clinic.now
        )
        and (key := dedupe_key(fresh.visit.source, found[number].source_key, its, None))
    ]
    if not fitting:
        return []
    with clinic.store.read() as connection:
        keys = [one.owed.dedupe for one in fitting]
        decided = together.decided(connection, clinic.store.clinic, keys)
    fitting = [one for one in fitting if one.owed.dedupe not in decided]
    return sorted(fitting, key=lambda one: one.start)[:_MOST]


def led_by(
    clinic: Clinic, connection: Connection, seen: Seen, say: Say, leads: Iterable[Seen]
) -> list[Seen]:
    """Return the visits with whose reminder another one of the day may leave, by the rule of `others`.

    Theirs of the same step has to leave first: it is the earlier one that takes the later one along.
    """
    if not _may_share(say):
        return []
    found = [(one, first) for one in leads if (first := _leads(clinic, one, seen, say)) is not None]
    keys = {
        one.appointment.key: dedupe_key(one.appointment.source, one.appointment.key, first, None)
        for one, first in found
    }
    decided = together.decided(connection, clinic.store.clinic, keys.values()) if keys else ()
    return [one for one, _ in found if keys[one.appointment.key] not in decided]


def _leads(clinic: Clinic, lead: Seen, seen: Seen, say: Say) -> Say | None:
    """Return the reminder of a visit that may take along that of another one; None: there is none."""
    alike = (s for s in ahead(clinic, lead) if (s.recipient, s.step) == (say.recipient, say.step))
    first = next((one for one in alike if one.skip is None and _may_share(one)), None)
    if first is None or _turn(first) > _turn(say):
        return None
    at, standing = max(first.due_at, clinic.now), clinic.standing()
    its = _same_step(clinic, first, seen, now=at)
    patient = next(p for p in lead.appointment.patients if f"patient/{p.key}" == say.recipient)
    way = outlook(clinic, standing, lead, patient, first, at=at)
    person, free = clinic.as_reached(patient, lead.appointment), way.reason in (None, "rehearsal")
    if its is None or not free or way.pause or not _has_room(clinic, first, way.channel, person):
        return None
    rehearsed = way.reason is not None
    fits = _leaves_alike(clinic, standing, seen, its, way, person, rehearsed=rehearsed, at=at)
    return first if fits else None


def _turn(say: Say) -> tuple[datetime, datetime]:
    """Return by what one reminder leaves before another."""
    return say.due_at, say.facts.start or say.due_at


def _has_room(clinic: Clinic, say: Say, channel: str | None, person: Patient) -> bool:
    """Whether the text that one would get can tell of other visits."""
    return channel in _CHANNELS and clinic.words.tells_of_others(
        say.kind, say.role, Channel(channel), person.language
    )


def _same_step(clinic: Clinic, lead: Say, seen: Seen, *, now: datetime) -> Say | None:
    """Return the reminder of another visit that is due, or will be within the lead of the step."""
    rules = clinic.settings.reminders.patient
    steps, quiet = (rules.steps if rules else ()), clinic.settings.quiet_hours
    until = now + times.parse_span(lead.step).length
    due = due_reminders(seen, steps, Role.PATIENT, now=now, quiet=quiet)
    soon = coming_reminders(seen, steps, Role.PATIENT, now=now, until=until, quiet=quiet)
    for say in (*due, *soon):
        if say.recipient == lead.recipient and say.step == lead.step and say.skip is None:
            return say if say.facts.place == lead.facts.place and _may_share(say) else None
    return None


def _leaves_alike(
    clinic: Clinic,
    standing: Standing,
    seen: Seen,
    say: Say,
    go: Go | Next,
    person: Patient,
    *,
    rehearsed: bool,
    at: datetime,
) -> bool:
    """Whether a reminder, were it due then, would leave as the other one does, to the same address."""
    key = say.recipient.partition("/")[2]
    same = next((one for one in seen.appointment.patients if one.key == key), None)
    if same is None:
        return False
    if addresses_of(clinic.as_reached(same, seen.appointment)) != addresses_of(person):
        return False
    then = outlook(clinic, standing, seen, same, say, at=at)
    way = then.channel == go.channel and then.notifiers[:1] == go.notifiers[:1]
    return way and then.pause is None and then.reason == ("rehearsal" if rehearsed else None)


def _practitioner(clinic: Clinic, seen: Seen) -> str | None:
    doctor = seen.appointment.primary
    return clinic.as_named(seen.appointment.source, doctor).name if doctor else None
