"""Whose name stands in a text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from clinicrelay.actions import MessageKind, Role, Say, facts_of
from clinicrelay.model import Appointment, Patient, Practitioner, Status
from sync.wording import text_facts

NOW = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
ANNA = Patient("p1", "Anna Sample")
FIRST = Practitioner("acar", "Dr. Acar")
SECOND = Practitioner("braun", "Dr. Braun", primary=False)
VISIT = Appointment(
    "main",
    "7",
    Status.BOOKED,
    "Europe/Berlin",
    NOW + timedelta(days=1),
    patients=(ANNA,),
    practitioners=(FIRST, SECOND),
)
CLINIC: Any = SimpleNamespace(
    now=NOW,
    zone="Europe/Berlin",
    settings=SimpleNamespace(reminders=SimpleNamespace(patient=None)),
    as_named=lambda source, who: Practitioner(who.key, f"{who.name}, named by settings"),
)


def named(role: Role, person: Patient | Practitioner, visit: Appointment | None) -> str | None:
    kind = MessageKind.REMINDER if visit else MessageKind.DIGEST
    say = Say(kind, role, f"{role}/{person.key}", facts_of(VISIT), NOW, NOW, "reminders")
    return text_facts(CLINIC, say, visit, person, ()).practitioner_name


@pytest.mark.parametrize("doctor", [FIRST, SECOND])
@pytest.mark.parametrize("visit", [VISIT, None], ids=["reminder", "digest"])
def test_a_doctor_is_greeted_by_their_own_name(
    doctor: Practitioner, visit: Appointment | None
) -> None:
    assert named(Role.DOCTOR, doctor, visit) == doctor.name


def test_a_patient_reads_who_leads_the_visit() -> None:
    assert named(Role.PATIENT, ANNA, VISIT) == "Dr. Acar, named by settings"
