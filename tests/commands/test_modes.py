"""What the program writes is for its own user only, whatever the machine's habit is (R-096)."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clinicrelay.settings import load
from tests.line.conftest import SHIPPED, export, visit

ROOT = Path(__file__).resolve().parents[2]
AT = ("--now", "2026-11-23T10:00")

pytestmark = pytest.mark.skipif(os.name != "posix", reason="file modes are those of POSIX")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a shell does that lets everybody read what is written."""
    return subprocess.run(
        [sys.executable, "-c", "import commands; commands.main()", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        umask=0o022,
    )


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """A clinic that made everything itself: an export, messages, events, a log, rejects."""
    text = SHIPPED.read_text().replace(
        "contents: snapshot", 'contents: snapshot, ready: {settle: "0s"}'
    )
    (tmp_path / "settings.yaml").write_text(text)
    run(tmp_path, "sync", *AT)  # makes the inbox
    rows = [visit(n, f"2026-12-07 {8 + n}:00") for n in range(5)]
    bad = visit(9, status="XQ")
    (tmp_path / "drops" / "reception").mkdir(parents=True, exist_ok=True)
    (tmp_path / "drops" / "reception" / "a.csv").write_text(export(rows))
    run(tmp_path, "sync", *AT)
    (tmp_path / "drops" / "reception" / "b.csv").write_text(
        export([*rows[:4], bad, visit(7, "2026-12-08 09:00")])
    )
    done = run(tmp_path, "sync", "--now", "2026-11-23T11:00")
    assert done.returncode == 3, done.stdout + done.stderr
    backup = run(tmp_path, "store", "backup", "copy.backup")
    assert backup.returncode == 0, backup.stderr
    return tmp_path


def loose(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield what others may read, write or look into."""
    for path in sorted(folder.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            yield str(path.relative_to(folder)), oct(mode)


def test_nobody_else_can_read_anything_that_a_run_wrote(clinic: Path) -> None:
    written = {path.suffix for path in (clinic / "var").rglob("*") if path.is_file()}
    assert {".db", ".eml", ".ics", ".jsonl", ".key"} <= written
    assert stat.S_IMODE((clinic / "var").stat().st_mode) == 0o700
    assert list(loose(clinic / "var")) == []
    assert (clinic / "copy.backup").stat().st_mode & 0o077 == 0


def test_a_folder_that_was_opened_for_others_holds_calendars_for_them(clinic: Path) -> None:
    calendars = clinic / "var" / "calendars"
    for path in (clinic / "var", calendars):
        path.chmod(0o755)
    shutil.copy(SHIPPED, clinic / "another.yaml")
    rows = [visit(n, f"2026-12-09 {8 + n}:00") for n in range(6)]
    (clinic / "drops" / "reception" / "c.csv").write_text(export(rows))
    run(clinic, "sync", "--settings", "settings.yaml", "--now", "2026-11-23T12:00")
    assert {oct(stat.S_IMODE(one.stat().st_mode)) for one in calendars.glob("*.ics")} == {"0o644"}


def test_check_says_which_folder_is_open_to_everybody(clinic: Path) -> None:
    said = run(clinic, "check").stdout
    assert "may look into" not in said
    (clinic / "var").chmod(0o755)
    said = run(clinic, "check").stdout
    assert (
        f"{clinic}/var holds patients' data and every user of this machine may look into it" in said
    )
    assert f"chmod o= {clinic}/var" in said
    (clinic / "var").chmod(0o750)
    assert "may look into" not in run(clinic, "check").stdout


def test_a_folder_of_messages_elsewhere_is_looked_at_as_well(tmp_path: Path) -> None:
    text = SHIPPED.read_text().replace(
        "{type: outbox}", f"{{type: outbox, folder: {tmp_path}/out}}"
    )
    (tmp_path / "settings.yaml").write_text(text)
    (tmp_path / "out").mkdir()
    (tmp_path / "out").chmod(0o755)
    [finding] = load(tmp_path / "settings.yaml", environ={}).findings
    assert (finding.code, finding.fix) == ("open_folder", f"chmod o= {tmp_path}/out")
