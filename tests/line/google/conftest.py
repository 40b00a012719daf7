"""A clinic whose doctors have their calendars in a Google of our own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google_peer.peer import GooglePeer
from sqlalchemy import create_engine, text

from sync.push import CalendarRun
from tests.line.conftest import Line

ROBOT = "relay@riverside.example"
WRITES = ("insert", "patch", "update", "delete")
ACAR = "acar@riverside.example"


def address(doctor: str) -> str:
    return f"{doctor}@riverside.example"


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


@dataclass
class Doctors:
    """A clinic whose doctors have their calendars in Google; what is there, and what was asked."""

    line: Line
    peer: GooglePeer

    def book(self, key: int, start: str = "2026-12-07 10:00", doctor: str = "acar") -> None:
        self.line.book(key, start, doctor_id=doctor, doctor_email=address(doctor))

    def book_many(self, count: int, doctors: Sequence[str] = ("acar",)) -> None:
        self.line.book_many(count)
        for n in range(count):
            doctor = doctors[n % len(doctors)]
            self.line.change(100 + n, doctor_id=doctor, doctor_email=address(doctor))

    def join(self, *doctors: str, role: str = "writer") -> None:
        for doctor in doctors:
            self.peer.calendar(address(doctor), shared={ROBOT: role})

    def run(self, when: str | timedelta = timedelta(minutes=5)) -> CalendarRun:
        return self.line.sync(when).calendars["google"]

    def drop(self, when: str | timedelta = timedelta(minutes=5)) -> CalendarRun:
        self.line.drop()
        return self.run(when)

    def events(self, doctor: str = "acar") -> list[dict[str, Any]]:
        live = self.peer.dump(address(doctor), live=True)
        ours = [event for event in live if "extendedProperties" in event]
        return sorted(ours, key=lambda event: str(event["start"]["dateTime"]))

    def starts(self, doctor: str = "acar") -> list[str]:
        return [event["start"]["dateTime"][11:16] for event in self.events(doctor)]

    def written(self) -> list[tuple[str, int]]:
        """Return the writes since this was last asked."""
        calls = [(call.operation, call.status) for call in self.peer.calls(*WRITES)]
        self.peer.forget_calls()
        return calls

    def states(self) -> list[tuple[Any, ...]]:
        return self.line.query("SELECT state, reason FROM events")

    def behind_our_back(self, *statements: str) -> None:
        engine = create_engine(self.line.loaded.settings.store_url)
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))
        engine.dispose()


@pytest.fixture
def doctors(house: Callable[..., Line]) -> Iterator[Doctors]:
    """CAL-03, CAL-29: whatever happens, no event is there twice, and nobody is mailed."""
    with GooglePeer(seed=7) as peer:
        made = Doctors(house(calendars=settings_for(peer)), peer)
        made.join("acar", "braun")
        yield made
        assert peer.duplicates() == {}
        assert peer.mails() == []


def settings_for(peer: GooglePeer, **said: Any) -> dict[str, Any]:
    key = json.dumps(peer.service_account(ROBOT))
    quota = {"per_user": "100000/m", "per_project": "100000/m"}
    return {
        "google": {
            "type": "google",
            "credentials": key,
            "base_url": peer.url,
            "quota": quota,
            **said,
        }
    }


@pytest.fixture
def one(doctors: Doctors) -> Doctors:
    """One visit that stands in doctor acar's calendar."""
    doctors.book(1)
    doctors.drop()
    assert doctors.starts() == ["10:00"]
    doctors.peer.forget_calls()
    return doctors
