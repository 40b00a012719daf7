"""`clinicrelay plan`: what `sync` would do, and what will be said when; writes nothing anywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from commands._call import Call, shared
from commands._ending import our_bug
from commands._frame import Answer, each

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.foresee import Forecast


_SHOWN = 40  # of a long list; --json has all
_NOW, _A_WEEK = "0s", "7d"


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("plan")(shared(plan))


def plan(
    call: Call,
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            help="How far ahead messages are foretold, such as 7d: what --against looks at by itself.",
            show_default=False,
        ),
    ] = None,
    against: Annotated[
        Literal["running"] | None,
        typer.Option(
            "--against",
            help="Compare with the settings that ran last: what the edit would change. Asks no source.",
        ),
    ] = None,
) -> int:
    """Say what sync would do, and what will be sent when. Reads the sources, writes nothing.

    Ends with the exit code that sync would end with: 4 where a guard would hold anything.
    """
    if against:
        from commands._against import against_running

        return against_running(call, lambda now, zone: _end(until or _A_WEEK, now, zone))
    return each(call, lambda at_work: _plan(at_work, until or _NOW), scratch=True)


def _plan(at_work: Clinic, until: str) -> Answer:
    from sync.foresee import foresee

    forecast = foresee(at_work, until=_end(until, at_work.now, at_work.zone))
    return foretold(at_work, forecast, "`clinicrelay sync` does it")


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


def foretold(at_work: Clinic, forecast: Forecast, does_it: str) -> Answer:
    """Tell what would happen, with the exit code of the run that does it; `does_it` names that."""
    for bug in forecast.report.bugs:
        our_bug(bug)
    lines = _lines(at_work, forecast, does_it)
    return Answer(forecast.json(), lines, forecast.report.exit)


def would_be_held(hold: dict[str, Any]) -> str:
    """Say in a line what a guard would hold."""
    return f"{hold['source'] or 'messages'} would be HELD: {hold['summary']}"


def _held(hold: dict[str, Any], now: datetime) -> str:
    if datetime.fromisoformat(hold["since"]) >= now:
        return would_be_held(hold)
    name = hold["source"] or "messages"
    return f"{name} still HELD: {hold['summary']}. See: clinicrelay held show {hold['id']}"


def _lines(at_work: Clinic, forecast: Forecast, does_it: str) -> Iterator[str]:
    from sync.restored import foretells_too_much

    for name, one in forecast.report.sources.items():
        if one.error or one.idle:
            yield f"{name:<12}{one.error or one.idle}"
        elif one.state == "busy":
            yield f"{name:<12}another run is reading it"
        for note in one.notes:
            yield f"{name:<12}{note}"
    yield from (_held(hold, forecast.report.now) for hold in forecast.held)
    yield from _section("changes", Counter(c["what"] for c in forecast.changes))
    yield from _section("calendars", Counter(c["op"] for c in forecast.calendars))
    yield from _section(
        "messages", Counter(f"{m['kind']} by {m['channel']}" for m in forecast.messages)
    )
    for message in forecast.messages[:_SHOWN]:
        yield "  " + _message(at_work, message)
    if forecast.messages and foretells_too_much(at_work):
        yield (
            "  The store was put back from a copy: what of these was sent before is found out first, "
            "and not sent again (clinicrelay resume --plan)"
        )
    if len(forecast.messages) > _SHOWN:
        yield f"  … and {len(forecast.messages) - _SHOWN} more (--json lists all)"
    if forecast.unsaid:
        yield from _section("not said", Counter(one["reason"] for one in forecast.unsaid))
    for silent in forecast.unsaid[:_SHOWN]:
        yield "  " + _silence(at_work, silent)
    if len(forecast.unsaid) > _SHOWN:
        yield f"  … and {len(forecast.unsaid) - _SHOWN} more (--json lists all)"
    if forecast.set_aside:
        yield from _section("set aside", Counter(_why_aside(one) for one in forecast.set_aside))
    for aside in forecast.set_aside[:_SHOWN]:
        yield f"  {aside['place']}  {_why_aside(aside)}"
    yield f"Nothing was written. {does_it[:1].upper()}{does_it[1:]}."


def _why_aside(one: dict[str, Any]) -> str:
    field = f" ({one['field']})" if one["field"] else ""
    return f"{one['reason']}{field}"


def _section(title: str, counts: Counter[str]) -> Iterator[str]:
    told = "   ".join(f"{what} {n}" for what, n in sorted(counts.items()))
    yield f"{title:<12}{told or 'none'}"


def _message(at_work: Clinic, message: dict[str, Any]) -> str:
    from commands._shown import when

    at = when(at_work, datetime.fromisoformat(message["at"]))
    about = message["appointment"] or "the day"
    return f"{at}  {_what(message)} to {_whom(message)} by {message['channel']}  {about}"


def _silence(at_work: Clinic, one: dict[str, Any]) -> str:
    from commands._shown import when
    from sync.reasons import in_words

    at, about = when(at_work, datetime.fromisoformat(one["at"])), one["appointment"] or "the day"
    return (
        f"{at}  {_what(one)} to {_whom(one)}  {about}  {one['reason']}: {in_words(one['reason'])}"
    )


def _whom(message: dict[str, Any]) -> str:
    return f"{message['to']} {message.get('doctor', '')}".rstrip()


def _what(message: dict[str, Any]) -> str:
    return f"{message['kind']} {message['step'] or ''}".rstrip()
