"""`python -m bench.sql [--rows N] [--write]`: what a database of N visits costs to read.

Each figure is of one process of its own: the first load through the whole line, the poll after it in
which nothing is new, and the start-up that both are measured beyond.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.table import Line, show, write

NOW = "2026-11-23T07:00:00+00:00"
_FIRST = datetime(2026, 11, 24, 8, tzinfo=UTC)
QUERY = """
SELECT a.id AS appointment_id, a.starts_at AS appointment_date, a.status,
       a.patient AS patient_id, 'Pat ' || a.patient AS patient_name,
       'p' || a.patient || '@mail.example' AS patient_email, NULL AS patient_phone,
       a.doctor AS doctor_id, 'Dr. ' || a.doctor AS doctor_name, NULL AS doctor_email,
       a.updated_at
FROM visits a WHERE a.updated_at >= :watermark
"""
SETTINGS = """
version: 1
clinic: {{id: bench, name: Bench Clinic, timezone: Europe/Berlin, country: DE, language: de}}
sources:
  billing:
    type: sql
    url: sqlite:///{database}
    query: |
{query}
    key: appointment_id
    cursor: updated_at
    zones: {{updated_at: utc}}
    mapping: reception_sql
notifiers:
  outbox: {{type: outbox}}
reminders:
  patient: {{steps: [3d, 1d, 1h], on_change: false}}
"""


class Cost(NamedTuple):
    """CPU seconds and peak memory (MB) of one process, imports and all."""

    cpu: float
    peak_mb: float


def fill(database: Path, rows: int) -> None:
    """Write a database of visits, each changed at a time of its own."""
    changed = _FIRST - timedelta(days=90)
    made = (
        (
            n,
            f"{_FIRST + timedelta(minutes=n % 150_000):%Y-%m-%d %H:%M:%S}",
            "scheduled",
            n // 5,
            n % 40,
            f"{changed + timedelta(seconds=20 * n):%Y-%m-%d %H:%M:%S}",
        )
        for n in range(rows)
    )
    with sqlite3.connect(database) as db:
        db.execute(
            "CREATE TABLE visits (id INTEGER PRIMARY KEY, starts_at TEXT, status TEXT, "
            "patient INTEGER, doctor INTEGER, updated_at TEXT)"
        )
        db.executemany("INSERT INTO visits VALUES (?, ?, ?, ?, ?, ?)", made)
        db.execute("CREATE INDEX changed ON visits (updated_at)")
    db.close()


def settle_in(folder: Path, database: Path) -> None:
    """Write the settings of a clinic that reads the database."""
    query = "\n".join(f"      {line}" for line in QUERY.strip().splitlines())
    text = SETTINGS.format(database=database, query=query)
    (folder / "settings.yaml").write_text(text, encoding="utf-8")


def whole(folder: Path) -> None:
    """Run the whole line once."""
    from bench.clinic import sync

    sync(folder, "", NOW)


def read(folder: Path) -> None:
    """Read the source to its end and map every row, keeping nothing."""
    import mappings
    from clinicrelay.contracts import Kit, Window
    from clinicrelay.settings import load
    from connectors.sql import Sql

    settings = load(folder / "settings.yaml").settings
    source, clinic = settings.sources["billing"], settings.clinic
    moment = datetime.fromisoformat(NOW)
    kit = Kit("billing", clinic.facts(), folder, moment)
    place = mappings.Context("billing", clinic.timezone, clinic.country, clinic.language)
    mapper = mappings.find("reception_sql", folder).compile(place)
    window = Window(moment - timedelta(days=1), moment + timedelta(days=120))
    for page in Sql(source.options, kit).pull(None, window):
        for at in range(len(page.records)):
            mapper(page.record(at))


def nothing(folder: Path) -> None:
    """Import what a run imports, open the store, and read nothing."""
    import connectors.sql
    import sync.runners.once  # noqa: F401
    from clinicrelay.settings import load
    from sync.store import open_store

    del connectors
    settings = load(folder / "settings.yaml").settings
    moment = datetime.fromisoformat(NOW)
    open_store(settings.store_url, settings.clinic.id, now=moment).close()


WORK: dict[str, Callable[[Path], None]] = {"whole": whole, "read": read, "nothing": nothing}


def run(name: str, folder: Path) -> Cost:
    """Do one piece of work in a process of its own."""
    command = [sys.executable, "-m", "bench.sql", "--work", name, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stdout}{done.stderr}")
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def measure(rows: int, repeats: int) -> dict[str, float]:
    """Return MB of reading and of the whole first load, and ms of a poll with nothing new."""
    folder = Path(tempfile.mkdtemp(prefix="clinicrelay-bench-"))
    try:
        fill(folder / "visits.db", rows)
        settle_in(folder, folder / "visits.db")
        reading, first = run("read", folder), run("whole", folder)
        run("whole", folder)  # a query that is new is looked at closely once
        polls = [
            run("whole", folder).cpu - run("nothing", folder).cpu for _ in range(max(repeats, 5))
        ]
        return {
            "read_mb": reading.peak_mb,
            "first_mb": first.peak_mb,
            "poll_ms": median(polls) * 1000,
        }
    finally:
        shutil.rmtree(folder)


def main() -> None:
    """Measure and print, or do one piece of work for `run`."""
    parser = argparse.ArgumentParser(prog="python -m bench.sql", description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    parser.add_argument("--work", choices=list(WORK))
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    if asked.work:
        WORK[asked.work](asked.folder)
        spent = resource.getrusage(resource.RUSAGE_SELF)
        cost = Cost(spent.ru_utime + spent.ru_stime, spent.ru_maxrss / 1024)
        print(json.dumps(cost._asdict()))
        return
    found = show(lines(measure(asked.rows, asked.repeats), asked.rows))
    if asked.write:
        write("sql", found, asked.repeats)


def lines(found: dict[str, float], rows: int) -> Iterator[Line]:
    """Yield the table."""
    of = f"{rows:,} rows, SQLite"
    yield Line("peak memory, read and mapped", of, f"{found['read_mb']:.0f} MB", "200 MB")
    yield Line("peak memory, first load", of, f"{found['first_mb']:.0f} MB", "200 MB")
    poll = f"{found['poll_ms']:.0f} ms CPU"
    yield Line("poll with nothing new, beyond start-up", of, poll, "60 ms")


if __name__ == "__main__":
    main()
