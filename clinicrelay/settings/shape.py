"""Which keys and types belong at a place of the settings, the plugins' own included."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from clinicrelay.settings.tree import Where


def names_of(name: str, info: FieldInfo) -> tuple[str, ...]:
    """Return the keys a field answers to in YAML, the proper one first."""
    choices = getattr(info.validation_alias, "choices", None) or [info.validation_alias]
    aliases = [a for a in choices if isinstance(a, str)]
    return tuple(aliases) or (info.alias or name,)


def parts(annotation: Any) -> Iterator[Any]:
    """Yield the alternatives of a type, without annotations and unions around them."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from parts(get_args(annotation)[0])
    elif origin is Union or type(annotation).__name__ == "UnionType":
        for choice in get_args(annotation):
            yield from parts(choice)
    else:
        yield annotation


def sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models among the alternatives of a type."""
    for part in parts(annotation):
        if isinstance(part, type) and issubclass(part, BaseModel):
            yield part


def item_type(annotation: Any) -> Any:
    """Return what a list's items or a section's named entries are; else the type itself."""
    for part in parts(annotation):
        if get_origin(part) is dict:
            return get_args(part)[1]
        if get_origin(part) in (tuple, list):
            return get_args(part)[0]
    return annotation


@dataclass(slots=True)
class Shape:
    """The settings' model, and at some places the model of a plugin's options beside it."""

    root: type[BaseModel]
    plugins: Mapping[Where, type[BaseModel]] = field(default_factory=dict)

    def types(self, where: Where) -> list[Any]:
        """Return the types that a value at this place may have."""
        found: list[Any] = [self.root]
        for depth, step in enumerate(where, start=1):
            found = [t for kind in found for t in _below(kind, step)]
            if own := self.plugins.get(where[:depth]):
                found.append(own)
        return found

    def fields(self, where: Where, *, tag: Any = None) -> dict[str, FieldInfo]:
        """Return the keys that a section at this place may hold.

        Where several kinds of section may stand, as under `auth`, `tag` chooses the one whose word
        (`type: bearer`) it is.
        """
        models = [model for kind in self.types(where) for model in sections(kind)]
        meant = [model for model in models if tag is not None and tag in words_of(model)]
        return {
            key: info
            for model in meant or models
            for name, info in model.model_fields.items()
            for key in names_of(name, info)
            if name != "options"  # put there by us, never by a person
        }

    def kinds_with(self, where: Where, key: str) -> list[str]:
        """Return the words of those kinds of section at this place that have a key."""
        models = [model for kind in self.types(where) for model in sections(kind)]
        return [
            word
            for model in models
            if any(key in names_of(name, info) for name, info in model.model_fields.items())
            for word in words_of(model)
        ]

    def is_secret(self, where: Where) -> bool:
        """Whether a value at this place must never be shown."""
        return any(part is SecretStr for kind in self.types(where) for part in parts(kind))

    def is_path(self, where: Where) -> bool:
        """Whether a value at this place names a file or folder."""
        return any(part is Path for kind in self.types(where) for part in parts(kind))

    def knows(self, where: Where) -> bool:
        """Whether anything may stand at this place at all."""
        return bool(self.types(where))


def words_of(model: type[BaseModel]) -> list[str]:
    """Return the word that a kind of section is known by: that of its first key, if it has but one."""
    first = next(iter(model.model_fields.values()), None)
    words = (
        [part for part in parts(first.annotation) if get_origin(part) is Literal] if first else []
    )
    return [*get_args(words[0])] if words and len(get_args(words[0])) == 1 else []


def _below(annotation: Any, step: str | int) -> Iterator[Any]:
    for part in parts(annotation):
        if isinstance(part, type) and issubclass(part, BaseModel):
            for name, info in part.model_fields.items():
                if step in names_of(name, info):
                    yield info.annotation
        elif get_origin(part) is dict and isinstance(step, str):
            yield get_args(part)[1]
        elif get_origin(part) in (list, tuple, set, frozenset) and isinstance(step, int):
            yield get_args(part)[0]
        elif part in (dict, Any):
            yield Any
