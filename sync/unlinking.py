"""Keeps a calendar from being emptied because links changed, until a person says that they meant it.

A doctor's e-mail that an export lost, a mapping edited for another purpose, a slip in settings: each
makes all visits of a doctor belong to no calendar, or to another one, at once. The visits stand, so no
guard over a source sees anything wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sync.guard import UNLINKED, Hold, is_emptied
from sync.store import incoming, unlinked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from sync.clinic import Clinic
    from sync.store.leases import Lease
    from sync.store.unlinked import Share


def waits(connection: Connection, clinic: str) -> bool:
    """Whether there is anything to judge."""
    return unlinked.any_known(connection, clinic) or any(
        one["guard"] == UNLINKED for one in incoming.open_holds(connection, clinic)
    )


def judge(clinic: Clinic, lease: Lease) -> None:
    """Let events go that a calendar is to show no longer, or hold them where they are too many."""
    store = clinic.store.clinic
    with clinic.store.read() as connection:
        found = list(unlinked.shares(connection, store, now=clinic.now))
        holds = [one for one in incoming.open_holds(connection, store) if one["guard"] == UNLINKED]
    if not found and not holds:
        return
    with clinic.store.write() as connection:
        lease.fence(connection)
        for plugin in clinic.settings.calendars:
            own = [one for one in found if one.calendar.startswith(f"{plugin}:")]
            waiting = any(hold["source"] == plugin for hold in holds)
            if _held(clinic, connection, plugin, own, waiting=waiting):
                holds = [hold for hold in holds if hold["source"] != plugin]
        for hold in holds:  # all is linked again
            incoming.close(connection, store, hold["id"], "dissolved", now=clinic.now)


def _held(
    clinic: Clinic, connection: Connection, plugin: str, found: Sequence[Share], *, waiting: bool
) -> bool:
    """Hold what would empty calendars of a plugin, and let the rest go; return whether any is held.

    While a hold is `waiting` for a person nothing goes: visits that pass make it smaller, not right.
    """
    store, limit = clinic.store.clinic, clinic.settings.safety.hold_if.unlinked
    held = [one for one in found if waiting or is_emptied(one.events, one.shown, limit)]
    for one in found:
        if one not in held:
            unlinked.let_go(connection, store, one.calendar)
    if any(one.events for one in held):
        incoming.hold(connection, store, plugin, [], _hold(held, limit), now=clinic.now)
    return bool(held)


def _hold(found: Sequence[Share], limit: float) -> Hold:
    events, shown = sum(one.events for one in found), sum(one.shown for one in found)
    where = found[0].calendar if len(found) == 1 else f"{len(found)} calendars"
    return Hold(
        UNLINKED,
        events,
        shown,
        f"{events} of {shown} events would go from {where} though their visits stand: they are no "
        f"longer linked to it (limit {limit:.0%})",
    )
