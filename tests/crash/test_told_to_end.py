"""SIGTERM: a run ends within seconds, with a code, and the next one goes on (CAL-42)."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from google_peer.peer import GooglePeer

from clinicrelay.testing import Asked, Reply, serving
from tests.crash.ehr import MAPPING, rest_source
from tests.crash.scene import ROBOT, Scene, in_google, write_settings
from tests.crash.scenes import Scenes

pytestmark = pytest.mark.crash

NOW = "2026-11-23T09:00"
DOCTORS = ("acar@riverside.example", "braun@riverside.example")
DONE, NEEDS_PERSON, TRY_AGAIN = 0, 3, 75
PROMISED = 10.0  # seconds


@pytest.fixture
def google() -> Iterator[GooglePeer]:
    with GooglePeer(seed=7) as peer:
        for doctor in DOCTORS:
            peer.calendar(doctor, shared={ROBOT: "writer"})
        yield peer


@pytest.fixture
def scene(scenes: Scenes, google: GooglePeer) -> Scene:
    """A clinic that has never run, whose doctors' calendars are in Google."""
    return in_google(scenes.empty(), google)


@pytest.mark.parametrize("operation", ["token", "list", "insert"])
def test_a_run_that_is_told_to_end_does_not_wait_for_google(
    scene: Scene, google: GooglePeer, operation: str
) -> None:
    hangs = google.fault("hang", operation, seconds=25.0, limit=1)
    run = scene.start(NOW)
    until(lambda: bool(hangs.fired))

    began = time.monotonic()
    run.send_signal(signal.SIGTERM)
    said, _ = run.communicate(timeout=30)

    assert time.monotonic() - began < PROMISED, said
    assert run.returncode in (DONE, NEEDS_PERSON), said
    google.heal()
    assert scene.sync_here(NOW) in (DONE, NEEDS_PERSON)
    assert google.duplicates() == {}
    kept = scene.result()["tables"]["events"]
    shown = [event for doctor in DOCTORS for event in google.dump(doctor, live=True)]
    assert len(shown) == len(kept) > 0
    assert {event["state"] for event in kept} == {"synced"}


def test_a_run_whose_source_hangs_says_that_it_was_told_to_end(scenes: Scenes) -> None:
    scene, asked, over = scenes.empty(), threading.Event(), threading.Event()

    def hangs(_: Asked) -> Reply:
        asked.set()
        over.wait(30)
        return Reply({"items": []})

    with serving(hangs) as server:
        write_settings(scene.folder, {"ehr": rest_source(server.url)})
        (scene.folder / "ours.yaml").write_text(MAPPING)
        run = scene.start(NOW)
        until(asked.is_set)
        run.send_signal(signal.SIGTERM)
        said, _ = run.communicate(timeout=30)
        over.set()
    assert run.returncode == TRY_AGAIN, said
    assert "The run was told to end: the next one goes on." in said
    assert "another run" not in said


def until(happened: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < give_up, "the run never came that far"
        time.sleep(0.02)
