"""Plays one moment of the sample week on the real machinery, and says what did not come of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clinicrelay.times import iso
from commands._call import Call
from commands._frame import clinic, log_of
from commands._sample import found
from commands._sample.folder import drop
from commands._sample.week import Moment

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.report import RunReport

SOURCE = "reception"


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a moment: the lines of the run, its report, and what is missing of it."""

    lines: list[str]
    report: RunReport
    missing: list[str]

    @property
    def held(self) -> int:
        """How many guards struck."""
        return sum(len(source.held) for source in self.report.sources.values())


def play(folder: Path, file: Path, moment: Moment) -> Played:
    """Drop the export of a moment, run `sync` at that time, and compare."""
    from clinicrelay.settings import load
    from commands._shown import run_lines
    from commands.sync import write_log
    from sync.runners import once

    if moment.content is not None:
        drop(folder, moment.content, moment.at)
    before = found.kinds(found.messages(folder))
    call = Call(settings=file, now=iso(moment.at))
    # No variable of the environment may point the demo at a real clinic's store.
    with clinic(call, load(file, environ={})) as at_work:
        report = once.sync(at_work)
        write_log(log_of(at_work, call), at_work, report)
        lines = run_lines(at_work, report)
        aside = _lines_set_aside(at_work) if moment.expected.lines else []
    said = found.kinds(found.messages(folder)) - before
    events = sum(found.calendars(folder).values())
    return Played(lines, report, list(_missing(moment, report, said, aside, events)))


def _lines_set_aside(at_work: Clinic) -> list[int]:
    """Return the lines of the export just read that nobody could understand."""
    from sync.store import quarantine

    store = at_work.store
    with store.read() as connection:
        things = quarantine.listed(connection, store.clinic, at_work.run)
    return sorted(one["line_no"] for one in things)


def _missing(
    moment: Moment, report: RunReport, said: Counter[str], aside: list[int], events: int
) -> Iterator[str]:
    """Say what should have come of a moment and did not."""
    expected, source = moment.expected, report.sources[SOURCE]
    yield from _unlike("exit code", expected.exit, report.exit)
    yield from _unlike("changes", dict(expected.changes), source.changes)
    yield from _unlike("lines set aside", sorted(expected.lines), aside)
    yield from _unlike("things held", expected.held, report.open_holds)
    yield from _unlike("events in calendars", expected.events, events)
    for kind, number in expected.messages.items():
        yield from _unlike(f"{kind} messages", number, said[kind])
    yield from (f"no {kind} left" for kind in expected.some if not said[kind])
    if expected.nothing and report.changed:
        yield "nothing should have changed"


def _unlike(what: str, expected: object, came: object) -> Iterator[str]:
    if expected != came:
        yield f"{what}: {expected} expected, {came} came"
