"""`clinicrelay log`: what the runs wrote down, the record of one of them, and what comes as it comes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clinicrelay.errors import SettingsError, StoreBusy
from clinicrelay.times import iso, local
from commands._call import Call, shared
from commands._ending import DONE, say
from commands._frame import one_of

if TYPE_CHECKING:
    from datetime import datetime

    from clinicrelay.settings import Loaded
    from sync.logbook import Line, Wanted
    from sync.store.runs import Run

_MOST, _BEFORE_FOLLOWING = 50, 10
_LOOK_AGAIN = 0.5  # seconds
_COLOURS = {"error": "bold red", "warning": "yellow"}


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("log")(shared(log))


def log(
    call: Call,
    run: Annotated[
        str,
        typer.Option(metavar="ID", help="Only this run (the beginning of its id), and its record."),
    ] = "",
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is written; Ctrl-C ends it.")
    ] = False,
    level: Annotated[
        str, typer.Option(help="Only what is as grave: debug, info, warning or error.")
    ] = "debug",
    most: Annotated[
        int | None,
        typer.Option("-n", min=0, help="How many lines. [default: 50; all of a run]"),
    ] = None,
) -> int:
    """Read the log: what runs did, failed at and held, the newest last. --json: lines as they are."""
    from sync.logbook import LEVELS, Wanted

    if level not in LEVELS:
        raise typer.BadParameter(f"one of {', '.join(LEVELS)}", param_hint="--level")
    wanted = Wanted(level, _checked(run))
    return _log(call, one_of(call), wanted, most, follow=follow)


def _checked(run: str) -> str:
    """Return the beginning of a run's id; `run ` before it is what was copied along."""
    wanted = run.strip().removeprefix("run").strip().upper()
    if run and not (wanted.isalnum() and wanted.isascii()):
        raise typer.BadParameter(
            "write the id of a run as its first line names it, or the beginning of it",
            param_hint="--run",
        )
    return wanted


def _log(call: Call, loaded: Loaded, wanted: Wanted, most: int | None, *, follow: bool) -> int:
    from sync import logbook

    file = loaded.settings.log_file
    usual = None if wanted.run else _BEFORE_FOLLOWING if follow else _MOST
    records = _records(call, loaded, wanted.run) if wanted.run else []
    end = logbook.whole_lines(file)
    lines = (
        logbook.last(file, wanted, usual if most is None else most, end=end) if most != 0 else []
    )
    _refuse_unknown(wanted, records, lines, follow=follow)
    printer = _Printer(call, loaded.settings.clinic.timezone)
    printer.head(loaded)
    for record in records:
        printer.record(record)
    printer.lines(lines)
    if follow:
        _follow(printer, logbook.follow(file, wanted, _wait, after=end))
    elif not lines and not call.as_json:
        print(f"No line of it is in {file}." if records else f"There is nothing in {file} so far.")
    return DONE


def _wait() -> None:
    time.sleep(_LOOK_AGAIN)


def _follow(printer: _Printer, lines: Iterator[Line]) -> None:
    try:
        printer.lines(lines)
    except KeyboardInterrupt:
        return


def _records(call: Call, loaded: Loaded, run: str) -> list[Run]:
    """Return what the store knows of a run; a store that does not answer hides no line of the log."""
    from commands._frame import clinic
    from sync import store as stores
    from sync.store import runs

    try:
        if not stores.exists(loaded.settings.store_url):
            return []
        with clinic(call, loaded) as at_work, at_work.store.read() as connection:
            return runs.beginning(connection, at_work.store.clinic, run)
    except (StoreBusy, SettingsError) as error:
        say(f"The run's record cannot be read: {error}.")
        return []


def _refuse_unknown(wanted: Wanted, records: list[Run], lines: list[Line], *, follow: bool) -> None:
    if wanted.run and not records and not lines and not follow:
        raise typer.BadParameter(
            f"no run of this clinic begins with {wanted.run}", param_hint="--run"
        )


