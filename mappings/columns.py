"""Finds a mapping's places in a table, and spares its rows what most of them do not need."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeAlias
from unicodedata import is_normalized

from clinicrelay.errors import Refused
from clinicrelay.model import Issue
from clinicrelay.paths import fold
from clinicrelay.tables import Header
from mappings.fields import LIMIT, Get, Source, Text, cleaned
from mappings.moments import is_moment
from mappings.spec import Field, Name, names_in

Take: TypeAlias = Callable[[Sequence[Any]], Sequence[str | None] | None]
Part: TypeAlias = Callable[[Source, list[Issue]], Any]

_BETWEEN = ","  # printable, and composes with nothing beside it

# Slots, doctors, places and status words of a big clinic fit; patients are not remembered.
_REMEMBERED = 16_384


def placed(name: Name, header: Header) -> int | None:
    """Return the column that a name means, None where the table has none.

    Raises Refused when two columns could be meant.
    """
    wanted = dict.fromkeys(fold(word) for word in (name.path, *name.also))
    found = [header.index[word] for word in wanted if word in header.index]
    if len(found) > 1:
        one, two = (header.names[index] for index in found[:2])
        raise Refused(
            f'the columns "{one}" and "{two}" could both be the {name.path}',
            fix="leave one of them out of the export, or write a mapping that names the right one",
        )
    return found[0] if found else None


class InTable:
    """Resolves names to the cells of a table. Raises Refused where two columns could be meant."""

    tidy = False

    def __init__(self, header: Header, nulls: Collection[str]) -> None:
        self._header = header
        self.nulls = frozenset(nulls)

    def place(self, name: Name) -> int | None:
        return placed(name, self._header)

    def __call__(self, name: Name) -> Text | None:
        index = self.place(name)
        return cleaned(itemgetter(index), self.nulls) if index is not None else None

    def untouched(self, name: Name) -> Get:
        index = self.place(name)
        return itemgetter(index) if index is not None else lambda cells: None

    def places(self, names: Iterable[Name]) -> list[int]:
        """Return the columns that the table has of all names, in its order."""
        found = (self.place(name) for name in names)
        return sorted({index for index in found if index is not None})


class InKeys(InTable):
    """Resolves names to the values of flat JSON: of several keys that could be meant, the first.

    One record is no table: it must not stop the source.
    """

    def place(self, name: Name) -> int | None:
        index = self._header.index
        words = (fold(word) for word in (name.path, *name.also))
        return next((index[word] for word in words if word in index), None)


class InTexts:
    """Resolves names to texts that `take` takes of a row, all at once, where that is enough.

    Cleaning the cells of a row one by one costs more than all that is made of them.
    """

    tidy = True

    def __init__(self, table: InTable, names: Iterable[Name]) -> None:
        self._table = table
        self._places = table.places(names)
        self.take = _taker(self._places, table.nulls)

    def __call__(self, name: Name) -> Text | None:
        index = self._table.place(name)
        return itemgetter(self._places.index(index)) if index is not None else None


def _taker(places: Sequence[int], nulls: frozenset[str]) -> Take:
    """Return what takes the clean texts of a row: None when its cells have to be cleaned singly.

    Text that is printable and in NFC has nothing that `clean` would take out, so trimming is all;
    every part of such a text is such a text, so one look at the whole row tells.
    """
    get = _getter(places)

    def take(cells: Sequence[Any]) -> Sequence[str | None] | None:
        texts = get(cells)
        try:
            row = _BETWEEN.join(texts)
            if ", " in row or " ," in row or row != row.strip():
                texts = [*map(str.strip, texts)]
                row = _BETWEEN.join(texts)
        except TypeError:  # not all are text
            return None
        if not row.isprintable() or "  " in row:
            return None
        if not row.isascii() and not is_normalized("NFC", row):
            return None
        if len(row) > LIMIT and max(map(len, texts)) > LIMIT:
            return None
        if nulls.isdisjoint(texts):
            return texts
        return [None if text in nulls else text for text in texts]

    return take


def _getter(places: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """Return what takes several cells at once, always as a sequence."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda cells: [cells[place] for place in places]


def remembered(part: Part, fields: Mapping[str, Field], owner: str, resolve: object) -> Part:
    """Return a part that computes once for equal cells of the fields that `owner` begins.

    Only for parts that depend on nothing but those cells. What raises is not remembered.
    """
    if not isinstance(resolve, InTable):
        return part
    mine = [field.origin for name, field in fields.items() if name.split(".")[0] in owner.split()]
    places = resolve.places(name for origin in mine for name in names_in(origin))
    return _remembering(part, itemgetter(*places)) if places else part


def _remembering(part: Part, cells: Get) -> Part:
    known: dict[Any, tuple[Any, tuple[Issue, ...]]] = {}

    def read(source: Source, issues: list[Issue]) -> Any:
        at = cells(source)
        try:
            value, noted = known[at]
        except KeyError:
            value, noted = known[at] = _computed(part, source)
            if len(known) > _REMEMBERED:
                known.clear()
        except TypeError:  # a cell that cannot be compared, such as a database's JSON
            return part(source, issues)
        if noted:
            issues += noted
        return value

    return read


def _computed(part: Part, source: Source) -> tuple[Any, tuple[Issue, ...]]:
    issues: list[Issue] = []
    return part(source, issues), tuple(issues)


def wrong_column(field: Field, table: InTable, cells: Sequence[Any]) -> int | None:
    """Return the number, from 1, of the column that a field is wrong in, None where it has none."""
    texts = {
        place: str(cells[place]).strip()
        for name in names_in(field.origin)
        if (place := table.place(name)) is not None and place < len(cells)
    }
    filled = [place for place, text in texts.items() if text and text not in table.nulls]
    if field.type == "datetime":  # what is neither date nor time, then what is empty
        wrong = [place for place in filled if not is_moment(texts[place])]
        filled = [*wrong, *(place for place in texts if place not in filled)]
    return next((place + 1 for place in (*filled, *texts)), None)
