"""plan, the step: looks at every visit that woke, writes down what is owed, and lets it sleep again.

Level-triggered: a change, a due reminder, a settings edit or a replay only wake visits. What is owed
is decided from how things stand (`sync.plan`, `sync.due`), and written in one transaction with the
hour of the next look; after a kill the same visits wake again and the same keys are owed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from clinicrelay.actions import PutEvent, Role, Say, Told, What
from clinicrelay.model import Appointment, Patient
from sync import digest, outward, running, unlinking
from sync.changes import may_be_same_person, same_person
from sync.due import Timetable, digest_due, digest_say, first_hour
from sync.plan import Seen, baseline, dedupe_key, event_actions, owed, owed_again, recipients
from sync.reopening import reopens
from sync.store import bulk, events, instant, memory, progress, said, seconds, unlinked, wakes
from sync.store.events import Shown, Wanted
from sync.store.said import NotArrived, Owed
from sync.store.wakes import Past, Woken

if TYPE_CHECKING:
    from clinicrelay.settings.schema import Step
    from sync.clinic import Clinic
    from sync.store.leases import Lease

_AT_ONCE = 4000
_DIGEST = "sync/digest"
_NEW_TIME = {What.RESCHEDULED, What.REINSTATED}


def plan(clinic: Clinic, lease: Lease) -> int:
    """Look at every visit that woke; return how many there were."""
    _heed_new_settings(clinic, lease)
    running.keep(clinic, lease)
    looked_at = 0
    while not clinic.ending.is_set() and (batch := _woken(clinic)):
        _plan_batch(clinic, lease, batch)
        looked_at += len(batch)
    if not clinic.ending.is_set():
        unlinking.judge(clinic, lease)
    _owe_digests(clinic, lease)
    return looked_at


def waits(clinic: Clinic) -> bool:
    """Whether `plan` would find anything to do; asked without a lease, so nothing is written."""
    with clinic.store.read() as connection:
        known = progress.policy(connection, clinic.store.clinic)
        woken = wakes.woken(connection, clinic.store.clinic, now=clinic.now, limit=1)
    return (
        known != clinic.policy
        or bool(woken)
        or running.differs(clinic)
        or unlinking.waits(clinic)
        or _digest_day(clinic)[0] is not None
    )


def _heed_new_settings(clinic: Clinic, lease: Lease) -> None:
    with clinic.store.read() as connection:
        known = progress.policy(connection, clinic.store.clinic)
    if known != clinic.policy:
        with clinic.store.write() as connection:
            lease.fence(connection)
            progress.set_policy(
                connection,
                clinic.store.clinic,
                clinic.policy,
                # A new clinic was never decided about in another way.
                wake_since=_oldest(clinic) if known else None,
            )


def _oldest(clinic: Clinic) -> datetime:
    """Return since when visits matter: as far back as a calendar is kept, else from now on."""
    windows = (one.window for one in clinic.settings.calendars.values())
    return min((w.past.before(clinic.now, clinic.zone) for w in windows), default=clinic.now)


def first_look(clinic: Clinic) -> Callable[[Appointment], int]:
    """Return when plan has to look at a visit that comes with an import (seconds; 0: at once).

    An import is news to nobody. Where no calendar is to show it either, there is nothing to decide
    about a visit until its first reminder is due.
    """
    planner = _Planner(clinic, _Known({}, {}, (), {}, {}))
    steps = [step for _, some in planner.steps for step in some]

    @lru_cache(maxsize=4096)  # the visits of a clinic begin at few times
    def hour(start: datetime, zone: str, others: tuple[str | None, ...]) -> int:
        zones = {zone, *filter(None, others)}
        first = first_hour(
            steps, start, quiet=planner.quiet, recipient_zones=zones, visit_zone=zone
        )
        return seconds(first) if first > clinic.now else 0

    def look(visit: Appointment) -> int:
        if visit.start is None:
            return 0
        return hour(visit.start, visit.timezone, tuple([p.timezone for p in visit.patients]))

    return (lambda visit: 0) if clinic.settings.calendars else look


def _woken(clinic: Clinic) -> list[Woken]:
    with clinic.store.read() as connection:
        return wakes.woken(connection, clinic.store.clinic, now=clinic.now, limit=_AT_ONCE)


def _plan_batch(clinic: Clinic, lease: Lease, batch: Sequence[Woken]) -> None:
    with clinic.store.read() as connection:
        known = _Known.of(connection, batch)
    planner = _Planner(clinic, known)
    plans = [planner.plan(visit) for visit in batch]
    if any(plan.owed or plan.wanted for plan in plans):
        bulk.load()
    with clinic.store.write() as connection:
        lease.fence(connection)
        said.owe(
            connection,
            clinic.store.clinic,
            (thing for p in plans for thing in p.owed),
            run=clinic.run,
            now=clinic.now,
            reopens=partial(reopens, clinic, connection, {visit.id: visit for visit in batch}),
        )
        events.want(
            connection,
            clinic.store.clinic,
            wanted := [thing for p in plans for thing in p.wanted],
            now=clinic.now,
        )
        unlinked.note(connection, clinic.store.clinic, wanted, known.unlinked)
        wakes.sleep(connection, (p.sleep for p in plans))
        _wake_the_newly_told(connection, batch, known)


def _wake_the_newly_told(connection: Any, batch: Sequence[Woken], known: _Known) -> None:
    """Let whoever was told something since they were looked at be measured by that."""
    told = said.told_rows(connection, known.looked_up)
    if told != known.told_rows:
        newly = {row[0] for row in {*told} ^ {*known.told_rows}}
        for visit in batch:
            if visit.id in newly:
                wakes.look_again(connection, visit.id)


@dataclass(frozen=True, slots=True)
class _Known:
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
    def of(cls, connection: Any, batch: Sequence[Woken]) -> _Known:
        others = [v.replaces for v in batch if v.replaces] + [
            v.replaced_by for v in batch if v.replaced_by
        ]
        ids = [v.id for v in batch]
        changed = [v.id for v in batch if v.version > 1]
        told = said.told_rows(connection, ids + others)
        return cls(
            told=said.as_told(told),
            shown=events.of_visits(connection, [v.id for v in batch if v.wake_at == wakes.CHANGED]),
            unlinked=unlinked.of_visits(connection, changed),
            past=wakes.history(connection, changed + others),
            replaced=wakes.by_ids(connection, others),
            looked_up=ids + others,
            told_rows=told,
            not_arrived=said.not_arrived(connection, _doubtful(told)),
        )


def _doubtful(told: Sequence[tuple[Any, ...]]) -> list[str]:
    """Return the attempts by which people may know, and may not: they are of no kind (`said.tell`)."""
    return [by for _, _, _, _, by, _, kind in told if by is not None and kind is None]


def seen(
    visit: Woken,
    known: _Known,
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


def _told(visit: Woken, known: _Known) -> Mapping[str, Told]:
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


def _as_booked(visit: Woken, known: _Known) -> Mapping[str, Told]:
    """Return what people know of a visit who arranged it and were told nothing: as it first stood."""
    past = known.past.get(visit.id, ())
    contents = [*(one.content for one in past), visit.content]
    since = [visit.first_seen_at, *(one.replaced_at for one in past)]
    for content, at in zip(contents, since, strict=True):
        if told := baseline(wakes.visit_of(content), now=instant(at)):
            return told
    return {}


class _Plan(NamedTuple):
    owed: Sequence[Owed]
    wanted: Sequence[Wanted]
    sleep: tuple[int | None, int, int]


class _Planner:
    """Decides about one visit after another under one set of settings."""

    def __init__(self, clinic: Clinic, known: _Known) -> None:
        self.clinic = clinic
        self.known = known
        self.rules, self.quiet = clinic.settings.reminders, clinic.settings.quiet_hours
        self.steps: list[tuple[Role, Sequence[Step]]] = [
            (role, rules.steps)
            for role, rules in (
                (Role.PATIENT, self.rules.patient),
                (Role.DOCTOR, self.rules.doctor),
            )
            if rules is not None and rules.steps
        ]
        self.timetable = Timetable(self.steps, now=clinic.now, quiet=self.quiet)
        self.confirms = _confirms(clinic)
        self.standing = clinic.standing()
        self.oldest = _oldest(clinic)

    def plan(self, woken: Woken) -> _Plan:
        visit = woken.visit
        live = outward.live_since(self.clinic, self.standing, visit)
        if imported := self._is_as_imported(woken):
            one = Seen(visit, instant(woken.first_seen_at), live_since=live)
        else:
            one = seen(woken, self.known, live, confirms=self.confirms)
        says = [] if imported else owed(one, self.rules, now=self.clinic.now)
        due, coming = self.timetable.reminders(one)
        return _Plan(
            [
                *(self._owed(woken, say, one) for say in (*says, *due)),
                *self._owed_again(woken, one),
            ],
            self._wanted(woken, visit),
            (seconds(coming) if coming else None, woken.id, woken.version),
        )

    def _is_as_imported(self, woken: Woken) -> bool:
        """Whether a visit came with an import and is as it was then, so that it is news to nobody."""
        return (
            woken.baseline == woken.version == 1
            and woken.gone_at is None
            and woken.replaced_by is None
            and woken.id not in self.known.told
        )

    def _owed(self, woken: Woken, say: Say, one: Seen) -> Owed:
        told = one.told.get(say.recipient)
        key = dedupe_key(woken.source, woken.source_key, say, told)
        # With only its hour come, a visit has the same missing contact as before: told once.
        anew = woken.wake_at in (wakes.CHANGED, wakes.OWED)
        return Owed(key, woken.id, say, anew)

    def _owed_again(self, woken: Woken, one: Seen) -> Iterator[Owed]:
        """Yield what did not arrive, under its own key: it leaves once there is another way."""
        if woken.wake_at not in (wakes.CHANGED, wakes.OWED):
            return
        for told in one.told.values():
            missed = self.known.not_arrived.get(told.by or "")
            if missed is not None and missed.appointment == woken.id and told.kind is None:
                say = owed_again(one, self.rules, missed.say, now=self.clinic.now)
                if say is not None:
                    yield Owed(missed.dedupe, woken.id, say)

    def _wanted(self, woken: Woken, visit: Appointment) -> list[Wanted]:
        if not self.clinic.settings.calendars or woken.wake_at != wakes.CHANGED:
            return []  # what a calendar shows depends on no hour
        if visit.start is not None and visit.start < self.oldest:
            return []  # the past day stands as it was
        wanted = {
            calendar: practitioner.key
            for practitioner in visit.practitioners
            for calendar in self.clinic.calendars_of(visit.source, practitioner)
        }
        shown = self.known.shown.get(woken.id, {})
        actions = event_actions(
            visit, gone=woken.gone_at is not None, wanted=wanted, existing=shown
        )
        ref = self.clinic.opaque(woken.source, woken.source_key)
        return [
            Wanted(
                woken.id,
                action.calendar,
                ref,
                put := isinstance(action, PutEvent),
                unlinked=not put and self._is_unlinked(woken, visit, action.calendar),
                doubt=shown[action.calendar].doubt if action.calendar in shown else "",
            )
            for action in actions
        ]

    def _is_unlinked(self, woken: Woken, visit: Appointment, calendar: str) -> bool:
        """Whether an event that stands is to go only because nobody of its visit has that calendar."""
        on = visit.status.on_calendar and visit.start is not None and woken.gone_at is None
        if not on or not self.known.shown[woken.id][calendar].stands:
            return False
        here = {practitioner.key for practitioner in visit.practitioners}
        left = (
            practitioner
            for past in self.known.past.get(woken.id, ())
            for practitioner in wakes.visit_of(past.content).practitioners
            if practitioner.key not in here
        )
        calendars_of = self.clinic.calendars_of
        return all(calendar not in calendars_of(visit.source, one) for one in left)


def _owe_digests(clinic: Clinic, lease: Lease) -> None:
    """Owe each doctor the digest of a day, once its hour has come."""
    doctor = clinic.settings.reminders.doctor
    day, remembered = _digest_day(clinic)
    if day is None or doctor is None or doctor.digest is None:
        return
    since = digest.moment(remembered.get("at"))
    with clinic.store.read() as connection:
        starts = digest.starts_by_doctor(clinic, connection, day, doctor.digest, since)
    with clinic.store.write() as connection:
        lease.fence(connection)
        says = (digest_say(k, day, some, doctor.digest, clinic.zone) for k, some in starts.items())
        owed = [Owed(dedupe_key("digest", day.isoformat(), say, None), None, say) for say in says]
        said.owe(
            connection,
            clinic.store.clinic,
            owed,
            run=clinic.run,
            now=clinic.now,
            reopens=partial(reopens, clinic, connection, {}),
        )
        memory.remember(
            connection,
            clinic.store.clinic,
            _DIGEST,
            remembered,
            {"day": day.isoformat(), "at": int(clinic.now.timestamp())},
        )


def _digest_day(clinic: Clinic) -> tuple[date | None, dict[str, Any]]:
    """Return the day whose digest is to be owed now, and what is remembered of those before."""
    doctor = clinic.settings.reminders.doctor
    if doctor is None or doctor.digest is None:
        return None, {}
    with clinic.store.read() as connection:
        remembered = memory.recall(connection, clinic.store.clinic, _DIGEST)
    last = date.fromisoformat(remembered["day"]) if "day" in remembered else None
    return digest_due(clinic.now, doctor.digest, clinic.zone, last), remembered


def _confirms(clinic: Clinic) -> bool:
    rules = clinic.settings.reminders.patient
    return rules is not None and rules.confirmation is not None


def told_of(
    clinic: Clinic, connection: Any, visits: Sequence[Woken]
) -> dict[int, Mapping[str, Told]]:
    """Return who counts as told what of visits, by a message or silently."""
    known, confirms = _Known.of(connection, visits), _confirms(clinic)
    return {visit.id: seen(visit, known, confirms=confirms).told for visit in visits}


def look(clinic: Clinic, connection: Any, visits: Sequence[Woken]) -> dict[int, Seen]:
    """Return visits as the pure decisions take them, by their number."""
    known, standing = _Known.of(connection, visits), clinic.standing_in(connection)
    confirms = _confirms(clinic)
    return {
        one.id: seen(one, known, outward.live_since(clinic, standing, one.visit), confirms=confirms)
        for one in visits
    }
