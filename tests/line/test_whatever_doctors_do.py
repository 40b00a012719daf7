"""Doctors, calendars and reception at random: in the end every visit stands where it belongs, once."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta

import pytest

from clinicrelay.contracts import EventResult, EventWrite, Outcome
from clinicrelay.testing.diary import World
from clinicrelay.times import local
from tests.line.conftest import ZONE, Line

DOCTORS = ("acar", "braun", "costa")
VISITS = range(1, 5)  # too few for a guard
TROUBLES = (
    EventResult("", Outcome.NOT_SENT, reason="not_shared", blocks=True),
    EventResult(
        "", Outcome.NOT_SENT, reason="usage_limit", blocks=True, everywhere=True,
        retry_after=timedelta(minutes=15),
    ),
    RuntimeError("a mistake"),
)  # fmt: skip
RULES = [
    {"deletes": deletes, "moves": moves}
    for deletes in ("respect", "restore", "ask")
    for moves in ("revert", "keep", "propose")
]


class Chaos:
    """One thing after another that may happen to a clinic with three diaries."""

    def __init__(self, line: Line, world: World, seed: int) -> None:
        self.line, self.world, self.chance = line, world, random.Random(seed)
        self.slots = iter(range(10_000))

    def start(self) -> str:
        """Return a time that no visit had before."""
        at = next(self.slots)
        return f"2026-12-{7 + at // 40 % 20:02} {8 + at // 4 % 10:02}:{15 * (at % 4):02}"

    def reception(self) -> None:
        key = self.chance.choice(VISITS)
        doctor = self.chance.choice(DOCTORS)
        change: dict[str, str] = self.chance.choice(
            [
                {"start": self.start()},
                {"doctor_id": doctor, "doctor_email": f"{doctor}@riverside.example"},
                {"status": self.chance.choice(["cancelled", "scheduled"])},
                {"modality": self.chance.choice(["video", ""])},
            ]
        )
        self.line.change(key, **change)

    def doctor(self) -> None:
        name = self.chance.choice(DOCTORS)
        if self.world.live(name):
            self.chance.choice([self.world.move, self.world.delete, self._retitle])(name)

    def _retitle(self, name: str) -> None:
        self.world.retitle(name, f"note {self.world.etag}")

    def provider(self) -> None:
        name = self.chance.choice(DOCTORS)
        self.world.troubles.pop(name, None)
        if self.chance.random() < 0.4:
            self.world.troubles[name] = self.chance.choice(TROUBLES)
        if self.chance.random() < 0.4:
            self.world.faults.append(EventResult("", Outcome.UNKNOWN, reason="no_answer"))

    def settings(self) -> None:
        rules = self.chance.choice(RULES)
        self.line.set(calendars={"diary": {"type": "diary", "if_doctor": rules}})

    def meanwhile(self, calendar: str, write: EventWrite) -> None:
        if self.chance.random() < 0.2 and self.world.live(calendar):
            self.chance.choice([self.world.move, self.world.delete])(calendar)

    def step(self) -> None:
        weights = {self.reception: 4, self.doctor: 4, self.provider: 2, self.settings: 1}
        for what in self.chance.choices([*weights], [*weights.values()], k=3):
            what()
        self.line.drop()
        self.line.sync(timedelta(minutes=self.chance.choice([5, 60, 600])))
        assert self.line.unaccounted() == []


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("seed", range(6))
def test_every_visit_ends_where_it_belongs_once(
    house: Callable[..., Line], world: World, seed: int
) -> None:
    line = house(calendars={"diary": {"type": "diary"}})
    chaos = Chaos(line, world, seed)
    for key in VISITS:
        line.book(key, chaos.start())
    world.meanwhile = chaos.meanwhile
    for _ in range(12):
        chaos.step()

    world.meanwhile = lambda calendar, write: None
    world.troubles.clear()
    world.faults.clear()
    for key in VISITS:
        line.change(key, start=chaos.start())
    line.drop()
    line.sync(timedelta(hours=5))
    line.sync(timedelta(hours=5))
    assert shown(world) == booked(line)
    assert line.unaccounted() == []


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("rules", RULES[::4])
@pytest.mark.parametrize("seed", range(8))
def test_what_becomes_of_lost_answers_is_taken_for_no_doctors_hand(
    house: Callable[..., Line], world: World, seed: int, rules: dict[str, str]
) -> None:
    """Nobody touches a calendar: visits go to and fro, and half of what is written is not confirmed."""
    line = house(calendars={"diary": {"type": "diary", "if_doctor": rules}})
    chance = random.Random(seed)
    for key in VISITS:
        line.book(key, "2026-12-07 09:00")
    world.lost = lambda: chance.random() < 0.5
    for _ in range(15):
        for key in chance.sample(VISITS, 2):
            doctor = chance.choice(DOCTORS[:2])
            change: dict[str, str] = chance.choice(
                [
                    {"start": f"2026-12-07 {chance.choice(['09', '10'])}:00"},
                    {"doctor_id": doctor, "doctor_email": f"{doctor}@riverside.example"},
                    {"status": chance.choice(["cancelled", "scheduled"])},
                ]
            )
            line.change(key, **change)
        line.drop()
        line.sync(timedelta(minutes=5))

    world.lost = lambda: False
    for _ in range(3):
        line.sync(timedelta(hours=2))
    assert shown(world) == booked(line)
    assert line.query("SELECT DISTINCT hands FROM events") == [(None,)]


def shown(world: World) -> dict[str, list[str]]:
    """Return when each doctor's calendar shows something."""
    return {
        doctor: [f"{local(one.start, ZONE):%Y-%m-%d %H:%M}" for one in world.live(doctor)]
        for doctor in DOCTORS
    }


def booked(line: Line) -> dict[str, list[str]]:
    """Return when each doctor has visits."""
    rows = [row for row in line.rows.values() if row["status"] == "scheduled"]
    return {
        doctor: sorted(row["start"] for row in rows if row["doctor_id"] == doctor)
        for doctor in DOCTORS
    }
