"""What is wrong in one place harms nothing but itself (F-02, X-01)."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mappings
from clinicrelay import Appointment, BadRecord, Record
from connectors.fhir.bundles import NotABundle, read_bundle
from connectors.fhir.found import Found
from connectors.fhir.resources import head_of
from connectors.fhir.visit import Reader

Read = Callable[..., Record]
Map = Callable[[Record], Appointment]

START, END = "2026-12-01T09:00:00Z", "2026-12-01T09:30:00Z"
GOOD: dict[str, Any] = {
    "resourceType": "Appointment",
    "id": "7",
    "status": "booked",
    "start": START,
    "end": END,
    "minutesDuration": 30,
    "serviceType": [{"text": "Cardiology"}],
    "comment": "needs an interpreter",
    "participant": [
        {"actor": {"reference": "Patient/5"}, "required": "required"},
        {"actor": {"reference": "Practitioner/17"}, "type": [{"coding": [{"code": "PPRF"}]}]},
    ],
}
ADA = {"resourceType": "Patient", "id": "5", "name": [{"text": "Ada Sample"}]}
ADA["telecom"] = [{"system": "phone", "value": "+12025550142"}]


def reader(found: Found | None = None) -> Reader:
    return Reader(
        found or Found("https://ehr.example/fhir"),
        version=None,
        trust_unlabelled_link=False,
        statuses={},
        by_display={},
    )


@pytest.mark.parametrize(
    ("odd", "lost"),
    [
        ({"vendorField": {"a": [1, {"b": None}]}}, {}),
        ({"comment": ""}, {"notes": None}),
        ({"comment": 7.5}, {"notes": None}),
        ({"comment": None}, {"notes": None}),
        ({"serviceType": []}, {"service": None}),
        ({"serviceType": "Cardiology"}, {"service": None}),
        ({"serviceType": {"text": "Dentistry"}}, {"service": "Dentistry"}),
        ({"serviceType": [None, {"coding": 7, "text": "Dentistry"}]}, {"service": "Dentistry"}),
        ({"minutesDuration": 0}, {"minutes": 0}),
        ({"minutesDuration": {"value": 30}}, {"minutes": None}),
        ({"end": 20261201}, {"end": "20261201"}),
        ({"end": [END]}, {"end": None}),
        ({"contained": [7, None, "x", {"id": "1"}]}, {}),
        ({"extension": {"url": "x"}}, {}),
        ({"identifier": [{"type": "VN", "value": "1"}]}, {}),
        ({"class": 7, "virtualService": "x", "note": [3]}, {}),
    ],
)
def test_an_odd_value_costs_only_itself(
    read: Read, odd: dict[str, Any], lost: dict[str, Any]
) -> None:
    whole = read(GOOD, ADA).data
    assert read(GOOD | odd, ADA).data == whole | lost


@pytest.mark.parametrize(
    "participant",
    [None, {}, [], "x", [None], [{"actor": None}], [{"actor": "Patient/5"}], [{"type": 1}]],
)
def test_a_visit_without_participants_is_still_there(read: Read, participant: Any) -> None:
    record = read(GOOD | {"participant": participant}, ADA)
    assert (record.key, record.data["patients"]) == ("7", [])


def test_one_bad_participant_leaves_the_others(read: Read) -> None:
    bad = [{"actor": {"reference": 5, "display": ["x"]}}, 7, *GOOD["participant"]]
    record = read(GOOD | {"participant": bad}, ADA)
    assert [one["name"] for one in record.data["patients"]] == ["Ada Sample"]
    assert record.data["practitioners"][0]["key"] == "Practitioner/17"


def test_a_bad_field_of_a_patient_leaves_the_others(read: Read) -> None:
    odd = {"communication": "de", "deceasedBoolean": "no", "link": 7, "active": "true"}
    [ada] = read(GOOD, ADA | odd).data["patients"]
    assert (ada["name"], ada["phone"]) == ("Ada Sample", "+12025550142")


def test_half_a_character_is_a_question_mark(read: Read) -> None:
    raw = json.dumps(GOOD).replace("interpreter", "interpreter\\ud83d").encode()
    record = reader().record(raw, place="p", digest=b"")
    assert record.data["notes"] == "needs an interpreter?"
    record.data["notes"].encode()


@pytest.mark.parametrize("odd", [{"id": None}, {"id": ""}, {"id": {}}])
def test_an_appointment_without_an_id_is_set_aside(read: Read, odd: dict[str, Any]) -> None:
    with pytest.raises(BadRecord) as wrong:
        read(GOOD | odd)
    assert (wrong.value.reason, wrong.value.field) == ("missing", "key")


def test_a_number_is_an_id(read: Read) -> None:
    assert read(GOOD | {"id": 7}).key == "7"


@pytest.mark.parametrize(
    ("odd", "reason"),
    [({"start": "soon"}, "bad_time"), ({"start": "2026-02-30T09:00Z"}, "bad_time")],
)
def test_a_start_that_cannot_be_read_sets_the_visit_aside_with_its_key(
    read: Read, as_visit: Map, odd: dict[str, Any], reason: str
) -> None:
    with pytest.raises(BadRecord) as wrong:
        as_visit(read(GOOD | odd))
    assert (wrong.value.reason, wrong.value.key) == (reason, "7")


# --- times, statuses (F-22 to F-24, X-10, X-11) --------------------------------------------------


@pytest.mark.parametrize(
    ("odd", "start", "end", "issues"),
    [
        ({"start": "2026-12-01T09:00:00.999999Z"}, "09:00", "09:30", []),
        ({"start": "2026-12-01T04:00:00-05:00"}, "09:00", "09:30", []),
        ({"start": "2026-12-01T04:00:00"}, "09:00", "09:30", ["inferred_zone"]),
        ({"start": "2026-12-01T08:59:60Z"}, "09:00", "09:30", []),
        ({"end": None}, "09:00", "09:30", ["end_inferred"]),
        ({"end": None, "minutesDuration": None}, "09:00", "09:25", ["end_inferred"]),
        (
            {"end": None, "minutesDuration": 0},
            "09:00",
            "09:25",
            ["invalid_minutes", "end_inferred"],
        ),
        (
            {"end": None, "minutesDuration": -5},
            "09:00",
            "09:25",
            ["invalid_minutes", "end_inferred"],
        ),
        ({"end": START}, "09:00", "09:30", ["end_before_start", "end_inferred"]),
        ({"minutesDuration": 45}, "09:00", "09:30", ["duration_differs"]),
    ],
)
def test_odd_times_are_read_and_told(
    read: Read, odd: dict[str, Any], start: str, end: str, issues: list[str]
) -> None:
    context = mappings.Context("ehr", "America/New_York", "US", "en", default_minutes=25)
    visit = mappings.load("fhir", Path()).compile(context)(read(GOOD | odd, ADA))
    assert visit is not None
    assert visit.start is not None
    assert visit.end is not None
    assert (f"{visit.start:%H:%M}", f"{visit.end:%H:%M}") == (start, end)
    found = [issue.code for issue in visit.issues]
    assert [
        code for code in found if code not in ("unresolved_reference", "unassigned_phone")
    ] == issues


def test_a_wish_for_a_time_is_no_time(read: Read, as_visit: Map) -> None:
    wish = {"requestedPeriod": [{"start": START, "end": END}], "start": None, "end": None}
    visit = as_visit(read(GOOD | wish | {"status": "proposed"}, ADA))
    assert (visit.status, visit.start, visit.end) == ("proposed", None, None)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("proposed", "proposed"),
        ("pending", "pending"),
        ("waitlist", "waitlist"),
        ("booked", "booked"),
        ("arrived", "arrived"),
        ("checked-in", "checked_in"),
        ("fulfilled", "fulfilled"),
        ("cancelled", "cancelled"),
        ("noshow", "no_show"),
        ("entered-in-error", "entered_in_error"),
    ],
)
def test_every_status_of_fhir_has_one_of_ours(
    read: Read, as_visit: Map, code: str, status: str
) -> None:
    assert as_visit(read(GOOD | {"status": code}, ADA)).status == status


@pytest.mark.parametrize("code", ["Pre-registration completed", None, "", 7, ["booked"]])
def test_a_status_nobody_knows_is_kept_as_unknown(read: Read, as_visit: Map, code: Any) -> None:
    visit = as_visit(read(GOOD | {"status": code}, ADA))
    assert visit.status == "unknown"
    assert "unknown_status" in [issue.code for issue in visit.issues]


def test_proposed_may_mean_booked(read: Read, as_visit: Map) -> None:
    """OpenEMR's calendar status `-` arrives as proposed."""
    record = read(GOOD | {"status": "proposed"}, ADA, statuses={"proposed": "booked"})
    assert as_visit(record).status == "booked"


