"""When a reminder's time has come: steps before a visit, outside quiet hours.

A reminder is no row until it is due: a visit sleeps until the hour of its next one. One function,
`when`, says the effective time of a step everywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from clinicrelay.actions import Facts, MessageKind, Role, Say, Told, facts_of
from clinicrelay.model import Appointment, Kind
from sync.plan import UNDER_WAY, Seen, hears_nothing, matters, recipients
from sync.quiet import outside_quiet

if TYPE_CHECKING:
    from clinicrelay.settings.schema import QuietHours, Step

LAST_CALL = timedelta(minutes=15)
MIN_GAP = timedelta(hours=3)
# A reminder days ahead on the morning after a message about the same visit only repeats it. Less
# than a day, so that who books four days ahead still gets the reminder of the third.
MIN_GAP_DAYS_AHEAD = timedelta(hours=21)
_NEWS = (MessageKind.CONFIRMATION, MessageKind.CHANGE)


def useless_after(step: Step, start: datetime) -> datetime:
    """Return until when a step is worth saying: its `latest`, and never in the last 15 minutes.

    A step of less than half an hour has half its lead instead, or it could never be said.
    """
    return start - max(step.latest, min(LAST_CALL, step.before.length / 2))


def when(
    step: Step,
    start: datetime,
    *,
    quiet: QuietHours | None,
    recipient_zone: str,
    visit_zone: str,
) -> datetime:
    """Return the effective due time of a step: days on the visit's clock, nights on the person's."""
    due = step.before.before(start, visit_zone)
    return outside_quiet(due, useless_after(step, start), quiet, recipient_zone)


def first_hour(
    steps: Iterable[Step],
    start: datetime,
    *,
    quiet: QuietHours | None,
    recipient_zones: Collection[str],
    visit_zone: str,
) -> datetime:
    """Return when the first of these steps falls due for anybody; without any, when the visit begins."""
    return min(
        (
            when(step, start, quiet=quiet, recipient_zone=zone, visit_zone=visit_zone)
            for step in steps
            for zone in recipient_zones
        ),
        default=start,
    )


class _Slot(NamedTuple):
    """One step of one visit for one person: when it is due and until when it is useful."""

    step: str
    setting: str
    lead: timedelta
    at: datetime
    until: datetime


def due_reminders(
    visit: Seen, steps: Sequence[Step], role: Role, *, now: datetime, quiet: QuietHours | None
) -> list[Say]:
    """Return the reminders of a visit whose time has come, at most one to be sent a person.

    Of several steps that have passed only the nearest is due, so a clinic that was offline for
    three days does not send the 3d, 1d and 1h reminder in one breath. Steps that will never be
    said come with `skip`, also those of a visit that has begun since the last look; the ledger's
    key keeps each decision once.
    """
    return reminders(visit, [(role, steps)], now=now, quiet=quiet).due


def coming_reminders(
    visit: Seen,
    steps: Sequence[Step],
    role: Role,
    *,
    now: datetime,
    until: datetime,
    quiet: QuietHours | None,
) -> list[Say]:
    """Return the reminders that will fall due after now up to `until`, were nothing to change."""
    if not _remindable(visit, now):
        return []
    return sorted(
        (
            person.say(slot, _known_already(person, slot))
            for recipient, slots in _people(visit.appointment, steps, role, quiet)
            for person in (_person(visit, role, recipient, facts_of(visit.appointment)),)
            for slot in _nearest_of_each_moment(slots)
            if now < slot.at <= until
        ),
        key=lambda say: say.due_at,
    )


class Reminders(NamedTuple):
    """What is to be said (or explained) now, and the hour of the first of the others, said or not."""

    due: list[Say]
    coming: datetime | None


def reminders(
    visit: Seen,
    steps: Iterable[tuple[Role, Sequence[Step]]],
    *,
    now: datetime,
    quiet: QuietHours | None,
) -> Reminders:
    """Return the reminders of a visit to all its people: see `due_reminders`."""
    return Timetable(steps, now=now, quiet=quiet).reminders(visit)


class _Hours(NamedTuple):
    """The steps of one visit for one person: those whose time has come, and when the next one's does."""

    come: tuple[_Slot, ...]
    coming: datetime | None


