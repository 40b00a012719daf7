"""What a run did, in the shape that others rely on (`sync --json`), and the exit code it deserves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from clinicrelay.counts import counted
from clinicrelay.times import iso
from sync.guard import UNLINKED
from sync.push import Blocked, CalendarRun
from sync.reasons import in_words
from sync.send import MessageRun

_LOOK = "clinicrelay check --connect"
DONE, BUG, SETTINGS, NEEDS_PERSON, HELD, TRY_AGAIN = 0, 1, 2, 3, 4, 75


@dataclass(slots=True)
class SourceReport:
    """What became of one source. `idle` is why there was nothing to read; `skipped` are the records
    that the mapping passes over, such as breaks. `unfinished`: its budget is spent, and the next run
    goes on with the same read.

    `failing` says which of its own mapping's tests fail.
    `bug` is a mistake of ours that ended its read: what it had kept is kept, and the others go on.
    """

    state: str
    strategy: str | None = None
    unfinished: bool = False
    read: int = 0
    kept: int = 0
    unchanged: int = 0
    changes: dict[str, int] = field(default_factory=dict)
    set_aside: int = 0
    set_aside_new: int = 0
    skipped: int = 0
    complete: bool | None = None
    error: str | None = None
    fix: str = ""
    idle: str | None = None
    notes: list[str] = field(default_factory=list)
    held: list[dict[str, Any]] = field(default_factory=list)
    failing: str = ""
    bug: Exception | None = None


class Need(NamedTuple):
    """Something that asks for a person, and the command that helps."""

    what: str
    command: str


def calendar_needs(name: str, blocked: Sequence[Blocked]) -> Iterator[Need]:
    """Yield why calendars cannot be written; what stops a whole account is one thing to mend."""
    everywhere: dict[tuple[str, str], int] = {}
    for one in blocked:
        if one.everywhere:
            cause = one.reason, one.fix
            everywhere[cause] = everywhere.get(cause, 0) + 1
        else:
            yield Need(f"calendar {name}:{one.calendar} {one.reason}", one.fix or _LOOK)
    for (reason, fix), number in everywhere.items():
        yield Need(f"calendars {name} {reason}: {number} cannot be written", fix or _LOOK)


ANEW = Need(
    "the store began anew beside the key of an older one, and knows nothing of what that one knew",
    "clinicrelay store restore FILE --replace; if it was meant: clinicrelay rehearse, or live",
)


def doctors_need(name: str, held: int, asked: int) -> Need:
    """Return what a person is to look at of what doctors did to events."""
    parts = [f"{held} moved too often"] if held else []
    parts += [f"{asked} deleted or moved"] if asked else []
    return Need(f"events in {name} by a doctor: {', '.join(parts)}", "clinicrelay verify calendars")


def hold_json(hold: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of an open hold the way `held list --json` and `plan --json` tell of it."""
    return {
        "id": f"h{hold['id']}",
        "source": hold["source"],
        "guard": hold["guard"],
        "count": hold["visits"],
        "of": hold["known"],
        "since": iso(datetime.fromtimestamp(hold["since"], UTC)),
        "summary": hold["summary"],
    }


