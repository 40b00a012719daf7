"""References of every kind, and who they make of whom (F-18, F-19, F-21, X-13, X-14)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from clinicrelay import Appointment, Record
from connectors.fhir.found import Found

Read = Callable[..., Record]
Map = Callable[[Record], Appointment]

BASE = "https://ehr.example/fhir"
URN = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"
ADA = {
    "resourceType": "Patient",
    "id": "5",
    "name": [{"family": "Sample", "given": ["Ada"]}],
    "telecom": [{"system": "phone", "value": "+12025550142"}],
}
NIA = {
    "resourceType": "Practitioner",
    "id": "17",
    "name": [{"family": "Specimen", "given": ["Nia"]}],
    "telecom": [{"system": "email", "value": "nia@riverside.example"}],
}


def bytes_of(resource: dict[str, Any]) -> bytes:
    return json.dumps(resource).encode()


def taking_part(*actors: dict[str, Any], code: str | None = None, **more: Any) -> dict[str, Any]:
    kind = {"type": [{"coding": [{"code": code}]}]} if code else {}
    return {"participant": [{"actor": actor, **kind, **more} for actor in actors]}


def issues_of(record: Record) -> list[tuple[str, str | None]]:
    return [(issue.code, issue.field) for issue in record.issues]


# --- kinds of references ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reference",
    [
        "Patient/5",
        "Patient/5/_history/3",
        f"{BASE}/Patient/5",
        f"{BASE}/Patient/5/_history/3",
        "HTTPS://EHR.example:443/fhir/Patient/5",
        "http://ehr.example/fhir/Patient/5",
        "/Patient/5",
        " Patient/5",
    ],
)
def test_every_way_to_write_an_address_of_ours_leads_to_the_patient(
    read: Read, reference: str
) -> None:
    record = read(taking_part({"reference": reference, "display": "Somebody"}), ADA)
    assert [one["key"] for one in record.data["patients"]] == ["Patient/5"]
    assert record.data["patients"][0]["name"] == "Ada Sample"
    assert issues_of(record) == []


def test_a_slash_that_php_escaped_is_a_slash() -> None:
    found = Found(BASE)
    raw = rb'{"resourceType":"Appointment","participant":[{"actor":{"reference":"Patient\/5"}}]}'
    assert found.missing(raw) == {("Patient", "5")}
    before = found.digests(raw)
    found.add(bytes_of(ADA))
    assert found.missing(raw) == set()
    assert found.digests(raw) != before


def test_an_address_of_another_server_is_only_a_name_and_never_our_patient(read: Read) -> None:
    foreign = {"reference": "https://elsewhere.example/fhir/Patient/5", "display": "Cy Other"}
    record = read(taking_part(foreign), ADA)
    [patient] = record.data["patients"]
    assert (patient["name"], patient["phone"]) == ("Cy Other", None)
    assert patient["key"].startswith("auto-")
    assert issues_of(record) == [("foreign_reference", "patient")]


def test_an_address_that_only_begins_like_ours_is_foreign(read: Read) -> None:
    record = read(taking_part({"reference": f"{BASE}-old/Patient/5", "display": "Cy"}), ADA)
    assert issues_of(record) == [("foreign_reference", "patient")]


def test_what_was_met_under_a_urn_or_a_foreign_address_is_found_by_it() -> None:
    found = Found(BASE)
    elsewhere = "https://elsewhere.example/fhir/Practitioner/17"
    found.add(bytes_of(ADA), URN)
    found.add(bytes_of(NIA), elsewhere)
    assert found.key_of(URN) == "Patient/5"
    assert found.key_of(f"{elsewhere}/_history/2") == elsewhere
    # Another server's number 17 is not ours.
    assert found.missing(bytes_of(taking_part({"reference": "Practitioner/17"}))) == {
        ("Practitioner", "17")
    }


def test_a_server_behind_a_proxy_may_be_known_by_its_own_name(read: Read) -> None:
    found = Found(BASE)
    found.calls_itself("http://10.0.0.7:8080/fhir/")
    found.add(bytes_of(ADA), "http://10.0.0.7:8080/fhir/Patient/5")
    assert found.key_of("http://10.0.0.7:8080/fhir/Patient/5") == "Patient/5"
    assert found.missing(bytes_of(taking_part({"reference": "Patient/5"}))) == set()


def test_a_dangling_patient_keeps_the_visit_a_visit(read: Read, as_visit: Map) -> None:
    record = read(taking_part({"reference": "Patient/gone", "display": "Ada Sample"}))
    visit = as_visit(record)
    assert (visit.kind, visit.patients[0].key) == ("visit", "Patient/gone")
    assert ("unresolved_reference", "patient") in issues_of(record)
    assert set(record.issues) <= set(visit.issues)


@pytest.mark.parametrize("path", ["Patient/../metadata", "Patient/5?x=1", "Patient/", "../x", "7"])
def test_a_reference_that_is_no_address_is_asked_of_nobody(read: Read, path: str) -> None:
    appointment = taking_part({"reference": path, "type": "Patient", "display": "Ada"})
    assert Found(BASE).missing(bytes_of(appointment)) == set()
    record = read(appointment)
    assert record.data["patients"][0]["name"] == "Ada"
    assert issues_of(record) == [("unresolved_reference", "patient")]


def test_an_identifier_alone_gives_a_patient_a_key_that_tells_nothing(read: Read) -> None:
    actor = {"identifier": {"system": "urn:mrn", "value": "MRN-4711"}, "display": "Ada Sample"}
    record = read(taking_part(actor, {"reference": "Practitioner/17"}), NIA)
    [patient] = record.data["patients"]
    assert patient["key"].startswith("auto-")
    assert "4711" not in patient["key"]
    assert (record.data["kind"], patient["name"]) == (None, "Ada Sample")
    assert issues_of(record) == [("identifier_reference", "patient")]


def test_a_type_may_be_written_as_the_address_that_it_is(read: Read) -> None:
    kind = "http://hl7.org/fhir/StructureDefinition/Practitioner"
    actor = {"type": kind, "identifier": {"value": "17"}, "display": "Dr Nia Specimen"}
    record = read(taking_part({"reference": "Patient/5"}, actor), ADA)
    assert [one["name"] for one in record.data["practitioners"]] == ["Dr Nia Specimen"]


def test_an_identifier_beside_a_known_patient_is_not_made_a_second_one(read: Read) -> None:
    actor = {"identifier": {"system": "urn:rooms", "value": "12"}, "display": "Room 12"}
    record = read(taking_part({"reference": "Patient/5"}, actor), ADA)
    assert [one["key"] for one in record.data["patients"]] == ["Patient/5"]


def test_an_npi_is_a_practitioner_known_by_name(read: Read) -> None:
    npi = {"system": "http://hl7.org/fhir/sid/us-npi", "value": "1000000017"}
    record = read(taking_part({"identifier": npi, "display": "Dr Nia Specimen"}))
    assert record.data["practitioners"][0]["name"] == "Dr Nia Specimen"
    assert record.data["practitioners"][0]["key"] is None
    assert record.data["patients"] == []


def test_a_contained_patient_has_contact_data_and_no_key(read: Read, as_visit: Map) -> None:
    within = {"resourceType": "Patient", "id": "p1", "name": [{"text": "Ada Sample"}]}
    within["telecom"] = [{"system": "phone", "value": "+12025550142"}]
    record = read({"contained": [within]} | taking_part({"reference": "#p1"}))
    assert issues_of(record) == []
    assert record.data["patients"][0]["key"] is None
    [patient] = as_visit(record).patients
    assert patient.key.startswith("auto-")
    assert patient.phone == "+12025550142"


def test_a_reference_into_nothing_within_is_unresolved(read: Read) -> None:
    record = read(taking_part({"reference": "#p9", "type": "Patient", "display": "Ada"}))
    assert issues_of(record) == [("unresolved_reference", "patient")]


# --- roles --------------------------------------------------------------------------------------


def test_a_name_alone_is_a_practitioner_when_the_code_says_so(read: Read, as_visit: Map) -> None:
    """Cerner's primary performer."""
    record = read(taking_part({"display": "Specimen, Nia"}, code="PPRF"))
    assert issues_of(record) == [("display_only", "practitioner")]
    assert as_visit(record).practitioners[0].key == "specimen-nia"


