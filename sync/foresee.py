"""Says what `sync` would do, by doing it: on a scratch store, with pretended destinations.

So a plan cannot differ from the run: there is no second way of deciding. What falls due later is
found by letting business time pass from one moment at which something wakes to the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from clinicrelay import times
from clinicrelay.times import iso
from sync import steps
from sync.pretend import PretendedCalendar
from sync.report import RunReport
from sync.store import looking_ahead, quarantine

if TYPE_CHECKING:
    from sync.clinic import Clinic

_STRIDE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would change, be written and be said; `report` is what the run itself would say."""

    report: RunReport
    changes: list[dict[str, Any]]
    calendars: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    held: list[dict[str, Any]]
    set_aside: list[dict[str, Any]]

    def json(self) -> dict[str, Any]:
        """Return the promised JSON of `plan --json`."""
        return {
            "changes": self.changes,
            "calendars": self.calendars,
            "messages": self.messages,
            "held": self.held,
            "set_aside": self.set_aside,
        }


def foresee(clinic: Clinic, *, until: datetime) -> Forecast:
    """Run the line on a dry clinic, now and at every moment up to `until`."""
    report = RunReport(clinic.run, clinic.now, clinic.standing().mode(clinic.now))
    for name in clinic.settings.sources:
        report.sources[name] = steps.pull(clinic, name)
    steps.settle(clinic, report.messages)
    steps.plan(clinic)
    report.calendars = steps.deliver_events(clinic)
    steps.deliver_messages(clinic, report.messages)
    report.open_holds = steps.counts(clinic)["holds"]
    for moment in _moments(clinic, until):
        clinic.now = moment
        steps.settle(clinic, report.messages)
        steps.plan(clinic)
        steps.deliver_messages(clinic, report.messages)
    return _forecast(clinic, report)


def _moments(clinic: Clinic, until: datetime) -> Iterator[datetime]:
    """Yield the moments at which something wakes or falls due, each once the last is done with."""
    while True:
        with clinic.store.read() as connection:
            found = looking_ahead.next_moment(connection, clinic.store.clinic, after=clinic.now)
        digest = _next_digest(clinic)
        coming = [moment for moment in (found, digest) if moment is not None]
        if not coming or min(coming) > until:
            return
        yield max(min(coming), clinic.now + _STRIDE)


def _next_digest(clinic: Clinic) -> datetime | None:
    doctor = clinic.settings.reminders.doctor
    if doctor is None or doctor.digest is None:
        return None
    today = times.day_of(clinic.now, clinic.zone)
    hours = (
        times.at_wall_time(today + timedelta(days=n), doctor.digest.at, clinic.zone) for n in (0, 1)
    )
    return next((hour for hour in hours if hour > clinic.now), None)


def _forecast(clinic: Clinic, report: RunReport) -> Forecast:
    with clinic.store.read() as connection:
        changes = looking_ahead.changes_of(connection, clinic.store.clinic, clinic.run)
        messages = looking_ahead.sent_by(connection, clinic.store.clinic, clinic.run)
        refs = looking_ahead.refs(connection, clinic.store.clinic)
        aside = quarantine.listed(connection, clinic.store.clinic, clinic.run)
    held = [hold for one in report.sources.values() for hold in one.held] + report.messages.holds
    return Forecast(
        report,
        changes,
        _event_writes(clinic, refs),
        messages,
        held,
        [
            {"source": one["source"], "place": one["place"], "field": one["field"],
             "reason": one["reason"]}
            for one in aside
        ],
    )  # fmt: skip


def _event_writes(clinic: Clinic, refs: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "calendar": f"{name}:{address}",
            "op": "put" if write.put else "remove",
            "appointment": refs.get(write.ref, ""),
            "start": iso(write.start) if write.start else None,
        }
        for name in clinic.settings.calendars
        for plugin in [clinic.calendar(name)]
        if isinstance(plugin, PretendedCalendar)
        for address, write in plugin.written
    ]
