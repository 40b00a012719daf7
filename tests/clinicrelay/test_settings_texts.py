"""The folder of a clinic's own texts: where it is when nobody says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from clinicrelay.settings import Loaded, load_all
from clinicrelay.settings.origins import explain

Read = Callable[..., Loaded]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of texts beside the settings file."""
    made = tmp_path / "templates"
    made.mkdir()
    return made


def warnings(loaded: object) -> list[str]:
    assert isinstance(loaded, Loaded)
    return [finding.code for finding in loaded.findings]


def test_the_folder_beside_the_settings_is_taken_without_being_named(
    read: Read, folder: Path
) -> None:
    assert read().settings.templates == folder
    assert read("templates:").settings.templates == folder
    assert read("templates: texts").settings.templates == folder.parent / "texts"
    told = {one.path: one for one in explain(folder.parent / "settings.yaml", environ={})}
    assert (told["templates"].value, told["templates"].kind) == (
        str(folder.parent / "texts"),
        "file",
    )
    read()
    told = {one.path: one for one in explain(folder.parent / "settings.yaml", environ={})}
    assert (told["templates"].value, told["templates"].kind) == (str(folder), "default")


def test_without_a_folder_or_with_a_file_of_that_name_there_are_no_texts(
    read: Read, tmp_path: Path
) -> None:
    assert read().settings.templates is None
    (tmp_path / "templates").touch()
    assert read().settings.templates is None


def test_beside_several_files_it_has_to_be_named(read: Read, folder: Path) -> None:
    (folder.parent / "other.yaml").touch()
    loaded = read()

    assert loaded.settings.templates is None
    assert warnings(loaded) == ["templates_not_used"]
    assert warnings(read("templates: templates")) == []


@pytest.mark.usefixtures("made_up_plugins")
@pytest.mark.parametrize(("named", "warned"), [("", True), ("templates: templates\n", False)])
def test_of_several_clinics_one_may_name_it(folder: Path, named: str, warned: bool) -> None:
    place = folder.parent
    for name, more in (("east", named), ("west", "")):
        (place / f"{name}.yaml").write_text(
            f"version: 1\ndata: {name}-var\n{more}"
            f"clinic: {{id: {name}, name: A, timezone: UTC, country: DE, language: de}}\n"
            f"sources: {{a: {{type: csv, contents: delta, inbox: {name}}}}}\n"
        )
    east, west = load_all(place, environ={})

    assert [warnings(one) for one in (east, west)] == [["templates_not_used"] * warned] * 2
    assert isinstance(west, Loaded)
    assert west.settings.templates is None
