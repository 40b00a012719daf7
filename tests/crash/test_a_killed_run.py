"""`kill -9` anywhere: the next run ends where an undisturbed one would have, nothing lost or doubled."""

from __future__ import annotations

import json
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from tests.crash.scene import first_export

if TYPE_CHECKING:
    from tests.crash.practice import Practice
    from tests.crash.scene import Point, Scene
    from tests.crash.scenes import Scenes

pytestmark = pytest.mark.crash

IMPORTED = "2026-11-23T09:00"
CHANGED = "2026-11-24T18:05"
DONE, NEEDS_PERSON, HELD = 0, 3, 4
ENDED_WELL = (DONE, NEEDS_PERSON)
PARTS = 6  # the points are shared out, so that workers can run them side by side
RANDOM_POINTS = 20


@pytest.mark.parametrize("part", range(PARTS))
def test_a_run_killed_at_any_commit_or_file_move_ends_as_if_it_had_not_been(
    scenes: Scenes, part: int
) -> None:
    points, expected = scenes.undisturbed
    chosen = one_of_each_site(points)
    assert len(chosen) > 40
    for point in scenes.sample(chosen)[part::PARTS]:
        killed_there(scenes.copied(), CHANGED, point, expected)


@pytest.mark.parametrize("part", range(2))
def test_a_run_killed_at_random_moments_ends_as_if_it_had_not_been(
    scenes: Scenes, part: int
) -> None:
    points, expected = scenes.undisturbed
    sites = set(one_of_each_site(points))
    others = [point for point in points if point not in sites]
    chosen = Random(9).sample(others, min(RANDOM_POINTS, len(others)))
    for point in scenes.sample(chosen)[part::2]:
        killed_there(scenes.copied(), CHANGED, point, expected)


def test_a_run_killed_again_and_again_ends_as_if_it_had_not_been(scenes: Scenes) -> None:
    points, expected = scenes.undisturbed
    scene = scenes.copied()
    for _ in range(6):
        # Always a little way into what is left to do; the log of the last run says where.
        left = scene.sync(CHANGED, kill=points[len(points) // 3])
        if left.code != -signal.SIGKILL:
            break
    ends_as(scene, CHANGED, expected, "killed six times")


@pytest.mark.parametrize("part", range(2))
def test_the_very_first_run_killed_anywhere_ends_as_if_it_had_not_been(
    scenes: Scenes, part: int
) -> None:
    points, expected = undisturbed(scenes.empty())
    # Nothing lasts between the end of one of them and the beginning of the next.
    chosen = [p for p in one_of_each_site(points) if p.when == "before" or p == points[-1]]
    assert len(chosen) > 15
    for point in scenes.sample(chosen)[part::2]:
        killed_there(scenes.empty(), IMPORTED, point, expected, without_ids)


WAYS = {
    "changes": {"cursor": "updated_at", "reconcile_every": "7d"},
    "everything": {"cursor": "updated_at"},
    "snapshot": {"strategy": "snapshot"},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_query_killed_at_any_commit_ends_as_if_it_had_not_been(
    scenes: Scenes, practice: Practice, way: str
) -> None:
    imported = scenes.reading({"practice": practice.source(**WAYS[way])})
    assert imported.sync(IMPORTED).code == DONE
    practice.a_day_later()
    whole = scenes.copy_of(imported)
    points, expected = whole.undisturbed(CHANGED)
    assert {"cancelled", "booked"} <= {one["status"] for one in visits_in(expected)}
    assert len(visits_in(expected)) == 43
    chosen = one_of_each_site(points)
    assert len(chosen) > 15
    # The ways share the points out; the servers beside SQLite show that they are no different.
    every = (1 if scenes.base.server == "sqlite" else 8) * len(WAYS)
    for point in chosen[[*WAYS].index(way) :: every]:
        killed_there(scenes.copy_of(imported), CHANGED, point, expected, twice=True)


def test_a_run_that_finds_other_links_killed_at_any_commit_ends_as_if_it_had_not_been(
    scenes: Scenes,
) -> None:
    """Too many events would go from one doctor's calendar, few from the other's."""
    first = [
        {**row, "doctor_id": doctor}
        for row, doctor in zip(first_export(), ["acar"] * 24 + ["braun"] * 16, strict=True)
    ]
    imported = scenes.reading({})
    imported.drop(first, 1)
    assert imported.sync(IMPORTED).code == DONE
    settings = imported.folder / "settings.yaml"
    linked = [{"id": one, "match": one, "calendar": f"{one}-2026"} for one in ("acar", "braun")]
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "doctors": linked}))
    points, expected = scenes.copy_of(imported).undisturbed(IMPORTED, well=(HELD,))
    states = Counter(event["state"] for event in expected["tables"]["events"])
    assert states == {"synced": 40 + 24, "removed": 16}
    assert len(expected["tables"]["unlinked"]) == 24
    chosen = [point for point in one_of_each_site(points) if "sync/planner" in point.site]
    assert any("sync/unlinking" in point.site for point in chosen)
    for point in scenes.sample(chosen):
        killed_there(scenes.copy_of(imported), IMPORTED, point, expected, well=(HELD,))


