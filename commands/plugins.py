"""`clinicrelay plugins`: the sources, calendars and notifiers there are, and the keys they take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands._call import Call, shared
from commands._ending import DONE
from commands._frame import print_json
from commands._table import Table, plain, show

if TYPE_CHECKING:
    from sync.catalogue import Entry

_OPTION = ("key", "type", "default", "what it is for")


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("plugins")(shared(plugins))


def plugins(
    call: Call,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="One `type`, with its keys and an example."),
    ] = None,
) -> int:
    """List the types of sources, calendars and notifiers there are; of one, the keys it takes."""
    from sync.catalogue import catalogue

    found = list(catalogue())
    if name is not None:
        found = _named(found, name)
    if call.as_json:
        print_json([_json(entry) for entry in found])
    elif name is None:
        show(call, Table(("section", "type", "channels", "from", "what it does"), _rows(found)))
        print("The keys of one and an example: clinicrelay plugins NAME")
    else:
        _show_each(call, found)
    return DONE


def _named(found: list[Entry], name: str) -> list[Entry]:
    from difflib import get_close_matches

    known = [entry.name for entry in found]
    if name not in known:
        near = get_close_matches(name, known, n=1)
        fix = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
        raise typer.BadParameter(f"there is no plugin {name!r}; {fix}", param_hint="NAME")
    return [entry for entry in found if entry.name == name]


def _rows(found: list[Entry]) -> list[list[str]]:
    return [
        [
            entry.section,
            entry.name,
            ", ".join(entry.channels) or "-",
            entry.origin,
            _says(entry),
        ]
        for entry in found
    ]


def _says(entry: Entry) -> str:
    """Return what a plugin does, and what stands between it and doing so."""
    lacking = entry.fault if not entry.install else f"{entry.fault or 'needs'}: {entry.install}"
    return "  ".join(part for part in (entry.says, lacking) if part)


def _show_each(call: Call, found: list[Entry]) -> None:
    for entry in found:
        print("\n".join(_head(entry)))
        if entry.options:
            print()
            rows = [[o.key, o.type, _default(o), o.about] for o in entry.options]
            show(call, Table(_OPTION, rows))
        if entry.example:
            print("\nThe least that works:\n")
            print(entry.example)


def _head(entry: Entry) -> Iterator[str]:
    yield from plain([[f"{entry.section}:", f"type: {entry.name}", f"({entry.origin})"]])
    yield _says(entry)
    if entry.channels:
        yield f"Sends {', '.join(entry.channels)}."
    if entry.outside is False:
        yield "Nothing leaves this machine."


def _default(option: Any) -> str:
    return "required" if option.required else option.default or "-"


def _json(entry: Entry) -> dict[str, Any]:
    return {
        "section": entry.section,
        "type": entry.name,
        "origin": entry.origin,
        "says": entry.says,
        "channels": list(entry.channels),
        "outside": entry.outside,
        "fault": entry.fault or None,
        "install": entry.install or None,
        "options": [
            {
                "key": option.key,
                "type": option.type,
                "default": option.default or None,
                "required": option.required,
                "description": option.about,
                "example": option.example or None,
            }
            for option in entry.options
        ],
        "example": entry.example or None,
    }
