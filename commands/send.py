"""`clinicrelay send`: what is due now, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from commands._call import Call, shared
from commands._frame import Answer, each
from commands._watched import Watched

if TYPE_CHECKING:
    from sync.clinic import Clinic


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("send")(shared(send))


def send(call: Call) -> int:
    """Send what is due: messages, retries, unknowns. Reads no source; cheap enough for each minute."""
    watched = Watched(call, "send")
    return each(
        call, lambda at_work: _send(call, at_work, watched), writes=True, ended=watched.ended
    )


def _send(call: Call, at_work: Clinic, watched: Watched) -> Answer:
    from commands.sync import reported
    from sync.runners import once

    with watched.over(at_work):
        report = once.send(at_work)
        watched.heard(at_work, report)
    return reported(call, at_work, report)
