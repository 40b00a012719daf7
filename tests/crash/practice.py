"""A practice's own database, read by SQL."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.crash.scene import first_export, second_export


class Practice:
    """The same visits in a database of the practice's own, changed when reception changes them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows: dict[str, dict[str, str]] = {}
        self._write(first_export(), "2024-05-01 08:00:00")

    def a_day_later(self) -> None:
        """Do to the database what the second export does to the first."""
        self._write(second_export(), "2024-06-01 08:00:00")

    def source(self, **said: Any) -> dict[str, Any]:
        """Return the settings that read it, a few rows at a time."""
        names = ("appointment_id", "status", "patient_id", "patient_name", "doctor_id")
        also = (
            "start AS appointment_date, email AS patient_email, doctor AS doctor_name, updated_at"
        )
        return {
            "type": "sql",
            "url": f"sqlite:///{self.path}",
            "query": f"SELECT {', '.join(names)}, {also} FROM visits ORDER BY appointment_id",
            "key": "appointment_id",
            "mapping": "reception_sql",
            "fetch_size": 10,
            **said,
        }

    def _write(self, rows: list[dict[str, str]], now: str) -> None:
        for row in rows:
            before = self._rows.get(row["appointment_id"], {})
            changed = before.get("updated_at", now) if row.items() <= before.items() else now
            row["updated_at"] = changed
        self._rows = {row["appointment_id"]: row for row in rows}
        names = list(rows[0])
        with closing(sqlite3.connect(self.path)) as database, database:
            database.execute("DROP TABLE IF EXISTS visits")
            database.execute(f"CREATE TABLE visits ({', '.join(names)})")
            places = ", ".join("?" for _ in names)
            values = [[row[name] for name in names] for row in rows]
            database.executemany(f"INSERT INTO visits VALUES ({places})", values)
