"""`clinicrelay send`: what is due now, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from commands._call import Call, shared
from commands._frame import Answer, each

if TYPE_CHECKING:
    from sync.clinic import Clinic


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("send")(shared(send))


def send(call: Call) -> int:
    """Send what is due: messages, retries, unknowns. Reads no source; cheap enough for each minute."""
    return each(call, lambda at_work: _send(call, at_work), writes=True)


def _send(call: Call, at_work: Clinic) -> Answer:
    from commands.sync import reported
    from sync.runners import once

    return reported(call, at_work, once.send(at_work))