OWN = "https://ehr.example/fhir/StructureDefinition/own-status"


@pytest.mark.parametrize(
    "said",
    [
        {"valueString": "Pre-registration completed"},
        {"valueCode": "PRE-REGISTRATION  completed"},
        {"valueCoding": {"code": "7", "display": "Pre-registration completed"}},
        {"valueCodeableConcept": {"text": "Pre-registration completed"}},
        {"valueCodeableConcept": {"coding": [{"code": "Pre-registration completed"}]}},
    ],
)
@pytest.mark.parametrize("beside", ["extension", "_status"])
def test_a_status_may_stand_in_an_extension(
    read: Read, as_visit: Map, said: dict[str, Any], beside: str
) -> None:
    how = {"statuses": {"Pre-registration completed": "booked"}, "status_extension": OWN}
    own = [{"url": "https://ehr.example/other", "valueCode": "9"}, {"url": OWN, **said}]
    given = {"extension": own} if beside == "extension" else {"_status": {"extension": own}}
    record = read(GOOD | {"status": "pending"} | given, ADA, **how)
    assert as_visit(record).status == "booked"


@pytest.mark.parametrize(
    ("code", "word", "status"),
    [
        ("pending", "Waiting for the insurer", "pending"),  # which nobody has translated
        (
            "cancelled",
            "Pre-registration completed",
            "cancelled",
        ),  # such words are often left behind
        ("noshow", "Pre-registration completed", "no_show"),
        ("entered-in-error", "Pre-registration completed", "entered_in_error"),
        (None, "Pre-registration completed", "booked"),
        ("booked", "Called off", "cancelled"),
    ],
)
def test_a_word_of_the_server_s_own_never_brings_back_what_was_cancelled(
    read: Read, as_visit: Map, code: str | None, word: str, status: str
) -> None:
    statuses = {"Pre-registration completed": "booked", "called off": "cancelled"}
    given = {"status": code, "extension": [{"url": OWN, "valueString": word}]}
    record = read(GOOD | given, ADA, statuses=statuses, status_extension=OWN)
    assert as_visit(record).status == status


