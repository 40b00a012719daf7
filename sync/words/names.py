"""The first name in what a source wrote as a name: to greet with, or to say whose a visit is."""

from __future__ import annotations

from collections.abc import Sequence

from clinicrelay.paths import fold

# As they are written without a point; with one every short form is left out, and initials are too.
_TITLES = (
    "frau herr herrn fräulein familie mr mister mrs ms miss mx madam madame mme mademoiselle mlle "
    "monsieur messieurs señor señora señorita sr sra srta signor signore signora signorina sig "
    "senhor senhora dhr heer mevrouw mevr mw sayın dr dra doctor doktor docteur dottore dottoressa "
    "dott prof professor professorin professeur pd med dent"
)
# What programs write into an empty cell, as they write it: people are called Nan and Null.
_EMPTY = frozenset(
    ("None", "none", "NONE", "nan", "NaN", "NULL", "null", "nil", "N/A", "n/a", "#N/A")
)
_UNKNOWN = (
    "unbekannt unbekannte unbekannter unknown inconnu inconnue desconocido desconocida desconhecido "
    "desconhecida sconosciuto sconosciuta onbekend nieznany nieznana bilinmiyor невідомо"
)
_IS_TITLE, _IS_UNKNOWN = frozenset(map(fold, _TITLES.split())), frozenset(_UNKNOWN.split())


def first_name(name: str | None) -> str | None:
    """Return the first name in a name, written in either order: `Anna Sample` or `Sample, Anna`.

    None where there is none, only a title and a family name, or a word for an unknown name.
    """
    family, comma, given = (name or "").partition(",")
    words = (given if comma else family).split()
    bare = _without_titles(words)
    if not bare or _is_placeholder(bare[0]):
        return None
    if not comma and bare != words and (len(bare) == 1 or bare[0].islower()):
        return None  # `Herr Sample`, `Frau von der Aue`
    return bare[0]


def _without_titles(words: Sequence[str]) -> Sequence[str]:
    """Return words without the titles before and after them."""
    own = [n for n, word in enumerate(words) if not _is_title(word)]
    return words[own[0] : own[-1] + 1] if own else []


def _is_title(word: str) -> bool:
    return word.endswith(".") or fold(word) in _IS_TITLE


def _is_placeholder(word: str) -> bool:
    nameless = not any(c.isalpha() for c in word)
    return nameless or word in _EMPTY or word.casefold() in _IS_UNKNOWN
