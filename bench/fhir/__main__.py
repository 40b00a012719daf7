"""`python -m bench.fhir [--visits N] [--rounds N]`: what reading FHIR costs beside decoding it.

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
from pathlib import Path

from bench.fhir.contenders import (
    Contender,
    decoded,
    fhir_resources,
    fhirpy,
    job,
    mapped,
    unchanged,
)
from bench.fhir.served import served
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
    asked = parser.parse_args()
    gc.set_threshold(*GARBAGE)
    with served(200) as base:
        measured(base)  # imports everything
    gc.freeze()
    with served(asked.visits) as base:
        rounds = [measured(base) for _ in range(asked.rounds)]
    bare = statistics.median(one["decoded"] for one in rounds)
    print(f"{asked.visits:,} visits; httpx and typed decode {_each(bare, asked.visits)}")
    for name, yardstick, what, limit in (
        ("unchanged", "decoded", "read, digests only", "none set"),
        ("mapped", "decoded", "read, resolved and mapped", "5x"),
        ("job", "decoded", "first load, whole job, SQLite", "10x"),
        ("again", "decoded", "the same again, whole job", "none set"),
        ("again", "job", "the same again beside the first load", "0.5x"),
        ("fhirpy", "mapped", "fhirpy beside read, resolved and mapped", "at least 10x"),
        ("fhir_resources", "mapped", "fhir.resources, beside the same", "at least 10x"),
    ):
        ratio = statistics.median(one[name] / one[yardstick] for one in rounds)
        spent = _each(statistics.median(one[name] for one in rounds), asked.visits)
        print(f"{what:<40}{spent:>20}{ratio:>8.2f}x   (limit {limit})")


def _each(seconds: float, visits: int) -> str:
    return f"{seconds / visits * 1e6:.1f} µs a visit"


if __name__ == "__main__":
    main()
