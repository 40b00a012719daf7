"""What a run says of its job to a watcher outside (`monitoring.heartbeat`): well or not, and why. Pure.

A job that does its work is well even where something waits for a person: a record that is set aside
for weeks must not hide that the job has died. It is not well where a source, a notifier or an account
of calendars is out of use as a whole, or a guard holds what a source says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from sync.reasons import base
from sync.report import BUG, DONE, NEEDS_PERSON, SETTINGS, TRY_AGAIN

if TYPE_CHECKING:
    from sync.breaker import Barred
    from sync.health import Health
    from sync.push import Blocked
    from sync.report import RunReport

_WHY = {BUG: "our_mistake", SETTINGS: "settings", TRY_AGAIN: "store_does_not_answer"}
_STOPPED = 130  # by a person, at the keyboard


class Beat(NamedTuple):
    """How a job stands after a run; `well` None: the run says nothing of it. `codes` are why."""

    well: bool | None
    exit: int
    codes: tuple[str, ...] = ()

    @property
    def said(self) -> str:
        """What is told beside it: nothing where there is nothing to say."""
        return " ".join((f"exit {self.exit}", *self.codes)) if self.exit or self.codes else ""


def after(report: RunReport) -> Beat:
    """Return how a job stands after a run that came to its end."""
    if report.busy:
        return Beat(None, report.exit, ("busy",))
    if stuck := tuple(dict.fromkeys(_stuck(report))):
        return Beat(False, report.exit, stuck)
    return Beat(True, report.exit, ("needs_person",) if report.exit == NEEDS_PERSON else ())


def standing(health: Health) -> Beat:
    """Return how a job stands that many processes share, none of whose runs is all of it."""
    found = [
        *(["held"] if health.holds else ()),
        *_source_failed(one.state for one in health.sources.values()),
        *_barred(health.barred.values()),
        *_blocked(one for calendar in health.calendars.values() for one in calendar.reasons),
    ]
    if stuck := tuple(dict.fromkeys(found)):
        return Beat(False, health.exit, stuck)
    return Beat(True, health.exit, ("needs_person",) if health.exit == NEEDS_PERSON else ())


def _stuck(report: RunReport) -> Iterator[str]:
    if report.bugs:
        yield "our_mistake"
    if report.open_holds:
        yield "held"
    yield from _source_failed(source.state for source in report.sources.values())
    yield from _barred(report.messages.barred.values())
    yield from _blocked(one for run in report.calendars.values() for one in run.blocked)


def _source_failed(states: Iterable[str]) -> Iterator[str]:
    if "failed" in states:
        yield "source_failed"


def _barred(notifiers: Iterable[Barred]) -> Iterator[str]:
    yield from (base(one.reason) for one in notifiers if one.needs_person)


def _blocked(calendars: Iterable[Blocked]) -> Iterator[str]:
    yield from (base(one.reason) for one in calendars if one.everywhere)


def without_report(exit_code: int, ending: Mapping[str, Any]) -> Beat | None:
    """Return how a job stands whose run ended without a report, by its exit code and ending.

    None: a copy of a live store, which is no run of this job at all.
    """
    if any(finding.get("code") == "store_elsewhere" for finding in ending.get("findings", ())):
        return None
    if exit_code == _STOPPED:
        return Beat(None, exit_code, ("stopped",))
    if exit_code == DONE:  # a service found nothing due
        return Beat(True, exit_code)
    return Beat(False, exit_code, (_WHY.get(exit_code, "failed"),))
