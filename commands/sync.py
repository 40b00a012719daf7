"""`clinicrelay sync`: one cycle: pull, map, guard, keep, plan, deliver."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from clinicrelay.contracts import Finding
from clinicrelay.errors import SettingsError
from commands._call import Call, shared
from commands._ending import our_bug
from commands._frame import Answer, each, log_of
from commands._watched import Watched

if TYPE_CHECKING:
    from clinicrelay.log import Log
    from sync.clinic import Clinic
    from sync.report import RunReport


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("sync")(shared(sync))


def sync(
    call: Call,
    source: Annotated[
        list[str] | None, typer.Option("--source", help="Only this source; may be repeated.")
    ] = None,
) -> int:
    """Read every source, then bring calendars and messages up to date. For cron and CronJobs."""
    watched = Watched(call, "sync")
    return each(
        call,
        lambda at_work: _sync(call, at_work, source or [], watched),
        writes=True,
        ended=watched.ended,
    )


def _sync(call: Call, at_work: Clinic, names: list[str], watched: Watched) -> Answer:
    from commands._shown import progress
    from sync.runners import once

    check_names(at_work, names)
    with watched.over(at_work):
        with progress(call, at_work):
            report = once.sync(at_work, names)
        watched.heard(at_work, report)
    return reported(call, at_work, report)


def reported(call: Call, at_work: Clinic, report: RunReport) -> Answer:
    """Log what a run did, and tell it."""
    from commands._shown import news, run_lines

    write_log(log_of(at_work, call), at_work, report)
    for bug in report.bugs:
        our_bug(bug)
    lines = news(at_work, report) if call.quiet else run_lines(at_work, report)
    return Answer(report.json(), lines, report.exit, new=bool(lines))


def check_names(at_work: Clinic, names: list[str]) -> None:
    """Raise SettingsError for a source that is not in the settings."""
    unknown = [name for name in names if name not in at_work.settings.sources]
    if unknown:
        there = ", ".join(at_work.settings.sources)
        raise SettingsError(
            [
                Finding(
                    "error",
                    "unknown_source",
                    f"there is no source {name!r}",
                    f"the sources are: {there}",
                    file=str(at_work.file),
                )
                for name in unknown
            ]
        )


def write_log(log: Log, at_work: Clinic, report: RunReport) -> None:
    """Log what a run did; a run that did nothing leaves no line (the store knows of it)."""
    for name, step in report.alerts.items():
        write = log.error if step == "opened" else log.info
        write(f"alert.{step}", run=report.run, clinic=at_work.store.clinic, reason=name)
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
    for name, calendar in report.calendars.items():
        for reason, number in Counter(one.reason for one in calendar.blocked).items():
            log.error(
                "calendar.blocked", run=report.run, calendar=name, reason=reason, calendars=number
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
