"""Numbers, addresses, names and languages; the merged, the inactive and the dead (F-26 to F-28)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from clinicrelay import Appointment, Record
from clinicrelay.model import Guardian

Read = Callable[..., Record]
Map = Callable[[Record], Appointment]

VISIT = {
    "start": "2026-12-01T09:00:00Z",
    "participant": [{"actor": {"reference": "Patient/5"}}],
}


def patient(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": "5"} | more


def phone(value: str, use: str | None = None, **more: Any) -> dict[str, Any]:
    return {"system": "phone", "value": value, "use": use or "mobile"} | more


def read_patient(read: Read, *others: dict[str, Any], **more: Any) -> dict[str, Any]:
    entry: dict[str, Any] = read(VISIT, patient(**more), *others).data["patients"][0]
    return entry


@pytest.mark.parametrize(
    ("telecom", "chosen"),
    [
        ([phone("1", "home"), phone("2", "mobile")], "2"),
        ([phone("1", "work"), phone("2", "home")], "2"),
        ([phone("1", "temp"), phone("2", "work")], "2"),
        ([phone("1", "mobile"), phone("2", "home", rank=1)], "2"),
        ([phone("1", "mobile", rank=2), phone("2", "home", rank=1)], "2"),
        ([phone("1", "mobile", rank=0), phone("2", "home", rank=3)], "2"),
        ([phone("1", "old", rank=1), phone("2", "temp")], "2"),
        ([phone("1"), phone("2")], "1"),
        ([{"system": "fax", "value": "1"}, {"system": "pager", "value": "2"}], None),
        ([{"system": "sms", "value": "1"}, phone("2", "home")], "1"),
        ([{"system": "phone", "value": "1"}, phone("2", "temp")], "2"),
        ([phone("", "mobile"), phone("2", "home")], "2"),
        ([phone("1", period={"end": "2020-01-01"}), phone("2", "home")], "2"),
        ([phone("1", period={"end": "2020-01-01"})], None),
        ([phone("1", period={"start": "2027"}), phone("2", "home")], "2"),
        ([phone("1", period={"start": "2026-12", "end": "2026"}), phone("2", "home")], "1"),
    ],
)
def test_the_number_to_use_is_chosen_by_what_holds_then_rank_then_use(
    read: Read, telecom: list[dict[str, Any]], chosen: str | None
) -> None:
    assert read_patient(read, telecom=telecom)["phone"] == chosen


def test_whether_a_number_holds_is_judged_by_the_day_of_the_visit(read: Read) -> None:
    telecom = [phone("1", period={"end": "2026-12-05"}), phone("2", "home")]
    starts = ("2026-12-05T23:00:00Z", "2026-12-06T09:00:00Z")
    visits = [read(VISIT | {"start": start}, patient(telecom=telecom)) for start in starts]
    assert [visit.data["patients"][0]["phone"] for visit in visits] == ["1", "2"]


def test_an_email_is_chosen_alike(read: Read) -> None:
    mails = [("old", "a@mail.example"), ("work", "b@mail.example"), ("home", "c@mail.example")]
    telecom = [{"system": "email", "use": use, "value": value} for use, value in mails]
    assert read_patient(read, telecom=telecom)["email"] == "c@mail.example"


def test_a_practitioner_is_reached_at_work(read: Read) -> None:
    mails = [("home", "a@mail.example"), ("work", "b@riverside.example")]
    telecom = [{"system": "email", "use": use, "value": value} for use, value in mails]
    doctor = {"resourceType": "Practitioner", "id": "1", "telecom": telecom}
    visit = {"participant": [{"actor": {"reference": "Practitioner/1"}}]}
    assert read(visit, doctor).data["practitioners"][0]["email"] == "b@riverside.example"


@pytest.mark.parametrize(
    ("names", "called"),
    [
        ([{"use": "usual", "text": "B"}, {"use": "official", "text": "A"}], "A"),
        ([{"use": "nickname", "text": "B"}, {"use": "usual", "text": "A"}], "A"),
        ([{"use": "maiden", "text": "B"}, {"text": "A"}], "A"),
        ([{"use": "old", "text": "B"}], "B"),
        ([{"text": "B", "period": {"end": "2020"}}, {"use": "nickname", "text": "A"}], "A"),
        ([{"given": ["Ada", "M."], "family": "Sample", "text": "SAMPLE^ADA"}], "Ada M. Sample"),
        ([{"use": "official"}, {"text": "A"}], "A"),
        ([{"prefix": ["Ms."], "family": "Sample"}], "Sample"),
        ([], None),
    ],
)
def test_a_name_is_official_else_usual_else_any_that_is_not_bygone(
    read: Read, names: list[dict[str, Any]], called: str | None
) -> None:
    assert read_patient(read, name=names)["name"] == called


@pytest.mark.parametrize(
    ("spoken", "language"),
    [
        ([("en", False), ("es-MX", True)], "es-MX"),
        ([("de", None)], "de"),
        ([("en", None), ("es", None)], None),
        ([], None),
    ],
)
def test_the_language_is_the_preferred_or_the_only_one(
    read: Read, spoken: list[tuple[str, bool | None]], language: str | None
) -> None:
    communication: list[dict[str, Any]] = []
    for code, preferred in spoken:
        flag = {} if preferred is None else {"preferred": preferred}
        communication.append({"language": {"coding": [{"code": code}]}} | flag)
    found = read_patient(read, communication=communication, language="fr")
    assert found["language"] == language


@pytest.mark.parametrize(
    "dead", [{"deceasedBoolean": True}, {"deceasedDateTime": "2025"}, {"deceasedDateTime": ""}]
)
def test_the_dead_are_told_nothing(read: Read, as_visit: Map, dead: dict[str, Any]) -> None:
    assert as_visit(read(VISIT, patient(**dead))).patients[0].deceased


def test_the_living_are_not_dead(read: Read, as_visit: Map) -> None:
    assert not as_visit(read(VISIT, patient(deceasedBoolean=False))).patients[0].deceased


@pytest.mark.parametrize("where", ["security", "tag"])
def test_a_record_labelled_as_test_data_is_a_test_patients(
    read: Read, as_visit: Map, where: str
) -> None:
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"}
    meta = {"versionId": "3", where: [{"code": "N"}, label]}
    assert as_visit(read(VISIT, patient(meta=meta))).patients[0].test
    assert not as_visit(read(VISIT, patient(meta={where: [{"code": "N"}]}))).patients[0].test
    survivor = patient() | {"id": "6"}
    assert as_visit(read(VISIT, replaced(5, 6, meta=meta), survivor)).patients[0].test


def related(code: str, *telecom: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "relationship": [{"coding": [{"code": "C"}, {"code": code}]}],
        "name": {"given": ["Eva"], "family": "Sample"},
        "telecom": list(telecom) or [phone("+12025550143")],
    } | more


@pytest.mark.parametrize(
    ("code", "born", "named"),
    [
        ("GUARD", "2015-03-04", True),
        ("GUARD", None, True),
        ("MTH", "2015-03-04", True),
        ("MTH", None, False),  # grown-up patients name their parents as well
        ("N", "2015-03-04", False),
        ("C", "2015-03-04", False),
        ("SPS", "2015-03-04", False),
    ],
)
def test_a_guardian_is_who_is_called_so_and_no_emergency_contact(
    read: Read, as_visit: Map, code: str, born: str | None, named: bool
) -> None:
    given = {"contact": [related(code)], **({"birthDate": born} if born else {})}
    (found,) = as_visit(read(VISIT, patient(**given))).patients
    guardian = Guardian("Eva Sample", "+12025550143")
    assert found.guardian == (guardian if named else None)
    assert found.birth_date == (date(2015, 3, 4) if named and born else None)


def test_a_guardian_goes_before_a_parent_and_has_to_be_reached_on_that_day(read: Read) -> None:
    bygone = {"period": {"end": "2026-11-01"}}
    contacts = [
        related("FTH", phone("father")),
        related("GUARD", phone("past"), **bygone),
        related("GUARD", phone("old", "old"), phone("ended", **bygone)),
        related("GUARD", phone("guardian", "home"), phone("mobile")),
    ]
    found = read_patient(read, contact=contacts, birthDate="2015-03-04")
    assert found["guardian_phone"] == "mobile"
    found = read_patient(read, contact=contacts[:3], birthDate="2015-03-04")
    assert found["guardian_phone"] == "father"


def test_an_inactive_patient_is_told_nothing(read: Read, as_visit: Map) -> None:
    record = read(VISIT, patient(active=False, telecom=[phone("+12025550142")]))
    assert as_visit(record).patients[0].preferred_channel == "none"
    assert [issue.code for issue in record.issues] == ["inactive_patient"]


# --- merged records -----------------------------------------------------------------------------


def replaced(own: int, by: int, **more: Any) -> dict[str, Any]:
    link = {"type": "replaced-by", "other": {"reference": f"Patient/{by}"}}
    here = {"id": str(own), "active": False, "link": [link], "telecom": [phone(f"old {own}")]}
    return patient() | here | more


def test_a_merged_patient_is_the_survivor_with_the_survivors_number(read: Read) -> None:
    survivor = patient() | {"id": "8", "telecom": [phone("new")]}
    record = read(VISIT, replaced(5, 6), replaced(6, 7), replaced(7, 8), survivor)
    [one] = record.data["patients"]
    assert (one["key"], one["phone"], one["preferred_channel"]) == ("Patient/8", "new", None)
    assert record.issues == ()


@pytest.mark.parametrize(
    "others",
    [
        [],  # the survivor cannot be read
        [replaced(6, 5)],  # a circle
        [replaced(6, 7), replaced(7, 8), replaced(8, 9), patient() | {"id": "9"}],  # too far
    ],
)
def test_nobody_is_told_anything_where_the_survivor_is_not_found(
    read: Read, as_visit: Map, others: list[dict[str, Any]]
) -> None:
    record = read(VISIT, replaced(5, 6), *others)
    [one] = as_visit(record).patients
    assert (one.phone, one.preferred_channel) == (None, "none")
    assert [issue.code for issue in record.issues] == ["unresolved_merge"]


def test_who_is_dead_in_either_record_is_dead(read: Read) -> None:
    survivor = patient() | {"id": "6"}
    record = read(VISIT, replaced(5, 6, deceasedBoolean=True), survivor)
    assert record.data["patients"][0]["deceased"] is True


def test_other_links_between_patients_change_nothing(read: Read) -> None:
    link = [{"type": "replaces", "other": {"reference": "Patient/6"}}]
    assert read_patient(read, link=link, telecom=[phone("1")])["phone"] == "1"


def test_the_same_patient_in_two_visits_is_read_alike(read: Read) -> None:
    twice = VISIT | {"participant": VISIT["participant"] * 2}
    record = read(twice, patient(active=False))
    assert len(record.data["patients"]) == 1
    assert [issue.code for issue in record.issues] == ["inactive_patient"]
