"""The diary of the sample clinic, and what its front desk does to it.

Whatever happens at one moment is picked before anything is booked at it: a visit that is booked and
cancelled between two exports was never there.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from itertools import count
from random import Random

from commands._sample.people import DOCTORS, Patient, fictional_phone, patients

VISITS = 300
_DAYS = 28
_FIRST_HOUR, _LAST_HOUR = 8, 17
# Every half hour, so that a run between two of them finds no reminder that just fell due.
_GRID = timedelta(minutes=30)
_NOTES = (
    "",
    "",
    "",
    "Bitte nüchtern kommen",
    "Impfpass mitbringen; Versichertenkarte auch",
    'Zimmer "Süd"',
    "Aufzug ist außer Betrieb,\nbitte den Hofeingang nehmen",
)
_SERVICES = ("Kontrolle", "Erstgespräch", "Impfung", "Befundbesprechung")
_MODALITIES = ("Praxis",) * 8 + ("Video", "Telefon")


@dataclass(frozen=True, slots=True)
class Visit:
    """A visit as the front desk sees it; `start` is what the clock on the wall says.

    `flaw` is what is wrong with its row in the export: status, date, quote or double.
    """

    number: int
    doctor: str
    patient: Patient
    start: datetime
    minutes: int
    service: str
    modality: str
    note: str
    cancelled: bool = False
    flaw: str = ""


class Diary:
    """All visits of the coming month; everything random comes from one seed."""

    def __init__(self, monday: date, seed: int = 41) -> None:
        self.monday = monday
        self._random = Random(seed)  # noqa: S311 - a sample, not a secret
        self._people = patients(self._random)
        self._numbers = count(48_001)
        self._taken: set[tuple[str, datetime]] = set()
        self._touched: set[int] = set()
        self.visits: dict[int, Visit] = {}
        regulars = [next(self._people) for _ in range(VISITS * 3 // 4)]
        for _ in range(VISITS):
            self._enter(self._random.choice(regulars), first_day=0)

    def book(self, number: int) -> list[Visit]:
        """Enter visits of people who were never here, from next week on."""
        return [self._enter(next(self._people), first_day=7) for _ in range(number)]

    def flawed(self, flaw: str) -> Visit:
        """Return a visit whose row will be damaged; it is in the export but not in the diary."""
        patient = self._reachable()
        return replace(self._new(patient, first_day=7), flaw=flaw)

    def mend(self, visit: Visit) -> Visit:
        """Take a visit into the diary whose row is right by now."""
        return self._put(replace(visit, flaw=""))

    def cancel(self, number: int) -> list[Visit]:
        return [self._put(replace(visit, cancelled=True)) for visit in self._pick(number)]

    def move(self, number: int) -> list[Visit]:
        return [
            self._put(replace(visit, start=self._free(visit.doctor, first_day=7)))
            for visit in self._pick(number)
        ]

    def reassign(self, number: int) -> list[Visit]:
        """Give visits to another doctor of the same site, at the same time."""
        return [self._put(self._with_other_doctor(visit)) for visit in self._pick(number)]

    def lose(self, number: int) -> list[Visit]:
        """Take visits out of the diary as if they had never been there."""
        return [self.visits.pop(visit.number) for visit in self._pick(number)]

    def correct_phone(self, number: int) -> list[Visit]:
        return [
            self._put(
                replace(visit, patient=replace(visit.patient, phone=fictional_phone(9000 + n)))
            )
            for n, visit in enumerate(self._pick(number))
        ]

    def standing(self) -> list[Visit]:
        """Return the visits that will take place."""
        return [visit for visit in self.visits.values() if not visit.cancelled]

    def _enter(self, patient: Patient, *, first_day: int) -> Visit:
        return self._put(self._new(patient, first_day=first_day))

    def _put(self, visit: Visit) -> Visit:
        self.visits[visit.number] = visit
        return visit

    def _new(self, patient: Patient, *, first_day: int) -> Visit:
        doctor = self._random.choice(DOCTORS).id
        return Visit(
            number=next(self._numbers),
            doctor=doctor,
            patient=patient,
            start=self._free(doctor, first_day=first_day),
            minutes=self._random.choice((15, 20, 30)),
            service=self._random.choice(_SERVICES),
            modality=self._random.choice(_MODALITIES),
            note=self._random.choice(_NOTES),
        )

    def _reachable(self) -> Patient:
        return next(p for p in self._people if p.phone and p.email)

    def _free(self, doctor: str, *, first_day: int) -> datetime:
        """Return a half hour on a workday that a doctor has free; on the first day from ten on."""
        while True:
            day = self._random.randrange(first_day, _DAYS)
            opens = _FIRST_HOUR if day else 10
            slots = (_LAST_HOUR - opens) * 2
            start = datetime.combine(self.monday + timedelta(days=day), time(opens))
            start += self._random.randrange(slots) * _GRID
            if start.weekday() < 5 and (doctor, start) not in self._taken:
                self._taken.add((doctor, start))
                return start

    def _pick(self, number: int) -> list[Visit]:
        """Return visits from next week on that nothing happened to yet, of people we can reach.

        Each is their only one: who cancels a visit and has another one would look like a move.
        """
        visits = Counter(visit.patient.key for visit in self.visits.values())
        next_week = datetime.combine(self.monday + timedelta(days=7), time())
        fit = [
            visit
            for visit in self.standing()
            if visit.start >= next_week
            and visits[visit.patient.key] == 1
            and visit.patient.phone
            and visit.patient.email
            and visit.number not in self._touched
        ]
        picked = self._random.sample(fit, number)
        self._touched.update(visit.number for visit in picked)
        return picked

    def _with_other_doctor(self, visit: Visit) -> Visit:
        sites = {doctor.id: doctor.site for doctor in DOCTORS}
        others = [
            d
            for d, site in sites.items()
            if d != visit.doctor
            and site == sites[visit.doctor]
            and (d, visit.start) not in self._taken
        ]
        return replace(visit, doctor=self._random.choice(others))
