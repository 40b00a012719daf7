"""`kill -9` in a backup, a restore or an upgrade: typed again, it ends as if nothing had been."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from sqlalchemy import create_engine, text

from sync.store import archive

if TYPE_CHECKING:
    from tests.crash.scene import Scene
    from tests.crash.scenes import Scenes

pytestmark = pytest.mark.crash

ROOT = Path(__file__).resolve().parents[2]
CHANGED = "2026-11-24T18:05"
POINTS = 4  # of each command on each database; every statement is cut off in tests/store
START = """\
import sys; from pathlib import Path; from sync.store import schema
versions = sys.argv.pop(1)
if versions: schema.VERSIONS = Path(versions)
import commands; commands.main()
"""


class Ended(NamedTuple):
    """How a command ended, and the points it came by: `number:when`, and what was done there."""

    code: int
    points: list[tuple[str, str]]
    said: str


def typed(scene: Scene, *words: str, kill: str = "", versions: str = "") -> Ended:
    """Type a command in a process of its own; `kill` it at a point."""
    log = scene.folder / "killer.log"
    log.unlink(missing_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT / 'tests' / 'crash' / 'killer'}{os.pathsep}{ROOT}",
        "STORE_URL": scene.store_url,
        "KILLER_LOG": str(log),
        "KILLER_STATEMENTS": "1",
        "KILLER_AT": kill,
    }
    command = [sys.executable, "-c", START, versions, "store", *words]
    ran = subprocess.run(
        command, cwd=scene.folder, env=environment, capture_output=True, text=True, check=False
    )
    lines = [line.split(" ", 4) for line in log.read_text().splitlines()] if log.exists() else []
    points = [(f"{n}:{when}", f"{kind} {what}") for n, kind, when, _, what in lines]
    return Ended(ran.returncode, points, ran.stdout + ran.stderr)


def spread(points: Sequence[tuple[str, str]], *, after: str) -> list[str]:
    """Return a few points from the first of a kind to the end, the last ones among them."""
    begin = next(place for place, (_, what) in enumerate(points) if what.startswith(after))
    left = [at for at, _ in points[begin:]]
    step = max(1, len(left) // (POINTS - 2))
    return list(dict.fromkeys([*left[::step][: POINTS - 2], *left[-2:]]))


def killed(scene: Scene, at: str, *words: str, versions: str = "") -> None:
    ended = typed(scene, *words, kill=at, versions=versions)
    assert ended.code == -signal.SIGKILL, f"{at} was not reached: {ended.said}"


def test_a_backup_that_was_killed_is_none_or_whole(scenes: Scenes) -> None:
    scene = scenes.copied()
    before = scene.result()["tables"]
    straight = typed(scene, "backup", "straight.zip")
    assert straight.code == 0, straight.said
    expected = archive.verify(scene.folder / "straight.zip", lambda _table, _rows: None)
    for at in spread(straight.points, after="statement SELECT clinics"):
        file = scene.folder / "copy.zip"
        forget_what_is_noted(scene)  # a backup in the same second would have nothing to note
        killed(scene, at, "backup", "copy.zip")
        if not file.exists():
            again = typed(scene, "backup", "copy.zip")
            assert again.code == 0, f"{at}: {again.said}"
        made = archive.verify(file, lambda _table, _rows: None)
        assert but_what_is_noted(made.tables) == but_what_is_noted(expected.tables), at
        file.unlink()
        file.with_name("copy.zip.part").unlink(missing_ok=True)
    assert but_what_is_noted(scene.result()["tables"]) == but_what_is_noted(before)


def forget_what_is_noted(scene: Scene) -> None:
    engine = create_engine(scene.store_url)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM memory WHERE name = 'backup_at'"))
    engine.dispose()


def but_what_is_noted(tables: dict[str, Any]) -> dict[str, Any]:
    """All tables but those in which it is noted that there is a backup, and who made it."""
    noted = {"memory", "audit", "clinics"}  # a clinic's row holds the seal of its last audit entry
    return {name: rows for name, rows in tables.items() if name not in noted}


def test_a_restore_that_was_killed_did_all_or_nothing(scenes: Scenes) -> None:
    scene = scenes.copied()
    then = scene.result()["tables"]
    assert typed(scene, "backup", "copy.zip").code == 0
    assert scene.sync_here(CHANGED) == 3
    changed = scene.result()["tables"]
    assert typed(scene, "backup", "changed.zip").code == 0
    words = ("restore", "copy.zip", "--replace", "--confirm", "riverside")
    back = ("restore", "changed.zip", "--replace", "--confirm", "riverside")
    straight = typed(scene, *words)
    assert straight.code == 0, straight.said
    assert scene.result()["tables"] == then != changed
    for at in spread(straight.points, after="statement DELETE"):
        assert typed(scene, *back).code == 0
        killed(scene, at, *words)
        assert scene.result()["tables"] in (changed, then), at
        again = typed(scene, *words)
        assert again.code == 0, f"{at}: {again.said}"
        assert scene.result()["tables"] == then, at


def test_an_upgrade_that_was_killed_is_finished_by_the_next(scenes: Scenes, newer: Path) -> None:
    versions = str(newer)
    first = scenes.copied()
    straight = typed(first, "upgrade", versions=versions)
    assert straight.code == 0, straight.said
    expected = upgraded(first)
    begin = (
        "move before" if first.store_url.startswith("sqlite") else "statement CREATE TABLE colours"
    )
    for at in spread(straight.points, after=begin):
        scene = scenes.copied()
        killed(scene, at, "upgrade", versions=versions)
        again = typed(scene, "upgrade", versions=versions)
        assert again.code == 0, f"{at}: {again.said}"
        assert upgraded(scene) == expected, at
        assert typed(scene, "upgrade", versions=versions).said.startswith("Nothing to do"), at


def upgraded(scene: Scene) -> dict[str, Any]:
    """Return what the newer program's migration did, and whether there is a copy from before it."""
    engine = create_engine(scene.store_url)
    looks = (
        "SELECT version_num FROM alembic_version",
        "SELECT shade, count(*) FROM people GROUP BY shade",
        "SELECT source, hue FROM sources",
        "SELECT count(*) FROM colours",
    )
    with engine.connect() as connection:
        found = {look: [tuple(row) for row in connection.execute(text(look))] for look in looks}
    engine.dispose()
    copies = [path.suffix for path in scene.folder.rglob("backups/*") if path.suffix != ".part"]
    return found | {"tables": scene.result()["tables"], "copied": sorted(set(copies))}
