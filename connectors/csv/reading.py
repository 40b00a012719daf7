"""One file, read: from its first line to pages of records (nothing here moves or claims a file)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, NamedTuple

from clinicrelay.contracts import Columns, Unreadable
from clinicrelay.dates import DateOrder, Doubt
from clinicrelay.paths import fold
from connectors.csv import operations, rejects
from connectors.csv.archives import opened
from connectors.csv.header import LINES, Head, NoHead, find_head
from connectors.csv.inbox import Drop
from connectors.csv.options import Options
from connectors.csv.order import SAMPLE, refusal, settled_order, splitter
from connectors.csv.records import Lines, Piece, Run, Shape, cells_splitter, pieces, runs
from connectors.csv.rejects import Remarks, shown
from connectors.csv.text import Survey, open_text

_HEAD_LINES = 2 * LINES  # a header may have line breaks in its cells

_DETAILS = {
    "stray_quote": "a quote opens or closes where it should not; quotes inside a cell are doubled",
    "missing_cell": "the row has fewer cells than the header",
    "extra_cell": "the row has more cells than the header; a cell with the delimiter needs quotes",
    "truncated": "the last row is cut off: the file is not whole",
    "undecodable": "bytes that are not {encoding}; set encoding on the source to what it is",
    "unknown_op": "the operation of the row is not known: write insert, update or delete (I, U, D)",
}


class Plan(NamedTuple):
    """Where the records of a file are and what they look like."""

    drop: Drop
    survey: Survey
    shape: Shape
    begins: int  # lines before the first record
    remarks: Remarks | None  # of a reject file that came back
    notes: tuple[str, ...]


class Form(NamedTuple):
    """How a file is to be read, all decided before its first record."""

    drop: Drop
    survey: Survey
    shape: Shape
    begins: int
    names: tuple[str, ...]  # of the cells that `split` returns
    remarks: Remarks | None
    operation: int | None
    split: Callable[[str], list[str]]
    order: DateOrder | None
    person: bytes  # what decides how a record is read, in the 16 bytes that BLAKE2 has for it
    notes: tuple[str, ...]


def plan_of(
    drop: Drop, survey: Survey, options: Options, columns: Columns | None
) -> Plan | Unreadable:
    """Find the header of a file, or say why it cannot be read at all. Raises OSError."""
    if survey.trouble:
        return _hopeless(drop, NoHead("not_csv", survey.trouble), "")
    with _lines(drop, survey) as lines:
        first = [text for n in range(_HEAD_LINES) if (text := lines.ahead(n)) is not None]
    head = find_head(first, options.delimiter, columns)
    if isinstance(head, NoHead):
        return _hopeless(drop, head, "".join(first[:LINES]))
    shape = _shape(head, first[head.ends - 1], columns)
    at = rejects.remarks_in(shape.folded)
    if at is not None or rejects.is_named(drop.name):
        return Plan(drop, survey, shape, head.ends, rejects.Remarks(at), survey.notes)
    return Plan(drop, survey, shape, head.ends, None, (*survey.notes, *head.notes))


def form_of(
    drop: Drop,
    survey: Survey,
    options: Options,
    columns: Columns | None,
    *,
    source: str,
    usual: DateOrder | None = None,
) -> Form | Unreadable:
    """Decide how to read a file, or say why it cannot be read at all.

    `usual` is the order of dates in a reject file that is too short to tell it. Raises Refused when
    the order of day and month cannot be told, and OSError.
    """
    plan = plan_of(drop, survey, options, columns)
    if isinstance(plan, Unreadable):
        return plan
    operation = operations.column_of(plan.shape.folded) if options.contents == "delta" else None
    if options.contents == "delta" and operation is None:
        wanted = ", ".join(operations.COLUMNS)
        detail = f"contents: delta needs a column that says insert, update or delete ({wanted})"
        return _hopeless(drop, NoHead("no_operation", detail), plan.shape.header)
    order = _order(plan, options, source, usual if plan.remarks else None)
    return _form(plan, options, operation, order)


def _order(plan: Plan, options: Options, source: str, usual: DateOrder | None) -> DateOrder | None:
    def raws(limit: int | None = None) -> Iterator[str]:
        with _lines(plan.drop, plan.survey, plan.begins) as lines:
            yield from (p.raw for p in islice(pieces(lines, plan.shape), limit) if not p.reason)

    order = settled_order(options.dates, raws(SAMPLE), raws, plan.shape)
    if order is Doubt.UNDECIDED and usual:
        return usual
    if isinstance(order, Doubt):
        raise refusal(order, file=plan.drop.name, source=source)
    return order


def _form(plan: Plan, options: Options, operation: int | None, order: DateOrder | None) -> Form:
    shape, remarks = plan.shape, plan.remarks
    decided = (f"dates are read as {order}, which the whole column decided",)
    notes = (*plan.notes, *(decided if order and options.dates == "auto" else ()))
    # The encoding is not part of it: digests are of the decoded text, so a file that is plain ASCII
    # one day and has an umlaut the next keeps the digests of its other rows.
    context = (shape.folded, shape.delimiter, order, options.contents)
    person = hashlib.blake2b(json.dumps(context).encode(), digest_size=16).digest()
    return Form(
        plan.drop,
        plan.survey,
        shape,
        plan.begins,
        remarks.names(shape.names) if remarks else shape.names,
        remarks,
        operation,
        splitter(shape, order, remarks.mended(cells_splitter(shape)) if remarks else None),
        order,
        person,
        notes,
    )


def reject_file(
    plan: Plan, things: Sequence[Unreadable], columns: Columns | None
) -> tuple[bytes | None, list[Unreadable]]:
    """Return the reject file of a file, and what of `things` is in it. Raises OSError."""
    with _lines(plan.drop, plan.survey, plan.begins, binary=plan.survey.plain) as lines:
        asides = list(rejects.rows_of(lines, plan.shape, things, plan.drop.name))
    content = rejects.table(asides, plan.shape, plan.remarks, columns) if asides else None
    return content, [aside.thing for aside in asides]


class Stretch(NamedTuple):
    """Records that follow each other in a file: their digests, texts and line numbers."""

    digests: list[bytes]
    raws: Sequence[str | bytes]  # bytes are UTF-8
    lines: range
    gone: bool = False

    def after(self, number: int) -> Stretch | None:
        """Return what follows the first `number` of them."""
        if number >= len(self.raws):
            return None
        return Stretch(self.digests[number:], self.raws[number:], self.lines[number:], self.gone)


def read(form: Form) -> Iterator[Stretch | Unreadable]:
    """Yield the records of a file in its order; raises OSError.

    This is the loop that a million rows pay for: no record is made or split into cells here.
    """
    with _lines(form.drop, form.survey, form.begins, binary=form.survey.plain) as lines:
        for found in runs(lines, form.shape):
            if isinstance(found, Run) and form.operation is None:
                try:
                    yield _stretch(found, form.person)
                    continue
                except UnicodeEncodeError:
                    pass  # one of them has bytes that could not be decoded: one by one
            for piece in (found,) if isinstance(found, Piece) else found.pieces():
                yield _judged(form, piece)


def _stretch(run: Run, person: bytes) -> Stretch:
    """Digest lines that are a record each. Raises UnicodeEncodeError."""
    raws: Any = run.texts
    ends: Any = "\r\n" if isinstance(raws[0], str) else b"\r\n"
    raws = [text.rstrip(ends) for text in raws]
    # A copy of a hash that knows its person costs less than making one for every row.
    begun, digests = hashlib.blake2b(digest_size=16, person=person).copy, []
    for raw in raws if isinstance(ends, bytes) else map(str.encode, raws):
        whole = begun()
        whole.update(raw)
        digests.append(whole.digest())
    return Stretch(digests, raws, range(run.line, run.line + len(raws)))


def _judged(form: Form, piece: Piece) -> Stretch | Unreadable:
    """Make a record of a piece, or say why it is none."""
    if piece.reason:
        return _unreadable(form, piece)
    try:
        alone = _stretch(Run(piece.line, [piece.raw]), form.person)
    except UnicodeEncodeError:
        return _unreadable(form, piece._replace(reason="undecodable"))
    gone = False
    if form.operation is not None:
        told = operations.is_gone(cells_splitter(form.shape)(piece.raw)[form.operation])
        if told is None:
            return _unreadable(form, piece._replace(reason="unknown_op", column=form.operation + 1))
        gone = told
    return alone._replace(gone=gone)


@contextmanager
def _lines(drop: Drop, survey: Survey, begins: int = 0, *, binary: bool = False) -> Iterator[Lines]:
    with opened(drop.path) if binary else open_text(drop.path, survey.encoding) as file:
        lines = Lines(file, nul=survey.nul)
        if begins and lines.ahead(begins - 1) is not None:
            lines.at = begins
        yield lines


def _shape(head: Head, line: str, columns: Columns | None) -> Shape:
    folded = tuple(fold(name) for name in head.names)
    wanted = columns.dates if columns else frozenset()
    dates = tuple(n for n, name in enumerate(folded) if name in wanted)
    return Shape(head.names, folded, head.delimiter, line, dates)


def _unreadable(form: Form, piece: Piece) -> Unreadable:
    names, column = form.shape.names, piece.column
    return Unreadable(
        f"{form.drop.name}:{piece.line}",
        piece.reason,
        shown(piece.raw),
        _DETAILS[piece.reason].format(encoding=form.survey.encoding),
        field=names[column - 1] if column and column <= len(names) else None,
        column=column,
        line=piece.line,
    )


def _hopeless(drop: Drop, why: NoHead, raw: str) -> Unreadable:
    return Unreadable(drop.name, why.reason, shown(raw) or "(not text)", why.detail)