def test_a_name_alone_without_a_code_is_nobody_in_particular(read: Read) -> None:
    record = read(taking_part({"display": "Room 12"}))
    assert (record.data["practitioners"], record.data["patients"]) == ([], [])


def test_a_name_stands_for_whom_settings_say(read: Read) -> None:
    known = {"by_display": {"Specimen, Nia": "Practitioner/17"}}
    record = read(taking_part({"display": "SPECIMEN NIA"}), NIA, **known)
    [nia] = record.data["practitioners"]
    assert (nia["key"], nia["email"]) == ("Practitioner/17", "nia@riverside.example")
    assert issues_of(record) == []


def test_openemrs_person_is_a_practitioner(read: Read) -> None:
    """OpenEMR refers to Person where a provider has no NPI."""
    person = NIA | {"resourceType": "Person", "id": "p-3"}
    part = taking_part({"reference": "Person/p-3"}, code="PPRF")
    assert Found(BASE).missing(bytes_of(part)) == {("Person", "p-3")}
    [one] = read(part, person).data["practitioners"]
    assert (one["key"], one["name"]) == ("Person/p-3", "Nia Specimen")


def test_a_relative_or_a_device_is_not_a_patient(read: Read) -> None:
    record = read(taking_part({"reference": "RelatedPerson/1"}, {"reference": "Device/2"}))
    assert (record.data["kind"], record.data["patients"]) == ("block", [])


