"""FHIR keeps the promises of every connector."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.contracts import Connector
from clinicrelay.testing import Booking, ConnectorContract, HttpServer
from connectors.fhir import Fhir

if TYPE_CHECKING:
    from conftest import Clinic, Peer


class TestFhirKeepsTheContract(ConnectorContract):
    """Read by watermark, as of a server that declares everything."""

    said: dict[str, Any] = {}

    @pytest.fixture(autouse=True)
    def _peer(self, peer: Peer, clinic: Clinic) -> None:
        self.peer, self.clinic = peer, clinic

    def make(self, folder: Path) -> Connector:
        return self.clinic.connector(**self.said)

    def fill(self, folder: Path, bookings: Sequence[Booking]) -> None:
        wanted = {one.key: one for one in bookings}
        for key in [*self.peer.store.get("Appointment", {})]:
            if key not in wanted:
                self.peer.delete("Appointment", key)
        for one in bookings:
            self._put(one)

    def _put(self, one: Booking) -> None:
        known = self.peer.store.get("Appointment", {}).get(one.key)
        if known and known["start"] == one.start.isoformat():
            return
        if one.patient_key not in self.peer.store.get("Patient", {}):
            telecom = [
                {"system": "phone", "value": one.patient_phone},
                {"system": "email", "value": one.patient_email},
            ]
            name = [{"text": one.patient_name}]
            patient = {"resourceType": "Patient", "id": one.patient_key}
            self.peer.put(patient | {"name": name, "telecom": telecom})
        patient, doctor = one.patient_key, one.practitioner_key
        self.peer.book(one.key, one.start, patient=patient, practitioner=doctor)

    def spoil(self, folder: Path, bookings: Sequence[Booking]) -> bool:
        self.fill(folder, bookings)
        nameless = {
            "resourceType": "Appointment",
            "start": bookings[0].start.isoformat(),
            "status": "booked",
            "comment": "Quenby Canary, +1 202 555 0143",
            "participant": [{"actor": {"reference": "Practitioner/acar"}}],
        }
        self.peer.put(nameless)
        return True

    def break_source(self, folder: Path) -> bool:
        assert isinstance(self.peer.server, HttpServer)
        self.clinic.connector()  # its address is known before nobody answers there
        self.peer.faults.append(lambda asked: self.peer.fhir({}, 503))
        return True


class TestFhirByWindow(TestFhirKeepsTheContract):
    said = {"strategy": "window", "slice": "3d", "page_size": 4}


class TestFhirByPartition(TestFhirKeepsTheContract):
    said = {"preset": "cerner", "partition": {"by": "practitioner", "ids": ["acar"]}}


class TestFhirByHistory(TestFhirKeepsTheContract):
    said = {"strategy": "history"}


class TestFhirAllThereIs(TestFhirKeepsTheContract):
    said = {"strategy": "snapshot"}


def test_its_mapping_is_the_one_for_fhir() -> None:
    assert Fhir.mapping == "fhir"
    assert Fhir.rereads
