"""Three processes at once around a due time, killed again and again by chance: every reminder once.

CLINICRELAY_TEST_KILLED_RUNS says how many runs there are, each of three processes; 50 take minutes.
With -rP the figures are shown.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.testing import Fault
from clinicrelay.times import iso, parse_instant
from sync.explain import stories
from tests.crash.conftest import visit
from tests.crash.killing import PATHS, ZONE, Moment, Post, post
from tests.notifiers.peers import CUT, PROVIDERS, Fate, Provider

if TYPE_CHECKING:
    from tests.crash.conftest import Scenes

pytestmark = pytest.mark.crash

FEW = 4
RUNS = int(os.environ.get("CLINICRELAY_TEST_KILLED_RUNS", FEW))
STORES = ["sqlite", "postgres", "mysql"][: 2 if RUNS <= FEW else 3]
PER_MINUTE = 4  # reminders that become due
AT_ONCE = 3
IMPORTED, BEGUN = "2026-11-23T09:00", "2026-11-23T11:58"
MINUTE = timedelta(minutes=1)
DONE, NEEDS_PERSON, TRY_AGAIN = 0, 3, 75
ENDS = {DONE, NEEDS_PERSON, TRY_AGAIN, -signal.SIGKILL}
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
        self.clinic.peer.lag = timedelta(seconds=55)

    def _moment(self) -> Moment | None:
        kills = self.chance.random() < 0.15
        return self.chance.choice((Moment.ASKED, Moment.TAKEN)) if kills else None

    def _fate(self) -> Fate:
        return self.chance.choice(LOST) if self.chance.random() < 0.05 else None

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

    def _within(self) -> dict[str, str]:
        if self.chance.random() < 0.7:
            return {}
        at = {"NOTIFIER_KILL_AT": self.chance.choice(("begun", "answered"))}
        return {"PYTHONPATH": PATHS, **at, "NOTIFIER_KILL_NTH": str(self.chance.randint(1, 4))}

    def end(self) -> None:
        """From now on nobody is killed and nothing is lost."""
        self.clinic.peer.moment = self.clinic.peer.fate = lambda: None


@pytest.fixture
def clinic(scenes: Scenes, provider: Provider) -> Iterator[Post]:
    with post(scenes, provider, doors=AT_ONCE) as made:
        inbox = made.scene.folder / "drops" / "reception"
        for old in inbox.iterdir():
            old.unlink()
        first = datetime(2026, 11, 24, 12)
        rows = [
            visit(n, first + timedelta(minutes=n // PER_MINUTE)) for n in range(RUNS * PER_MINUTE)
        ]
        made.scene.drop(rows, 1)
        assert made.scene.sync_here(IMPORTED) == DONE
        yield made


@pytest.mark.parametrize("base", STORES, indirect=True)
@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_three_at_once_that_are_killed_by_chance_remind_everybody_once(clinic: Post) -> None:
    storm = Storm(clinic, Random(7))
    now = parse_instant(BEGUN, ZONE)
    for _ in range(RUNS):
        now += MINUTE
        storm.blow(iso(now))
    storm.end()
    killed = storm.codes[-signal.SIGKILL]
    at = clinic.minutes_later(iso(now), *range(1, 13))

    arrived = Counter(one.to for one in clinic.peer.taken)
    ledger = clinic.scene.told(at, "messages", "list", "--kind", "reminder")
    doubled = [to for to, times in arrived.items() if times > 1]
    unproven = [one for one in ledger if one["state"] == "unproven"]
    sent = [one for one in ledger if one["state"] == "sent"]
    print(
        f"{clinic.peer.provider.name} on {clinic.scene.store_url.partition(':')[0]}: {RUNS} runs of "
        f"{AT_ONCE}, {killed} killed; {len(ledger)} reminders, {len(arrived)} arrived, "
        f"{len(doubled)} twice, {len(sent)} sent, {len(unproven)} unproven; {dict(storm.codes)}"
    )
    assert set(storm.codes) <= ENDS
    assert killed > 0
    assert doubled == []
    assert len(ledger) == RUNS * PER_MINUTE == len(sent) + len(unproven)
    assert len(sent) <= len(arrived) <= len(ledger)
    if clinic.peer.provider.tells:
        assert unproven == []
    everybody_says_so(clinic, at, unproven)


def everybody_says_so(clinic: Post, at: str, unproven: list[dict[str, Any]]) -> None:
    """Whatever nobody can prove is counted by `status` and told by `why`."""
    status = clinic.scene.told(at, "status")
    assert status["messages"]["unknown"] == len(unproven)
    keys = [one["appointment"].partition("/")[2] for one in unproven]
    with clinic.scene.opened(at) as at_work:
        with at_work.store.read() as connection:
            rows = connection.exec_driver_sql("SELECT source_key, id FROM appointments").fetchall()
        ids = [number for key, number in rows if key in keys]
        answers = [story.answer for story in stories(at_work, ids)]
    assert len(answers) == len(unproven)
    assert all("Nobody can find out whether the reminder" in one for one in answers)
