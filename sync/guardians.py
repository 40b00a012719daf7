"""Who is addressed for a patient: themselves, or for a minor the guardian whom the source names."""

from __future__ import annotations

from datetime import date

from msgspec import structs

from clinicrelay.model import Appointment, Patient
from clinicrelay.times import day_of


def as_reached(patient: Patient, visit: Appointment, until: int) -> Patient:
    """Return the patient with the addresses and the language of whoever is addressed for them.

    `guardian` stands in what is returned only where that is the guardian: who is younger than
    `until` years on the day of the visit, or whose birth date nobody knows.
    """
    guardian = patient.guardian
    if guardian is None:
        return patient
    day = day_of(visit.start, visit.timezone) if visit.start else None
    if not _is_minor(patient.birth_date, day, until):
        return structs.replace(patient, guardian=None)
    return structs.replace(
        patient,
        phone=guardian.phone,
        email=guardian.email,
        language=guardian.language or patient.language,
    )


def is_minor(patient: Patient, visit: Appointment, until: int) -> bool:
    """Whether a patient is known to be younger than `until` years on the day of the visit."""
    day = day_of(visit.start, visit.timezone) if visit.start else None
    return patient.birth_date is not None and _is_minor(patient.birth_date, day, until)


def _is_minor(born: date | None, day: date | None, until: int) -> bool:
    if until == 0:
        return False
    return born is None or day is None or age(born, day) < until


def age(born: date, day: date) -> int:
    """Return how many years old somebody is on a day.

    Who is born after it was born a century before: the year was written with two digits.
    """
    years = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
    return years if years >= 0 else years % 100