# --- how ----------------------------------------------------------------------------------------

Result = dict[str, Any]


def visits_in(result: Result) -> list[dict[str, Any]]:
    """Return what is kept of each visit."""
    found: list[dict[str, Any]] = result["tables"]["appointments"]
    return [{**one, **json.loads(one["content"])} for one in found]


def as_it_is(result: Result) -> Result:
    return result


def without_ids(result: Result) -> Result:
    """Blank the ids that are made with the instance key: each new store has a key of its own."""
    blank = re.compile(r"cr[0-9a-v]{32}")
    tables = {
        name: sorted(blank.sub("cr", repr(row)) for row in rows if name != "clinics")
        for name, rows in result["tables"].items()
    }
    files = {blank.sub("cr", name): blank.sub("cr", text) for name, text in result["files"].items()}
    return {"tables": tables, "files": files}


def undisturbed(scene: Scene) -> tuple[Sequence[Point], Result]:
    """Import twice without a kill; return every point there was in the first run, and the result."""
    points, result = scene.undisturbed(IMPORTED)
    return points, without_ids(result)


def one_of_each_site(points: Iterable[Point]) -> list[Point]:
    """Return the first point of each place in the program, before and after it."""
    return list({(p.kind, p.when, p.site): p for p in reversed(list(points))}.values())[::-1]


def killed_there(
    scene: Scene,
    now: str,
    point: Point,
    expected: Result,
    seen: Callable[[Result], Result] = as_it_is,
    *,
    twice: bool = False,
    well: Sequence[int] = ENDED_WELL,
) -> None:
    ended = scene.sync(now, kill=point)
    assert ended.code == -signal.SIGKILL, f"{point} was not reached: {ended.said}"
    ends_as(
        scene,
        now,
        expected,
        f"killed {point.when} {point.kind} {point.number} at {point.site}",
        seen,
        twice=twice,
        well=well,
    )


def ends_as(
    scene: Scene,
    now: str,
    expected: Result,
    told: str,
    seen: Callable[[Result], Result] = as_it_is,
    *,
    twice: bool = False,
    well: Sequence[int] = ENDED_WELL,
) -> None:
    """Run until a run ends well, once more, and compare with what an undisturbed clinic has.

    A source that is there to be read `twice` is: the second time it is known where what changed stands.
    """
    codes: list[int] = []
    while not codes or codes[-1] not in well:
        ended = scene.sync(now)
        codes.append(ended.code)
        assert len(codes) < 4, f"{told}: runs ended with {codes}: {ended.said}"
    if twice:
        assert scene.sync_here(now) in well
    result = scene.result()
    assert differences(seen(result), expected) == [], told
    assert scene.sync_here(now) in well
    assert differences(scene.result(), result) == [], f"{told}: one more run changed something"
    assert scene.said_twice() == [], told


def differences(found: Result, expected: Result) -> list[str]:
    """Say what differs, table by table and file by file."""
    told = []
    for room in ("tables", "files"):
        for name in sorted(found[room].keys() | expected[room].keys()):
            one, other = found[room].get(name), expected[room].get(name)
            if one != other:
                told.append(f"{name}: {_only_in(one, other)} instead of {_only_in(other, one)}")
    return told


def _only_in(one: Any, other: Any) -> str:
    if isinstance(one, list) and isinstance(other, list):
        return str([row for row in one if row not in other][:3])
    return "nothing" if one is None else "\n".join(_lines_only_in(one, other or "")[:5])


def _lines_only_in(one: str, other: str) -> list[str]:
    return [line for line in one.splitlines() if line not in other.splitlines()]
