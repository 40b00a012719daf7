"""`clinicrelay rehearse`: back to rehearsal, for a copy or a fresh start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from clinicrelay.errors import SettingsError
from commands._call import Call, shared
from commands._frame import Answer, headline, log_of, only

if TYPE_CHECKING:
    from sync.clinic import Clinic

_WHAT_IT_MEANS = """\
From then on nobody is reached, and what falls due or changes before the next `clinicrelay live` is
never sent later. To stop only for a while: clinicrelay pause"""


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("rehearse")(shared(rehearse))


def rehearse(
    call: Call, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False
) -> int:
    """Go back to rehearsal: from now on nobody is reached. What is there stays as it is.

    Where the clinic is live it asks first, on a terminal.
    """

    def rehearsed(at_work: Clinic) -> Answer:
        from sync import instance
        from sync.outward import OTHER_CLOCK
        from sync.store import audit, standings

        standing = at_work.standing()
        if not standing.live:
            with at_work.store.write() as connection:
                instance.note_meant(connection, at_work.store.clinic)
            return Answer({"ended": 0}, ["The clinic was in rehearsal already."])
        if at_work.rehearsed:
            raise SettingsError([OTHER_CLOCK])
        if call.on_terminal and not yes and standing.elsewhere is None:
            _ask(at_work)
        with at_work.store.write() as connection:
            ended = standings.rehearse(connection, at_work.store.clinic)
            instance.note_meant(connection, at_work.store.clinic)
            audit.note(connection, at_work.store.clinic, audit.Deed(at_work.actor, "rehearse"))
        log_of(at_work, call).info("rehearse", run=at_work.run, clinic=at_work.store.clinic)
        told = "Nobody is reached from now on. To go live again: clinicrelay live patients"
        return Answer({"ended": ended}, [told])

    return only(call, rehearsed)


def _ask(at_work: Clinic) -> None:
    print(f"{headline(at_work)}\n{_WHAT_IT_MEANS}")
    if not typer.confirm("Go back to rehearsal?"):
        raise typer.Exit(0)
