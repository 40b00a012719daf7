"""`service`: one process for many clinics: a timer, and a thread for each step that is at work.

The loop does nothing but say whose turn it is. A step that waits for somebody's answer for longer
than a moment counts no more among those that may run at once, so a clinic that hangs delays no other;
and it has no next turn until it has ended. What a step raises is told, and it is tried again.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from sync import steps
from sync.runners import once, turns
from sync.runners.kept import Kept, Stores
from sync.runners.looks import Look

if TYPE_CHECKING:
    from clinicrelay.settings import Loaded
    from sync.clinic import Clinic
    from sync.report import RunReport
    from sync.store import Store

_AT_ONCE = 8  # steps that compute; more only take each other's time
_A_WHILE = 3.0  # seconds after which a step is taken to wait for somebody's answer
_TICK = 1.0
_PATIENCE = 5.0  # seconds that a step has to come to its end when the service is told to
_RELEASE = 1.5  # seconds in which leases are given back; a store may not answer


Command: TypeAlias = Literal["sync", "send"]


class Herald(Protocol):
    """Hears what happens, in the threads that it happens in."""

    def over(self, clinic: Clinic, command: Command) -> AbstractContextManager[None]:
        """Around a cycle, or a look at what is due: it begins, and it ends, however it does."""

    def ended(self, clinic: Clinic, report: RunReport, command: Command) -> None:
        """One came to its end, and did this."""

    def failed(self, kept: Kept, command: Command, error: BaseException) -> int:
        """One could not be done; returns its exit code."""

    def says(self, kept: Kept, sentence: str) -> None:
        """A clinic has something to say to a person."""

    def works(self, kept: Kept, command: Command) -> None:
        """One could be done; whatever was told of it before is over."""


@dataclass(slots=True, eq=False)
class Turn:
    """One clinic's cycles, or its looks at what is due. Times are those of the service's clock."""

    unit: Unit
    command: Command
    every: float
    due: float
    began: float | None = None
    store: Store | None = None
    wrote: tuple[int, float] = (0, 0.0)  # how often into the store, and since when no more

    def watch(self, now: float) -> None:
        """Note whether a step at work goes on."""
        writes = self.store.writes if self.store is not None else 0
        if writes != self.wrote[0]:
            self.wrote = writes, now

    def __lt__(self, other: Turn) -> bool:
        return self.due < other.due


@dataclass(slots=True, eq=False)
class Unit:
    """One clinic of the service. `ended` is when its last cycle was done, `exit` what that deserved.

    `left` says that the cycle ended before all of its sources did.
    """

    kept: Kept
    since: float
    every: float
    ended: float | None = None
    exit: int = 0
    left: bool = False
    look: Look = field(default_factory=Look)
    watched: bool = False
    removed: bool = False

    @property
    def name(self) -> str:
        return self.kept.name

    def is_late(self, now: float) -> bool:
        """Whether a cycle should have ended by now."""
        return turns.is_late(self.since if self.ended is None else self.ended, self.every, now)


class Service:
    """Turns the crank for clinics until it is told to end. `ending` is set when it is."""

    def __init__(
        self,
        herald: Herald,
        *,
        every: timedelta,
        ending: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.herald, self.ending, self.clock = herald, ending, clock
        self.every = every.total_seconds()
        self.stores = Stores()
        self.units: dict[Path, Unit] = {}
        self.beat = clock()
        self.running: set[Turn] = set()
        self._turns: list[Turn] = []  # a heap: what is not at work, by when it is due
        self._waiting: deque[Turn] = deque()
        self._inbox: SimpleQueue[Turn | Callable[[], None] | None] = SimpleQueue()

    # --- which clinics ---------------------------------------------------------------------------

    def follow(self, clinics: Sequence[Loaded], also: Iterable[Path] = ()) -> dict[str, list[str]]:
        """Go by these settings from the next cycle on; return the clinics added, changed, removed.

        What runs on is also in the files of `also`: they cannot be read now.
        """
        found: dict[str, list[str]] = {"added": [], "changed": [], "removed": []}
        there = {one.file: one for one in clinics}
        for file, unit in list(self.units.items()):
            one = there.get(file)
            if (one is None and file not in {*also}) or (one and _id(one) != unit.name):
                unit.removed = True
                del self.units[file]
                found["removed"].append(unit.name)
            elif one is not None:
                if one.settings != unit.kept.loaded.settings:
                    found["changed"].append(unit.name)
                unit.kept.replace(one)
        new = [one for file, one in there.items() if file not in self.units]
        for position, one in enumerate(new):
            found["added"].append(_id(one))
            self._add(one, turns.first(position, len(new), self.every))
        self.stores.keep({one.kept.loaded.settings.store_url for one in self.units.values()})
        return found

    def _add(self, loaded: Loaded, first: float) -> None:
        now = self.clock()
        unit = Unit(Kept(loaded, self.stores, self.ending), now + first, self.every)
        self.units[loaded.file] = unit
        look = now + turns.first_look(first)
        heapq.heappush(self._turns, Turn(unit, "sync", self.every, now + first))
        heapq.heappush(self._turns, Turn(unit, "send", turns.LOOK, look))

    # --- the loop --------------------------------------------------------------------------------

    def wake(self) -> None:
        """Have the loop look around at once; may be called by a signal's handler."""
        self._inbox.put(None)

    def soon(self, work: Callable[[], None]) -> None:
        """Have the loop do something between two turns: what it may do only there."""
        self._inbox.put(work)

    def run(self) -> None:
        """Give everybody their turns until told to end; then wait a little for what is at work."""
        while not self.ending.is_set():
            self._tick()
            self._hear(self._pause())
        until = self.clock() + _PATIENCE
        while self.running and self.clock() < until:
            self._hear(until - self.clock())
        self._give_back()

    def _tick(self) -> None:
        self.beat = now = self.clock()
        for turn in self.running:
            turn.watch(now)
        while self._turns and self._turns[0].due <= now:
            self._waiting.append(heapq.heappop(self._turns))
        while self._waiting and self._has_room(now):
            self._start(self._waiting.popleft(), now)

    def _has_room(self, now: float) -> bool:
        quick = sum(now - turn.began < _A_WHILE for turn in self.running if turn.began is not None)
        return quick < _AT_ONCE

    def _pause(self) -> float:
        next_due = self._turns[0].due - self.clock() if self._turns else _TICK
        return max(0.0, min(_TICK, next_due))

    def _hear(self, seconds: float) -> None:
        """Wait for an end, or for whoever wakes us; then hear all that there is to hear."""
        try:
            heard = self._inbox.get(timeout=max(0.0, seconds))
            while True:
                if isinstance(heard, Turn):
                    self._ended(heard)
                elif heard is not None:
                    heard()
                heard = self._inbox.get_nowait()
        except Empty:
            return

    def _start(self, turn: Turn, now: float) -> None:
        if turn.unit.removed:
            return
        turn.began, turn.store, turn.wrote = now, None, (0, now)
        self.running.add(turn)
        name = f"{turn.unit.name} {turn.command}"
        try:
            threading.Thread(target=self._work, args=(turn,), name=name, daemon=True).start()
        except RuntimeError as error:  # the system has no thread left for us just now
            self.herald.failed(turn.unit.kept, turn.command, error)
            self._ended(turn)

    def _ended(self, turn: Turn) -> None:
        self.running.discard(turn)
        turn.began = turn.store = None
        if not turn.unit.removed:
            turn.due = turns.following(turn.due, turn.every, self.clock())
            heapq.heappush(self._turns, turn)

    # --- one step --------------------------------------------------------------------------------

    def _work(self, turn: Turn) -> None:
        unit = turn.unit
        try:
            self.do(turn)
        except BaseException as error:  # noqa: BLE001 - told, and tried again at the next turn
            code = self.herald.failed(unit.kept, turn.command, error)
            if turn.command == "sync":
                unit.exit = code
        finally:
            self._inbox.put(turn)

    def do(self, turn: Turn) -> None:
        """Do one step, in the thread that it has. Raises what keeps it from being done."""
        unit = turn.unit
        with (
            unit.kept.at_work(lambda sentence: self.herald.says(unit.kept, sentence)) as clinic,
            self.herald.over(clinic, turn.command),
        ):
            turn.store = clinic.store
            if turn.command == "send":
                report = once.send(clinic) if steps.due(clinic) else None
            else:
                report = once.sync(clinic)
                unit.exit = report.exit
                unit.left = report.cut or report.sources.keys() != clinic.settings.sources.keys()
                if not report.busy and not self.ending.is_set():
                    unit.ended = self.clock()
                if unit.watched:
                    unit.look.at(clinic, self.clock())
            if report is not None:
                self.herald.ended(clinic, report, turn.command)
        self.herald.works(unit.kept, turn.command)

    # --- the end ---------------------------------------------------------------------------------

    def _give_back(self) -> None:
        """Release what steps hold that nobody waits for: their threads end with the process."""
        threads = [
            threading.Thread(target=_release, args=(unit.kept,), daemon=True)
            for unit in {turn.unit for turn in self.running}
            | {one for one in self.units.values() if one.left}
        ]
        for thread in threads:
            thread.start()
        until = self.clock() + _RELEASE
        for thread in threads:
            thread.join(max(0.0, until - self.clock()))
        if not self.running:
            self.stores.close()


def _id(loaded: Loaded) -> str:
    return loaded.settings.clinic.id


def _release(kept: Kept) -> None:
    from contextlib import suppress

    with suppress(Exception):  # they run out by themselves
        kept.release()
