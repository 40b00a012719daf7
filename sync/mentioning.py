"""Tells whether a text is about one patient: by name, address, number, or their key beside a visit's.

For what was never understood well enough to have a column for whose it is: rows of exports, records
set aside, messages as files, lines of a log. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from clinicrelay.model import Patient
from clinicrelay.paths import fold

_NUMBER = re.compile(r"[+(]?\d[\d\s()/.-]{5,}\d")
_CELL = re.compile(r"[^,;|\t\r\n\"]+")
_WORD = re.compile(r"\w+")
_LIKE_A_NUMBER = 8  # last digits of a number that tell it from others, whatever stands before them
_TELLING = 5  # a key of digits alone that is shorter may be anything


@dataclass(frozen=True, slots=True)
class Mentions:
    """What a patient is known by; `visits` are the keys of theirs, `ids` those of their messages."""

    key: str
    names: Collection[frozenset[str]]
    emails: Collection[str]
    phones: Collection[str]
    visits: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()

    def __call__(self, text: str) -> bool:
        """Whether a text, such as one row of an export, is about the patient."""
        lower = text.casefold()
        return (
            any(email in lower for email in self.emails)
            or any(one in text for one in self.ids)
            or self._has_number(text)
            or self._has_key(text)
            or self._has_name(text)
        )

    def _has_number(self, text: str) -> bool:
        if not self.phones:
            return False
        found = (re.sub(r"\D", "", one) for one in _NUMBER.findall(text))
        return any(digits.endswith(phone) for digits in found for phone in self.phones)

    def _has_key(self, text: str) -> bool:
        if self.key not in text:
            return False
        cells = {cell.strip() for cell in _CELL.findall(text)}
        if self.key not in cells:
            return False
        telling = not self.key.isdigit() or len(self.key) >= _TELLING
        return telling or not self.visits.isdisjoint(cells)

    def _has_name(self, text: str) -> bool:
        words = {fold(word) for word in _WORD.findall(text)} if self.names else set()
        return any(name <= words for name in self.names)


def mentions(
    people: Iterable[Patient],
    key: str,
    *,
    shared: Collection[str],
    visits: Iterable[str] = (),
    ids: Iterable[str] = (),
) -> Mentions:
    """Return what a patient is known by, from all that was ever kept of them.

    An address that others have as well (`shared`) tells nobody, and neither does a single word.
    """
    names, emails, phones = set[frozenset[str]](), set[str](), set[str]()
    for one in people:
        words = frozenset(fold(word) for word in _WORD.findall(one.name or ""))
        if len(words) > 1:
            names.add(words)
        for phone, email in addresses_of(one):
            if email and email not in shared:
                emails.add(email.casefold())
            if phone and phone not in shared:
                phones.add(re.sub(r"\D", "", phone)[-_LIKE_A_NUMBER:])
    return Mentions(key, names, emails, phones, frozenset(visits), frozenset(ids))


def addresses_of(who: Patient) -> Iterator[tuple[str | None, str | None]]:
    """Yield the phone and e-mail of a patient, and of who is addressed for them."""
    yield who.phone, who.email
    if who.guardian is not None:
        yield who.guardian.phone, who.guardian.email
