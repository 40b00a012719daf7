"""A clinic's database of each kind, and connectors that look at it as if a new process had made them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool

from clinicrelay.contracts import Cursor, Record
from clinicrelay.testing.connectors import Booking, Read, cycle
from clinicrelay.testing.kits import NOW, kit
from connectors.sql import Sql
from connectors.sql.server import Clock

APPOINTMENTS = """
CREATE TABLE appointments (
    appointment_id VARCHAR(20), appointment_date {time} NULL, status VARCHAR(20),
    patient_id VARCHAR(20), patient_name VARCHAR(80), patient_phone VARCHAR(40),
    patient_email VARCHAR(80), doctor_id VARCHAR(20), updated_at {time} NULL)
"""
COLUMNS = (
    "appointment_id appointment_date status patient_id patient_name patient_phone patient_email "
    "doctor_id updated_at"
).split()
QUERY = f"SELECT {', '.join(COLUMNS)} FROM appointments"


@dataclass
class Clinic:
    """The database of a clinic, with the clinic's own hands in it (`run`) and ours (`connector`)."""

    url: str
    folder: Path
    engine: Engine
    memory: dict[str, Any] = field(default_factory=dict)
    now: datetime = NOW
    oldest: datetime | None = None
    real_clock: bool = False
    made: list[Sql] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return self.engine.dialect.name

    @property
    def time(self) -> str:
        """What a column of times is called."""
        return {"postgresql": "TIMESTAMP", "sqlite": "TEXT"}.get(self.kind, "DATETIME(6)")

    def run(self, statement: str, *rows: Sequence[Any]) -> None:
        """Run a statement, once for each row of values written as ?."""
        mark = "?" if self.kind == "sqlite" else "%s"
        with self.engine.begin() as connection:
            if rows:
                connection.exec_driver_sql(
                    statement.replace("?", mark), [tuple(row) for row in rows]
                )
            else:
                connection.exec_driver_sql(
                    statement.replace("%", "%%") if self.kind != "sqlite" else statement
                )

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(statement)]

    def open(self) -> None:
        """Make the table of appointments."""
        self.run(APPOINTMENTS.format(time=self.time))

    def book(self, *numbers: int, at: datetime | str | None = "2026-11-20 10:00:00") -> None:
        """Add visits, written `at` that time."""
        self.run(
            "INSERT INTO appointments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *((f"A-{n}", "2026-12-01 09:30:00", "scheduled", f"p{n}", "Ann Sample", "+12025550100",
               "ann@mail.example", "acar", at) for n in numbers),
        )  # fmt: skip

    def put(self, bookings: Sequence[Booking]) -> None:
        """Hold exactly these bookings; what is like before keeps its time of writing."""
        before = {
            row[0]: row for row in self.rows(f"SELECT {', '.join(COLUMNS)} FROM appointments")
        }
        self.run("DELETE FROM appointments")
        number = len(self.made)
        rows = []
        for b in bookings:
            start = b.start.replace(tzinfo=None).isoformat(" ")
            row = (b.key, start, b.status, b.patient_key, b.patient_name, b.patient_phone,
                   b.patient_email, b.practitioner_key)  # fmt: skip
            old = before.get(b.key)
            same = old and tuple(map(str, old[:8])) == row
            rows.append(
                (
                    *row,
                    str(old[8]) if same and old else f"2026-11-2{number % 3} 10:0{number % 9}:00",
                )
            )
        self.run("INSERT INTO appointments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", *rows)

    def connector(self, **said: Any) -> Sql:
        options = {"url": self.url, "query": QUERY, "key": "appointment_id"} | said
        columns = options.pop("columns", None)
        made = kit(
            self.folder, memory=self.memory, now=self.now, instance_key=b"k" * 32, columns=columns
        )
        connector = Sql(Sql.Options.model_validate(options), made)
        if not self.real_clock:
            connector.clock = lambda server: Clock(self.now, self.oldest, True)
            connector.real_now = lambda: self.now
        self.made.append(connector)
        return connector

    def read(self, cursor: Cursor | None = None, **said: Any) -> Read:
        connector = self.connector(**said)
        try:
            return cycle(connector, cursor)
        finally:
            connector.close()


def keys(records: Sequence[Record]) -> list[str]:
    return sorted(str(record.key) for record in records)


@pytest.fixture
def clinic(store_url: str, tmp_path: Path) -> Iterator[Clinic]:
    """An empty database of each kind in turn."""
    engine = create_engine(store_url, poolclass=NullPool)
    clinic = Clinic(store_url, tmp_path, engine)
    yield clinic
    for connector in clinic.made:
        connector.close()
    engine.dispose()


@pytest.fixture
def sqlite_clinic(tmp_path: Path) -> Iterator[Clinic]:
    """An empty SQLite file: for what does not depend on the kind of server."""
    url = f"sqlite:///{tmp_path / 'clinic.db'}"
    engine = create_engine(url, poolclass=NullPool)
    clinic = Clinic(url, tmp_path, engine)
    yield clinic
    for connector in clinic.made:
        connector.close()
    engine.dispose()
