"""The help page: commands in the four groups of their use."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

from commands import GROUPS


class Grouped(TyperGroup):
    """The program, whose help names its commands by when they are used."""

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
