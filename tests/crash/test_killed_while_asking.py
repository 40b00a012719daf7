"""`kill -9` at any page of a FHIR server or JSON interface: the next run ends as if it had not been."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.testing import Asked, Reply, serving
from tests.crash.ehr import MAPPING, Ehr, a_day_later, at_first, fhir_source, rest_source

if TYPE_CHECKING:
    from tests.crash.scene import Scene
    from tests.crash.scenes import Scenes

pytestmark = pytest.mark.crash

IMPORTED, CHANGED, SETTLED = "2026-11-23T09:00", "2026-11-24T18:05", "2026-11-24T18:40"
DONE = 0
# The time at which pages were read, and what of them is fresh, differ from run to run.
_COMPARED = ("appointments", "versions", "told", "messages", "events", "held", "quarantine")
_THAT_MATTER = ("start_at", "due_at", "wake_at", "useless_after")


@dataclass
class Deadly(Ehr):
    """Kills whoever asks for the n-th time, if told so."""

    asked: int = 0
    kill_at: int | None = None
    after: bool = False  # when the answer is out, not before
    process: subprocess.Popen[str] | None = None

    def answer(self, asked: Asked) -> Reply:
        self.asked += 1
        struck = self.asked == self.kill_at and self.process is not None
        if struck and not self.after and self.process:
            os.kill(self.process.pid, signal.SIGKILL)
        reply = super().answer(asked)
        if struck and self.after and self.process:
            threading.Timer(0.03, self.process.kill).start()  # when the page is being kept
        return reply


@pytest.fixture
def ehr() -> Iterator[Deadly]:
    made = Deadly(at_first())
    with serving(made.answer) as server:
        made.url = server.url
        yield made


def sync(scene: Scene, ehr: Deadly, now: str) -> int:
    """Run once, to be struck where `ehr` says; return how it ended."""
    ehr.asked = 0
    ehr.process = None
    run = scene.start(now)
    ehr.process = run
    return scene.end(run).code


def settled(scene: Scene, ehr: Deadly) -> dict[str, Any]:
    """Run twice without a kill; return what is kept and what was said."""
    ehr.kill_at = None
    assert scene.sync_here(CHANGED) == DONE
    assert scene.sync_here(SETTLED) == DONE
    result = scene.result()
    tables = {name: [_timeless(row) for row in result["tables"][name]] for name in _COMPARED}
    return {"tables": tables, "files": sorted(result["files"])}


def differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Return what is in one of two results only."""
    return [
        f"{sign} {name}: {row}"
        for name in _COMPARED
        for sign, here, there in (("+", found, expected), ("-", expected, found))
        for row in here["tables"][name]
        if row not in there["tables"][name]
    ] + sorted({*found["files"]} ^ {*expected["files"]})


def _timeless(row: dict[str, Any]) -> dict[str, Any]:
    """A run that goes on where another was killed finds out a little later what is gone."""
    late = row.get("state") == "skipped"
    row = row | {"say": ""} if late else row  # what it would have said tells when it was due
    return {
        name: value is not None
        if name.endswith(("_at", "_after")) and (late or name not in _THAT_MATTER)
        else value
        for name, value in row.items()
    }


@pytest.mark.parametrize(
    "source", [pytest.param(fhir_source, id="fhir"), pytest.param(rest_source, id="rest")]
)
def test_a_run_killed_at_any_page_ends_as_if_it_had_not_been(
    scenes: Scenes, ehr: Deadly, source: Callable[[str], dict[str, Any]]
) -> None:
    imported = scenes.reading({"ehr": source(ehr.url)})
    (imported.folder / "ours.yaml").write_text(MAPPING)
    assert sync(imported, ehr, IMPORTED) == DONE
    ehr.visits = a_day_later()
    whole = scenes.copy_of(imported)
    assert sync(whole, ehr, CHANGED) == DONE
    pages = ehr.asked
    assert pages >= 6
    expected = settled(whole, ehr)
    gone = [one["source_key"] for one in expected["tables"]["appointments"] if one["gone_at"]]
    assert gone == ["v019"]
    struck = 0
    moments = [(number, after) for number in range(1, pages + 1) for after in (False, True)]
    # One server shows that every moment is right; the others, that they are no different.
    some = moments if scenes.base.server == "sqlite" else moments[::5]
    for number, after in some:
        scene = scenes.copy_of(imported)
        ehr.kill_at, ehr.after = number, after
        struck += sync(scene, ehr, CHANGED) == -signal.SIGKILL
        assert differences(settled(scene, ehr), expected) == [], f"killed at request {number}"
        assert scene.said_twice() == []
    assert struck >= len(some) // 2


@pytest.mark.parametrize(
    "source", [pytest.param(fhir_source, id="fhir"), pytest.param(rest_source, id="rest")]
)
def test_a_first_read_killed_at_any_page_is_still_the_first_when_it_is_taken_up(
    scenes: Scenes, ehr: Deadly, source: Callable[[str], dict[str, Any]]
) -> None:
    def made() -> Scene:
        scene = scenes.reading({"ehr": source(ehr.url)})
        (scene.folder / "ours.yaml").write_text(MAPPING)
        return scene

    whole = made()
    assert sync(whole, ehr, IMPORTED) == DONE
    pages = ehr.asked
    for number in range(1, pages + 1, 1 if scenes.base.server == "sqlite" else 3):
        scene = made()
        ehr.kill_at, ehr.after = number, False
        assert sync(scene, ehr, IMPORTED) == -signal.SIGKILL
        ehr.kill_at = None
        assert scene.sync_here(IMPORTED) == DONE
        kept = scene.result()["tables"]
        assert len(kept["appointments"]) == len(ehr.visits), f"killed at request {number}"
        # An import is told to nobody, however often it was cut off.
        assert [one["kind"] for one in kept["messages"] if one["kind"] == "confirmation"] == []
