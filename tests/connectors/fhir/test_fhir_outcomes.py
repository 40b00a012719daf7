"""What servers say beside and instead of results, and what follows (F-07, F-08, F-31, F-33, X-08)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.contracts import Finding
from clinicrelay.errors import Refused, TryLater
from clinicrelay.http import Unwelcome
from clinicrelay.testing import NOW, Asked, Reply
from connectors.fhir.outcomes import Verdict, remarks
from connectors.fhir.presets import PRESETS

if TYPE_CHECKING:
    from conftest import Clinic, Peer

WINDOWED = {"strategy": "window"}


def issue(severity: str, code: str, text: str = "", number: str = "") -> bytes:
    details = {"text": text, "coding": [{"system": "urn:oid:1.2.840.114350.1", "code": number}]}
    told = {"severity": severity, "code": code, "details": details}
    return json.dumps({"resourceType": "OperationOutcome", "issue": [told]}).encode()


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        (issue("information", "informational", number="4101"), Verdict.NOTHING),
        (issue("warning", "processing", number="4127"), Verdict.INCOMPLETE),
        (issue("warning", "processing", number="59133"), Verdict.INCOMPLETE),
        (issue("warning", "processing", number="4119"), Verdict.INCOMPLETE),
        (issue("fatal", "processing", number="4113"), Verdict.EXPIRED),
        (issue("fatal", "security", number="4134"), Verdict.FORBIDDEN),
        (issue("fatal", "processing", number="4135"), Verdict.LATER),
        (issue("error", "exception"), Verdict.FAILED),
        (issue("error", "timeout"), Verdict.FAILED),
        (issue("error", "login"), Verdict.FORBIDDEN),
        (issue("fatal", "expired"), Verdict.FORBIDDEN),
        (issue("error", "throttled"), Verdict.LATER),
        (issue("error", "transient"), Verdict.LATER),
        (issue("warning", "incomplete"), Verdict.INCOMPLETE),
        (issue("information", "suppressed"), Verdict.INCOMPLETE),
        (issue("warning", "processing", "Results were truncated"), Verdict.INCOMPLETE),
        (issue("warning", "not-supported", "Unknown parameter: foo"), Verdict.IGNORED),
        (issue("warning", "not-supported", "_sort is not supported"), Verdict.NOTED),
        (issue("information", "informational", "All is well"), Verdict.NOTED),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else str(value),
)
def test_each_outcome_has_its_consequence(said: bytes, verdict: Verdict) -> None:
    assert remarks(said, ["foo", "date"])[0].verdict is verdict


def test_the_gravest_issue_comes_first_and_no_text_is_repeated() -> None:
    texts = [("information", "informational"), ("fatal", "exception"), ("warning", "Quenby <b>")]
    issues = [{"severity": s, "code": c, "diagnostics": "Quenby Canary"} for s, c in texts]
    said = remarks(json.dumps({"resourceType": "OperationOutcome", "issue": issues}).encode())
    assert said[0].verdict is Verdict.FAILED
    assert "Quenby" not in " ".join(one.called for one in said)


def test_what_is_no_outcome_says_nothing() -> None:
    assert remarks(b"<html>") == []
    assert remarks(b'{"resourceType": "Patient"}') == []


def with_outcome(peer: Peer, severity: str, code: str, **more: str) -> None:
    """Let each Bundle of appointments carry an outcome."""

    def fault(asked: Asked) -> Reply | None:
        if "Appointment" not in asked.path:
            return None
        whole = json.loads(peer._search("Appointment", [*asked.query]).body)
        said = json.loads(peer.outcome(severity, code, **more).body)
        whole["entry"].append({"resource": said, "search": {"mode": "outcome"}})
        return peer.fhir(whole)

    peer.faults.append(fault)


@pytest.mark.parametrize(
    "said",
    [("warning", "processing", "4127"), ("error", "exception", ""), ("fatal", "security", "4130")],
)
def test_results_with_a_grave_remark_are_used_and_prove_no_absence(
    peer: Peer, clinic: Clinic, said: tuple[str, str, str]
) -> None:
    peer.fill(10)
    severity, code, number = said
    with_outcome(peer, severity, code, epic=number)
    pages = clinic.read(**WINDOWED)
    assert len(clinic.keys(pages)) == 10
    assert not pages[-1].complete
    assert pages[-1].covers == []


CANARY = "Quenby-Canary"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"<html>", 200, {"Content-Type": f"text/{CANARY}"}),
        Reply({"resourceType": "QuenbyCanary"}),
        Reply(
            {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "quenby"}]}
        ),
        Reply({"resourceType": "OperationOutcome", "issue": [{"severity": "quenby", "code": "x"}]}),
    ],
    ids=["a media type", "a type of resource", "a code", "a severity"],
)
@pytest.mark.parametrize("path", ["/metadata", "/Appointment"])
def test_no_word_of_the_server_is_shown(
    peer: Peer, clinic: Clinic, reply: Reply, path: str
) -> None:
    peer.fill(3)
    peer.faults.append(lambda asked: reply if asked.path.endswith(path) else None)
    try:
        said = clinic.notes(clinic.read())
    except Refused as error:
        said = str(error)
    assert "quenby" not in said.lower()


@pytest.mark.parametrize(
    "host",
    ["\x1b[31mquenby\x1b[0m", "quenby" * 20 + ".example", "quenby canary", "Quenby\u00e9.example"],
)
def test_a_next_link_is_shown_only_as_a_proper_host(peer: Peer, clinic: Clinic, host: str) -> None:
    peer.fill(3)
    visit = peer.store["Appointment"]["A-1"]
    page = peer.page_with(visit, next_link=f"https://{host}/r4/Appointment?page=2")
    peer.faults.append(lambda asked: page if asked.path.endswith("/Appointment") else None)
    said = clinic.notes(clinic.read(**WINDOWED))
    assert "another host" in said
    assert "uenby" not in said


def test_the_path_of_a_further_page_is_not_shown(peer: Peer, clinic: Clinic) -> None:
    peer.fill(3)
    visit = peer.store["Appointment"]["A-1"]
    page = peer.page_with(visit, next_link=f"{peer.url}/{CANARY}/2")

    def fault(asked: Asked) -> Reply | None:
        if CANARY in asked.path:
            return Reply(b"<html>", 200, {"Content-Type": "text/html"})
        return page if asked.path.endswith("/Appointment") else None

    peer.faults.append(fault)
    try:
        said = clinic.notes(clinic.read(**WINDOWED))
    except Refused as error:
        said = str(error)
    assert "text/html" in said
    assert CANARY not in said


LOST = {"severity": "error", "code": "exception"}


@pytest.mark.parametrize(
    "entry",
    [
        {"resource": {"resourceType": "OperationOutcome", "issue": LOST}},
        {"resource": {"resourceType": "OperationOutcome", "issue": [LOST | {"details": "lost"}]}},
        {
            "resource": {
                "resourceType": "OperationOutcome",
                "issue": [LOST | {"diagnostics": ["lost", "for ever"]}],
            }
        },
        {
            "resource": {
                "id": "x" * 300,
                "issue": [LOST],
                "resourceType": "OperationOutcome",
            }
        },
        {
            "resource": {"resourceType": "OperationOutcome", "issue": [LOST]},
            "search": {"mode": "match"},
        },
        {
            "resource": {
                "resourceType": "OperationOutcome",
                "issue": [{"severity": "Error", "code": "processing"}],
            }
        },
        {"response": {"outcome": {"resourceType": "OperationOutcome", "issue": [LOST]}}},
        {"resource": {"resourceType": "OperationOutcome"}, "search": {"mode": "outcome"}},
        {"resource": {"issue": [LOST]}, "search": {"mode": "outcome"}},
        {
            "resource": {
                "resourceType": "OperationOutcome",
                "issue": [
                    {
                        "severity": "warning",
                        "code": "processing",
                        "details": "Results were truncated",
                    }
                ],
            }
        },
    ],
    ids=[
        "an issue alone",
        "details as text",
        "diagnostics as a list",
        "the type comes late",
        "as a match",
        "in capitals",
        "in a response",
        "no issue",
        "no type",
        "only in words",
    ],
)
def test_an_oddly_written_outcome_is_heard_too(
    peer: Peer, clinic: Clinic, entry: dict[str, Any]
) -> None:
    peer.fill(6)

    def fault(asked: Asked) -> Reply | None:
        if not asked.path.endswith("/Appointment"):
            return None
        whole = json.loads(peer._search("Appointment", [*asked.query]).body)
        whole["entry"].append(entry)
        return peer.fhir(whole)

    peer.faults.append(fault)
    pages = clinic.read(**WINDOWED)
    assert len(clinic.keys(pages)) == 6
    assert not pages[-1].complete
    assert pages[-1].covers == []


def test_a_code_of_epics_makes_nothing_mild_where_it_is_not_epics() -> None:
    found = {"severity": "error", "code": "exception", "details": {"text": "row (4101)"}}
    said = json.dumps({"resourceType": "OperationOutcome", "issue": [found]}).encode()
    assert remarks(said)[0].verdict is Verdict.FAILED
    assert remarks(said, epic=True)[0].verdict is Verdict.NOTHING


def test_a_harmless_remark_is_told_once(peer: Peer, clinic: Clinic) -> None:
    peer.fill(10)
    with_outcome(peer, "information", "informational", text="Quenby Canary is well")
    pages = clinic.read(**WINDOWED)
    assert pages[-1].complete
    assert clinic.notes(pages).count("remarks on a search") == 1
    assert "Quenby" not in clinic.notes(pages)


def test_no_results_in_epics_words_are_no_results(peer: Peer, clinic: Clinic) -> None:
    def nothing(asked: Asked) -> Reply | None:
        found = "Appointment" in asked.path
        return peer.outcome("warning", "not-found", epic="4101") if found else None

    peer.faults.append(nothing)
    pages = clinic.read(**WINDOWED)
    assert clinic.keys(pages) == []
    assert pages[-1].complete


@pytest.mark.parametrize(
    ("number", "error"), [("4135", TryLater), ("4118", Refused), ("4112", Refused), ("", Refused)]
)
def test_an_outcome_in_the_place_of_results_fails_the_read(
    peer: Peer, clinic: Clinic, number: str, error: type[Exception]
) -> None:
    peer.faults.append(
        lambda asked: (
            peer.outcome("fatal", "processing", epic=number, text="Quenby Canary")
            if "Appointment" in asked.path
            else None
        )
    )
    with pytest.raises(error) as raised:
        clinic.read(**WINDOWED)
    assert "Quenby" not in str(raised.value)


# --- parameters that are not honoured ------------------------------------------------------------


def test_a_parameter_that_the_server_ignores_is_a_mistake_in_the_settings(
    peer: Peer, clinic: Clinic
) -> None:
    peer.fill(5)
    with pytest.raises(Unwelcome, match="foo") as error:
        clinic.read(params={"foo": "bar"})  # F-08, by the self link
    assert "bar" not in str(error.value)
    assert "on_ignored_parameter" in error.value.fix


def test_or_makes_the_read_incomplete_where_settings_say_so(peer: Peer, clinic: Clinic) -> None:
    peer.fill(5)
    pages = clinic.read(params={"foo": "bar"}, on_ignored_parameter="incomplete")
    assert len(clinic.keys(pages)) == 5
    assert not pages[-1].complete
    assert pages[-1].covers == []


def test_a_parameter_that_the_server_refuses_is_named(peer: Peer, clinic: Clinic) -> None:
    peer.unknown = "reject"
    peer.fill(5)
    with pytest.raises(Unwelcome, match="does not know the search parameter foo"):
        clinic.read(params={"foo": "bar"})


def test_nothing_found_by_an_unknown_parameter_deletes_nothing(peer: Peer, clinic: Clinic) -> None:
    peer.unknown = "empty"  # OpenEMR 8.2: 200, total 0
    peer.fill(5)
    pages = clinic.read(params={"foo": "bar"})
    assert not pages[-1].complete
    assert pages[-1].covers == []
    assert "foo" in clinic.notes(pages)


def test_a_value_changed_by_the_server_is_still_the_parameter(peer: Peer, clinic: Clinic) -> None:
    peer.fill(5)
    pages = clinic.read(params={"status:not": "proposed"}, **WINDOWED)
    assert pages[-1].complete


# --- no FHIR -------------------------------------------------------------------------------------

NO_FHIR = [
    (b"<html>Quenby Canary, please log in</html>", "text/html"),
    (b"<Bundle xmlns='http://hl7.org/fhir'/>", "application/fhir+xml"),
    (b'{"resourceType": "Patient", "id": "Quenby"}', "application/fhir+json"),
    (b'{"hello": "Quenby"}', "application/json"),
    (b'{"resourceType": "Bundle", "entry": [', "application/json"),
]


@pytest.mark.parametrize("at", range(len(NO_FHIR)))
def test_what_is_no_bundle_is_called_by_its_type(peer: Peer, clinic: Clinic, at: int) -> None:
    body, kind = NO_FHIR[at]
    peer.faults.append(
        lambda asked: (
            Reply(body, 200, {"Content-Type": kind}) if "Appointment" in asked.path else None
        )
    )
    with pytest.raises(Unwelcome, match=f"expected FHIR JSON, got {kind}".replace("+", r"\+")) as e:
        clinic.read(**WINDOWED)
    assert "Quenby" not in str(e.value)
    assert e.value.fix


def test_an_entry_that_is_nothing_is_set_aside_alone(peer: Peer, clinic: Clinic) -> None:
    good = {"resourceType": "Appointment", "id": "A", "start": NOW.isoformat()}
    answer = peer.page_with(good, {"id": "no type"}, {"resourceType": "Appointment"})
    peer.faults.append(lambda asked: answer if "Appointment" in asked.path else None)
    pages = clinic.read(strategy="snapshot")
    assert clinic.keys(pages) == ["A"]
    bad = [one for page in pages for one in page.unreadable]
    assert {one.reason for one in bad} == {"not_fhir", "no_id"}
    assert all(one.key is None and one.raw for one in bad)
    assert not pages[-1].complete


# --- presets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("vendor", ["epic", "cerner"])
def test_the_wrong_preset_is_told_which_is_right(peer: Peer, clinic: Clinic, vendor: str) -> None:
    peer.profile = vendor
    peer.searchable = ("date", "patient", "practitioner", "location")
    for preset in (None, "hapi"):
        with pytest.raises(Unwelcome) as error:
            clinic.read(preset=preset)
        assert f"preset: {vendor}" in error.value.fix  # F-33


@pytest.mark.parametrize(
    ("vendor", "whom"),
    [
        ("epic", {"by": "patient", "ids": ["p1", "p2"]}),
        ("cerner", {"by": "practitioner", "ids": ["acar"]}),
        ("cerner", {"by": "patient", "ids": ["p1"]}),
    ],
)
def test_the_right_preset_reads_all(
    peer: Peer, clinic: Clinic, vendor: str, whom: dict[str, Any]
) -> None:
    peer.profile = vendor
    peer.searchable = ("date", "patient", "practitioner", "location")
    peer.fill(10)
    pages = clinic.read(preset=vendor, partition=whom)
    assert len(clinic.keys(pages)) == 10
    assert pages[-1].complete


def test_a_preset_that_lacks_its_partition_says_so_before_anything_is_asked(
    peer: Peer, clinic: Clinic
) -> None:
    [finding] = clinic.connector(preset="epic").advise()
    assert finding.severity == "error"
    assert "by: patient" in finding.fix
    assert peer.log == []
    assert [*clinic.connector().advise()] == []
    with pytest.raises(Refused, match="whose appointments"):
        clinic.read(preset="cerner")


def test_presets_are_only_defaults(peer: Peer, clinic: Clinic) -> None:
    peer.fill(5)
    pages = clinic.read(preset="epic", strategy="window", headers={"X-Site": "12"})
    assert clinic.cursor(pages)["strategy"] == "window"
    assert len(clinic.keys(pages)) == 5
    assert peer.asked()[0].headers["x-site"] == "12"


@pytest.mark.parametrize("vendor", sorted(PRESETS))
def test_every_preset_can_be_named(peer: Peer, clinic: Clinic, vendor: str) -> None:
    peer.fill(2)
    whom = {"by": "patient", "ids": ["p1"]} if PRESETS[vendor].who else None
    pages = clinic.read(preset=vendor, partition=whom)
    assert len(clinic.keys(pages)) == 2
    strict = {one.headers.get("prefer") for one in peer.asked()} == {"handling=strict"}
    assert strict is (vendor in ("azure", "google", "hapi"))  # F-09


def test_aws_is_asked_for_what_was_just_written(peer: Peer, clinic: Clinic) -> None:
    clinic.read(preset="healthlake")
    name = "x-amz-fhir-history-consistency-level"
    assert {one.headers[name] for one in peer.asked()} == {"strong"}


def test_what_openemr_calls_proposed_is_booked(peer: Peer, clinic: Clinic) -> None:
    peer.book("A", NOW + timedelta(days=1), status="proposed")
    [record] = clinic.records(clinic.read(preset="openemr"))
    assert record.data["status"] == "booked"
    [record] = clinic.records(clinic.read(preset="openemr", statuses={"proposed": "pending"}))
    assert record.data["status"] == "pending"


# --- check ---------------------------------------------------------------------------------------


def check(clinic: Clinic, **said: Any) -> list[Finding]:
    connector = clinic.connector(**said)
    connector.clock = lambda: datetime.now(UTC)
    return [*connector.check()]


def test_check_says_how_it_will_be_read(peer: Peer, clinic: Clinic) -> None:
    peer.fill(3)
    [told] = check(clinic)
    assert told.severity == "note"
    assert told.message.startswith("FHIR R4; read by watermark")


def test_each_failure_has_its_own_sentence(peer: Peer, clinic: Clinic) -> None:
    peer.fill(3)
    said = []
    for status in (401, 403, 404):
        peer.faults[:] = [lambda asked, status=status: peer.fhir({}, status)]
        [finding] = [one for one in check(clinic) if one.severity == "error"]
        assert finding.fix
        said.append(finding.message)
    peer.faults[:] = [
        lambda asked: peer.fhir({}, 403) if asked.path.endswith("Appointment") else None
    ]
    said += [one.message for one in check(clinic) if one.severity == "error"]
    said += [f.message for f in check(clinic, base_url=f"{peer.url}x") if f.severity == "error"]
    assert len({*said}) == len(said) == 5


def test_check_names_what_we_may_not_read(peer: Peer, clinic: Clinic) -> None:
    peer.faults.append(lambda asked: peer.fhir({}, 403) if "Patient" in asked.path else None)
    [finding] = [one for one in check(clinic) if one.code == "no_permission"]
    assert "system/Patient.read" in finding.fix


def test_check_notices_a_next_page_that_would_not_be_followed(peer: Peer, clinic: Clinic) -> None:
    """Behind a proxy the first page comes well, and nothing else would."""
    peer.fill(3)
    peer.next_base = "http://inner.example/fhir/r4"
    [finding] = [one for one in check(clinic) if one.code == "next_page"]
    assert "inner.example" in finding.message
    assert finding.severity == "error"
    told = check(clinic, paging={"rewrite_links": True})
    assert not [one for one in told if one.severity == "error"]


def test_check_notices_clocks_that_differ(peer: Peer, clinic: Clinic) -> None:
    connector = clinic.connector()
    connector.clock = lambda: datetime.now(UTC) + timedelta(minutes=7)
    [finding] = [one for one in connector.check() if one.code == "clock_skew"]
    assert "7 min" in finding.message


def test_check_names_a_parameter_that_is_ignored(peer: Peer, clinic: Clinic) -> None:
    codes = {one.code for one in check(clinic, params={"foo": "bar"})}
    assert codes >= {"undeclared_parameter"}


def test_a_probe_offers_appointments_with_samples(peer: Peer, clinic: Clinic) -> None:
    peer.fill(8)
    [offer] = clinic.connector().offers()
    assert offer.mapping == "fhir"
    assert offer.settings == {"strategy": "watermark"}
    assert offer.samples[0]["key"].startswith("A-")
    assert "watermark" in offer.notes[0]
