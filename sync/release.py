"""Ends a hold the way a person decided: what was held is applied on the spot, or refused for good."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sync import keep
from sync.guard import UNLINKED
from sync.store import audit, flood, incoming, progress, unlinked
from sync.store.leases import lease

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sync.clinic import Clinic

STORM = "storm"


def release(clinic: Clinic, hold: Mapping[str, Any], *, silently: bool = False) -> bool:
    """Apply what a hold keeps back; `silently`: everybody counts as told of it.

    False when another run is reading the source: nothing was done.
    """
    with _held(clinic, hold) as connection:
        if connection is None:
            return False
        if hold["guard"] == STORM:
            flood.release(connection, hold["id"])
        elif hold["guard"] == UNLINKED:
            for calendar in _calendars(clinic, connection, hold):
                unlinked.let_go(connection, clinic.store.clinic, calendar)
        else:
            keep.apply(
                connection,
                clinic.store.clinic,
                hold["source"],
                list(incoming.of_hold(connection, clinic.store.clinic, hold["id"])),
                run=clinic.run,
                now=clinic.now,
                since=hold["since"] - 1,
                silently=silently,
            )
        _close(clinic, connection, hold, "released")
    return True


def reject(clinic: Clinic, hold: Mapping[str, Any]) -> bool:
    """Refuse what a hold keeps back, for as long as the source says the same.

    False when another run is reading the source: nothing was done.
    """
    with _held(clinic, hold) as connection:
        if connection is None:
            return False
        if hold["guard"] == STORM:
            flood.reject(connection, hold["id"], now=clinic.now)
        elif hold["guard"] == UNLINKED:
            for calendar in _calendars(clinic, connection, hold):
                unlinked.leave(connection, clinic.store.clinic, calendar)
        _close(clinic, connection, hold, "rejected")
    return True


@contextmanager
def _held(clinic: Clinic, hold: Mapping[str, Any]) -> Iterator[Connection | None]:
    """Open one transaction under the lease of whoever else could touch what is held."""
    whose = {STORM: "send", UNLINKED: "plan"}
    name = whose.get(hold["guard"], f"source:{hold['source']}")
    with lease(clinic.store, name, clinic.settings.store.lease) as mine:
        if mine is None:
            yield None
            return
        with clinic.store.write() as connection:
            mine.fence(connection)
            yield connection


def _calendars(clinic: Clinic, connection: Connection, hold: Mapping[str, Any]) -> list[str]:
    """Return the calendars that a hold keeps from being emptied."""
    leaving = unlinked.leaving(connection, clinic.store.clinic, hold["source"])
    return sorted({one.calendar for one in leaving})


def _close(clinic: Clinic, connection: Connection, hold: Mapping[str, Any], state: str) -> None:
    incoming.close(connection, clinic.store.clinic, hold["id"], state, now=clinic.now)
    source, name = hold["source"] if hold["guard"] != UNLINKED else "", clinic.store.clinic
    if source and state == "rejected":  # what it said was not all true, so it counts as no read
        progress.note_held(connection, name, source)
    if source and not incoming.open_holds(connection, name, source):
        # The source itself is as it should be; only its last read waited for a person.
        progress.note(connection, name, source, state="ok")
        progress.believe_held(connection, name, source, now=clinic.now)
    word = {"released": "held.release", "rejected": "held.reject"}[state]
    numbers = {"guard": hold["guard"], "visits": hold["visits"], "of": hold["known"]}
    about = f"hold/h{hold['id']}"
    audit.note(connection, name, audit.Deed(clinic.actor, word, about, details=numbers))
