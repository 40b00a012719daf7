"""From lines to records: quoted line breaks glued, and a damaged record loses only itself."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from io import BufferedReader, TextIOWrapper
from typing import Any, NamedTuple

from clinicrelay.paths import fold

BLOCK = 1 << 18  # characters or bytes read at a time
LONGEST = 1 << 20  # characters that a record may have before its open quote counts as a stray one

# A note may be longer than the 131,072 characters at which Python's reader gives up.
csv.field_size_limit(sys.maxsize)

_TOTALS = re.compile(
    r"\W*(?:(?:grand )?totals?|sub-?totals?|sum|count|summe|gesamt\w*|insgesamt|anzahl|suma|totale"
    r"|somme|records?|rows?|zeilen|datens\w+|filas|lignes|righe|linhas|end of|ende|fin|fine|page"
    r"|seite|p[aá]gina|printed|generated|created|erstellt|gedruckt)\b",
    re.IGNORECASE,
)
# How totals begin that have as many cells as a record: `Total;;;300`, `"Summe","","300"`.
_BEGIN_WORDS = ("tot", "sum", "sub", "gra", "cou", "ges", "ins", "anz", "som")
_TOTALS_BEGIN = frozenset(
    begin[:3]
    for word in _BEGIN_WORDS
    for cased in (word, word.title(), word.upper())
    for begin in (cased, f'"{cased}')
)
_DATE = re.compile(
    r"""\s*"?(?:\d{8}\b|\d{1,4}\s?[-/.]\s?\d{1,2}\s?[-/.]\s?\d|\d{1,2}[-. ]+[^\W\d])"""
)
_RETURN = re.compile(rb"(?<=\r)(?!\n)(?!\Z)")
_QUOTED = re.compile(r'"[^"]*(?:""[^"]*)*"')


class Shape(NamedTuple):
    """What a record of this file looks like: names of its cells, delimiter, cells with dates."""

    names: tuple[str, ...]
    folded: tuple[str, ...]
    delimiter: str
    header: str  # its line as it stands
    dates: tuple[int, ...]


class Piece(NamedTuple):
    """One record as it stands in the file, or why it is none (`reason`, and the cell's number)."""

    line: int
    raw: str
    reason: str = ""
    column: int | None = None


class Run(NamedTuple):
    """Physical lines one after the other that are a record each; line ends are still there."""

    line: int
    texts: Sequence[str | bytes]

    def pieces(self) -> Iterator[Piece]:
        """Yield them one by one, without line ends."""
        for line, text in enumerate(self.texts, self.line):
            yield Piece(line, as_text(text).rstrip("\r\n"))


class Lines:
    """The physical lines of a file, numbered from 1, with a look ahead of any length.

    Of a file that was opened in binary the lines are UTF-8 until somebody asks for one.
    """

    def __init__(self, file: TextIOWrapper | BufferedReader, *, nul: bool = False) -> None:
        self._file = file
        self._nul = nul
        self.binary = not isinstance(file, TextIOWrapper)
        self.block: list[Any] = []  # all str or all bytes
        self.at = 0
        self.first = 1  # the number of block[0]

    def ahead(self, steps: int = 0) -> str | None:
        """Return the line `steps` after the next one, None past the end."""
        while self.at + steps >= len(self.block):
            if not self.fill():
                return None
        return as_text(self.block[self.at + steps])

    def split_returns(self) -> None:
        """Take the next line apart where a lone CR ends one: a binary file knows only LF."""
        if self.binary and b"\r" in self.block[self.at][:-2]:
            self.block[self.at : self.at + 1] = _RETURN.split(self.block[self.at])

    def fill(self) -> bool:
        """Read on; False at the end of the file."""
        more: list[Any] = self._file.readlines(BLOCK)
        if self._nul:
            more = [line.replace("\0", "") or "\n" for line in more]
        self.first += self.at
        self.block = self.block[self.at :] + more
        self.at = 0
        return bool(more)


def runs(lines: Lines, shape: Shape) -> Iterator[Run | Piece]:
    """Yield every record from here on; blank, repeated header and total lines are passed over.

    What needs no second look comes as runs of plain lines, everything else as pieces: with the right
    number of delimiters, quotes that are plainly in order and no look of a total a line is a record,
    and nothing more is asked.
    """
    look = _look(shape, binary=lines.binary)
    while lines.at < len(lines.block) or lines.fill():
        block, start = lines.block, lines.at
        lines.at = at = (
            len(block) if not start and _all_plain(block, look) else _odd_one(lines, look, shape)
        )
        if at > start:
            yield Run(lines.first + start, block[start:at])
        if at < len(block) and (piece := _odd(lines, shape)):
            yield piece


