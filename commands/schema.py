"""`clinicrelay schema`: the JSON Schema of settings.yaml, which gives editors completion and help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands._call import Call, shared
from commands._ending import DONE, say


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("schema")(shared(schema))


def schema(
    call: Call,
    write: Annotated[
        Path | None,
        typer.Option("--write", metavar="FILE", help="Write it into this file instead."),
    ] = None,
) -> int:
    """Print the JSON Schema of settings.yaml, with the options of every plugin that is installed."""
    from clinicrelay.settings import json_schema

    if write is None:
        print(json_schema.text(), end="")
        return DONE
    _write(write.expanduser(), json_schema.text())
    say(f"Written: {write}. Begin a settings file beside it with the line")
    say(json_schema.FIRST_LINE.format(place=write.name))
    return DONE


def _write(file: Path, text: str) -> None:
    from clinicrelay import files
    from clinicrelay.settings.places import refusal

    try:
        files.replace(file, text.encode())
    except OSError as error:
        message = f"{file} cannot be written: {error.strerror}"
        raise refusal("not_writable", message, "name a file in a folder of yours") from error
