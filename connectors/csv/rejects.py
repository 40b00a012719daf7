"""The reject file of a drop: the rows that were set aside, why, and how they come back.

It is a CSV with the columns of the original and, behind them, what is wrong with each row. Whoever
mends the cells and drops it again has just those rows read: it is known by its name or by its last
columns, whatever `contents` says, so that it never passes for a list of everything.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from clinicrelay.contracts import Columns, Unreadable
from clinicrelay.files import replace
from clinicrelay.paths import fold
from connectors.csv.records import Lines, Run, Shape, as_text, runs

REMARKS = ("line", "column", "reason", "value", "ref")
_KNOWN_BY = REMARKS[:4]  # whoever removes the last one loses nothing but the tie to its entry
_NAME = re.compile(r"\.rejects\b[^/]*\.csv", re.IGNORECASE)
_LINE_END = re.compile(r"\r+\n|\r")
_HIDDEN = "***"
_PRIVATE_MODE = 0o600

# Spreadsheets take a cell that begins so for a formula. The apostrophe is what they show such a
# cell with; one that is there already gets a second, so that undoing gives back what there was.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")


def is_named(name: str) -> bool:
    """Whether a file calls itself a reject file: visits.rejects.csv, visits.rejects (1).csv."""
    return _NAME.search(name) is not None


def remarks_in(folded: Sequence[str]) -> int | None:
    """Return the position of the first of our columns in a header, None where it has none."""
    wide = len(_KNOWN_BY)
    places = range(len(folded) - wide + 1)
    return next((at for at in places if tuple(folded[at : at + wide]) == _KNOWN_BY), None)


def escaped(cell: str) -> str:
    """Return a cell as it may be opened in a spreadsheet."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def unescaped(cell: str) -> str:
    """Undo `escaped`; a cell that a person has typed anew is left as it is."""
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(_FORMULA) else cell


