"""The SQL connector keeps the promises of its room, on every database that it is tested with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from clinicrelay.contracts import Connector
from clinicrelay.testing.connectors import Booking, ConnectorContract
from connectors.sql import Sql

WAYS = {
    "cursor": {"cursor": "updated_at"},
    "snapshot": {},
    "row_hash": {
        "query": "SELECT * FROM appointments WHERE appointment_date >= :window_start "
        "AND appointment_date < :window_end"
    },
}


class TestSql(ConnectorContract):
    @pytest.fixture(autouse=True, params=sorted(WAYS))
    def _way(self, request: pytest.FixtureRequest, clinic: Any) -> None:
        self.clinic, self.said = clinic, WAYS[request.param]
        clinic.open()

    def plugin(self) -> type[Connector]:
        return Sql

    def make(self, folder: Path) -> Connector:
        connector: Connector = self.clinic.connector(**self.said)
        return connector

    def fill(self, folder: Path, bookings: Sequence[Booking]) -> None:
        self.clinic.put(bookings)

    def spoil(self, folder: Path, bookings: Sequence[Booking]) -> bool:
        self.fill(folder, bookings)
        b = bookings[0]
        self.clinic.run(
            "INSERT INTO appointments VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)",
            ("2026-12-01 09:00:00", "booked", b.patient_key, b.patient_name, b.patient_phone,
             b.patient_email, "acar", "2026-11-20 10:00:00"),
        )  # fmt: skip
        return True

    def break_source(self, folder: Path) -> bool:
        self.clinic.run("DROP TABLE appointments")
        return True
