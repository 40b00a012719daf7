"""Finds visits that calendars are not to show, or no longer, although they should: or the other way.

What is written to calendars follows what was decided when a visit last changed. Here it is decided
once more, from the visit as it stands and the links of its doctors, so that a mistake in what is
kept of events does not hide itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sync import planner
from sync.store import events, wakes

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.store.events import Wanted
    from sync.store.wakes import Woken

_AT_ONCE = 2000
_LEAVES = ("remove", "removed")


@dataclass(frozen=True, slots=True)
class Astray:
    """A visit of which a calendar is to show something else than what was decided."""

    number: int
    ref: str
    visit: str
    calendar: str
    start: datetime | None
    is_missing: bool


def astray(clinic: Clinic) -> Iterator[Astray]:
    """Yield what is astray of visits that calendars still show, and that plan has seen."""
    after = 0
    while batch := _visits(clinic, after):
        after = batch[-1].id
        by_id = {visit.id: visit for visit in batch}
        with clinic.store.read() as connection:
            wanted = planner.wanted_of(clinic, connection, batch)
            states = events.states(connection, [*by_id])
        for one in wanted:
            if _differs(one, states.get((one.appointment, one.calendar))):
                yield _astray(by_id[one.appointment], one)


def decide_again(clinic: Clinic, found: Sequence[Astray]) -> None:
    """Let plan see such visits as if they had changed."""
    with clinic.store.write() as connection:
        wakes.look_as_if_changed(connection, sorted({one.number for one in found}))


def _visits(clinic: Clinic, after: int) -> list[Woken]:
    with clinic.store.read() as connection:
        return wakes.asleep(
            connection,
            clinic.store.clinic,
            since=clinic.shown_since,
            now=clinic.now,
            after=after,
            limit=_AT_ONCE,
        )


def _differs(one: Wanted, state: str | None) -> bool:
    """Whether something else was decided; what is linked no longer is a person's to decide about."""
    if one.unlinked:
        return False
    leaves = state is None or state in _LEAVES
    return leaves if one.put else not leaves


def _astray(visit: Woken, one: Wanted) -> Astray:
    name = f"{visit.source}/{visit.source_key}"
    return Astray(visit.id, one.ref, name, one.calendar, visit.visit.start, one.put)
