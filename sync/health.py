"""How a clinic stands: sources, calendars, messages and tomorrow, as a projection of the store.

Nothing is counted while working; everything is read from what was kept. Whatever asks for a person
is named with the command that helps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from clinicrelay.counts import counted
from clinicrelay.times import iso, local
from sync import calendar_health
from sync.breaker import Barred, barred
from sync.calendar_health import CalendarHealth
from sync.coverage import Coverage, Day, tomorrow
from sync.freshness import rhythms, state_of
from sync.outstanding import Outstanding, outstanding
from sync.reasons import in_words
from sync.report import Need
from sync.silences import silences
from sync.standing import Standing
from sync.store import alerts, counting, dialects, incoming, progress, troubles

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sync.clinic import Clinic

_ROOM = 20 << 20  # bytes; what a run writes down before it is kept takes as much
_NAMED = 3  # visits of tomorrow of which nobody is told
RED_SOURCES = {
    "failed": "could not be read",
    "stale": "was not read completely for too long",
    "partial": "was not read to its end",
    "new": "was never read completely",
}
_DEAD = ("failed", "stale")


@dataclass(slots=True)
class SourceHealth:
    """One source. `state` is ok, new, partial, failed, held or stale; `appointments` are all kept.

    `strategy` is how it was last read; `complete` whether that read left nothing out; `reconciled`
    when, where reads of changes are the rule, everything was last compared.
    """

    state: str
    last_complete: datetime | None
    watermark: str | None
    appointments: int
    set_aside: int
    held: int
    error: str | None = None
    strategy: str | None = None
    complete: bool = False
    reconciled: str | None = None
    beneath: str = "ok"  # how it would stand if nothing of it were held


class NotifierHealth(NamedTuple):
    """One notifier: ok, paused by a person, or barred, as it could send nothing when last tried.

    `reason` is the person's own words, or a reason code; `until` is when it goes on or is tried.
    """

    state: str = "ok"
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def json(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "reason": self.reason or None,
            "since": iso(self.since) if self.since else None,
            "until": iso(self.until) if self.until else None,
        }


@dataclass(slots=True)
class Health:
    """How a clinic stands. `exit` is 0 green, 3 red, 4 held."""

    mode: str
    now: datetime
    sources: dict[str, SourceHealth]
    calendars: dict[str, CalendarHealth]
    messages: Mapping[str, int]
    tomorrow: Coverage
    holds: list[dict[str, Any]]
    barred: Mapping[str, Barred] = field(default_factory=dict)
    standing: Standing = field(default_factory=Standing)
    unwritten: list[Need] = field(default_factory=list)
    senders: tuple[str, ...] = ()
    outstanding: Outstanding = field(default_factory=Outstanding)
    zone: str = "UTC"
    silent: list[Need] = field(default_factory=list)

    @property
    def due(self) -> int:
        """How many messages are due: those in the ledger, and those that the next run will owe."""
        return self.messages["due"] + self.outstanding.messages

    @property
    def notifiers(self) -> dict[str, NotifierHealth]:
        """How each notifier stands: a pause outweighs what its server says."""
        return {name: self._notifier(name) for name in self.senders}

    def _notifier(self, name: str) -> NotifierHealth:
        pauses = (p for p in self.standing.in_force(self.now) if p.scope in ("", name))
        if pause := next(pauses, None):
            return NotifierHealth("paused", pause.reason, pause.since, pause.until)
        if stuck := self.barred.get(name):
            return NotifierHealth("barred", stuck.reason, stuck.since, stuck.until)
        return NotifierHealth()

    @property
    def needs(self) -> list[Need]:
        """What asks for a person."""
        return [
            *self.unwritten,
            *_stopped(self),
            *_held(self),
            *_sources(self),
            *calendar_health.needs(self.calendars),
            *_notifiers(self),
            *_messages(self),
            *self.silent,
        ]

    @property
    def healthy(self) -> bool:
        return not self.needs

    @property
    def exit(self) -> int:
        return 4 if self.holds else 0 if self.healthy else 3

    def json(self) -> dict[str, Any]:
        """Return the promised JSON of `status --json`."""
        return {
            "healthy": self.healthy,
            "mode": self.mode,
            "sources": {name: _source_json(one) for name, one in self.sources.items()},
            "calendars": {name: one.json() for name, one in self.calendars.items()},
            "messages": _messages_json(self),
            "notifiers": {name: one.json() for name, one in self.notifiers.items()},
            "coverage": {"tomorrow": self.tomorrow.json()},
        }


def health(clinic: Clinic) -> Health:
    """Look at everything once, by indexes only."""
    name, now, standing = clinic.store.clinic, clinic.now, clinic.standing()
    with clinic.store.read() as connection:
        holds, day = incoming.open_holds(connection, name), tomorrow(clinic, connection)
        return Health(
            standing.mode(now),
            now,
            _look_at_sources(clinic, connection, holds),
            calendar_health.look(clinic, connection),
            counting.messages_by_state(connection, name, now=now),
            day.coverage,
            holds,
            barred(connection, name),
            standing,
            [*_unwritten(clinic), *_untold(clinic, connection)],
            tuple(clinic.settings.notifiers),
            outstanding(clinic, connection),
            clinic.zone,
            [*_silent(clinic, connection, day)],
        )


def _unwritten(clinic: Clinic) -> Iterator[Need]:
    """Yield why the next run could keep nothing; nothing is written to find it out."""
    folder = clinic.settings.data
    file = dialects.file_of(clinic.settings.store_url)
    looks = (troubles.in_the_way(at, room=_ROOM) for at in (file, folder / "log") if at)
    found = next((look for look in looks if look is not None), None)
    if found == troubles.FULL:
        yield Need(f"the disk of {folder} is full, or nearly: nothing can be kept", "df -h")
    elif found is not None:
        yield Need(f"nothing can be kept: {found.message}", found.fix)


def _untold(clinic: Clinic, connection: Connection) -> Iterator[Need]:
    """Yield why alerts reached nobody: those who would mend it do not know of it."""
    for why, number in alerts.unsent(connection, clinic.store.clinic, now=clinic.now):
        count = "1 alert has" if number == 1 else f"{number} alerts have"
        what = f"{count} reached nobody: {in_words(why)}"
        yield Need(what, "clinicrelay try alerts")


def _silent(clinic: Clinic, connection: Connection, day: Day) -> Iterator[Need]:
    """Yield what fails without an error; what is open of tomorrow is told as such."""
    for one in silences(clinic, connection, running=None, whole=True, coming=day):
        if one.name != "coverage" or clinic.lost or not day.open:
            yield Need(one.what, one.command)


# --- sources -------------------------------------------------------------------------------------


def _look_at_sources(
    clinic: Clinic, connection: Connection, holds: list[dict[str, Any]]
) -> dict[str, SourceHealth]:
    aside = counting.set_aside_by_source(connection, clinic.store.clinic)
    usual = rhythms(connection, clinic.store.clinic)
    found = {}
    for name in clinic.settings.sources:
        known = progress.progress(connection, clinic.store.clinic, name)
        held = sum(hold["source"] == name for hold in holds)
        cursor = known.cursor or {}
        state = state_of(clinic, connection, name, known, usual.get(name))
        found[name] = SourceHealth(
            "held" if held else state,
            _instant(known.last_complete_at),
            cursor.get("watermark"),
            counting.kept(connection, clinic.store.clinic, name),
            aside.get(name, 0),
            held,
            known.error,
            cursor.get("strategy"),
            known.last_complete_at is not None and known.last_complete_at == known.last_read_at,
            cursor.get("reconciled"),
            state,
        )
    return found


def _source_json(one: SourceHealth) -> dict[str, Any]:
    return {
        "state": one.state,
        "last_complete": iso(one.last_complete) if one.last_complete else None,
        "strategy": one.strategy,
        "watermark": one.watermark,
        "complete": one.complete,
        "reconciled": one.reconciled,
        "appointments": one.appointments,
        "set_aside": one.set_aside,
        "held": one.held,
    }


# --- what asks for a person ----------------------------------------------------------------------


def _stopped(health: Health) -> Iterator[Need]:
    if health.standing.elsewhere:
        yield Need(f"live on {health.standing.elsewhere}, not here", "clinicrelay live here")
    for pause in health.standing.in_force(health.now):
        if pause.until is None:  # one with an end is seen to already
            why = f": {pause.reason}" if pause.reason else ""
            command = f"clinicrelay resume {pause.scope}".rstrip()
            yield Need(f"{pause.what} paused{why}", command)


def _held(health: Health) -> Iterator[Need]:
    for hold in health.holds:
        yield Need(f"held: {hold['summary']}", f"clinicrelay held show h{hold['id']}")


def _sources(health: Health) -> Iterator[Need]:
    for name, one in health.sources.items():
        # Of a read that is held nobody knows yet whether it was whole; one that fails since is dead.
        state = one.beneath if one.state == "held" and one.beneath in _DEAD else one.state
        if state in RED_SOURCES:
            why = f": {one.error}" if one.error else ""
            command = "clinicrelay sync" if state == "new" else "clinicrelay check --connect"
            yield Need(f"{name} {RED_SOURCES[state]}{why}", command)
        if one.set_aside:
            yield Need(f"{one.set_aside} set aside from {name}", "clinicrelay quarantine list")


def _messages_json(health: Health) -> dict[str, int]:
    """Count as unknown what is not known yet, and what within a day nobody could find out."""
    messages = health.messages
    shown = {name: number for name, number in messages.items() if name != "unproven"}
    return {
        **shown,
        "due": health.due,
        "unknown": messages["unknown"] + messages.get("unproven", 0),
        "visits_waiting": health.outstanding.visits,
    }


def _notifiers(health: Health) -> Iterator[Need]:
    for name, one in health.barred.items():
        if one.is_red(health.now):
            since = f"{local(one.since, health.zone):%a %d %b %H:%M}"
            what = f"{name} sends nothing since {since}: {in_words(one.reason)}"
            yield Need(what, "clinicrelay check --connect")


def _messages(health: Health) -> Iterator[Need]:
    if left := health.messages.get("unproven", 0):
        what = (
            f"{counted(left, 'message')} in the last 24 h: nobody can find out whether they arrived"
        )
        yield Need(what, "clinicrelay why APPOINTMENT")
    if failed := health.messages["failed"]:
        todo = "clinicrelay messages list --state failed"
        yield Need(f"{counted(failed, 'message')} failed in the last 24 h", todo)
    day = health.tomorrow
    if uncovered := day.visits - day.covered - day.explained:
        named = ", ".join(day.open[:_NAMED]) + (" …" if len(day.open) > _NAMED else "")
        yield Need(
            f"{uncovered} of {counted(day.visits, 'visit')} tomorrow: nobody is reminded ({named})",
            "clinicrelay appointments --uncovered",
        )


def _instant(seconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds is not None else None
