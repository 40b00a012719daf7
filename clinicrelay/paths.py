"""Names and paths into records: what a mapping's `path` means, compiled once."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

Search: TypeAlias = Callable[[Any], Any]

_STEP = re.compile(r"\.?([^\W\d]\w*)|\[(-?\d+)\]")
_SIMPLE = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*|\[-?\d+\])*")
_BEYOND_A_NAME = frozenset(".[]{}|*@&?`()'\"")


@lru_cache(maxsize=4096)
def fold(name: str) -> str:
    """Return a column name as it is compared: no case, accents, spaces or punctuation.

    `Appointment ID`, `appointment_id` and `appointmentId` are one name.
    """
    plain = unicodedata.normalize("NFKD", name.casefold())
    return "".join(c for c in plain if c.isalnum() and not unicodedata.combining(c))


def is_name(path: str) -> bool:
    """Whether a path can only be the name of a column or key, not a way into nested data."""
    return not _BEYOND_A_NAME.intersection(path)


def compile_path(path: str) -> Search:
    """Return a function that finds what `path` names in decoded JSON, or None.

    Dotted names and indexes (`patient.phones[0].value`) become a closure, names alone (also such
    as `Patient ID`) a look-up, everything else JMESPath. Raises ValueError, with the position, for a
    path that is not JMESPath; the function itself raises ValueError where a JMESPath function is
    given data of the wrong type.
    """
    if _SIMPLE.fullmatch(path):
        return _walk(tuple(_steps(path)))
    if is_name(path):
        return _walk((path,))
    return _jmespath(path)


def _steps(path: str) -> list[str | int]:
    return [name or int(index) for name, index in _STEP.findall(path)]


def _walk(steps: tuple[str | int, ...]) -> Search:
    """Follow the steps as JMESPath would: a step that does not fit the data leads to None."""
    if len(steps) == 1:
        only = steps[0]
        return lambda data: data.get(only) if isinstance(data, Mapping) else None

    def walk(data: Any) -> Any:
        for step in steps:
            data = _enter(data, step)
            if data is None:
                return None
        return data

    return walk


def _enter(data: Any, step: str | int) -> Any:
    if type(step) is str:
        return data.get(step) if isinstance(data, Mapping) else None
    fits = isinstance(data, list) and -len(data) <= int(step) < len(data)
    return data[step] if fits else None


def _jmespath(path: str) -> Search:
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        search = jmespath.compile(path).search
    except JMESPathError as wrong:
        raise ValueError(f"{path!r} is not a JMESPath: {wrong}") from wrong

    def guarded(data: Any) -> Any:
        try:
            return search(data)
        except JMESPathError:
            raise ValueError(f"{path!r} does not fit the record's shape") from None

    return guarded
