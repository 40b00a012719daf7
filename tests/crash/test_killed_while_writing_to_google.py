"""`kill -9` at any request to Google: the next run ends as if it had not been (CAL-04, CAL-39)."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from google_peer.peer import GooglePeer

from clinicrelay.testing import Asked, Reply
from tests.crash.scene import ROBOT, Scene, first_export, in_google, second_export
from tests.crash.scenes import Scenes

pytestmark = pytest.mark.crash

IMPORTED, CHANGED, SETTLED = "2026-11-23T09:00", "2026-11-24T18:05", "2026-11-24T18:40"
DOCTORS = ("acar@riverside.example", "braun@riverside.example")
DONE, NEEDS_PERSON, TRY_AGAIN = 0, 3, 75
LOOKED = 4  # requests: a login and a look at each calendar, then the first that writes
SAID = ("status", "summary", "description", "location", "start", "end", "extendedProperties")


class Moment(NamedTuple):
    """When to kill: at the n-th request, before it is done, after, or when its answer is kept."""

    number: int
    when: str


class Deadly(GooglePeer):
    """Kills whoever asks for the n-th time, if told so."""

    asked = 0
    moment: Moment | None = None
    process: subprocess.Popen[str] | None = None

    def _reply(self, asked: Asked) -> Reply:
        with self.world.lock:
            self.asked += 1
            when = self.moment.when if self.moment and self.asked == self.moment.number else ""
        if when == "before":
            self._kill()
            raise ConnectionAbortedError
        reply = super()._reply(asked)
        if when == "after":
            self._kill()
        elif when == "kept":
            threading.Timer(0.02, self._kill).start()
        return reply

    def _kill(self) -> None:
        if self.process is not None:
            os.kill(self.process.pid, signal.SIGKILL)

    def sync(self, scene: Scene, now: str, moment: Moment | None = None) -> int:
        """Run in a process of its own, to be struck at a moment; return how it ended."""
        self.asked, self.moment, self.process = 0, moment, None
        self.process = run = scene.start(now)
        code = scene.end(run).code
        self.moment = None
        return code

    def clear(self) -> None:
        """Empty all calendars, tombstones too."""
        for calendar in self.world.calendars.values():
            calendar.events.clear()
        self.forget_calls()


@pytest.fixture
def google() -> Iterator[Deadly]:
    peer = Deadly(seed=7)
    with peer:
        for doctor in DOCTORS:
            peer.calendar(doctor, shared={ROBOT: "writer"})
        yield peer


def settled(scene: Scene, google: Deadly, now: str) -> dict[str, Any]:
    """Run twice without a kill; return what the doctors see, and what is kept of it."""
    for when in (now, SETTLED):
        assert scene.sync_here(when) in (DONE, NEEDS_PERSON)
    assert google.duplicates() == {}
    assert google.mails() == []
    kept = scene.result()["tables"]["events"]
    return {
        "shown": {doctor: shown(google, doctor) for doctor in DOCTORS},
        "kept": sorted((e["appointment"], e["calendar"], e["state"], e["hands"]) for e in kept),
        # Nobody's event is removed that is not removed without a kill, and none twice.
        "removed": Counter(c.event for c in google.calls("delete") if c.status == 204),
    }


def shown(google: Deadly, doctor: str) -> dict[str, Any]:
    return {event["id"]: {name: event.get(name) for name in SAID} for event in google.dump(doctor)}


def moments(scenes: Scenes, requests: int) -> list[Moment]:
    """Return every moment of a run on one server; on the others a few: they are no different."""
    numbers, whens = range(1, requests + 1), ("before", "after", "kept")
    every = [Moment(number, when) for number in numbers for when in whens]
    return every if scenes.base.server == "sqlite" else every[2::7]


def test_a_run_killed_at_any_request_ends_as_if_it_had_not_been(
    scenes: Scenes, google: Deadly
) -> None:
    """CAL-04: with visits that are new, moved, cancelled, gone and given to another doctor."""
    imported = in_google(scenes.empty(), google)
    assert google.sync(imported, IMPORTED) == DONE
    imported.drop(second_export(), 2)
    world = copy.deepcopy(google.world.calendars)
    google.forget_calls()
    whole = scenes.copy_of(imported)
    assert google.sync(whole, CHANGED) == NEEDS_PERSON
    requests = google.asked
    expected = settled(whole, google, CHANGED)
    assert len(expected["removed"]) >= 4
    struck = 0
    some = moments(scenes, requests)
    for moment in some:
        google.world.calendars = copy.deepcopy(world)
        google.forget_calls()
        scene = scenes.copy_of(imported)
        struck += google.sync(scene, CHANGED, moment) == -signal.SIGKILL
        assert settled(scene, google, CHANGED) == expected, f"killed {moment}"
        assert scene.said_twice() == []
    assert struck >= len(some) * 2 // 3


def test_what_is_wanted_back_after_two_kills_is_there_again(scenes: Scenes, google: Deadly) -> None:
    """Nobody lived to hear what became of removals; the second run only looked at the calendars."""
    imported = in_google(scenes.empty(), google)
    assert google.sync(imported, IMPORTED) == DONE
    before = {doctor: shown(google, doctor) for doctor in DOCTORS}
    rows = first_export()
    for row in rows[10:14]:
        row["status"] = "cancelled"
    imported.drop(rows, 2)
    world = copy.deepcopy(google.world.calendars)
    whole = scenes.copy_of(imported)
    google.sync(whole, CHANGED)
    requests = google.asked
    assert requests > LOOKED
    for number in range(LOOKED, requests + 1):
        google.world.calendars = copy.deepcopy(world)
        scene = scenes.copy_of(imported)
        google.sync(scene, CHANGED, Moment(number, "after"))
        google.sync(scene, CHANGED, Moment(LOOKED, "before"))
        scene.drop(first_export(), 3)
        kept = settled(scene, google, SETTLED)["kept"]
        assert {doctor: shown(google, doctor) for doctor in DOCTORS} == before, number
        assert {hands for *_, hands in kept} == {None}


def test_a_first_push_killed_at_any_request_makes_no_second_event(
    scenes: Scenes, google: Deadly
) -> None:
    """CAL-04."""
    assert google.sync(in_google(scenes.empty(), google), IMPORTED) == DONE
    requests = google.asked
    live = [len(google.dump(doctor, live=True)) for doctor in DOCTORS]
    assert sum(live) == len(first_export())
    for moment in moments(scenes, requests)[::2]:
        google.clear()
        scene = in_google(scenes.empty(), google)
        google.sync(scene, IMPORTED, moment)
        settled(scene, google, IMPORTED)
        assert [len(google.dump(doctor, live=True)) for doctor in DOCTORS] == live, moment
        assert google.calls("delete") == []


def test_two_runs_at_once_write_hardly_more_than_one(scenes: Scenes, google: Deadly) -> None:
    """CAL-39."""
    google.sync(in_google(scenes.empty(), google), IMPORTED)
    wanted, expected = google.asked, [len(shown(google, doctor)) for doctor in DOCTORS]
    google.clear()
    google.asked = 0
    scene = in_google(scenes.empty(), google)
    runs = [scene.start(IMPORTED) for _ in range(2)]
    codes = [scene.end(run).code for run in runs]
    assert DONE in codes
    assert set(codes) <= {DONE, NEEDS_PERSON, TRY_AGAIN}
    assert google.duplicates() == {}
    assert len(google.calls("insert")) <= 1.2 * len(first_export())
    assert google.asked <= wanted + 3  # the other one logs in, and may look
    settled(scene, google, IMPORTED)
    assert [len(shown(google, doctor)) for doctor in DOCTORS] == expected
