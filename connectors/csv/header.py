"""Finding the line that names the columns, and the delimiter, in the first lines of a file."""

from __future__ import annotations

import re
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
    if delimiter == "auto" and declared and not _could_delimit(declared):
        detail = f"its first line says sep={declared}, but a delimiter is one character"
        return NoHead("no_header", f"{detail}; export it with a comma, a semicolon or tabs")
    tried = (delimiter,) if delimiter != "auto" else (declared,) if declared else _DELIMITERS
    fitting = [c for d in tried if (c := _first_fit(body, d, columns))]
    if not fitting:
        return _nothing_found(body, lines_before, tried, columns)
    best = min(fitting, key=lambda c: (c.ends, -_regular(body, c), -len(c.cells)))
    return _head(best._replace(ends=best.ends + lines_before), columns)


def meets(cells: Sequence[str], columns: Columns | None) -> bool:
    """Whether a line of cells is a header: each required group meets one of its names."""
    names = {fold(cell) for cell in cells}
    if columns is None or not columns.required:
        return len(names - {""}) >= 2
    return all(group & names for group in columns.required)


def _declared(lines: Sequence[str]) -> tuple[str | None, int]:
    """Read Excel's `sep=;` line: the delimiter, and how many lines that took."""
    first = lines[0].strip('\ufeff\r\n "') if lines else ""
    if first.lower().startswith("sep=") and len(first) <= 8:
        return (first[4:].strip(" ") or "\t"), 1
    return None, 0


def _could_delimit(text: str) -> bool:
    return len(text) == 1 and not text.isalnum()


def _first_fit(lines: Sequence[str], delimiter: str, columns: Columns | None) -> _Candidate | None:
    return next((c for c in _candidates(lines, delimiter) if meets(c.cells, columns)), None)


def _regular(lines: Sequence[str], head: _Candidate) -> int:
    """Count the lines of the sample that have as many cells as the header."""
    gaps = len(head.cells) - 1
    return sum(line.count(head.delimiter) == gaps for line in lines[head.ends :])


def _candidates(lines: Sequence[str], delimiter: str) -> Iterator[_Candidate]:
    """Every line by itself, then with quoted line breaks inside header cells."""
    import csv

    for number, line in enumerate(lines[:LINES], 1):
        for cells in csv.reader([line], delimiter=delimiter):
            yield _Candidate(number, cells, delimiter)
    reader = csv.reader(lines, delimiter=delimiter)
    for cells in reader:
        yield _Candidate(reader.line_num, cells, delimiter)


def _head(found: _Candidate, columns: Columns | None) -> Head:
    names = [cell.strip().lstrip("\ufeff") for cell in found.cells]
    while names and not names[-1]:
        names.pop()
    folded = [fold(name) for name in names if name]
    twice = sorted({name for name in folded if folded.count(name) > 1})
    note = f"columns named twice, only the first of each is read: {', '.join(twice)}"
    notes = [note] if twice else []
    notes += _missed(names, columns) if columns else []
    return Head(tuple(names), found.delimiter, found.ends, tuple(notes))


def _missed(names: Sequence[str], columns: Columns) -> Iterator[str]:
    """Say what it means that a column is not there; it may be one whose name is not known."""
    folded = {fold(name): name for name in names if name}
    unread = ", ".join(name for one, name in folded.items() if one not in columns.names)
    for group, means in columns.hoped:
        if not group & folded.keys():
            yield f"{means}. Columns not read: {unread}" if unread else means


def _nothing_found(
    lines: Sequence[str], lines_before: int, tried: Sequence[str], columns: Columns | None
) -> NoHead:
    text = "".join(lines)
    if text.lstrip("\ufeff \r\n\t").startswith("<"):
        return NoHead(
            "not_csv", "this is a web page (a login or an error page?); export the file again"
        )
    if "\ufffd" in text or any(c < " " and c not in "\t\r\n\f" for c in text):
        return NoHead("not_csv", "this is no text; export the file again as CSV")
    for other in _DELIMITERS:
        if other not in tried and _first_fit(lines, other, columns):
            named = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a pipe"}[other]
            return NoHead("no_header", f"its cells are parted by {named}: set delimiter to that")
    if not any(d in line for line in lines for d in tried):
        return NoHead("not_csv", "this is a text without columns; export the file again as CSV")
    likely = _likeliest(lines, tried, columns)
    if likely and columns:
        return NoHead("no_header", _lacks(likely, lines_before, columns))
    return NoHead("no_header", f"none of the first {LINES} lines {_wanted(columns)}")


def _likeliest(
    lines: Sequence[str], tried: Sequence[str], columns: Columns | None
) -> _Candidate | None:
    """Return the line that must be the header although it lacks something, None where none must.

    It is shown to people, also in a log. In a file without a header the first line is somebody's
    visit, so a header has nothing that looks like data, and either several names that the mapping
    knows, or no digit at all right above a row of as many cells with many: every visit has a time.
    """
    if columns is None:
        return None
    known = [
        (sum(fold(cell) in columns.names for cell in c.cells), c)
        for d in tried
        for c in _candidates(lines, d)
        if all(map(_could_be_name, c.cells))
    ]
    most, found = max(known, key=lambda one: one[0], default=(0, None))
    if most >= 2:
        return found
    return next((c for _, c in known if _stands_above_data(c, lines)), None)


def _stands_above_data(one: _Candidate, lines: Sequence[str]) -> bool:
    names = [fold(cell) for cell in one.cells if cell.strip()]
    if len(names) < 4 or len({*names}) < len(names) or re.search(r"\d", "".join(one.cells)):
        return False
    below = lines[one.ends] if one.ends < len(lines) else ""
    return below.count(one.delimiter) == len(one.cells) - 1 and len(re.findall(r"\d", below)) >= 8


def _could_be_name(cell: str) -> bool:
    return len(cell) <= 60 and "@" not in cell and not re.search(r"\d\D?\d\D?\d", cell)


def _lacks(line: _Candidate, lines_before: int, columns: Columns) -> str:
    """Say what a header lacks, what it has, and how a mapping would say which of it is meant."""
    names = {fold(cell) for cell in line.cells}
    lacking = [
        fields
        for group, fields in zip(columns.required, columns.fields, strict=False)
        if not group & names
    ]
    seen = ", ".join(cell.strip() for cell in line.cells if cell.strip())
    wanted = "; and ".join(" or ".join(fields) for fields in lacking)
    lines_to_paste = ", ".join(f'{fields[-1]}: {{path: "…"}}' for fields in lacking)
    return (
        f"line {line.ends + lines_before} names the columns {seen}; none of them is known as "
        f"{wanted or 'what is needed'}. In a mapping of your own say which it is ({lines_to_paste})"
    )


def _wanted(columns: Columns | None) -> str:
    if columns is None or not columns.fields:
        return "names columns"
    fields = "; and ".join(" or ".join(group) for group in columns.fields)
    return (
        f"names columns that are known as {fields}. A file needs such a line above its rows; if its "
        "names are others, a mapping of your own says which they are"
    )
