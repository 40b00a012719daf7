"""`clinicrelay demo`: a sample clinic, run through four days of its week on this machine."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands._call import Call, shared
from commands._ending import BUG, DONE, say

if TYPE_CHECKING:
    from commands._sample.play import Played
    from commands._sample.week import Moment

_WIDTH = 100


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("demo")(shared(demo))


def demo(
    call: Call,
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="Where to build the sample clinic.")
    ] = Path("var/demo"),
) -> int:
    """Build a sample clinic and run it through four days. Nothing leaves this machine."""
    from commands._sample.end import end
    from commands._sample.folder import rebuild
    from commands._sample.people import ZONE
    from commands._sample.play import play
    from commands._sample.week import last_week, week

    sample = week(last_week(call.moment(ZONE)))
    file = rebuild(folder)
    print("\n".join(_opening(folder, sample.moments[0])))
    missing, held = [], 0
    for moment in sample.moments:
        played = play(folder, file, moment)
        print("\n".join(_told(moment, played)))
        held += played.held
        missing += [f"{_when(moment.at)}: {what}" for what in played.missing]
    print("\n".join(end(folder, file, sample, held=held)))
    if missing:
        say("\n".join(["\nThe demo did not show what it should:", *missing]))
    return BUG if missing else DONE


def _opening(folder: Path, first: Moment) -> Iterator[str]:
    yield from textwrap.wrap(
        "Riverside Family Clinic has six doctors at two sites. All of its people are made up, and "
        f"nothing leaves this machine: everything is in {folder}. Four days of it pass now, from "
        f"{_when(first.at)[:-6]} on. The indented lines are what `clinicrelay sync` says each time.",
        _WIDTH,
    )


def _told(moment: Moment, played: Played) -> Iterator[str]:
    yield ""
    yield from textwrap.wrap(f"{_when(moment.at)}: {moment.story}", _WIDTH)
    yield from (f"    {line}" for line in played.lines)


def _when(at: datetime) -> str:
    from clinicrelay.times import local
    from commands._sample.people import ZONE

    return f"{local(at, ZONE):%a %d %b %H:%M}"
