"""Compares calendars with the visits: what is missing, moved, edited, one too many; and mends it.

A look at everything there is, which a run does only when it must. What settings leave to the doctor
is no difference once it is known; what a person asks to have mended is mended.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from clinicrelay.contracts import EventWrite, Hand, Outcome, Sighting
from clinicrelay.errors import TryLater
from clinicrelay.model import decode
from sync import astray, hands, outcomes, outward, steps
from sync.agree import Agreement, account_of
from sync.hands import Row
from sync.push import blocked
from sync.standing import Rehearse, Stopped
from sync.store import calendars, events
from sync.store.leases import lease
from sync.wanted import wanted

if TYPE_CHECKING:
    from clinicrelay.contracts import Calendar, Look
    from sync.astray import Astray
    from sync.clinic import Clinic
    from sync.store.calendars import Kept
    from sync.store.events import Pending, Written
    from sync.store.leases import Lease

WORDS = {
    Hand.DELETED: "missing",
    Hand.MISSING: "missing",
    Hand.MOVED: "moved",
    Hand.EDITED: "edited",
    Hand.ORPHANED: "orphaned",
    Hand.COPIED: "duplicated",
}
_TOO_MANY = (Hand.ORPHANED, Hand.COPIED)
LEFT_THERE = "left_there"
BUSY = "another run is at this calendar"


@dataclass(frozen=True, slots=True)
class Difference:
    """One event that is not as it should be; `visit` is SOURCE/KEY, empty for an orphaned one."""

    what: str
    visit: str
    start: datetime | None
    event: str = field(repr=False, default="")


@dataclass(slots=True)
class Compared:
    """One calendar: what differs, how much of it was mended, and why it could not be looked at."""

    calendar: str
    differences: list[Difference] = field(default_factory=list)
    mended: int = 0
    reason: str = ""
    fix: str = ""

    @property
    def left(self) -> int:
        return len(self.differences) - self.mended


def verify(clinic: Clinic, *, repair: bool = False) -> list[Compared]:
    """Compare every calendar that shows a visit, or is to; with `repair` make them agree."""
    strayed: dict[str, list[Astray]] = {}
    for one in astray.astray(clinic):
        if _may_write(clinic, one.calendar):
            strayed.setdefault(one.calendar, []).append(one)
    if repair and strayed:
        astray.decide_again(clinic, [one for some in strayed.values() for one in some])
        steps.plan(clinic)
    missing = {one.ref for some in strayed.values() for one in some if one.is_missing}
    compared = _each(clinic, lambda one: one.compare(repair=repair, missing=missing))
    found = {one.calendar: one for one in compared}
    for calendar, some in strayed.items():
        _add(clinic, found.setdefault(calendar, Compared(calendar)), some, repair=repair)
    return [found[calendar] for calendar in sorted(found)]


def _add(clinic: Clinic, found: Compared, strayed: Sequence[Astray], *, repair: bool) -> None:
    """Add what was decided wrongly, and how much of it is right by now."""
    found.differences += [
        Difference("missing" if one.is_missing else "orphaned", one.visit, one.start)
        for one in strayed
    ]
    if repair:
        with clinic.store.read() as connection:
            states = events.states(connection, [one.number for one in strayed])
        now = (states.get((one.number, one.calendar)) for one in strayed)
        found.mended += sum(state in ("synced", "removed") for state in now)


def leave(clinic: Clinic, calendar: str) -> int | None:
    """Leave what is to go from a calendar that takes nothing where it is; return how much that is.

    None where there is no such calendar, or where a visit is to be shown there.
    """
    with clinic.store.read() as connection:
        kept = calendars.kept(connection, clinic.store.clinic, since=clinic.shown_since)
    why = blocked(calendar, kept[calendar]) if calendar in kept else None
    if why is None or why.everywhere or not kept[calendar].leaving:
        return None
    with clinic.store.write() as connection:
        return events.leave(connection, clinic.store.clinic, calendar, LEFT_THERE)


def settle_strangers(clinic: Clinic, answer: str) -> list[Compared]:
    """Do what a person said about the events of other installations: adopt, replace or beside."""
    return [*_each(clinic, lambda one: one.settle(answer))]


def _each(clinic: Clinic, work: Callable[[_Verifying], Compared]) -> Iterator[Compared]:
    with clinic.store.read() as connection:
        kept = calendars.kept(connection, clinic.store.clinic, since=clinic.shown_since)
    for calendar, one in kept.items():
        name = calendar.partition(":")[0]
        if not one.in_use or name not in clinic.settings.calendars:
            continue
        plugin = clinic.calendar(name)
        if why := _may_not(clinic, plugin):
            yield Compared(calendar, reason=why[0], fix=why[1])
            continue
        lasting = clinic.settings.store.lease
        with lease(clinic.store, f"calendar:{calendar}"[:80], lasting) as held:
            if held is None:
                yield Compared(calendar, reason="busy", fix=BUSY)
            else:
                yield work(_Verifying(clinic, plugin, calendar, one, held))


def _may_write(clinic: Clinic, calendar: str) -> bool:
    name = calendar.partition(":")[0]
    return name in clinic.settings.calendars and _may_not(clinic, clinic.calendar(name)) is None


def _may_not(clinic: Clinic, plugin: Calendar) -> tuple[str, str] | None:
    leaving = outward.events(clinic, clinic.standing(), plugin)
    if isinstance(leaving, Rehearse):
        return "rehearsal", "clinicrelay live calendars"
    return (leaving.reason, "clinicrelay resume") if isinstance(leaving, Stopped) else None


class _Verifying:
    """One calendar, under its lease."""

    def __init__(
        self, clinic: Clinic, plugin: Calendar, calendar: str, kept: Kept, held: Lease
    ) -> None:
        self._clinic, self._plugin, self._calendar = clinic, plugin, calendar
        self._address = calendar.partition(":")[2]
        account = account_of(clinic, plugin)
        self._rules = account.rules
        self._agreement = Agreement(account, calendar, kept, held)
        self._kept = kept
        self._memos = self._agreement.known()

    # --- comparing -----------------------------------------------------------------------------

    def compare(self, *, repair: bool, missing: Collection[str]) -> Compared:
        """Compare the calendar; an event of which we say ourselves that it is `missing` is no orphan."""
        look = self._plugin.seen(self._address, None, lambda refs=None: self._memos)
        found = Compared(self._calendar)
        if look.trouble is not None:
            found.reason, found.fix = look.trouble.reason, look.trouble.fix or look.trouble.detail
            return found
        rows = self._rows(look)
        pairs = [
            (difference, sighting)
            for difference, sighting in self._differences(look, rows)
            if sighting.hand is not Hand.ORPHANED or sighting.ref not in missing
        ]
        found.differences = [difference for difference, _ in pairs]
        if repair:
            self._repair(found, [sighting for _, sighting in pairs], rows)
        return found

    def _rows(self, look: Look) -> dict[str, Pending]:
        refs = list({sighting.ref for sighting in look.sightings})
        with self._clinic.store.read() as connection:
            own = events.by_refs(connection, self._clinic.store.clinic, self._calendar, refs)
            return {event.ref: event for event in own}

    def _differences(
        self, look: Look, rows: dict[str, Pending]
    ) -> Iterator[tuple[Difference, Sighting]]:
        for sighting in look.sightings:
            row = rows.get(sighting.ref)
            if sighting.hand is None or not self._counts(sighting, row):
                continue
            visit = decode(row.content) if row is not None else None
            start = visit.start if visit is not None else sighting.start
            name = f"{visit.source}/{visit.key}" if visit is not None else ""
            event = str(sighting.memo.get("id", ""))
            yield Difference(WORDS[sighting.hand], name, start, event), sighting

    def _counts(self, sighting: Sighting, row: Pending | None) -> bool:
        if sighting.hand is Hand.ORPHANED:
            # What is about to be removed is ours to remove, and the past stands as it was.
            removing = row is not None and row.state == "remove"
            over = sighting.end is not None and sighting.end <= self._clinic.now
            return not (removing or over)
        return row is not None

    # --- mending -------------------------------------------------------------------------------

    def _repair(
        self, found: Compared, sightings: Sequence[Sighting], rows: dict[str, Pending]
    ) -> None:
        again = [s for s in sightings if s.hand not in _TOO_MANY]
        found.mended += self._remove([s for s in sightings if s.hand in _TOO_MANY])
        self._agreement.keep([self._mended(rows[s.ref], s) for s in again])
        self._agreement.reach(look=False)
        open_ = self._still_open([s.ref for s in again])
        found.mended += len(again) - len(open_)
        mark = self._agreement.mark
        found.reason, found.fix = mark.reason, mark.fix

    def _mended(self, row: Pending, sighting: Sighting) -> Written:
        """Return a row so that its event is written again, or left to the doctor as settings say."""
        write = wanted(self._clinic, self._plugin, self._address, row)
        after = outcomes.seen(row, sighting, write, self._rules)
        assert after is not None
        asked = hands.read(after.hands).asked
        if after.state == "hidden" and not asked:
            return after
        if hands.read(after.hands).kept is not None and not asked:
            return after
        log = hands.read(after.hands).noted(self._clinic.now, WORDS[sighting.hand], "restored")  # type: ignore[index]
        free = replace(log, hidden=None, kept=None, asked=False, held="")
        return outcomes.as_row(
            row, Row("put", hands.to_write_again(row.written), free), sighting.memo
        )

    def _remove(self, sightings: Sequence[Sighting]) -> int:
        writes = [EventWrite(s.ref, put=False, memo=s.memo) for s in sightings]
        results = list(self._plugin.apply(self._address, writes)) if writes else []
        return sum(result.outcome is Outcome.ACCEPTED for result in results)

    def _still_open(self, refs: list[str]) -> list[str]:
        with self._clinic.store.read() as connection:
            rows = events.by_refs(connection, self._clinic.store.clinic, self._calendar, refs)
            return [row.ref for row in rows if row.state not in ("synced", "hidden")]

    # --- other installations ---------------------------------------------------------------------

    def settle(self, answer: str) -> Compared:
        """Take over what another installation wrote, remove it, or leave it beside ours."""
        found = Compared(self._calendar)
        try:
            theirs = [*self._plugin.theirs(self._address)]
        except TryLater as error:
            found.reason, found.fix = "unreachable", str(error)
            return found
        names = {*self._kept.strangers, *self._names(theirs)}
        if answer == "adopt":
            theirs = self._adopt(theirs)
        if answer != "beside":
            coming = [s for s in theirs if s.end is None or s.end > self._clinic.now]
            found.mended = self._remove(coming)
            found.differences = [_one_too_many(s) for s in coming]
        with self._clinic.store.write() as connection:
            clinic = self._clinic.store.clinic
            calendars.answered(connection, clinic, self._calendar, names)
        self._agreement.reach(look=False)
        return found

    def _names(self, theirs: Sequence[Sighting]) -> set[str]:
        return {str(sighting.memo["instance"]) for sighting in theirs}

    def _adopt(self, theirs: Sequence[Sighting]) -> list[Sighting]:
        """Give each visit that has no event yet one that stands at its time; return what is left."""
        left = list(theirs)
        rows = []
        with self._clinic.store.read() as connection:
            refs = [ref for ref, memo in self._memos.items() if not memo.get("id")]
            clinic = self._clinic.store.clinic
            waiting = list(events.by_refs(connection, clinic, self._calendar, refs))
        for row in waiting:
            write = wanted(self._clinic, self._plugin, self._address, row)
            match = next((s for s in left if (s.start, s.end) == (write.start, write.end)), None)
            if write.put and match is not None:
                left.remove(match)
                rows.append(outcomes.as_row(row, outcomes.row_of(row), match.memo))
        self._agreement.keep(rows)
        return left


def _one_too_many(sighting: Sighting) -> Difference:
    return Difference("orphaned", "", sighting.start, str(sighting.memo.get("id", "")))