def test_a_zone_that_nobody_knows_is_not_taken(read: Read, as_visit: Map) -> None:
    zone = {"url": "http://hl7.org/fhir/StructureDefinition/timezone", "valueCode": "EST"}
    place = {"resourceType": "Location", "id": "3", "name": "Riverside", "extension": [zone]}
    part = [*GOOD["participant"], {"actor": {"reference": "Location/3"}}]
    record = read(GOOD | {"participant": part}, ADA, place)
    assert as_visit(record).timezone == "America/New_York"
    assert "unknown_timezone" in [issue.code for issue in record.issues]


def test_texts_are_clean(read: Read, as_visit: Map) -> None:
    comment = "  \u00a0needs  interpreter\r\nline 2 \U0001f9b7\u0000 \u00a0"
    assert (
        as_visit(read(GOOD | {"comment": comment}, ADA)).notes
        == "needs  interpreter\nline 2 \U0001f9b7"
    )


# --- bundles ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no JSON"),
        (b"<html><body>Sign in, Ada</body></html>", "no JSON"),
        (b"\xff\xfe{", "no JSON"),
        (b"[]", "JSON that is no resource"),
        (b"null", "JSON that is no resource"),
        (b'{"a": 1}', "JSON that is no resource"),
        (b'{"resourceType": "OperationOutcome"}', "an OperationOutcome"),
        (b'{"resourceType": "Patient", "name": "Ada"}', "a Patient"),
        (b'{"resourceType": "Ada Sample"}', "JSON that is no resource"),
        (b'{"resourceType": 7, "entry": []}', "JSON that is no resource"),
        (b'{"resourceType": "Bundle", "entry": {}}', "a Bundle without a list of entries"),
        (b'{"resourceType": "Bundle", "entry": [{"resource": ', "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"resourceType": ' * 100_000, "no JSON"),
    ],
    ids=range(14),
)
def test_what_is_no_bundle_is_said_without_its_content(content: bytes, told: str) -> None:
    with pytest.raises(NotABundle) as wrong:
        read_bundle(content)
    assert str(wrong.value) == told


def test_a_bundle_with_odd_entries_keeps_the_others() -> None:
    entries = [{"resource": GOOD}, None, 7, {"fullUrl": 7, "resource": GOOD, "search": "match"}]
    bundle = {"resourceType": "Bundle", "total": "4", "entry": [*entries, {"request": {}}]}
    found = read_bundle(json.dumps(bundle).encode()).entries
    assert [bytes(one.resource) != b"" for one in found] == [True, False, False, True, False]
    assert head_of(found[3].resource).id == "7"


