"""The folder of the sample clinic: its settings, its inbox, and beginning anew without harm."""

from __future__ import annotations

import os
import shutil
import time
from datetime import datetime
from pathlib import Path

from clinicrelay.contracts import Finding
from clinicrelay.errors import SettingsError
from clinicrelay.times import local
from commands._sample.people import DOCTORS, ZONE

_FIRST_LINE = "# The sample clinic. `clinicrelay demo` deletes and rebuilds this folder.\n"
_SETTINGS = (
    _FIRST_LINE
    + """\
version: 1
clinic:
  id: riverside
  name: Riverside Family Clinic
  timezone: Europe/Berlin
  country: DE
  language: de
  phone: "+4915155500000"
  email: frontdesk@riverside.example
data: data                                        # store, log, calendars, outbox
sources:
  reception: {type: csv, contents: snapshot}      # drop files into drops/reception
calendars:
  files: {type: ics}                              # data/calendars, one file a doctor
notifiers:
  outbox: {type: outbox}                          # data/outbox, nothing leaves the machine
reminders:
  patient: {confirmation: {channels: [email], invite: true}, steps: [3d, 1d, 1h]}
  doctor: {steps: [1h], digest: {at: "18:00"}}
doctors:
"""
)


def rebuild(folder: Path) -> Path:
    """Begin anew in a folder; return its settings file. Raises SettingsError.

    Only a folder that is empty, or that this function made, is touched.
    """
    file = folder / "settings.yaml"
    if folder.exists() and not _is_ours(folder):
        raise SettingsError([_foreign(folder)])
    folder.mkdir(parents=True, exist_ok=True)
    # First, so that a demo cut off at any point finds its folder again.
    file.write_text(_SETTINGS + "".join(_doctor_lines()), encoding="utf-8")
    for name in ("drops", "data"):
        if (folder / name).exists():
            shutil.rmtree(folder / name)
    (folder / "drops" / "reception").mkdir(parents=True)
    return file


def drop(folder: Path, content: bytes, at: datetime) -> None:
    """Put an export into the inbox as if it had been written at `at`, or just now at the latest."""
    file = folder / "drops" / "reception" / f"termine-{local(at, ZONE):%Y%m%d-%H%M}.csv"
    file.write_bytes(content)
    # Files are taken by the real clock, and only once they have not been touched for a while.
    written = min(at.timestamp(), time.time() - 300)
    os.utime(file, (written, written))


def _is_ours(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    if not any(folder.iterdir()):
        return True
    try:
        return (folder / "settings.yaml").read_text(encoding="utf-8").startswith(_FIRST_LINE)
    except (OSError, UnicodeDecodeError):
        return False


def _foreign(folder: Path) -> Finding:
    return Finding(
        "error",
        "folder_in_use",
        f"{folder} holds something that the demo did not make, so it is left alone",
        "name an empty or new folder: clinicrelay demo FOLDER",
        file=str(folder),
    )


def _doctor_lines() -> list[str]:
    return [
        f"  - {{id: {d.id}, name: {d.name}, match: {d.id}, email: {d.email}}}\n" for d in DOCTORS
    ]
