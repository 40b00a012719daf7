"""`clinicrelay worker`: the same steps as one of many, on RabbitMQ."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from clinicrelay.contracts import Finding
from clinicrelay.errors import SettingsError
from commands._call import Call, shared
from commands._ending import our_bug, print_findings
from commands._rhythm import rhythm

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import timedelta

    from clinicrelay.settings import Loaded
    from clinicrelay.settings.monitoring import Job
    from sync.clinic import Clinic
    from sync.report import RunReport

_TWO_BEATS = 90  # seconds; a worker that is well hears itself every 30
_JOBS: tuple[Job, ...] = ("sync", "send")


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("worker")(shared(worker))


def worker(
    call: Call,
    every: Annotated[
        str, typer.Option("--every", help="How often each source is read, such as 5m.")
    ] = "5m",
    processes: Annotated[
        int, typer.Option("--processes", min=1, max=64, help="How many jobs it does at once.")
    ] = 2,
    deaf_after: Annotated[
        str,
        typer.Option("--deaf-after", help="End with 75 when RabbitMQ was silent for so long."),
    ] = "5m",
) -> int:
    """Work beside others, woken by RabbitMQ, until told to end. For several machines."""
    rhythm, patience = _length(every, "--every"), _length(deaf_after, "--deaf-after", _TWO_BEATS)
    clinics = _clinics(call)
    from sync.runners.celery import Work
    from sync.runners.celery_worker import run
    from sync.runners.fleet import Fleet
    from sync.runners.jobs import STOCK

    runner = clinics[0].settings.runner
    fleet = Fleet(
        call.settings, only=call.clinic, unusable=lambda one: unfit(one, runner), say=_say
    )
    fleet.clinics()  # before children are forked: what stands now is what they fall back on
    names = ", ".join(one.settings.clinic.id for one in clinics)
    _say(f"worker for {names}: every {every}, {processes} jobs at once, queue {runner.queue}")
    work = Work(
        fleet,
        rhythm,
        _say,
        told=lambda clinic, report: _told(call, clinic, report),
        wrong=our_bug,
        over=lambda clinic, job: _watched(call, clinic) if job.step == STOCK else nullcontext(),
    )
    code = run(runner, work, processes=processes, deaf_after=patience)
    _say("ended. What was kept is kept, the other workers go on.")
    return code


def _length(text: str, option: str, shortest: int = 30) -> timedelta:
    from datetime import timedelta

    return rhythm(text, option, timedelta(seconds=shortest), timedelta(days=1))


def _clinics(call: Call) -> list[Loaded]:
    """Return the clinics to work for; of a folder those that are broken are told of and left out."""
    from clinicrelay.settings import Broken

    if call.now is not None:
        raise typer.BadParameter("a worker goes by the clock; leave it out", param_hint="--now")
    found = call.clinics()
    broken = [finding for one in found if isinstance(one, Broken) for finding in one.findings]
    whole = [one for one in found if not isinstance(one, Broken)]
    if not whole:
        raise SettingsError(broken)
    if wrong := [finding for one in whole for finding in unfit(one, whole[0].settings.runner)]:
        raise SettingsError([*broken, *wrong])
    print_findings(broken)
    return whole


def unfit(one: Loaded, shared_by_all: object) -> Sequence[Finding]:
    """Return why a clinic cannot be worked for by several processes on several machines."""
    runner, found = one.settings.runner, []
    if one.settings.store_url.startswith("sqlite"):
        message = "several workers cannot share a store in a SQLite file"
        fix = "name a PostgreSQL, MySQL or MariaDB as store.url (docs/howto/store.md), or use cron"
        found.append(_finding(one, "worker_needs_server", "store.url", message, fix))
    if runner.broker is None:
        message = "workers wake each other by RabbitMQ, and none is named"
        fix = 'add `runner: {broker: "${RABBITMQ_URL}"}` and set that variable, or use cron'
        found.append(_finding(one, "no_broker", "runner.broker", message, fix))
    elif runner != shared_by_all:
        message = "the clinics of a worker share one RabbitMQ and one queue, and these differ"
        fix = "write the same `runner` into each file, or start a worker for each with --clinic"
        found.append(_finding(one, "other_broker", "runner", message, fix))
    elif find_spec("celery") is None:
        fix = "pip install 'clinicrelay[celery]', or clinicrelay[all]"
        found.append(_finding(one, "no_celery", "runner", "workers need Celery", fix))
    return found


def _finding(one: Loaded, code: str, path: str, message: str, fix: str) -> Finding:
    return Finding("error", code, message, fix, file=str(one.file), path=path)


def _say(sentence: str) -> None:
    """Say something with its time and process: many workers write into one journal."""
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    print(f"{at} [{os.getpid()}] {sentence}", file=sys.stderr, flush=True)


@contextmanager
def _watched(call: Call, clinic: Clinic) -> Iterator[None]:
    """Let who watches from outside hear, once in a round of the fleet, how a clinic stands.

    No worker is the whole job. A round that does not end is told of by its silence.
    """
    from commands._watched import Watched, leave_numbers
    from sync import beat
    from sync.health import health

    named = [job for job in _JOBS if clinic.settings.monitoring.pinged_by(job)]
    watched = [Watched(call, job) for job in named]
    for job in watched:
        job.begin(clinic)
    try:
        yield
    finally:
        leave_numbers(clinic)
    if watched:
        told = beat.standing(health(clinic))
        for job in watched:
            job.stands(clinic, told)


def _told(call: Call, clinic: Clinic, report: RunReport) -> None:
    """Log what a job did, and say it where it did anything."""
    from commands._frame import log_of
    from commands.sync import write_log

    write_log(log_of(clinic, call), clinic, report)
    for bug in report.bugs:
        our_bug(bug)
    from commands._shown import new_needs

    failed = any(one.state == "failed" for one in report.sources.values())
    if not report.changed and not failed:
        return
    name = clinic.store.clinic
    if not call.quiet:
        _say(f"{name}: {_in_short(report)} · run {clinic.run}")
    for need in new_needs(clinic, report) if report.needs else ():
        _say(f"{name}: needs a person: {need.what}   {need.command}")


def _in_short(report: RunReport) -> str:
    parts = [
        f"{name} {', '.join(f'{what} {n}' for what, n in one.changes.items()) or one.state}"
        for name, one in report.sources.items()
    ]
    parts += [
        f"{name} written {one.written}, removed {one.removed}"
        for name, one in report.calendars.items()
    ]
    messages = report.messages
    counts = {"sent": messages.sent, "rehearsed": messages.rehearsed, "failed": messages.failed}
    parts += [f"{what} {n}" for what, n in counts.items() if n]
    return ", ".join(parts)
