"""A cancellation that no read has brought yet: found over the wire before the reminder leaves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.testing import Asked, HttpServer, Reply
from sync import second_look
from sync.runners import once
from sync.store.leases import lease

if TYPE_CHECKING:
    from sync.clinic import Clinic
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


class FourVisits(Rest):
    """Four visits at noon, of as many patients."""

    def __call__(self, asked: Asked) -> Reply:
        rows = [
            {
                **self._row(key, "12:00", self.status),
                "patient_id": f"P{key}",
                "patient_email": f"{key.lower()}@mail.example",
            }
            for key in "ABCD"
        ]
        single = [row for row in rows if asked.path.endswith(f"/{row['appointment_id']}")]
        return Reply(single[0] if single else {"rows": rows})


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


FOUR = pytest.mark.parametrize("system", [FourVisits], indirect=True)


def kinds(line: Line) -> list[str]:
    return [message.kind for message in line.calls]


@FOUR
def test_more_than_are_asked_about_at_once_are_all_asked_about(
    line: Line, system: Fhir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_look, "_AT_ONCE", 2)
    system.status = "cancelled"
    send(line)
    assert kinds(line) == ["cancellation"] * 4


@FOUR
@pytest.mark.parametrize("why", ["no time is left", "the budget is for reading"])
def test_those_beyond_wait_for_the_next_run_and_are_asked_about_then(
    line: Line, system: Fhir, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    monkeypatch.setattr(second_look, "_AT_ONCE", 2)
    if why == "no time is left":
        monkeypatch.setattr(second_look, "_GO_ON", 0.0)
    else:
        source = line.settings["sources"]["ehr"]
        line.set(sources={"ehr": {**source, "budget": "100/run"}})
    send(line)
    assert kinds(line) == ["reminder"] * 2
    waiting = line.query("SELECT state, reason FROM messages WHERE state = 'planned'")
    assert waiting == [("planned", "not_asked_yet")] * 2
    system.status = "cancelled"
    line.now += timedelta(minutes=1)
    line.at_work(once.send)
    assert kinds(line) == ["reminder"] * 2 + ["cancellation"] * 2


@FOUR
def test_nobody_waits_longer_to_be_asked_about_than_for_a_channel_that_is_down(
    line: Line, system: Fhir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_look, "_AT_ONCE", 1)
    monkeypatch.setattr(second_look, "_GO_ON", 0.0)
    line._pass("2026-11-24 14:00")
    line.at_work(once.send)
    assert kinds(line) == ["reminder"] * 4


def test_while_another_process_asks_its_reminders_do_not_leave_unasked(
    line: Line, system: Fhir
) -> None:
    def beside_another(at_work: Clinic) -> None:
        with lease(at_work.store, "look", timedelta(minutes=1)) as held:
            assert held
            line.at_work(once.send)

    line._pass("2026-11-24 12:00")
    line.at_work(beside_another)
    assert line.calls == []
    line.at_work(once.send)
    assert kinds(line) == ["reminder"]
