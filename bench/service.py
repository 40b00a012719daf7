"""`python -m bench.service [--thousand] [--cycles N] [--rounds R] [--write]`: what a service costs idle.

The clinics have 200 visits each, from in a week on, a CSV source with nothing waiting, a calendar
file a doctor, and a store of their own (SQLite). What is measured are the very turns of
`clinicrelay run`, one after the other: the settings and the engine that it keeps, and all else made
anew. The import is not counted.
"""

from __future__ import annotations

import argparse
import gc
import shutil
import statistics
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bench.data import START
from bench.data import write as write_export
from bench.spent import spending
from bench.table import Line, show, write
from commands.run import GARBAGE

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.report import RunReport
    from sync.runners.kept import Kept
    from sync.runners.service import Service

VISITS = 200
SETTINGS = """
version: 1
clinic: {{id: {name}, name: Bench Clinic, timezone: Europe/Berlin, country: DE, language: de}}
data: {name}
sources:
  reception: {{type: csv, contents: snapshot, inbox: drops/{name}, ready: {{settle: 0s}}}}
calendars: {{files: {{type: ics}}}}
notifiers:
  outbox: {{type: outbox}}
reminders:
  patient: {{confirmation: {{channels: [email]}}, steps: [3d, 1d, 1h]}}
"""


class Strict:
    """Hears of nothing: in a clinic that is idle nothing happens."""

    imported = False

    def over(self, clinic: Clinic, command: str) -> AbstractContextManager[None]:
        return nullcontext()

    def ended(self, clinic: Clinic, report: RunReport, command: str) -> None:
        if report.exit or (self.imported and report.changed):
            raise SystemExit(f"a clinic that should be idle was not: {report.json()}")

    def failed(self, kept: Kept, command: str, error: BaseException) -> int:
        raise SystemExit(f"{kept.name}: {command}: {error!r}")

    def says(self, kept: Kept, sentence: str) -> None:
        raise SystemExit(f"{kept.name}: {sentence}")

    def works(self, kept: Kept, command: str) -> None:
        """It always does."""


@contextmanager
def service(clinics: int) -> Iterator[Service]:
    """Give a service whose clinics have all of their visits; all but the first are copies of it."""
    from clinicrelay.settings import Loaded, load_all
    from sync.runners.service import Service

    folder = Path(tempfile.mkdtemp(prefix="clinicrelay-bench-"))
    made = Service(herald := Strict(), every=timedelta(minutes=5), ending=threading.Event())
    try:
        names = [f"c{n:04d}" for n in range(clinics)]
        settle(folder, names[0])
        # The clock is the real one: no step may fall due while all is to be idle.
        start = START.combine(datetime.now(UTC) + timedelta(days=7), START.time())
        write_export(folder / "drops" / names[0] / "export.csv", VISITS, start=start)
        made.follow([one for one in load_all(folder) if isinstance(one, Loaded)])
        everybody(made, "sync")
        herald.imported = True
        made.stores.close()
        for name in names[1:]:
            settle(folder, name)
            copy(folder / names[0], folder / name)
        made.follow([one for one in load_all(folder) if isinstance(one, Loaded)])
        everybody(made, "sync")
        yield made
    finally:
        made.stores.close()
        shutil.rmtree(folder)


def settle(folder: Path, name: str) -> None:
    """Write the settings of a clinic, and make its inbox."""
    (folder / f"{name}.yaml").write_text(SETTINGS.format(name=name), encoding="utf-8")
    (folder / "drops" / name).mkdir(parents=True)


