"""`python -m bench.planning [--visits N] [--rounds R] [--write]`: what a week's reminders cost to plan.

All visits lie in one week and have three steps. The plan step runs every quarter of an hour, from the
import until the last visit begins; what it owes is taken as sent at once, off the clock and by no
notifier. The clock runs while `steps.plan` does: its lease, its looks into the store, its decisions,
the ledger.
"""

from __future__ import annotations

import argparse
import csv
import gc
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from bench.clinic import drop
from bench.spent import spending
from bench.table import Line, show, write
from commands import GARBAGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from sync.clinic import Clinic
    from sync.store import Store

BOOKED = datetime(2026, 11, 23, 7, tzinfo=UTC)
MONDAY = datetime(2026, 11, 30, 8)  # noqa: DTZ001 - wall-clock time, as exports hold it
END = datetime(2026, 12, 6, 7, tzinfo=UTC)
STEPS = ("3d", "1d", "1h")
SETTINGS = """
version: 1
clinic: {id: bench, name: Bench Clinic, timezone: Europe/Berlin, country: DE, language: de}
sources:
  reception: {type: csv, contents: snapshot, ready: {settle: 0s}}
notifiers:
  outbox: {type: outbox}
reminders:
  patient: {steps: [3d, 1d, 1h], on_change: false}
quiet_hours: off
"""


class Week(NamedTuple):
    """CPU seconds of all runs together, how many there were, and of one with nothing due."""

    cpu: float
    runs: int
    owed: int
    idle: float


def export(file: Path, visits: int) -> None:
    """Write visits of Monday to Saturday, a start every quarter of an hour from eight to six."""
    names = ("appointment_id", "date", "time", "duration", "status", "patient_id", "patient_name",
             "email", "doctor_id", "doctor_name")  # fmt: skip
    with file.open("w", newline="", encoding="utf-8") as out:
        rows = csv.writer(out)
        rows.writerow(names)
        for n in range(visits):
            day, quarter = divmod(n * 240 // visits, 40)  # in their order, as exports are
            start = MONDAY + timedelta(days=day, minutes=15 * quarter)
            rows.writerow(
                (f"A{n:06d}", f"{start:%Y-%m-%d}", f"{start:%H:%M}", 15, "scheduled", f"P{n}",
                 f"Pat {n}", f"patient{n}@mail.example", f"D{n % 400}", "Dr. Braun")
            )  # fmt: skip


@contextmanager
def clinics(visits: int) -> Iterator[Callable[[datetime], Clinic]]:
    """Give the clinic as it is at any hour; it has imported its visits and planned nothing."""
    from clinicrelay.ids import ulid
    from clinicrelay.settings import load
    from sync import reads
    from sync.clinic import Clinic
    from sync.store import open_store

    folder = Path(tempfile.mkdtemp(prefix="clinicrelay-bench-"))
    (folder / "settings.yaml").write_text(SETTINGS, encoding="utf-8")
    export(folder / "export.csv", visits)
    drop(folder, folder / "export.csv")
    settings = load(folder / "settings.yaml").settings
    store = open_store(settings.store_url, settings.clinic.id, now=BOOKED)

    def at(now: datetime) -> Clinic:
        return Clinic(settings, store, run=ulid(datetime.now(UTC)), now=now, rehearsed=True)

    try:
        reads.pull(at(BOOKED), "reception")
        yield at
    finally:
        store.close()
        shutil.rmtree(folder)


def week(visits: int) -> Week:
    """Plan a week, a quarter of an hour after the other."""
    from sync import steps

    with clinics(visits) as at:
        now, spent, sent = BOOKED, list[float](), 0
        while now <= END:
            clinic = at(now)
            with spending() as one:
                steps.plan(clinic)
            spent.append(one[0].cpu)
            sent += take_as_sent(clinic.store, now)
            now += timedelta(minutes=15)
        return Week(sum(spent), len(spent), sent, idle(at))


def idle(at: Callable[[datetime], Clinic]) -> float:
    """Return the CPU seconds of the plan step when nothing is due."""
    from sync import steps

    clinic = at(END)
    times = []
    for _ in range(50):
        with spending() as one:
            looked_at = steps.plan(clinic)
        assert not looked_at
        times.append(one[0].cpu)
    return statistics.median(times)


def take_as_sent(store: Store, now: datetime) -> int:
    """Note everything that is due as sent, and told."""
    from sync.store import bulk, dialects, said, seconds
    from sync.store.shards import SHARDS

    at = seconds(now)
    with store.write() as connection:
        due = [
            one
            for shard in range(SHARDS)
            for one in said.due(
                connection, store.clinic, shard, said.Pass.ALL, now=now, limit=1_000_000
            )
        ]
        dialects.run_many(
            connection,
            "UPDATE messages SET state = 'sent', settled_at = ? WHERE id = ?",
            [(at, one.id) for one in due],
        )
        bulk.write(
            connection,
            "told",
            ("clinic", "appointment", "recipient", "facts", "told_at", "told_by", "kind"),
            [
                (store.clinic, one.appointment, one.say.recipient,
                 msgspec.json.encode(one.say.facts).decode(), at, one.dedupe, one.say.kind.value)
                for one in due
            ],
            update=("facts", "told_at", "told_by", "kind"),
        )  # fmt: skip
    return len(due)


def main() -> None:
    """Print a line a figure."""
    parser = argparse.ArgumentParser(prog="python -m bench.planning", description=__doc__)
    parser.add_argument("--visits", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    asked = parser.parse_args()
    gc.set_threshold(*GARBAGE)
    found = show(lines(asked))
    if asked.write:
        write("planning", found, asked.rounds)


def lines(asked: argparse.Namespace) -> Iterator[Line]:
    """Yield the table."""
    weeks = [week(asked.visits) for _ in range(asked.rounds)]
    if any(one.owed != 3 * asked.visits for one in weeks):
        raise SystemExit(f"not every visit got its three reminders: {weeks}")
    what = f"{asked.visits:,} visits, {len(STEPS)} steps each, planned every quarter of an hour"
    cpu, idle_ms = statistics.median(w.cpu for w in weeks), statistics.median(w.idle for w in weeks)
    yield Line(what, f"{weeks[0].runs} runs", f"{cpu:.1f} s CPU", "10 s")
    yield Line(
        "a run of the plan step with nothing due", "", f"{idle_ms * 1000:.2f} ms CPU", "1 ms"
    )


if __name__ == "__main__":
    main()