class Timetable:
    """The reminders of many visits at one moment; their hours, once for all that begin together."""

    def __init__(
        self,
        steps: Iterable[tuple[Role, Sequence[Step]]],
        *,
        now: datetime,
        quiet: QuietHours | None,
    ) -> None:
        self._steps = [(role, tuple(some)) for role, some in steps]
        self._now = now
        self._quiet = quiet
        self._worked_out: dict[tuple[Role, datetime, str, str], _Hours] = {}

    def reminders(self, visit: Seen) -> Reminders:
        """Return the reminders of a visit to all its people: see `due_reminders`."""
        due: list[Say] = []
        coming: datetime | None = None
        if not _stands(visit, self._now):
            return Reminders(due, None)
        decide = _missed if _has_begun(visit, self._now) else _due_for
        facts = facts_of(visit.appointment)
        for role, steps in self._steps:
            for recipient, zone in recipients(visit.appointment, role).items():
                hours = self._hours(role, steps, visit.appointment, zone)
                if hours.coming is not None and (coming is None or hours.coming < coming):
                    coming = hours.coming
                if hours.come:
                    due += decide(_person(visit, role, recipient, facts), hours.come, self._now)
        return Reminders(due, coming)

    def _hours(self, role: Role, steps: tuple[Step, ...], visit: Appointment, zone: str) -> _Hours:
        assert visit.start is not None
        alike = role, visit.start, zone, visit.timezone
        if alike not in self._worked_out:
            slots = _slots(role, steps, visit.start, self._quiet, zone, visit.timezone)
            self._worked_out[alike] = _Hours(
                tuple(slot for slot in slots if slot.at <= self._now),
                min((slot.at for slot in slots if slot.at > self._now), default=None),
            )
        return self._worked_out[alike]


def next_step(
    visit: Seen,
    steps: Sequence[Step],
    role: Role,
    *,
    now: datetime,
    quiet: QuietHours | None,
    recipient: str | None = None,
) -> tuple[Step, datetime] | None:
    """Return the coming step and when it falls due; of all people unless one is named."""
    start = visit.appointment.start
    if start is None:
        return None
    coming = coming_reminders(visit, steps, role, now=now, until=start, quiet=quiet)
    for say in coming:
        if say.skip is None and recipient in (None, say.recipient):
            return next(s for s in steps if s.name == say.step), say.due_at
    return None


def _remindable(visit: Seen, now: datetime) -> bool:
    return _stands(visit, now) and not _has_begun(visit, now)


def _has_begun(visit: Seen, now: datetime) -> bool:
    start = visit.appointment.start
    return start is not None and start <= now


def _stands(visit: Seen, now: datetime) -> bool:
    """Whether a visit is to take place, or took place, as far as anybody knows."""
    appointment = visit.appointment
    status = appointment.status
    return (
        appointment.kind is Kind.VISIT
        and (status.reminds or (status in UNDER_WAY and _has_begun(visit, now)))
        and not visit.gone
        and visit.replaced_by is None
        and appointment.start is not None
    )


class _Person(msgspec.Struct, frozen=True):
    """One person of one visit, with what decides whether they are reminded."""

    recipient: str
    role: Role
    facts: Facts
    known_since: datetime
    live_since: datetime | None
    told: Told | None
    silent: str | None

    def say(self, slot: _Slot, skip: str | None) -> Say:
        return Say(
            kind=MessageKind.REMINDER,
            role=self.role,
            recipient=self.recipient,
            facts=self.facts,
            due_at=slot.at,
            useless_after=slot.until,
            setting=slot.setting,
            step=slot.step,
            skip=skip,
        )


def _people(
    visit: Appointment, steps: Sequence[Step], role: Role, quiet: QuietHours | None
) -> Iterator[tuple[str, tuple[_Slot, ...]]]:
    """Yield whom a visit that stands is told to, and when its steps fall due for each."""
    assert visit.start is not None
    for recipient, zone in recipients(visit, role).items():
        yield recipient, _slots(role, tuple(steps), visit.start, quiet, zone, visit.timezone)


