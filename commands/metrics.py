"""`clinicrelay metrics`: what monitoring is told, in the text format of Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from commands._call import Call, shared
from commands._ending import DONE
from commands._frame import Answer, clinic, loop, name_of, tell

if TYPE_CHECKING:
    from clinicrelay.settings import Loaded
    from commands._frame import Told
    from sync.metrics import Sample


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("metrics")(shared(metrics))


def metrics(call: Call) -> int:
    """Print how all stands as Prometheus reads it: the same as the file under `monitoring` says."""
    from sync.metrics import written

    read: dict[str, list[Sample]] = {}
    code = loop(call, lambda one, told: _look(call, one, told, read))
    if not call.as_json and read:
        print(written(read).decode(), end="")
    return code


def _look(call: Call, loaded: Loaded, told: Told, read: dict[str, list[Sample]]) -> int:
    from sync.metrics import UNREADABLE, samples

    name = name_of(loaded)
    read[name] = [*UNREADABLE]  # until it could be opened
    with clinic(call, loaded) as at_work:
        read[name] = samples(at_work)
    if call.as_json:
        found = [one.json() for one in read[name]]
        tell(call, Answer(found), told, name=name, first="")
    return DONE
