"""`once`: one cycle of the line, for cron and CronJobs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sync import reads, steps
from sync.report import RunReport, SourceReport
from sync.runners.beside import Reads
from sync.runners.in_time import InTime, in_time
from sync.store import progress

if TYPE_CHECKING:
    from sync.clinic import Clinic

TOGETHER = 20.0  # seconds that everybody waits for the slowest source


def sync(clinic: Clinic, sources: Sequence[str] = ()) -> RunReport:
    """Pull every source (or those named), then plan and deliver; record the run.

    When a source takes long, what is due and what the others brought is delivered meanwhile; a run
    whose time is up ends, and the next one goes on.
    """
    report = RunReport(clinic.run, clinic.now, clinic.standing().mode(clinic.now))
    _started(clinic, "sync")
    steps.heed_settings(clinic)
    with in_time(clinic) as ending:
        _cycle(clinic, report, [*(sources or clinic.settings.sources)], ending)
        report.cut, report.stopped = ending.is_up, ending.is_told
    # One that found another at work does nothing: the other may hang.
    command = "busy" if report.busy else "sync"
    report.alerts = steps.alert(clinic, report.messages, command, whole=True)
    steps.tidy(clinic)
    _finished(clinic, report)
    return report


def _cycle(clinic: Clinic, report: RunReport, names: Sequence[str], ending: InTime) -> None:
    reads = Reads(clinic, names)
    ended, delivered = reads.wait(TOGETHER), -1
    while not ended and not clinic.ending.is_set():
        if len(reads.done) > delivered:
            report.sources, delivered = reads.done, len(reads.done)
            _deliver(clinic, report)
        ended = reads.wait_for_one()
    report.sources = {**reads.done, **_unfinished(names, reads, ending)}
    if all(source.state == "busy" for source in report.sources.values()):
        report.busy = not report.changed
    else:
        _deliver(clinic, report)
        steps.take_stock(clinic)


def _unfinished(names: Sequence[str], reads: Reads, ending: InTime) -> dict[str, SourceReport]:
    """Return what to say of the sources whose read had no end when the run's time was up."""
    note = "still being read when the run's time was up (runner.budget): the next run goes on"
    late = [name for name in names if name not in reads.done] if ending.is_up else []
    return {name: SourceReport("partial", unfinished=True, notes=[note]) for name in late}


def send(clinic: Clinic) -> RunReport:
    """Send what is due now: planned messages, retries, unknowns; pull nothing."""
    report = RunReport(clinic.run, clinic.now, clinic.standing().mode(clinic.now))
    _started(clinic, "send")
    with in_time(clinic) as ending:
        steps.settle(clinic, report.messages)
        steps.look_back(clinic, report.messages)
        if steps.plan(clinic) is None or not steps.deliver_messages(clinic, report.messages):
            report.others = report.messages.worked
            report.busy = not report.others
        report.cut, report.stopped = ending.is_up, ending.is_told
    report.alerts = steps.alert(clinic, report.messages, "send", whole=False)
    _finished(clinic, report)
    return report


def reconcile(clinic: Clinic) -> RunReport:
    """Read every source, ask about what may have left before, deliver nothing (`sync.restored`)."""
    report = RunReport(clinic.run, clinic.now, clinic.standing().mode(clinic.now))
    _started(clinic, "resume")
    reads = Reads(clinic, [*clinic.settings.sources])
    ended = reads.wait(TOGETHER)
    while not ended and not clinic.ending.is_set():
        ended = reads.wait_for_one()
    report.sources = reads.done
    steps.settle(clinic, report.messages)
    if steps.plan(clinic) is None:
        report.busy = True
    steps.settle(clinic, report.messages)
    _finished(clinic, report)
    return report


def replay(clinic: Clinic, sources: Sequence[str], since: datetime) -> RunReport:
    """Map once more what sources said since a moment, and let calendars and people follow."""
    report = RunReport(clinic.run, clinic.now, clinic.standing().mode(clinic.now))
    _started(clinic, "replay")
    for name in sources or clinic.settings.sources:
        if not clinic.ending.is_set():
            report.sources[name] = reads.replay(clinic, name, since)
    report.busy = all(source.state == "busy" for source in report.sources.values())
    if not report.busy:
        _deliver(clinic, report)
    _finished(clinic, report)
    return report


def deliver(clinic: Clinic, command: str) -> RunReport:
    """Plan and deliver what a person has just released."""
    report = RunReport(clinic.run, clinic.now, clinic.standing().mode(clinic.now))
    _started(clinic, command)
    _deliver(clinic, report)
    _finished(clinic, report)
    return report


def _deliver(clinic: Clinic, report: RunReport) -> None:
    if clinic.ending.is_set():
        return  # the next run does
    if steps.waits(clinic):  # people first: calendars may take their time
        _tell(clinic, report)
    for name, run in steps.deliver_events(clinic).items():
        report.calendars[name] = run.after(report.calendars.get(name))


def _tell(clinic: Clinic, report: RunReport) -> None:
    """Settle, plan and send; where a restored store keeps something back, once more for that."""
    steps.settle(clinic, report.messages)
    steps.look_back(clinic, report.messages)
    steps.plan(clinic)
    if steps.keeps_back(clinic):
        steps.settle(clinic, report.messages)
        steps.plan(clinic)
    steps.deliver_messages(clinic, report.messages)


def _started(clinic: Clinic, command: str) -> None:
    with clinic.store.write() as connection:
        progress.run_started(
            connection,
            clinic.store.clinic,
            clinic.run,
            command,
            now=clinic.now,
            at=datetime.now(UTC),
        )


def _finished(clinic: Clinic, report: RunReport) -> None:
    report.leaves(steps.counts(clinic))
    with clinic.store.write() as connection:
        progress.run_finished(
            connection,
            clinic.run,
            exit_code=report.exit,
            report=report.json(),
            at=datetime.now(UTC),
        )
