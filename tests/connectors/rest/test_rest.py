"""The contract of connectors, kept by a JSON interface that settings describe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from clinicrelay.contracts import Connector, Record
from clinicrelay.testing import Asked, Booking, ConnectorContract, HttpServer, Reply, kit
from connectors.rest import Rest


@dataclass
class Bookings:
    """A server with a list of bookings in pages of ten, and a patient behind each."""

    rows: list[Any] = field(default_factory=list)
    people: dict[str, Any] = field(default_factory=dict)

    def __call__(self, asked: Asked) -> Reply:
        assert asked.method == "GET"
        if asked.path.startswith("/patients/"):
            found = self.people.get(asked.path.removeprefix("/patients/"))
            return Reply(found) if found else Reply({"error": "none"}, 404)
        start = int(asked.one("after") or 0)
        page = self.rows[start : start + 10]
        more = start + 10 if start + 10 < len(self.rows) else None
        return Reply({"data": {"items": page}, "meta": {"next": more}})


SERVERS: dict[Path, tuple[HttpServer, Bookings]] = {}


class TestRest(ConnectorContract):
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Iterator[Path]:
        answer = Bookings()
        server = HttpServer(answer)
        server.start()
        SERVERS[tmp_path] = server, answer
        yield tmp_path
        if tmp_path in SERVERS:
            SERVERS.pop(tmp_path)[0].stop()

    def make(self, folder: Path) -> Connector:
        url = SERVERS[folder][0].url if folder in SERVERS else "http://127.0.0.1:1"
        made = Rest(
            Rest.Options.model_validate(
                {
                    "base_url": url,
                    "request": {"path": "/bookings"},
                    "records": "data.items",
                    "paging": {"type": "cursor", "next": "meta.next", "param": "after"},
                    "lookups": {"patient": {"ref": "patient", "path": "/patients/{id}"}},
                }
            ),
            kit(folder),
        )
        made.sleep = lambda seconds: None
        return made

    def fill(self, folder: Path, bookings: Sequence[Booking]) -> None:
        SERVERS[folder][1].rows = [
            {"id": b.key, "start": b.start.isoformat(), "status": b.status, "patient": b.patient_key}
            for b in bookings
        ]
        SERVERS[folder][1].people = {
            b.patient_key: {"id": b.patient_key, "name": b.patient_name, "phone": b.patient_phone}
            for b in bookings
        }

    def spoil(self, folder: Path, bookings: Sequence[Booking]) -> bool:
        self.fill(folder, bookings)
        SERVERS[folder][1].rows.insert(3, "Quenby Canary +12025550143")
        return True

    def break_source(self, folder: Path) -> bool:
        SERVERS[folder][0].stop()
        SERVERS[folder] = HttpServer(Bookings()), Bookings()
        SERVERS[folder][0]._server.server_close()
        del SERVERS[folder]
        return True

    def key_of(self, record: Record) -> str:
        return str(record.key)

    def plugin(self) -> type[Connector]:
        return Rest
