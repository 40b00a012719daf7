"""The people of the sample clinic: all made up, with numbers and addresses that belong to nobody."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from random import Random

ZONE = "Europe/Berlin"


@dataclass(frozen=True, slots=True)
class Doctor:
    """A doctor, the site where they work, and the word for it in the export."""

    id: str
    name: str
    site: str

    @property
    def email(self) -> str:
        return f"{self.id}@riverside.example"


DOCTORS = (
    Doctor("acar", "Dr. Elif Acar", "Uferstraße"),
    Doctor("braun", "Dr. Jonas Braun", "Uferstraße"),
    Doctor("costa", "Dr. Inês Costa", "Uferstraße"),
    Doctor("diaz", "Dr. Marta Díaz", "Seeblick"),
    Doctor("engel", "Dr. Paul Engel", "Seeblick"),
    Doctor("fuchs", "Dr. Lena Fuchs", "Seeblick"),
)


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient as the front desk knows them; without a phone or an e-mail the text is empty."""

    key: str
    first: str
    last: str
    language: str
    phone: str
    email: str


# How many of twenty patients speak it, given names, family names. The export is written in cp1252, so
# names are those that it can hold, as in the systems that write such exports.
_NAMES = {
    "de": (
        10,
        "Anna Bernd Clara Dieter Grete Jürgen Käthe Moritz",
        "Huber Jäger Krüger Voß Zander",
    ),
    "en": (4, "Alice Grace Harry Olive", "Archer Baker Fielding Wells"),
    "tr": (3, "Aylin Cem Deniz Gülay", "Aslan Kaya Öztürk Türk"),
    "es": (2, "Beatriz Íñigo Lucía Pablo", "Muñoz Ortega Peña Vidal"),
    "fr": (1, "Chloé Gaël Inès Léon", "Béraud Fournier Maçon Petit"),
}
_LANGUAGES = [language for language, (share, *_) in _NAMES.items() for _ in range(share)]


def patients(random: Random) -> Iterator[Patient]:
    """Yield new patients without end; the same seed yields the same people."""
    for number in count(1):
        language = random.choice(_LANGUAGES)
        _, firsts, lasts = _NAMES[language]
        first, last = random.choice(firsts.split()), random.choice(lasts.split())
        missing = random.choice([""] * 15 + ["phone", "phone", "email", "email", "both"])
        yield Patient(
            key=f"P{2000 + number}",
            first=first,
            last=last,
            language=language,
            phone="" if missing in ("phone", "both") else fictional_phone(number),
            email="" if missing in ("email", "both") else _email(first, last, number),
        )


def fictional_phone(number: int) -> str:
    """Return a mobile number of the block that we use for examples, the way a front desk types it."""
    return f"0151 5550{number % 10_000:04}"


def _email(first: str, last: str, number: int) -> str:
    plain = unicodedata.normalize("NFKD", f"{first}.{last}".lower().replace("ß", "ss"))
    return f"{plain.encode('ascii', 'ignore').decode()}{number}@mail.example"
