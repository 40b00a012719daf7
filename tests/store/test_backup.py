"""What was backed up on one database is restored on any other, whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
import zipfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from clinicrelay.errors import SettingsError, StoreBusy
from sync.store import (
    archive,
    backup,
    dialects,
    memory,
    open_store,
    opened,
    restore,
    schema,
    standings,
)
from sync.store.leases import lease

Fill = Callable[..., None]
Held = Callable[[str], dict[str, list[tuple[Any, ...]]]]


def backed_up(url: str, file: Path, now: datetime) -> archive.Manifest:
    with opened(url) as engine:
        return backup.backup(engine, file, now=now)


def restored(url: str, file: Path, now: datetime, *, replace: bool = False) -> restore.Restored:
    with opened(url) as engine:
        return restore.restore(engine, file, clinic="riverside", replace=replace, now=now)


def change(url: str, *statements: str) -> None:
    with opened(url) as engine, engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "copy.zip"


@pytest.mark.parametrize("other", ["sqlite", "postgresql", "mysql"])
def test_a_backup_of_any_database_restores_on_any_other(
    store_url: str,
    other: str,
    any_database: Callable[[str], str],
    fill: Fill,
    held: Held,
    file: Path,
    now: datetime,
) -> None:
    fill(store_url, now)
    before, target = held(store_url), any_database(other)
    made = backed_up(store_url, file, now)
    done = restored(target, file, now)
    assert held(target) == before
    assert done.clinics == made.clinics == ["riverside"]
    assert sum(done.tables.values()) == made.rows
    again = file.with_name("again.zip")
    assert backed_up(target, again, now).tables.keys() == made.tables.keys()
    store = open_store(target, "riverside", now=now)
    with store.write() as connection:  # and it numbers on after what came with the backup
        memory.remember(connection, "riverside", "x", {}, {"a": 1})
        highest = connection.exec_driver_sql("SELECT max(id) FROM held").scalar_one()
        connection.execute(
            text(
                "INSERT INTO held (clinic, source, guard, visits, known, since, summary, state) "
                "VALUES ('riverside', 'x', 'gone', 1, 1, 1, '', 'open')"
            )
        )
        assert connection.exec_driver_sql("SELECT max(id) FROM held").scalar_one() == highest + 1
    store.close()


def test_a_backup_is_for_us_alone_and_replaces_nothing(
    store_url: str, fill: Fill, file: Path, now: datetime
) -> None:
    fill(store_url, now)
    backed_up(store_url, file, now)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    content = file.read_bytes()
    with pytest.raises(SettingsError, match="there already"):
        backed_up(store_url, file, now)
    assert file.read_bytes() == content
    assert [path.name for path in file.parent.glob("copy.zip*")] == ["copy.zip"]


def test_a_backup_says_what_it_holds_to_anybody_who_unzips_it(
    store_url: str, fill: Fill, file: Path, now: datetime
) -> None:
    fill(store_url, now, 3)
    backed_up(store_url, file, now)
    with zipfile.ZipFile(file) as copy:
        manifest = json.loads(copy.read("manifest.json"))
        people = copy.read("people.jsonl").splitlines()
    assert manifest["schema"] == schema.head()
    assert manifest["made_at"] == "2026-11-23T08:00:00Z"
    assert manifest["tables"]["people"]["rows"] == len(people) == 3
    assert len(json.loads(people[0])) == len(manifest["tables"]["people"]["columns"])


def test_a_backup_is_of_one_moment_while_others_write(
    store_url: str, file: Path, now: datetime
) -> None:
    store = open_store(store_url, "riverside", now=now)
    with store.write() as connection:
        memory.remember(connection, "riverside", "x", {}, {"a": 0, "b": 0})

    def told(table: str, rows: int) -> None:
        if table == "leases" and rows == 0:  # in its order, long before `memory`

            def write() -> None:
                with store.write() as connection:
                    memory.remember(connection, "riverside", "x", {}, {"a": 1, "c": 1})

            writer = threading.Thread(target=write)
            writer.start()
            writer.join(timeout=20)
            assert not writer.is_alive()

    backup.backup(store.engine, file, now=now, told=told)
    with zipfile.ZipFile(file) as copy:
        rows = [json.loads(line) for line in copy.read("memory.jsonl").splitlines()]
    with store.read() as connection:
        assert memory.recall(connection, "riverside", "x") == {"a": 1, "b": 0, "c": 1}
    assert sorted(row[2:] for row in rows) == [["a", "0"], ["b", "0"]]
    store.close()


def test_there_is_nothing_to_back_up_before_there_is_a_store(
    store_url: str, file: Path, now: datetime
) -> None:
    with pytest.raises(SettingsError, match="no store yet"):
        backed_up(store_url, file, now)
    assert not file.exists()


def test_two_backups_to_one_file_do_not_disturb_each_other(
    tmp_path: Path, fill: Fill, file: Path, now: datetime
) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    fill(url, now)
    with archive.new(file) as handle:
        with pytest.raises(SettingsError, match="another backup"):
            backed_up(url, file, now)
        handle.write(b"ours")
    assert file.read_bytes() == b"ours"


def test_a_full_disk_is_told_and_leaves_nothing(
    tmp_path: Path, fill: Fill, file: Path, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    fill(url, now)

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SettingsError, match="the disk is full"):
        backed_up(url, file, now)
    assert list(tmp_path.glob("copy*")) == []


# --- restoring -----------------------------------------------------------------------------------


def test_a_restore_replaces_nothing_unless_it_is_told_to(
    store_url: str, fill: Fill, held: Held, file: Path, now: datetime
) -> None:
    fill(store_url, now)
    backed_up(store_url, file, now)
    before = held(store_url)
    change(store_url, "DELETE FROM people", "UPDATE messages SET state = 'sent'")
    changed = held(store_url)
    with pytest.raises(SettingsError, match="not empty"):
        restored(store_url, file, now)
    assert held(store_url) == changed != before
    restored(store_url, file, now, replace=True)
    assert held(store_url) == before


def test_a_store_that_only_was_looked_at_counts_as_empty(
    store_url: str,
    any_database: Callable[[str], str],
    fill: Fill,
    held: Held,
    file: Path,
    now: datetime,
) -> None:
    origin = any_database("sqlite")
    fill(origin, now)
    backed_up(origin, file, now)
    open_store(store_url, "riverside", now=now).close()
    restored(store_url, file, now)
    assert held(store_url) == held(origin)


@pytest.mark.parametrize("damage", ["cut", "changed", "a row less", "no zip", "not there"])
def test_a_damaged_backup_touches_nothing(
    store_url: str, fill: Fill, held: Held, file: Path, now: datetime, damage: str
) -> None:
    fill(store_url, now)
    backed_up(store_url, file, now)
    content, before = file.read_bytes(), held(store_url)
    if damage == "cut":
        file.write_bytes(content[: len(content) * 2 // 3])
    elif damage == "changed":
        with zipfile.ZipFile(file) as copy:
            member = copy.getinfo("people.jsonl")
        place = member.header_offset + 30 + len(member.filename) + member.compress_size // 2
        file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    elif damage == "no zip":
        file.write_bytes(b"visits")
    elif damage == "not there":
        file.unlink()
    else:
        with zipfile.ZipFile(file) as copy:
            members = {name: copy.read(name) for name in copy.namelist()}
        members["people.jsonl"] = b"\n".join(members["people.jsonl"].split(b"\n")[1:])
        with zipfile.ZipFile(file, "w") as copy:
            for name, member in members.items():
                copy.writestr(name, member)
    with pytest.raises(SettingsError):
        restored(store_url, file, now, replace=True)
    assert held(store_url) == before


@pytest.mark.parametrize("after", [1, 2, 12, 20])
def test_a_restore_that_is_cut_off_leaves_all_as_it_was(
    store_url: str,
    fill: Fill,
    held: Held,
    file: Path,
    now: datetime,
    cut_off: Callable[..., type[Exception]],
    after: int,
) -> None:
    fill(store_url, now)
    backed_up(store_url, file, now)
    change(store_url, "DELETE FROM told")
    changed = held(store_url)
    engine = dialects.connect(store_url)
    with pytest.raises(cut_off(engine, after)):
        restore.restore(engine, file, clinic="riverside", replace=True, now=now)
    engine.dispose()
    assert held(store_url) == changed
    restored(store_url, file, now, replace=True)


def test_a_restore_waits_for_whoever_is_at_work(
    store_url: str, fill: Fill, file: Path, now: datetime
) -> None:
    fill(store_url, now)
    backed_up(store_url, file, now)
    store = open_store(store_url, "riverside", now=now)
    with lease(store, "source:a", timedelta(seconds=60)), pytest.raises(StoreBusy, match="at work"):
        restored(store_url, file, now, replace=True)
    restored(store_url, file, now, replace=True)
    store.close()


def test_a_run_of_before_a_restore_has_lost_its_lease(
    store_url: str, fill: Fill, file: Path, now: datetime
) -> None:
    fill(store_url, now)
    store = open_store(store_url, "riverside", now=now)
    with lease(store, "source:a", timedelta(seconds=60)) as mine:
        assert mine is not None
        backed_up(store_url, file, now)
        with store.write() as connection:  # a minute passes
            connection.execute(text("UPDATE leases SET until = 0"))
        restored(store_url, file, now, replace=True)
        with pytest.raises(StoreBusy, match="taken over"), store.write() as connection:
            mine.fence(connection)
    store.close()


@pytest.mark.parametrize(("live", "paused"), [(True, [""]), (False, [])])
def test_a_restored_store_sends_nothing_until_somebody_says_so(
    store_url: str, file: Path, now: datetime, live: bool, paused: list[str]
) -> None:
    store = open_store(store_url, "riverside", now=now)
    if live:
        with store.write() as connection:
            standings.go_live(
                connection, "riverside", "patients", doctor="", since=now, place="{}", who="it"
            )
    backed_up(store_url, file, now)
    restored(store_url, file, now, replace=True)
    with store.read() as connection:
        assert [one.scope for one in standings.pauses(connection, "riverside")] == paused
    store.close()


def test_a_backup_of_another_clinic_is_refused(
    store_url: str, fill: Fill, file: Path, now: datetime
) -> None:
    fill(store_url, now)
    backed_up(store_url, file, now)
    with opened(store_url) as engine, pytest.raises(SettingsError, match="holds riverside"):
        restore.restore(engine, file, clinic="hillside", replace=True, now=now)


def test_an_older_backup_is_upgraded_and_a_newer_one_refused(
    store_url: str,
    any_database: Callable[[str], str],
    fill: Fill,
    newer: Path,
    file: Path,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = any_database("sqlite")
    fill(old, now)
    backed_up(old, file, now)
    today = schema.VERSIONS
    monkeypatch.setattr(schema, "VERSIONS", newer)
    with opened(store_url) as engine, engine.begin() as connection:
        schema.migrate(connection, schema.head())
    restored(store_url, file, now)
    with opened(store_url) as engine, engine.connect() as connection:
        shades = connection.exec_driver_sql("SELECT DISTINCT shade FROM people").scalars().all()
        hues = connection.exec_driver_sql("SELECT DISTINCT hue FROM sources").scalars().all()
    assert (shades, hues) == (["grey"], [5])
    late = file.with_name("late.zip")
    backed_up(store_url, late, now)
    monkeypatch.setattr(schema, "VERSIONS", today)
    with pytest.raises(SettingsError, match="this program knows"):
        restored(any_database("sqlite"), late, now)
