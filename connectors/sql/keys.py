"""Of what type the keys of a table are: a key that is a text to us is bound as what it was.

A row that is asked for in another form is not found, and would be taken for deleted. So only whole
numbers and texts without padding are ever asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

_OTHER = "other"


class Kinds:
    """The types of the key columns, as far as a read has seen them."""

    def __init__(self, places: Sequence[int]) -> None:
        self._places = places
        self._seen: list[set[str]] = [set() for _ in places]

    def see(self, rows: Sequence[Sequence[Any]]) -> None:
        for place, seen in zip(self._places, self._seen, strict=True):
            seen |= {*map(kind_of, (row[place] for row in rows))}

    def told(self, before: list[str] | None) -> list[str]:
        """Return the kind of each column; `before` is what a read of everything found."""
        for at, seen in enumerate(self._seen):
            if before is not None:
                seen.add(before[at] if at < len(before) else _OTHER)
        return [next(iter(seen)) if len(seen) == 1 else _OTHER for seen in self._seen]


def kind_of(value: Any) -> str:
    """Return `int` or `str` where a key can be bound as it was, else `other`."""
    if type(value) is int or (isinstance(value, Decimal) and value == value.to_integral_value()):
        return "int"
    return "str" if type(value) is str and value == value.strip() and value else _OTHER


def bound_as(parts: Sequence[str] | None, kinds: Sequence[str]) -> list[Any] | None:
    """Return the parts of a key as they are bound; None where that is not sure."""
    if parts is None or len(parts) != len(kinds) or _OTHER in kinds:
        return None
    try:
        return [
            int(part) if kind == "int" else part for part, kind in zip(parts, kinds, strict=True)
        ]
    except ValueError:
        return None
