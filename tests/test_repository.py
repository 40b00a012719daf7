"""What has to hold for the repository as a whole, whatever the code in it does."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from clinicrelay.rooms import ROOMS

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("requirements.lock", "requirements-dev.lock")
HASHED = (*LOCKS, "requirements-audit.lock")
PROSE = (".md", ".py", ".yaml", ".yml", ".toml", ".sh", ".j2", ".csv", ".lock", "Makefile", "run")


def tracked() -> list[Path]:
    """Every file that is, or is about to be, part of the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def texts() -> list[tuple[str, str]]:
    return [
        (str(path.relative_to(ROOT)), path.read_text(encoding="utf-8", errors="replace"))
        for path in tracked()
        if path.name.endswith(PROSE) and path != Path(__file__).resolve()
    ]


def lines_with(pattern: str, *, only: str = "") -> list[str]:
    wanted = re.compile(pattern)
    return [
        f"{name}:{number}: {line.strip()}"
        for name, text in texts()
        if name.endswith(only)
        for number, line in enumerate(text.splitlines(), 1)
        if wanted.search(line)
    ]


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def pins(lock: str) -> dict[str, str]:
    """Name to version, as a lock pins them."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9][a-z0-9.-]*)==(\S+)", text, flags=re.MULTILINE))


# --- nothing of the place where it was written ---------------------------------------------------


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    assert not lines_with(r"(?<![\w.~)}])/(?:root|work|Users|home/[a-z]+)/|\.\./shared")


def test_no_file_names_a_package_registry() -> None:
    # Where packages come from is the installer's own affair: a mirror, a proxy, a wheel house.
    assert not lines_with(
        r"pypi\.org|pythonhosted\.org|--(?:extra-)?index-url|--find-links|--trusted-host"
    )


def test_no_code_leaves_work_for_somebody_else() -> None:
    assert not lines_with(r"\b(?:TODO|FIXME|XXX)\b", only=".py")


def test_the_licence_is_there_and_the_package_carries_it() -> None:
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")
    assert project()["project"]["license"] == "MIT"


# --- the packages --------------------------------------------------------------------------------


def test_the_wheel_holds_the_ground_and_every_room() -> None:
    house = ["clinicrelay", *ROOMS]
    tools = project()["tool"]
    assert tools["hatch"]["build"]["targets"]["wheel"]["packages"] == house
    assert tools["importlinter"]["root_packages"] == house
    assert set(house) <= set(tools["mypy"]["files"])


def test_no_package_stands_at_the_top_but_the_house() -> None:
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert found - {"bench"} == {"clinicrelay", *ROOMS}


def test_tests_are_not_importable() -> None:
    assert not [p for p in tracked() if p.name == "__init__.py" and "tests" in p.parts]


def test_test_files_have_names_of_their_own() -> None:
    names = [p.name for p in tracked() if p.name.startswith("test_") and p.suffix == ".py"]
    assert sorted(names) == sorted(set(names))


UNTRIED = {"mssql", "oracle", "odbc"}  # their databases are not at hand where the tests run


def test_the_extra_all_holds_every_extra_that_is_tried_here() -> None:
    extras = project()["project"]["optional-dependencies"]
    named = {extra for line in extras["all"] for extra in Requirement(line).extras}
    assert named == set(extras) - {"all", "bench", "dev"} - UNTRIED


# --- the locks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("lock", HASHED)
def test_every_pinned_version_has_its_hashes(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    unhashed = re.findall(
        r"^([a-z0-9]\S++)(?! \\\n    --hash=sha256:[0-9a-f]{64}\b)", text, flags=re.MULTILINE
    )
    assert pins(lock)
    assert not unhashed


@pytest.mark.parametrize(
    ("lock", "extras"), [("requirements.lock", ["all"]), ("requirements-dev.lock", ["all", "dev"])]
)
def test_a_lock_answers_what_the_project_asks_for(lock: str, extras: list[str]) -> None:
    asked = project()["build-system"]["requires"] + project()["project"]["dependencies"]
    for extra in extras:
        asked += with_extras(extra)
    pinned = pins(lock)
    unmet = [
        line
        for line in asked
        if (need := Requirement(line)).name != "clinicrelay"
        and not need.specifier.contains(pinned.get(canonicalize_name(need.name), "0"))
    ]
    assert not unmet, "run `make lock`"


def with_extras(extra: str) -> list[str]:
    """What an extra asks for, following `clinicrelay[other]`."""
    extras: dict[str, list[str]] = project()["project"]["optional-dependencies"]
    own = [Requirement(line) for line in extras[extra]]
    nested = [inner for need in own if need.name == "clinicrelay" for inner in need.extras]
    return extras[extra] + [line for inner in nested for line in with_extras(inner)]


def test_both_locks_agree_so_that_tests_run_what_clinics_run() -> None:
    running, testing = (pins(lock) for lock in LOCKS)
    assert running.items() <= testing.items()


# --- the pages -----------------------------------------------------------------------------------


def relative_links(text: str) -> list[str]:
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)\s#]+)[^)]*\)", prose)
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def test_a_link_to_nowhere_would_be_seen() -> None:
    text = "See [a](there.md#part), [b](https://x.example), `[c](code.md)` and [d](../up.md)."
    assert relative_links(text) == ["there.md", "../up.md"]


def test_every_decision_is_listed_and_says_context_decision_and_consequences() -> None:
    folder = ROOT / "docs" / "decisions"
    index = relative_links((folder / "README.md").read_text(encoding="utf-8"))
    decisions = sorted(folder.glob("[0-9]*.md"))
    assert [page.name for page in decisions] == sorted(set(index) & {d.name for d in decisions})
    for page in decisions:
        headings = re.findall(r"^## (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequences"], page.name


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = sorted(int(p.name[:4]) for p in (ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert numbers == list(range(1, len(numbers) + 1))
