"""Typed differences between what was kept and what came."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from clinicrelay.actions import What
from clinicrelay.model import (
    Appointment,
    Channel,
    Guardian,
    Modality,
    Patient,
    Place,
    Practitioner,
    Status,
)
from sync.changes import changes, in_doubt, may_be_same_person, same_visit

START = datetime(2026, 12, 1, 9, tzinfo=UTC)
VISIT = Appointment(
    source="reception",
    key="1",
    status=Status.BOOKED,
    timezone="Europe/Berlin",
    start=START,
    end=START + timedelta(minutes=30),
    patients=(Patient(key="p1", name="A"),),
    practitioners=(Practitioner(key="d1"),),
    location=Place(name="North"),
    service="check-up",
)


def altered(**fields: Any) -> Appointment:
    return replace(VISIT, **fields)


@pytest.mark.parametrize(
    ("after", "found"),
    [
        (
            altered(start=START + timedelta(hours=1), end=START + timedelta(hours=1.5)),
            "rescheduled",
        ),
        (altered(end=START + timedelta(hours=1)), "rescheduled"),
        (altered(start=None), "rescheduled"),
        (altered(location=Place(name="South")), "relocated"),
        (altered(modality=Modality.VIDEO), "relocated"),
        (altered(practitioners=(Practitioner(key="d2"),)), "reassigned"),
        (altered(status=Status.CANCELLED), "cancelled"),
        (altered(status=Status.ENTERED_IN_ERROR), "cancelled"),
        (altered(status=Status.ARRIVED), "status"),
        (altered(notes="bring papers"), "details"),
        (altered(patients=(Patient(key="p1", phone="+12025550101"),)), "details"),
        (
            altered(
                start=START + timedelta(days=1),
                end=START + timedelta(days=1, minutes=30),
                practitioners=(Practitioner(key="d2"),),
            ),
            "rescheduled,reassigned",
        ),
    ],
)
def test_each_difference_has_its_name(after: Appointment, found: str) -> None:
    assert ",".join(changes(VISIT, after)) == found


ANNA = VISIT.patients[0]


@pytest.mark.parametrize(
    ("after", "doubted"),
    [
        (VISIT, False),
        (altered(notes="bring papers"), False),
        (altered(patients=(replace(ANNA, name="Anna Other", language="tr"),)), False),
        (altered(start=START + timedelta(hours=1)), True),
        (altered(start=None), True),
        (altered(location=Place(name="South")), True),
        (altered(modality=Modality.VIDEO), True),
        (altered(practitioners=(Practitioner(key="d2"),)), True),
        (altered(status=Status.CANCELLED), True),
        (altered(status=Status.ARRIVED), True),
        (altered(status=Status.PENDING), True),
        (altered(patients=()), True),
        (altered(patients=(replace(ANNA, key="p2"),)), True),
        (altered(patients=(replace(ANNA, phone="+12025550177"),)), True),
        (altered(patients=(replace(ANNA, email="other@mail.example"),)), True),
        (altered(patients=(replace(ANNA, opted_out=(Channel.SMS,)),)), True),
        (altered(patients=(replace(ANNA, opted_in=(Channel.SMS,)),)), True),
        (altered(patients=(replace(ANNA, preferred_channel="none"),)), True),
        (altered(patients=(replace(ANNA, deceased=True),)), True),
        (altered(patients=(replace(ANNA, test=True),)), True),
        (altered(patients=(replace(ANNA, guardian=Guardian(phone="+12025550177")),)), True),
    ],
)
def test_what_would_make_a_reminder_wrong_puts_it_in_doubt(
    after: Appointment, doubted: bool
) -> None:
    assert in_doubt(VISIT, after) is doubted


def test_less_than_a_minute_is_no_move() -> None:
    nudged = altered(start=START + timedelta(seconds=20), end=VISIT.end + timedelta(seconds=20))  # type: ignore[operator]
    assert changes(VISIT, nudged) == [What.DETAILS]


def test_a_visit_that_comes_back_is_reinstated() -> None:
    assert changes(altered(status=Status.CANCELLED), VISIT) == [What.REINSTATED]
    assert changes(VISIT, VISIT, was_gone=True) == [What.REINSTATED]


KNOWN = replace(ANNA, phone="+12025550101", email="anna@mail.example")


@pytest.mark.parametrize(
    ("other", "may_be"),
    [
        (replace(KNOWN, key="p2"), True),
        (Patient(key="p2", name=KNOWN.name), True),
        (Patient(key="p2", name="Zoe Other", phone=KNOWN.phone), True),
        (Patient(key="p2", name="Zoe Other", email=KNOWN.email, phone="+12025550177"), True),
        (Patient(key="p2"), True),  # nothing is known of them
        (Patient(key="p2", name="Zoe Other"), False),
        (Patient(key="p2", name="Zoe Other", phone="+12025550177"), False),
    ],
)
def test_who_has_nothing_in_common_is_somebody_else(other: Patient, may_be: bool) -> None:
    assert may_be_same_person(KNOWN, other) is may_be


def test_a_new_visit_of_the_same_patient_and_doctor_is_the_old_one_moved() -> None:
    later = altered(key="2", start=START + timedelta(days=3))
    assert same_visit(VISIT, later)
    assert same_visit(VISIT, replace(later, practitioners=(Practitioner(key="d2"),)))
    assert not same_visit(VISIT, replace(later, patients=(Patient(key="p2"),)))
    assert not same_visit(
        VISIT, replace(later, practitioners=(Practitioner(key="d2"),), service="surgery")
    )
