"""Who visits refer to: fetched in lists, remembered by a digest, asked again when it matters (F-20)."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from clinicrelay.errors import Refused
from clinicrelay.http import Unwelcome
from clinicrelay.testing import NOW, WINDOW, Asked, Reply

if TYPE_CHECKING:
    from conftest import Clinic, Peer

WINDOWED = {"strategy": "window"}
BASE = "/fhir/r4"


@pytest.fixture
def apart(peer: Peer) -> Peer:
    """A server that brings nobody along with visits."""
    peer.includes = ()
    return peer


def people(peer: Peer, count: int, *, day: int = 10) -> None:
    for n in range(count):
        peer.book(f"A-{n}", NOW + timedelta(days=day, minutes=n), patient=f"p{n}")


def asked_for(peer: Peer, kind: str = "Patient") -> list[Asked]:
    return [one for one in peer.log if f"/{kind}" in one.path]


def digests(clinic: Clinic, cursor: dict[str, Any], **said: Any) -> dict[str, bytes]:
    """Read as sync does when all is known: nothing but digests."""
    connector = clinic.connector(**WINDOWED, **said)
    pages = [*connector.pull(cursor, WINDOW)]
    return {digest: b"" for page in pages for digest in page.digests}  # type: ignore[misc]


def test_what_the_server_brings_along_is_not_asked_for(peer: Peer, clinic: Clinic) -> None:
    people(peer, 12)
    pages = clinic.read(**WINDOWED)
    assert clinic.records(pages)[0].data["patients"][0]["name"] == "Kim"
    assert asked_for(peer) == []
    assert ("_include", "Appointment:actor") in peer.asked()[0].query


def test_others_are_asked_for_fifty_at_once(apart: Peer, clinic: Clinic) -> None:
    people(apart, 120)
    pages = clinic.read(**WINDOWED)
    assert all(one.data["patients"][0]["name"] == "Kim" for one in clinic.records(pages))
    lists = [(one.one("_id") or "").split(",") for one in asked_for(apart)]
    assert sorted(map(len, lists)) == [20, 50, 50]


def test_or_one_by_one_where_the_server_cannot_search_by_id(apart: Peer, clinic: Clinic) -> None:
    apart.by_id = False
    people(apart, 5)
    clinic.read(**WINDOWED)
    assert sorted(one.path for one in asked_for(apart)) == [
        f"/fhir/r4/Patient/p{n}" for n in range(5)
    ]


def test_a_server_that_declares_what_it_cannot_is_asked_one_by_one(
    apart: Peer, clinic: Clinic
) -> None:
    people(apart, 5)
    apart.faults.append(lambda asked: apart.fhir({}, 400) if asked.one("_id") else None)
    pages = clinic.read(**WINDOWED)
    assert all(one.data["patients"][0]["name"] == "Kim" for one in clinic.records(pages))
    assert len([one for one in asked_for(apart) if one.one("_id")]) == 1


def test_who_is_known_is_not_asked_for_again(apart: Peer, clinic: Clinic) -> None:
    people(apart, 12)
    first = clinic.read(**WINDOWED)
    before = {digest for page in first for digest in page.digests}
    apart.log.clear()
    assert {*digests(clinic, clinic.cursor(first))} == before
    assert asked_for(apart) == []
    assert "Kim" not in json.dumps(clinic.memory)


def test_a_changed_visit_of_somebody_known_has_all_that_is_to_be_said(
    apart: Peer, clinic: Clinic
) -> None:
    people(apart, 12)
    cursor = clinic.cursor(clinic.read(**WINDOWED))
    apart.book("A-3", NOW + timedelta(days=11), patient="p3")
    told = {one.key: one for one in clinic.records(clinic.read(cursor, **WINDOWED))}
    assert told["A-3"].data["patients"][0]["name"] == "Kim"
    assert told["A-3"].data["practitioners"][0]["name"] == "Dr. Acar"


def test_after_a_day_the_server_says_that_nothing_changed(apart: Peer, clinic: Clinic) -> None:
    apart.by_id = False
    people(apart, 4)
    first = clinic.read(**WINDOWED)
    before = {digest for page in first for digest in page.digests}
    apart.log.clear()
    clinic.now = NOW + timedelta(hours=25)
    assert {*digests(clinic, clinic.cursor(first))} == before
    asked = asked_for(apart)
    assert len(asked) == 4
    assert all(one.headers.get("if-none-match") == 'W/"1"' for one in asked)


def test_who_has_a_visit_within_two_days_is_asked_for_each_time(
    apart: Peer, clinic: Clinic
) -> None:
    apart.book("A-soon", NOW + timedelta(hours=40), patient="soon")
    apart.book("A-far", NOW + timedelta(days=30), patient="far")
    first = clinic.read(**WINDOWED)
    cursor, before = clinic.cursor(first), {d for page in first for d in page.digests}
    apart.log.clear()
    phone = [{"system": "phone", "value": "+49 30 555 0199"}]
    for key in ("soon", "far"):
        apart.put({"resourceType": "Patient", "id": key, "telecom": phone})
    assert len({*digests(clinic, cursor)} - before) == 1
    assert [one.path.rpartition("/")[2] for one in asked_for(apart)] == ["soon"]


def test_as_if_for_the_first_time_nobody_is_known(apart: Peer, clinic: Clinic) -> None:
    people(apart, 4)
    clinic.read(**WINDOWED)
    apart.log.clear()
    pages = clinic.read(None, **WINDOWED)
    assert len(clinic.keys(pages)) == 4
    assert len(asked_for(apart)) == 1
    assert "if-none-match" not in asked_for(apart)[0].headers


@pytest.mark.parametrize("by_id", [True, False])
def test_what_we_may_not_read_is_asked_for_a_few_times(
    apart: Peer, clinic: Clinic, by_id: bool
) -> None:
    apart.by_id = by_id
    people(apart, 120)
    apart.faults.append(lambda asked: apart.fhir({}, 403) if "Patient" in asked.path else None)
    pages = clinic.read(**WINDOWED)
    assert len(clinic.keys(pages)) == 120
    assert len(asked_for(apart)) <= 6
    assert clinic.notes(pages).count("does not let us read Patient (403)") == 1


@pytest.mark.parametrize("by_id", [True, False])
def test_one_patient_who_is_kept_from_us_leaves_the_others(
    apart: Peer, clinic: Clinic, by_id: bool
) -> None:
    """Behind glass for some: a server then refuses the list that holds them, or only them."""
    apart.by_id = by_id
    people(apart, 12)

    def kept(asked: Asked) -> Reply | None:
        hidden = asked.path.endswith("/Patient/p0") or "p0" in (asked.one("_id") or "").split(",")
        return apart.fhir({}, 403) if hidden else None

    apart.faults.append(kept)
    pages = clinic.read(**WINDOWED)
    names = [one["name"] for record in clinic.records(pages) for one in record.data["patients"]]
    assert sorted(map(str, names)) == ["Kim"] * 11 + ["None"]
    assert "keeps 1 Patient from us (403)" in clinic.notes(pages)


def test_a_few_who_are_hidden_while_all_others_are_known_stop_nothing(
    apart: Peer, clinic: Clinic
) -> None:
    apart.by_id = False
    people(apart, 20)
    cursor = clinic.cursor(clinic.read(**WINDOWED))
    for n in range(6):
        apart.book(f"B-{n}", NOW + timedelta(days=9), patient=f"hidden{n}")
    apart.faults.append(lambda asked: apart.fhir({}, 403) if "hidden" in asked.path else None)
    pages = clinic.read(cursor, **WINDOWED)
    assert pages[-1].complete
    assert "keeps 6 Patient from us (403)" in clinic.notes(pages)


@pytest.mark.parametrize("by_id", [True, False])
@pytest.mark.parametrize("includes", [(), ("Appointment:actor",)])
def test_all_patients_hidden_at_once_stop_the_source(
    apart: Peer, clinic: Clinic, by_id: bool, includes: tuple[str, ...]
) -> None:
    """Else a scope that is withdrawn by mistake takes all numbers away, and nobody is reminded."""
    apart.by_id, apart.includes = by_id, includes
    people(apart, 12)
    cursor = clinic.cursor(clinic.read(**WINDOWED))
    clinic.now += timedelta(days=2)
    hidden_ones, apart.store["Patient"] = apart.store["Patient"], {}
    apart.faults.append(lambda asked: apart.fhir({}, 403) if "Patient" in asked.path else None)
    with pytest.raises(Refused, match="no longer lets us read Patient") as hidden:
        clinic.read(cursor, **WINDOWED)
    assert "system/Patient.read" in hidden.value.fix
    apart.faults.clear()
    apart.store["Patient"] = hidden_ones
    assert clinic.read(cursor, **WINDOWED)[-1].complete


def test_wrong_credentials_are_not_taken_for_missing_patients(apart: Peer, clinic: Clinic) -> None:
    people(apart, 3)
    apart.faults.append(lambda asked: apart.fhir({}, 401) if "Patient" in asked.path else None)
    with pytest.raises(Unwelcome, match="credentials"):
        clinic.read(**WINDOWED)


def test_an_id_that_the_server_finds_odd_stops_nobody_else(apart: Peer, clinic: Clinic) -> None:
    apart.by_id = False
    people(apart, 3)
    apart.faults.append(lambda asked: apart.fhir({}, 400) if "Patient/p1" in asked.path else None)
    pages = clinic.read(**WINDOWED)
    names = [one.data["patients"][0]["name"] for one in clinic.records(pages)]
    assert names.count("Kim") == 2
    assert pages[-1].complete
    assert "refused to us (400)" in clinic.notes(pages)


def test_asking_again_and_hearing_the_same_is_not_written_down(apart: Peer, clinic: Clinic) -> None:
    apart.book("A-soon", NOW + timedelta(hours=40), patient="soon")
    cursor = clinic.cursor(clinic.read(**WINDOWED))
    before = json.dumps(clinic.memory)
    apart.log.clear()
    clinic.now = NOW + timedelta(minutes=5)
    digests(clinic, cursor)
    assert len(asked_for(apart)) == 1
    assert json.dumps(clinic.memory) == before


def test_somebody_who_is_not_there_is_asked_for_once(apart: Peer, clinic: Clinic) -> None:
    for n in range(3):
        apart.book(f"A-{n}", NOW + timedelta(days=40 * n + 1), patient="ghost")
    del apart.store["Patient"]["ghost"]
    pages = clinic.read(**WINDOWED)
    assert len(clinic.keys(pages)) == 3
    assert len(asked_for(apart)) == 1


def test_a_merged_patient_is_the_one_that_the_server_sends_instead(
    apart: Peer, clinic: Clinic
) -> None:
    apart.book("A", NOW + timedelta(days=9), patient="old")
    apart.put({"resourceType": "Patient", "id": "new", "name": [{"text": "Robin"}]})

    def merged(asked: Asked) -> Reply | None:
        there = f"{apart.url}/Patient/new"
        found = asked.path.endswith("Patient/old")
        return apart.fhir({}, 302, Location=there) if found else None  # F-32

    apart.faults.append(merged)
    [record] = clinic.records(clinic.read(**WINDOWED))
    assert record.data["patients"][0]["name"] == "Robin"


def test_a_merge_into_another_server_is_not_followed(apart: Peer, clinic: Clinic) -> None:
    apart.book("A", NOW + timedelta(days=9), patient="old")
    there = {"Location": "http://other.example/fhir/Patient/new"}
    apart.faults.append(
        lambda asked: Reply(b"", 302, there) if asked.path.endswith("Patient/old") else None
    )
    pages = clinic.read(**WINDOWED)
    assert clinic.keys(pages) == ["A"]
    assert "another server" in clinic.notes(pages)


def test_budget_that_ends_among_patients_still_comes_to_an_end(apart: Peer, clinic: Clinic) -> None:
    apart.by_id = False
    people(apart, 30)

    class Budget:
        def __init__(self) -> None:
            self.left = 12

        def take(self, key: str, n: int = 1) -> timedelta:
            self.left -= 1
            return timedelta(0) if self.left >= 0 else timedelta.max

    cursor, met = None, set[str]()
    for _ in range(12):
        clinic.pace = Budget()
        connector = clinic.connector(**WINDOWED)
        pages = [*connector.pull(cursor, WINDOW)]
        connector.close()
        cursor = clinic.cursor(pages)
        met |= {str(n) for page in pages for n in page.digests}
        if pages[-1].complete:
            break
    assert pages[-1].complete
    assert len(met) == 30


# --- by id ---------------------------------------------------------------------------------------


def test_a_visit_missing_from_a_listing_is_asked_for_by_its_id(peer: Peer, clinic: Clinic) -> None:
    peer.fill(6)
    peer.delete("Appointment", "A-2")
    peer.faults.append(
        lambda asked: peer.fhir({}, 403) if asked.path.endswith("/Appointment/A-4") else None
    )
    peer.faults.append(
        lambda asked: peer.fhir({}, 422) if asked.path.endswith("/Appointment/A-5") else None
    )
    pages = [*clinic.connector().reread(["A-1", "A-2", "A-4", "A-5", "nobody"])]
    told = {one.key: one.gone for one in clinic.records(pages)}
    assert told == {"A-1": False, "A-2": True, "nobody": True}  # of the others nothing is proven
    assert [page.last for page in pages] == [True]
    there = next(one for one in clinic.records(pages) if one.key == "A-1")
    assert there.data["patients"][0]["name"] == "Kim"


def test_a_visit_read_by_its_id_is_the_same_as_in_a_listing(peer: Peer, clinic: Clinic) -> None:
    peer.fill(6)
    listed = {one.key: one for one in clinic.records(clinic.read(**WINDOWED))}
    [again] = clinic.records([*clinic.connector().reread(["A-1"])])
    assert again.data == listed["A-1"].data


def test_a_server_that_is_away_proves_no_deletion(peer: Peer, clinic: Clinic) -> None:
    peer.fill(3)
    peer.faults.append(lambda asked: peer.fhir({}, 401) if "A-1" in asked.path else None)
    with pytest.raises(Unwelcome):
        list(clinic.connector().reread(["A-1"]))


def odd_reads(peer: Peer, reply: Reply, *keys: str) -> None:
    """Answer so to whoever asks for one of these visits by its id, or for any."""

    def fault(asked: Asked) -> Reply | None:
        key = asked.path.partition("/Appointment/")[2]
        return reply if key and (key in keys or not keys) else None

    peer.faults.append(fault)


def told(clinic: Clinic, *keys: str, **said: Any) -> dict[str | None, bool]:
    """What a read by id tells: which are there, and which are gone."""
    pages = [*clinic.connector(**said).reread(keys)]
    return {one.key: one.gone for one in clinic.records(pages)}


NOT_FOUND: dict[str, Any] = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "not-found"}],
}


@pytest.mark.parametrize(
    "said",
    [
        b"<html>no such page</html>",
        {},
        {"resourceType": "OperationOutcome", "issue": []},
        {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "security"}]},
        {
            "resourceType": "OperationOutcome",
            "issue": [*NOT_FOUND["issue"], {"severity": "error", "code": "forbidden"}],
        },
        {
            "resourceType": "OperationOutcome",
            "issue": [
                {"severity": "error", "code": "x", "details": {"coding": [{"code": "4103"}]}}
            ],
        },
    ],
    ids=["a proxy", "nothing", "no issue", "security", "two minds", "a code of nobody"],
)
def test_a_404_that_is_not_fhirs_own_proves_no_deletion(
    peer: Peer, clinic: Clinic, said: Any
) -> None:
    peer.fill(3)
    clinic.read(**WINDOWED)
    odd_reads(peer, Reply(said, 404), "A-1")
    assert told(clinic, "A-1", "A-2") == {"A-2": False}


def test_epics_word_for_gone_is_believed_of_epic(peer: Peer, clinic: Clinic) -> None:
    peer.fill(3)
    coding = [{"code": "4103"}]
    issue = {"severity": "fatal", "code": "processing", "details": {"coding": coding}}
    body = {"resourceType": "OperationOutcome", "issue": [issue]}
    odd_reads(peer, Reply(body, 404), "A-1")
    epic = {"preset": "epic", "partition": {"by": "patient", "ids": ["p1"]}}
    assert told(clinic, "A-1", "A-2", **epic) == {"A-1": True, "A-2": False}


@pytest.mark.parametrize("status", [404, 410])
def test_a_server_that_finds_nothing_by_id_proves_no_deletion(
    peer: Peer, clinic: Clinic, status: int
) -> None:
    peer.fill(3)
    clinic.read(**WINDOWED)
    odd_reads(peer, peer.fhir(NOT_FOUND, status))
    pages = [*clinic.connector().reread(["A-1", "A-2"])]
    assert clinic.records(pages) == []
    assert "by their ids" in clinic.notes(pages)
    asked = [one.path.rpartition("/")[2] for one in peer.log if "/Appointment/" in one.path]
    assert asked == ["A-1", "A-2", "A-0"]  # the last, because the listing named it


def test_the_word_of_a_server_that_finds_what_it_listed_is_believed(
    peer: Peer, clinic: Clinic
) -> None:
    peer.fill(3)
    clinic.read(**WINDOWED)
    peer.delete("Appointment", "A-1")
    assert told(clinic, "A-1", "nobody") == {"A-1": True, "nobody": True}


def test_without_a_visit_to_try_it_by_no_deletion_is_believed(peer: Peer, clinic: Clinic) -> None:
    peer.fill(3)
    peer.delete("Appointment", "A-1")
    assert told(clinic, "A-1") == {}


@pytest.mark.parametrize("key", ["12#3", "12?x=1", "a%2Fb", "../Appointment/zz", "a/b", "é b"])
def test_an_id_is_asked_for_as_it_is_written(peer: Peer, clinic: Clinic, key: str) -> None:
    """Else the answer is about another visit: that 12 is gone says nothing of 12#3."""
    peer.fill(2)
    clinic.read(**WINDOWED)
    told(clinic, key)
    asked = peer.log[-2]  # then the one that the listing named
    assert asked.path == f"{BASE}/Appointment/{quote(key, safe='')}"
    assert not asked.query


