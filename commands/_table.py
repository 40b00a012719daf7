"""Rows for people: a table on a terminal, aligned plain lines in a pipe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from commands._call import Call


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under their headings; who makes it sees to it that a pipe gets no names."""

    headings: Sequence[str]
    rows: Sequence[Sequence[object]]


def show(call: Call, table: Table) -> None:
    """Print a table."""
    cells = [[str(cell) for cell in row] for row in table.rows]
    if call.on_terminal:
        _rich(table.headings, cells)
    elif cells:
        print("\n".join(plain(cells)))


def plain(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield lines whose cells stand below one another, two spaces between them."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(padded).rstrip()


def _rich(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table as Drawn
    from rich.text import Text

    table = Drawn(*headings, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*map(Text, row))  # Text: what a source wrote is never read as markup
    Console().print(table)
