"""The doctor's hand: what a person does to a calendar on a phone."""

from __future__ import annotations

import copy
from datetime import datetime, timedelta
from typing import Any

from . import events
from .state import Calendar, Caller, Event, World


class Doctor:
    """Acts as the calendar's owner. Every method names an event by its id."""

    def __init__(self, world: World, calendar: Calendar) -> None:
        self._world, self._calendar = world, calendar
        self._self = Caller(calendar.owner, calendar.owner, frozenset())

    def create(self, *, start: str, end: str, **more: Any) -> str:
        """Enter an event of the doctor's own; return its id."""
        body = {"start": {"dateTime": start}, "end": {"dateTime": end}, **more}
        with self._world.lock:
            made = events.insert(self._world, self._calendar, self._self, {}, body)
        return str(made.body["id"])

    def move(self, event: str, *, minutes: int) -> None:
        """Drag an event to another time of the day."""
        body = self._event(event).body
        moved = {name: _later(body[name], minutes) for name in ("start", "end")}
        self.edit(event, **moved)

    def edit(self, event: str, **fields: Any) -> None:
        """Change guests, colour, texts, reminders: fields as the API names them."""
        with self._world.lock:
            where = {"eventId": event}
            events.change(self._world, self._calendar, self._self, where, fields, whole=False)

    def delete(self, event: str) -> None:
        with self._world.lock:
            events.delete(self._world, self._calendar, self._self, {"eventId": event})

    def restore(self, event: str) -> None:
        """Take an event out of the bin; the bin does not ask whether the API may."""
        with self._world.lock:
            found = self._event(event)
            found.body["status"] = "confirmed"
            self._world.keep(self._calendar, found)

    def copy(self, event: str) -> str:
        """Make a second event with the same texts and properties; return its id."""
        with self._world.lock:
            kept = {k: v for k, v in self._event(event).body.items() if k in events.KEPT}
            made = events.insert(self._world, self._calendar, self._self, {}, copy.deepcopy(kept))
        return str(made.body["id"])

    def _event(self, name: str) -> Event:
        return events.find(self._calendar, name)


def _later(value: dict[str, str], minutes: int) -> dict[str, str]:
    moment = datetime.fromisoformat(value["dateTime"]) + timedelta(minutes=minutes)
    return {**value, "dateTime": moment.isoformat()}