def _all_plain(block: list[Any], look: _Look) -> bool:
    """Whether every line of a block is a record for certain: the quick way, for all of them at once."""
    begins = {text[:3] for text in block}
    return (
        look.quote not in look.nothing.join(block)
        and {text.count(look.delimiter) for text in block} == {look.gaps}
        and begins.isdisjoint(look.totals)
        and {begin[:1] for begin in begins}.isdisjoint(look.blanks)
        and look.header not in block
    )


def _odd_one(lines: Lines, look: _Look, shape: Shape) -> int:
    """Return where in the block the next line is that needs a second look, its end if none does."""
    quote, delimiter, in_order, gaps = look.quote, look.delimiter, look.in_order, look.gaps
    for at in range(lines.at, len(lines.block)):
        text = lines.block[at]
        if quote in text:
            if not in_order(text):
                return at
        elif text.count(delimiter) != gaps:
            return at
        looks_odd = text[:3] in look.totals or text[:1] in look.blanks or text == look.header
        if looks_odd and _passed_over(as_text(text), shape):
            return at
    return len(lines.block)


def pieces(lines: Lines, shape: Shape) -> Iterator[Piece]:
    """Yield the same one by one."""
    for found in runs(lines, shape):
        if isinstance(found, Piece):
            yield found
        else:
            yield from found.pieces()


class _Look(NamedTuple):
    """What a line is looked at for, as text or as bytes."""

    nothing: Any
    quote: Any
    delimiter: Any
    gaps: int  # delimiters of a record
    header: Any
    blanks: frozenset[Any]
    totals: frozenset[Any]
    in_order: Callable[[Any], bool]


def _look(shape: Shape, *, binary: bool) -> _Look:
    """Return what to look for in the lines of a file, and a test of those with quotes.

    That tells whether such a line is a record for certain. Either every cell is quoted and no quote
    is inside a cell, or taking away the cells that are quoted from delimiter to delimiter leaves no
    quote, and as many delimiters as there should be.
    """

    def made(text: str) -> Any:
        return text.encode() if binary else text

    quote, delimiter, gaps = made('"'), made(shape.delimiter), len(shape.names) - 1
    between, quotes = quote + delimiter + quote, 2 * gaps + 2
    ends, nothing, mark = made("\r\n"), made(""), re.escape(shape.delimiter)
    without = re.compile(made(rf'(?<![^{mark}])"[^"]*"(?=[{mark}\r\n]|$)')).sub

    def in_order(text: Any) -> bool:
        if text.count(quote) == quotes and text.count(between) == gaps:
            return bool(text[:1] == quote and text.rstrip(ends)[-1:] == quote)
        bare = without(nothing, text)
        return quote not in bare and bare.count(delimiter) == gaps

    return _Look(
        nothing,
        quote,
        delimiter,
        gaps,
        made(shape.header),
        frozenset(map(made, (shape.delimiter, " ", "\t", "\r", "\n"))),
        frozenset(map(made, _TOTALS_BEGIN)),
        in_order,
    )


def as_text(line: str | bytes) -> str:
    """Return a line as text: bytes are known to be UTF-8."""
    return line if isinstance(line, str) else line.decode()


def cells_splitter(shape: Shape) -> Callable[[str], list[str]]:
    """Return what makes cells of a record, exactly as many as the header has names.

    A delimiter too many at the end is dropped, line breaks in cells are LF. Only for what
    `pieces` yielded as a record.
    """
    delimiter, wide = shape.delimiter, len(shape.names)

    def split(raw: str) -> list[str]:
        if '"' not in raw:
            cells = raw.split(delimiter)
            return cells if len(cells) == wide else cells[:wide]
        cells = next(csv.reader([raw], delimiter=delimiter))[:wide]
        return [c.replace("\r\n", "\n") for c in cells] if "\r" in raw else cells

    return split


def _passed_over(text: str, shape: Shape) -> bool:
    """Whether a line as wide as a record may still be none: a total, a header, nothing at all."""
    blank = not text.strip(f"{shape.delimiter} \t\r\n")
    return blank or text == shape.header or bool(_TOTALS.match(text))


def _odd(lines: Lines, shape: Shape) -> Piece | None:
    """Take the next record, which needs a closer look; None when it is to be passed over."""
    lines.split_returns()
    number, text = lines.first + lines.at, as_text(lines.block[lines.at])
    raw, cells, took = _quoted(lines, shape) if '"' in text else _unquoted(text, shape)
    ended = text.endswith(("\n", "\r"))
    lines.at += took
    raw = raw.rstrip("\r\n")
    if cells is None:
        return Piece(number, raw, "stray_quote", _damaged_column(raw, shape))
    return _judged(number, raw, cells, shape, ended)


