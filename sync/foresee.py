"""Says what `sync` would do, by doing it: on a scratch store, with pretended destinations.

So a plan cannot differ from the run: there is no second way of deciding. What falls due later is
found by letting business time pass from one moment at which something wakes to the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from clinicrelay import times
from clinicrelay.times import iso
from sync import reads, steps
from sync.gate import LOOK_AGAIN
from sync.pretend import PretendedCalendar
from sync.reasons import setting_of
from sync.report import RunReport
from sync.store import looking_ahead, quarantine
from sync.store.looking_ahead import Shown

if TYPE_CHECKING:
    from sync.clinic import Clinic

_STRIDE = timedelta(minutes=1)  # what has to wait a moment is looked at no oftener
_LOOK_BACK = timedelta(days=400)  # no reminder is due longer before it is decided about


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would change, be written and be said; `report` is what the run itself would say.

    `unsaid` is what will not be said in that time, each with its reason.
    """

    report: RunReport
    changes: list[dict[str, Any]]
    calendars: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    unsaid: list[dict[str, Any]]
    held: list[dict[str, Any]]
    set_aside: list[dict[str, Any]]

    def json(self) -> dict[str, Any]:
        """Return the promised JSON of `plan --json`."""
        return {
            "changes": self.changes,
            "calendars": self.calendars,
            "messages": self.messages,
            "unsaid": self.unsaid,
            "held": self.held,
            "set_aside": self.set_aside,
        }


def foresee(clinic: Clinic, *, until: datetime) -> Forecast:
    """Run the line on a dry clinic, now and at every moment up to `until`."""
    report = RunReport(clinic.run, clinic.now, clinic.standing().mode(clinic.now))
    for name in clinic.settings.sources:
        report.sources[name] = reads.pull(clinic, name)
    return _run_on(clinic, report, until)


def foresee_as_known(clinic: Clinic, *, until: datetime) -> Forecast:
    """Run the line on a dry clinic, on what is known: no source is asked, and none counts as silent."""
    clinic.overdue = frozenset()
    report = RunReport(clinic.run, clinic.now, clinic.standing().mode(clinic.now))
    return _run_on(clinic, report, until)


def _run_on(clinic: Clinic, report: RunReport, until: datetime) -> Forecast:
    now = clinic.now
    steps.settle(clinic, report.messages)
    steps.plan(clinic)
    report.calendars = steps.deliver_events(clinic)
    steps.deliver_messages(clinic, report.messages)
    for moment in _moments(clinic, until):
        clinic.now = moment
        steps.settle(clinic, report.messages)
        steps.plan(clinic)
        steps.deliver_messages(clinic, report.messages)
    return _forecast(clinic, report, now)


def foresee_replay(clinic: Clinic, sources: Sequence[str], since: datetime) -> Forecast:
    """Map once more what sources said since a moment, on a dry clinic."""
    now = clinic.now
    report = RunReport(clinic.run, now, clinic.standing().mode(now))
    for name in sources or clinic.settings.sources:
        report.sources[name] = reads.replay(clinic, name, since)
    steps.plan(clinic)
    report.calendars = steps.deliver_events(clinic)
    steps.deliver_messages(clinic, report.messages)
    return _forecast(clinic, report, now)


def _moments(clinic: Clinic, until: datetime) -> Iterator[datetime]:
    """Yield the moments at which something wakes or falls due, each once the last is done with."""
    mute = [name for name in clinic.settings.notifiers if not clinic.tells(name)]
    while True:
        with clinic.store.read() as connection:
            found = looking_ahead.next_moment(
                connection, clinic.store.clinic, mute, after=clinic.now
            )
        possible = (found, _next_digest(clinic), _end_of_a_pause(clinic))
        coming = [moment for moment in possible if moment is not None]
        if not coming or min(coming) > until:
            return
        yield max(min(coming), clinic.now + _STRIDE)


def _end_of_a_pause(clinic: Clinic) -> datetime | None:
    """Return when a pause ends, or what it kept back asks again at the latest."""
    ends = [pause.until for pause in clinic.standing().pauses if pause.until is not None]
    moments = [*ends, *(end + LOOK_AGAIN for end in ends)]
    return min((moment for moment in moments if moment > clinic.now), default=None)


def _next_digest(clinic: Clinic) -> datetime | None:
    doctor = clinic.settings.reminders.doctor
    if doctor is None or doctor.digest is None:
        return None
    today = times.day_of(clinic.now, clinic.zone)
    hours = (
        times.at_wall_time(today + timedelta(days=n), doctor.digest.at, clinic.zone) for n in (0, 1)
    )
    return next((hour for hour in hours if hour > clinic.now), None)


def _forecast(clinic: Clinic, report: RunReport, since: datetime) -> Forecast:
    report.leaves(steps.counts(clinic))
    with clinic.store.read() as connection:
        changes = looking_ahead.changes_of(connection, clinic.store.clinic, clinic.run)
        messages = looking_ahead.sent_by(connection, clinic.store.clinic, clinic.run)
        unsaid = looking_ahead.unsaid_since(
            connection, clinic.store.clinic, since, look_back=_LOOK_BACK
        )
        refs = looking_ahead.refs(connection, clinic.store.clinic)
        aside = quarantine.listed(connection, clinic.store.clinic, clinic.run)
    return Forecast(
        report,
        changes,
        _event_writes(clinic, refs),
        [_without_address(clinic, one) for one in messages],
        [
            {
                **_without_address(clinic, one),
                "setting": setting_of(one["reason"], one["setting"]) or None,
            }
            for one in unsaid
        ],
        report.holds,
        [
            {"source": one["source"], "place": one["place"], "field": one["field"],
             "reason": one["reason"]}
            for one in aside
        ],
    )  # fmt: skip


def _without_address(clinic: Clinic, told: dict[str, Any]) -> dict[str, Any]:
    """Return an entry with an opaque id for a doctor whom the source knows by an e-mail only."""
    doctor = told.get("doctor", "")
    return {**told, "doctor": clinic.opaque("doctor", doctor)} if "@" in doctor else told


def _event_writes(clinic: Clinic, refs: dict[str, Shown]) -> list[dict[str, Any]]:
    return [
        {
            "calendar": f"{name}:{address}",
            "op": "put" if write.put else "remove",
            "appointment": shown.visit,
            "start": iso(start) if start else None,
        }
        for name in clinic.settings.calendars
        for plugin in [clinic.calendar(name)]
        if isinstance(plugin, PretendedCalendar)
        for address, write in plugin.written
        for shown in [refs.get(write.ref, Shown("", None))]
        for start in [write.start or shown.start]  # what removes an event tells no time
    ]
