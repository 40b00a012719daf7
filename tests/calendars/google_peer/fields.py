"""Partial answers: `items(id,etag,extendedProperties/private/csRef),nextPageToken`."""

from __future__ import annotations

import functools
import json
import re
from importlib.resources import files
from typing import Any

from .state import Body, invalid

Mask = dict[str, Any]


@functools.cache
def discovery() -> Body:
    """The document that Google's own client brings along."""
    folder = files("googleapiclient").joinpath("discovery_cache/documents")
    document: Body = json.loads(folder.joinpath("calendar.v3.json").read_text(encoding="utf-8"))
    return document


def mask_of(fields: str, schema: str) -> Mask:
    """Read what was asked for; a name that the schema does not know is refused."""
    tokens = re.findall(r"[\w*-]+|[(),/]", fields)
    if "".join(tokens) != fields.replace(" ", ""):
        raise _bad(fields)
    mask = _list(tokens)
    if tokens:
        raise _bad(fields)
    _check(mask, {"$ref": schema})
    return mask


def _list(tokens: list[str]) -> Mask:
    """Read names up to the bracket that closes them, and take them off the tokens."""
    mask: Mask = {}
    while True:
        at = mask
        name = _name(tokens)
        while tokens and tokens[0] == "/":
            tokens.pop(0)
            at = at.setdefault(name, {})
            name = _name(tokens)
        inner = at.setdefault(name, {})
        if tokens and tokens[0] == "(":
            tokens.pop(0)
            inner.update(_list(tokens))
            if not tokens or tokens.pop(0) != ")":
                raise _bad("(")
        if not tokens or tokens[0] != ",":
            return mask
        tokens.pop(0)


def _name(tokens: list[str]) -> str:
    if not tokens or tokens[0] in "(),/":
        raise _bad(tokens[0] if tokens else "")
    return tokens.pop(0)


def _check(mask: Mask, schema: Body) -> None:
    schema = discovery()["schemas"][schema["$ref"]] if "$ref" in schema else schema
    if schema.get("type") == "array":
        return _check(mask, schema["items"])
    known = schema.get("properties", {})
    for name, inner in mask.items():
        below = known.get(name) or schema.get("additionalProperties")
        if name == "*":
            continue
        if below is None:
            raise _bad(name)
        _check(inner, below)
    return None


def chosen(value: Any, mask: Mask) -> Any:
    """Return of an answer what the mask names."""
    if not mask or "*" in mask:
        return value
    if isinstance(value, list):
        return [chosen(one, mask) for one in value]
    if not isinstance(value, dict):
        return value
    return {name: chosen(value[name], inner) for name, inner in mask.items() if name in value}


def _bad(selection: str) -> Exception:
    return invalid(f"Invalid field selection {selection}", "invalidParameter")
