"""`clinicrelay replay`: maps history again, after a mapping was mended; never says anything twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from commands._call import Call, shared
from commands._frame import Answer, each

if TYPE_CHECKING:
    from datetime import datetime

    from sync.clinic import Clinic


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("replay")(shared(replay))


def replay(
    call: Call,
    since: Annotated[
        str,
        typer.Option("--since", help="From when on: a stretch such as 30d, a date or an instant."),
    ],
    source: Annotated[
        list[str] | None, typer.Option("--source", help="Only this source; may be repeated.")
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say what would change; nothing is written.")
    ] = False,
) -> int:
    """Map once more what the sources said, with the mapping as it is now.

    Files are taken from processed/, other systems are read again. Calendars follow. Whoever was told
    a wrong time or place is told; what only reads differently is not, and nothing is sent again.
    """
    names = source or []
    if plan:
        return each(call, lambda at_work: _planned(at_work, names, since), scratch=True)
    return each(call, lambda at_work: _replayed(call, at_work, names, since), writes=True)


def _planned(at_work: Clinic, names: list[str], since: str) -> Answer:
    from commands.plan import foretold
    from commands.sync import check_names
    from sync.foresee import foresee_replay

    check_names(at_work, names)
    forecast = foresee_replay(at_work, names, moment_of(since, at_work))
    return foretold(at_work, forecast, "without --plan, replay does it")


def _replayed(call: Call, at_work: Clinic, names: list[str], since: str) -> Answer:
    from commands.sync import check_names, reported
    from sync.runners import once

    check_names(at_work, names)
    return reported(call, at_work, once.replay(at_work, names, moment_of(since, at_work)))


def moment_of(since: str, at_work: Clinic) -> datetime:
    """Return the moment that `--since` names. Raises typer.BadParameter."""
    from clinicrelay.times import parse_instant, parse_span

    try:
        moment = at_work.now - parse_span(since).length
    except ValueError:
        try:
            moment = parse_instant(since, at_work.zone)
        except ValueError as error:
            raise typer.BadParameter(
                "write a stretch such as 30d, a date or an instant", param_hint="--since"
            ) from error
    if moment > at_work.now:
        raise typer.BadParameter("nothing was said yet after now", param_hint="--since")
    return moment
