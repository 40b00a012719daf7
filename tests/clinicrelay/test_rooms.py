"""A stranger's package that answers to a room's name is refused by name, before anything runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clinicrelay import rooms

HOUSE = Path(rooms.__file__).resolve().parent.parent


def ask(
    folder: Path, program: str = "from clinicrelay import rooms; rooms.refuse_strangers()"
) -> str:
    """Run a program in a fresh interpreter that looks into `folder` first; return what it printed."""
    path = os.pathsep.join([str(folder), str(HOUSE)])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_our_own_rooms_are_let_in() -> None:
    rooms.refuse_strangers()


def test_a_strangers_package_is_refused_by_name_and_place(tmp_path: Path) -> None:
    (tmp_path / "connectors").mkdir()
    stranger = tmp_path / "connectors" / "__init__.py"
    stranger.touch()
    said = ask(tmp_path)
    assert "StrangeRoom" in said
    assert str(stranger) in said
    assert "uv tool install" in said


def test_a_lone_file_in_the_current_folder_is_a_stranger_too(tmp_path: Path) -> None:
    (tmp_path / "sync.py").touch()
    assert "another package named 'sync'" in ask(tmp_path)


def test_a_plain_folder_of_that_name_is_no_stranger(tmp_path: Path) -> None:
    (tmp_path / "calendars").mkdir()
    assert ask(tmp_path) == ""


def test_a_checkout_reached_through_a_link_is_still_ours(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(HOUSE, target_is_directory=True)
    program = (
        "import sys; from clinicrelay import rooms;"
        "sys.path.insert(0, 'link'); rooms.refuse_strangers()"
    )
    assert ask(tmp_path, program) == ""


def test_a_missing_room_says_that_the_installation_is_incomplete(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rooms, "ROOMS", ("connectors", "a_room_that_nobody_built"))
    with pytest.raises(rooms.StrangeRoom, match=r"'a_room_that_nobody_built'.*incomplete"):
        rooms.refuse_strangers()


def test_asking_imports_no_room(tmp_path: Path) -> None:
    program = (
        "import sys; from clinicrelay import rooms; before = set(sys.modules);"
        "rooms.refuse_strangers(); print(sorted(set(sys.modules) - before))"
    )
    assert ask(tmp_path, program).strip() == "[]"