@pytest.mark.parametrize(
    ("entry", "count"), [(None, 0), ({"resource": GOOD}, 1), ([{"resource": GOOD}], 1)]
)
def test_no_entries_and_one_without_a_list_are_understood(entry: Any, count: int) -> None:
    found = read_bundle(json.dumps({"resourceType": "Bundle", "entry": entry}).encode()).entries
    assert [head_of(one.resource).id for one in found] == ["7"] * count


def test_a_history_tells_what_was_deleted() -> None:
    entry = {"request": {"method": "DELETE", "url": "Appointment/7"}}
    bundle = {"resourceType": "Bundle", "type": "history", "entry": [entry]}
    [one] = read_bundle(json.dumps(bundle).encode()).entries
    assert (one.method, one.url, bytes(one.resource)) == ("DELETE", "Appointment/7", b"")


@pytest.mark.parametrize(
    "raw", [b"", b"null", b"[]", b"7", b'{"id": "7"}', b'{"resourceType": 7.5}']
)
def test_what_is_no_resource_has_no_head(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"resource|JSON"):
        head_of(raw)


def test_a_head_is_read_also_where_its_meta_is_odd() -> None:
    head = head_of(
        b'{"resourceType": "Patient", "id": 5, "meta": {"lastUpdated": 1, "versionId": "2"}}'
    )
    assert (head.type, head.id, head.updated, head.version) == ("Patient", "5", "1", "2")


# --- anything at all ----------------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(width=16) | st.text(max_size=5)
WORDS = st.sampled_from(["Patient/5", "#p", START, "text", "reference", "phone", "replaced-by"])
JUNK = st.recursive(
    SCALARS | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3) | WORDS, inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = [
    "id",
    "status",
    "identifier",
    "start",
    "end",
    "_start",
    "minutesDuration",
    "participant",
    "subject",
    "serviceType",
    "class",
    "appointmentType",
    "specialty",
    "cancelationReason",
    "cancellationReason",
    "reasonCode",
    "reason",
    "comment",
    "note",
    "virtualService",
    "extension",
    "contained",
]
OF_PATIENTS = ["active", "name", "telecom", "communication", "deceasedBoolean", "link", "meta"]


@given(
    st.dictionaries(st.sampled_from(FIELDS), JUNK, max_size=4),
    st.dictionaries(st.sampled_from(OF_PATIENTS), JUNK, max_size=3),
)
@settings(max_examples=300, deadline=None)
def test_no_junk_in_any_field_raises_anything_but_bad_record(
    odd: dict[str, Any], of_patient: dict[str, Any]
) -> None:
    found = Found("https://ehr.example/fhir")
    found.add(json.dumps(ADA | of_patient).encode())
    entries = [{"resource": GOOD | {"id": "1"}}, {"resource": GOOD | odd}, {"resource": GOOD}]
    bundle = read_bundle(json.dumps({"resourceType": "Bundle", "entry": entries}).encode())
    reading, made = reader(found), []
    for entry in bundle.entries:
        found.missing(entry.resource)
        try:
            made.append(
                reading.record(entry.resource, place="p", digest=reading.digest(entry.resource))
            )
        except BadRecord:
            continue
    assert (made[0].key, made[-1].key) == ("1", "7")
    assert made[0].data["service"] == made[-1].data["service"] == "Cardiology"


@given(st.binary(max_size=40) | JUNK.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=200, deadline=None)
def test_no_bytes_raise_anything_but_what_is_told(content: bytes) -> None:
    found = Found("https://ehr.example/fhir")
    found.add(content)
    found.missing(content)
    with pytest.raises((NotABundle, BadRecord)):
        read_bundle(content)
    with pytest.raises(BadRecord):
        reader(found).record(content, place="p", digest=reader(found).digest(content))


@pytest.mark.parametrize("depth", [20, 150, 400, 5000])
@pytest.mark.parametrize("odd", [{}, {"comment": 7}])
def test_no_depth_of_nesting_ends_a_run(odd: dict[str, Any], depth: int) -> None:
    deep = '{"url":"video","extension":[' * depth + "{}" + "]}" * depth
    raw = json.dumps(GOOD | odd | {"extension": "DEEP"}).replace('"DEEP"', f"[{deep}]").encode()
    found = Found("https://ehr.example/fhir")
    with suppress(BadRecord):
        record = reader(found).record(raw, place="p", digest=reader(found).digest(raw))
        assert record.key == "7"
    found.add(raw.replace(b'"Appointment"', b'"Patient"'))
