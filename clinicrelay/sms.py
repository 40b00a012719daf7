"""What a text costs as SMS, and how to keep it cheap: GSM 03.38 letters, 160 to a message."""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("^{}\\[~]|€\f")  # sent as an escape and a letter: two of the 160

# Characters that cost the whole text its alphabet, and what a reader takes for the same.
_PLAIN = str.maketrans(
    {
        **dict.fromkeys("\u00a0\u2002\u2003\u2007\u2008\u2009\u200a\u202f\u205f\u3000\t", " "),
        **dict.fromkeys("\u00ad\u200b\u200e\u200f\u2060\ufeff", ""),
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u00b4`", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
        "\u2026": "...",
        "\u2022": "-",
    }
)
# Latin letters that Unicode does not take apart into a letter and an accent.
_NO_ACCENT = str.maketrans("łŁđĐıħĦŧŦ", "lLdDihHtT") | str.maketrans({"œ": "oe", "Œ": "OE"})
_JOINERS = "\u200c\u200d"  # they shape other scripts, and mean nothing in this one


class Segments(NamedTuple):
    """How a text travels: its alphabet (GSM-7 or UCS-2) and how many SMS are paid for."""

    encoding: str
    messages: int


def segments(text: str) -> Segments:
    """Count the SMS a text takes: 160 septets or 153 in each of several; 70 or 67 UTF-16 units.

    A character that takes two places is never cut in half (3GPP TS 23.038 and 23.040).
    """
    if not foreign(text):
        if len(text) + sum(map(text.count, _EXTENDED)) <= 160:
            return Segments("GSM-7", 1 if text else 0)
        return Segments("GSM-7", _pack([2 if c in _EXTENDED else 1 for c in text], 160, 153))
    return Segments("UCS-2", _pack([2 if ord(c) > 0xFFFF else 1 for c in text], 70, 67))


def _pack(widths: list[int], alone: int, shared: int) -> int:
    if sum(widths) <= alone:
        return 1 if widths else 0
    count, room = 0, 0
    for width in widths:
        if width > room:
            count, room = count + 1, shared
        room -= width
    return count


def length(text: str) -> int:
    """Count the places a text takes: septets where GSM-7 can write it, else UTF-16 units."""
    if foreign(text):
        return sum(2 if ord(c) > 0xFFFF else 1 for c in text)
    return sum(2 if c in _EXTENDED else 1 for c in text)


def foreign(text: str) -> list[str]:
    """Return the characters that GSM-7 does not have, each once, in their order."""
    return [c for c in dict.fromkeys(text) if c not in _BASIC and c not in _EXTENDED]


def plain(text: str) -> str:
    """Return the text with typographic marks and odd spaces written the simple way.

    Babel prints U+202F before AM and PM; one such space doubles the price of an SMS.
    """
    return text.translate(_PLAIN)


def to_gsm7(text: str) -> str:
    """Return the text in letters of GSM 03.38 as far as they have a likeness there.

    Accents that the alphabet lacks are dropped (`Świętokrzyska` becomes `Swietokrzyska`); other
    scripts and emoji stay, as no likeness exists.
    """
    simple = plain(text)
    return "".join(_letter(c) for c in simple) if foreign(simple) else simple


def _letter(character: str) -> str:
    if character in _BASIC or character in _EXTENDED:
        return character
    if character in _JOINERS:
        return ""
    bare = unicodedata.normalize("NFKD", character).translate(_NO_ACCENT)
    kept = "".join(c for c in bare if not unicodedata.combining(c))
    return kept if kept and all(c in _BASIC or c in _EXTENDED for c in kept) else character
