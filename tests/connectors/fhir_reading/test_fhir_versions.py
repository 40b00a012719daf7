"""The same visits written in STU3, R4, R4B and R5 (F-01)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clinicrelay import Appointment, Record
from clinicrelay.model import encode
from connectors.fhir.bundles import Bundle, read_bundle
from connectors.fhir.found import Found
from connectors.fhir.resources import head_of
from connectors.fhir.visit import Reader

Map = Callable[[Record], Appointment]
Read = Callable[..., Record]
HERE = Path(__file__).parent / "versions"
BASE = "https://ehr.example/fhir"
TROUBLES = ["foreign_reference", "unresolved_reference", "display_only", "identifier_reference"]
VERSIONS = {"stu3": "3.0.2", "r4": "4.0.1", "r4b": "4.3.0", "r5": "5.0.0"}


def page(version: str) -> Bundle:
    return read_bundle((HERE / f"{version}.json").read_bytes())


def records(version: str) -> list[Record]:
    found, appointments = Found(BASE), []
    for entry in page(version).entries:
        if head_of(entry.resource).type == "Appointment":
            appointments.append(entry.resource)
        else:
            found.add(entry.resource, entry.full_url)
    assert [found.missing(raw) for raw in appointments] == [set()] * len(appointments)
    reader = Reader(
        found,
        version=VERSIONS[version],
        trust_unlabelled_link=False,
        statuses={},
        by_display={},
    )
    return [reader.record(raw, place="p", digest=reader.digest(raw)) for raw in appointments]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_same_visits_in_every_version_become_the_same_appointments(
    version: str, as_visit: Map
) -> None:
    ours = [encode(as_visit(record)) for record in records(version)]
    assert ours == [encode(as_visit(record)) for record in records("r4")]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_has_the_same_keys_in_the_same_order(version: str) -> None:
    keys = "key status cancel_reason start end minutes kind modality join_url"
    keys += (
        " join_url_practitioner call_in service specialty reason notes visit_number location_key"
    )
    keys += " location_name location_address timezone patients practitioners"
    assert {tuple(record.data) for record in records(version)} == {tuple(keys.split())}


@pytest.mark.parametrize("version", VERSIONS)
def test_what_only_the_flat_record_tells_is_the_same_too(version: str) -> None:
    video, off, _ = (record.data for record in records(version))
    assert (video["reason"], video["visit_number"]) == ("Palpitations", "V-100200")
    # STU3 has no reason for a cancellation.
    assert off["cancel_reason"] == (None if version == "stu3" else "Patient asked for it")


@pytest.mark.parametrize(
    "said",
    [
        {"indication": [{"reference": "Condition/9", "display": "Back pain"}]},
        {"reasonReference": [{"reference": "Condition/9", "display": "Back pain"}]},
        {"reason": [{"reference": {"reference": "Condition/9", "display": "Back pain"}}]},
        {"reason": [{"concept": {"text": "Back pain"}}]},
        {"reason": [{"text": "Back pain"}]},
    ],
    ids=["stu3", "r4", "r5", "r5 too", "stu3 too"],
)
def test_a_reason_is_called_the_same_wherever_it_stands(read: Read, said: dict[str, Any]) -> None:
    assert read(said).data["reason"] == "Back pain"


def test_the_visits_are_what_the_files_say(as_visit: Map) -> None:
    video, off, group = (as_visit(record) for record in records("r5"))
    assert (video.service, video.notes) == ("Cardiology follow-up", "Bring the old ECG.")
    assert (video.modality, video.timezone) == ("video", "America/Chicago")
    assert video.location is not None
    assert video.location.address == "1 Main Street, Springfield, IL 62701"
    [ada] = video.patients
    assert (ada.key, ada.name, ada.language) == ("Patient/5", "Ada M. Sample", "es-MX")
    assert (ada.phone, ada.email) == ("+12025550142", "ada@mail.example")
    [nia] = video.practitioners
    assert (nia.key, nia.name, nia.specialty) == (
        "Practitioner/17",
        "Dr. Nia Specimen",
        "Cardiology",
    )
    assert (nia.email, nia.phone) == ("nia@riverside.example", "+12025550101")
    assert (off.status, off.service, off.end_inferred) == ("cancelled", "A routine check-up", True)
    assert [one.key for one in group.patients] == ["Patient/5", "Patient/6"]
    assert [(one.key, one.primary) for one in group.practitioners] == [
        ("Practitioner/17", True),
        ("Practitioner/18", False),
    ]


def test_a_bundle_tells_where_to_go_on_and_how_late_it_is() -> None:
    bundle = page("r4")
    assert (bundle.links[0].relation, bundle.total, bundle.kind) == ("self", 3, "searchset")
    assert bundle.updated == "2026-11-22T09:00:00Z"
    assert [entry.mode for entry in bundle.entries[2:5]] == ["match", "include", "include"]


def test_the_reference_page_lists_the_keys_in_their_order_and_every_issue(as_visit: Map) -> None:
    root = Path(__file__).parents[3]
    page_text = (root / "docs" / "reference" / "fhir-record.md").read_text(encoding="utf-8")
    table, _, rest = page_text.partition("Keys of people")
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert [name for row in rows for name in re.findall(r"`(\w+)`", row)] == list(
        records("r4")[0].data
    )
    code = "".join(file.read_text() for file in (root / "connectors" / "fhir").glob("*.py"))
    told = set(re.findall(r'Issue\("(\w+)"', code)) | set(TROUBLES)
    listed = re.findall(r"^\| `(\w+)` \| ", rest, re.MULTILINE)
    assert sorted(listed) == sorted(told)
