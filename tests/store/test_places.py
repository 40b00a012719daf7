"""Where a live store belongs: the same place says the same, and a copy says something else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from sync.store import dialects, open_store, places


def place(url: str, now: datetime) -> str:
    store = open_store(url, "riverside", now=now)
    try:
        return places.place_of(url, store)
    finally:
        store.close()


def test_a_store_is_where_it_was(store_url: str, now: datetime) -> None:
    assert places.same(place(store_url, now), place(store_url, now))


def test_a_server_that_keeps_its_own_id_to_itself_is_known_by_its_database(
    store_url: str, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = place(store_url, now)
    refused = dict.fromkeys(dialects._IDENTITY, "SELECT no_such_function()")
    monkeypatch.setattr(dialects, "_IDENTITY", refused)
    assert place(store_url, now) == place(store_url, now)
    assert (place(store_url, now) == full) is (dialects.file_of(store_url) is not None)


def test_a_copied_file_is_another_place_and_a_moved_one_is_not(
    tmp_path: Path, now: datetime
) -> None:
    first, second, third = (tmp_path / name / "store.db" for name in ("a", "b", "c"))
    was = place(f"sqlite:///{first}", now)
    second.parent.mkdir()
    shutil.copy(first, second)
    assert not places.same(was, place(f"sqlite:///{second}", now))
    third.parent.mkdir()
    first.rename(third)
    assert places.same(was, place(f"sqlite:///{third}", now))


HERE = places.Found(file=7, system=11, born=13)


@pytest.mark.parametrize(
    ("found", "same"),
    [
        (HERE, True),
        (HERE._replace(file=8), False),  # another file of this file system
        (HERE._replace(system=12), True),  # numbered anew at a reboot
        (HERE._replace(system=None), True),
        (HERE._replace(born=14), True),  # the mark has another owner
        (HERE._replace(born=None), True),  # the mark was deleted
        (HERE._replace(system=12, born=14), False),  # filled alike on another file system
        (HERE._replace(system=12, born=None), False),
        (HERE._replace(system=None, born=None), False),
    ],
)
def test_a_file_is_where_it_was_if_its_file_system_or_its_mark_says_so(
    tmp_path: Path, now: datetime, monkeypatch: pytest.MonkeyPatch, found: places.Found, same: bool
) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    monkeypatch.setattr(places, "_found", lambda file: HERE)
    was = place(url, now)
    monkeypatch.setattr(places, "_found", lambda file: found)
    assert places.same(was, place(url, now)) is same


def test_what_an_earlier_version_noted_is_taken_by_the_inode(tmp_path: Path, now: datetime) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    here = json.loads(place(url, now))
    earlier = {name: here[name] for name in here if name not in ("system", "born")}
    assert places.same(json.dumps(earlier), json.dumps(here))
    assert not places.same(json.dumps({**earlier, "file": -1}), json.dumps(here))


def test_a_mark_is_left_once_and_stays_as_it_is(tmp_path: Path, now: datetime) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    unmarked = json.loads(place(url, now))
    places.mark(url)
    was = place(url, now)
    places.mark(url)
    assert (unmarked["born"], place(url, now)) == (None, was)
    assert json.loads(was)["born"] == (tmp_path / "store.db-born").stat().st_ctime_ns


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Two file systems in memory, filled alike, in folders of their own."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root may mount")
    there = []
    try:
        for name in ("one", "other"):
            folder = tmp_path / name
            folder.mkdir()
            mounted = subprocess.run(
                ["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True, check=False
            )
            if mounted.returncode != 0:
                pytest.skip("nothing can be mounted here")
            there.append(folder)
        yield there[0], there[1]
    finally:
        for folder in there:
            subprocess.run(["umount", folder], check=True)


def test_a_copy_with_the_same_inode_on_another_disk_is_another_place(
    disks: tuple[Path, Path], now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    found = []
    for disk in disks:
        url = f"sqlite:///{disk}/store.db"
        open_store(url, "riverside", now=now).close()
        places.mark(url)
        found.append(place(url, now))
    was, here = map(json.loads, found)
    assert was["file"] == here["file"]
    assert not places.same(*found)


def test_another_machine_is_another_place_and_has_a_name(
    tmp_path: Path, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    monkeypatch.setattr(places, "_in_a_container", lambda: False)
    monkeypatch.setattr(places.socket, "gethostname", lambda: "desk-1")
    was = place(url, now)
    monkeypatch.setattr(places.socket, "gethostname", lambda: "desk-2")
    assert not places.same(was, place(url, now))
    assert places.called(was) == "the machine desk-1"


def test_in_a_container_the_file_is_all_that_counts(
    tmp_path: Path, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setattr(places.socket, "gethostname", lambda: "pod-1")
    was = place(url, now)
    monkeypatch.setattr(places.socket, "gethostname", lambda: "pod-2")
    assert places.same(was, place(url, now))
    assert places.called(was) == "another file"
