"""The image is built from files that are there, by steps that fetch only what the lock names."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import tomllib

import pytest

from tests.deploy.conftest import DEPLOY, ROOT, parse

Step = tuple[str, str]


def steps() -> list[Step]:
    """Each instruction of the Dockerfile and what follows it."""
    text = (DEPLOY / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def those(word: str) -> list[str]:
    return [rest for name, rest in steps() if name == word]


def commands_run() -> list[list[str]]:
    return [json.loads(rest) for rest in those("RUN")]


def test_what_is_copied_is_there_and_the_builder_is_let_see_it() -> None:
    ignore = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert ignore[1] == "*", "nothing is sent to the builder but what is named"
    seen = {line[1:] for line in ignore if line.startswith("!")}
    copied = set()
    for rest in those("COPY"):
        words = [word for word in shlex.split(rest) if not word.startswith("--")]
        if "--from=build" not in rest:
            copied |= {word.rstrip("/") for word in words[:-1]}
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert copied == seen
    assert not [name for name in seen if fnmatch.fnmatch(name, "*secret*") or name == ".env"]


def test_every_package_of_the_wheel_is_copied() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    copied = " ".join(those("COPY"))
    assert [name for name in packages if f"{name}/ {name}/" not in copied] == []


def test_nothing_is_installed_but_by_hash_and_ourselves_from_the_checkout() -> None:
    installs = [words for words in commands_run() if "install" in words and "pip" in words]
    assert len(installs) == 2
    by_hash, ourselves = installs
    assert {"--require-hashes", "--only-binary"} <= set(by_hash)
    assert by_hash[-2:] == ["--requirement", "requirements.lock"]
    assert {"--no-deps", "--no-build-isolation"} <= set(ourselves)
    assert ourselves[-1] == "."


def test_it_runs_as_a_number_that_is_not_root() -> None:
    user, group = re.fullmatch(r"(\d+):(\d+)", those("USER")[-1]).groups()  # type: ignore[union-attr]
    assert int(user) > 1000
    [data] = [words for words in commands_run() if words[0] == "install"]
    assert data[2:] == [f"--owner={user}", f"--group={group}", "--mode=0700", *those("VOLUME")]


def test_signals_reach_the_program_and_no_shell_stands_before_it() -> None:
    assert json.loads(those("ENTRYPOINT")[0]) == ["clinicrelay"]
    assert those("STOPSIGNAL") == ["SIGTERM"]
    for rest in (*those("CMD"), those("HEALTHCHECK")[0].partition("CMD ")[2], *those("RUN")):
        assert isinstance(json.loads(rest), list)
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    assert "clinicrelay" in scripts


def test_what_the_image_starts_is_a_command_of_ours() -> None:
    health = json.loads(those("HEALTHCHECK")[0].partition("CMD ")[2])
    assert health[0] == "clinicrelay"
    parse(health[1:])
    parse(json.loads(those("CMD")[-1]))


def test_no_step_names_a_registry_and_the_base_can_be_pinned() -> None:
    bases = those("FROM")
    assert {base.split()[0] for base in bases} == {"${PYTHON}"}
    assert those("ARG") == ["PYTHON=python:3.12-slim"]
    assert "/" not in those("ARG")[0]


@pytest.mark.parametrize("place", ["/var/lib/clinicrelay"])
def test_data_lies_in_a_volume(place: str) -> None:
    assert those("VOLUME") == [place]
    assert those("WORKDIR")[-1] == place
