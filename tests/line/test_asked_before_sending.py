"""A cancellation that no read has brought yet: found over the wire before the reminder leaves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.testing import Asked, HttpServer, Reply
from sync.runners import once

if TYPE_CHECKING:
    from tests.line.conftest import Line

START = "2026-11-25T11:00:00+00:00"  # noon in Berlin


class Fhir:
    """A server with one visit; it finds by id, and by a search of everything."""

    settings: dict[str, Any] = {"type": "fhir"}
    off = "cancelled"

    def __init__(self) -> None:
        self.status = "booked"
        self.down = False

    def __call__(self, asked: Asked) -> Reply:
        if self.down:
            return Reply({}, status=503)
        if asked.path == "/metadata":
            return Reply(self._statement())
        if asked.path == "/Appointment":
            return Reply(self._bundle(self._visit()))
        if asked.path == "/Appointment/A":
            return Reply(self._visit())
        if asked.path.startswith("/Patient"):
            return Reply(self._patient() if "/P" in asked.path else self._bundle(self._patient()))
        return Reply(self._bundle())

    def _statement(self) -> dict[str, Any]:
        searched = [{"name": name, "type": "date"} for name in ("date", "_id")]
        can = [{"code": code} for code in ("read", "search-type")]
        appointment = {"type": "Appointment", "interaction": can, "searchParam": searched}
        rest = [{"mode": "server", "resource": [appointment]}]
        return {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "rest": rest}

    def _bundle(self, *resources: dict[str, Any]) -> dict[str, Any]:
        entries = [{"resource": one, "search": {"mode": "match"}} for one in resources]
        return {"resourceType": "Bundle", "type": "searchset", "link": [], "entry": entries}

    def _visit(self) -> dict[str, Any]:
        return {
            "resourceType": "Appointment",
            "id": "A",
            "status": self.status,
            "start": START,
            "end": "2026-11-25T11:30:00+00:00",
            "participant": [{"actor": {"reference": "Patient/P"}, "status": "accepted"}],
        }

    def _patient(self) -> dict[str, Any]:
        mail = {"system": "email", "value": "p1@mail.example"}
        name = [{"given": ["Pat"], "family": "Sample"}]
        return {"resourceType": "Patient", "id": "P", "name": name, "telecom": [mail]}


class Rest(Fhir):
    """A JSON interface with one visit, that it also tells by its id."""

    settings: dict[str, Any] = {
        "type": "rest",
        "request": {"path": "/visits", "params": {"from": "{window_start:date}"}},
        "records": "rows",
        "paging": {"type": "none"},
        "key": "appointment_id",
        "read_by_id": {"path": "/visits/{id}"},
        "mapping": "reception_sql",
    }
    off = "cancelled"

    def __call__(self, asked: Asked) -> Reply:
        if self.down:
            return Reply({}, status=503)
        row = self._row("A", "12:00", self.status)
        return Reply({"rows": [row]} if asked.path == "/visits" else row)

    def _row(self, key: str, time: str, status: str) -> dict[str, Any]:
        return {
            "appointment_id": key,
            "appointment_date": f"2026-11-25 {time}",
            "status": "scheduled" if status == "booked" else status,
            "patient_id": "P",
            "patient_name": "Pat Sample",
            "patient_email": "p1@mail.example",
            "doctor_id": "acar",
            "doctor_name": "Dr. Acar",
        }


class TwoVisits(Rest):
    """The same, with a second visit of that patient two hours later, which is cancelled instead."""

    def __call__(self, asked: Asked) -> Reply:
        first, second = self._row("A", "12:00", "scheduled"), self._row("B", "14:00", self.status)
        if asked.path == "/visits":
            return Reply({"rows": [first, second]})
        return Reply(second if asked.path.endswith("B") else first)


@pytest.fixture(params=[Fhir, Rest])
def system(line: Line, request: pytest.FixtureRequest) -> Iterator[Fhir]:
    """A visit was read ten minutes ago, and its reminder is due in ten seconds."""
    answer: Fhir = request.param()
    server = HttpServer(answer)
    server.start()
    line.set(
        sources={"ehr": {**answer.settings, "base_url": server.url}},
        reminders={"patient": {"steps": ["1d"]}},
        channels={"order": ["email"]},
    )
    line.sync("2026-11-23 09:00")
    line.sync("2026-11-24 11:50")
    assert not line.calls
    yield answer
    server.stop()


def send(line: Line) -> list[tuple[str, str]]:
    line._pass("2026-11-24 12:00")
    line.at_work(once.send)
    return [(message.kind, message.to) for message in line.calls]


def test_a_visit_that_was_cancelled_ten_seconds_ago_is_not_reminded_of(
    line: Line, system: Fhir
) -> None:
    system.status = system.off
    assert send(line) == [("cancellation", "p1@mail.example")]
    assert line.visits()["ehr/A"]["status"] == "cancelled"


def test_one_that_stands_is_reminded_of(line: Line, system: Fhir) -> None:
    assert send(line) == [("reminder", "p1@mail.example")]


@pytest.mark.parametrize("system", [TwoVisits], indirect=True)
@pytest.mark.parametrize("cancelled", [True, False])
def test_a_visit_that_the_reminder_would_tell_of_too_is_asked_about(
    line: Line, system: Fhir, cancelled: bool
) -> None:
    system.status = system.off if cancelled else "booked"
    send(line)
    said = {message.kind: message.text for message in line.calls}
    assert sorted(said) == (["cancellation", "reminder"] if cancelled else ["reminder"])
    assert ("14:00" in said["reminder"]) is not cancelled


def test_a_system_that_is_down_for_a_moment_keeps_nobodys_reminder_back(
    line: Line, system: Fhir
) -> None:
    system.down = True
    assert send(line) == [("reminder", "p1@mail.example")]