# --- told ----------------------------------------------------------------------------------------


class _Printer:
    """Prints lines as they come: for a person, as plain lines for a pipe, or as they are."""

    def __init__(self, call: Call, zone: str) -> None:
        self.call = call
        self.zone = zone

    def head(self, loaded: Loaded) -> None:
        if self.call.on_terminal:
            print(f"{loaded.settings.clinic.name} · {loaded.settings.log_file}")

    def lines(self, lines: Iterable[Line]) -> None:
        for line in lines:
            if self.call.as_json:
                print(line.text, flush=True)
            elif self.call.on_terminal:
                self._coloured(line)
            else:
                print(self._plain(line), flush=True)

    def record(self, run: Run) -> None:
        if self.call.as_json:
            print(json.dumps(_record_json(run), ensure_ascii=False))
        else:
            print("\n".join(self._record(run)))

    def _plain(self, line: Line) -> str:
        at = iso(line.at) if line.at else "-"
        fields = line.fields
        head = (at, _printable(fields.get("level", "-")), _printable(fields.get("event", "-")))
        return " ".join([*head, *_pairs(line)])

    def _coloured(self, line: Line) -> None:
        from rich.console import Console
        from rich.text import Text

        level = str(line.fields.get("level", ""))
        shown = Text()
        shown.append(f"{self._clock(line.at)}  ", "dim")
        shown.append(f"{_printable(level):<8}", _COLOURS.get(level, ""))
        shown.append(f"{_printable(line.fields.get('event', '-')):<14}", "bold")
        shown.append(f"  {'  '.join(_pairs(line))}")
        Console().print(shown, soft_wrap=True)

    def _clock(self, at: datetime | None) -> str:
        return f"{local(at, self.zone):%d %b %H:%M:%S}" if at else f"{'-':<15}"

    def _record(self, run: Run) -> Iterator[str]:
        at = self._clock if self.call.on_terminal else lambda at: iso(at) if at else "-"
        ended = f"to {at(run.finished)}" if run.finished else "not finished"
        code = "-" if run.exit is None else run.exit
        yield f"run {run.id}  {run.command}  {at(run.started)} {ended}  exit {code}"
        if run.business_time.replace(second=0) != run.started.replace(second=0):
            yield f"  as if it were {at(run.business_time)}"
        yield from (f"  {line}" for line in _report_lines(run.report or {}))


def _report_lines(report: dict[str, Any]) -> Iterator[str]:
    """Yield a run's report in counts: one line a source and calendar, one for messages."""
    for section in ("sources", "calendars"):
        for name, one in report.get(section, {}).items():
            yield f"{name:<12}{'  '.join(_counts(one))}"
    if said := "  ".join(_counts(report.get("messages", {}))):
        yield f"{'messages':<12}{said}"
    for need in report.get("needs", []):
        yield f"{need['what']}  {need['command']}"


def _counts(one: dict[str, Any]) -> Iterator[str]:
    for name, value in one.items():
        if isinstance(value, dict):
            yield from _counts(value)
        elif isinstance(value, list):
            yield from [f"{name} {len(value)}"] if value else []
        elif value not in (None, 0, "", False):
            yield f"{name} {_printable(value)}"


def _record_json(run: Run) -> dict[str, Any]:
    return {
        "event": "run.record",
        "at": iso(run.started),
        "run": run.id,
        "command": run.command,
        "finished": iso(run.finished) if run.finished else None,
        "business_time": iso(run.business_time),
        "exit": run.exit,
        "report": run.report,
    }


def _pairs(line: Line) -> Iterator[str]:
    for name, value in line.shown.items():
        bare = isinstance(value, str) and " " not in value
        yield f"{name}={_printable(value if bare else json.dumps(value, ensure_ascii=False))}"


def _printable(value: object) -> str:
    """Return a value without what would move a terminal's cursor or begin a line."""
    return "".join(c if c.isprintable() else "?" for c in str(value))
