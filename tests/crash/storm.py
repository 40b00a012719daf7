"""What chance does to three processes at once that send by one provider."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

from clinicrelay.testing import Fault
from tests.crash.killing import PATHS, Moment, Post
from tests.notifiers.peers import CUT, Fate

FEW = 4
RUNS = int(os.environ.get("CLINICRELAY_TEST_KILLED_RUNS", FEW))
STORES = ["sqlite", "postgres", "mysql"]
AT_ONCE = 3
MINUTE = timedelta(minutes=1)
TILL_SETTLED = (1, 2, 3, 5, 8, 12)  # minutes
DONE, NEEDS_PERSON, TRY_AGAIN = 0, 3, 75
ENDS = {DONE, NEEDS_PERSON, TRY_AGAIN, -signal.SIGKILL}
LAG = timedelta(seconds=55)
LOST = (Fault.GONE, Fault.ANSWER_LOST, Fault.ANSWER_MANGLED, Fault.TROUBLE, CUT)


@dataclass
class Storm:
    """What chance does to the processes of one clinic; the same seed wants the same again."""

    clinic: Post
    chance: Random
    codes: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.clinic.peer.moment = self._moment
        self.clinic.peer.fate = self._fate
        self.clinic.peer.lag = LAG

    @property
    def killed(self) -> int:
        return self.codes[-signal.SIGKILL]

    def blow(self, now: str) -> None:
        """Let three processes do the same at the same time."""
        runs = [
            self.clinic.start(now, "send" if door else "sync", door=door, **self._within())
            for door in range(AT_ONCE)
        ]
        by_chance = threading.Timer(self.chance.uniform(0.3, 1.5), self.chance.choice(runs).kill)
        by_chance.start()
        self.codes.update(map(self.clinic.end, runs))
        by_chance.cancel()

    def end(self) -> None:
        """From now on nobody is killed and nothing is lost."""
        self.clinic.peer.moment = self.clinic.peer.fate = lambda: None

    def say(self, what: str) -> None:
        """Print the figures, for those who ask to see them."""
        store = self.clinic.scene.store_url.partition(":")[0]
        name, runs = self.clinic.peer.provider.name, self.codes.total()
        print(f"{name} on {store}: {runs} processes, {self.killed} killed; {what}")

    def _moment(self) -> Moment | None:
        kills = self.chance.random() < 0.15
        return self.chance.choice((Moment.ASKED, Moment.TAKEN)) if kills else None

    def _fate(self) -> Fate:
        return self.chance.choice(LOST) if self.chance.random() < 0.05 else None

    def _within(self) -> dict[str, str]:
        if self.chance.random() < 0.7:
            return {}
        at = {"NOTIFIER_KILL_AT": self.chance.choice(("begun", "answered"))}
        return {"PYTHONPATH": PATHS, **at, "NOTIFIER_KILL_NTH": str(self.chance.randint(1, 4))}
