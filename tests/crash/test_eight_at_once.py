"""Eight processes on one store: each thing is done once, and nobody reads of a locked database."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from tests.crash.test_two_runs_at_once import CHANGED, DONE, NEEDS_PERSON, TRY_AGAIN, as_undisturbed

if TYPE_CHECKING:
    from tests.crash.scenes import Scenes

pytestmark = pytest.mark.crash

EIGHT = 8
ROUNDS = int(os.environ.get("CLINICRELAY_TEST_KILLED_RUNS", "1"))
WORK = (["sync"], ["send"], ["status"], ["appointments"], ["sync"], ["messages", "list"])
RED = 3  # what `status` says of a clinic that needs somebody


def test_eight_runs_started_at_once_end_as_one(scenes: Scenes) -> None:
    scene = scenes.copied()
    runs = [scene.start(CHANGED) for _ in range(EIGHT)]
    ended = [scene.end(run) for run in runs]
    said = "".join(one.said for one in ended)
    assert {one.code for one in ended} <= {DONE, NEEDS_PERSON, TRY_AGAIN}, said
    assert NEEDS_PERSON in {one.code for one in ended}, said
    assert "Traceback" not in said
    as_undisturbed(scenes, scene, "eight at once")


@pytest.mark.parametrize("base", ["sqlite"], indirect=True)
def test_whatever_eight_do_at_once_on_sqlite_nobody_reads_of_a_locked_database(
    scenes: Scenes,
) -> None:
    """CLINICRELAY_TEST_KILLED_RUNS says how many times eight are started."""
    scene = scenes.copied()
    for number in range(ROUNDS):
        words = [WORK[(number + n) % len(WORK)] for n in range(EIGHT)]
        ended = [scene.end(run) for run in [scene.start(CHANGED, *one) for one in words]]
        said = "".join(one.said for one in ended)
        assert re.search(r"\blocked", said) is None
        assert "Traceback" not in said
        assert {one.code for one in ended} <= {DONE, NEEDS_PERSON, RED, TRY_AGAIN}, said
    as_undisturbed(scenes, scene, "eight for a while")
