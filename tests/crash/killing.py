"""A clinic that sends by one provider, whose senders are killed at every moment of a message."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clinicrelay.testing import Asked, Reply
from clinicrelay.times import iso, parse_instant
from tests.notifiers.peers import Peer, Provider

if TYPE_CHECKING:
    from tests.crash.scene import Scene
    from tests.crash.scenes import Scenes

HERE = Path(__file__).parent
PATHS = f"{HERE / 'notifier_killer'}{os.pathsep}{HERE.parents[1]}"
ZONE = "Europe/Berlin"


class Moment(StrEnum):
    """When a sender is killed; of the first two the provider took nothing."""

    BEGUN = "no byte has left"
    ASKED = "the provider has read all of it"
    TAKEN = "the provider took it"
    ANSWERED = "the answer is there"


WITHIN = {Moment.BEGUN: "begun", Moment.ANSWERED: "answered"}  # a moment within the process


@dataclass
class Deadly(Peer):
    """A provider that kills who hands it a message, when `moment` says so.

    While `answers` is not set, whoever hands over the first message waits for its answer.
    """

    moment: Callable[[], Moment | None] = lambda: None
    callers: dict[int, subprocess.Popen[str]] = field(default_factory=dict)
    answers: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.answers.set()

    def answer(self, door: int, asked: Asked) -> Reply:
        moment = self._strike(door) if self.is_message(asked) else None
        if moment is Moment.ASKED:
            self.callers[door].kill()
            return Reply(reset=True)
        reply = super().answer(door, asked)
        if moment is Moment.TAKEN:
            self.callers[door].kill()
            return Reply(reset=True)
        if self.is_message(asked) and len(self.taken) == 1:
            self.answers.wait(20)
        return reply

    def close(self) -> None:
        self.answers.set()
        super().close()

    def _strike(self, door: int) -> Moment | None:
        with self.lock:
            return self.moment() if door in self.callers else None


@dataclass
class Post:
    """A clinic and its provider. Each process goes by a door of its own, so it is known who comes."""

    scene: Scene
    peer: Deadly
    doors: list[str]

    def start(self, now: str, *words: str, door: int = 0, **environ: str) -> subprocess.Popen[str]:
        """Start a run that the provider may kill."""
        self.peer.now = parse_instant(now, ZONE)
        said = {"PROVIDER_URL": self.doors[door], **environ}
        run = self.scene.start(now, *words, **said)
        self.peer.callers[door] = run
        return run

    def end(self, run: subprocess.Popen[str]) -> int:
        code = self.scene.end(run).code
        self.peer.callers = {n: one for n, one in self.peer.callers.items() if one is not run}
        return code

    def killed(self, now: str, moment: Moment) -> int:
        """Let one run be killed at a moment of its first message; return how it ended."""
        if moment in WITHIN:
            return self.end(self.start(now, PYTHONPATH=PATHS, NOTIFIER_KILL_AT=WITHIN[moment]))
        before, self.peer.moment = self.peer.moment, lambda: moment
        code = self.end(self.start(now))
        self.peer.moment = before
        return code

    def minutes_later(self, now: str, *minutes: float) -> str:
        """Run so many minutes after a moment, in this process; return the last time."""
        began = parse_instant(now, ZONE)
        for later in minutes:
            self.peer.now = began + timedelta(minutes=later)
            self.scene.sync_here(iso(self.peer.now))
        return iso(self.peer.now)

    def wait_until_taken(self, count: int) -> None:
        give_up = time.monotonic() + 20
        while len(self.peer.taken) < count:
            assert time.monotonic() < give_up, "the run never came that far"
            time.sleep(0.02)

    def ids_kept(self) -> list[str | None]:
        """Return the provider's ids that the clinic knows its attempts by."""
        with self.scene.opened(iso(self.peer.now)) as at_work, at_work.store.read() as connection:
            rows = connection.exec_driver_sql("SELECT provider_id FROM attempts ORDER BY id")
            return [row[0] for row in rows]


@contextmanager
def post(scenes: Scenes, provider: Provider, *, doors: int = 1, **said: Any) -> Iterator[Post]:
    """Open a clinic that was never read, with reminders a day ahead by this provider."""
    scene, peer = scenes.empty(), Deadly(provider)
    urls = [peer.door() for _ in range(doors)]
    file = scene.folder / "settings.yaml"
    settings = json.loads(file.read_text())
    settings["calendars"] = {}
    settings["reminders"] = {"patient": {"steps": ["1d"]}}
    settings["channels"] = provider.channels
    settings["notifiers"] = {"post": {**provider.options, "base_url": "${PROVIDER_URL}"}}
    file.write_text(json.dumps(settings | said))
    scene.environ["PROVIDER_URL"] = urls[0]
    try:
        yield Post(scene, peer, urls)
    finally:
        peer.close()
