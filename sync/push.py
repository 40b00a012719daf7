"""deliver, calendars: makes each calendar show what was planned; one that fails stops no other.

The calendars of a plugin are seen to beside each other, as many at a time as it allows. Where others
can change events, one leaves a calendar only once the one that is to show the visit instead does so.
Files of this machine can only be written all or not at all, and in one go no late writer undoes it.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from clinicrelay.errors import ClinicrelayError
from sync import hands, outward
from sync.agree import Agreement, account_of
from sync.standing import Rehearse, Stopped
from sync.store import calendars, events, memory, seconds
from sync.store.calendars import Mark
from sync.store.leases import lease

if TYPE_CHECKING:
    from concurrent.futures import Future

    from clinicrelay.contracts import Calendar
    from sync.clinic import Clinic
    from sync.store.calendars import Kept

# A calendar that these keep from being written is as it should be: nobody has to mend anything.
ON_PURPOSE = frozenset({"rehearsal", "paused", "quota", "run_ended"})
_A_MOMENT, _A_LITTLE = 0.2, 4.0  # seconds
WAITS_FOR_OTHER = "waits_for_other"
OUR_MISTAKE = "our_mistake"
# Its events are to go, nobody of them is linked to it any more, and it cannot be written.
_LEAVE = "let it be written once more, or leave its events: clinicrelay verify calendars --leave"

Ended: TypeAlias = "Future[list[ClinicrelayError]]"


class Blocked(NamedTuple):
    """A calendar that cannot be written; `everywhere`: nor any other of the same account."""

    calendar: str
    reason: str
    fix: str
    everywhere: bool = False

    def json(self) -> dict[str, str]:
        return {"calendar": self.calendar, "reason": self.reason, "fix": self.fix}


def blocked(calendar: str, kept: Kept) -> Blocked | None:
    """Return why a calendar (`NAME:ADDRESS`) takes nothing, where somebody is to mend that."""
    mark, everywhere = kept.mark, kept.mark.state == "stopped"
    if not mark.reason or mark.reason in ON_PURPOSE:
        return None
    fix = f"{_LEAVE} {calendar}" if kept.leaving and not everywhere else mark.fix
    return Blocked(calendar.partition(":")[2], mark.reason, fix, everywhere)


@dataclass(slots=True)
class CalendarRun:
    """What became of one calendar plugin's events in this run; `bugs` are mistakes of ours.

    `set_aside` events are refused for good, `held` ones were moved too often, `asked` ones deleted
    or moved by a doctor so that a person is to look at it.
    """

    written: int = 0
    removed: int = 0
    unchanged: int = 0
    pending: int = 0
    blocked: list[Blocked] = field(default_factory=list)
    bugs: list[Exception] = field(default_factory=list)
    set_aside: int = 0
    held: int = 0
    asked: int = 0

    def after(self, before: CalendarRun | None) -> CalendarRun:
        """Return what both did in one run; what is still open is as it stands now."""
        if before is None:
            return self
        return replace(
            self,
            written=before.written + self.written,
            removed=before.removed + self.removed,
            bugs=[*before.bugs, *self.bugs],
        )


def push(clinic: Clinic, names: Collection[str] | None = None) -> dict[str, CalendarRun]:
    """Write what is pending to every calendar, or to those of some plugins (names in settings).

    Returns what happened, by the name in settings.
    """
    runs = {n: CalendarRun() for n in clinic.settings.calendars if names is None or n in names}
    with clinic.store.read() as connection:
        kept = calendars.kept(connection, clinic.store.clinic, since=clinic.shown_since)
    touched = False
    for name, run in runs.items():
        own = {calendar: one for calendar, one in kept.items() if calendar.startswith(f"{name}:")}
        touched |= bool(own) and _Push(clinic, clinic.calendar(name), own, run).all()
    _count_open(clinic, runs, None if touched else kept)
    return runs


class _Push:
    """The calendars of one plugin in one run."""

    def __init__(
        self, clinic: Clinic, plugin: Calendar, kept: dict[str, Kept], run: CalendarRun
    ) -> None:
        self._clinic, self._plugin, self._kept, self._run = clinic, plugin, kept, run
        self._name = plugin.kit.name
        self._account = account_of(clinic, plugin)
        self._counting = threading.Lock()
        self._fine: set[str] = set()
        self._looked: set[str] = set()

    def all(self) -> bool:
        """See to every calendar, then remove what waited for another one; False: there was nothing."""
        remembered = copy.deepcopy(dict(self._plugin.kit.memory))
        self._restore_lost()
        waiting = self._waiting()
        seen = {name for name, one in self._kept.items() if one.in_use and self._plugin.looks}
        names = sorted({*waiting, *seen})
        if not names:
            return False
        self._each(names, lambda name: self._one(name, due=name in waiting, look=name in seen))
        if self._plugin.looks:  # what others cannot touch is written at one go
            freed = [name for name in self._waiting(removals=True) if name in self._fine]
            self._each(freed, lambda name: self._one(name, due=True, look=False))
        self._note(remembered)
        return True

    def _restore_lost(self) -> None:
        """Find calendars that lost all that was written there, and let it be written again."""
        for calendar in self._kept:
            if self._plugin.lost(calendar.partition(":")[2]):
                with self._clinic.store.write() as connection:
                    events.write_again(connection, self._clinic.store.clinic, calendar)

    def _waiting(self, *, removals: bool = False) -> list[str]:
        with self._clinic.store.read() as connection:
            found = events.calendars(
                connection,
                self._clinic.store.clinic,
                plugin=self._name,
                now=self._clinic.now,
                removals=removals,
            )
        return [name for name in found if name in self._kept]

    def _each(self, names: Sequence[str], work: Callable[[str], None]) -> None:
        """Do the work beside each other; what the store raised is raised when all have ended."""
        if self._clinic.dry or self._plugin.at_once == 1 or len(names) < 2:
            failed = [error for name in names for error in _tried(work, name)]
        else:
            failed = self._beside(names, work)
        if failed:
            raise failed[0]

    def _beside(self, names: Sequence[str], work: Callable[[str], None]) -> list[ClinicrelayError]:
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor(self._plugin.at_once, thread_name_prefix=self._name)
        try:
            futures = [pool.submit(lambda one: [*_tried(work, one)], name) for name in names]
            return [error for future in self._ended(futures) for error in future.result()]
        except BaseException:
            self._account.given_up = True  # the run was told to end: nobody begins anything more
            raise
        finally:
            pool.shutdown(wait=not self._account.over, cancel_futures=True)

    def _ended(self, futures: Sequence[Ended]) -> Collection[Ended]:
        """Wait for all of them; once the run is told to end, only for what has its answer soon."""
        from concurrent.futures import wait

        until: float | None = None
        while late := wait(futures, timeout=_A_MOMENT).not_done:
            if self._account.over:
                until = until or time.monotonic() + _A_LITTLE
                if time.monotonic() > until:
                    break
        return [future for future in futures if future not in late]

    # --- one calendar ----------------------------------------------------------------------------

    def _one(self, calendar: str, *, due: bool, look: bool) -> None:
        if self._may_not(calendar, due=due):
            return
        clinic = self._clinic
        with lease(clinic.store, f"calendar:{calendar}"[:80], clinic.settings.store.lease) as held:
            if held is None:
                return
            one = Agreement(self._account, calendar, self._kept[calendar], held)
            try:
                one.reach(look=look)
            except ClinicrelayError:
                raise
            except Exception as error:  # noqa: BLE001 - reported; the others go on
                self._broken(one, error)
            with self._counting:
                self._count(one)

    def _broken(self, one: Agreement, error: Exception) -> None:
        self._run.bugs.append(error)
        one.mark = Mark("blocked", OUR_MISTAKE, "clinicrelay sync")
        self._set(one.calendar, one.mark)

    def _may_not(self, calendar: str, *, due: bool) -> bool:
        """Whether nothing may leave for a calendar now; notes why, where something would."""
        clinic, mark = self._clinic, self._kept[calendar].mark
        leaving = outward.events(clinic, clinic.standing(), self._plugin)
        if isinstance(leaving, Stopped | Rehearse):
            if due and isinstance(leaving, Stopped):
                self._mark(calendar, leaving.reason, "clinicrelay resume")
            elif due:
                self._mark(calendar, "rehearsal", "clinicrelay live calendars")
            return True
        if (stopped := self._account.stopped) is not None:
            self._set(calendar, stopped)
        early = mark.retry_at is not None and seconds(clinic.now) < mark.retry_at
        return early or stopped is not None or self._account.over

    def _mark(self, calendar: str, reason: str, fix: str) -> None:
        before = self._kept[calendar].mark
        self._set(calendar, before._replace(state="blocked", reason=reason, fix=fix))

    def _set(self, calendar: str, mark: Mark) -> None:
        if mark != self._kept[calendar].mark:
            with self._clinic.store.write() as connection:
                clinic = self._clinic
                calendars.mark(connection, clinic.store.clinic, calendar, mark, now=clinic.now)

    def _count(self, one: Agreement) -> None:
        run, calendar = self._run, one.calendar
        run.written += one.written
        run.removed += one.removed
        run.unchanged += one.unchanged
        if one.mark.state == "ok":
            self._fine.add(calendar)
            self._kept[calendar] = self._kept[calendar]._replace(mark=one.mark)
        if one.looked:
            self._looked.add(calendar)

    # --- the end ---------------------------------------------------------------------------------

    def _note(self, remembered: dict[str, object]) -> None:
        """Note what waits for another calendar, which were looked at, and what the plugin remembers."""
        clinic, now = self._clinic.store.clinic, dict(self._plugin.kit.memory)
        with self._clinic.store.write() as connection:
            if self._plugin.looks:
                events.note_waiting(connection, clinic, self._name, WAITS_FOR_OTHER)
            calendars.succeeded(connection, clinic, looked=self._looked, now=self._clinic.now)
            memory.remember(connection, clinic, f"calendars/{self._name}", remembered, now)


def _tried(work: Callable[[str], None], name: str) -> Iterator[ClinicrelayError]:
    """Yield what the store raised: it must not keep the others from their calendars."""
    try:
        work(name)
    except ClinicrelayError as error:
        yield error


def _count_open(
    clinic: Clinic, runs: dict[str, CalendarRun], kept: Mapping[str, Kept] | None
) -> None:
    """Count what is still to do; `kept` are the calendars where nothing was done to any."""
    with clinic.store.read() as connection:
        tallies = calendars.tallies(connection, clinic.store.clinic)
        kept = kept or calendars.kept(connection, clinic.store.clinic, since=clinic.shown_since)
        touched = calendars.touched(connection, clinic.store.clinic)
    for calendar, text in touched:
        if (name := calendar.partition(":")[0]) in runs:
            runs[name].asked += hands.read(text).asked
    for calendar, one in kept.items():
        name = calendar.partition(":")[0]
        if name in runs and one.in_use:
            states = tallies[calendar].states if calendar in tallies else {}
            runs[name].pending += sum(states.get(state, 0) for state in calendars.OPEN)
            runs[name].set_aside += states.get("blocked", 0)
            runs[name].held += states.get("held", 0)
            if (why := blocked(calendar, one)) is not None:
                runs[name].blocked.append(why)
