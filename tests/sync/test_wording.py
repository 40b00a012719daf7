"""Whose name stands in a text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import structs

from clinicrelay.actions import MessageKind, Role, Say, facts_of
from clinicrelay.model import Appointment, Modality, Patient, Practitioner, Status
from clinicrelay.settings.schema import PatientReminders, Step
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


@pytest.mark.parametrize(
    ("kind", "step", "hours", "again"),
    [
        (MessageKind.CONFIRMATION, "", 200, True),
        (MessageKind.CONFIRMATION, "", 20, False),  # both steps lie behind
        (MessageKind.REMINDER, "3d", 72, True),
        (MessageKind.REMINDER, "2d", 48, False),
    ],
)
def test_a_link_is_left_to_a_nearer_reminder_only_where_there_is_one(
    kind: MessageKind, step: str, hours: int, again: bool
) -> None:
    steps = tuple(Step(before=before) for before in ("3d", "2d"))
    clinic: Any = SimpleNamespace(
        **{
            **vars(CLINIC),
            "settings": SimpleNamespace(
                reminders=SimpleNamespace(patient=PatientReminders(steps=steps))
            ),
        }
    )
    visit = structs.replace(
        VISIT,
        start=NOW + timedelta(hours=hours),
        modality=Modality.VIDEO,
        join_url="https://meet.example/a",
    )
    say = Say(kind, Role.PATIENT, "patient/p1", facts_of(visit), NOW, NOW, "reminders", step)
    facts = text_facts(clinic, say, visit, ANNA, ())
    assert (facts.comes_later, bool(facts.link)) == (again, not again)


def test_whoever_is_not_said_to_be_elsewhere_reads_on_the_clinics_clock() -> None:
    say = Say(MessageKind.REMINDER, Role.DOCTOR, "doctor/acar", facts_of(VISIT), NOW, NOW, "", "1d")
    assert text_facts(CLINIC, say, VISIT, FIRST, ()).recipient_timezone == "Europe/Berlin"
