"""Recognises a visit that goes on under another key: booked anew at another time, or renumbered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from clinicrelay.model import Appointment
from sync.changes import same_visit
from sync.store import visits
from sync.store.incoming import Waiting
from sync.store.visits import Stored

if TYPE_CHECKING:
    from sqlalchemy import Connection

_AT_ONCE = 2000  # a read that lacks half of a large clinic is no reason to hold all of it in memory


def renumbered(
    connection: Connection,
    clinic: str,
    source: str,
    absent: Sequence[str],
    back: Sequence[Waiting],
    *,
    since: int,
) -> dict[str, str]:
    """Return which absent visits a read names by which other key: same patient, doctor and start.

    A system that was upgraded, or an export that lost its column of ids, calls everything anew. Who
    was told of such a visit knows of it, and the guard has nothing to fear. `back` are changes that
    bring visits back; `since` (seconds) is when the source was last believed.
    """
    known = visits.by_keys(connection, clinic, source, [w.key for w in back])
    free = [
        known[w.key]._replace(start_at=w.new_start_at, content=w.content) for w in back if w.content
    ]
    found: dict[str, str] = {}
    taken = set[int]()
    for begin in range(0, len(absent), _AT_ONCE):
        old = visits.by_keys(connection, clinic, source, absent[begin : begin + _AT_ONCE])
        new = [*free, *_newly_booked(connection, clinic, source, old.values(), since=since)]
        left = [one for one in new if one.id not in taken]
        for one, other in _pairs(old.values(), left, only_same_start=True):
            found[one.source_key] = other.source_key
            taken.add(other.id)
    return found


def pair(
    connection: Connection,
    clinic: str,
    source: str,
    off: Sequence[str],
    back: Sequence[str],
    *,
    since: int,
    now: datetime,
) -> None:
    """Note which visits that were called off are booked anew, or back, as other ones."""
    old = [
        one
        for one in visits.by_keys(connection, clinic, source, off).values()
        if one.start_at is not None and one.start_at > now.timestamp()
    ]
    new = _newly_booked(connection, clinic, source, old, since=since)
    new += visits.by_keys(connection, clinic, source, back).values()
    for one, other in _pairs(old, new):
        visits.pair(connection, one.id, other.id)


def _newly_booked(
    connection: Connection, clinic: str, source: str, old: Iterable[Stored], *, since: int
) -> list[Stored]:
    patients = sorted({one.visit.patients[0].key for one in old if one.visit.patients})
    return visits.newly_booked(connection, clinic, source, patients, since=since)


def _pairs(
    old: Iterable[Stored], new: Iterable[Stored], *, only_same_start: bool = False
) -> Iterator[tuple[Stored, Stored]]:
    """Yield which new visit is which old one: first those at the same time, then those that moved."""
    free = defaultdict[str, list[tuple[Stored, Appointment]]](list)
    for one in new:
        visit = one.visit
        if visit.patients:
            free[visit.patients[0].key].append((one, visit))
    left = [(one, one.visit) for one in old]
    for moved in (False,) if only_same_start else (False, True):
        unpaired = []
        for one, visit in left:
            among = free[visit.patients[0].key] if visit.patients else []
            fitting = (
                other
                for other in among
                if (moved or other[0].start_at == one.start_at) and same_visit(visit, other[1])
            )
            match = next(fitting, None)
            if match is None:
                unpaired.append((one, visit))
            else:
                among.remove(match)
                yield one, match[0]
        left = unpaired
