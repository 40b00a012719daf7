"""Puts something harmless in place of what is wrong, so that all the rest can still be checked."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile
from typing import Any

from clinicrelay.settings.shape import Shape
from clinicrelay.settings.tree import Where

# An empty value means the default, which protects; here the default would let everything through.
_NEVER_EMPTY: Where = ("safety", "only_recipients")


def present(value: Any, shape: Shape, where: Where = ()) -> Any:
    """Copy data without the keys that are known and empty: those mean their default."""
    if isinstance(value, dict):
        return {
            key: present(item, shape, (*where, key))
            for key, item in value.items()
            if item is not None or (*where, key) == _NEVER_EMPTY or not shape.knows((*where, key))
        }
    if isinstance(value, list):
        return [present(item, shape, (*where, i)) for i, item in enumerate(value)]
    return [] if where == _NEVER_EMPTY and value is None else value


def mended(data: Any, broken: Iterable[Where], shape: Shape) -> Any:
    """Put examples in place of wrong values, or drop them."""
    for where in broken:
        # Without one item the others would be told of under their neighbour's place: drop the list.
        keys = tuple(takewhile(lambda step: isinstance(step, str), where))
        _mend(data, keys, shape)
    return data


def _mend(data: Any, where: Where, shape: Shape) -> None:
    holder = data
    for step in where[:-1]:
        holder = holder.get(step) if isinstance(holder, dict) else None
    if isinstance(holder, dict) and where:
        holder.pop(where[-1], None)
        info = shape.fields(where[:-1]).get(str(where[-1]))
        if info and info.is_required() and info.examples:
            holder[where[-1]] = info.examples[0]
