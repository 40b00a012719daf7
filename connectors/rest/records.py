"""From an entry of a list to a record: its key, whether it is gone, and what it refers to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from clinicrelay.contracts import Record, Unmade, Unreadable
from clinicrelay.paths import compile_path
from connectors.rest.bodies import as_id
from connectors.rest.lookups import Lookups
from connectors.rest.options import List, RestOptions
from connectors.rest.placeholders import Values, filled

# What flags and dates say when nothing happened; a mapping's nulls are its own.
_NOT = frozenset({"", "0", "false", "no", "n", "null", "none"})
_NO_DATE = ("0001-01-01", "0000-00-00", "1900-01-01")
_encode = msgspec.json.Encoder(order="deterministic").encode


class Shaper:
    """Makes records of what one source's lists hold."""

    def __init__(self, options: RestOptions, lookups: Lookups) -> None:
        self._keys = [compile_path(path) for path in options.key_paths]
        self._changed = compile_path(options.cursor) if options.cursor else None
        self._lookups = lookups

    def name(self, item: Any) -> str | None:
        """Return an entry's key, None where it has none."""
        parts = [_scalar(key, item) for key in self._keys]
        known = [part for part in parts if part is not None]
        return "/".join(known) if len(known) == len(parts) else None

    def changed(self, item: Any) -> Any:
        """Return when an entry says that it was last changed, as it says it."""
        try:
            return self._changed(item) if self._changed else None
        except ValueError:
            return None

    def shape(
        self, items: Sequence[Any], one: List, values: Values, place: str
    ) -> tuple[Sequence[Record], list[Unreadable]]:
        """Return records, made when they are looked at, and what is no record."""
        bad = [_unreadable(item, n, place) for n, item in _numbered(items) if not _is_object(item)]
        is_gone = _gone(one.gone)
        bad += self._without_reference(items, is_gone, place)
        closed = {entry.place for entry in bad}
        extra = filled(one.set, values)
        laid = [
            (n, {**item, **extra} if extra else item)
            for n, item in _numbered(items)
            if f"{place}, record {n}" not in closed
        ]
        gone = [is_gone(item) for _, item in laid]
        texts = [_encode(item) for _, item in laid]
        digests = [
            self._digest(item, text, off)
            for (_, item), text, off in zip(laid, texts, gone, strict=True)
        ]

        def make(at: int) -> Record:
            number, item = laid[at]
            data, issues = ({**item}, ()) if gone[at] else self._lookups.lay(item)
            return Record(
                data=data,
                digest=digests[at],
                place=f"{place}, record {number}",
                raw=texts[at].decode("utf-8", "replace"),
                key=self.name(item),
                gone=gone[at],
                issues=tuple(issues),
            )

        return Unmade(digests, make), bad

    def _without_reference(
        self, items: Sequence[Any], is_gone: Any, place: str
    ) -> Iterator[Unreadable]:
        """Yield entries whose patient, say, could not be read: what is known of them stays."""
        for number, item in _numbered(items):
            if _is_object(item) and not is_gone(item) and (name := self._lookups.closed(item)):
                yield Unreadable(
                    place=f"{place}, record {number}",
                    reason="reference_not_found",
                    raw=_encode(item).decode("utf-8", "replace"),
                    detail=f"the {name} that it refers to could not be read",
                    field=name,
                    key=self.name(item),
                )

    def need(self, items: Sequence[Any], one: List) -> list[Any]:
        """Return the entries whose references matter: what is gone refers to nothing."""
        is_gone = _gone(one.gone)
        return [item for item in items if _is_object(item) and not is_gone(item)]

    def _digest(self, item: Any, text: bytes, gone: bool) -> bytes:
        made = blake2b(text, digest_size=16)
        made.update(b"\1" if gone else b"\0")
        if not gone:
            for part in self._lookups.digests(item):
                made.update(part)
        return made.digest()


def _numbered(items: Sequence[Any]) -> list[tuple[int, Any]]:
    return list(enumerate(items, start=1))


def _is_object(item: Any) -> bool:
    return isinstance(item, dict)


def _scalar(path: Any, item: Any) -> str | None:
    """Return a part of a key as text; an entry of another shape has none."""
    try:
        return as_id(path(item))
    except ValueError:
        return None


def _gone(said: bool | str) -> Any:
    if isinstance(said, bool):
        return lambda item: said
    path = compile_path(said)

    def is_gone(item: Any) -> bool:
        try:
            value = path(item)
        except ValueError:
            return False
        if isinstance(value, str):
            return value.strip().lower() not in _NOT and not value.startswith(_NO_DATE)
        return bool(value)

    return is_gone


def _unreadable(item: Any, number: int, place: str) -> Unreadable:
    return Unreadable(
        place=f"{place}, record {number}",
        reason="not_a_record",
        raw=_encode(item).decode(),
        detail="an entry of the list is no object: nothing in it has a name",
    )
