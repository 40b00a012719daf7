"""A made-up clinic group's export: 22 columns, about 270 bytes a row, the same for the same seed."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

START = datetime(2026, 11, 24, 8, 0)  # noqa: DTZ001 - wall-clock time, as exports hold it
DAYS = 110
COLUMNS = (
    "appointment_id", "date", "time", "ends_at", "minutes", "status", "patient_id", "firstname",
    "lastname", "phone", "email", "language", "doctor_id", "doctor_name", "doctor_email", "branch",
    "service", "modality", "notes", "insurance", "created_by", "room",
)  # fmt: skip
_FIRST = ("Ada", "Béla", "Chiara", "Dilara", "Elif", "Frieda", "Göran", "Hanna", "Ines", "Jonas")
_LAST = (
    "Aydın",
    "Braun",
    "Conti",
    "Duarte",
    "Ekström",
    "Fischer",
    "García",
    "Huber",
    "Ito",
    "Jung",
)
_STATUS = ("scheduled", "scheduled", "scheduled", "confirmed", "cancelled")


def rows(
    number: int, *, changed: float = 0.0, start: datetime = START, seed: int = 7
) -> Iterator[tuple[str, ...]]:
    """Yield the rows; `changed` is the share that has another time than in the unchanged export."""
    chance = random.Random(seed)
    for at in range(number):
        person = chance.randrange(max(number // 3, 1))
        doctor = chance.randrange(40)
        begin = start + timedelta(
            days=at * DAYS // max(number, 1), minutes=15 * chance.randrange(36)
        )
        status, other = chance.choice(_STATUS), chance.random() < changed
        if other:
            begin += timedelta(minutes=15 * (1 + at % 7))
        first, last = _FIRST[person % 10], _LAST[person // 10 % 10]
        yield (
            f"A{at:08d}",
            begin.strftime("%Y-%m-%d"),
            begin.strftime("%H:%M"),
            (begin + timedelta(minutes=30)).strftime("%Y-%m-%d %H:%M"),
            "30",
            status,
            f"P{person:07d}",
            first,
            last,
            f"+1202555{person % 10000:04d}",
            f"patient{person}@mail.example",
            ("de", "en", "tr", "es")[person % 4],
            f"D{doctor:02d}",
            f"Dr. {_LAST[doctor % 10]}",
            f"doctor{doctor}@riverside.example",
            ("North", "South", "Harbour")[doctor % 3],
            ("check-up", "follow-up", "vaccination")[person % 3],
            "in person",
            "please bring the last letter",
            f"INS{person % 90:03d}",
            "frontdesk",
            f"R{doctor % 12:02d}",
        )


def write(path: Path, number: int, *, changed: float = 0.0, start: datetime = START) -> Path:
    """Write an export and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(COLUMNS)
        out.writerows(rows(number, changed=changed, start=start))
    return path
