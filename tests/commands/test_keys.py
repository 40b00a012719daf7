"""`clinicrelay keys`: pairs that are made once, public parts that hold nothing private, our own key."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from clinicrelay import Connector, plugins
from clinicrelay.auth.keys import read_key
from clinicrelay.http import HttpOptions


class Web(Connector):
    class Options(HttpOptions):
        """A made-up source that is reached by HTTP."""


@pytest.fixture
def two_sources(desk: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A clinic with two SMART sources and a CSV one; the keys are files beside the settings."""
    usual = plugins.find
    monkeypatch.setattr(plugins, "find", lambda *a: Web if a[1] == "web" else usual(*a))
    for name in ("old", "new"):
        made = desk.run("keys", "new", "--out", str(desk.folder / f"{name}.pem"), now=None)
        assert made.code == 0
    source = (
        "  {0}: {{type: web, base_url: https://{0}.example, auth: {{type: smart_backend, "
        'client_id: us, private_key: "${{file:{0}.pem}}"}}}}\n'
    )
    desk.change("calendars:", f"{source.format('old')}{source.format('new')}calendars:")
    return desk


@pytest.mark.parametrize(
    ("kind", "algorithm", "kty"), [("ec", "ES384", "EC"), ("rsa", "RS384", "RSA")]
)
def test_a_new_key_is_for_its_owner_only_and_what_is_printed_is_public(
    desk: Any, kind: str, algorithm: str, kty: str
) -> None:
    file = desk.folder / "keys" / "ehr.pem"
    ran = desk.run("keys", "new", "--type", kind, "--out", str(file), "--json", now=None)

    assert ran.code == 0
    told = json.loads(ran.out)
    assert (told["algorithm"], told["public"]["kty"]) == (algorithm, kty)
    assert told["kid"] == told["public"]["kid"] == read_key(file.read_text()).kid
    assert not {"d", "p", "q"} & set(told["public"])
    assert "PRIVATE" not in ran.out + ran.err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_usual_place_and_what_to_do_next_are_told(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk.folder)
    ran = desk.run("keys", "new", now=None)
    assert ran.code == 0
    assert "private_key: ${file:secrets/smart.pem}" in ran.out
    assert "clinicrelay keys jwks secrets/smart.pem" in ran.out
    assert (desk.folder / "secrets" / "smart.pem").is_file()


@pytest.mark.parametrize("there", ["file", "link"])
def test_a_key_is_never_written_over(desk: Any, there: str) -> None:
    file = desk.folder / "ehr.pem"
    if there == "file":
        file.write_text("precious")
    else:
        file.symlink_to(desk.folder / "elsewhere.pem")
    ran = desk.run("keys", "new", "--out", str(file), now=None)
    assert ran.code == 2
    assert "never written over" in ran.err
    assert there == "link" or file.read_text() == "precious"
    assert not (desk.folder / "elsewhere.pem").exists()


def test_a_place_that_cannot_be_written_is_told(desk: Any) -> None:
    ran = desk.run("keys", "new", "--out", os.devnull + "/a.pem", now=None)
    assert ran.code == 2
    assert "cannot be written" in ran.err


# --- the public set ------------------------------------------------------------------------------


def kids(out: str) -> list[str]:
    return [key["kid"] for key in json.loads(out)["keys"]]


def kid_of(file: Path) -> str:
    return read_key(file.read_text()).kid


def test_the_set_of_all_sources_holds_each_key_once_and_nothing_private(two_sources: Any) -> None:
    folder = two_sources.folder
    ran = two_sources.run("keys", "jwks", now=None)
    assert ran.code == 0
    assert kids(ran.out) == [kid_of(folder / "old.pem"), kid_of(folder / "new.pem")]
    assert all(not {"d", "p", "q"} & set(key) for key in json.loads(ran.out)["keys"])


def test_sources_and_files_may_be_named_for_a_rotation(two_sources: Any) -> None:
    folder = two_sources.folder
    one = two_sources.run("keys", "jwks", "new", now=None)
    both = two_sources.run("keys", "jwks", "new", str(folder / "old.pem"), now=None)
    same = two_sources.run("keys", "jwks", "new", str(folder / "new.pem"), now=None)
    assert kids(one.out) == kids(same.out) == [kid_of(folder / "new.pem")]
    assert kids(both.out) == [kid_of(folder / "new.pem"), kid_of(folder / "old.pem")]


def test_a_file_needs_no_settings(desk: Any) -> None:
    file = desk.folder / "ehr.pem"
    desk.run("keys", "new", "--out", str(file), now=None)
    desk.settings.unlink()
    assert kids(desk.run("keys", "jwks", str(file), now=None).out) == [kid_of(file)]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["jwks"], "no source of these settings has a SMART key"),
        (["jwks", "reception"], "no source of this name with a SMART key"),
        (["jwks", "settings.yaml"], "is no key"),
    ],
    ids=["none", "csv", "file"],
)
def test_where_there_is_no_key_that_is_told(
    desk: Any, monkeypatch: pytest.MonkeyPatch, words: list[str], what: str
) -> None:
    monkeypatch.chdir(desk.folder)
    ran = desk.run("keys", *words, now=None)
    assert ran.code == 2
    assert what in ran.err
    assert not ran.out


# --- the store's own key -------------------------------------------------------------------------


def test_the_instance_key_is_printed_as_it_is_kept(desk: Any, row: Any) -> None:
    desk.sync(row(1))
    ran = desk.run("keys", "instance", now=None)
    kept = (desk.folder / "var" / "instance.key").read_text()
    assert ran.code == 0
    assert ran.out == kept
    assert "as safe as a backup" in ran.err

    told = json.loads(desk.run("keys", "instance", "--json", now=None).out)
    assert told["instance_key"] == kept.strip()
    assert told["clinic"] == "riverside"


def test_without_a_store_there_is_no_instance_key(desk: Any) -> None:
    ran = desk.run("keys", "instance", now=None)
    assert ran.code == 2
    assert "there is no store yet" in ran.err
    assert not (desk.folder / "var" / "instance.key").exists()
