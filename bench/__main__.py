"""`python -m bench [--rows N] [--repeats N] [--million] [--write]`: what a clinic of files costs.

All contenders of a row run in turn, each in a process of its own, so that whatever else the machine
does meets them alike; the figures are medians of ratios to the yardstick of the same round.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench import data
from bench.clinic import settle_in
from bench.table import Line, show, write

POSTGRES = os.environ.get(
    "CLINICRELAY_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432/test"
)


class Cost(NamedTuple):
    """CPU seconds (server included) and peak memory of one process."""

    cpu: float
    peak_mb: float


def run(name: str, folder: Path, export: Path, store: str = "") -> Cost:
    """Run one contender in a process of its own."""
    command = [sys.executable, "-m", "bench.contenders", name, str(folder), str(export), store]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stdout}{done.stderr}")
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


class Round:
    """Folders and exports of one round, gone at its end."""

    def __init__(self, rows: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="clinicrelay-bench-"))
        self.exports = {
            share: data.write(self.folder / f"{share}.csv", rows, changed=share)
            for share in (0.0, 0.001, 0.01)
        }

    def place(self, name: str, *, ics: bool = False, store: str = "") -> Path:
        """Return a new folder for a contender, with a clinic settled in."""
        folder = self.folder / name
        settle_in(folder, store, ics=ics)
        return folder

    def close(self) -> None:
        shutil.rmtree(self.folder)


def sqlite_round(rows: int) -> dict[str, float]:
    """Return the ratios of one round on SQLite."""
    here = Round(rows)
    flat, ours, ics = here.place("flat"), here.place("ours"), here.place("ics", ics=True)
    whole, few, some = (here.exports[share] for share in (0.0, 0.001, 0.01))
    base = run("flat_upsert", flat, whole).cpu
    first = run("job", ours, whole)
    found = {
        "first": first.cpu / base,
        "first_mb": first.peak_mb,
        "first_ics": run("job", ics, whole).cpu / base,
        "sqlite_utils": run("sqlite_utils", here.place("utils"), whole).cpu / base,
    }
    again = run("flat_upsert", flat, whole).cpu
    found["same"] = run("job", ours, whole).cpu / again
    found["few"] = run("job", ours, few).cpu / run("flat_upsert", flat, few).cpu
    found["some"] = run("job", ours, some).cpu / run("flat_upsert", flat, some).cpu
    here.close()
    return found


def postgres_round(rows: int) -> dict[str, float]:
    """Return the ratios of one round on PostgreSQL, in schemas of its own."""
    import psycopg

    here = Round(rows)
    names = {who: f"bench_{os.getpid()}_{who}" for who in ("flat", "ours")}
    stores = {w: f"{POSTGRES}?options=-csearch_path%3D{name}" for w, name in names.items()}
    with psycopg.connect(
        POSTGRES.replace("postgresql+psycopg", "postgresql"), autocommit=True
    ) as db:
        for name in names.values():
            db.execute(f'CREATE SCHEMA "{name}"')
        try:
            whole = here.exports[0.0]
            base = run("pg_copy_upsert", here.place("flat"), whole, stores["flat"]).cpu
            ours = here.place("ours", store=stores["ours"])
            first = run("job", ours, whole, stores["ours"]).cpu
            again = run("pg_copy_upsert", here.place("flat2"), whole, stores["flat"]).cpu
            same = run("job", ours, whole, stores["ours"]).cpu
        finally:
            for name in names.values():
                db.execute(f'DROP SCHEMA "{name}" CASCADE')
    here.close()
    return {"first": first / base, "same": same / again}


def idle_ratio(repeats: int) -> float:
    """Return what `clinicrelay sync` with nothing to do costs, in times of `python -c pass`."""
    folder = Path(tempfile.mkdtemp(prefix="clinicrelay-bench-"))
    settle_in(folder, "", ics=True)
    settings = str(folder / "settings.yaml")
    ours = [str(Path(sys.executable).parent / "clinicrelay"), "sync", "--settings", settings]
    nothing = [sys.executable, "-c", "pass"]
    spent(ours)
    ratios = [spent(ours) / spent(nothing) for _ in range(max(repeats, 9))]
    shutil.rmtree(folder)
    return statistics.median(ratios)


def spent(command: list[str]) -> float:
    """Return the CPU seconds of a process and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def lines(rows: int, repeats: int, *, million: bool) -> Iterator[Line]:
    """Measure, and yield the table line by line."""
    rounds = [sqlite_round(rows) for _ in range(repeats)]

    def median(name: str) -> float:
        return statistics.median(one[name] for one in rounds)

    flat = f"flat_upsert, {rows:,} rows"
    yield Line("first load, whole job, SQLite", flat, f"{median('first'):.2f}x", "5x")
    yield Line(
        "the same with a calendar file a doctor", flat, f"{median('first_ics'):.2f}x", "none set"
    )
    yield Line(
        "sqlite-utils upsert_all, nothing understood",
        flat,
        f"{median('sqlite_utils'):.2f}x",
        "peer",
    )
    yield Line("the same file again", flat, f"{median('same'):.2f}x", "0.15x")
    yield Line("0.1 % of rows changed", flat, f"{median('few'):.2f}x", "0.8x")
    yield Line("1 % of rows changed", flat, f"{median('some'):.2f}x", "0.8x")
    servers = [postgres_round(rows) for _ in range(repeats)]
    copied = f"COPY + ON CONFLICT, {rows:,} rows"
    yield Line(
        "first load, whole job, PostgreSQL",
        copied,
        f"{statistics.median(one['first'] for one in servers):.2f}x",
        "8x",
    )
    yield Line(
        "the same file again, PostgreSQL",
        copied,
        f"{statistics.median(one['same'] for one in servers):.2f}x",
        "none set",
    )
    yield Line("sync with nothing to do", "python -c pass", f"{idle_ratio(repeats):.1f}x", "45x")
    if million:
        yield from _million(median("first_mb"))


def _million(small_mb: float) -> Iterator[Line]:
    from bench.million import measure

    found = measure()
    ratio = found["peak_mb"] / small_mb
    yield Line("peak memory, 1,000,000 rows", "", f"{found['peak_mb']:.0f} MB", "150 MB")
    yield Line("the same, beside 100,000 rows", f"{small_mb:.0f} MB", f"{ratio:.2f}x", "1.6x")
    yield Line("due query, 1,000,000 visits, 600 due", "", f"{found['due_ms']:.2f} ms CPU", "5 ms")
    yield Line(
        "status, that store, 7,280 visits tomorrow",
        "a store of one visit",
        f"+{found['status_ms']:.0f} ms",
        "300 ms",
    )
    yield Line("why, that store", "a store of one visit", f"+{found['why_ms']:.0f} ms", "300 ms")


def main() -> None:
    """Measure, print the table, and with --write put it into docs/performance.md."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--million", action="store_true", help="a million rows as well (minutes)")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    asked = parser.parse_args()
    found = show(lines(asked.rows, asked.repeats, million=asked.million))
    if asked.write:
        write("files", found, asked.repeats)


if __name__ == "__main__":
    main()
