"""The line cut into jobs that many processes share; each does one and says what is to be done next.

A job is a step of one clinic. It may be done at any time, by anybody, twice at once, or never: a sweep
finds by the store alone what is due, so a wake-up that is lost comes again and one too many finds
nothing to do. Nothing here knows by what processes wake each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from sync import planner, steps
from sync.report import RunReport
from sync.runners import beside
from sync.store import calendars, events, progress, receipts, said, seconds
from sync.store.leases import EVERY, take_turn
from sync.store.said import Pass

if TYPE_CHECKING:
    from sync.clinic import Clinic

COMMAND = "worker"
STOCK = "stock"  # the job that a fleet does once in a round, whatever is due
PERIOD = timedelta(seconds=30)  # from one sweep to the next
_EARLY = timedelta(seconds=10)  # a turn ends a little before the next sweep comes
_AT_ONCE = 4  # calendars that one push sees to beside each other, as a rule
_MOST_PUSHES = 4


class NoSuchStep(LookupError):
    """A wake-up names a step that this version does not know."""


class Job(NamedTuple):
    """A step, and of what: a source, a shard of recipients, a calendar plugin; "" where it is of all."""

    step: str
    of: str = ""


class Done(NamedTuple):
    """What a job did, and the jobs that follow from it."""

    report: RunReport
    next: Sequence[Job]


def sweep(clinic: Clinic, *, every: timedelta) -> list[Job]:
    """Return what is due now; nothing where another process has just swept.

    Each source is read, and each calendar looked at, once in `every`; all else when it is due.
    """
    if not take_turn(clinic.store, "sweep", PERIOD - _EARLY):
        return []
    turn = max(every - _EARLY, _EARLY)
    reads = [
        Job("pull", name)
        for name in clinic.settings.sources
        if take_turn(clinic.store, f"{EVERY}pull:{name}"[:80], turn)
    ]
    looks = [
        Job("push", name)
        for name in clinic.settings.calendars
        if take_turn(clinic.store, f"{EVERY}push:{name}"[:80], turn)
    ]
    stocks = [Job(STOCK)] if take_turn(clinic.store, f"{EVERY}stock", turn) else []
    due = [*_due(clinic, _FOLLOWS["sweep"])]
    return [*reads, *due, *(look for look in looks if look not in due), *stocks]


def do(clinic: Clinic, job: Job) -> Done:
    """Do a job, record what it did, and return what follows. Raises NoSuchStep."""
    if job.step not in _DO:
        raise NoSuchStep
    report = RunReport(clinic.run, clinic.now, clinic.standing().mode(clinic.now))
    began = datetime.now(UTC)
    _DO[job.step](clinic, job.of, report)
    if _is_worth_a_record(report):
        _record(clinic, report, began)
    return Done(report, _what_follows(clinic, job, report))


def _what_follows(clinic: Clinic, job: Job, report: RunReport) -> list[Job]:
    follows = [*_due(clinic, _FOLLOWS[job.step])]
    if clinic.ending.is_set():
        follows.append(job)  # what it did not come to
    elif job.step == "push" and report.changed:
        follows += [one for one in _due(clinic, ("push",)) if one == job]
    elif job.step == "send" and report.messages.looked_again and report.messages.worked:
        follows += [one for one in _due(clinic, ("send",)) if one != job]
    return follows


# --- the steps -----------------------------------------------------------------------------------


def _pull(clinic: Clinic, source: str, report: RunReport) -> None:
    if source in clinic.settings.sources:  # else the settings were edited since
        report.sources[source] = beside.pulled(clinic, source)


def _settle(clinic: Clinic, _of: str, report: RunReport) -> None:
    steps.settle(clinic, report.messages)
    steps.look_back(clinic, report.messages)


def _plan(clinic: Clinic, _of: str, _report: RunReport) -> None:
    steps.plan(clinic)


def _send(clinic: Clinic, shard: str, report: RunReport) -> None:
    steps.deliver_messages(clinic, report.messages, [int(shard)])


def _push(clinic: Clinic, name: str, report: RunReport) -> None:
    report.calendars = steps.deliver_events(clinic, [name])


def _alert(clinic: Clinic, _of: str, report: RunReport) -> None:
    report.alerts = steps.alert(clinic, report.messages, COMMAND, whole=False)


def _stock(clinic: Clinic, _of: str, report: RunReport) -> None:
    """See what fails without an error, and to what is old: too much to look at in every sweep."""
    steps.heed_settings(clinic)
    steps.take_stock(clinic)
    report.alerts = steps.alert(clinic, report.messages, COMMAND, whole=True)
    steps.tidy(clinic)


_DO: Mapping[str, Callable[[Clinic, str, RunReport], None]] = {
    "pull": _pull,
    "settle": _settle,
    "plan": _plan,
    "send": _send,
    "push": _push,
    "alert": _alert,
    STOCK: _stock,
}


# --- what is due -----------------------------------------------------------------------------------


def _due(clinic: Clinic, wanted: Sequence[str]) -> Iterator[Job]:
    """Yield the jobs of these steps for which there is something to do; nothing is written."""
    for step in wanted:
        yield from _DUE[step](clinic)


def _to_decide(clinic: Clinic) -> Iterator[Job]:
    """What became of attempts is found out before it is planned, which goes by what was told."""
    store, now = clinic.store, clinic.now
    with store.read() as connection:
        unsettled = bool(said.shards_with_open(connection, store.clinic, now=now))
        unsettled = unsettled or bool(receipts.to_ask(connection, store.clinic, now=now, limit=1))
    if unsettled:
        yield Job("settle")
    else:
        yield from _to_plan(clinic)


def _to_plan(clinic: Clinic) -> Iterator[Job]:
    if planner.waits(clinic):
        yield Job("plan")


def _to_send(clinic: Clinic) -> Iterator[Job]:
    with clinic.store.read() as connection:
        shards = said.shards_with_due(connection, clinic.store.clinic, Pass.ALL, now=clinic.now)
    return (Job("send", str(shard)) for shard in shards)


def _to_push(clinic: Clinic) -> Iterator[Job]:
    """Yield a push for every few calendars that wait: whoever does it takes those that are free.

    A calendar that cannot be written is tried again when it is its turn to be looked at.
    """
    store, now = clinic.store, clinic.now
    with store.read() as connection:
        kept = (
            calendars.kept(connection, store.clinic, since=clinic.shown_since)
            if clinic.settings.calendars
            else {}
        )
        able = {
            name
            for name, one in kept.items()
            if one.mark.state == "ok" and (one.mark.retry_at or 0) <= seconds(now)
        }
        waiting = {
            name: able.intersection(
                events.calendars(connection, store.clinic, plugin=name, now=now)
            )
            for name in clinic.settings.calendars
        }
    for name, some in waiting.items():
        for _ in range(min(-(-len(some) // _AT_ONCE), _MOST_PUSHES)):
            yield Job("push", name)


def _to_alert(clinic: Clinic) -> Iterator[Job]:
    told = clinic.settings.monitoring.alerts
    if told is not None and steps.changed_alerts(clinic, COMMAND, whole=False):
        yield Job("alert")


_DUE: Mapping[str, Callable[[Clinic], Iterator[Job]]] = {
    "decide": _to_decide,
    "plan": _to_plan,
    "send": _to_send,
    "push": _to_push,
    "alert": _to_alert,
}

_FOLLOWS: Mapping[str, Sequence[str]] = {
    "sweep": ("decide", "send", "push", "alert"),
    "pull": ("decide",),
    "settle": ("plan", "send"),
    "plan": ("send", "push"),
    "send": (),
    "push": (),
    "alert": (),
    STOCK: (),
}


# --- the record --------------------------------------------------------------------------------------


def _is_worth_a_record(report: RunReport) -> bool:
    """A read is recorded always, as its rhythm counts; all else only where it came to anything."""
    read = any(one.state != "busy" for one in report.sources.values())
    return read or report.changed or bool(report.needs or report.alerts or report.bugs)


def _record(clinic: Clinic, report: RunReport, began: datetime) -> None:
    report.leaves(steps.counts(clinic))
    store, run = clinic.store, clinic.run
    with store.write() as connection:
        progress.run_started(connection, store.clinic, run, COMMAND, now=clinic.now, at=began)
        ended, told = datetime.now(UTC), report.json()
        progress.run_finished(connection, run, exit_code=report.exit, report=told, at=ended)
