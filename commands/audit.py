"""`clinicrelay audit`: who did what, for whoever has to answer for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clinicrelay.counts import counted
from clinicrelay.times import local
from commands._call import Call, shared
from commands._ending import DONE, NEEDS_PERSON
from commands._frame import Answer, each, only
from commands._table import Table
from commands.appointments import instant_of

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.store.audit import Entry

Since = Annotated[
    str | None, typer.Option("--since", metavar="WHEN", help="Not before this date or instant.")
]
_HEADINGS = ("no.", "when", "who", "what", "about", "reason", "details")


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    group = typer.Typer(
        help="Who did what: list it, export it, or look whether it is whole.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    for name, command in (("list", list_), ("export", export), ("verify", verify)):
        group.command(name)(shared(command))
    program.add_typer(group, name="audit")


def list_(call: Call, since: Since = None) -> int:
    """List what people did that altered something, the oldest first."""

    def listed(at_work: Clinic) -> Answer:
        entries = [*_entries(at_work, since)]
        if call.as_json:
            return Answer([_json(one) for one in entries])
        rows = [_row(at_work, one) for one in entries]
        number = f"{len(rows)} {'entry' if len(rows) == 1 else 'entries'}."
        return Answer(None, [Table(_HEADINGS, rows), number] if rows else [number])

    return each(call, listed)


def export(
    call: Call,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A new file, .jsonl or .csv.", show_default=False)
    ],
    since: Since = None,
    messages: Annotated[
        bool,
        typer.Option("--messages", help="Also each message that was said or not, and why; by ids."),
    ] = False,
) -> int:
    """Write the audit trail to a file, as JSON lines or for a spreadsheet. It names no patient."""
    from sync import trail

    if trail.form_of(file) is None:
        raise typer.BadParameter("end its name in .jsonl or .csv", param_hint="FILE")

    def exported(at_work: Clinic) -> Answer:
        number = trail.export(
            at_work, file.absolute(), since=_moment(at_work, since), messages=messages
        )
        entries = counted(number, "entry", "entries")
        checked = _verify(at_work)
        told = {"file": str(file.absolute()), "entries": number, "ok": checked.json["ok"]}
        lines = [f"{entries} in {file}, for its owner only to read."]
        lines += [str(line) for line in checked.lines] if checked.exit else []
        return Answer(told, lines, checked.exit)

    return only(call, exported)


def verify(call: Call) -> int:
    """Look whether any entry was altered, taken out or put in. Exits 3 where one was."""
    return each(call, _verify)


def _verify(at_work: Clinic) -> Answer:
    from sync.store import audit

    with at_work.store.read() as connection:
        found = audit.verify(connection, at_work.store.clinic)
    broken = [{"number": one.number, "what": one.what} for one in found.broken]
    lines = [f"Entry {one.number}: {one.what}." for one in found.broken]
    if not lines:
        number = f"{found.entries:,} {'entry' if found.entries == 1 else 'entries'}"
        lines = [f"{number}; nothing was altered, taken out or put in."]
    told = {"ok": not broken, "entries": found.entries, "broken": broken}
    return Answer(told, lines, NEEDS_PERSON if broken else DONE, new=bool(broken))


def _entries(at_work: Clinic, since: str | None) -> Iterator[Entry]:
    from sync.store import audit

    with at_work.store.read() as connection:
        yield from audit.entries(connection, at_work.store.clinic, since=_moment(at_work, since))


def _moment(at_work: Clinic, since: str | None) -> Any:
    return instant_of(since, at_work.zone, "--since")


def _row(at_work: Clinic, one: Entry) -> list[str]:
    return [
        str(one.number),
        f"{local(one.at, at_work.zone):%d %b %Y %H:%M}",
        one.actor,
        one.action,
        one.about or "-",
        one.reason or "-",
        one.details if one.details != "{}" else "-",
    ]


def _json(one: Entry) -> dict[str, Any]:
    from sync.trail import as_json

    return as_json(one)
