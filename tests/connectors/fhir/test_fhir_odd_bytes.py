"""One odd byte, date or depth costs what it stands in, and never the run (F-02)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.errors import Refused, TryLater
from clinicrelay.testing import NOW, Asked, Reply

if TYPE_CHECKING:
    from conftest import Clinic, Peer

WINDOWED = {"strategy": "window"}
FHIR = {"Content-Type": "application/fhir+json"}
AT_THE_ENDS = ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-05:00"]


def answer_with(peer: Peer, body: bytes, path: str, status: int = 200) -> None:
    """Let everything under a path be answered so."""

    def fault(asked: Asked) -> Reply | None:
        return Reply(body, status, FHIR) if asked.path.endswith(path) else None

    peer.faults.append(fault)


def deep(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


@pytest.mark.parametrize("end", AT_THE_ENDS)
@pytest.mark.parametrize("strategy", ["watermark", "window", "history"])
def test_dates_at_the_ends_of_the_calendar_are_no_dates(
    peer: Peer, clinic: Clinic, end: str, strategy: str
) -> None:
    peer.fill(3)
    said = {"strategy": strategy}
    cursor = clinic.cursor(clinic.read(**said))
    peer.fill(3)
    for entry in peer.history[-3:]:
        entry["resource"]["meta"]["lastUpdated"] = end
    peer.store["Appointment"]["A-1"]["meta"]["lastUpdated"] = end
    assert clinic.read(**said)[-1].complete
    assert clinic.read(cursor, **said)[-1].last


@pytest.mark.parametrize("end", AT_THE_ENDS)
def test_a_bundle_dated_at_the_ends_of_the_calendar_has_no_date(
    peer: Peer, clinic: Clinic, end: str
) -> None:
    peer.fill(3)

    def fault(asked: Asked) -> Reply | None:
        if not asked.path.endswith("/Appointment"):
            return None
        whole = json.loads(peer._search("Appointment", [*asked.query]).body)
        return Reply(whole | {"meta": {"lastUpdated": end}}, 200, {**FHIR, "Date": ""})

    peer.faults.append(fault)
    cursor = clinic.cursor(clinic.read())
    assert datetime.fromisoformat(cursor["watermark"]) <= datetime.now(UTC)


@pytest.mark.parametrize("end", AT_THE_ENDS)
def test_a_cursor_from_the_ends_of_the_calendar_is_read_anew(
    peer: Peer, clinic: Clinic, end: str
) -> None:
    peer.fill(3)
    cursor = clinic.cursor(clinic.read())
    pages = clinic.read({**cursor, "watermark": end})
    assert not pages[-1].changes
    assert clinic.cursor(pages)["watermark"] == cursor["watermark"]


@pytest.mark.parametrize(
    ("code_page", "charset"),
    [("utf-8-sig", "utf-8"), ("utf-16", "utf-8"), ("iso-8859-1", "ISO-8859-1")],
)
def test_a_bundle_is_read_in_whatever_it_is_written(
    peer: Peer, clinic: Clinic, code_page: str, charset: str
) -> None:
    peer.fill(3)

    def fault(asked: Asked) -> Reply | None:
        if not asked.path.endswith("/Appointment"):
            return None
        whole = json.loads(peer._search("Appointment", [*asked.query]).body)
        whole["entry"][0]["resource"]["serviceType"] = [{"text": "Größe"}]
        of = {**FHIR, "Content-Type": f"application/fhir+json; charset={charset}"}
        return Reply(json.dumps(whole, ensure_ascii=False).encode(code_page), 200, of)

    peer.faults.append(fault)
    pages = clinic.read(strategy="snapshot")
    assert len(clinic.keys(pages)) == 3
    assert "Größe" in str([record.data for page in pages for record in page.records])


LATIN = (
    b'{"resourceType":"OperationOutcome","issue":[{"severity":"error","diagnostics":"caf\xe9"}]}'
)


def test_an_outcome_with_a_byte_of_latin_1_is_heard(peer: Peer, clinic: Clinic) -> None:
    peer.fill(3)
    answer_with(peer, LATIN, "/Appointment")
    with pytest.raises(Refused, match="failed at this search") as failed:
        clinic.read(**WINDOWED)
    assert failed.value.fix


def test_metadata_with_a_byte_of_latin_1_is_read(peer: Peer, clinic: Clinic) -> None:
    peer.fill(3)
    peer.software = "Caf@"
    body = bytes(peer.fhir(peer._metadata()).body).replace(b"@", b"\xe9")
    answer_with(peer, body, "/metadata")
    assert len(clinic.keys(clinic.read())) == 3


@pytest.mark.parametrize("kind", ["APPOINTMENT", "appointment"])
def test_visits_of_a_type_written_otherwise_are_not_passed_over(
    peer: Peer, clinic: Clinic, kind: str
) -> None:
    odd = {"resourceType": kind, "id": "A", "start": NOW.isoformat()}
    peer.faults.append(
        lambda asked: peer.page_with(odd) if asked.path.endswith("/Appointment") else None
    )
    pages = clinic.read(**WINDOWED)
    assert not pages[-1].complete
    assert {one.reason for page in pages for one in page.unreadable} == {"not_fhir"}


def test_a_byte_order_mark_before_an_answer_says_nothing(peer: Peer, clinic: Clinic) -> None:
    peer.fill(3)
    peer.includes, peer.by_id = (), False

    def marked(asked: Asked) -> Reply:
        peer.faults.clear()
        reply = peer.answer(asked)
        peer.faults.append(marked)
        return Reply(b"\xef\xbb\xbf" + bytes(reply.body), reply.status, reply.headers)

    peer.faults.append(marked)
    pages = clinic.read()
    assert pages[-1].complete
    patients = [one["name"] for record in clinic.records(pages) for one in record.data["patients"]]
    assert patients == ["Kim"] * 3
    peer.delete("Appointment", "A-1")
    connector = clinic.connector()
    assert {
        one.key: one.gone for page in connector.reread(["A-0", "A-1"]) for one in page.records
    } == {
        "A-0": False,
        "A-1": True,
    }


@pytest.mark.parametrize("levels", [900, 3_000, 100_000])
@pytest.mark.parametrize("path", ["/metadata", "/Appointment", "/Patient", "/Patient/p1"])
@pytest.mark.parametrize("status", [200, 404, 422])
def test_what_is_nested_beyond_measure_is_none_of_ours(
    peer: Peer, clinic: Clinic, levels: int, path: str, status: int
) -> None:
    peer.fill(3)
    peer.includes = ()
    answer_with(peer, deep(levels), path, status)
    try:
        clinic.read()
    except (Refused, TryLater):
        assert path in ("/metadata", "/Appointment")


@pytest.mark.parametrize("levels", [900, 3_000, 100_000])
def test_an_entry_nested_beyond_measure_ends_no_run(
    peer: Peer, clinic: Clinic, levels: int
) -> None:
    peer.fill(3)
    held = json.dumps({"resourceType": "Appointment", "id": "deep", "note": "@"}).encode()
    entry = b'{"resource":' + held.replace(b'"@"', deep(levels)) + b"}"

    def fault(asked: Asked) -> Reply | None:
        if not asked.path.endswith("/Appointment"):
            return None
        whole: bytes = peer._search("Appointment", [*asked.query]).body
        return Reply(whole.replace(b'"entry": [', b'"entry": [' + entry + b", ", 1), 200, FHIR)

    peer.faults.append(fault)
    try:
        pages = clinic.read(**WINDOWED, slice="365d")
    except Refused:
        return
    assert {"A-0", "A-1", "A-2"} <= {*clinic.keys(pages)}


@pytest.mark.parametrize("levels", [900, 100_000])
def test_a_404_nested_beyond_measure_proves_no_deletion(
    peer: Peer, clinic: Clinic, levels: int
) -> None:
    peer.fill(3)
    answer_with(peer, deep(levels), "/Appointment/A-1", 404)
    pages = [*clinic.connector().reread(["A-1", "A-2"])]
    assert [one.key for one in clinic.records(pages)] == ["A-2"]


# --- a watermark that is yet to come -------------------------------------------------------------


def without_date(peer: Peer) -> None:
    """Let the server not tell its clock."""

    def fault(asked: Asked) -> Reply | None:
        if not asked.path.endswith("/Appointment"):
            return None
        reply = peer._search("Appointment", [*asked.query])
        return Reply(reply.body, 200, {**reply.headers, "Date": ""})

    peer.faults.append(fault)


def test_a_typing_error_moves_no_watermark_where_the_server_tells_no_clock(
    peer: Peer, clinic: Clinic
) -> None:
    peer.fill(3)
    peer.book("A-1", NOW + timedelta(days=3), updated="2099-01-01T00:00:00Z")
    without_date(peer)
    cursor = clinic.cursor(clinic.read())
    assert datetime.fromisoformat(cursor["watermark"]) < datetime(2025, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("dated", [True, False], ids=["a server with a clock", "without"])
def test_a_watermark_that_is_yet_to_come_is_pulled_back(
    peer: Peer, clinic: Clinic, dated: bool
) -> None:
    peer.fill(3)
    if not dated:
        without_date(peer)
    cursor = clinic.cursor(clinic.read())
    spoilt: dict[str, Any] = {**cursor, "watermark": "2099-01-01T00:00:00.000Z"}
    pages = clinic.read(spoilt)
    assert not pages[-1].changes
    assert clinic.cursor(pages)["watermark"] == cursor["watermark"]


def test_a_listing_pulls_the_watermark_back_to_the_servers_clock(
    peer: Peer, clinic: Clinic
) -> None:
    peer.fill(3)
    cursor = clinic.cursor(clinic.read())
    soon = (datetime.now(UTC) + timedelta(hours=3)).isoformat()
    clinic.now += timedelta(days=2)
    pages = clinic.read({**cursor, "watermark": soon})
    assert not pages[-1].changes
    assert datetime.fromisoformat(clinic.cursor(pages)["watermark"]) <= datetime.now(UTC)


# --- deletions without a date --------------------------------------------------------------------


@pytest.mark.parametrize("turned", [False, True], ids=["newest first", "oldest first"])
def test_a_deletion_without_a_date_is_as_late_as_where_it_stands(
    peer: Peer, clinic: Clinic, turned: bool
) -> None:
    peer.fill(3)
    cursor = clinic.cursor(clinic.read(strategy="history"))
    peer.book("A-0", NOW + timedelta(days=5), status="arrived")
    peer.delete("Appointment", "A-0")
    peer.book("A-1", NOW + timedelta(days=6))
    peer.delete("Appointment", "A-1")
    peer.book("A-1", NOW + timedelta(days=7), status="cancelled")

    def fault(asked: Asked) -> Reply | None:
        if not asked.path.endswith("/_history"):
            return None
        whole = json.loads(peer._history("Appointment/_history", [*asked.query]).body)
        for entry in whole["entry"]:
            if entry["request"]["method"] == "DELETE":
                del entry["response"]
        if turned:
            whole["entry"].reverse()
        return peer.fhir(whole)

    peer.faults.append(fault)
    last = {one.key: one for one in clinic.records(clinic.read(cursor, strategy="history"))}
    assert last["A-0"].gone
    assert not last["A-1"].gone
