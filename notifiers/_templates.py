"""Texts that stand at the provider: which template a message goes as, and what is put into it.

The rules for values are those of twilio.com/docs/api/errors/21656 and of "Using variables with content
templates": none is empty, none has a line end, a tab or a run of spaces, none is over 255 letters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

TextName: TypeAlias = Literal[
    "confirmation", "reminder", "change", "cancellation", "doctor_reminder", "digest"
]
ValueName: TypeAlias = Literal[
    "clinic",
    "phone",
    "when",
    "day",
    "time",
    "city",
    "visit",
    "place",
    "join_url",
    "place_or_link",
    "call",
    "before",
    "before_day",
    "before_time",
    "before_place",
    "count",
    "first",
    "last",
]

# Neither the patient nor the doctor is named: the message shows on a locked telephone.
_BOOKED: tuple[ValueName, ...] = ("clinic", "when", "place_or_link", "phone")
ORDER: Mapping[str, tuple[ValueName, ...]] = {
    "confirmation": _BOOKED,
    "reminder": _BOOKED,
    "change": ("clinic", "before", "when", "place_or_link", "phone"),
    "cancellation": ("clinic", "when", "phone"),
    "doctor_reminder": ("clinic", "when", "place_or_link"),
    "digest": ("clinic", "day", "count", "first", "last"),
}
NOTHING = "–"  # stands for a value that there is none of
_LONGEST = 255
_JOINERS = "\u200c\u200d"  # Persian and Indic words need them
_PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def variables(values: Mapping[str, str], order: Sequence[str]) -> dict[str, str]:
    """Return what goes into a template, by the number of its place."""
    return {str(n): tidy(values.get(name, "")) for n, name in enumerate(order, 1)}


def tidy(value: str) -> str:
    """Return a value as a template takes it; a link that would have to be cut is none."""
    line = " ".join("".join(c if c.isprintable() or c in _JOINERS else " " for c in value).split())
    if len(line) > _LONGEST:
        line = line[: _LONGEST + 1].rpartition(" ")[0]
    return line.strip() or NOTHING


def all_occur(values: Iterable[str], text: str) -> bool:
    """Whether a text holds every one of some values, each in a place of its own.

    In whatever order: it is the template that says where they stand.
    """
    rest = " ".join(text.split())
    for value in sorted((v for v in values if v != NOTHING), key=len, reverse=True):
        before, found, after = rest.partition(value)
        if not found:
            return False
        rest = f"{before}\n{after}"
    return True


def placeholders(types: Any) -> set[str]:
    """Return the names of the places that a template's text and buttons leave open."""
    return set(_PLACEHOLDER.findall(json.dumps(types)))


def language_for(offered: Iterable[str], wanted: str, own: str) -> str | None:
    """Return the one of some languages to write in: `es-MX`, `es`, the clinic's, or the first."""
    known = list(offered)
    for tag in (wanted, own):
        for like in (*_ever_plainer(tag), primary(tag)):
            for one in known:
                if like in (_plain(one), primary(one)):
                    return one
    return known[0] if known else None


def primary(tag: str) -> str:
    """Return the language of a tag, without its region."""
    return _plain(tag).split("-")[0]


def _ever_plainer(tag: str) -> Iterator[str]:
    parts = _plain(tag).split("-")
    return ("-".join(parts[:n]) for n in range(len(parts), 0, -1))


def _plain(tag: str) -> str:
    return tag.replace("_", "-").lower()
