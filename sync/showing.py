"""Why a calendar does not show a visit: what keeps an event back, or that nobody has one. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sync.reasons import advice, in_words, reason

if TYPE_CHECKING:
    from sync.standing import Pause

_WAITS = ("put", "remove")
_NOT_SHOWN = ("put", "remove", "blocked", "hidden", "held")


class Trouble(NamedTuple):
    """A calendar of the settings that does not show the visit as it stands, and why.

    `pause` is what a person stopped, where it is that.
    """

    calendar: str
    reason: str
    setting: str
    pause: Pause | None = None

    @property
    def sentence(self) -> str:
        what = advice(self.reason)
        return f"The calendar {self.calendar}: {in_words(self.reason)} ({self.setting}). {what}"


def troubles(events: Sequence[Mapping[str, Any]], unlinked: Sequence[Trouble]) -> Iterator[Trouble]:
    """Yield what is wrong in the calendars of a visit; `unlinked` are those with no place for it."""
    yield from unlinked
    for event in events:
        name = event["calendar"].partition(":")[0]
        if pause := event.get("pause"):
            yield Trouble(name, "paused", pause.command, pause)
        elif event["state"] in _NOT_SHOWN and (why := why_not(event)):
            setting = reason(why).setting.replace("calendars.NAME", f"calendars.{name}")
            yield Trouble(name, why, setting or f"calendars.{name}")


def why_not(event: Mapping[str, Any]) -> str:
    """Return why an event is not as it should be: its own reason, else that of its calendar."""
    stuck = event["blocked"] if event["state"] in _WAITS else ""
    return event["reason"] or stuck or ""


def as_paused(
    events: Sequence[Mapping[str, Any]], paused: Callable[[str], Pause | None]
) -> list[dict[str, Any]]:
    """Return the events of a visit with the pause that stops each now, by the name of its calendar.

    What a run noted of a pause says nothing of one that began since, or is over.
    """
    return [_as_paused(event, paused) for event in events]


def _as_paused(event: Mapping[str, Any], paused: Callable[[str], Pause | None]) -> dict[str, Any]:
    waits = event["state"] in _WAITS
    if waits and (pause := paused(event["calendar"].partition(":")[0])):
        return {**event, "reason": "", "blocked": "paused", "fix": pause.ended_by, "pause": pause}
    return {**event, "blocked": ""} if event["blocked"] == "paused" else dict(event)


def places(
    calendars: Mapping[str, Sequence[tuple[bool, bool]]], *, anybody: bool
) -> Iterator[Trouble]:
    """Yield the calendars in which nobody of a visit has a place.

    `calendars` has for each of the settings, by practitioner, whether the settings know them and
    whether they have a place there; `anybody`: whether the visit names a practitioner at all.
    """
    for name, people in calendars.items():
        if any(linked for _, linked in people):
            continue
        if not anybody:
            yield Trouble(name, "no_practitioner", f"calendars.{name}")
        elif any(known for known, _ in people):
            yield Trouble(name, "doctor_calendar_unlinked", "doctors")
        else:
            yield Trouble(name, "new_doctor_unmapped", "doctors")
