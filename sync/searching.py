"""Finds the visits that a person means: by key, patient, phone, e-mail, name, message or event."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from clinicrelay.model import Channel
from clinicrelay.paths import fold
from clinicrelay.phones import read_phone
from sync.store import looking
from sync.ways import contact

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sync.clinic import Clinic

# What Google calls an event, also as a UID; and the UID in a calendar file of ours.
_THEIR_EVENT = re.compile(r"([a-v0-9]{20,})(?:@google\.com)?")
_OUR_UID = re.compile(r"(cr[a-z0-9]{30})@\S+\.clinicrelay")
_PHONE = re.compile(r"[+(]?[\d\s()/.-]{5,}")
_CELLS = re.compile(r"[,;|\t\n\r\"{}\[\]:]+")
# Letters that no accent changes: only these can be looked for before names are folded.
_STEADY = frozenset("bfhjkmpqvwx0123456789")


def search(clinic: Clinic, reference: str) -> list[int]:
    """Return the numbers of the visits that a reference means; none where nothing fits.

    Tried in this order: SOURCE/KEY, an event's id (`cr…`, also as the UID of a calendar file), a
    visit's key, a message's id (`cr…`, `m12`, or what the provider calls it), what Google calls an
    event, a patient's key, also of one whose visits are another's by
    now, an e-mail address, a phone number as people write it in the clinic's country, a name.
    """
    wanted = reference.strip()
    if not wanted:
        return []
    with clinic.store.read() as connection:
        return next((found for found in _tries(clinic, connection, wanted) if found), [])


def _tries(clinic: Clinic, connection: Connection, wanted: str) -> Iterator[list[int]]:
    name = clinic.store.clinic
    sources = sorted({*looking.sources(connection, name), *clinic.settings.sources})
    source, slash, key = wanted.partition("/")
    if slash and source in sources:
        yield looking.by_key(connection, name, [source], key)
    if wanted.startswith("cr"):
        uid = _OUR_UID.fullmatch(wanted)
        yield looking.by_event(connection, name, uid[1] if uid else wanted)
    yield looking.by_key(connection, name, sources, wanted)
    yield looking.by_message(connection, name, wanted)
    if theirs := _THEIR_EVENT.fullmatch(wanted):
        yield looking.by_their_event(connection, name, theirs[1])
    patient = wanted.removeprefix("patient/")
    yield looking.by_patient(connection, name, [("", patient)])
    yield _once_told(clinic, connection, sources, patient)
    yield looking.by_patient(connection, name, people(clinic, connection, wanted))


def _once_told(
    clinic: Clinic, connection: Connection, sources: Sequence[str], key: str
) -> list[int]:
    """Return the visits of which a patient was told who has none any more: they are another's now.

    By the addresses that are known of them, as the ledger has no index by its recipients.
    """
    mine = looking.addresses_of(connection, clinic.store.clinic, sources, key)
    contacts = {
        contact(clinic.opaque, f"patient/{key}", channel, address)
        for phone, email in mine
        for channel in Channel
        if (address := email if channel is Channel.EMAIL else phone)
    }
    return looking.by_contact(connection, clinic.store.clinic, contacts)


def people(clinic: Clinic, connection: Connection, wanted: str) -> list[tuple[str, str]]:
    """Return the patients (source, key) who have this e-mail address, phone number or name."""
    name = clinic.store.clinic
    if "@" in wanted:
        spellings = dict.fromkeys((wanted, wanted.lower()))
        found = (looking.people_at(connection, name, email=one) for one in spellings)
        return next((some for some in found if some), [])
    if _PHONE.fullmatch(wanted):
        number = read_phone(wanted, clinic.settings.clinic.country).number
        return looking.people_at(connection, name, phone=number) if number else []
    return _named(connection, name, wanted)


def _named(connection: Connection, clinic: str, wanted: str) -> list[tuple[str, str]]:
    """Return patients of exactly this name, else those whose names begin with these words."""
    words = [folded for word in wanted.split() if (folded := fold(word))]
    if not words:
        return []
    whole, longest, found = fold(wanted), max(words, key=len), []
    for source, key, name in looking.people_like(connection, clinic, _pattern(longest)):
        folded = fold(name)
        if longest in folded and (folded == whole or _begins(words, name)):
            found.append((source, key, folded == whole))
    exact = [(source, key) for source, key, same in found if same]
    return exact or [(source, key) for source, key, _ in found]


def _begins(words: list[str], name: str) -> bool:
    parts = [fold(part) for part in re.split(r"[\s,-]+", name)]
    return all(any(part.startswith(word) for part in parts) for word in words)


def _pattern(word: str) -> str:
    """Return a LIKE pattern that every name with this folded word in it meets, accents or not."""
    loose = "".join(c if c in _STEADY else "%" for c in word)
    return re.sub("%+", "%", f"%{loose}%")


def set_aside_like(clinic: Clinic, reference: str) -> list[int]:
    """Return the numbers of things set aside whose key is a reference, else whose text looks like it."""
    key_of = reference.rpartition("/")[2]
    wanted = fold(key_of)
    digits = re.sub(r"\D", "", reference)[-7:] if _PHONE.fullmatch(reference.strip()) else ""
    if not wanted:
        return []
    exact, alike = [], []
    with clinic.store.read() as connection:
        for number, key, raw in looking.set_aside_raw(connection, clinic.store.clinic):
            if key in (reference, key_of):
                exact.append(number)
            elif _is_in(raw, wanted) or (digits_in(raw, digits)):
                alike.append(number)
    return exact or alike


def _is_in(raw: str, wanted: str) -> bool:
    """Whether a raw text has a word, or a number as one of its own: not within a date or a telephone."""
    if any(letter.isdigit() for letter in wanted):
        return wanted in {fold(cell) for cell in _CELLS.split(raw)}
    return wanted in fold(raw)


def digits_in(raw: str, digits: str) -> bool:
    """Whether a raw text has the last seven digits of a telephone number, however it is written."""
    return len(digits) == 7 and digits in re.sub(r"\D", "", raw)