def test_a_role_is_its_practitioner_with_place_and_specialty(read: Read) -> None:
    role = {"resourceType": "PractitionerRole", "id": "9"}
    role |= {
        "practitioner": {"reference": "Practitioner/17"},
        "specialty": [{"text": "Cardiology"}],
    }
    role |= {"location": [{"reference": "Location/3"}]}
    place = {"resourceType": "Location", "id": "3", "name": "Riverside"}
    record = read(taking_part({"reference": "PractitionerRole/9"}), role, NIA, place)
    [one] = record.data["practitioners"]
    assert (one["key"], one["specialty"]) == ("Practitioner/17", "Cardiology")
    assert one["email"] == "nia@riverside.example"
    assert (record.data["location_key"], record.data["location_name"]) == (
        "Location/3",
        "Riverside",
    )


def test_the_visits_own_place_wins_over_the_roles(read: Read) -> None:
    role = {"resourceType": "PractitionerRole", "id": "9"}
    role |= {
        "practitioner": {"reference": "Practitioner/17"},
        "location": [{"reference": "Location/3"}],
    }
    places = [{"resourceType": "Location", "id": i, "name": f"House {i}"} for i in ("3", "4")]
    part = taking_part({"reference": "PractitionerRole/9"}, {"reference": "Location/4"})
    assert read(part, role, NIA, *places).data["location_name"] == "House 4"


def test_what_a_role_needs_is_asked_for_once_the_role_is_there() -> None:
    found, part = Found(BASE), bytes_of(taking_part({"reference": "PractitionerRole/9"}))
    assert found.missing(part) == {("PractitionerRole", "9")}
    role = {"resourceType": "PractitionerRole", "id": "9"}
    found.add(bytes_of(role | {"practitioner": {"reference": "Practitioner/17"}}))
    assert found.missing(part) == {("Practitioner", "17")}
    found.absent("Practitioner", "17")
    assert found.missing(part) == set()


def test_a_doctor_named_directly_and_by_a_role_is_one(read: Read) -> None:
    role = {"resourceType": "PractitionerRole", "id": "9"}
    role |= {"practitioner": {"reference": "Practitioner/17"}}
    part = taking_part({"reference": "PractitionerRole/9"}, {"reference": "Practitioner/17"})
    assert len(read(part, role, NIA).data["practitioners"]) == 1


def test_a_role_of_a_role_of_itself_ends(read: Read) -> None:
    role = {"resourceType": "PractitionerRole", "id": "9"}
    role |= {"practitioner": {"reference": "PractitionerRole/9"}}
    part = taking_part({"reference": "PractitionerRole/9"})
    assert read(part, role).data["practitioners"][0]["key"] == "PractitionerRole/9"


