"""`clinicrelay store`, as it is typed."""

from __future__ import annotations

import errno
import json
import sqlite3
from collections.abc import Callable
from io import BufferedRandom, FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.errors import StoreBusy
from sync.store import archive, schema

if TYPE_CHECKING:
    from tests.commands.conftest import Desk, Ran

Row = Callable[..., dict[str, Any]]


def store(desk: Desk, *words: str) -> Ran:
    return desk.run("store", *words, now=None)


def keys(desk: Desk) -> list[str]:
    return [one["key"] for one in json.loads(desk.run("appointments", "--all", "--json").out)]


@pytest.fixture
def busy_desk(desk: Desk, row: Row) -> Desk:
    """A clinic with three visits."""
    desk.sync(*(row(n) for n in (1, 2, 3)))
    return desk


def test_a_backup_is_made_and_restored(busy_desk: Desk, row: Row, tmp_path: Path) -> None:
    desk, file = busy_desk, str(tmp_path / "monday.zip")
    made = store(desk, "backup", file)
    assert made.code == 0
    assert "read again and found whole" in made.out
    desk.sync(*(row(n) for n in (1, 2, 3, 4)), now="2026-11-24T08:00:00Z")
    assert keys(desk) == ["1", "2", "3", "4"]

    refused = store(desk, "restore", file)
    assert refused.code == 2
    assert "not empty" in refused.err
    unconfirmed = store(desk, "restore", file, "--replace")
    assert (unconfirmed.code, "--confirm riverside" in unconfirmed.err) == (2, True)
    assert store(desk, "restore", file, "--replace", "--confirm", "hillside").code == 2
    assert keys(desk) == ["1", "2", "3", "4"]

    done = store(desk, "restore", file, "--replace", "--confirm", "riverside")
    assert done.code == 0
    assert "clinicrelay resume" in done.out
    assert keys(desk) == ["1", "2", "3"]


def test_a_clinic_moves_to_another_database_by_backup_and_restore(
    busy_desk: Desk, any_url: str, row: Row, tmp_path: Path
) -> None:
    desk, file = busy_desk, str(tmp_path / "move.zip")
    before = json.loads(desk.run("appointments", "--json").out)
    assert store(desk, "backup", file).code == 0
    desk.write(desk.settings.read_text() + f"store: {{url: '{any_url}'}}\n")
    assert store(desk, "restore", file).code == 0
    assert json.loads(desk.run("appointments", "--json").out) == before
    again = json.loads(desk.run("sync", "--json").out)
    assert again["messages"]["sent"] == 0
    same = desk.sync(*(row(n) for n in (1, 2, 3)))
    assert "nothing changed, nothing sent" in same.out
    assert store(desk, "check").out == "The store is whole.\n"


