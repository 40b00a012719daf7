"""What monitoring is told of a clinic: codes and the names that settings give, and nobody's data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sync import health

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.health import Health


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a clinic is not well: a code, and what of the settings it is about."""

    code: str
    name: str = ""
    count: int | None = None

    def json(self, clinic: str) -> dict[str, str | int]:
        about: dict[str, str | int] = {"clinic": clinic, "code": self.code}
        about |= {"name": self.name} if self.name else {}
        return about if self.count is None else {**about, "count": self.count}


def look(clinic: Clinic) -> tuple[Reason, ...]:
    """Look at a clinic as `status` does, and return why it is red."""
    return tuple(reasons(health.health(clinic)))


def reasons(found: Health) -> list[Reason]:
    """Return why a clinic is red; none where nothing needs a person."""
    known = [
        *_as_a_whole(found),
        *_sources(found),
        *_calendars(found),
        *_messages(found),
    ]
    return known or ([] if found.healthy else [Reason("needs_person", count=len(found.needs))])


def _as_a_whole(found: Health) -> Iterator[Reason]:
    for need in found.unwritten:
        untold = need.command == "clinicrelay try alerts"
        yield Reason("alerts_unsent" if untold else "store_unwritable")
    if found.standing.elsewhere:
        yield Reason("live_elsewhere")
    if any(pause.until is None for pause in found.standing.in_force(found.now)):
        yield Reason("paused")
    for hold in found.holds:
        yield Reason(f"held_{hold['guard']}", hold["source"])


def _sources(found: Health) -> Iterator[Reason]:
    for name, one in found.sources.items():
        if one.state in health.RED_SOURCES:
            yield Reason(f"source_{one.state}", name)
        if one.set_aside:
            yield Reason("set_aside", name, one.set_aside)


def _calendars(found: Health) -> Iterator[Reason]:
    for name, one in found.calendars.items():
        if one.reasons:
            yield Reason("calendars_blocked", name, one.blocked)
        if one.refused:
            yield Reason("events_set_aside", name, one.refused)
        if one.held or one.asked:
            yield Reason("events_by_doctor", name, one.held + one.asked)


def _messages(found: Health) -> Iterator[Reason]:
    for name, one in found.barred.items():
        if one.is_red(found.now):
            yield Reason("notifier_barred", name)
    if left := found.messages.get("unproven", 0):
        yield Reason("messages_unproven", count=left)
    if failed := found.messages["failed"]:
        yield Reason("messages_failed", count=failed)
    day = found.tomorrow
    if uncovered := day.visits - day.covered - day.explained:
        yield Reason("tomorrow_uncovered", count=uncovered)
