"""`clinicrelay sync`: one cycle: pull, map, guard, keep, plan, deliver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from clinicrelay.contracts import Finding
from clinicrelay.errors import SettingsError
from commands._frame import (
    AsJson,
    Call,
    Now,
    Quiet,
    SettingsPath,
    Verbose,
    clinic,
    headline,
    log_of,
    print_json,
)

if TYPE_CHECKING:
    from clinicrelay.log import Log
    from clinicrelay.settings import Loaded
    from sync.clinic import Clinic
    from sync.report import RunReport


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("sync")(sync)


def sync(
    source: Annotated[
        list[str] | None, typer.Option("--source", help="Only this source; may be repeated.")
    ] = None,
    settings: SettingsPath = None,
    as_json: AsJson = False,
    now: Now = None,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Read every source, then bring calendars and messages up to date. For cron and CronJobs."""
    from sync.runners import once

    call = Call(settings, as_json, now, verbose, quiet)
    loaded = call.load()
    _check_names(loaded, source or [])
    with clinic(call, loaded) as at_work:
        from commands._shown import progress, run_lines

        with progress(call, at_work):
            report = once.sync(at_work, source or [])
        write_log(log_of(at_work, call), at_work, report)
        if as_json:
            print_json(report.json())
        elif report.changed or report.exit or not quiet:
            print("\n".join([headline(at_work, loaded), *run_lines(at_work, report)]))
    raise typer.Exit(report.exit)


def _check_names(loaded: Loaded, names: list[str]) -> None:
    unknown = [name for name in names if name not in loaded.settings.sources]
    if unknown:
        there = ", ".join(loaded.settings.sources)
        raise SettingsError(
            [
                Finding(
                    "error",
                    "unknown_source",
                    f"there is no source {name!r}",
                    f"the sources are: {there}",
                    file=str(loaded.file),
                )
                for name in unknown
            ]
        )


def write_log(log: Log, at_work: Clinic, report: RunReport) -> None:
    """Log what a run did; a run that did nothing leaves no line (the store knows of it)."""
    if not report.changed and report.exit == 0:
        return
    for name, one in report.sources.items():
        log.info(
            "source.read",
            run=report.run,
            clinic=at_work.store.clinic,
            source=name,
            reason=one.state,
            read=one.read,
            unchanged=one.unchanged,
            set_aside=one.set_aside,
            changes=one.changes,
        )
        for hold in one.held:
            log.error(
                "guard.held", run=report.run, source=name, guard=hold["guard"], held=hold["id"]
            )
    log.info(
        "run.finished",
        run=report.run,
        clinic=at_work.store.clinic,
        mode=report.mode,
        exit=report.exit,
        written=sum(c.written for c in report.calendars.values()),
        removed=sum(c.removed for c in report.calendars.values()),
        sent=report.messages.sent,
        failed=report.messages.failed,
        unknown=report.messages.unknown,
    )
