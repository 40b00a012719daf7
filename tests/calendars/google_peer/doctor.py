"""The doctor's hand: what a person does to a calendar on a phone."""

from __future__ import annotations

import copy
from datetime import datetime, timedelta
from typing import Any

from . import events
from .state import Asking, Body, Calendar, Caller, World


class Doctor:
    """Acts as the calendar's owner. Every method names an event by its id."""

    def __init__(self, world: World, calendar: Calendar) -> None:
        self._world, self._calendar = world, calendar
        self._self = Caller(calendar.owner, calendar.owner, frozenset())

    def create(self, *, start: str, end: str, **more: Any) -> str:
        """Enter an event of the doctor's own; return its id."""
        return self._insert({"start": {"dateTime": start}, "end": {"dateTime": end}, **more})

    def move(self, event: str, *, minutes: int) -> None:
        """Drag an event to another time of the day."""
        body = events.find(self._at(event)).body
        self.edit(event, **{name: _later(body[name], minutes) for name in ("start", "end")})

    def edit(self, event: str, **fields: Any) -> None:
        """Change guests, colour, texts, reminders, the meeting: fields as the API names them."""
        with self._world.lock:
            events.change(self._at(event), fields, whole=False)

    def delete(self, event: str) -> None:
        with self._world.lock:
            events.delete(self._at(event))

    def restore(self, event: str) -> None:
        """Take an event out of the bin; the bin does not ask whether the API may."""
        with self._world.lock:
            found = events.find(self._at(event))
            found.body["status"] = "confirmed"
            self._world.keep(self._calendar, found)

    def copy(self, event: str) -> str:
        """Make a second event with the same texts and properties; return its id."""
        body = events.find(self._at(event)).body
        return self._insert({k: copy.deepcopy(v) for k, v in body.items() if k in events.KEPT})

    def _insert(self, body: Body) -> str:
        with self._world.lock:
            return str(events.insert(self._at(), body).body["id"])

    def _at(self, event: str = "") -> Asking:
        meetings = {"conferenceDataVersion": "1"}
        return Asking(self._world, self._calendar, self._self, event, meetings)


def _later(value: dict[str, str], minutes: int) -> dict[str, str]:
    moment = datetime.fromisoformat(value["dateTime"]) + timedelta(minutes=minutes)
    return {**value, "dateTime": moment.isoformat()}
