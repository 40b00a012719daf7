"""Texts of people's own as YAML that stays what it was, and names that commands can be typed with."""

from __future__ import annotations

import re
import unicodedata

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_/.-]*")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})  # of YAML 1.1
_ESCAPES = {'"': '\\"', "\\": "\\\\"}
_NO_LIKENESS = str.maketrans({"ß": "ss", "æ": "ae", "ø": "o", "ł": "l", "đ": "d", "ı": "i"})


def scalar(text: str) -> str:
    """Write a text as YAML that every reader reads as this very text, `${…}` included."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return '"' + "".join(_escaped(c) for c in text.replace("$", "$$")) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES or (character.isprintable() and character != "\ufeff"):
        return _ESCAPES.get(character, character)
    return f"\\U{ord(character):08X}"


def slug(text: str) -> str:
    """Return a text in small ASCII letters, digits and `_`; empty for other scripts."""
    bare = unicodedata.normalize("NFKD", text.casefold().translate(_NO_LIKENESS))
    return re.sub(r"[^a-z0-9]+", "_", bare.encode("ascii", "ignore").decode()).strip("_")
