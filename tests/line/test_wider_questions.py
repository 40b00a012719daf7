"""Old bookings that a wider question brings to light are kept, and confirmed to nobody (ADR 19)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.testing import Asked, HttpServer, Reply

if TYPE_CHECKING:
    from tests.line.conftest import Line


def row(number: int, start: str, doctor: str = "acar") -> dict[str, Any]:
    return {
        "appointment_id": number,
        "appointment_date": start,
        "status": "scheduled",
        "patient_id": f"p{number}",
        "patient_name": "Pat Sample",
        "patient_email": f"p{number}@mail.example",
        "doctor_id": doctor,
        "doctor_name": f"Dr. {doctor.title()}",
    }


OLD = [
    row(1, "2026-12-07 09:00"),
    row(2, "2026-12-08 09:00", "braun"),
    row(3, "2027-01-05 09:00"),  # beyond the window at first
]
NEW = row(4, "2026-12-09 09:00")


def confirmed(line: Line, when: str | timedelta = timedelta(minutes=5)) -> list[str]:
    """Sync, and return to whom a booking was confirmed."""
    return [to for kind, to in line.quietly(when) if kind == "confirmation"]


# --- a query -------------------------------------------------------------------------------------


class Database:
    """A practice's own table, and the settings that read it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with closing(sqlite3.connect(path)) as db, db:
            db.execute(f"CREATE TABLE visits ({', '.join(OLD[0])})")
        for one in OLD:
            self.add(one)

    def add(self, one: dict[str, Any]) -> None:
        with closing(sqlite3.connect(self.path)) as db, db:
            places = ", ".join("?" for _ in one)
            db.execute(f"INSERT INTO visits VALUES ({places})", [*one.values()])

    def source(self, where: str) -> dict[str, Any]:
        query = f"SELECT * FROM visits WHERE {where}"
        url = f"sqlite:///{self.path}"
        own = {"key": "appointment_id", "mapping": "reception_sql", "window": {"future": "30d"}}
        return {"type": "sql", "url": url, "query": query, **own}


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "practice.db")


def test_a_query_that_lets_more_through_is_no_news(line: Line, database: Database) -> None:
    line.set(sources={"practice": database.source("doctor_id = 'acar'")})
    line.sync()
    assert len(line.visits()) == 2
    line.set(sources={"practice": database.source("doctor_id IN ('acar', 'braun')")})
    assert confirmed(line) == []
    assert len(line.visits()) == 3
    database.add(NEW)
    assert confirmed(line) == ["p4@mail.example"]


IN_THE_WINDOW = "appointment_date >= :window_start AND appointment_date < :window_end"


def test_what_a_query_s_window_reaches_as_days_pass_is_no_news(
    line: Line, database: Database
) -> None:
    line.set(sources={"practice": database.source(IN_THE_WINDOW)})
    line.sync()
    assert len(line.visits()) == 2
    database.add(NEW)
    assert confirmed(line, "2026-12-06 12:00") == ["p4@mail.example"]
    assert len(line.visits()) == 4
    database.add(row(5, "2027-01-02 09:00"))
    assert confirmed(line) == ["p5@mail.example"]


# --- a JSON interface ----------------------------------------------------------------------------


class Practice:
    """A list of visits a doctor, within the days that are asked for."""

    def __init__(self) -> None:
        self.rows = [*OLD]

    def __call__(self, asked: Asked) -> Reply:
        first, end, doctor = (asked.one(name) or "" for name in ("from", "to", "doctor"))
        found = [
            one
            for one in self.rows
            if one["doctor_id"] == doctor and first <= one["appointment_date"][:10] < end
        ]
        return Reply({"rows": found})


@pytest.fixture
def practice() -> Iterator[tuple[Practice, HttpServer]]:
    answer = Practice()
    server = HttpServer(answer)
    server.start()
    yield answer, server
    server.stop()


def interface(server: HttpServer, *doctors: str) -> dict[str, Any]:
    days = {"from": "{window_start:date}", "to": "{window_end:date}"}
    return {
        "type": "rest",
        "base_url": server.url,
        "request": {"path": "/visits", "params": {**days, "doctor": "{partition}"}},
        "partition": {"by": "practitioner", "ids": [*doctors]},
        "records": "rows",
        "key": "appointment_id",
        "mapping": "reception_sql",
        "window": {"future": "30d"},
    }


def test_doctors_and_days_that_an_interface_is_asked_for_anew_are_no_news(
    line: Line, practice: tuple[Practice, HttpServer]
) -> None:
    answer, server = practice
    line.set(sources={"pms": interface(server, "acar")})
    line.sync()
    assert len(line.visits()) == 1
    answer.rows.append(NEW)
    line.set(sources={"pms": interface(server, "acar", "braun")})
    assert confirmed(line) == ["p4@mail.example"]  # of a doctor who was known
    assert len(line.visits()) == 3
    assert confirmed(line, "2026-12-06 12:00") == []
    assert len(line.visits()) == 4
    answer.rows.append(row(5, "2027-01-02 09:00", "braun"))
    assert confirmed(line) == ["p5@mail.example"]


# --- and where nothing is new --------------------------------------------------------------------


@pytest.mark.parametrize("where", ["doctor_id = 'acar'", IN_THE_WINDOW])
def test_a_query_that_brings_nothing_new_writes_nothing(
    line: Line, database: Database, where: str
) -> None:
    line.set(sources={"practice": database.source(where)})
    line.sync()
    line.sync()
    rows = line.dump()
    assert line.sync().sources["practice"].unchanged == 2
    assert line.dump() == rows


def test_an_interface_that_brings_nothing_new_writes_nothing(
    line: Line, practice: tuple[Practice, HttpServer]
) -> None:
    line.set(sources={"pms": interface(practice[1], "acar", "braun")})
    line.sync()
    line.sync()
    rows = line.dump()
    assert line.sync().sources["pms"].unchanged == 2
    assert line.dump() == rows
