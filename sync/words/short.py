"""How a text is made to fit into an SMS: the cheap alphabet where it can be read, then fewer words."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from clinicrelay.sms import plain, segments, to_gsm7

MOST_SEGMENTS = 2

# Languages whose SMS are written in GSM-7: an accent there would double the price (70 letters to a
# message instead of 160). The first row needs none but in names. The second drops some (á í ó ú, â ê
# î ô û ë ï œ, ã õ ç, ą ć ę ł ń ś ź ż), as banks and clinics do in those languages: nobody misreads it.
_GSM7_LANGUAGES = frozenset(
    {"en", "de", "da", "fi", "it", "nb", "nl", "no", "sv"} | {"es", "fr", "pt", "pl"}
)
# Turkish is no such language: without their dots and tails words become others, obscene ones among
# them (ı is not i). They stay as long as the text then costs no more than it may at most.
# Nor is Vietnamese, where each mark makes another word. Banks and clinics there have sent SMS without
# any for decades, and people read them by the sentence: so that is done where it saves a third SMS.
# Then all marks go, also those on the letters that GSM-7 happens to have: a reader who sees some takes
# a syllable without one for a word of its own.
_WHILE_IT_FITS: Mapping[str, dict[int, int]] = {
    "tr": {},
    "vi": str.maketrans("àèéìòùÉ", "aeeiouE"),
}
# Scripts that GSM-7 lacks: two SMS hold 134 letters of them, not 306. Where that is too few, our texts
# do without what earlier ones said: each has its `if` for it. A clinic's own are sent as they are.
TIGHT = frozenset({"ar", "hi", "ru", "uk", "zh"})


def cheap(filled: str, language: str) -> str:
    """Return a text with the letters that its language is charged least for, and can be read with."""
    # One letter with its marks instead of a letter and marks: fewer to pay for, and known to GSM-7.
    text = unicodedata.normalize("NFC", plain(filled))
    if language in _WHILE_IT_FITS:
        fits = segments(text).messages <= MOST_SEGMENTS
        return text if fits else to_gsm7(text.translate(_WHILE_IT_FITS[language]))
    return to_gsm7(text) if language in _GSM7_LANGUAGES else text


def ever_shorter(names: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the names with less and less in them.

    First the sentence whom to call becomes a sign and the number, which needs no words in any
    language; then the time before a change goes, then the number, and at last that a link comes later.
    """
    phone = names.get("phone")
    for less in (
        {"call": f"(\u260e {phone})" if phone else ""},
        {"before_day": "", "before_time": ""},
        {"call": ""},
        {"later": ""},
    ):
        names = {**names, **{name: said for name, said in less.items() if name in names}}
        yield names