def copy(one: Path, other: Path) -> None:
    """Make a clinic's data that of another clinic."""
    import sqlite3
    from contextlib import closing

    shutil.copytree(one, other)
    with closing(sqlite3.connect(other / "clinicrelay.db")) as store, store:
        tables = [
            t for (t,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        for table in tables:
            columns = [row[1] for row in store.execute(f"PRAGMA table_info({table})")]
            if "clinic" in columns:
                store.execute(f"UPDATE {table} SET clinic = ?", (other.name,))


def everybody(made: Service, command: Literal["sync", "send"]) -> None:
    """Give every clinic a turn."""
    from sync.runners.service import Turn

    for unit in made.units.values():
        made.do(Turn(unit, command, made.every, 0.0))


def cost(made: Service, command: Literal["sync", "send"]) -> float:
    """Return the CPU milliseconds of a turn, on average over all clinics."""
    with spending() as spent:
        everybody(made, command)
    return spent[0].cpu / len(made.units) * 1000


def resident_mb() -> float:
    """Return the memory that this process has at present."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6


def lines(asked: argparse.Namespace) -> Iterator[Line]:
    """Yield the table."""
    with service(1) as made:
        for _ in range(20):
            everybody(made, "sync")
            everybody(made, "send")
        cycles = [cost(made, "sync") for _ in range(20 * asked.rounds)]
        looks = [cost(made, "send") for _ in range(20 * asked.rounds)]
    ms = f"{statistics.median(cycles):.1f} ms CPU"
    yield Line("a cycle with nothing waiting, one clinic", "", ms, "10 ms")
    ms = f"{statistics.median(looks):.1f} ms CPU"
    yield Line("a look at what is due, when nothing is", "", ms, "none set")
    for clinics in (5, 55):
        with service(clinics) as made:
            grown, before = growth(made, asked.cycles)
        what = f"{asked.cycles} cycles and as many looks of {clinics} clinics: memory grows by"
        yield Line(what, f"{before:.0f} MB", f"{grown:.1f} MB", "2 MB")
    if asked.thousand:
        yield from _thousand(asked.rounds)


def growth(made: Service, cycles: int) -> tuple[float, float]:
    """Return by how many MB memory grows from the first tenth of the cycles on, and what it was.

    Without the pages that SQLite keeps of an open store: they become more for a day, up to 2 MB.
    """
    before = 0.0
    for n in range(cycles):
        everybody(made, "sync")
        everybody(made, "send")
        if n == cycles // 10:
            before = _settled_mb(made)
    return _settled_mb(made) - before, before


def _settled_mb(made: Service) -> float:
    made.stores.close()
    gc.collect()
    return resident_mb()


def _thousand(rounds: int) -> Iterator[Line]:
    with service(1_000) as made:
        cycles, looks = [cost(made, "sync")], [cost(made, "send")]
        gc.collect()
        before = resident_mb()
        for _ in range(1, max(rounds, 2)):
            cycles.append(cost(made, "sync"))
            looks.append(cost(made, "send"))
        gc.collect()
        memory = resident_mb()
    cycle, look = statistics.median(cycles), statistics.median(looks)
    what = f"1,000 clinics of {VISITS} visits"
    yield Line(f"{what}: a cycle of one", "", f"{cycle:.1f} ms CPU", "10 ms")
    yield Line("the same: a look of one", "", f"{look:.1f} ms CPU", "none set")
    share = cycle / 300 + look / 60  # of a second, a second, times a thousand clinics
    yield Line("the same: of one core, for ever", "", f"{share:.0%}", "none set")
    yield Line("the same: memory", "", f"{memory:.0f} MB", "none set")
    grown = f"{memory - before:.1f} MB"
    yield Line(
        "the same: memory grows after the first round by", f"{before:.0f} MB", grown, "none set"
    )


def main() -> None:
    """Print a line a figure."""
    parser = argparse.ArgumentParser(prog="python -m bench.service", description=__doc__)
    parser.add_argument("--cycles", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--thousand", action="store_true", help="1,000 clinics as well (minutes)")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    asked = parser.parse_args()
    gc.set_threshold(*GARBAGE)
    found = show(lines(asked))
    if asked.write:
        write("service", found, asked.rounds)


if __name__ == "__main__":
    main()
