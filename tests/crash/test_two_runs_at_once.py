"""Two runs at once, one of them frozen for as long as it likes: each thing is done once."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.crash.conftest import Ended, Point, Scene, Scenes

pytestmark = pytest.mark.crash

CHANGED = "2026-11-24T18:05"
DONE, NEEDS_PERSON, TRY_AGAIN = 0, 3, 75
PARTS = 3


@contextmanager
def frozen(scene: Scene, point: Point) -> Iterator[subprocess.Popen[str]]:
    """Start a run that freezes at a point; it is alive, and can be woken by `wake`."""
    run = scene.start(CHANGED, KILLER_AT=point.at, KILLER_SIGNAL="STOP")
    try:
        _, status = os.waitpid(run.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), "it was to freeze there"
        yield run
    finally:
        if run.poll() is None:
            run.kill()
            run.communicate()


def wake(scene: Scene, run: subprocess.Popen[str]) -> Ended:
    run.send_signal(signal.SIGCONT)
    return scene.end(run)


def places(scenes: Scenes) -> list[Point]:
    """Return one point of each place, outside transactions: inside, the database holds others off."""
    points, _ = scenes.undisturbed
    first = {(p.kind, p.when, p.site): p for p in reversed(points)}
    return sorted(p for p in first.values() if (p.kind, p.when) != ("commit", "before"))


def as_undisturbed(scenes: Scenes, scene: Scene, told: str) -> None:
    assert scene.sync(CHANGED).code in (DONE, NEEDS_PERSON), told
    _, expected = scenes.undisturbed
    result = scene.result()
    for room in ("tables", "files"):
        for name in sorted(expected[room].keys() | result[room].keys()):
            assert result[room].get(name) == expected[room].get(name), f"{told}: {name}"
    assert scene.said_twice() == [], told


def test_while_one_run_reads_the_other_does_nothing_and_says_try_again(scenes: Scenes) -> None:
    point = next(p for p in places(scenes) if p.site.startswith("sync/pull.py"))
    scene = scenes.copied()
    with frozen(scene, point) as first:
        before = scene.result()
        second = scene.sync(CHANGED)
        assert second.code == TRY_AGAIN, second.said
        assert scene.result() == before
        assert wake(scene, first).code == NEEDS_PERSON
    as_undisturbed(scenes, scene, "two at once")


@pytest.mark.parametrize("part", range(PARTS))
def test_a_run_that_another_overtook_wherever_it_froze_doubles_nothing(
    scenes: Scenes, part: int
) -> None:
    for point in places(scenes)[part::PARTS]:
        scene = scenes.copied()
        with frozen(scene, point) as first:
            scene.let_leases_expire()
            second = scene.sync(CHANGED)
            assert second.code in (DONE, NEEDS_PERSON), f"{point}: {second.said}"
            late = wake(scene, first)
            assert late.code in (DONE, NEEDS_PERSON, TRY_AGAIN), f"{point}: {late.said}"
        as_undisturbed(scenes, scene, f"frozen {point.when} {point.kind} at {point.site}")


def test_two_runs_started_together_end_as_one(scenes: Scenes) -> None:
    scene = scenes.copied()
    runs = [scene.start(CHANGED) for _ in range(2)]
    codes = sorted(scene.end(run).code for run in runs)
    assert NEEDS_PERSON in codes
    assert set(codes) <= {DONE, NEEDS_PERSON, TRY_AGAIN}
    as_undisturbed(scenes, scene, "started together")
