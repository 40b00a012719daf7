"""Finding the line that names the columns, and the delimiter, in the first lines of a file (C-08)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from clinicrelay.contracts import Columns
from clinicrelay.paths import fold

LINES = 20  # a preamble longer than this is no preamble
_DELIMITERS = (",", ";", "\t", "|")


class Head(NamedTuple):
    """The header of a file: names without trailing blanks, and the first line after it (0-based)."""

    names: tuple[str, ...]
    delimiter: str
    ends: int
    notes: tuple[str, ...] = ()


class NoHead(NamedTuple):
    """Why a file has no header that we can use: a stable code, and a sentence for a person."""

    reason: str
    detail: str


class _Candidate(NamedTuple):
    ends: int
    cells: list[str]
    delimiter: str


def find_head(lines: Sequence[str], delimiter: str, columns: Columns | None) -> Head | NoHead:
    """Return the first line that has every column the mapping needs, under the delimiter it has.

    Without columns (no mapping is known) it is the first line with at least two cells.
    """
    declared, lines_before = _declared(lines)
    body = lines[lines_before:]
    if not any(line.strip() for line in body):
        return NoHead("empty_file", "the file holds nothing; export it again")
    tried = (delimiter,) if delimiter != "auto" else (declared,) if declared else _DELIMITERS
    fitting = [c for d in tried if (c := _first_fit(body, d, columns))]
    if not fitting:
        return _nothing_found(body, tried, columns)
    best = min(fitting, key=lambda c: (c.ends, -len(c.cells)))
    return _head(best._replace(ends=best.ends + lines_before))


def meets(cells: Sequence[str], columns: Columns | None) -> bool:
    """Whether a line of cells is a header: each required group meets one of its names."""
    names = {fold(cell) for cell in cells}
    if columns is None or not columns.required:
        return len(names - {""}) >= 2
    return all(group & names for group in columns.required)


def _declared(lines: Sequence[str]) -> tuple[str | None, int]:
    """Read Excel's `sep=;` line: the delimiter, and how many lines that took."""
    first = lines[0].strip("\ufeff\r\n ") if lines else ""
    if first.lower().startswith("sep=") and len(first) <= 5:
        return (first[4:] or "\t"), 1
    return None, 0


def _first_fit(lines: Sequence[str], delimiter: str, columns: Columns | None) -> _Candidate | None:
    return next((c for c in _candidates(lines, delimiter) if meets(c.cells, columns)), None)


def _candidates(lines: Sequence[str], delimiter: str) -> Iterator[_Candidate]:
    """Every line by itself, then with quoted line breaks inside header cells."""
    import csv

    for number, line in enumerate(lines[:LINES], 1):
        for cells in csv.reader([line], delimiter=delimiter):
            yield _Candidate(number, cells, delimiter)
    reader = csv.reader(lines, delimiter=delimiter)
    for cells in reader:
        yield _Candidate(reader.line_num, cells, delimiter)


def _head(found: _Candidate) -> Head:
    names = [cell.strip().lstrip("\ufeff") for cell in found.cells]
    while names and not names[-1]:
        names.pop()
    folded = [fold(name) for name in names if name]
    twice = sorted({name for name in folded if folded.count(name) > 1})
    note = f"columns named twice, only the first of each is read: {', '.join(twice)}"
    return Head(tuple(names), found.delimiter, found.ends, (note,) if twice else ())


def _nothing_found(lines: Sequence[str], tried: Sequence[str], columns: Columns | None) -> NoHead:
    text = "".join(lines)
    if text.lstrip("\ufeff \r\n\t").startswith("<"):
        return NoHead(
            "not_csv", "this is a web page (a login or an error page?); export the file again"
        )
    if "\ufffd" in text or any(c < " " and c not in "\t\r\n\f" for c in text):
        return NoHead("not_csv", "this is no text; export the file again as CSV")
    if not any(d in line for line in lines for d in tried):
        return NoHead("not_csv", "this is a text without columns; export the file again as CSV")
    return NoHead("no_header", f"none of the first {LINES} lines {_wanted(columns)}")


def _wanted(columns: Columns | None) -> str:
    if columns is None or not columns.required:
        return "names columns"
    groups = (" or ".join(sorted(group, key=len)[:4]) for group in columns.required)
    return f"has the expected columns such as {'; and '.join(groups)}"
