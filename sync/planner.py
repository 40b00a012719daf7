"""plan, the step: looks at every visit that woke, writes down what is owed, and lets it sleep again.

Level-triggered: a change, a due reminder, a settings edit or a replay only wake visits. What is owed
is decided from how things stand (`sync.plan`, `sync.due`), and written in one transaction with the
hour of the next look; after a kill the same visits wake again and the same keys are owed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from clinicrelay.actions import PutEvent, Role, Say
from clinicrelay.model import Appointment
from sync import digest, outward, running, unlinking
from sync.digest_hours import digest_due, digest_say, missed_digests
from sync.due import Timetable, first_hour
from sync.plan import Seen, dedupe_key, event_actions, owed, owed_again
from sync.reopening import reopens
from sync.seeing import Known, confirms, seen
from sync.store import (
    bulk,
    events,
    instant,
    memory,
    progress,
    said,
    seconds,
    told_state,
    unlinked,
    wakes,
)
from sync.store.events import Wanted
from sync.store.said import Owed
from sync.store.wakes import Woken

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from clinicrelay.settings.schema import Digest, Step
    from sync.clinic import Clinic
    from sync.store.leases import Lease

_AT_ONCE = 4000
_DIGEST = "sync/digest"


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
        return waits_in(connection, clinic)


def waits_in(connection: Connection, clinic: Clinic) -> bool:
    """Whether it would, as a transaction sees it."""
    store = clinic.store.clinic
    return (
        progress.policy(connection, store) != clinic.policy
        or bool(wakes.woken(connection, store, now=clinic.now, limit=1))
        or running.differs(connection, clinic)
        or unlinking.waits(connection, store)
        or _digests_wait(connection, clinic)
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
                wake_since=clinic.shown_since if known else None,
            )


def first_look(clinic: Clinic) -> Callable[[Appointment], int]:
    """Return when plan has to look at a visit that comes with an import (seconds; 0: at once).

    An import is news to nobody. Where no calendar is to show it either, there is nothing to decide
    about a visit until its first reminder is due.
    """
    planner = _Planner(clinic, Known({}, {}, (), {}, {}))
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


def wanted_of(clinic: Clinic, connection: Any, visits: Sequence[Woken]) -> list[Wanted]:
    """Return what calendars are to show of visits as they stand, whatever was decided before."""
    changed = [visit._replace(wake_at=wakes.CHANGED) for visit in visits]
    planner = _Planner(clinic, Known.of(connection, changed))
    return [wanted for visit in changed for wanted in planner.wanted(visit, visit.visit)]


def _woken(clinic: Clinic) -> list[Woken]:
    with clinic.store.read() as connection:
        return wakes.woken(connection, clinic.store.clinic, now=clinic.now, limit=_AT_ONCE)


def _plan_batch(clinic: Clinic, lease: Lease, batch: Sequence[Woken]) -> None:
    with clinic.store.read() as connection:
        known = Known.of(connection, batch)
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


def _wake_the_newly_told(connection: Any, batch: Sequence[Woken], known: Known) -> None:
    """Let whoever was told something since they were looked at be measured by that."""
    told = told_state.rows_of(connection, known.looked_up)
    if told != known.told_rows:
        newly = {row[0] for row in {*told} ^ {*known.told_rows}}
        for visit in batch:
            if visit.id in newly:
                wakes.look_again(connection, visit.id)


class _Plan(NamedTuple):
    owed: Sequence[Owed]
    wanted: Sequence[Wanted]
    sleep: tuple[int | None, int, int]


class _Planner:
    """Decides about one visit after another under one set of settings."""

    def __init__(self, clinic: Clinic, known: Known) -> None:
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
        self.confirms = confirms(clinic)
        self.standing = clinic.standing()
        self.oldest = clinic.shown_since

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
            self.wanted(woken, visit),
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

    def wanted(self, woken: Woken, visit: Appointment) -> list[Wanted]:
        """Return which calendars are to show a visit that changed, and which no longer."""
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
    """Owe each doctor the digest of a day, once its hour has come, and explain the missed ones."""
    if (rule := _digest_rule(clinic)) is None:
        return
    with clinic.store.read() as connection:
        day, remembered = _digest_day(connection, clinic, rule)
    if day is None:
        if not remembered:
            _note_digests(clinic, lease, remembered, {"since": int(clinic.now.timestamp())})
        return
    since = digest.moment(remembered.get("at"))
    with clinic.store.read() as connection:
        starts = digest.starts_by_doctor(clinic, connection, day, rule, since)
        says = [digest_say(k, day, some, rule, clinic.zone) for k, some in starts.items()]
        says += _missed_digests(clinic, connection, day, rule, remembered)
    with clinic.store.write() as connection:
        lease.fence(connection)
        owed = [Owed(dedupe_key("digest", say.step, say, None), None, say) for say in says]
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


def _digests_wait(connection: Connection, clinic: Clinic) -> bool:
    """Whether a digest is due, or nobody has looked for one yet."""
    if (rule := _digest_rule(clinic)) is None:
        return False
    day, remembered = _digest_day(connection, clinic, rule)
    return day is not None or not remembered


def _missed_digests(
    clinic: Clinic, connection: Connection, day: date, rule: Digest, remembered: dict[str, Any]
) -> Iterator[Say]:
    """Yield the digests before that of a day which nobody sent; they are of no use by now."""
    last, since = _last_digest(remembered)
    for missed in missed_digests(day, rule, clinic.zone, last, since=since):
        starts = digest.starts_by_doctor(clinic, connection, missed, rule, None)
        for key, some in starts.items():
            yield replace(digest_say(key, missed, some, rule, clinic.zone), skip="cut_off_passed")


def _digest_rule(clinic: Clinic) -> Digest | None:
    doctor = clinic.settings.reminders.doctor
    return doctor.digest if doctor else None


def _note_digests(
    clinic: Clinic, lease: Lease, before: dict[str, Any], after: dict[str, Any]
) -> None:
    with clinic.store.write() as connection:
        lease.fence(connection)
        memory.remember(connection, clinic.store.clinic, _DIGEST, before, after)


def _digest_day(
    connection: Connection, clinic: Clinic, rule: Digest
) -> tuple[date | None, dict[str, Any]]:
    """Return the day whose digest is to be owed now, and what is remembered of those before."""
    remembered = memory.recall(connection, clinic.store.clinic, _DIGEST)
    last, since = _last_digest(remembered)
    return digest_due(clinic.now, rule, clinic.zone, last, since=since), remembered


def _last_digest(remembered: dict[str, Any]) -> tuple[date | None, datetime | None]:
    """Return the day of the last digest, and since when there was somebody to look for the first."""
    last = date.fromisoformat(remembered["day"]) if "day" in remembered else None
    return last, digest.moment(remembered.get("since"))