@pytest.mark.parametrize(
    ("flags", "primary"),
    [
        ([{}, {}], "a"),
        ([{}, {"required": "required"}], "b"),
        ([{"required": "optional"}, {"required": True}], "b"),
        ([{"required": True}, {"type": [{"coding": [{"code": "PPRF"}]}]}], "b"),
        ([{"type": [{"coding": [{"code": "PPRF"}]}]}, {"required": "required"}], "a"),
    ],
)
def test_primary_is_the_first_performer_else_who_is_required_else_the_first(
    read: Read, as_visit: Map, flags: list[dict[str, Any]], primary: str
) -> None:
    keys = zip("ab", flags, strict=True)
    parts = [{"actor": {"reference": f"Practitioner/{k}"}} | flag for k, flag in keys]
    record = read({"participant": parts, "start": "2026-12-01T09:00:00Z"})
    leads = [one.key for one in as_visit(record).practitioners if one.primary]
    assert leads == [f"Practitioner/{primary}"]


def test_everyone_of_a_group_is_there_once_in_an_order_that_stays(read: Read) -> None:
    actors = [{"reference": f"Patient/{n}"} for n in (9, 5, 7, 5)]
    there = read(taking_part(*actors)).data["patients"]
    back = read(taking_part(*reversed(actors))).data["patients"]
    assert [one["key"] for one in there] == ["Patient/5", "Patient/7", "Patient/9"]
    assert there == back


def test_r5s_subject_is_the_patient_where_nobody_else_is(read: Read) -> None:
    part = taking_part({"reference": "Practitioner/17"})
    record = read(part | {"subject": {"reference": "Patient/5"}}, ADA, NIA)
    assert [one["name"] for one in record.data["patients"]] == ["Ada Sample"]


def test_a_group_of_unknown_people_says_so(read: Read) -> None:
    assert ("group_not_read", "patient") in issues_of(read({"subject": {"reference": "Group/1"}}))


def test_without_a_patient_it_is_a_block(read: Read, as_visit: Map) -> None:
    record = read(taking_part({"reference": "Practitioner/17"}), NIA)
    assert (record.data["kind"], as_visit(record).kind) == ("block", "block")


# --- digests ------------------------------------------------------------------------------------


def changed(found: Found, raw: bytes, resource: dict[str, Any]) -> bool:
    before = found.digests(raw)
    found.add(bytes_of(resource))
    return found.digests(raw) != before


def test_a_digest_changes_with_whatever_the_visit_is_made_of() -> None:
    found = Found(BASE)
    role = {"resourceType": "PractitionerRole", "id": "9"}
    role |= {"practitioner": {"reference": "Practitioner/17"}}
    merged = ADA | {"link": [{"type": "replaced-by", "other": {"reference": "Patient/6"}}]}
    raw = bytes_of(taking_part({"reference": "PractitionerRole/9"}, {"reference": "Patient/5"}))
    assert changed(found, raw, role)
    assert changed(found, raw, NIA)
    assert changed(found, raw, NIA | {"telecom": []})
    assert changed(found, raw, merged)
    assert changed(found, raw, ADA | {"id": "6"})


def test_a_digest_does_not_change_with_what_others_are_made_of() -> None:
    found = Found(BASE)
    raw = bytes_of(taking_part({"reference": "Patient/5"}))
    found.add(bytes_of(ADA | {"generalPractitioner": [{"reference": "Practitioner/17"}]}))
    assert not changed(found, raw, NIA)
    assert not changed(found, raw, ADA | {"id": "6"})


def test_a_record_that_returns_to_what_it_was_is_read_as_that() -> None:
    found, raw = Found(BASE), bytes_of(taking_part({"reference": "Patient/5"}))
    found.add(bytes_of(ADA))
    first = found.digests(raw)
    found.add(bytes_of(ADA | {"active": False}))
    found.add(bytes_of(ADA))
    assert found.digests(raw) == first


def test_other_options_are_another_digest(read: Read) -> None:
    appointment = {"status": "proposed"}
    assert (
        read(appointment).digest
        != read(appointment, statuses={"proposed": "booked"}).digest
        != read(appointment, trust_unlabelled_link=True).digest
    )


