"""Resources given as Python values, read as the connector does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

import mappings
from clinicrelay import Appointment, Record
from connectors.fhir.found import Found
from connectors.fhir.visit import Reader

Resource: TypeAlias = dict[str, Any]
Read: TypeAlias = Callable[..., Record]
Map: TypeAlias = Callable[[Record], Appointment]

BASE = "https://ehr.example/fhir"


@pytest.fixture
def read() -> Read:
    """Read an appointment beside what was met, given as resources; options are the reader's."""

    def reading(appointment: Resource, *others: Resource, **options: Any) -> Record:
        found = Found(BASE)
        for one in others:
            found.add(json.dumps(one).encode())
        usual = {"version": "4.0.1", "trust_unlabelled_link": False, "statuses": {}}
        reader = Reader(found, **(usual | {"by_display": {}} | options))
        usually = {"resourceType": "Appointment", "id": "7", "status": "booked"}
        raw = json.dumps(usually | appointment).encode()
        return reader.record(raw, place="Appointment", digest=reader.digest(raw))

    return reading


@pytest.fixture
def as_visit() -> Map:
    """Map a record by the packaged mapping, in a clinic in New York."""
    context = mappings.Context("ehr", "America/New_York", "US", "en")
    mapper = mappings.load("fhir", Path()).compile(context)

    def mapped(record: Record) -> Appointment:
        visit = mapper(record)
        assert visit is not None
        return visit

    return mapped
