"""How doctors' calendars stand: what waits, what keeps it from being written, what doctors did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from clinicrelay import times
from clinicrelay.counts import counted
from clinicrelay.times import iso
from sync.hands import read, reverted
from sync.push import Blocked, blocked
from sync.report import Need, calendar_needs, doctors_need
from sync.store import calendars

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sync.clinic import Clinic
    from sync.store.calendars import Kept, Tally


class OneCalendar(NamedTuple):
    """One doctor's calendar. `lag` is for how long the oldest of the `queue` has been waiting."""

    address: str
    last_success: datetime | None
    lag: timedelta | None
    queue: int
    hidden: int
    held: int
    refused: int
    reason: str
    fix: str

    def json(self) -> dict[str, Any]:
        return {
            **self._asdict(),
            "last_success": iso(self.last_success) if self.last_success else None,
            "lag": int(self.lag.total_seconds()) if self.lag is not None else None,
        }


@dataclass(slots=True)
class CalendarHealth:
    """The calendars of one entry in settings: `pending` events, `blocked` addresses.

    What doctors did to events: `hidden` are those they deleted, `put_back` how often one was moved
    back today, `held` those that are moved too often, `asked` those that a person is to look at.
    `refused` events are set aside.
    """

    state: str = "ok"
    pending: int = 0
    blocked: int = 0
    reasons: list[Blocked] = field(default_factory=list)
    hidden: int = 0
    put_back: int = 0
    held: int = 0
    asked: int = 0
    refused: int = 0
    each: list[OneCalendar] = field(default_factory=list)

    def json(self) -> dict[str, Any]:
        names = ("state", "pending", "blocked", "hidden", "put_back", "held", "asked", "refused")
        each = [one.json() for one in self.each]
        return {**{name: getattr(self, name) for name in names}, "calendars": each}


def look(clinic: Clinic, connection: Connection) -> dict[str, CalendarHealth]:
    """Look at the calendars of every entry in settings."""
    found = {name: CalendarHealth() for name in clinic.settings.calendars}
    store = clinic.store.clinic
    tallies = calendars.tallies(connection, store)
    for calendar, kept in calendars.kept(connection, store, since=clinic.shown_since).items():
        name = calendar.partition(":")[0]
        if name in found and kept.in_use:
            tally, why = tallies.get(calendar, calendars.Tally({})), blocked(calendar, kept)
            _add(found[name], _one_calendar(calendar, kept, tally, why, clinic.now), why)
    midnight = times.first_instant(times.day_of(clinic.now, clinic.zone), clinic.zone)
    today = int(midnight.timestamp())
    for calendar, text in calendars.touched(connection, store):
        if one := found.get(calendar.partition(":")[0]):
            hands = read(text)
            one.asked += hands.asked
            one.put_back += reverted(hands, today)
    return found


def _one_calendar(
    calendar: str, kept: Kept, tally: Tally, why: Blocked | None, now: datetime
) -> OneCalendar:
    return OneCalendar(
        calendar.partition(":")[2],
        kept.last_success,
        now - tally.oldest if tally.oldest else None,
        sum(tally.states.get(state, 0) for state in calendars.OPEN),
        tally.states.get("hidden", 0),
        tally.states.get("held", 0),
        tally.states.get("blocked", 0),
        kept.mark.reason,
        why.fix if why else kept.mark.fix,
    )


def _add(all_: CalendarHealth, one: OneCalendar, why: Blocked | None) -> None:
    all_.each.append(one)
    all_.pending += one.queue
    all_.hidden += one.hidden
    all_.held += one.held
    all_.refused += one.refused
    if why is not None:
        all_.state = "blocked"
        all_.blocked += 1
        all_.reasons.append(why)
    elif one.reason and one.queue and all_.state == "ok":
        all_.state = one.reason


def needs(found: Mapping[str, CalendarHealth]) -> Iterator[Need]:
    """Yield what asks for a person."""
    for name, one in found.items():
        yield from calendar_needs(name, one.reasons)
        if one.refused:
            what = f"{counted(one.refused, 'event')} set aside from {name}"
            yield Need(what, "clinicrelay quarantine list")
        if one.held or one.asked:
            yield doctors_need(name, one.held, one.asked)