def _person(visit: Seen, role: Role, recipient: str, facts: Facts) -> _Person:
    told = visit.told.get(recipient)
    return _Person(
        recipient=recipient,
        role=role,
        facts=facts,
        known_since=known_since(visit, told),
        live_since=visit.live_since.get(role),
        told=told,
        silent=_silent(visit.appointment, recipient),
    )


def _silent(visit: Appointment, recipient: str) -> str | None:
    """Return why somebody hears nothing whatever the settings say, if so."""
    for patient in visit.patients:
        if (why := hears_nothing(patient)) and f"patient/{patient.key}" == recipient:
            return why
    return None


def known_since(visit: Seen, told: Told | None) -> datetime:
    """Return from when the present start was there to be reminded of; earlier steps are missed.

    Where a visit was elsewhere or off for a while and nobody heard of that, it was there all along.
    """
    counted = told.at if told is not None and told.by is None else visit.first_seen
    moved = visit.moved_at
    if moved is None or (told is not None and told.at < moved and _told_of(visit, told)):
        moved = visit.first_seen
    return max(visit.first_seen, moved, counted)


def _told_of(visit: Seen, told: Told) -> bool:
    """Whether what somebody was told is that the visit is on, and when it is."""
    return told.facts.on and told.facts.start == visit.appointment.start


@lru_cache(maxsize=4096)  # the visits of a clinic begin at few times
def _slots(
    role: Role,
    steps: tuple[Step, ...],
    start: datetime,
    quiet: QuietHours | None,
    recipient_zone: str,
    visit_zone: str,
) -> tuple[_Slot, ...]:
    def due(step: Step) -> datetime:
        return when(step, start, quiet=quiet, recipient_zone=recipient_zone, visit_zone=visit_zone)

    return tuple(
        _Slot(
            step.name,
            f"reminders.{role}.steps[{number}]",
            step.before.length,
            due(step),
            useless_after(step, start),
        )
        for number, step in enumerate(steps)
    )


def _due_for(person: _Person, slots: Sequence[_Slot], now: datetime) -> Iterator[Say]:
    still_good = []
    for slot in slots:
        if _said_since(person, slot):
            continue
        skip = _known_already(person, slot) or ("cut_off_passed" if now >= slot.until else None)
        if skip is None:
            still_good.append(slot)
        else:
            yield person.say(slot, skip)
    nearest = max(still_good, key=_nearness, default=None)
    for slot in still_good:
        skip = None if slot is nearest else "superseded_by_later_step"
        yield person.say(slot, skip or person.silent)


def _missed(person: _Person, slots: Sequence[_Slot], now: datetime) -> Iterator[Say]:
    """Explain the steps of a visit that came and began while nobody looked."""
    for slot in slots:
        if person.known_since < slot.at and not _said_since(person, slot):
            why = person.silent or "past_visit"
            yield person.say(slot, _known_already(person, slot) or why)


def _nearness(slot: _Slot) -> tuple[datetime, timedelta]:
    return slot.at, -slot.lead


def _nearest_of_each_moment(slots: Iterable[_Slot]) -> Iterable[_Slot]:
    return {slot.at: slot for slot in sorted(slots, key=_nearness)}.values()


def _said_since(person: _Person, slot: _Slot) -> bool:
    """Return whether a reminder went out at or after the step's time: this one or a later one."""
    told = person.told
    if told is None or told.by is None or told.kind is not MessageKind.REMINDER:
        return False
    return told.at >= slot.at and told.at >= person.known_since


def _known_already(person: _Person, slot: _Slot) -> str | None:
    """Return why a step needs no saying: it lay behind already, or the person just heard."""
    if person.live_since is not None and person.known_since < slot.at <= person.live_since:
        return "rehearsal"  # it fell due before anybody was to be reached
    if slot.at <= person.known_since:
        return "late_booking"
    told = person.told
    if told is None or told.by is None or told.kind not in _NEWS or not told.facts.on:
        return None
    fresh = told.at > slot.at - min_gap(slot.lead)
    return "told_recently" if fresh and not matters(told.facts, person.facts) else None


def min_gap(lead: timedelta) -> timedelta:
    """Return how long after a confirmation or change a reminder with this lead is superfluous."""
    return MIN_GAP_DAYS_AHEAD if lead >= timedelta(days=2) else MIN_GAP
