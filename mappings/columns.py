"""Finds a mapping's places in a table, and remembers what cells that keep coming back mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any, TypeAlias

from clinicrelay.errors import Refused
from clinicrelay.model import Issue
from clinicrelay.paths import fold
from clinicrelay.tables import Header
from mappings.fields import Get, Resolve, Source
from mappings.spec import Field, Name, names_in

Part: TypeAlias = Callable[[Source, list[Issue]], Any]

# Slots, doctors, places and status words of a big clinic fit; patients are not remembered.
_REMEMBERED = 32_768


def placed(name: Name, header: Header) -> int | None:
    """Return the column that a name means, None where the table has none.

    Raises Refused when two columns could be meant (C-09).
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

    def __init__(self, header: Header) -> None:
        self._header = header

    def place(self, name: Name) -> int | None:
        return placed(name, self._header)

    def __call__(self, name: Name) -> Get | None:
        index = self.place(name)
        return itemgetter(index) if index is not None else None

    def together(self, names: Iterable[Name]) -> Get | None:
        """Return what takes the cells of all names at once; None where the table has none."""
        found = (self.place(name) for name in names)
        indexes = sorted({index for index in found if index is not None})
        return itemgetter(*indexes) if indexes else None


class InKeys(InTable):
    """Resolves names to the values of flat JSON: of several keys that could be meant, the first.

    One record is no table: it must not stop the source.
    """

    def place(self, name: Name) -> int | None:
        index = self._header.index
        words = (fold(word) for word in (name.path, *name.also))
        return next((index[word] for word in words if word in index), None)


def remembered(part: Part, fields: Mapping[str, Field], owner: str, resolve: Resolve) -> Part:
    """Return a part that computes once for equal cells of the fields that `owner` begins.

    Only for parts that depend on nothing but those cells. What raises is not remembered.
    """
    if not isinstance(resolve, InTable):
        return part
    mine = [field.origin for name, field in fields.items() if name.split(".")[0] in owner.split()]
    cells = resolve.together(name for origin in mine for name in names_in(origin))
    return _remembering(part, cells) if cells else part


def _remembering(part: Part, cells: Get) -> Part:
    known: dict[Any, tuple[Any, list[Issue]]] = {}

    def read(source: Source, issues: list[Issue]) -> Any:
        at = cells(source)
        try:
            value, noted = known[at]
        except KeyError:
            noted = []
            value = part(source, noted)
            if len(known) >= _REMEMBERED:
                known.clear()
            known[at] = value, noted
        except TypeError:  # a cell that cannot be compared, such as a database's JSON
            return part(source, issues)
        if noted:
            issues += noted
        return value

    return read
