"""An ordinary clinic for the benchmark: its settings, its inbox, and a run of the real line."""

from __future__ import annotations

import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SETTINGS = """
version: 1
clinic: {{id: bench, name: Bench Clinic, timezone: Europe/Berlin, country: DE, language: de}}
store: {{url: "{store}"}}
sources:
  reception: {{type: csv, contents: snapshot}}
{calendars}
notifiers:
  outbox: {{type: outbox}}
reminders:
  patient: {{confirmation: {{channels: [email]}}, steps: [3d, 1d, 1h], on_change: false}}
  doctor: {{steps: [1h]}}
"""
ICS = "calendars: {files: {type: ics}}"


def settle_in(folder: Path, store: str, *, ics: bool = False) -> None:
    """Write the settings of a clinic into an empty folder."""
    folder.mkdir(parents=True, exist_ok=True)
    text = SETTINGS.format(store=store or "sqlite:///clinicrelay.db", calendars=ICS if ics else "")
    (folder / "settings.yaml").write_text(text, encoding="utf-8")


def drop(folder: Path, export: Path) -> None:
    """Drop an export into the inbox; it looks as if it had lain there for an hour."""
    inbox = folder / "drops" / "reception"
    inbox.mkdir(parents=True, exist_ok=True)
    there = inbox / f"export-{time.time_ns()}.csv"
    shutil.copy(export, there)
    hour_ago = time.time() - 3600
    os.utime(there, (hour_ago, hour_ago))


def sync(folder: Path, store: str, now: str) -> Any:
    """Run one cycle and return its report; raises where it did not do what it should."""
    from clinicrelay.ids import ulid
    from clinicrelay.settings import load
    from sync.clinic import Clinic
    from sync.runners import once
    from sync.store import open_store

    if not (folder / "settings.yaml").exists():
        settle_in(folder, store)
    settings = load(folder / "settings.yaml").settings
    moment = datetime.fromisoformat(now)
    opened = open_store(settings.store_url, settings.clinic.id, now=moment)
    try:
        report = once.sync(
            Clinic(settings, opened, run=ulid(datetime.now(UTC)), now=moment, rehearsed=True)
        )
    finally:
        opened.close()
    if report.exit not in (0, 4):
        raise SystemExit(f"the benchmark's clinic had trouble: {report.json()}")
    return report
