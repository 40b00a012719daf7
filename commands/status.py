"""`clinicrelay status`: red or green, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from clinicrelay.counts import counted
from commands._call import Call, shared
from commands._frame import Answer, each

if TYPE_CHECKING:
    from sync.calendar_health import CalendarHealth
    from sync.clinic import Clinic
    from sync.health import Health


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("status")(shared(status))


def status(call: Call) -> int:
    """Show how sources, calendars, messages and tomorrow stand. Exits 0 green, 3 red, 4 held."""
    return each(call, _status)


def _status(at_work: Clinic) -> Answer:
    from sync.health import health

    found = health(at_work)
    return Answer(found.json(), _lines(at_work, found), found.exit, new=not found.healthy)


def _lines(at_work: Clinic, found: Health) -> Iterator[str]:
    from commands._shown import when

    for name, one in found.sources.items():
        last = when(at_work, one.last_complete) if one.last_complete else "never"
        parts = [counted(one.appointments, "visit"), f"last complete read {last}"]
        parts += [] if one.complete or not one.last_complete else ["since then not complete"]
        parts += [f"by {one.strategy}"] if one.strategy else []
        parts += [f"watermark {one.watermark}"] if one.watermark else []
        parts += [f"set aside {one.set_aside}"] if one.set_aside else []
        yield f"{name:<12}{one.state:<8} {'   '.join(parts)}"
    for name, calendar in found.calendars.items():
        counts = f"pending {calendar.pending}   blocked {calendar.blocked}"
        yield f"{name:<12}{calendar.state:<8} {counts}"
        yield from _by_doctors(calendar)
    yield from _notifiers(at_work, found)
    yield _messages(found)
    yield _tomorrow(found)
    yield from _verdict(found)


def _notifiers(at_work: Clinic, found: Health) -> Iterator[str]:
    from commands._shown import when

    """Tell of the notifiers that send nothing now; the others are told by what they sent."""
    for name, one in found.notifiers.items():
        if one.state == "ok":
            continue
        since = f"since {when(at_work, one.since)}" if one.since else ""
        until = f"until {when(at_work, one.until)}" if one.until else ""
        parts = [one.reason or "", since, until if one.state == "paused" else ""]
        yield f"{name:<12}{one.state:<8} {'   '.join(filter(None, parts))}".rstrip()


def _messages(found: Health) -> str:
    said = {**found.messages, "due": found.due}
    counts = {"sent in 24 h": "sent_24h", "due": "due", "unknown": "unknown", "failed": "failed"}
    if found.outstanding.visits and not found.due:
        del counts["due"]  # nobody has looked yet: 0 might not be true
    told = [f"{what} {said[name]}" for what, name in counts.items()]
    told += [f"never to be known {n}"] if (n := said.get("unproven", 0)) else []
    waiting = found.outstanding
    told += [f"{waiting.waiting} visits wait for the next run"] if waiting.visits else []
    return f"{'messages':<21}{'   '.join(told)}"


def _tomorrow(found: Health) -> str:
    day = found.tomorrow
    seen = f" (looked at {day.visits})" if day.of != day.visits else ""
    told = [
        f"{counted(day.of, 'visit')}{seen}",
        f"reminded or to be {day.covered}",
        f"not, for a reason {day.explained}",
    ]
    told += [f"nobody sees to {n}"] if (n := day.visits - day.covered - day.explained) else []
    return f"{'tomorrow':<21}{'   '.join(told)}"


def _by_doctors(calendar: CalendarHealth) -> Iterator[str]:
    """Say what doctors did to events, where they did anything."""
    counts = {
        "deleted and left so": calendar.hidden,
        "put back today": calendar.put_back,
        "moved too often": calendar.held,
        "to be looked at": calendar.asked,
    }
    if any(counts.values()):
        told = "   ".join(f"{what} {number}" for what, number in counts.items() if number)
        yield f"{'':<21}by doctors: {told}"


def _verdict(found: Health) -> Iterator[str]:
    if found.healthy:
        yield "GREEN: nothing needs a person."
        return
    yield "HELD: a guard waits for a person." if found.holds else "RED: something needs a person."
    width = max(len(need.what) for need in found.needs)
    for need in found.needs:
        yield f"  {need.what:<{width}}   {need.command}"
