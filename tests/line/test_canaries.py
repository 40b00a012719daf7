"""Markers in every field of a patient: found in the store and in the messages, and nowhere else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.line.conftest import Line

CANARIES = {
    "patient_id": "CANARYID",
    "patient_name": "Canaryfirst Canarylast",
    "mobile": "+4915155512345",
    "email": "canary.mail@mail.example",
    "notes": "CANARYNOTE",
}
PATTERNS = ("canary", "canaryfirst", "15155512345", "5155512345")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def planted(line: Line) -> Line:
    """A clinic all of whose patients are canaries; every kind of thing happens to them."""
    for n in range(100, 120):
        line.book(n, f"2026-12-{7 + n % 10:02} {8 + n % 9:02}:00", **planted_in(n))
    line.drop()
    line.sync()
    line.cancel(101)
    line.change(102, start="2026-12-10 17:45")
    line.change(103, status="CANARYSTATUS CANARYNOTE")
    line.change(104, start="canary o'clock")
    line.change(105, mobile="canary no number", email="canary no address")
    line.change(106, doctor_id="braun")
    del line.rows["107"]
    line.book(900, "2026-12-15 10:00", **planted_in(900))
    content = line.drop().read_text()
    line.drop(content + '910,"CANARYNOTE\n')
    return line


def planted_in(number: int) -> dict[str, str]:
    return {
        **CANARIES,
        "patient_id": f"CANARYID{number}",
        "email": f"canary.mail{number}@mail.example",
    }


def is_found(content: str) -> list[str]:
    return [pattern for pattern in PATTERNS if pattern in content.lower()]


def unfolded(path: Path) -> str:
    return path.read_text(errors="replace").replace("\r\n ", "").replace("\n ", "")


def test_no_patient_is_in_the_report_the_log_the_calendars_or_a_file_name(planted: Line) -> None:
    report = planted.sync()
    planted.sync("2026-12-09 18:30")  # reminders and digests
    assert is_found(json.dumps(report.json())) == []
    assert report.sources["reception"].set_aside > 2
    log = planted.data / "log" / "clinicrelay.jsonl"
    assert log.read_text().count("\n") > 3
    assert is_found(log.read_text()) == []
    files = [path for path in planted.folder.rglob("*") if path.is_file()]
    assert [path for path in files if is_found(str(path.relative_to(planted.folder)))] == []
    calendars = [path for path in files if path.suffix == ".ics"]
    assert len(calendars) == 2
    assert [is_found(unfolded(path)) for path in calendars] == [[], []]
    # They were really there to be found: in the export, the store and the messages.
    holding = {
        path.relative_to(planted.folder).parts[:2]
        for path in files
        if is_found(unfolded(path)) and not path.name.startswith("store.db")
    }
    assert holding == {("drops", "reception"), ("var", "outbox")}


def test_reports_of_runs_and_reasons_in_the_store_name_no_patient(planted: Line) -> None:
    planted.sync()
    planted.sync("2026-12-09 18:30")
    kept = planted.query("SELECT report FROM runs") + planted.query(
        "SELECT place, field, reason, detail FROM quarantine"
    )
    kept += planted.query("SELECT summary FROM held") + planted.query("SELECT error FROM sources")
    kept += planted.query("SELECT reason, detail, provider_id FROM attempts")
    kept += planted.query("SELECT reason, detail, memo, ref FROM events")
    assert len(kept) > 20
    assert is_found(repr(kept)) == []


@pytest.mark.parametrize("flags", [["-v"], ["--json"], ["-q"]])
def test_a_piped_run_prints_no_patient(planted: Line, flags: list[str]) -> None:
    planted.loaded  # noqa: B018 - writes settings.yaml
    command = "import commands; commands.main()"
    ran = subprocess.run(
        [sys.executable, "-c", command, "sync", "--now", "2026-11-23T10:00", *flags],
        cwd=planted.folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 3, ran.stderr
    assert "set aside" in ran.stdout or "set_aside" in ran.stdout
    assert is_found(ran.stdout + ran.stderr) == []
