"""A store with a million visits: what loading it takes, and what looking into it costs."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

from bench import data
from bench.clinic import settle_in

ROWS = 1_000_000
DUE = 600


def measure() -> dict[str, float]:
    """Load a million rows, then time the due query, and commands beside a store of one visit."""
    from bench.__main__ import run
    from bench.contenders import NOW

    folder = Path(tempfile.mkdtemp(prefix="clinicrelay-bench-"))
    settle_in(folder, "")
    export = data.write(folder / "million.csv", ROWS)
    peak = run("job", folder, export).peak_mb
    now = datetime.fromisoformat(NOW)
    found = {"peak_mb": peak, "due_ms": _due(folder, now)}
    small = folder / "small"
    settle_in(small, "")
    run("job", small, data.write(small / "one.csv", 1))
    for command, visits in {"status": ((), ()), "why": (("A00000000",), ("A00500000",))}.items():
        few, many = (
            _seconds(at, command, *which, "--now", NOW)
            for at, which in zip((small, folder), visits, strict=True)
        )
        found[f"{command}_ms"] = 1000 * (many - few)
    shutil.rmtree(folder)
    return found


def _due(folder: Path, now: datetime) -> float:
    """Return the CPU milliseconds of finding the visits whose next step has come, 600 of them."""
    from sync.store import open_store, seconds, wakes

    store = open_store(f"sqlite:///{folder}/var/clinicrelay.db", "bench", now=now)
    with store.write() as connection:
        connection.exec_driver_sql(
            "UPDATE appointments SET wake_at = ? WHERE id IN "
            "(SELECT id FROM appointments WHERE wake_at IS NOT NULL ORDER BY id DESC LIMIT ?)",
            (seconds(now + timedelta(seconds=1)), DUE),
        )
    moment, times = now + timedelta(seconds=2), []
    for _ in range(9):
        with store.read() as connection:
            before = time.process_time()
            woken = wakes.woken(connection, "bench", now=moment, limit=4000)
            times.append(time.process_time() - before)
    store.close()
    if len(woken) < DUE:
        raise SystemExit(f"only {len(woken)} of {DUE} visits were found due")
    return statistics.median(times) * 1000


def _seconds(folder: Path, *words: str) -> float:
    program = str(Path(sys.executable).parent / "clinicrelay")
    command = [program, *words, "--settings", str(folder / "settings.yaml")]
    times = []
    for _ in range(5):
        before = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        times.append(time.perf_counter() - before)
    return statistics.median(times)
