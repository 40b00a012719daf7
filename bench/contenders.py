"""What is measured: each contender is one process that prints its CPU seconds and peak memory.

`python -m bench.contenders NAME FOLDER EXPORT STORE`. Imports are not counted (start-up is a row of
its own); everything between having the file and having the rows on disk is.
"""

from __future__ import annotations

import csv
import gc
import json
import resource
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from bench.data import COLUMNS

NOW = "2026-11-23T07:00:00+00:00"
_UPDATE = ", ".join(f"{c}=excluded.{c}" for c in COLUMNS[1:])


def flat_upsert(folder: Path, export: Path, store: str) -> None:
    """The yardstick: csv.reader and executemany into one wide table, nothing understood."""
    db = sqlite3.connect(folder / "flat.db")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    columns = ", ".join(f"{c} TEXT" for c in COLUMNS[1:])
    db.execute(f"CREATE TABLE IF NOT EXISTS flat ({COLUMNS[0]} TEXT PRIMARY KEY, {columns})")
    with export.open(newline="", encoding="utf-8") as file, db:
        reader = csv.reader(file)
        next(reader)
        db.executemany(
            f"INSERT INTO flat VALUES ({','.join('?' * len(COLUMNS))}) "
            f"ON CONFLICT ({COLUMNS[0]}) DO UPDATE SET {_UPDATE}",
            reader,
        )
    db.close()


def sqlite_utils(folder: Path, export: Path, store: str) -> None:
    """What a person would reach for: sqlite-utils upsert_all."""
    import sqlite_utils as tool

    with export.open(newline="", encoding="utf-8") as file:
        tool.Database(folder / "utils.db").table("flat").upsert_all(
            csv.DictReader(file), pk=COLUMNS[0], batch_size=1000
        )


def pg_copy_upsert(folder: Path, export: Path, store: str) -> None:
    """The yardstick on PostgreSQL: COPY into a temporary table, then one upsert."""
    import psycopg

    with psycopg.connect(store.replace("postgresql+psycopg", "postgresql")) as db:
        columns = ", ".join(f"{c} text" for c in COLUMNS[1:])
        db.execute(f"CREATE TABLE IF NOT EXISTS flat ({COLUMNS[0]} text PRIMARY KEY, {columns})")
        db.execute("CREATE TEMPORARY TABLE staged (LIKE flat) ON COMMIT DROP")
        with export.open(newline="", encoding="utf-8") as file, db.cursor() as cursor:
            reader = csv.reader(file)
            next(reader)
            with cursor.copy("COPY staged FROM STDIN") as copy:
                for row in reader:
                    copy.write_row(row)
        db.execute(
            f"INSERT INTO flat SELECT * FROM staged ON CONFLICT ({COLUMNS[0]}) DO UPDATE SET {_UPDATE}"
        )


def job(folder: Path, export: Path, store: str) -> None:
    """The whole job: `sync` of an export that lies in the inbox of an ordinary clinic."""
    from bench.clinic import sync
    from commands import GARBAGE

    gc.set_threshold(*GARBAGE)
    sync(folder, store, NOW)


CONTENDERS: dict[str, Callable[[Path, Path, str], None]] = {
    "flat_upsert": flat_upsert,
    "sqlite_utils": sqlite_utils,
    "pg_copy_upsert": pg_copy_upsert,
    "job": job,
    "job_ics": job,
}


def main() -> None:
    """Run one contender and print what it cost."""
    name, folder, export, store = sys.argv[1:5]
    work = CONTENDERS[name]
    warm = Path(folder, "warm")
    _warm_up(work, warm, export, store)
    _put_in_place(work, Path(folder), Path(export))
    with _server() as server:
        before = time.process_time()
        work(Path(folder), Path(export), store)
        cpu = time.process_time() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"cpu": cpu + server.cpu, "peak_mb": peak}))


def _put_in_place(work: Callable[[Path, Path, str], None], folder: Path, export: Path) -> None:
    """Bring a contender's file to where it looks for it: having the file is where the clock starts."""
    if work is job:
        from bench.clinic import drop

        drop(folder, export)


def _warm_up(
    work: Callable[[Path, Path, str], None], folder: Path, export: str, store: str
) -> None:
    """Import what the work imports: do it once on ten rows, in a folder and store of its own."""
    from bench.clinic import settle_in

    settings = folder.parent / "settings.yaml"
    settle_in(folder, "", ics="ics" in settings.read_text(encoding="utf-8"))
    few = folder / "few.csv"
    with Path(export).open(encoding="utf-8") as file:
        few.write_text("".join(islice(file, 11)), encoding="utf-8")
    if store:
        from sync.store.dialects import connect

        connect(store).connect().close()
    if work is not pg_copy_upsert:
        _put_in_place(work, folder, few)
        work(folder, few, "")
    shutil.rmtree(folder)


class _server:  # noqa: N801 - reads as a verb phrase where it is used
    """The CPU that PostgreSQL's processes spend meanwhile."""

    cpu = 0.0

    def __enter__(self) -> _server:
        self._before = sum(_postgres())
        return self

    def __exit__(self, *_: Any) -> None:
        self.cpu = sum(_postgres()) - self._before


def _postgres() -> Iterator[float]:
    """CPU seconds of every postgres process, its ended children included."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue
        if "(postgres" in head:
            fields = rest.split()
            postmaster = fields[1] == "1"
            ticks = sum(map(int, fields[11:15] if postmaster else fields[11:13]))
            yield ticks / 100


if __name__ == "__main__":
    main()
