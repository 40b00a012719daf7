"""What an answer holds: its JSON, and what stands at a path in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from clinicrelay.http import Answer
from clinicrelay.paths import Search, compile_path

_DEEPEST = 100  # levels of lists and objects; visits have ten


class _NoJson:
    """What stands for a body that is none."""


NO_JSON = _NoJson()


def found_at(path: str) -> Search:
    """Return a function that finds what `path` names; None also where an answer's shape is another."""
    search = compile_path(path)

    def found(body: Any) -> Any:
        try:
            return search(body)
        except ValueError:
            return None

    return found


def as_id(value: Any) -> str | None:
    """Return an id as text, however it is written; None of what is none."""
    if value is None or isinstance(value, bool | list | dict):
        return None
    return (
        str(int(value) if isinstance(value, float) and value.is_integer() else value).strip()
        or None
    )


def decoded(answer: Answer) -> Any:
    """Return an answer's JSON, NO_JSON where it is none.

    A number that a float could not hold as it was written stays text: it may be an id.
    """
    import json

    import msgspec

    try:
        return _shallow(msgspec.json.Decoder(float_hook=_number).decode(answer.content))
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    except RecursionError:
        return NO_JSON
    try:  # NaN, or half a pair of surrogates in one name, must not cost the whole page
        text = answer.content.decode()
        body = _shallow(
            json.loads(text, parse_float=_number, parse_int=_whole, parse_constant=_none)
        )
        return body if body is NO_JSON else _in_whole_letters(body)
    except (ValueError, RecursionError):
        return NO_JSON


def _shallow(body: Any) -> Any:
    """Return a body, NO_JSON of one so deep that nobody could walk it, or write it again."""
    level = [body]
    for _ in range(_DEEPEST):
        level = [part for one in level for part in _parts(one) if isinstance(part, dict | list)]
        if not level:
            return body
    return NO_JSON


def _parts(one: Any) -> Iterable[Any]:
    if isinstance(one, dict):
        return one.values()
    return one if isinstance(one, list) else ()


def _in_whole_letters(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_in_whole_letters(k): _in_whole_letters(v) for k, v in value.items()}
    return [_in_whole_letters(v) for v in value] if isinstance(value, list) else value


def _none(word: str) -> None:
    """NaN and Infinity are no JSON, and say as much as nothing."""


def _number(text: str) -> float | str:
    value = float(text)
    return value if repr(value) == text else text


def _whole(text: str) -> int | str:
    """Read a number as msgspec would: one of more than 64 bits stays text, or it cannot be written."""
    value = int(text) if len(text) <= 20 else 1 << 64
    return value if -(1 << 63) <= value < 1 << 64 else text
