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
    from tests.crash.scene import Ended, Point, Scene
    from tests.crash.scenes import Scenes

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
    """Return one point of each place where something lasting was just done or is about to be.

    Outside transactions: inside, the database itself holds others off.
    """
    points, _ = scenes.undisturbed
    first = {(p.kind, p.when, p.site): p for p in reversed(points)}
    wanted = ("commit", "after"), ("move", "before")
    return sorted(
        p for p in first.values() if (p.kind, p.when) in wanted and "leases.py" not in p.site
    )


def as_undisturbed(
    scenes: Scenes, scene: Scene, told: str, *, in_flight: Point | None = None
) -> None:
    """Run once more, and compare. Only the message in flight at a freeze may have left again."""
    assert scene.sync_here(CHANGED) in (DONE, NEEDS_PERSON), told
    _, expected = scenes.undisturbed
    result = scene.result()
    for room in ("tables", "files"):
        for name in sorted(expected[room].keys() | result[room].keys()):
            assert result[room].get(name) == expected[room].get(name), f"{told}: {name}"
    again = scene.said_twice()
    assert again == [] or (in_flight is not None and _is_in_flight(in_flight, again)), told


def _is_in_flight(point: Point, again: list[str]) -> bool:
    """Whether a run froze after its last look at the lease and before the first byte of a message.

    Nobody can hold it off any more when it wakes. What it repeats has the same id and name, so
    that whoever takes it can know it as one.
    """
    between = ("commit", "after"), ("move", "before")
    return "sync/send.py" in point.site and (point.kind, point.when) in between and len(again) == 1


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
    for point in scenes.sample(places(scenes))[part::PARTS]:
        scene = scenes.copied()
        with frozen(scene, point) as first:
            scene.let_leases_expire()
            second = scene.sync(CHANGED)
            assert second.code in (DONE, NEEDS_PERSON), f"{point}: {second.said}"
            late = wake(scene, first)
            assert late.code in (DONE, NEEDS_PERSON, TRY_AGAIN), f"{point}: {late.said}"
        told = f"frozen {point.when} {point.kind} at {point.site}"
        as_undisturbed(scenes, scene, told, in_flight=point)


def test_two_runs_started_together_end_as_one(scenes: Scenes) -> None:
    scene = scenes.copied()
    runs = [scene.start(CHANGED) for _ in range(2)]
    codes = sorted(scene.end(run).code for run in runs)
    assert NEEDS_PERSON in codes
    assert set(codes) <= {DONE, NEEDS_PERSON, TRY_AGAIN}
    as_undisturbed(scenes, scene, "started together")