class Remarks(NamedTuple):
    """Where the remarks stand in a file that comes back; None where somebody has removed them."""

    at: int | None

    def names(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the header without our columns, whose names could mean something to a mapping."""
        return tuple("" if self.is_ours(n) else name for n, name in enumerate(names))

    def original(self, cells: Sequence[str]) -> list[str]:
        """Return the cells of the original columns as they were before we wrote them."""
        return [unescaped(cell) for n, cell in enumerate(cells) if not self.is_ours(n)]

    def mended(self, split: Callable[[str], list[str]]) -> Callable[[str], list[str]]:
        """Return what splits a record of a file that came back; its width is that of `names`."""
        return lambda raw: [unescaped(cell) for cell in split(raw)]

    def refs(self, raws: Iterable[str | bytes], split: Callable[[str], list[str]]) -> list[str]:
        """Return which entries rows say that they mend."""
        if self.at is None:
            return []
        at = self.at + len(_KNOWN_BY)
        rows = (split(as_text(raw)) for raw in raws)
        return [cells[at][1:] for cells in rows if at < len(cells) and cells[at][:1] == "r"]

    def is_ours(self, number: int) -> bool:
        """Whether a column, from 0, is one of ours."""
        return self.at is not None and self.at <= number < self.at + len(REMARKS)


class Aside(NamedTuple):
    """A row as it stands in its file, and what was said about it."""

    cells: list[str]
    thing: Unreadable


def rows_of(lines: Lines, shape: Shape, things: Iterable[Unreadable], name: str) -> Iterator[Aside]:
    """Yield the rows of a file that were set aside, in its order.

    A thing belongs to a row when both place and text are its own: an entry of another file of the
    same name has another text.
    """
    wanted: dict[int, list[Unreadable]] = {}
    for thing in things:
        if thing.line is not None and thing.place == f"{name}:{thing.line}":
            wanted.setdefault(thing.line, []).append(thing)
    if not wanted:
        return
    for line, raw in _rows(lines, shape, sorted(wanted)):
        told = [thing for thing in wanted[line] if thing.raw == shown(raw)]
        if told:
            yield Aside(_cells(raw, shape), told[-1])


def _rows(lines: Lines, shape: Shape, wanted: Sequence[int]) -> Iterator[tuple[int, str]]:
    left = iter(wanted)
    line = next(left, None)
    for found in runs(lines, shape):
        texts = found.texts if isinstance(found, Run) else (found.raw,)
        while line is not None and line < found.line + len(texts):
            if line >= found.line:
                yield line, as_text(texts[line - found.line]).rstrip("\r\n")
            line = next(left, None)
        if line is None:
            return


def _cells(raw: str, shape: Shape) -> list[str]:
    """Split a row that may be damaged into as many cells as there are names, losing nothing."""
    try:
        cells = next(csv.reader([raw], delimiter=shape.delimiter))
    except (csv.Error, StopIteration):
        cells = raw.split(shape.delimiter)
    wide = len(shape.names)
    if any(cell.strip() for cell in cells[wide:]):
        cells[wide - 1 :] = [shape.delimiter.join(cells[wide - 1 :])]
    # As the mapping has them: an escaped CR would be another one when it comes back.
    return ["\n".join(_LINE_END.split(cell)) for cell in (cells + [""] * wide)[:wide]]


def shown(raw: str) -> str:
    """Return text that a store can hold: no lone surrogates, where bytes could not be decoded."""
    return raw.encode("utf-8", "replace").decode()


def table(
    asides: Iterable[Aside], shape: Shape, remarks: Remarks | None, columns: Columns | None
) -> bytes:
    """Return the reject file: in UTF-8 with a byte order mark, which spreadsheets open unharmed."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=shape.delimiter, lineterminator="\r\n")
    ours = remarks or Remarks(None)
    names = [name for number, name in enumerate(shape.names) if not ours.is_ours(number)]
    writer.writerow([escaped(name) for name in (*names, *REMARKS)])
    for aside in asides:
        cells = remarks.original(aside.cells) if remarks else aside.cells
        row = [*cells, *_remarks(aside, shape, columns)]
        writer.writerow([escaped(shown(cell)) for cell in row])
    return out.getvalue().encode("utf-8-sig")


def _remarks(aside: Aside, shape: Shape, columns: Columns | None) -> tuple[str, ...]:
    thing = aside.thing
    number = thing.column if thing.column and thing.column <= len(shape.names) else None
    name = shape.names[number - 1] if number else thing.field or ""
    value = aside.cells[number - 1] if number else ""
    if value and (columns is None or fold(name) in columns.private):
        value = _HIDDEN
    why = f"{thing.reason}: {thing.detail}" if thing.detail else thing.reason
    # Begins with a letter, or a spreadsheet might take it for a number and round it.
    return str(thing.line), name, why, value, f"r{thing.ref}" if thing.ref else ""


def beside(original: Path, kind: str) -> Path:
    """Return the name of what is written beside an original: `rejects.csv`, `summary.json`."""
    name = original.name
    return original.with_name(f"{name[:-4] if name.lower().endswith('.csv') else name}.{kind}")


def write(
    original: Path, content: bytes | None, about: dict[str, Any], things: Sequence[Unreadable]
) -> None:
    """Write the reject file and its summary beside where the original will lie, for its owner alone.

    Each is put there in one step, and the same again by a run that has to repeat it. Raises OSError.
    """
    rejects = beside(original, "rejects.csv")
    if content is not None:
        replace(rejects, content, mode=_PRIVATE_MODE)
    summary = {
        **about,
        "set_aside": len(things),
        "reasons": dict(Counter(thing.reason for thing in things).most_common()),
        "rejects": rejects.name if content is not None else None,
    }
    text = json.dumps(summary, indent=1, ensure_ascii=False) + "\n"
    replace(beside(original, "summary.json"), text.encode(), mode=_PRIVATE_MODE)