@pytest.mark.parametrize("key", ["", ".", ".."])
def test_an_id_that_leads_elsewhere_is_not_asked_for(peer: Peer, clinic: Clinic, key: str) -> None:
    peer.fill(2)
    clinic.read(**WINDOWED)
    before = len(peer.log)
    assert told(clinic, key) == {}
    assert len(peer.log) == before


@pytest.mark.parametrize(
    "came",
    [
        {"resourceType": "Appointment", "id": "A-2", "status": "booked"},
        {"resourceType": "Patient", "id": "A-1"},
        {"resourceType": "Bundle", "id": "A-1"},
        {"resourceType": "Appointment", "status": "booked"},
        [],
    ],
    ids=["another visit", "a patient", "a bundle", "no id", "a list"],
)
def test_what_was_not_asked_for_is_not_taken_for_the_visit(
    peer: Peer, clinic: Clinic, came: Any
) -> None:
    peer.fill(3)
    odd_reads(peer, peer.fhir(came), "A-1")
    assert told(clinic, "A-1", "A-2") == {"A-2": False}


def test_only_gets_and_searches_are_ever_sent(peer: Peer, clinic: Clinic) -> None:
    people(peer, 30)
    whom = {"by": "patient", "ids": [f"p{n}" + "x" * 90 for n in range(30)], "ids_per_request": 30}
    clinic.read(partition=whom)
    clinic.read()
    list(clinic.connector().reread(["A-1"]))
    list(clinic.connector().check())
    sent = {(one.method, one.path.rpartition("/")[2]) for one in peer.log if one.method != "GET"}
    assert sent == {("POST", "_search")}


def test_who_was_merged_into_somebody_known_stays_merged_when_a_visit_is_read_again(
    apart: Peer, clinic: Clinic
) -> None:
    """The one that stands is known by a digest alone, which is no reason to lose their number."""
    people(apart, 1)
    apart.delete("Appointment", "A-0")
    old = {"resourceType": "Patient", "id": "old", "active": False}
    link = {"type": "replaced-by", "other": {"reference": "Patient/p0"}}
    apart.put({**old, "link": [link]})
    apart.book("A-merged", NOW + timedelta(days=12), patient="old")
    first = clinic.read(**WINDOWED)
    apart.book("A-merged", NOW + timedelta(days=13), patient="old")
    again = clinic.records(clinic.read(clinic.cursor(first), **WINDOWED))
    [moved] = [one for one in again if one.key == "A-merged"]
    [before] = [one for one in clinic.records(first) if one.key == "A-merged"]
    assert before.data["patients"][0]["key"] == "Patient/p0"
    assert moved.data["patients"] == before.data["patients"]
    assert moved.issues == before.issues
