"""`python -m bench.fhir [--visits N] [--rounds N] [--write]`: what reading FHIR costs.

All contenders read the same pages from a server of its own process, in turn, so that whatever else
the machine does meets them alike. Counted are the CPU seconds of the reading process alone, after all
is imported; the figures are medians of ratios to the yardstick of the same round.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.fhir.contenders import (
    Contender,
    decoded,
    fhir_resources,
    fhirpy,
    job,
    mapped,
    parsed,
    unchanged,
)
from bench.fhir.served import served
from bench.table import Line, show, write
from commands import GARBAGE


def cpu(work: Contender, base: str, folder: Path) -> float:
    """Return the CPU seconds of this process that a contender takes."""
    gc.collect()
    before = time.process_time()
    work(base, folder)
    return time.process_time() - before


def measured(base: str) -> dict[str, float]:
    """Return the CPU seconds of each contender in one round."""
    with tempfile.TemporaryDirectory(prefix="clinicrelay-bench-") as folder:
        here = Path(folder)
        return {
            "decoded": cpu(decoded, base, here),
            "parsed": cpu(parsed, base, here),
            "unchanged": cpu(unchanged, base, here),
            "mapped": cpu(mapped, base, here),
            "job": cpu(job, base, here),
            "again": cpu(job, base, here),
            "fhirpy": cpu(fhirpy, base, here),
            "fhir_resources": cpu(fhir_resources, base, here),
        }


def main() -> None:
    """Print a line a contender."""
    parser = argparse.ArgumentParser(prog="python -m bench.fhir", description=__doc__)
    parser.add_argument("--visits", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    asked = parser.parse_args()
    gc.set_threshold(*GARBAGE)
    with served(200) as base:
        measured(base)  # imports everything
    gc.freeze()
    with served(asked.visits) as base:
        rounds = [measured(base) for _ in range(asked.rounds)]
    found = show(lines(rounds, asked.visits))
    if asked.write:
        write("fhir", found, asked.rounds)


def lines(rounds: list[dict[str, float]], visits: int) -> Iterator[Line]:
    """Yield the table: ratios to a contender of the same round, and what that took a visit."""
    for name, yardstick, what, limit in (
        ("unchanged", "decoded", "read, digests only", "none set"),
        ("mapped", "decoded", "read, resolved and mapped", "5x"),
        ("job", "decoded", "first load, whole job, SQLite", "10x"),
        ("again", "job", "the same again, nothing changed", "0.5x"),
        ("fhirpy", "parsed", "fhirpy, fetched and parsed", "at least 10x"),
        ("fhirpy", "mapped", "fhirpy, fetched and parsed", "none set"),
        ("fhir_resources", "parsed", "fhir.resources, fetched and validated", "at least 10x"),
        ("fhir_resources", "mapped", "fhir.resources, fetched and validated", "none set"),
    ):
        ratio = statistics.median(one[name] / one[yardstick] for one in rounds)
        beside = statistics.median(one[yardstick] for one in rounds) / visits * 1e6
        yield Line(what, f"{_CALLED[yardstick]} ({beside:.1f} µs a visit)", f"{ratio:.2f}x", limit)


_CALLED = {
    "decoded": "bare httpx and msgspec",
    "parsed": "our parsing",
    "mapped": "our reading, resolved and mapped",
    "job": "our first load",
}


if __name__ == "__main__":
    main()
