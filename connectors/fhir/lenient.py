"""Reads JSON in which something has another type than FHIR says: what fits is taken, no more."""

from __future__ import annotations

import json
from functools import cache
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Raw, Struct

BOM = b"\xef\xbb\xbf"  # before JSON it says nothing, and some write it (RFC 8259, 8.1)

Shape = TypeVar("Shape", bound=Struct)


def loose(raw: Raw | bytes) -> Any:
    """Return plain values. Raises ValueError for what is no JSON, or nested beyond all measure."""
    content = bytes(raw).removeprefix(BOM)
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass
    try:  # it takes half of a character and raw control characters
        return json.loads(content.decode("utf-8", "replace"), strict=False)
    except (ValueError, RecursionError):
        raise ValueError("no JSON") from None


def fitted(given: dict[str, Any], kind: type[Shape]) -> Shape:
    """Return a struct of whatever in `given` has the types that it asks for."""
    found = {
        name: value
        for name, key, wanted in _fields(kind)
        if key in given and (value := _fit(given[key], wanted)) is not None
    }
    return kind(**found)


@cache
def _fields(kind: type[Struct]) -> tuple[tuple[str, str, Any], ...]:
    return tuple((f.name, f.encode_name, f.type) for f in msgspec.structs.fields(kind))


def _fit(value: Any, wanted: Any) -> Any:
    """Return the value as the wanted type, None where it is something else."""
    if value is None:
        return None
    if wanted is Raw:
        return Raw(json.dumps(value).encode())
    origin = get_origin(wanted)
    if origin in (UnionType, Union):
        return _fit_one_of(value, [one for one in get_args(wanted) if one is not type(None)])
    if origin in (tuple, list):
        return _fit_many(value, get_args(wanted)[0], origin)
    if isinstance(wanted, type) and issubclass(wanted, Struct):
        return fitted(value, wanted) if isinstance(value, dict) else None
    return _fit_scalar(value, wanted)


def _fit_one_of(value: Any, wanted: list[Any]) -> Any:
    exact = [one for one in wanted if type(value) is one]
    return next((fit for one in exact or wanted if (fit := _fit(value, one)) is not None), None)


def _fit_many(value: Any, wanted: Any, kind: Any) -> Any:
    """One where a list belongs counts as a list of one: that is how XML becomes JSON at some."""
    values = value if isinstance(value, list) else [value]
    return kind(fit for one in values if (fit := _fit(one, wanted)) is not None)


def _fit_scalar(value: Any, wanted: Any) -> Any:
    if wanted is str:
        if isinstance(value, str):  # half of a character cannot be stored or sent
            return value.encode("utf-8", "replace").decode()
        # An id written as a number is an id.
        return str(value) if type(value) is int else None
    return value if type(value) is wanted else None