@dataclass(slots=True)
class RunReport:
    """What one run of the line did; `holds` are all that are open at its end."""

    run: str
    now: datetime
    mode: str
    sources: dict[str, SourceReport] = field(default_factory=dict)
    calendars: dict[str, CalendarRun] = field(default_factory=dict)
    messages: MessageRun = field(default_factory=MessageRun)
    due_later: int = 0
    unknown: int = 0  # messages of which nobody knows yet whether they left
    holds: list[dict[str, Any]] = field(default_factory=list)
    anew: bool = False  # the store took the place of one that is gone
    busy: bool = False  # another run is at all of it
    others: bool = False  # it did its part, and another run is at the rest
    cut: bool = False  # its time was up, and the next run goes on
    stopped: bool = False  # it was told to end, and the next run goes on
    alerts: dict[str, str] = field(default_factory=dict)  # opened or resolved, by name

    def leaves(self, still: Mapping[str, Any]) -> None:
        """Take over what is open at its end (`steps.counts`)."""
        self.holds, self.due_later = still["holds"], still["later"]
        self.unknown, self.anew = still["unknown"], still["anew"]
        self.messages.barred = still["barred"]

    @property
    def open_holds(self) -> int:
        return len(self.holds)

    def unlinked(self, calendar: str) -> list[dict[str, Any]]:
        """Return what this run held so that the calendars of a plugin are not emptied."""
        now = iso(self.now)
        return [
            hold
            for hold in self.holds
            if (hold["guard"], hold["source"], hold["since"]) == (UNLINKED, calendar, now)
        ]

    @property
    def exit(self) -> int:
        """The gravest of what happened: 1 our bug, 4 held, 3 a person, 75 nothing done, 0 done."""
        if self.bugs:
            return BUG
        states = {report.state for report in self.sources.values()}
        if self.busy or (states and states <= {"busy"}):
            return TRY_AGAIN
        if self.open_holds:
            return HELD
        failed = "failed" in states or self.needs or self.messages.failed
        return NEEDS_PERSON if failed else DONE

    @property
    def bugs(self) -> list[Exception]:
        """The mistakes of ours that ended the read of a source, or the work on a calendar."""
        in_calendars = [bug for run in self.calendars.values() for bug in run.bugs]
        return [*(s.bug for s in self.sources.values() if s.bug), *in_calendars]

    @property
    def needs(self) -> list[Need]:
        """What asks for a person, and the command that helps."""
        return [*self._needs()]

    def _needs(self) -> Iterator[Need]:
        if self.anew:
            yield ANEW
        for name, calendar in self.calendars.items():
            yield from calendar_needs(name, calendar.blocked)
            if calendar.set_aside:
                what = f"{counted(calendar.set_aside, 'event')} set aside from {name}"
                yield Need(what, "clinicrelay quarantine list")
            if calendar.held or calendar.asked:
                yield doctors_need(name, calendar.held, calendar.asked)
        for name, one in self.sources.items():
            if one.set_aside:
                yield Need(f"{one.set_aside} set aside from {name}", "clinicrelay quarantine list")
            if one.failing:
                yield Need(f"the mapping of {name}: {one.failing}", "clinicrelay check")
            if one.error:
                yield Need(f"{name} could not be read", one.fix)
            elif one.state == "partial" and not one.unfinished:
                yield Need(f"{name} was not read to its end", "clinicrelay status")
        yield from _of_messages(self.messages, self.now)
        if self.open_holds:
            yield Need(f"{self.open_holds} held", "clinicrelay held list")

    @property
    def changed(self) -> bool:
        """Whether anything at all was kept, written, sent or set aside."""
        return bool(
            any(r.changes or r.set_aside_new or r.held for r in self.sources.values())
            or any(c.written or c.removed for c in self.calendars.values())
            or self.messages.sent
            or self.messages.rehearsed
            or self.messages.failed
        )

    def json(self) -> dict[str, Any]:
        """Return the promised JSON."""
        return {
            "run": self.run,
            "now": iso(self.now),
            "mode": self.mode,
            "exit": self.exit,
            "cut": self.cut,
            "sources": {name: _source(report) for name, report in self.sources.items()},
            "calendars": {
                name: {**_calendar(run), "held": self.unlinked(name)}
                for name, run in self.calendars.items()
            },
            "messages": {
                "sent": self.messages.sent,
                "failed": self.messages.failed,
                "unknown": max(self.unknown, self.messages.unknown),
                "due_later": self.due_later,
                "skipped": dict(sorted(self.messages.skipped.items())),
                "broken_texts": sorted(self.messages.broken_texts),
            },
            "needs": [need._asdict() for need in self.needs],
        }


def _of_messages(run: MessageRun, now: datetime) -> Iterator[Need]:
    for name, barred in sorted(run.barred.items()):
        if barred.is_red(now):
            what = f"{name} sends nothing: {in_words(barred.reason)}"
            yield Need(what, "clinicrelay check --connect")
    if failed := run.failed:
        what = f"{counted(failed, 'message')} reached nobody"
        yield Need(what, "clinicrelay messages list --state failed")
    for attempt in run.unproven:
        what = f"message {attempt}: nobody can find out whether it arrived"
        yield Need(what, f"clinicrelay why {attempt}")
    for text in sorted(run.broken_texts):
        what = f"text {text} cannot be filled in, ours was sent"
        yield Need(what, "clinicrelay check")


def _source(report: SourceReport) -> dict[str, Any]:
    return {
        "state": report.state,
        "strategy": report.strategy,
        "read": report.read,
        "kept": report.kept,
        "unchanged": report.unchanged,
        "changes": report.changes,
        "set_aside": report.set_aside,
        "set_aside_new": report.set_aside_new,
        "skipped": report.skipped,
        "complete": report.complete,
        "error": report.error,
        "fix": report.fix,
        "notes": report.notes,
        "held": report.held,
    }


def _calendar(run: CalendarRun) -> dict[str, Any]:
    return {
        "written": run.written,
        "removed": run.removed,
        "unchanged": run.unchanged,
        "pending": run.pending,
        "blocked": [one.json() for one in run.blocked],
    }
