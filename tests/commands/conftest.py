"""A clinic in a folder, and a way to type commands at it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import commands
from clinicrelay.testing.kits import CANARY_EMAIL, CANARY_NAME, CANARY_PHONE

MONDAY = "2026-11-23T08:00:00Z"
COLUMNS = (
    *("appointment_id", "date", "time", "status", "patient_id", "patient_name", "phone", "email"),
    *("doctor_id", "doctor_email"),
)
SETTINGS = """\
version: 1
clinic:
  {id: riverside, name: Riverside Family Clinic, timezone: Europe/Berlin, country: DE, language: en,
   phone: "+493012345678"}
sources:
  reception: {type: csv, contents: snapshot, ready: {settle: 0s}}
calendars:
  files: {type: ics}
notifiers:
  outbox: {type: outbox}
reminders:
  patient: {confirmation: {channels: [email]}, steps: [3d, 1d, 1h]}
"""


class Ran(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


@dataclass
class Desk:
    """Somebody at the clinic: drops files, and types commands."""

    folder: Path
    capture: pytest.CaptureFixture[str]
    dropped: int = 0

    @property
    def settings(self) -> Path:
        return self.folder / "settings.yaml"

    def write(self, settings: str) -> None:
        self.settings.write_text(settings, encoding="utf-8")

    def change(self, before: str, after: str) -> None:
        text = self.settings.read_text(encoding="utf-8")
        assert before in text
        self.write(text.replace(before, after))

    def drop(self, *rows: Mapping[str, Any]) -> None:
        self.dropped += 1
        inbox = self.folder / "drops" / "reception"
        inbox.mkdir(parents=True, exist_ok=True)
        file = inbox / f"visits-{self.dropped:03}.csv"
        with file.open("w", newline="", encoding="utf-8") as opened:
            writer = csv.DictWriter(opened, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)

    def run(self, *words: str, now: str | None = MONDAY) -> Ran:
        """Type a command; `now` None for one that has no --now."""
        more = ["--settings", str(self.settings), *(["--now", now] if now else [])]
        self.capture.readouterr()
        with pytest.raises(SystemExit) as end:
            commands.main([*words, *more])
        said = self.capture.readouterr()
        assert isinstance(end.value.code, int)
        assert "Traceback" not in said.out + said.err
        return Ran(end.value.code, said.out, said.err)

    def sync(self, *rows: Mapping[str, Any], now: str = MONDAY) -> Ran:
        """Drop a file with these rows and run a sync."""
        if rows:
            self.drop(*rows)
        return self.run("sync", now=now)


def visit(number: int, **changes: Any) -> dict[str, Any]:
    """Return one row of an export: a visit of the canary patient at 09:00 next Tuesday week."""
    return {
        "appointment_id": number,
        "date": "2026-12-01",
        "time": f"{8 + number % 9:02}:{number % 4 * 15:02}",
        "status": "booked",
        "patient_id": f"p{number}",
        "patient_name": CANARY_NAME,
        "phone": CANARY_PHONE,
        "email": CANARY_EMAIL,
        "doctor_id": "acar",
        "doctor_email": "acar@riverside.example",
        **changes,
    }


@pytest.fixture
def row() -> Callable[..., dict[str, Any]]:
    """Make a row of an export."""
    return visit


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    """A clinic in an empty folder, with settings and nothing read yet."""
    clinic = Desk(tmp_path, capsys)
    clinic.write(SETTINGS)
    return clinic
