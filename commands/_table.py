"""Rows for people: a table on a terminal, aligned plain lines in a pipe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from commands._frame import Call


def show(call: Call, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their headings; the caller sees to it that a pipe gets no names."""
    cells = [[str(cell) for cell in row] for row in rows]
    if call.on_terminal:
        _rich(headings, cells)
    else:
        print("\n".join(plain(cells)))


def plain(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield lines whose cells stand below one another, two spaces between them."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(padded).rstrip()


def _rich(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*headings, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*map(Text, row))  # Text: what a source wrote is never read as markup
    Console().print(table)
