"""How a value of the settings is written: its type in a person's words, and its text in YAML."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import time, timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from clinicrelay.settings import values
from clinicrelay.settings.mistakes import as_yaml
from clinicrelay.settings.shape import names_of
from clinicrelay.times import Span

_WORDS = {
    values.read_span: "duration",
    values.read_duration: "duration",
    values.read_clock: "time of day",
    values.read_share: "share",
    values.read_factor: "factor",
    values.read_rate: "rate",
    values.read_number: "phone",
    values.read_name: "short name",
    values.read_email: "e-mail address",
    values.read_zone: "time zone",
    values.read_country: "country code",
    values.read_language: "language tag",
}
_TYPES = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    SecretStr: "secret",
    timedelta: "duration",
    dict: "section",
    Any: "any value",
}


def type_of(info: FieldInfo) -> str:
    """Return the type of a field in a person's words."""
    return _word(info.annotation, info.metadata)


def _word(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    for note in metadata:
        if word := _WORDS.get(getattr(note, "func", note)):
            return word
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _word(arguments[0], arguments[1:])
    if origin is Literal:
        return " | ".join(str(a) for a in arguments)
    if origin in (tuple, list):
        return f"list of {_word(arguments[0])}"
    if arguments and origin is not dict:
        return " or ".join(dict.fromkeys(_word(a) for a in arguments if a is not type(None)))
    return _name(origin or annotation)


def _name(kind: Any) -> str:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " | ".join(str(member.value) for member in kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return "section"
    return _TYPES.get(kind, "text")


def default_of(info: FieldInfo) -> str:
    """Return a field's default as it would be written, or `required`; empty where it is none."""
    if info.is_required():
        return "required"
    value = info.default
    if value is PydanticUndefined or value is None or isinstance(value, BaseModel | dict):
        return ""
    return as_yaml(as_written(value, info))


def as_written(value: Any, info: FieldInfo) -> Any:
    """Return a field's value as one would write it."""
    if type_of(info) == "share":
        return f"{value * 100:g}%"
    return f"{value:g}x" if type_of(info) == "factor" else plain(value)


def plain(value: Any) -> Any:
    """Return a default as the text, number or list that one would write in YAML."""
    if isinstance(value, BaseModel):
        given = (
            (names_of(n, i)[0], getattr(value, n)) for n, i in type(value).model_fields.items()
        )
        return {key: plain(v) for key, v in given if v is not None and key != "options"}
    if isinstance(value, dict):
        return {str(plain(k)): plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list) and not isinstance(value, Span):
        return [plain(v) for v in value]
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, timedelta):
        return _written(value)
    if isinstance(value, time):
        return f"{value:%H:%M}"
    if isinstance(value, Enum):
        return value.value
    return value if isinstance(value, bool | int | float | None) else str(value)


def _written(stretch: timedelta) -> str:
    seconds = round(stretch.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0 and seconds > size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
