"""The settings that are shipped pass the check, and variables are names of settings."""

from __future__ import annotations

import shutil
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from clinicrelay.settings import Settings, load
from tests.deploy.conftest import DEPLOY, containers, documents, has_pod

SETTINGS = sorted(DEPLOY.rglob("settings.yaml"))


@pytest.mark.parametrize("file", SETTINGS, ids=lambda file: file.relative_to(DEPLOY).parts[0])
def test_shipped_settings_pass_the_check_without_a_warning(file: Path, tmp_path: Path) -> None:
    shutil.copy(file, tmp_path)
    loaded = load(tmp_path / "settings.yaml", environ={}, secrets=False)
    assert loaded.findings == ()
    assert loaded.settings.data.is_relative_to("/var/lib/clinicrelay")


def test_both_kinds_of_settings_are_looked_at() -> None:
    kinds = {file.relative_to(DEPLOY).parts[0] for file in SETTINGS}
    assert kinds == {"kubernetes", "compose"}


def variables() -> set[str]:
    """Every variable of ours that a manifest or the compose file sets."""
    found: set[str] = set()
    for file in DEPLOY.glob("kubernetes/overlays/*/*.yaml"):
        for document in documents(file):
            for container in containers(document) if has_pod(document) else ():
                found |= {one["name"] for one in container["env"]}
    [compose] = documents(DEPLOY / "compose" / "compose.yaml")
    given = chain.from_iterable(s.get("environment", {}) for s in compose["services"].values())
    return {name for name in (*found, *given) if name.startswith("CLINICRELAY")}


def test_every_variable_is_the_name_of_a_setting() -> None:
    names = variables()
    assert "CLINICRELAY__STORE__INSTANCE_KEY" in names
    for name in names:
        model: Any = Settings
        for step in name.removeprefix("CLINICRELAY__").lower().split("__"):
            assert step in model.model_fields, name
            model = model.model_fields[step].annotation
