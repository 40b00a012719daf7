"""How a run is told on a terminal, and in plain lines to a pipe: counts and codes, never a name."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from clinicrelay.times import for_people

if TYPE_CHECKING:
    from commands._call import Call
    from sync.clinic import Clinic
    from sync.report import Need, RunReport, SourceReport

_ORDER = (
    "booked", "rescheduled", "relocated", "reassigned", "cancelled", "reinstated", "status",
    "details", "gone",
)  # fmt: skip
_OPEN = "Still open, and the reason why status is red"


@contextmanager
def progress(call: Call, clinic: Clinic) -> Iterator[None]:
    """Show on a terminal what long work is at; nothing elsewhere."""
    if not call.on_terminal or call.quiet:
        yield
        return
    from rich.console import Console

    with Console(file=sys.stderr).status("reading …") as status:
        clinic.tell = status.update
        yield


def run_lines(clinic: Clinic, report: RunReport) -> list[str]:
    """Return what a run did, line by line, ending in what needs a person."""
    lines = _quiet_lines(clinic, report) if not report.changed else _full_lines(clinic, report)
    lines += _unlinked_lines(report)
    if report.cut:
        lines.append("The run's time was up (runner.budget): the next one goes on.")
    if report.stopped:
        lines.append("The run was told to end: the next one goes on.")
    still = [] if report.needs else _open(clinic)
    return [*lines, *_named("Needs a person", report.needs), *_named(_OPEN, still), _ending(report)]


def news(clinic: Clinic, report: RunReport) -> list[str]:
    """Return only what a run changed, and what needs a person since the run before."""
    lines = _full_lines(clinic, report) if report.changed else []
    needs = _named("Needs a person", new_needs(clinic, report))
    return [*lines, *_unlinked_lines(report), *needs]


def new_needs(clinic: Clinic, report: RunReport) -> list[Need]:
    """Return what needs a person since this run, and did not since the one before."""
    from sync.store import progress

    with clinic.store.read() as connection:
        before = progress.report_before(connection, clinic.store.clinic, clinic.run)
    known = [need["what"] for need in before.get("needs", [])]
    return [need for need in report.needs if need.what not in known]


def brief(report: RunReport) -> str:
    """Return what a run changed, in a line."""
    parts = []
    for name, one in report.sources.items():
        counts = [f"{what} {one.changes[what]}" for what in _ORDER if what in one.changes]
        counts += [f"set aside {one.set_aside_new}"] if one.set_aside_new else []
        counts += [f"held: {hold['summary']}" for hold in one.held]
        parts += [f"{name} {', '.join(counts)}"] if counts else []
    for name, calendar in report.calendars.items():
        counts = [f"written {calendar.written}"] if calendar.written else []
        counts += [f"removed {calendar.removed}"] if calendar.removed else []
        counts += [f"held: {hold['summary']}" for hold in report.unlinked(name)]
        parts += [f"{name} {', '.join(counts)}"] if counts else []
    run = report.messages
    counts = [
        f"{what} {n}" for what in ("sent", "rehearsed", "failed") if (n := getattr(run, what))
    ]
    return "; ".join(parts + ([f"messages {', '.join(counts)}"] if counts else []))


def _named(heading: str, needs: Sequence[Need]) -> list[str]:
    if not needs:
        return []
    width = max(len(need.what) for need in needs)
    return [heading, *(f"  {n.what:<{width}}   {n.command}" for n in needs)]


def _open(clinic: Clinic) -> list[Need]:
    """Return what the clinic was told of, in this run or long ago, that is not over."""
    from sync.report import Need
    from sync.store import alerts

    with clinic.store.read() as connection:
        found = alerts.open_(connection, clinic.store.clinic).values()
    return [Need(one.what, one.command) for one in found]


def _quiet_lines(clinic: Clinic, report: RunReport) -> list[str]:
    lines: list[str] = []
    for name, one in report.sources.items():
        if one.idle or one.error or one.state == "partial":  # and why it is not complete
            lines += list(_source_lines(name, one))
    if report.messages.worked:
        return [*lines, *_message_lines(clinic, report)]
    if not report.busy:
        still = f" Unknown: {report.unknown} (clinicrelay status)" if report.unknown else ""
        lines.append(f"nothing changed, nothing sent.{still}")
    return lines


def _idle(name: str, one: SourceReport) -> str:
    return f"{name:<12}{one.error or one.idle}"


def _full_lines(clinic: Clinic, report: RunReport) -> list[str]:
    lines = []
    for name, one in report.sources.items():
        lines += list(_source_lines(name, one))
    for name, calendar in report.calendars.items():
        parts = [f"written {calendar.written}", f"removed {calendar.removed}"]
        parts += [f"pending {calendar.pending}"] if calendar.pending else []
        parts += [f"blocked {len(calendar.blocked)}"] if calendar.blocked else []
        lines.append(f"{name:<12}{'   '.join(parts)}")
    return [*lines, *_message_lines(clinic, report)]


def _unlinked_lines(report: RunReport) -> Iterator[str]:
    for name in report.calendars:
        for hold in report.unlinked(name):
            yield f"{name} HELD: {hold['summary']}. Nothing removed."
            yield f"  See: clinicrelay held show {hold['id']}"


def _source_lines(name: str, one: SourceReport) -> Iterator[str]:
    if one.error or one.idle:
        yield _idle(name, one)
        return
    if one.state == "busy":
        yield f"{name:<12}another run is reading it"
        return
    whole = ", complete" if one.complete else ", not complete" if one.state == "partial" else ""
    yield f"{name:<12}{one.read} {'record' if one.read == 1 else 'records'}{whole}"
    for hold in one.held:
        yield f"{name} HELD: {hold['summary']}. {_left(hold['guard'], one)}"
        yield f"  See: clinicrelay held show {hold['id']}"
    counts = [f"{what} {one.changes[what]}" for what in _ORDER if what in one.changes]
    counts.append(f"unchanged {one.unchanged}")
    if one.set_aside:
        counts.append(f"set aside {one.set_aside} ({one.set_aside_new} new)")
    if one.skipped:
        counts.append(f"passed over {one.skipped}")
    yield "  " + "   ".join(counts)
    for note in one.notes:
        yield f"  {note}"


def _left(guard: str, one: SourceReport) -> str:
    """Say what a guard left as it was, and that new visits are none of that."""
    from sync.guards import GUARDS

    new = one.changes.get("booked", 0)
    visits = "visit was" if new == 1 else "visits were"
    kept = f"; {new} new {visits} applied" if new else ""
    return f"Nothing {GUARDS[guard].undone}, nobody told of that{kept}."


def _message_lines(clinic: Clinic, report: RunReport) -> Iterator[str]:
    run = report.messages
    ways = ", ".join(f"{channel} {n}" for channel, n in sorted(run.by_channel.items()))
    sent = f"sent {run.sent}" + (f" ({ways})" if ways else "")
    yield f"{'messages':<12}{sent}   unknown {max(report.unknown, run.unknown)}   failed {run.failed}"
    if run.rehearsed:
        yield f"{'':<12}rehearsed {run.rehearsed}: {clinic.settings.data / 'rehearsal'}"
    not_sent = {why: n for why, n in run.skipped.items() if why != "rehearsal"}
    if not_sent:
        reasons = ", ".join(f"{reason} {n}" for reason, n in sorted(not_sent.items()))
        yield f"{'':<12}not sent: {reasons}"
    if report.others:
        yield f"{'':<12}another run is at the rest"
    for hold in run.holds:
        yield f"messages HELD: {hold['summary']}. See: clinicrelay held show {hold['id']}"


def _ending(report: RunReport) -> str:
    words = {
        0: "done.",
        1: "a mistake of ours ended the read of a source or the work on a calendar; the others were "
        "seen to.",
        3: "done, but something needs a person.",
        4: "held: a guard waits for `clinicrelay held release`.",
        75: "nothing was done, try again."
        if report.stopped
        else "another run is at work; nothing was done, try again.",
    }
    return f"Exit {report.exit}: {words[report.exit]}"


def when(clinic: Clinic, instant: object) -> str:
    """Return an instant the way people read it, in the clinic's zone; a far one with its year."""
    from datetime import datetime

    assert isinstance(instant, datetime)
    return for_people(instant, clinic.zone, now=clinic.now, day="%a %d %b")
