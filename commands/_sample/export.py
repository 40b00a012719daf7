"""The CSV export of the sample clinic's front desk: semicolons, cp1252, German, not quite clean."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from commands._sample.diary import Visit
from commands._sample.people import DOCTORS

_HEADER = (
    "Termin-ID", "Datum", "Uhrzeit", "Dauer", "Status", "Terminart", "Modalität", "Videolink",
    "Patienten-ID", "Nachname", "Vorname", "Handy", "E-Mail", "Sprache", "Arzt-ID", "Arzt",
    "Standort", "Notiz",
)  # fmt: skip
_LANGUAGES = {
    "de": "Deutsch",
    "en": "Englisch",
    "tr": "Türkisch",
    "es": "Spanisch",
    "fr": "Französisch",
}
_DOCTORS = {doctor.id: doctor for doctor in DOCTORS}
# Quotes inside a quoted cell that are not doubled: what hand-made exports do.
_STRAY = '"Kommt "wenn möglich" früher"'
_MARK = "§"  # stands where it will, as a writer that quotes rightly cannot be made to


@dataclass(frozen=True, slots=True)
class Export:
    """The bytes of an export, and the lines in it that nobody can read as they stand."""

    content: bytes
    flawed_lines: tuple[int, ...]


def export(visits: Iterable[Visit]) -> Export:
    """Return the file that lists these visits, doctor by doctor."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow(_HEADER)
    flawed = []
    for visit in sorted(visits, key=lambda v: (v.doctor, v.start, v.number)):
        if visit.flaw:
            flawed.append(text.getvalue().count("\n") + 1)
        writer.writerow(_cells(visit))
    written = text.getvalue().replace(_MARK, _STRAY)
    return Export(written.encode("cp1252"), tuple(flawed))


def _cells(visit: Visit) -> list[str]:
    who, doctor = visit.patient, _DOCTORS[visit.doctor]
    link = f"https://video.riverside.example/{visit.number}" if visit.modality == "Video" else ""
    status = "Abgesagt" if visit.cancelled else "Geplant"
    return [
        str(visit.number),
        _impossible(visit.start) if visit.flaw == "date" else f"{visit.start:%d.%m.%Y}",
        f"{visit.start:%H:%M}",
        str(visit.minutes),
        "Warteraum B" if visit.flaw == "status" else status,
        visit.service,
        visit.modality,
        link,
        who.key,
        who.last,
        who.first,
        who.phone,
        who.email,
        _LANGUAGES[who.language],
        doctor.id,
        doctor.name,
        doctor.site,
        _MARK if visit.flaw == "quote" else visit.note,
    ]


def _impossible(day: datetime) -> str:
    """Return the 31st of the next month that has none."""
    month = next(m for m in (4, 6, 9, 11, 16) if m >= day.month)
    return f"31.{(month - 1) % 12 + 1:02}.{day.year + month // 13}"