@pytest.fixture(params=["postgres://postgres@127.0.0.1:5432", "mysql://root@127.0.0.1:3306"])
def any_url(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """An empty database by the URL that a person would write."""
    from tests.conftest import empty_database

    kind = "mysql" if request.param.startswith("mysql") else "postgresql"
    with empty_database(kind, tmp_path) as url:
        _, _, rest = url.partition("://")
        yield f"{request.param.partition(':')[0]}://{rest}"


def test_json_says_the_same(busy_desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "copy.zip"
    made = json.loads(store(busy_desk, "backup", str(file), "--json").out)
    assert (made["file"], made["bytes"]) == (str(file), file.stat().st_size)
    assert made["clinics"] == ["riverside"]
    assert made["rows"]["appointments"] == 3
    words = ("restore", str(file), "--replace", "--confirm", "riverside", "--json")
    assert json.loads(store(busy_desk, *words).out)["rows"] == made["rows"]
    assert json.loads(store(busy_desk, "check", "--json").out) == {"ok": True, "findings": []}
    plan = json.loads(store(busy_desk, "upgrade", "--plan", "--json").out)
    assert (plan["before"], plan["steps"], plan["backup"]) == (schema.head(), [], None)


def test_check_ends_with_3_and_a_sentence_for_each_finding(busy_desk: Desk) -> None:
    with sqlite3.connect(_file(busy_desk)) as connection:
        connection.execute("UPDATE appointments SET content = '{' WHERE id = 1")
    connection.close()
    found = store(busy_desk, "check")
    assert found.code == 3
    assert "1 visits cannot be read" in found.out
    assert "store restore" in found.out


def _file(desk: Desk) -> Path:
    (file,) = desk.folder.rglob("clinicrelay.db")
    return file


@pytest.mark.parametrize("words", [("backup", "x.zip"), ("check",)])
def test_without_a_store_nothing_is_made(
    desk: Desk, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk.folder)
    ran = store(desk, *words)
    assert (ran.code, "no store yet" in ran.err) == (2, True)
    assert [path.name for path in desk.folder.iterdir()] == ["settings.yaml"]


def test_an_upgrade_before_the_first_roll_out_has_nothing_to_do(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk.folder)
    ran = store(desk, "upgrade", "--no-backup")
    assert (ran.code, ran.out.startswith("Nothing to do: there is no store yet")) == (0, True)
    told = json.loads(store(desk, "upgrade", "--json").out)
    assert (told["before"], told["after"], told["steps"]) == (None, schema.head(), [])
    assert [path.name for path in desk.folder.iterdir()] == ["settings.yaml"]


def test_an_upgrade_is_foretold_and_done(
    busy_desk: Desk, monkeypatch: pytest.MonkeyPatch, newer: Path
) -> None:
    before = schema.head()
    monkeypatch.setattr(schema, "VERSIONS", newer)
    plan = store(busy_desk, "upgrade", "--plan")
    assert plan.code == 0
    for said in ("Gives people a shade", "Shades are grey now.", "backups", "rows"):
        assert said in plan.out
    done = store(busy_desk, "upgrade")
    assert done.out.startswith(f"The store was upgraded from schema {before} to {schema.head()}; ")
    assert "Shades are grey now." in done.out
    (copy,) = (_file(busy_desk).parent / "backups").iterdir()
    assert str(copy) in done.out
    assert store(busy_desk, "upgrade").out.startswith("Nothing to do")


def test_the_next_sync_upgrades_a_store_in_a_file_and_says_so(
    busy_desk: Desk, monkeypatch: pytest.MonkeyPatch, newer: Path
) -> None:
    with monkeypatch.context() as later:
        later.setattr(schema, "VERSIONS", newer)
        upgraded = busy_desk.sync()
        assert upgraded.code == 0
        assert "The store was upgraded" in upgraded.err
        assert busy_desk.sync().err == ""
    older = busy_desk.sync()
    assert older.code == 2
    assert "install the newer clinicrelay again" in older.err


DAMAGE = (
    "store.url: the store's file is damaged\n"
    "    clinicrelay store restore FILE --replace, with the last good backup\n"
)


def damage(desk: Desk, first: int = 40960) -> None:
    """Write zeros over a part of the store's file."""
    file = desk.folder / "var" / "clinicrelay.db"
    content = bytearray(file.read_bytes())
    content[first : first + 40960] = bytes(40960)
    file.write_bytes(content)


@pytest.mark.parametrize("first", [0, 40960])
def test_damage_is_told_in_one_way_and_a_restore_as_it_says_mends_it(
    desk: Desk, row: Row, tmp_path: Path, first: int
) -> None:
    desk.sync(*(row(n) for n in range(30)))
    before, file = keys(desk), str(tmp_path / "good.zip")
    store(desk, "backup", file)
    damage(desk, first)
    desk.drop(*(row(n, time="07:15") for n in range(40)))
    for told in (desk.run("sync"), desk.run("appointments"), store(desk, "backup", f"{file}.2")):
        assert told.code == 2
        assert DAMAGE in told.err
    checked = store(desk, "check")
    assert (checked.code, DAMAGE in checked.out + checked.err) == (2, True)
    assert not Path(f"{file}.2.part").exists()

    done = store(desk, "restore", file, "--replace", "--confirm", "riverside")
    assert done.code == 0, done.err
    assert "clinicrelay.db.damaged" in done.out
    assert keys(desk) == before
    assert store(desk, "check").code == 0
    damage(desk, first)
    again = json.loads(
        store(desk, "restore", file, "--replace", "--confirm", "riverside", "--json").out
    )
    assert again["damaged"].endswith("clinicrelay.db.damaged-2")


def test_what_is_wrong_with_the_store_has_its_place_in_the_settings(desk: Desk) -> None:
    desk.change("sources:", f'store: {{url: "sqlite:///{desk.folder}"}}\nsources:')
    for told in (desk.run("sync"), desk.run("check"), store(desk, "check")):
        assert told.code == 2
        assert f"{desk.settings}:5:14: error: store.url: {desk.folder} is a folder" in (
            told.out + told.err
        )


@pytest.mark.parametrize("left", [None, b""])
def test_a_store_that_was_lost_is_told_of_once(
    busy_desk: Desk, row: Row, left: bytes | None
) -> None:
    file = busy_desk.folder / "var" / "clinicrelay.db"
    file.unlink() if left is None else file.write_bytes(left)
    checked = store(busy_desk, "check")
    assert checked.code == 2
    assert "there is no store yet" in checked.err
    first, second = busy_desk.sync(row(1)), busy_desk.run("sync")

    assert first.code == 3  # red until a person says what is so
    assert "booked 1" in first.out
    assert "beside the key of an older one" in first.err
    assert "store restore FILE --replace" in first.err
    assert second.err == ""


class Full(FileIO):
    """A file on a disk that is full."""

    def write(self, _bytes: Any, /) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_backup_that_finds_no_room_leaves_nothing_behind(
    busy_desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive.os, "fdopen", lambda fd, mode: BufferedRandom(Full(fd, mode)))
    file = tmp_path / "monday.zip"
    made = store(busy_desk, "backup", str(file))

    assert made.code == 2
    assert f"error: {file} cannot be written: the disk is full\n    name another place" in made.err
    assert not file.exists()
    assert not file.with_name("monday.zip.part").exists()


def test_a_backup_of_a_store_that_cannot_be_written_is_made(
    busy_desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **_more: object) -> None:
        raise StoreBusy("the disk of the store is full")

    monkeypatch.setattr("sync.store.backup.note_made", full)
    made = store(busy_desk, "backup", str(tmp_path / "monday.zip"))

    assert made.code == 0
    assert "cannot note that there is a backup now: the disk of the store is full." in made.err


def test_what_is_wrong_with_a_backup_is_not_said_of_the_settings(
    busy_desk: Desk, tmp_path: Path
) -> None:
    file = tmp_path / "there.zip"
    file.touch()
    for words in (("backup", str(file)), ("restore", str(file), "--replace", "--confirm", "x")):
        told = store(busy_desk, *words)
        assert told.code == 2
        assert "store.url" not in told.err
