"""A known hole fails CI, a list that leaves something out too, and a missing network is said (R-095)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.conftest import ROOT

CLEAN = {"name": "a", "version": "1", "vulns": []}
HOLE = {"id": "GHSA-x", "fix_versions": ["2"], "aliases": [], "description": "d"}
SKIPPED = {"name": "c", "skip_reason": "could not be audited"}


def judged(tmp_path: Path, report: Any, **environ: str) -> tuple[int, str]:
    file = tmp_path / "report.json"
    if report is not None:
        file.write_text(report if isinstance(report, str) else json.dumps(report))
    ran = subprocess.run(
        [sys.executable, ROOT / ".ci" / "audited.py", file],
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stderr == ""
    return ran.returncode, ran.stdout


def test_a_known_hole_fails_also_where_not_all_could_be_looked_up(tmp_path: Path) -> None:
    holed = {"name": "b", "version": "1", "vulns": [HOLE]}
    for others in ([], [CLEAN], [SKIPPED]):
        code, said = judged(tmp_path, {"dependencies": [holed, *others], "fixes": []})
        assert code == 1
        assert "b 1: GHSA-x, mended in 2" in said


def test_what_is_clean_passes(tmp_path: Path) -> None:
    code, said = judged(tmp_path, {"dependencies": [CLEAN], "fixes": []})
    assert (code, said) == (0, "1 packages looked up, 0 known holes.\n")


@pytest.mark.parametrize("report", [None, "", {"dependencies": []}, {"dependencies": [SKIPPED]}])
def test_what_could_not_be_asked_is_said_and_fails_only_where_it_must_not_be(
    tmp_path: Path, report: Any
) -> None:
    code, said = judged(tmp_path, report)
    assert code == 0
    assert said.startswith("NOT AUDITED")
    assert judged(tmp_path, report, AUDIT_REQUIRED="1")[0] == 1


def test_a_list_that_leaves_a_distribution_out_is_not_whole(tmp_path: Path) -> None:
    here = {(d.metadata["Name"], d.version) for d in distributions()}
    components = [{"name": name, "version": version} for name, version in sorted(here)]
    lock = tmp_path / "lock"
    lock.write_text(
        "\n".join(f"{n.lower().replace('_', '-').replace('.', '-')}=={v}" for n, v in here)
    )

    def compared(listed: list[dict[str, str]]) -> tuple[int, str]:
        file = tmp_path / "sbom.json"
        file.write_text(json.dumps({"metadata": {}, "components": listed}))
        ran = subprocess.run(
            [sys.executable, ROOT / ".ci" / "sbom_is_whole.py", file, lock],
            capture_output=True,
            text=True,
            check=False,
        )
        return ran.returncode, ran.stdout

    assert compared(components)[0] == 0
    without = [one for one in components if one["name"] != "httpx"]
    code, said = compared(without)
    assert code == 1
    assert "httpx" in said
    assert "is installed and not listed" in said


def test_ci_looks_for_both() -> None:
    assert "make audit sbom" in (ROOT / ".ci" / "run").read_text("utf-8")
