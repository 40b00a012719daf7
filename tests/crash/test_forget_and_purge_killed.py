"""`kill -9` in the middle of an erasure or a purge: typed again, it ends as if nothing had been."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, text

from tests.crash.scene import CHANGED, Scene

if TYPE_CHECKING:
    from tests.crash.scene import Point
    from tests.crash.scenes import Scenes

pytestmark = pytest.mark.crash

LATER = "2026-12-31T12:00"
FORGET = ("forget", "P8", "--confirm", "riverside", "--ahead")
PURGE = ("purge",)
# The long version kills at every commit and file move; the short one at a few of each kind.
EVERYWHERE = bool(os.environ.get("CLINICRELAY_TEST_KILLED_RUNS"))
OURS = ("sync/erasure", "sync/purging", "sync/agree", "notifiers/", "connectors/", "calendars/")


def lived_in(scenes: Scenes) -> Scene:
    """Return a clinic that has seen a change, reminders and a list, and keeps things for two weeks."""
    scene = scenes.copied()
    file = scene.folder / "settings.yaml"
    settings = json.loads(file.read_text())
    settings["retention"] = {"appointments": "14d", "bodies": "7d", "runs": "7d", "exports": "1d"}
    file.write_text(json.dumps(settings))
    assert scene.sync_here(CHANGED) == 3
    return scene


def run(scene: Scene, now: str, *words: str, kill: str = "") -> tuple[int, list[Point], str]:
    ended = scene.end(scene.start(now, *words, **({"KILLER_AT": kill} if kill else {})))
    return ended.code, ended.points, ended.said


def at(points: list[Point], most: int) -> list[Point]:
    """Return where to kill: after our own commits and before files go, a few of them, or everywhere."""
    if EVERYWHERE:
        return points
    seen: dict[tuple[str, str], Point] = {}
    for one in points:
        place = one.site.split("<")[0]
        if one.site.startswith(OURS) and one.when == (
            "after" if one.kind == "commit" else "before"
        ):
            seen.setdefault((one.kind, place), one)
    found = [*seen.values()]
    step = max(1, len(found) // most)
    return [*found[::step][: most - 1], found[-1]]


def left_of(scene: Scene, word: str) -> list[str]:
    """Return the rows and files that have a word, exports that wait to be read aside."""
    from sync.store.tables import metadata

    engine = create_engine(scene.store_url)
    found = []
    with engine.connect() as connection:
        for name in metadata.tables:
            rows = connection.execute(text(f"SELECT {name}.* FROM {name}"))
            found += [f"{name}: {row}" for row in rows if word in repr(row)]
    engine.dispose()
    files = [p for p in scene.folder.rglob("*") if p.is_file() and "killer" not in p.name]
    return found + [str(p) for p in files if word.encode() in p.read_bytes()]


def done(scene: Scene) -> dict[str, Any]:
    """Return the result without how often it had to be begun."""
    found = scene.result()
    tables = {name: rows for name, rows in found["tables"].items() if name != "memory"}
    return {"tables": tables, "files": found["files"]}


@pytest.mark.parametrize("words", [FORGET, PURGE], ids=["forget", "purge"])
def test_what_was_killed_anywhere_converges_when_it_is_typed_again(
    scenes: Scenes, words: tuple[str, ...]
) -> None:
    base = lived_in(scenes)
    now = LATER if words == PURGE else "2026-11-24T18:30"
    straight = scenes.copy_of(base)
    code, points, said = run(straight, now, *words)
    assert code == 0, said
    expected = done(straight)
    if words == FORGET:
        assert left_of(base, "Pat 8 Sample")
        assert left_of(straight, "Pat 8 Sample") == []
        assert left_of(straight, "p8@mail.example") == []
    places = at(points, most=4 if scenes.base.server == "sqlite" else 2)
    assert len(places) >= 2, [one.site for one in points]
    for one in places:
        scene = scenes.copy_of(base)
        code, _, said = run(scene, now, *words, kill=one.at)
        assert code == -signal.SIGKILL, f"{one} was not reached: {said}"
        again = ("forget", "reception/P8", *FORGET[2:]) if words == FORGET else words
        code, _, said = run(scene, now, *again)
        assert code == 0, f"{one}: {said}"
        assert done(scene) == expected, one
