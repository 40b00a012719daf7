"""The last page of the demo: what happened in numbers, where to look, and what to type next."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from clinicrelay.times import local
from commands._call import Call
from commands._frame import clinic
from commands._sample import found
from commands._sample.found import Said
from commands._sample.people import ZONE
from commands._sample.play import SOURCE
from commands._sample.week import Week

_KINDS = ("confirmation", "change", "cancellation", "reminder", "digest")


class _Kept(NamedTuple):
    """What the store holds at the end, in numbers."""

    ahead: int
    aside: Sequence[str]
    holds: int
    dissolved: int


def end(folder: Path, file: Path, week: Week, *, held: int) -> Iterator[str]:
    """Yield the last page, line by line; `held` is how many reads a guard stopped on the way."""
    said = found.messages(folder)
    yield ""
    yield from _table(_rows(_kept(file, week, held), said, found.calendars(folder)))
    yield ""
    yield "Where to look"
    yield from _look(folder, said)
    yield ""
    yield "What to type next"
    yield from _next(file, week)


def _kept(file: Path, week: Week, held: int) -> _Kept:
    from clinicrelay.settings import load
    from clinicrelay.times import iso
    from sync.store import incoming, quarantine, visits

    now = iso(week.moments[-1].at)
    with (
        clinic(Call(settings=file, now=now), load(file, environ={})) as at_work,
        at_work.store.read() as connection,
    ):
        name = at_work.store.clinic
        listed = sorted(quarantine.listed(connection, name), key=lambda one: one["line_no"] or 0)
        ahead = visits.count_coming(connection, name, SOURCE, now=at_work.now)
        holds = len(incoming.open_holds(connection, name))
    aside = [f"{one['place']}  {one['reason']}" for one in listed]
    return _Kept(ahead, aside, holds, held - holds)


def _rows(kept: _Kept, said: list[Said], files: dict[str, int]) -> Iterator[tuple[str, str]]:
    yield "visits ahead", str(kept.ahead)
    yield "calendars", f"{len(files)} files, {sum(files.values())} events"
    for kind in _KINDS:
        ours = [one for one in said if one.kind == kind]
        if ours:
            yield f"{kind} messages", f"{len(ours)}: {_by_language(ours)}"
    yield (
        "held",
        f"{kept.dissolved} dissolved by a better export, {kept.holds} open",
    )
    for number, row in enumerate(kept.aside):
        yield f"set aside {len(kept.aside)}" if not number else "", row


def _by_language(said: list[Said]) -> str:
    languages = Counter(one.language for one in said).items()
    counted = sorted(languages, key=lambda one: (-one[1], one[0]))
    return ", ".join(f"{language} {number}" for language, number in counted)


def _table(rows: Iterator[tuple[str, str]]) -> Iterator[str]:
    """A table with lines for a person who watches, plain columns for a pipe."""
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        table = Table(show_header=False)
        for row in rows:
            table.add_row(*row)
        with (console := Console()).capture() as captured:
            console.print(table)
        yield captured.get().rstrip()
        return
    for what, numbers in rows:
        yield f"{what:<22}{numbers}".rstrip()


def _look(folder: Path, said: list[Said]) -> Iterator[str]:
    examples = {
        "a doctor's calendar": min((folder / "data" / "calendars").glob("*.ics"), default=None),
        "a confirmation with its invitation": _first(said, "confirmation", "email"),
        "a reminder by SMS": _first(said, "reminder", "sms"),
        "a doctor's list of the day": _first(said, "digest", "email"),
        "the last export, read": max((folder / "drops").rglob("*.csv"), default=None),
        "the settings": folder / "settings.yaml",
    }
    for what, file in examples.items():
        if file is not None:
            yield f"  {what:<36}{file}"


def _first(said: list[Said], kind: str, channel: str) -> Path | None:
    return next((s.file for s in said if s.kind == kind and s.channel == channel), None)


def _next(file: Path, week: Week) -> Iterator[str]:
    """Yield commands that can be pasted; the clock of the sample clinic stands where its week ended."""
    clock = f"--now {local(week.moments[-1].at, ZONE):%Y-%m-%dT%H:%M}"
    program = _program()
    for command, why in (
        (f"why {SOURCE}/{week.moved} {clock}", "the life of a visit that was moved"),
        (f"why {SOURCE}/{week.vanished} {clock}", "and of one that vanished from the export"),
        ("quarantine list", "the rows that were set aside, each with its line"),
        (f"status {clock}", "is everything as it should be?"),
        (f"plan --until 2d {clock}", "what will be said in the next two days"),
    ):
        yield f"  {program} {command} --settings {_quoted(file)}"
        yield f"      {why}"
    yield "  Then your own export: docs/quickstart.md"


def _program() -> str:
    """Return how this very program can be called again from here."""
    if shutil.which("clinicrelay"):
        return "clinicrelay"
    called = Path(sys.argv[0])
    return _quoted(called) if called.name == "clinicrelay" else "clinicrelay"


def _quoted(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))
