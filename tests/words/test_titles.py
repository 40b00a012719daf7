"""What stands on a doctor's telephone when it is locked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest

from clinicrelay.model import Appointment, Kind, Modality, Patient, Place, Status
from clinicrelay.testing import CLINIC
from sync.words.titles import event_text, initials, invitation_link, invitation_text

VISIT = Appointment(
    source="main",
    key="7",
    status=Status.BOOKED,
    timezone="Europe/Berlin",
    start=datetime(2026, 12, 1, 9, 30, tzinfo=UTC),
    patients=(Patient("p1", "Jane Roe", phone="+12025550143", email="jane@patient.example"),),
    location=Place("loc-3", "Main site", "Uferstrasse 5"),
    service="Oncology follow-up",
    notes="knee",
    join_url="https://meet.example/patient",
    join_url_practitioner="https://meet.example/doctor",
)
BOOKED_BY = "Booked by Riverside Family Clinic. Changes here do not change the appointment."


def text(detail: str = "minimal", language: str = "en", **changes: object) -> tuple[str, str, str]:
    return event_text(detail, msgspec.structs.replace(VISIT, **changes), CLINIC, language)


def test_the_default_says_that_there_is_a_visit_and_where() -> None:
    assert text() == ("Appointment", BOOKED_BY, "Main site")


def test_busy_says_nothing_at_all() -> None:
    assert text("busy") == ("Busy", "", "")
    assert text("busy", "de-AT") == ("Belegt", "", "")


def test_initials_are_added_where_a_clinic_chose_them() -> None:
    assert text("initials")[0] == "Appointment J.R."
    assert text("initials", patients=())[0] == "Appointment"


def test_a_name_and_a_service_stand_only_at_full_detail() -> None:
    assert text("full") == (
        "Appointment: Jane Roe",
        f"Oncology follow-up\n{BOOKED_BY}",
        "Main site",
    )
    for detail in ("busy", "minimal", "initials"):
        shown = "\n".join(text(detail))
        assert not [w for w in ("Jane", "Roe", "Oncology", "555", "@", "knee") if w in shown]


def test_a_video_visit_has_the_doctors_link_and_no_place() -> None:
    title, description, location = text(modality=Modality.VIDEO)
    assert (title, location) == ("Video visit", "")
    assert description == f"Join: https://meet.example/doctor\n{BOOKED_BY}"
    assert text(modality=Modality.PHONE)[0] == "Phone visit"


def test_a_patients_invitation_never_holds_a_link_of_the_doctors() -> None:
    video = msgspec.structs.replace(VISIT, modality=Modality.VIDEO)
    assert invitation_text(video, CLINIC, "en", invitation_link(video)) == (
        "Video visit - Riverside Family Clinic",
        "Join: https://meet.example/patient\nPlease call +4930555010 if you cannot come.",
        "",
    )
    unlabelled = msgspec.structs.replace(video, join_url=None)
    assert invitation_link(unlabelled) == ""


@pytest.mark.parametrize("modality", [Modality.IN_PERSON, Modality.PHONE, Modality.UNKNOWN])
def test_only_a_video_visits_invitation_holds_a_link(modality: Modality) -> None:
    assert invitation_link(msgspec.structs.replace(VISIT, modality=modality)) == ""
    odd = msgspec.structs.replace(VISIT, modality=Modality.VIDEO, join_url="javascript:alert(1)")
    assert invitation_link(odd) == ""
    assert invitation_text(VISIT, CLINIC, "de").title == "Termin - Riverside Family Clinic"


def test_an_invitation_without_a_place_leads_to_the_clinic() -> None:
    clinic = replace(CLINIC, address="Uferstrasse 5, 13357 Berlin")
    nowhere = msgspec.structs.replace(VISIT, location=None)
    assert invitation_text(nowhere, clinic, "en").location == clinic.address
    assert invitation_text(nowhere, CLINIC, "en").location == ""
    assert invitation_text(VISIT, clinic, "en").location == "Main site"
    for modality in (Modality.VIDEO, Modality.PHONE, Modality.UNKNOWN):
        elsewhere = msgspec.structs.replace(nowhere, modality=modality)
        assert invitation_text(elsewhere, clinic, "en").location == ""
    assert event_text("full", nowhere, clinic, "en").location == ""


def test_a_block_of_time_is_busy_at_any_detail() -> None:
    assert text("full", kind=Kind.BLOCK) == ("Busy", "", "")


def test_a_place_without_a_name_shows_neither_key_nor_street() -> None:
    assert text(location=Place("loc-3", None, "Uferstrasse 5"))[2] == ""


def test_doctors_read_their_language_where_we_have_it_and_english_else() -> None:
    assert text(language="de")[:2] == (
        "Termin",
        "Gebucht über Riverside Family Clinic. Änderungen hier ändern den Termin nicht.",
    )
    assert text(language="pt-BR")[0] == "Consulta"
    assert text(language="da")[0] == "Appointment"


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("Jane Roe", "J.R."),
        ("Roe, Jane", "J.R."),
        ("Dr. Jane Maria Roe", "J.R."),
        ("jane", "J."),
        ("  Éva  Ötvös ", "É.Ö."),
        ("Roe,", "R."),
        (", Jane", "J."),
        ("Dr.", ""),
        ("", ""),
        (None, ""),
        ("123", ""),
    ],
)
def test_initials_are_the_first_and_the_last_letter(name: str | None, short: str) -> None:
    assert initials(name) == short
