"""Settings, reception, providers and outages at random: each step of each visit is accounted for."""

from __future__ import annotations

import os
import random
from datetime import timedelta
from typing import Any

import pytest

from clinicrelay.contracts import Message, Outcome, SendResult
from clinicrelay.times import local
from notifiers.outbox import Outbox
from sync.runners import once
from sync.store import standings
from tests.line.conftest import ZONE, Line
from tests.line.planted import stop

# CLINICRELAY_TEST_EXAMPLES=500 looks for longer.
SEEDS = range(max(3, int(os.environ.get("CLINICRELAY_TEST_EXAMPLES", "18")) // 6))
NO_GUARDS = {"hold_if": {"shifted": 10_000, "at_least": 10_000}, "max_messages_per_run": 10_000}
STEPS: list[list[Any]] = [
    ["1d"],
    ["3d", "1d", "1h"],
    ["2d", "1h"],
    [{"before": "1d", "latest": "20m"}],
    [],
]
NIGHTS: list[Any] = ["off", {"from": "21:00", "to": "08:00"}, {"from": "12:00", "to": "15:00"}]
ANSWERS = (
    SendResult(Outcome.NOT_SENT, "unreachable"),
    SendResult(Outcome.NOT_SENT, "credentials_refused", pause=timedelta(minutes=15)),
    SendResult(Outcome.REJECTED, "address_refused", code="21211"),
    SendResult(Outcome.UNKNOWN, "answer_lost"),
)


class Chaos:
    """One thing after another that may happen to a clinic's reminders."""

    def __init__(self, line: Line, seed: int) -> None:
        self.line, self.chance = line, random.Random(seed)
        self.keys = iter(range(10, 10_000))
        self.trouble = 0.0
        line.set(calendars={}, safety=NO_GUARDS)
        self.edit()

    def start(self) -> str:
        at = self.line.now + timedelta(minutes=self.chance.choice([20, 90, 300, 1500, 3000, 6000]))
        return f"{local(at, ZONE):%Y-%m-%d %H:%M}"

    def book(self) -> None:
        many = self.chance.randrange(1, 4)
        for key in [next(self.keys) for _ in range(many)]:
            cells = self.chance.choice([{}, {"mobile": "", "email": ""}, {"mobile": "12"}])
            self.line.book(key, self.start(), **cells)

    def change(self) -> None:
        if self.line.rows:
            key = self.chance.choice([*self.line.rows])
            self.line.change(
                key,
                **self.chance.choice(
                    [
                        {"start": self.start()},
                        {"status": self.chance.choice(["cancelled", "scheduled", "pending"])},
                        {"status": self.chance.choice(["arrived", "fulfilled", "no-show"])},
                        {"location": self.chance.choice(["Hafenweg", "Uferstrasse"])},
                        {"patient_id": f"Q{key}", "patient_name": "Other Sample"},
                        {"doctor_id": self.chance.choice(["acar", "braun"])},
                    ]
                ),
            )

    def lose(self) -> None:
        if self.line.rows:
            del self.line.rows[self.chance.choice([*self.line.rows])]

    def edit(self) -> None:
        steps = self.chance.choice(STEPS)
        patient: dict[str, Any] = {"steps": steps, "on_gone": self.chance.random() < 0.5}
        if self.chance.random() < 0.6:
            patient["confirmation"] = {"channels": ["email"]}
        reminders = {"patient": patient, "doctor": {"steps": self.chance.choice(STEPS)}}
        self.line.set(reminders=reminders, quiet_hours=self.chance.choice(NIGHTS))

    def pause(self) -> None:
        stop(self.line, self.chance.choice(["patients", "doctors", "outbox"]))

    def resume(self) -> None:
        def resumed(at_work: Any) -> None:
            with at_work.store.write() as connection:
                standings.resume(connection, at_work.store.clinic)

        self.line.at_work(resumed)

    def provider(self) -> None:
        self.trouble = self.chance.choice([0.0, 0.0, 0.3, 1.0])

    def answer(self, message: Message) -> SendResult:
        if self.chance.random() < self.trouble:
            return self.chance.choice(ANSWERS)
        return SendResult(Outcome.ACCEPTED)

    def step(self) -> None:
        acts = {self.book: 5, self.change: 6, self.lose: 1, self.edit: 1, self.pause: 1,
                self.resume: 2, self.provider: 2}  # fmt: skip
        for act in self.chance.choices([*acts], [*acts.values()], k=3):
            act()
        self.line.drop()
        self.line.now += timedelta(minutes=self.chance.choice([5, 20, 60, 240, 700, 3000]))
        self.line.at_work(lambda at_work: once.sync(at_work, []))


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("seed", SEEDS)
def test_each_step_is_accounted_for_once(
    line: Line, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chaos = Chaos(line, seed)
    monkeypatch.setattr(Outbox, "send", lambda self, message: chaos.answer(message))
    for _ in range(20):
        chaos.step()
        assert line.unaccounted() == []
    for _ in range(3):
        line.now += timedelta(days=2)
        line.at_work(lambda at_work: once.sync(at_work, []))
        assert line.unaccounted() == []
    assert line.query("SELECT count(*) FROM messages WHERE kind = 'reminder'") > [(10,)]
