"""Proves that nothing fell through: of each step of each visit whose time has come, what became of it.

Exactly one line of the ledger says so: sent, not sent for a reason, failed for a reason, or still on
its way. Where no line is needed, one of the rules below says why (`RULES`). What is judged is what
plan has looked at: a visit tells itself until when that was, by the hour at which it wakes next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from clinicrelay.actions import MessageKind, Role, facts_of
from clinicrelay.model import Kind
from sync import running, seeing
from sync.due import known_since, when
from sync.plan import UNDER_WAY, recipients
from sync.store import accounts, wakes
from sync.store.together import TOLD_TOGETHER

if TYPE_CHECKING:
    from clinicrelay.model import Appointment
    from sync.clinic import Clinic
    from sync.plan import Seen
    from sync.running import Ran
    from sync.store.accounts import Entry, Runs
    from sync.store.wakes import Past, Woken

MISSING, DOUBLED, UNEXPLAINED = "missing", "doubled", "unexplained"
STUCK, ALONE = "stuck", "alone"
WORDS = {
    MISSING: "its time has come, and nothing says what became of it",
    DOUBLED: "the ledger has it twice",
    UNEXPLAINED: "it ended unsent, and no reason is kept",
    STUCK: "it is of no use any more, and no run has decided about it",
    ALONE: "it is to have left with another visit's, which did not leave",
}
RULES = {
    "told_later": "a reminder at or after its hour left already, so it had nothing to add",
    "first_seen_after": "the visit was first read, moved or booked after its hour, and has begun since",
    "before_live": "its hour was before anybody was really reached",
    "step_is_newer": "the visit began before the settings had this step with these hours",
    "came_before": "the patient had come before the visit began",
}
_UNSENT = ("skipped", "failed", "unproven")
_OPEN = ("planned", "sending", "joined", "unknown", "held")
_MOST = 10_000  # differences that are told one by one
_DAY = timedelta(days=1)


class Wrong(NamedTuple):
    """A step that is not accounted for once; it names the visit and the role, never a person."""

    what: str
    visit: str
    to: str
    step: str
    at: datetime


@dataclass(slots=True)
class Accounts:
    """How many steps of how many visits had their time, what became of them, and what is wrong."""

    visits: int = 0
    steps: int = 0
    became: Counter[str] = field(default_factory=Counter)
    by_rule: Counter[str] = field(default_factory=Counter)
    not_looked_at: int = 0
    wrong: list[Wrong] = field(default_factory=list)
    more: int = 0  # that are wrong as well

    def note(self, one: Wrong) -> None:
        if len(self.wrong) < _MOST:
            self.wrong.append(one)
        else:
            self.more += 1


class Slot(NamedTuple):
    """One step for one person of a visit, and when its time came."""

    role: Role
    recipient: str
    step: str
    at: datetime
    since: datetime  # the settings have it


def check(clinic: Clinic) -> Accounts:
    """Account for every step of every visit that is still kept."""
    found = Accounts()
    with clinic.store.read() as connection:
        runs = accounts.runs(connection, clinic.store.clinic)
        judge = _Judge(running.ran(clinic, connection), clinic.now, runs)
        first, end = judge.kept()
        for batch in accounts.batches(connection, clinic.store.clinic, first=first, end=end):
            numbers = [visit.id for visit in batch]
            said = accounts.entries(connection, numbers)
            seen = seeing.look(clinic, connection, batch)
            past = wakes.history(connection, numbers)
            for visit in batch:
                about = _About(
                    visit, seen[visit.id], past.get(visit.id, ()), said.get(visit.id, ())
                )
                judge.judge(about, found)
    return found


@dataclass(frozen=True, slots=True)
class _About:
    woken: Woken
    seen: Seen
    past: Sequence[Past]
    entries: Sequence[Entry]

    @property
    def name(self) -> str:
        return f"{self.woken.source}/{self.woken.source_key}"

    @property
    def since(self) -> datetime:
        """From when on it stands as it does."""
        last = self.past[-1].replaced_at if self.past else self.woken.first_seen_at
        return datetime.fromtimestamp(last, UTC)

    @property
    def is_awake(self) -> bool:
        return self.woken.wake_at in (wakes.CHANGED, wakes.OWED)

    def looked_at(self, at: datetime) -> bool:
        """Whether plan has looked at the visit since an hour: it would wake then, if it had not."""
        wake_at = self.woken.wake_at
        return not self.is_awake and (wake_at is None or at.timestamp() < wake_at)


class _Judge:
    """Judges one visit after the other under the settings that ran."""

    def __init__(self, ran: Ran, now: datetime, runs: Runs) -> None:
        self._settings, self._now, self._runs = ran.settings, now, runs
        rules = ran.settings.reminders
        self._steps = [
            (role, step, ran.steps[f"{role}/{step.name}"])
            for role, some in ((Role.PATIENT, rules.patient), (Role.DOCTOR, rules.doctor))
            for step in (some.steps if some else ())
        ]

    def kept(self) -> tuple[datetime, datetime]:
        """Return the stretch of time whose visits are kept, and may have had a step."""
        leads = [step.before.length for _, step, _ in self._steps]
        kept = self._settings.retention.appointments
        first = kept.before(self._now, self._settings.clinic.timezone)
        return first, self._now + max(leads, default=timedelta(0)) + 2 * _DAY

    def judge(self, about: _About, found: Accounts) -> None:
        """Account for the steps of one visit, as it stands and as it stood, and look at its lines."""
        found.visits += 1
        lines = _reminders(about.entries)
        visit = about.seen.appointment
        for slot in self._slots(visit) if _stands(about.seen, self._now) else ():
            self._account(slot, about, lines.get(_key(slot, visit), ()), found)
        for stood in _stood(about):
            for slot in self._slots(stood.visit):
                self._account_for_what_was(slot, about, stood, lines, found)
        for one in _doubled(lines):
            found.note(_wrong(DOUBLED, about, one))
        for one in about.entries:
            if (what := _wrong_with(one, self._runs.chance)) is not None:
                found.note(_wrong(what, about, one))

    def _slots(self, visit: Appointment) -> Iterator[Slot]:
        """Yield the steps whose time has come for each person of a visit that stands, or stood."""
        if visit.start is None:
            return
        for role, step, since in self._steps:
            for recipient, zone in recipients(visit, role).items():
                at = when(
                    step,
                    visit.start,
                    quiet=self._settings.quiet_hours,
                    recipient_zone=zone,
                    visit_zone=visit.timezone,
                )
                if at <= self._now:
                    yield Slot(role, recipient, step.name, at, since)

    def _account(self, slot: Slot, about: _About, lines: Sequence[Entry], found: Accounts) -> None:
        if not lines and not about.looked_at(slot.at):
            found.not_looked_at += 1
            return
        found.steps += 1
        if lines:
            found.became[lines[-1].state] += 1
        elif rule := self._rule(slot, about):
            found.by_rule[rule] += 1
        else:
            found.note(Wrong(MISSING, about.name, slot.role, slot.step, slot.at))

    def _rule(self, slot: Slot, about: _About) -> str | None:
        """Return the rule by which a step needs no line of its own; None: it needs one."""
        seen = about.seen
        start, known = seen.appointment.start, known_since(seen, seen.told.get(slot.recipient))
        assert start is not None
        begun = start <= self._now
        if rule := _rule_of_any(slot, about):
            return rule
        late = begun and slot.at <= known
        if late and not self._runs.looked(max(known, slot.since, about.since), start):
            return "first_seen_after"
        if start <= slot.since:
            return "step_is_newer"
        return "came_before" if begun and _came_before(about, start) else None

    def _account_for_what_was(
        self,
        slot: Slot,
        about: _About,
        stood: _Stood,
        lines: Mapping[_Key, Sequence[Entry]],
        found: Accounts,
    ) -> None:
        """Account for a step of a visit as it stood once, where runs looked at it then."""
        assert stood.visit.start is not None
        since = max(slot.at, stood.since, slot.since)
        if not self._runs.looked(since, min(stood.until, stood.visit.start)):
            return
        found.steps += 1
        if some := lines.get(_key(slot, stood.visit)):
            found.became[some[-1].state] += 1
        elif rule := _rule_of_any(slot, about):
            found.by_rule[rule] += 1
        else:
            found.note(Wrong(MISSING, about.name, slot.role, slot.step, slot.at))


def _stands(seen: Seen, now: datetime) -> bool:
    visit = seen.appointment
    begun = visit.start is not None and visit.start <= now
    on = visit.status.reminds or (begun and visit.status in UNDER_WAY)
    return visit.kind is Kind.VISIT and on and not seen.gone and seen.replaced_by is None


def _rule_of_any(slot: Slot, about: _About) -> str | None:
    """Return the rule that holds for a visit as it stands and as it stood."""
    if any(_told_since(slot, one) for one in about.entries):
        return "told_later"
    live = about.seen.live_since.get(slot.role)
    return "before_live" if live is not None and slot.at <= live else None


class _Stood(NamedTuple):
    """A visit as it was booked once, and from when until when."""

    visit: Appointment
    since: datetime
    until: datetime


def _stood(about: _About) -> Iterator[_Stood]:
    """Yield how a visit stood before it was changed, where it was to take place."""
    if not about.past or about.woken.replaced_by is not None:
        return  # of one that was booked anew nobody knows from when on it counted as that
    since, gone = datetime.fromtimestamp(about.woken.first_seen_at, UTC), False
    kept = [*about.past]
    after = [*(one.content for one in kept[1:]), about.woken.content]
    for one, content in zip(kept, after, strict=True):
        until, visit = datetime.fromtimestamp(one.replaced_at, UTC), wakes.visit_of(one.content)
        same = facts_of(visit).hash == facts_of(wakes.visit_of(content)).hash
        if visit.kind is Kind.VISIT and visit.status.reminds and not gone and not same:
            yield _Stood(visit, since, until)
        since, gone = until, "gone" in one.what.split(",")


def _told_since(slot: Slot, one: Entry) -> bool:
    reminded = one.say.kind is MessageKind.REMINDER and one.say.recipient == slot.recipient
    sent = one.state in ("sent", "unproven") or one.reason == TOLD_TOGETHER
    return reminded and sent and one.settled_at is not None and one.settled_at >= slot.at


def _came_before(about: _About, start: datetime) -> bool:
    """Whether the source said that the patient was there before the visit began."""
    if about.seen.appointment.status not in UNDER_WAY:
        return False
    since = datetime.fromtimestamp(about.woken.first_seen_at, UTC)
    for one in about.past:
        if wakes.visit_of(one.content).status not in UNDER_WAY:
            since = datetime.fromtimestamp(one.replaced_at, UTC)
    return since < start


# --- the lines -----------------------------------------------------------------------------------

_Key = tuple[str, str, str]


def _key(slot: Slot, visit: Appointment) -> _Key:
    return slot.recipient, slot.step, facts_of(visit).hash


def _reminders(entries: Sequence[Entry]) -> Mapping[_Key, list[Entry]]:
    found: dict[_Key, list[Entry]] = {}
    for one in entries:
        if one.say.kind is MessageKind.REMINDER:
            key = one.say.recipient, one.say.step, one.say.facts.hash
            found.setdefault(key, []).append(one)
    return found


def _doubled(lines: Mapping[_Key, Sequence[Entry]]) -> Iterator[Entry]:
    for some in lines.values():
        yield from some[1:]


def _wrong_with(one: Entry, chance: datetime | None) -> str | None:
    """Return what is wrong with a line by itself; `chance`: until when runs decided about the due."""
    if one.state in _UNSENT and not one.reason:
        return UNEXPLAINED
    if one.reason == TOLD_TOGETHER and one.state == "skipped" and one.lead in (None, *_UNSENT):
        return ALONE
    over = chance is not None and one.useless_after < chance
    waits = one.next_try_at is not None and chance is not None and one.next_try_at > chance
    return STUCK if one.state == "planned" and over and not waits else None


def _wrong(what: str, about: _About, one: Entry) -> Wrong:
    step = one.say.step or one.say.kind.value
    return Wrong(what, about.name, one.say.role, step, one.due_at)
