"""What needs a person at this moment and would not be noticed without an alert, from the store."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from clinicrelay import times
from clinicrelay.counts import counted
from sync import health
from sync.alerts import Condition
from sync.attendance import NO_SYNC
from sync.breaker import SILENT, barred
from sync.freshness import source_state
from sync.push import ON_PURPOSE
from sync.reasons import in_words
from sync.silences import silences
from sync.store import alerts, calendars, incoming, progress

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sync.clinic import Clinic

# What may pass by itself: a server that restarts, a source that is busy, a calendar in a quarrel.
_UNREAD = _UNWRITTEN = timedelta(minutes=15)
_NAMED = 3  # calendars
_REMINDERS_WAIT = " Until then nobody is reminded of these visits."
_IN_DOUBT = ("cancelled", "rescheduled", "shifted", "reassigned")
_LOOK = "clinicrelay check --connect"


def conditions(
    clinic: Clinic, *, running: str | None = None, whole: bool = True
) -> dict[str, Condition]:
    """Return what needs a person now, by name.

    `running` is the command that asks, None for one that only looks; a look that is not `whole`
    leaves out what `sync.silences.looked_at` names.
    """
    with clinic.store.read() as connection:
        silent = [*silences(clinic, connection, running=running, whole=whole)]
        unread = any(one.name == NO_SYNC for one in silent)
        found = (
            *_notifiers(clinic, connection),
            *_sources(clinic, connection, unread=unread),
            *_calendars(clinic, connection),
            *_holds(clinic, connection),
            *silent,
        )
    return {one.name: one for one in found}


def _notifiers(clinic: Clinic, connection: Connection) -> Iterator[Condition]:
    for name, one in barred(connection, clinic.store.clinic).items():
        if name not in clinic.settings.notifiers:
            continue
        waiting = alerts.waiting(connection, clinic.store.clinic, one.reason, now=clinic.now)
        yield Condition(
            f"notifier/{name}",
            f"{name} sends nothing: {in_words(one.reason)}",
            f"{_counted(waiting, 'message')} for patients and doctors; each leaves when it works "
            "again, as long as it is of use then.",
            _LOOK,
            one.since,
            timedelta(0) if one.needs_person else SILENT,
        )


def _sources(clinic: Clinic, connection: Connection, *, unread: bool) -> Iterator[Condition]:
    """Yield what is wrong with sources; that one is stale is no news while `unread`: nothing reads."""
    told = alerts.open_(connection, clinic.store.clinic) if unread else {}
    for name in clinic.settings.sources:
        state = source_state(clinic, connection, name)
        if state not in ("failed", "partial", "stale"):
            continue
        if unread and state == "stale" and f"source/{name}" not in told:
            continue
        known = progress.progress(connection, clinic.store.clinic, name)
        last = (
            datetime.fromtimestamp(known.last_complete_at, UTC) if known.last_complete_at else None
        )
        when = f"since {times.local(last, clinic.zone):%a %d %b %H:%M}" if last else "so far"
        why = f": {known.error}" if known.error else ""
        yield Condition(
            f"source/{name}",
            f"{name} {health.RED_SOURCES[state]}{why}",
            f"Nobody hears of what was booked, moved or cancelled there {when}.",
            _LOOK,
            last or clinic.now,
            _UNREAD if last and state != "stale" else timedelta(0),
        )


def _calendars(clinic: Clinic, connection: Connection) -> Iterator[Condition]:
    """Yield what keeps calendars from being written, each cause once for all calendars of a name."""
    blocked: dict[tuple[str, str], list[tuple[str, calendars.Kept]]] = {}
    for calendar, kept in calendars.kept(
        connection, clinic.store.clinic, since=clinic.shown_since
    ).items():
        name, _, address = calendar.partition(":")
        reason = kept.mark.reason
        if kept.in_use and name in clinic.settings.calendars and reason not in ("", *ON_PURPOSE):
            blocked.setdefault((name, reason), []).append((address, kept))
    if not blocked:
        return
    tallies = calendars.tallies(connection, clinic.store.clinic)
    for (name, reason), several in blocked.items():
        named = ", ".join(address for address, _ in several[:_NAMED])
        more = f" and {len(several) - _NAMED} more" if len(several) > _NAMED else ""
        whose = (tallies.get(f"{name}:{address}") for address, _ in several)
        waiting = sum(one.states.get(s, 0) for one in whose if one for s in calendars.OPEN)
        yield Condition(
            f"calendar/{name}/{reason}",
            f"{name} cannot write to {named}{more}: {in_words(reason)}",
            f"{_counted(waiting, 'event')}, and these calendars may show what is no longer so.",
            _LOOK,
            min(kept.since for _, kept in several),
            _UNWRITTEN,
        )


def _holds(clinic: Clinic, connection: Connection) -> Iterator[Condition]:
    for hold in incoming.open_holds(connection, clinic.store.clinic):
        yield Condition(
            f"held/{hold['id']}",
            f"held: {hold['summary']}",
            "What is held is neither kept nor told before a person has looked at it."
            + (_REMINDERS_WAIT if hold["guard"] in _IN_DOUBT else ""),
            f"clinicrelay held show h{hold['id']}",
            datetime.fromtimestamp(hold["since"], UTC),
        )


def _counted(number: int, what: str) -> str:
    return f"{counted(number, what)} {'waits' if number == 1 else 'wait'}"
