"""Day or month first: decided by the whole column of a file, never guessed from one cell."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from clinicrelay.dates import DateOrder, Doubt, order_of, read_date
from clinicrelay.errors import BadRecord, Refused
from connectors.csv.records import Shape, cells_splitter

SAMPLE = 200  # records; one with a slash date among them makes the whole column count

_SLASHED = re.compile(r"\s*(\d{1,2}\s?([/-])\s?\d{1,2}\s?\2\s?(?:\d{4}|\d{2}))(?!\d)")


def settled_order(
    setting: str, sample: Iterable[str], whole: Callable[[], Iterable[str]], shape: Shape
) -> DateOrder | Doubt | None:
    """Return the order of a file's dates; None where no date in it needs one.

    `sample` and `whole` are raw records. The whole is only read when the sample has dates with
    slashes or hyphens; one that turns up later is set aside as ambiguous by the mapping.
    """
    if setting != "auto":
        return setting  # type: ignore[return-value]  # the settings allow no other words
    if not any(_SLASHED.match(cell) for cell in _date_cells(sample, shape)):
        return None
    return order_of(_date_cells(whole(), shape))


def refusal(doubt: Doubt, *, file: str, source: str) -> Refused:
    """Return the error that asks a person for the order."""
    said = {
        Doubt.UNDECIDED: f"dates like 03/04/2026 in {file} can be read two ways",
        Doubt.CONFLICT: f"some dates in {file} can only be day first, others only month first",
    }[doubt]
    return Refused(said, fix=f"set dates: dmy or dates: mdy on source {source}")


def splitter(
    shape: Shape, order: DateOrder | None, cells: Callable[[str], list[str]] | None = None
) -> Callable[[str], list[str]]:
    """Return what turns a raw record into cells, dates with slashes or hyphens made ISO.

    `cells` is what splits one otherwise than usual. The function raises BadRecord for a date that
    does not go with the order.
    """
    plain = cells or cells_splitter(shape)
    if order is None or not shape.dates:
        return plain

    def split(raw: str) -> list[str]:
        cells = plain(raw)
        for position in shape.dates:
            if found := _SLASHED.match(cells[position]):
                cells[position] = (
                    _iso(found[1], order, shape.names[position]) + (cells[position][found.end() :])
                )
        return cells

    return split


@lru_cache(maxsize=4096)
def _iso(text: str, order: DateOrder, name: str) -> str:
    try:
        return read_date(text, order).isoformat()
    except ValueError:
        raise BadRecord(
            "bad_date", field=name, detail=f"not a date in the order {order} of this file"
        ) from None


def _date_cells(raws: Iterable[str], shape: Shape) -> Iterator[str]:
    """Yield the cells of the date columns; a row without quotes is split no further than those."""
    if not shape.dates:
        return
    enough, delimiter, split = max(shape.dates) + 1, shape.delimiter, cells_splitter(shape)
    for raw in raws:
        cells = split(raw) if '"' in raw else raw.split(delimiter, enough)
        for position in shape.dates:
            yield cells[position]
