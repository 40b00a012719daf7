"""A run that finds out what became of a message, killed at each of its commits, forgets nobody."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from clinicrelay.testing import Fault
from tests.crash.killing import Post, post
from tests.crash.telling import DONE, FAR_AHEAD, IMPORTED, visit
from tests.notifiers.peers import PROVIDERS, Provider

if TYPE_CHECKING:
    from tests.crash.scene import Point
    from tests.crash.scenes import Scenes

pytestmark = pytest.mark.crash

BOOKED, CANCELLED, SETTLED = "2026-11-23T12:00", "2026-11-23T12:00:30", "2026-11-23T12:02"
TELLING = [one for one in PROVIDERS if one.tells]


def before(clinic: Post) -> None:
    """Lose the answer to a confirmation, and then read that the visit is off."""
    for old in (clinic.scene.folder / "drops" / "reception").iterdir():
        old.unlink()
    other = visit(FAR_AHEAD, appointment_id="1", patient_id="P1")
    clinic.scene.drop([other], 1)
    assert clinic.scene.sync_here(IMPORTED) == DONE
    clinic.scene.drop([other, visit(FAR_AHEAD)], 2)
    clinic.peer.fate = lambda: Fault.ANSWER_LOST
    clinic.minutes_later(BOOKED, 0)
    clinic.peer.fate = lambda: None
    clinic.scene.drop([other, visit(FAR_AHEAD, status="cancelled")], 3)
    clinic.minutes_later(CANCELLED, 0)
    assert len(clinic.peer.taken) == 1


def settling(clinic: Post, **killer: str) -> tuple[int, list[Point]]:
    """Let a run find the confirmation; return how it ended, and its commits about that."""
    ended = clinic.scene.end(clinic.start(SETTLED, "send", **killer))
    ours = ("sync/settle.py", "sync/send.py", "sync/conclude.py")
    return ended.code, [
        point
        for point in ended.points
        if (point.kind, point.when) == ("commit", "after") and point.site.startswith(ours)
    ]


@pytest.mark.parametrize("base", ["sqlite"], indirect=True)
@pytest.mark.parametrize("provider", TELLING, ids=lambda provider: provider.name)
def test_a_run_that_finds_a_confirmation_killed_at_any_commit_still_brings_the_cancellation(
    scenes: Scenes, provider: Provider
) -> None:
    told = {"patient": {"confirmation": {"channels": [provider.channel]}}}
    with post(scenes, provider, reminders=told) as undisturbed:
        before(undisturbed)
        _, points = settling(undisturbed)
        assert len(undisturbed.peer.taken) == 2
    assert points
    for point in points:
        with post(scenes, provider, reminders=told) as clinic:
            before(clinic)
            code, _ = settling(clinic, KILLER_AT=point.at)
            assert code == -signal.SIGKILL
            clinic.minutes_later(SETTLED, 1, 3, 6, 9)
            assert len(clinic.peer.taken) == 2, f"killed {point.when} {point.kind} at {point.site}"