# --- what must not be taken for something else ---------------------------------------------------


def test_a_role_does_not_look_for_its_own_parts_in_the_appointment(read: Read) -> None:
    role = {"resourceType": "PractitionerRole", "id": "9", "practitioner": {"reference": "#1"}}
    within = {"resourceType": "Patient", "id": "1", "name": [{"text": "Ada Sample"}]}
    part = taking_part({"reference": "PractitionerRole/9", "display": "Dr Nia"})
    [one] = read({"contained": [within]} | part, role).data["practitioners"]
    assert (one["key"], one["name"]) == ("PractitionerRole/9", "Dr Nia")


def test_a_role_of_a_patient_makes_no_doctor_of_the_patient(read: Read) -> None:
    role = {"resourceType": "PractitionerRole", "id": "9"}
    role |= {"practitioner": {"reference": "Patient/5"}}
    part = taking_part({"reference": "Patient/5"}, {"reference": "PractitionerRole/9"})
    record = read(part, role, ADA)
    assert record.data["practitioners"][0]["phone"] is None
    assert record.data["patients"][0]["phone"] == "+12025550142"


def test_a_person_can_be_both_in_two_visits() -> None:
    from connectors.fhir.visit import Reader

    found = Found(BASE)
    found.add(bytes_of(NIA | {"resourceType": "Person", "id": "p"}))
    how: dict[str, Any] = {"version": None, "trust_unlabelled_link": False}
    reader = Reader(found, **how, statuses={}, by_display={})
    for code, people in (("SBJ", "patients"), ("PPRF", "practitioners"), ("SBJ", "patients")):
        visit = {"id": "1"} | taking_part({"reference": "Person/p"}, code=code)
        data = reader.record(bytes_of(visit), place="p", digest=b"").data
        assert [one["name"] for one in data[people]] == ["Nia Specimen"]


def test_two_of_one_name_and_two_numbers_are_two(read: Read) -> None:
    def within(name: str, number: str) -> dict[str, Any]:
        telecom = [{"system": "phone", "value": number}]
        return {
            "resourceType": "Patient",
            "id": name,
            "name": [{"text": "Ada"}],
            "telecom": telecom,
        }

    both = {"contained": [within("a", "+12025550142"), within("b", "+12025550143")]}
    record = read(both | taking_part({"reference": "#a"}, {"reference": "#b"}))
    assert len(record.data["patients"]) == 2


def test_a_met_patient_of_another_server_has_a_key_that_fits(read: Read) -> None:
    from connectors.fhir.visit import Reader

    url = f"https://elsewhere.example/{'long/' * 60}Patient/5"
    found = Found(BASE)
    found.add(bytes_of(ADA), url)
    how: dict[str, Any] = {"version": None, "trust_unlabelled_link": False}
    visit = {"id": "1"} | taking_part({"reference": url}, {"reference": "Patient/5"})
    record = Reader(found, **how, statuses={}, by_display={}).record(
        bytes_of(visit), place="p", digest=b""
    )
    here, there = sorted(record.data["patients"], key=lambda one: str(one["key"]))
    assert (here["key"], here["phone"]) == ("Patient/5", None)
    assert (there["key"][:5], there["phone"]) == ("auto-", "+12025550142")


def test_r5s_service_is_called_what_its_resource_is_called(read: Read) -> None:
    service = {"resourceType": "HealthcareService", "id": "1", "name": "Heart clinic"}
    visit = {"serviceType": [{"reference": {"reference": "HealthcareService/1"}}]}
    assert Found(BASE).missing(bytes_of(visit)) == {("HealthcareService", "1")}
    assert read(visit, service).data["service"] == "Heart clinic"


@pytest.mark.parametrize("reference", ["Patient/5", "RelatedPerson/5", "#5", "urn:uuid:5"])
def test_digests_lack_somebody_exactly_when_there_is_somebody_to_ask_for(reference: str) -> None:
    found, raw = Found(BASE), bytes_of(taking_part({"reference": reference}))
    found.digests(raw)
    assert found.lacking == bool(found.missing(raw))
    for kind, key in found.missing(raw):
        found.absent(kind, key)
    found.lacking = False
    found.digests(raw)
    assert not found.lacking
