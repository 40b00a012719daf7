"""`clinicrelay plan`: what `sync` would do, and what will be said when; writes nothing anywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands._frame import (
    HELD,
    AsJson,
    Call,
    Now,
    SettingsPath,
    clinic,
    headline,
    print_json,
)

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.foresee import Forecast


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("plan")(plan)


def plan(
    until: Annotated[
        str, typer.Option("--until", help="How far ahead messages are foretold, such as 7d.")
    ] = "0s",
    settings: SettingsPath = None,
    as_json: AsJson = False,
    now: Now = None,
) -> None:
    """Say what sync would do, and what will be sent when. Reads the sources, writes nothing."""
    from sync.foresee import foresee

    call = Call(settings, as_json, now)
    loaded = call.load()
    with clinic(call, loaded, scratch=True) as at_work:
        started = at_work.now
        forecast = foresee(at_work, until=_end(until, started, at_work.zone))
        if as_json:
            print_json(forecast.json())
        else:
            lines = _lines(at_work, forecast)
            print("\n".join([headline(at_work, loaded), *lines]))
    raise typer.Exit(HELD if forecast.held else 3 if forecast.report.exit == 3 else 0)


def _end(until: str, now: datetime, zone: str) -> datetime:
    from clinicrelay.times import parse_instant, parse_span

    try:
        span = parse_span(until)
        return now + span.length if not span.days else now + timedelta(days=span.days)
    except ValueError:
        pass
    try:
        return parse_instant(until, zone)
    except ValueError as error:
        raise typer.BadParameter(
            "write a stretch such as 7d, or a date", param_hint="--until"
        ) from error


def _lines(at_work: Clinic, forecast: Forecast) -> Iterator[str]:
    for name, one in forecast.report.sources.items():
        if one.error or one.idle:
            yield f"{name:<12}{one.error or one.idle}"
    for hold in forecast.held:
        yield f"would be HELD: {hold['summary']}"
    yield from _section("changes", Counter(c["what"] for c in forecast.changes))
    yield from _section("calendars", Counter(c["op"] for c in forecast.calendars))
    yield from _section(
        "messages", Counter(f"{m['kind']} by {m['channel']}" for m in forecast.messages)
    )
    for message in forecast.messages[:40]:
        yield "  " + _message(at_work, message)
    if len(forecast.messages) > 40:
        yield f"  … and {len(forecast.messages) - 40} more (--json lists all)"
    if forecast.set_aside:
        yield f"{len(forecast.set_aside)} set aside: clinicrelay quarantine list, after a sync"
    yield "Nothing was written. `clinicrelay sync` does it."


def _section(title: str, counts: Counter[str]) -> Iterator[str]:
    told = "   ".join(f"{what} {n}" for what, n in sorted(counts.items()))
    yield f"{title:<12}{told or 'none'}"


def _message(at_work: Clinic, message: dict[str, Any]) -> str:
    from commands._shown import when

    at = when(at_work, datetime.fromisoformat(message["at"]))
    step = f" {message['step']}" if message["step"] else ""
    about = message["appointment"] or "the day"
    return f"{at}  {message['kind']}{step} to {message['to']} by {message['channel']}  {about}"
