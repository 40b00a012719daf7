"""The instance key: kept beside the store, so that ids are the same where a store begins anew."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from clinicrelay.settings import Settings, load
from sync import instance
from sync.store import open_store


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Settings]:
    def made(**environ: str) -> Settings:
        file = tmp_path / "settings.yaml"
        file.write_text(
            "version: 1\n"
            "clinic: {id: see, name: See, timezone: Europe/Berlin, country: DE, language: de}\n"
            "sources: {desk: {type: csv, contents: delta}}\n"
        )
        return load(file, environ=environ).settings

    return made


def test_a_store_that_begins_anew_has_the_key_of_the_one_before(
    settings: Callable[..., Settings], tmp_path: Path, now: datetime
) -> None:
    own = settings()
    keys = []
    for name in ("first", "second"):
        url = f"sqlite:///{tmp_path}/{name}.db"
        store = open_store(url, "see", now=now, key=instance.key_for(own))
        told = instance.keep(own, store)
        assert bool(told) is (name == "second")
        keys.append(store.instance_key)
        store.close()
    assert keys[0] == keys[1]
    assert (tmp_path / "var" / "instance.key").stat().st_mode & 0o077 == 0


def test_a_key_of_the_settings_is_used_and_not_written_down(
    settings: Callable[..., Settings], tmp_path: Path, now: datetime
) -> None:
    own = settings(CLINICRELAY__STORE__INSTANCE_KEY="a long secret of this installation")
    key = instance.key_for(own)
    store = open_store(f"sqlite:///{tmp_path}/a.db", "see", now=now, key=key)
    assert instance.keep(own, store) == ""
    store.close()
    assert key == instance.key_for(own)
    assert len(key) == 32
    assert not (tmp_path / "var" / "instance.key").exists()


def test_a_key_that_was_printed_is_itself_when_the_settings_name_it(
    settings: Callable[..., Settings],
) -> None:
    printed = instance.key_for(settings()).hex()
    named = settings(CLINICRELAY__STORE__INSTANCE_KEY=printed)
    assert instance.key_for(named).hex() == printed


@pytest.mark.parametrize("text", ["", "short", "zz" * 32, "\u00e9" * 64])
def test_a_file_that_holds_no_key_is_passed_over(
    settings: Callable[..., Settings], tmp_path: Path, text: str
) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "instance.key").write_text(text, encoding="utf-8")
    assert len(instance.key_for(settings())) == 32
