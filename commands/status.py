"""`clinicrelay status`: red or green, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from commands._frame import AsJson, Call, Now, SettingsPath, clinic, headline, print_json

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.health import Health


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("status")(status)


def status(settings: SettingsPath = None, as_json: AsJson = False, now: Now = None) -> None:
    """Show how sources, calendars, messages and tomorrow stand. Exits 0 green, 3 red, 4 held."""
    from sync.health import health

    call = Call(settings, as_json, now)
    loaded = call.load()
    with clinic(call, loaded) as at_work:
        found = health(at_work)
        if as_json:
            print_json(found.json())
        else:
            print("\n".join([headline(at_work, loaded), *_lines(at_work, found)]))
    raise typer.Exit(found.exit)


def _lines(at_work: Clinic, found: Health) -> Iterator[str]:
    from commands._shown import when

    for name, one in found.sources.items():
        last = when(at_work, one.last_complete) if one.last_complete else "never"
        parts = [f"{one.appointments} visits", f"last complete read {last}"]
        parts += [f"set aside {one.set_aside}"] if one.set_aside else []
        yield f"{name:<12}{one.state:<9}{'   '.join(parts)}"
    for name, calendar in found.calendars.items():
        counts = f"pending {calendar.pending}   blocked {calendar.blocked}"
        yield f"{name:<12}{calendar.state:<9}{counts}"
    said = found.messages
    yield (
        f"{'messages':<21}sent in 24 h {said['sent_24h']}   due {said['due']}   "
        f"unknown {said['unknown']}   failed {said['failed']}"
    )
    day = found.tomorrow
    yield (
        f"{'tomorrow':<21}{day.visits} visits   reminded or to be {day.covered}   "
        f"not, for a reason {day.explained}"
    )
    yield from _verdict(found)


def _verdict(found: Health) -> Iterator[str]:
    if found.healthy:
        yield "GREEN: nothing needs a person."
        return
    yield "HELD: a guard waits for a person." if found.holds else "RED: something needs a person."
    width = max(len(need.what) for need in found.needs)
    for need in found.needs:
        yield f"  {need.what:<{width}}   {need.command}"
