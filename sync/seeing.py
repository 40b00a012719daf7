"""Visits as the pure decisions take them: how they stand, and what everybody was last told of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from clinicrelay.actions import Role, Told, What
from clinicrelay.model import Patient
from sync import outward
from sync.changes import may_be_same_person, same_person
from sync.plan import Seen, baseline, recipients
from sync.store import events, instant, said, told_state, unlinked, wakes
from sync.store.events import Shown
from sync.store.said import NotArrived
from sync.store.wakes import Past, Woken

if TYPE_CHECKING:
    from sync.clinic import Clinic

_NEW_TIME = {What.RESCHEDULED, What.REINSTATED}


@dataclass(frozen=True, slots=True)
class Known:
    """All that is kept about the visits of a batch.

    `told_rows` is what `told` was made of, as it stood in the store for the visits `looked_up`;
    `not_arrived` are those by which somebody counts as told who was not reached.
    """

    told: Mapping[int, Mapping[str, Told]]
    shown: Mapping[int, Mapping[str, Shown]]
    unlinked: Collection[unlinked.Pair]
    past: Mapping[int, Sequence[Past]]
    replaced: Mapping[int, Woken]
    looked_up: Sequence[int] = ()
    told_rows: Sequence[tuple[Any, ...]] = ()
    not_arrived: Mapping[str, NotArrived] = field(default_factory=dict)

    @classmethod
    def of(cls, connection: Any, batch: Sequence[Woken]) -> Known:
        others = [v.replaces for v in batch if v.replaces] + [
            v.replaced_by for v in batch if v.replaced_by
        ]
        ids = [v.id for v in batch]
        changed = [v.id for v in batch if v.version > 1]
        told = told_state.rows_of(connection, ids + others)
        shown = events.of_visits(connection, [v.id for v in batch if v.wake_at == wakes.CHANGED])
        return cls(
            told=told_state.as_told(told),
            shown=shown,
            unlinked=unlinked.of_visits(connection, [*shown]),
            past=wakes.history(connection, changed + others),
            replaced=wakes.by_ids(connection, others),
            looked_up=ids + others,
            told_rows=told,
            not_arrived=said.not_arrived(connection, _doubtful(told)),
        )


def _doubtful(told: Sequence[tuple[Any, ...]]) -> list[str]:
    """Return the attempts by which people may know, and may not: they have no kind (`told_state`)."""
    return [by for _, _, _, _, by, _, kind in told if by is not None and kind is None]


def seen(
    visit: Woken,
    known: Known,
    live_since: Mapping[Role, datetime] = MappingProxyType({}),
    *,
    confirms: bool = True,
) -> Seen:
    """Return a visit as the pure decisions take it.

    Where nobody gets a confirmation (`confirms`), people know of a visit as it was first booked.
    """
    appointment, past = visit.visit, known.past.get(visit.id, ())
    other = known.replaced.get(visit.replaces or 0)
    told = _told(visit, known)
    if not told and other is not None:
        told = _told(other, known) or ({} if confirms else _as_booked(other, known))
    if not confirms and not told.keys() >= recipients(appointment, Role.PATIENT).keys():
        told = {**_as_booked(visit, known), **told}
    displaced: Collection[str] = ()
    if told and past:
        told = dict(told)
        _carry_over(appointment.patients, past, told)
        displaced = _displaced(appointment.patients, past, told.keys())
    return Seen(
        appointment=appointment,
        first_seen=instant(visit.first_seen_at),
        told=told,
        version=visit.version,
        gone=visit.gone_at is not None,
        gone_reason=visit.gone_reason,
        imported=visit.baseline is not None,
        moved_at=_moved_at(visit, past),
        replaced_by=_key(known.replaced.get(visit.replaced_by or 0)),
        replaces=_key(other),
        live_since=live_since,
        displaced=displaced,
    )


def _displaced(
    patients: Sequence[Patient], past: Sequence[Past], told: Set[str]
) -> Collection[str]:
    """Return who was told and is no longer named, where nobody who is named now may be the same."""
    here = {f"patient/{one.key}" for one in patients}
    if not here or told <= here:
        return ()
    known = {
        f"patient/{left.key}": left
        for before in past
        for left in wakes.visit_of(before.content).patients
    }
    return {
        who
        for who in told - here
        if who in known and not any(may_be_same_person(known[who], one) for one in patients)
    }


def _carry_over(patients: Sequence[Patient], past: Sequence[Past], told: dict[str, Told]) -> None:
    """Let whose record was merged into another know, under its key, what they were told before."""
    new = [one for one in patients if f"patient/{one.key}" not in told]
    here = {one.key for one in patients}
    for before in reversed(past) if new else ():
        for left in wakes.visit_of(before.content).patients:
            known = told.get(f"patient/{left.key}")
            for one in new if known and left.key not in here else ():
                if known and same_person(left, one):
                    then = Told(known.facts, at=instant(before.replaced_at))
                    told.setdefault(f"patient/{one.key}", then)


def _key(visit: Woken | None) -> str | None:
    return visit.source_key if visit is not None else None


def _moved_at(visit: Woken, past: Sequence[Past]) -> datetime | None:
    """Return from when the present time was there to be told of: moved, back, or booked at last."""
    if not past:
        return None
    later = [*(p.content for p in past[1:]), visit.content]
    for before, content in zip(reversed(past), reversed(later), strict=False):
        whats = set(before.what.split(","))
        if _NEW_TIME & whats or (What.STATUS in whats and _booked_by(before.content, content)):
            return instant(before.replaced_at)
    return None


def _booked_by(before: str, after: str) -> bool:
    return not wakes.visit_of(before).status.reminds and wakes.visit_of(after).status.reminds


def _told(visit: Woken, known: Known) -> Mapping[str, Told]:
    """Return what people were last told: by a message, or silently with the baseline version."""
    by_message = known.told.get(visit.id, {})
    if visit.baseline is None:
        return by_message
    then = {past.version: past for past in known.past.get(visit.id, ())}
    before = then.get(visit.baseline - 1)
    at = instant(before.replaced_at if before else visit.first_seen_at)
    # Nobody was told of a visit before it was first seen, whatever a clock says that was put back.
    since = {who: told for who, told in by_message.items() if before is None or told.at >= at}
    was = then.get(visit.baseline)
    appointment = wakes.visit_of(was.content) if was else visit.visit
    if since.keys() >= recipients(appointment, Role.PATIENT).keys():
        return since
    gone = visit.gone_at is not None and visit.baseline == visit.version
    return baseline(appointment, gone=gone, now=at) | since


def _as_booked(visit: Woken, known: Known) -> Mapping[str, Told]:
    """Return what people know of a visit who arranged it and were told nothing: as it first stood."""
    past = known.past.get(visit.id, ())
    contents = [*(one.content for one in past), visit.content]
    since = [visit.first_seen_at, *(one.replaced_at for one in past)]
    for content, at in zip(contents, since, strict=True):
        if told := baseline(wakes.visit_of(content), now=instant(at)):
            return told
    return {}


def confirms(clinic: Clinic) -> bool:
    rules = clinic.settings.reminders.patient
    return rules is not None and rules.confirmation is not None


def told_of(
    clinic: Clinic, connection: Any, visits: Sequence[Woken]
) -> dict[int, Mapping[str, Told]]:
    """Return who counts as told what of visits, by a message or silently."""
    known, told = Known.of(connection, visits), confirms(clinic)
    return {visit.id: seen(visit, known, confirms=told).told for visit in visits}


def look(clinic: Clinic, connection: Any, visits: Sequence[Woken]) -> dict[int, Seen]:
    """Return visits as the pure decisions take them, by their number."""
    known, standing = Known.of(connection, visits), clinic.standing_in(connection)
    told = confirms(clinic)
    return {
        one.id: seen(one, known, outward.live_since(clinic, standing, one.visit), confirms=told)
        for one in visits
    }
