"""Every value with its origin: where it is written, which variable set it, or that it is a default.

Secrets are never told. What a reference leads to is told only where the key cannot hold a secret: a
number, a time, a path; elsewhere the reference stands as it is written.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from clinicrelay.settings.load import Reading, read
from clinicrelay.settings.mistakes import as_yaml
from clinicrelay.settings.plugged import options_of
from clinicrelay.settings.schema import Settings
from clinicrelay.settings.secrecy import without_password
from clinicrelay.settings.shape import Shape, names_of
from clinicrelay.settings.tree import Mark, Where, dotted
from clinicrelay.settings.writing import as_written, plain, type_of

MASK = "…"

Kind: TypeAlias = Literal["file", "environment", "dotenv", "default"]

# What a reference leads to may be a secret wherever a key takes whatever is written.
_ANYTHING = ("text", "secret", "any value", "section")


@dataclass(frozen=True, slots=True)
class Told:
    """One value: as YAML would have it (None: absent), and where it comes from.

    `secret`: the value is masked. `personal`: it names a person, or a way to reach one.
    """

    path: str
    value: Any
    kind: Kind
    origin: str
    secret: bool = False
    personal: bool = False
    file: str = ""
    line: int = 0
    column: int = 0
    variable: str = ""
    references: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The value in one line."""
        return "absent" if self.value is None else as_yaml(self.value)


def explain(
    file: Path,
    *,
    environ: Mapping[str, str] = os.environ,
    among_others: bool = False,
    secrets: bool = True,
) -> list[Told]:
    """Return every value, defaults and plugins' own keys included, in the order of the reference.

    Of settings that cannot stand only what is written is told. Raises SettingsError where the file
    cannot be read at all.
    """
    reading = read(file, environ, among_others=among_others, secrets=secrets)
    teller = _Teller(reading)
    if reading.settings is None or any(f.severity == "error" for f in reading.findings):
        return list(teller.written(reading.tree.data, ()))
    return list(teller.section(reading.settings, ()))


class _Teller:
    """Walks settings beside the file that they were read from."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.tree = reading.tree
        self.shape = Shape(Settings, options_of(reading.tree))

    # --- settings that stand

    def section(self, model: BaseModel, where: Where) -> Iterator[Told]:
        given = self._given(where)
        short = where and not isinstance(given, dict) and given is not None  # a step written `1d`
        if short:
            yield self._one(where, given, None)
        options = getattr(model, "options", None)
        own = type(options).model_fields if isinstance(options, BaseModel) else {}
        for name, info in type(model).model_fields.items():
            # A plugin may ask for a common key, and then has the last word on it.
            if name != "options" and name not in own and not (short and info.is_required()):
                yield from self._field(model, name, info, where)
        for name, info in own.items():
            yield from self._field(options, name, info, where)

    def _field(self, model: Any, name: str, info: FieldInfo, where: Where) -> Iterator[Told]:
        yield from self._value(getattr(model, name), (*where, names_of(name, info)[0]), info)

    def _value(self, value: Any, where: Where, info: FieldInfo | None) -> Iterator[Told]:
        if isinstance(value, BaseModel):
            yield from self.section(value, where)
        elif isinstance(value, dict) and value:
            for key, item in value.items():
                yield from self._value(item, (*where, str(plain(key))), None)
        elif isinstance(value, tuple) and any(isinstance(item, BaseModel) for item in value):
            for place, item in enumerate(value):
                yield from self._value(item, (*where, place), None)
        else:
            yield self._one(where, value, info)

    # --- settings that do not: as they stand in the file

    def written(self, value: Any, where: Where) -> Iterator[Told]:
        below: Any = ()
        if isinstance(value, dict) and value:
            below = value.items()
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            below = enumerate(value)
        elif where:
            yield self._one(where, value, None)
        for step, item in below:
            yield from self.written(item, (*where, step))

    # --- one value

    def _one(self, where: Where, value: Any, info: FieldInfo | None) -> Told:
        mark = self.tree.values.get(where)
        # A key that nobody knows may be a secret's, mistyped.
        secret = self.shape.is_secret(where) or not self.shape.knows(where)
        if mark is None or self._given(where) is None:
            shown = as_written(value, info) if info and value is not None else plain(value)
            return Told(dotted(where), MASK if secret and value else shown, "default", "default")
        kind, origin = self._origin(mark)
        references = tuple(self._references(where))
        return Told(
            path=dotted(where),
            value=MASK if secret else self._shown(where, value, info, references),
            kind=kind,
            origin=", ".join((origin, *references)),
            secret=secret,
            personal=_is_personal(where),
            file="" if mark.variable else self.tree.file,
            line=mark.line,
            column=mark.column,
            variable=mark.variable,
            references=references,
        )

    def _given(self, where: Where) -> Any:
        """Return what was written at a place; None where nothing was."""
        here = self.tree.data
        for step in where:
            try:
                here = here[step]
            except (KeyError, IndexError, TypeError):
                return None
        return here

    def _shown(
        self, where: Where, value: Any, info: FieldInfo | None, references: tuple[str, ...]
    ) -> Any:
        known = info is not None and not any(word in type_of(info) for word in _ANYTHING)
        if references and not known:
            return self._as_in_the_file(where)
        shown = as_written(value, info) if info else plain(value)
        return without_password(shown) if isinstance(shown, str) else shown

    def _as_in_the_file(self, where: Where) -> Any:
        text = self.tree.values[where].text
        if text:
            return without_password(text)
        items = self._given(where)
        if isinstance(items, dict):
            return {key: self._as_in_the_file((*where, key)) for key in items}
        return [self._as_in_the_file((*where, place)) for place in range(len(items or ()))]

    def _references(self, where: Where) -> Iterator[str]:
        source = self.reading.references
        for place, mark in self.tree.values.items():
            if source and place[: len(where)] == where and not mark.variable:
                yield from source.origins(mark.text)

    def _origin(self, mark: Mark) -> tuple[Kind, str]:
        source = self.reading.references
        if not mark.variable:
            return "file", f"{Path(self.tree.file).name}:{mark.line}:{mark.column}"
        if source and mark.variable not in source.environ:
            return "dotenv", f"{mark.variable} in .env"
        return "environment", f"{mark.variable} in the environment"


def _is_personal(where: Where) -> bool:
    if where[0] == "doctors":
        return len(where) < 3 or where[2] not in ("id", "match")
    return where[:2] == ("safety", "only_recipients")
