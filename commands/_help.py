"""The program itself: its help page, by groups of use, and what it says of a wrong command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from commands import GROUPS
from commands._ending import STOPPED, finding_json, print_findings


class Grouped(TyperGroup):
    """The program, whose help names its commands by when they are used."""

    def main(self, args: Sequence[str] | None = None, *more: Any, **how: Any) -> Any:
        """Run what was typed. Whoever asked for JSON gets it of a wrong command line, too."""
        if "--json" not in (args or ()):
            return super().main(args, *more, **how)
        try:
            code = super().main(args, *more, **{**how, "standalone_mode": False})
        except TyperException as wrong:
            _tell(wrong)
            code = wrong.exit_code
        except typer.Abort:
            code = STOPPED
        sys.exit(code)

    def list_commands(self, ctx: Any) -> list[str]:
        return [*self.commands]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, group by group."""
        there = dict(self.commands)
        for group, names in GROUPS.items():
            found = [(name, there.pop(name)) for name in names if name in there]
            _section(formatter, group, found)
        _section(formatter, "More", [*there.items()])


def _section(formatter: Any, heading: str, commands: list[tuple[str, Any]]) -> None:
    rows = [(name, command.get_short_help_str(limit=90)) for name, command in commands]
    if rows:
        with formatter.section(heading):
            formatter.write_dl(rows)


def _tell(wrong: TyperException) -> None:
    from clinicrelay.contracts import Finding
    from commands._frame import print_json

    fix = "see --help of the command"
    found = Finding("error", "command_line", wrong.format_message(), fix)
    print_findings([found])
    print_json({"exit": wrong.exit_code, "findings": [finding_json(found)]})
