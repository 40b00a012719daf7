"""A doctor's link never reaches a patient (F-25)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest

from clinicrelay import Record

Read = Callable[..., Record]

ROOM, HOST, OTHER = (f"https://video.example/{name}" for name in ("room", "host", "other"))
PATIENTS, PROVIDERS = "Patient Virtual Meeting Room", "Provider Virtual Meeting Room"


def rooms(*labelled: tuple[str, str]) -> dict[str, Any]:
    """Cerner's way: a contained HealthcareService a link, told apart by its type's text."""
    return {
        "contained": [
            {
                "resourceType": "HealthcareService",
                "id": f"room-{n}",
                "type": [{"text": label}],
                "telecom": [{"system": "url", "value": url}],
            }
            for n, (label, url) in enumerate(labelled)
        ],
        "participant": [{"actor": {"reference": f"#room-{n}"}} for n in range(len(labelled))],
    }


def links(record: Record) -> tuple[str | None, str | None]:
    return record.data["join_url"], record.data["join_url_practitioner"]


def codes(record: Record) -> list[str]:
    return [issue.code for issue in record.issues]


@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize("order", [0, 1])
def test_cerners_rooms_go_by_their_text_and_never_by_their_place(
    read: Read, order: int, trust: bool
) -> None:
    both = list(permutations([(PATIENTS, ROOM), (PROVIDERS, HOST)]))[order]
    record = read(rooms(*both), trust_unlabelled_link=trust)
    assert links(record) == (ROOM, HOST)
    assert (record.data["modality"], record.issues) == ("video", ())


@pytest.mark.parametrize("trust", [False, True])
def test_a_doctors_link_alone_is_the_doctors(read: Read, trust: bool) -> None:
    record = read(rooms((PROVIDERS, HOST)), trust_unlabelled_link=trust)
    assert links(record) == (None, HOST)


def test_a_link_that_does_not_say_whose_it_is_stays_with_the_doctor(read: Read) -> None:
    record = read(rooms(("Virtual Meeting Room", ROOM)))
    assert (links(record), codes(record)) == ((None, ROOM), ["unlabelled_link"])


def test_such_a_link_reaches_the_patient_where_settings_trust_it(read: Read) -> None:
    record = read(rooms(("Virtual Meeting Room", ROOM)), trust_unlabelled_link=True)
    assert (links(record), codes(record)) == ((ROOM, ROOM), [])


def test_a_text_that_names_both_says_neither(read: Read) -> None:
    assert links(read(rooms(("Patient and provider room", ROOM)))) == (None, ROOM)


def test_the_doctors_address_without_a_label_is_still_the_doctors(read: Read) -> None:
    both = rooms((PROVIDERS, HOST), ("Room", HOST))
    assert links(read(both, trust_unlabelled_link=True)) == (None, HOST)


@pytest.mark.parametrize("trust", [False, True])
def test_of_two_links_that_could_be_meant_neither_is(read: Read, trust: bool) -> None:
    record = read(rooms((PATIENTS, ROOM), (PATIENTS, OTHER)), trust_unlabelled_link=trust)
    assert (links(record)[0], codes(record)) == (None, ["ambiguous_link"])
    record = read(rooms(("Room", ROOM), ("Room", OTHER)), trust_unlabelled_link=trust)
    assert (links(record), codes(record)) == ((None, None), ["ambiguous_link"])


@pytest.mark.parametrize(
    "url", ["http://video.example/x", "javascript:alert(1)", "tel:+12025550101"]
)
def test_only_https_is_a_link(read: Read, url: str) -> None:
    record = read(rooms((PATIENTS, url)))
    assert (links(record), codes(record)) == ((None, None), ["insecure_link"])


@pytest.mark.parametrize(
    ("channel", "expected"),
    [
        ({"display": "Patient join link"}, (ROOM, None)),
        ({"display": "Host link"}, (None, ROOM)),
        ({"code": "zoom"}, (None, ROOM)),
        ({}, (None, ROOM)),
    ],
)
def test_r5s_virtual_service_says_whose_it_is_or_is_the_doctors(
    read: Read, channel: dict[str, str], expected: tuple[str | None, str | None]
) -> None:
    record = read({"virtualService": [{"channelType": channel, "addressUrl": ROOM}]})
    assert links(record) == expected


@pytest.mark.parametrize("label", ["Patient join link", "Host link"])
def test_the_same_call_is_read_alike_however_it_is_written(read: Read, label: str) -> None:
    """R5 has a type of its own for an address; R4 carries all of it in the extension of R5."""
    channel, telecom = {"display": label}, [{"system": "url", "value": ROOM}]
    detail = {"channelType": channel, "addressExtendedContactDetail": {"telecom": telecom}}
    parts = [
        {"url": "channelType", "valueCoding": channel},
        {"url": "address", "valueUrl": ROOM},
    ]
    name = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Appointment.virtualService"
    plain = links(read({"virtualService": [{"channelType": channel, "addressUrl": ROOM}]}))
    assert links(read({"virtualService": [detail]})) == plain
    assert links(read({"extension": [{"url": name, "extension": parts}]})) == plain


def test_a_virtual_service_by_phone_is_a_call(read: Read) -> None:
    point = {"system": "phone", "value": "+12025550101"}
    service = {"channelType": {"code": "phone"}, "addressContactPoint": point}
    record = read({"virtualService": [service]})
    assert (links(record), record.data["modality"]) == ((None, None), "phone")


@pytest.mark.parametrize(
    ("extension", "expected"),
    [
        (
            {"url": "https://ehr.example/ext/patient-video-link", "valueUrl": ROOM},
            (ROOM, None),
        ),
        (
            {
                "url": "https://ehr.example/ext/telehealth",
                "extension": [
                    {"url": "providerJoin", "valueString": HOST},
                    {"url": "patientJoin", "valueUri": ROOM},
                ],
            },
            (ROOM, HOST),
        ),
        ({"url": "https://patients.example/ext/meeting-url", "valueUrl": ROOM}, (None, ROOM)),
        ({"url": "https://ehr.example/ext/portal", "valueUrl": ROOM}, (None, None)),
        ({"url": "https://ehr.example/ext/video-notes", "valueString": "call me"}, (None, None)),
    ],
)
def test_an_extension_about_a_call_holds_links(
    read: Read, extension: dict[str, Any], expected: tuple[str | None, str | None]
) -> None:
    assert links(read({"extension": [extension]})) == expected


def test_a_service_that_is_met_has_links_too(read: Read) -> None:
    service = {"resourceType": "HealthcareService", "id": "1", "name": "Video clinic"}
    service |= {"telecom": [{"system": "url", "value": ROOM}]}
    visit = {"participant": [{"actor": {"reference": "HealthcareService/1"}}]}
    record = read(visit, service)
    assert (links(record), record.data["service"]) == ((None, ROOM), "Video clinic")


def test_a_code_for_a_virtual_visit_is_enough_without_a_link(read: Read) -> None:
    code = {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "VR"}]
    }
    assert read({"class": [code]}).data["modality"] == "video"
    assert read({"appointmentType": code}).data["modality"] == "video"
    assert read({"serviceType": [{"text": "Cardiology"}]}).data["modality"] is None


def test_a_number_to_dial_is_the_patients_unless_its_channel_is_the_hosts(read: Read) -> None:
    point = {"system": "phone", "value": "+12025550143"}
    for kind, expected in (({"code": "phone"}, "+12025550143"), ({"code": "host-phone"}, None)):
        service = {"channelType": kind, "addressContactPoint": point}
        data = read({"virtualService": [service]}).data
        assert data["call_in"] == expected
    bare = read({"virtualService": [{"addressContactPoint": point}]}).data
    assert (bare["call_in"], bare["modality"]) == ("+12025550143", "phone")
