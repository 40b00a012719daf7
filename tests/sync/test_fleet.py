"""The clinics of a lasting process: an edit counts at once, and a broken one changes nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from threading import Event

import pytest

from clinicrelay.contracts import Finding
from clinicrelay.settings import Loaded
from sync.runners.fleet import Fleet, NoSuchClinic

CLINIC = """\
version: 1
clinic: {{id: {id}, name: {name}, timezone: Europe/Berlin, country: DE, language: de}}
data: var/{id}
sources: {{reception: {{type: csv, inbox: drops/{id}, contents: snapshot}}}}
"""


def no_objection(_: Loaded) -> Sequence[Finding]:
    return ()


def write(folder: Path, name: str, text: str) -> None:
    """Write a file that looks edited, however fast it follows the one before."""
    file = folder / f"{name}.yaml"
    before = file.stat().st_mtime_ns if file.exists() else 1_700_000_000 * 10**9
    file.write_text(text)
    os.utime(file, ns=(before + 10**9,) * 2)


def names(fleet: Fleet) -> list[str]:
    return [one.settings.clinic.name for one in fleet.clinics()]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def fleet(tmp_path: Path, said: list[str]) -> Fleet:
    for name in ("east", "west"):
        write(tmp_path, name, CLINIC.format(id=name, name=name.title()))
    return Fleet(tmp_path, unusable=no_objection, say=said.append)


def test_an_edit_counts_from_the_next_job_on(fleet: Fleet, tmp_path: Path) -> None:
    assert names(fleet) == ["East", "West"]
    write(tmp_path, "east", CLINIC.format(id="east", name="Orient"))
    assert names(fleet) == ["Orient", "West"]
    write(tmp_path, "north", CLINIC.format(id="north", name="North"))
    assert sorted(names(fleet)) == ["North", "Orient", "West"]
    (tmp_path / "west.yaml").unlink()
    assert sorted(names(fleet)) == ["North", "Orient"]


def test_a_secret_that_is_exchanged_counts_from_the_next_job_on(
    fleet: Fleet, tmp_path: Path, said: list[str]
) -> None:
    secret = tmp_path / "key"
    secret.write_text("first\n")
    secret.chmod(0o600)
    login = (
        "notifiers: {post: {type: sendgrid, from: a@riverside.example, api_key: '${file:key}'}}\n"
    )
    write(tmp_path, "east", CLINIC.format(id="east", name="East") + login)
    assert keys(fleet) == ["first"]
    assert keys(fleet) == ["first"]
    secret.write_text("second\n")
    assert keys(fleet) == ["second"]
    secret.unlink()
    assert keys(fleet) == keys(fleet) == ["second"]
    assert len(said) == 1
    assert "east.yaml" in said[0]
    secret.write_text("third\n")
    secret.chmod(0o600)
    assert keys(fleet) == ["third"]
    assert len(said) == 1


def keys(fleet: Fleet) -> list[str]:
    """Return the key that each clinic's post has now."""
    posts = [one.settings.notifiers.get("post") for one in fleet.clinics()]
    return [one.options.api_key.get_secret_value() for one in posts if one is not None]  # type: ignore[attr-defined]


def test_while_an_edit_cannot_stand_what_stood_before_does(
    fleet: Fleet, tmp_path: Path, said: list[str]
) -> None:
    assert names(fleet) == ["East", "West"]
    write(tmp_path, "east", CLINIC.format(id="east", name="Orient") + "sauces: {}\n")
    assert sorted(names(fleet)) == ["East", "West"]
    assert sorted(names(fleet)) == ["East", "West"]
    assert len(said) == 1
    assert "east.yaml:5: unknown key 'sauces'" in said[0]


def test_what_cannot_be_worked_for_by_several_is_left_as_it_was(
    tmp_path: Path, said: list[str]
) -> None:
    def objection(one: Loaded) -> Sequence[Finding]:
        if one.settings.clinic.name != "Orient":
            return ()
        return [Finding("error", "no", "this cannot be", "undo it", file=str(one.file))]

    write(tmp_path, "east", CLINIC.format(id="east", name="East"))
    fleet = Fleet(tmp_path, unusable=objection, say=said.append)
    assert names(fleet) == ["East"]
    write(tmp_path, "east", CLINIC.format(id="east", name="Orient"))
    assert names(fleet) == ["East"]
    assert said == [f"{tmp_path}/east.yaml: this cannot be; undo it"]


def test_only_the_clinic_that_was_named_is_worked_for(tmp_path: Path, fleet: Fleet) -> None:
    only = Fleet(tmp_path, only="west", unusable=no_objection, say=print)
    assert names(only) == ["West"]


def test_each_job_has_a_run_and_a_moment_of_its_own_on_one_store(fleet: Fleet) -> None:
    with fleet.clinic("east", ending=Event()) as first:
        pass
    with fleet.clinic("east", ending=Event()) as second:
        assert second.store is first.store
        assert second.run != first.run
    fleet.close()


def test_who_is_not_there_is_told_as_such(fleet: Fleet) -> None:
    with pytest.raises(NoSuchClinic), fleet.clinic("south", ending=Event()):
        pass
