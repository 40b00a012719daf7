"""The crash lab: `make crashlab ARGS="--store postgres"`. Every point of a sync is killed or disturbed.

A clinic with a system of its own, Google and Twilio is synchronised again and again, each time killed
at another commit, file move or request, or with an answer dropped, a 500, a 429 there. It is run until
all is done, at most three times, and once more, which is to change nothing; then what is kept and what
calendars and telephones have is compared with a sync that nobody disturbed. Exit 1 where one differs.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from tests.crash.enumeration import Case, Found, Lab, lab
from tests.crash.killer.flaws import FLAWS

OUT = Console(highlight=False, soft_wrap=True, width=110)
A_WHILE = 25  # cases
ENOUGH = 3  # bad cases of a deliberate mistake


class Tally(NamedTuple):
    """What one enumeration came to."""

    store: str
    program: str
    points: int
    tried: list[Found]
    seconds: float

    @property
    def bad(self) -> list[Found]:
        return [one for one in self.tried if one.wrong]

    @property
    def cells(self) -> list[str]:
        kills = sum(one.case.kills and one.reached for one in self.tried)
        faults = sum(not one.case.kills and one.reached for one in self.tried)
        missed = sum(not one.reached for one in self.tried)
        counts = (self.points, len(self.tried), kills, faults, missed, len(self.bad))
        return [self.store, self.program, *map(str, counts), f"{self.seconds:.0f}"]


HEADINGS = (
    *("store", "program", "points", "tried", "kills", "faults", "not reached", "bad cases"),
    "seconds",
)


def main() -> int:
    said = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # not without dropping its databases
    OUT.print(f"seed {said.seed}")
    tallies = []
    with tempfile.TemporaryDirectory() as folder, lab(Path(folder), said.store) as made:
        looks = f"{made.looks} more before and after looks at the store are no cases"
        OUT.print(f"{said.store}: {len(made.cases)} points; {looks}: nothing lasts there")
        if said.flaw is None:
            chosen = made.some(said.sample, said.seed) if said.sample else made.cases
            chosen = [case for case in chosen if said.point in case.name]
            tallies.append(tally(made, chosen, said.store))
        for flaw in flaws(said.flaw):
            made.flaw = flaw
            drawn = made.some(len(made.cases), said.seed)
            kills = [case for case in drawn if case.kills and said.point in case.name]
            tallies.append(tally(made, kills[: said.sample or None], said.store, flaw))
    show(tallies)
    return ended(tallies)


def arguments() -> argparse.Namespace:
    words = argparse.ArgumentParser(prog="make crashlab", description=__doc__)
    words.add_argument("--store", choices=["sqlite", "postgres", "mysql"], default="sqlite")
    words.add_argument("--sample", type=int, default=0, help="try only so many points, by chance")
    words.add_argument(
        "--seed", default=f"{datetime.now(UTC):%Y-%m-%d}", help="which ones (today's date)"
    )
    words.add_argument("--point", default="", help="try those alone that are called like this")
    words.add_argument(
        "--flaw",
        choices=["all", *FLAWS],
        help=f"let the program make a mistake on purpose, and try until {ENOUGH} bad cases are found",
    )
    return words.parse_args()


def flaws(said: str | None) -> Iterable[str]:
    return FLAWS if said == "all" else [said] if said else []


def tally(made: Lab, cases: list[Case], store: str, flaw: str = "") -> Tally:
    """Try cases one after another, and say each bad one as it is found."""
    began, tried = time.monotonic(), list[Found]()
    for case in cases:
        tried.append(found := made.try_(case))
        if found.wrong:
            OUT.print(f"{flaw or 'BAD'}: {case.name}: {found.wrong[:400]}", markup=False)
        if len(tried) % A_WHILE == 0:
            OUT.print(f"{len(tried)} of {len(cases)} tried")
        if flaw and sum(bool(one.wrong) for one in tried) == ENOUGH:
            break
    seconds = time.monotonic() - began
    return Tally(store, flaw or "as it is", len(made.cases), tried, seconds)


def show(tallies: Iterable[Tally]) -> None:
    table = Table(*HEADINGS)
    for one in tallies:
        table.add_row(*one.cells)
    OUT.print(table)


def ended(tallies: Iterable[Tally]) -> int:
    """Return 0 where the program as it is has no bad case, and each mistake was seen."""
    wrong = [one for one in tallies if bool(one.bad) == (one.program == "as it is")]
    for one in wrong:
        what = "bad cases" if one.bad else "nobody saw the mistake"
        OUT.print(f"{one.store}, {one.program}: {what}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