def _unquoted(text: str, shape: Shape) -> tuple[str, list[str], int]:
    return text, text.rstrip("\r\n").split(shape.delimiter), 1


def _quoted(lines: Lines, shape: Shape) -> tuple[str, list[str] | None, int]:
    """Read a record with quotes, over as many lines as it takes: text, cells, lines taken.

    When the quotes do not make sense (cells None) just the first line is taken, and reading goes on
    with the next: whatever was written after a stray quote is read for what it is.
    """
    text = first = as_text(lines.block[lines.at])
    last: str | None = None
    taken = 1
    cells = _strict(text, shape.delimiter)
    while cells is _OPEN:
        last = lines.ahead(taken)
        if last is None or len(text) > LONGEST or _between(last, shape):
            return first, None, 1
        text += last
        taken += 1
        if '"' in last:
            cells = _strict(text, shape.delimiter)
    if cells is _DAMAGED or (last is not None and _swallowed(first, last, cells, shape)):
        return first, None, 1
    return text, cells, taken


_OPEN: list[str] = ["a quote is still open"]
_DAMAGED: list[str] = ["a closing quote is followed by something else"]


def _strict(text: str, delimiter: str) -> list[str]:
    """Return the cells, or the one list _OPEN or _DAMAGED."""
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error as error:
        return _OPEN if "end of data" in str(error) else _DAMAGED


def _between(line: str, shape: Shape) -> bool:
    """Whether a line inside open quotes is a record that a stray quote is about to swallow."""
    return '"' not in line and _whole(line, shape)


def _swallowed(first: str, last: str, cells: Sequence[str], shape: Shape) -> bool:
    """Whether gluing joined what were records: of the wrong width, or both ends are records.

    Two stray quotes in two rows can glue to something of the right width. But a record that goes on
    over the line has its other cells either before its break or after it, not both.
    """
    blank = all(not cell.strip() for cell in cells[len(shape.names) :])
    if len(cells) < len(shape.names) or not blank:
        return True
    return _whole(_QUOTED.sub("q", first), shape) and _whole(last, shape)


def _whole(line: str, shape: Shape) -> bool:
    """Whether a line could be a record by itself: its width, and a date in its first date cell.

    Without known date columns nothing is suspected: prose can have any number of commas.
    """
    if not shape.dates or line.count(shape.delimiter) != len(shape.names) - 1:
        return False
    return bool(_DATE.match(line.split(shape.delimiter)[shape.dates[0]]))


def _judged(number: int, raw: str, cells: list[str], shape: Shape, ended: bool) -> Piece | None:
    wide, filled = len(shape.names), [cell for cell in cells if cell.strip()]
    if not filled or _is_total(raw, cells, filled, wide) or _is_header(cells, shape):
        return None
    if len(cells) < wide:
        reason = "missing_cell" if ended else "truncated"
        return Piece(number, raw, reason, len(cells) + 1)
    if any(cell.strip() for cell in cells[wide:]):
        return Piece(number, raw, "extra_cell", wide + 1)
    return Piece(number, raw)


def _is_header(cells: Sequence[str], shape: Shape) -> bool:
    return fold(cells[0]) == shape.folded[0] and (
        tuple(fold(cell) for cell in cells[: len(shape.folded)]) == shape.folded
    )


def _is_total(raw: str, cells: Sequence[str], filled: Sequence[str], wide: int) -> bool:
    """`Total;;;300`, `Total: 300`, `(300 rows affected)`, `-----`; never a bare id cut off."""
    if wide < 3 or len(filled) > 2:
        return False
    return bool(_TOTALS.match(raw)) or (len(cells) == 1 and not _could_be_id(cells[0].strip()))


def _could_be_id(text: str) -> bool:
    return any(c.isdigit() for c in text) and not any(c.isspace() for c in text)


def _damaged_column(raw: str, shape: Shape) -> int:
    """Return the number of the first cell whose quotes make no sense."""
    mark = re.escape(shape.delimiter)
    cell = re.compile(rf'(?:{_QUOTED.pattern}|[^"{mark}][^{mark}]*|)({mark}|$)')
    at, number = 0, 1
    while (found := cell.match(raw, at)) and found[1]:
        at, number = found.end(), number + 1
    return min(number, len(shape.names))
