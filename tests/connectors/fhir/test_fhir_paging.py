"""From page to page: nothing twice, nothing lost, and our token nowhere else (F-03 to F-06, X-17)."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from clinicrelay.http import Unwelcome
from clinicrelay.testing import NOW, Asked, Reply, serving
from connectors.fhir.following import NotOurs, followed

if TYPE_CHECKING:
    from conftest import Clinic, Peer

BASE = "https://ehr.example/api/r4"
ALL = {"strategy": "snapshot"}


@pytest.mark.parametrize("paging", ["offset", "snapshot"])
def test_every_page_is_read_and_every_visit_once(peer: Peer, clinic: Clinic, paging: str) -> None:
    peer.paging, peer.max_count = paging, 7  # F-14: fewer than asked for
    peer.fill(50)
    pages = clinic.read(**ALL)
    assert clinic.keys(pages) == sorted(f"A-{n}" for n in range(50))
    assert pages[-1].complete
    assert len(peer.asked()) + len(peer.asked("")) == 8


def test_searches_are_not_answered_from_a_cache(peer: Peer, clinic: Clinic) -> None:
    peer.fill(3)
    clinic.read(**ALL)
    assert {one.headers["cache-control"] for one in peer.asked()} == {"no-cache"}  # F-09
    assert peer.asked()[0].headers["accept"] == "application/fhir+json"


def test_a_next_page_on_another_host_is_not_asked_for(peer: Peer, clinic: Clinic) -> None:
    peer.fill(20)
    peer.max_count = 5
    with serving(lambda asked: Reply({})) as stranger:
        peer.next_base = f"{stranger.url}/fhir/r4"
        pages = clinic.read(**ALL, auth={"type": "bearer", "token": "secret"})
        assert stranger.log == []  # F-04
    assert len(clinic.keys(pages)) == 5  # what came is kept
    assert not pages[-1].complete
    assert pages[-1].covers == []
    assert stranger.url.removeprefix("http://") in clinic.notes(pages)
    assert "paging.rewrite_links" in clinic.notes(pages)


def test_behind_a_proxy_links_are_rewritten_when_settings_say_so(
    peer: Peer, clinic: Clinic
) -> None:
    peer.fill(20)
    peer.max_count, peer.next_base = 5, "http://inside.example:8080/fhir/r4"
    pages = clinic.read(**ALL, paging={"rewrite_links": True})
    assert len(clinic.keys(pages)) == 20
    assert pages[-1].complete


@pytest.mark.parametrize(
    ("link", "whole"),
    [
        ("?_getpages=1&x=2", f"{BASE}?_getpages=1&x=2"),
        ("Appointment?p=2", f"{BASE}/Appointment?p=2"),
        ("/api/r4/Appointment?p=2", f"{BASE}/Appointment?p=2"),
        ("https://ehr.example:443/api/r4/Appointment?p=2", f"{BASE}/Appointment?p=2"),
        ("https://EHR.example/api/r4?_getpages=1", f"{BASE}?_getpages=1"),
        ("Appointment?date=ge2026-01-01T00:00:00%2B01:00", None),
    ],
)
def test_links_are_made_whole(link: str, whole: str | None) -> None:
    assert followed(link, BASE, rewrite=False) == (whole or f"{BASE}/{link}")


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/api/r4/Appointment?p=2",
        "http://ehr.example/api/r4/Appointment?p=2",
        "https://ehr.example:444/api/r4/Appointment?p=2",
        "https://ehr.example:443:443/api/r4/Appointment?p=2",
        "https://ehr.example@evil.example/api/r4/Appointment",
        "//evil.example/api/r4/Appointment",
        "https://ehr.example/other/Appointment?p=2",
        "https://ehr.example/api/r4/../../admin",
        "https://ehr.example/api/r4/%2e%2e/admin",
        "https://ehr.example/api/r4/..;/admin",
        "https://ehr.example/api/r4/..%5cadmin",
        "/api/r4\\..\\admin",
        "%25252e%25252e/admin",
        "Appointment;a=1/..;b=2/../admin",
        "https://ehr.example/api/r4x/Appointment",
        "/admin?p=2",
    ],
)
def test_links_that_lead_elsewhere_are_not_followed(link: str) -> None:
    with pytest.raises(NotOurs):
        followed(link, BASE, rewrite=False)


@pytest.mark.parametrize(
    ("link", "told"),
    [
        ("http://ehr.example/api/r4?p=2", "http://ehr.example instead of https://ehr.example:"),
        (
            "https://ehr.example:444/api/r4",
            "https://ehr.example:444 instead of https://ehr.example:",
        ),
        ("https://evil.example/api/r4?p=2", "host, evil.example instead of ehr.example:"),
    ],
)
def test_a_link_that_lies_elsewhere_is_told_by_what_differs(link: str, told: str) -> None:
    with pytest.raises(NotOurs, match=re.escape(told)):
        followed(link, BASE, rewrite=False)


def test_a_rewritten_link_stays_under_our_path() -> None:
    link = "http://inside.example/api/r4/Appointment?p=2"
    assert followed(link, BASE, rewrite=True) == f"{BASE}/Appointment?p=2"
    assert (
        followed("http://inside.example?_getpages=1", BASE, rewrite=True) == f"{BASE}?_getpages=1"
    )
    with pytest.raises(NotOurs):
        followed("http://inside.example/admin", BASE, rewrite=True)


def visits(*keys: str) -> list[dict[str, object]]:
    start = NOW.isoformat()
    return [{"resourceType": "Appointment", "id": key, "start": start} for key in keys]


def test_a_link_met_before_ends_the_read_as_incomplete(peer: Peer, clinic: Clinic) -> None:
    def circle(asked: Asked) -> Reply | None:
        if not asked.path.endswith("Appointment"):
            return None
        number = len(peer.asked())
        return peer.page_with(*visits(f"v{number}"), next_link="Appointment?page=2")

    peer.faults.append(circle)
    pages = clinic.read(**ALL)
    assert clinic.keys(pages) == ["v1", "v2"]
    assert not pages[-1].complete
    assert "circle" in clinic.notes(pages)


def test_pages_with_nothing_new_end_the_read_as_incomplete(peer: Peer, clinic: Clinic) -> None:
    def again(asked: Asked) -> Reply | None:
        if not asked.path.endswith("Appointment"):
            return None
        return peer.page_with(*visits("v1"), next_link=f"Appointment?page={len(peer.log)}")

    peer.faults.append(again)
    pages = clinic.read(**ALL)
    assert clinic.keys(pages) == ["v1"]
    assert not pages[-1].complete
    assert len(peer.asked()) == 2


def test_an_empty_page_among_others_is_no_end(peer: Peer, clinic: Clinic) -> None:
    def filtered(asked: Asked) -> Reply | None:
        if not asked.path.endswith("Appointment"):
            return None
        number = len(peer.asked())
        last = number == 4
        found = visits(f"v{number}") if number in (1, 4) else []
        return peer.page_with(*found, next_link=None if last else f"Appointment?page={number}")

    peer.faults.append(filtered)
    pages = clinic.read(**ALL)
    assert clinic.keys(pages) == ["v1", "v4"]
    assert pages[-1].complete


def test_more_pages_than_can_be_end_the_read_as_incomplete(peer: Peer, clinic: Clinic) -> None:
    peer.fill(20)
    peer.max_count = 2
    pages = clinic.read(**ALL, paging={"max_pages": 4})
    assert len(clinic.keys(pages)) == 8
    assert not pages[-1].complete
    assert "paging.max_pages" in clinic.notes(pages)


def test_of_a_visit_on_two_pages_the_one_changed_later_counts(peer: Peer, clinic: Clinic) -> None:
    def version(key: str, updated: str, status: str) -> dict[str, object]:
        made = visits(key)[0]
        return made | {"status": status, "meta": {"lastUpdated": updated}}

    newer = version("a", "2024-01-02T00:00:00Z", "cancelled")
    older = version("a", "2024-01-01T00:00:00Z", "booked")
    same_day = version("b", "2024-01-01T00:00:00Z", "booked")
    later_page = version("b", "2024-01-01T00:00:00Z", "arrived")
    answers = [
        peer.page_with(newer, same_day, next_link="Appointment?page=2"),
        peer.page_with(older, later_page, *visits("c")),
    ]
    peer.faults.append(lambda asked: answers.pop(0) if "Appointment" in asked.path else None)
    pages = clinic.read(**ALL)
    told = [(one.key, one.data["status"]) for one in clinic.records(pages)]
    # F-05: the second version of b follows the first, and the connector says that the last counts.
    assert told == [("a", "cancelled"), ("b", "booked"), ("b", "arrived"), ("c", None)]
    assert clinic.connector().duplicates == "last"


def test_a_visit_that_slides_to_another_page_comes_once(peer: Peer, clinic: Clinic) -> None:
    peer.fill(20)
    peer.max_count = 5
    inserted: list[str] = []

    def insert(asked: Asked) -> Reply | None:
        if asked.one("_offset") == "5" and not inserted:
            inserted.append("now")
            peer.book("A-new", NOW + timedelta(days=1))
            store = peer.store["Appointment"]
            peer.store["Appointment"] = {"A-new": store.pop("A-new"), **store}
        return None

    peer.faults.append(insert)
    keys = clinic.keys(clinic.read(**ALL))
    assert len(keys) == len(set(keys)) == 20
    assert "A-new" in clinic.keys(clinic.read(**ALL))


def test_entries_without_a_search_mode_count_by_their_type(peer: Peer, clinic: Clinic) -> None:
    peer.modes = False  # F-06
    peer.fill(5)
    pages = clinic.read(**ALL)
    assert len(clinic.keys(pages)) == 5
    assert clinic.records(pages)[0].data["patients"][0]["name"] == "Kim"
    assert not peer.asked("/Patient/p1")


def test_values_are_encoded_so_that_a_plus_stays_one(peer: Peer, clinic: Clinic) -> None:
    peer.fill(5)
    clinic.read(strategy="window")
    dates = [value for one in peer.asked() for name, value in one.query if name == "date"]
    assert all("+01:00" in value or "+02:00" in value for value in dates)  # F-10, F-11


def test_a_snapshot_that_expires_is_read_again_from_its_first_page(
    peer: Peer, clinic: Clinic
) -> None:
    peer.paging, peer.max_count = "snapshot", 5
    peer.fill(30)

    def expire(asked: Asked) -> Reply | None:
        if asked.one("_offset") == "15" and len(peer.pages) < 3:
            peer.pages.clear()
            peer.pages |= {f"old-{n}": [] for n in range(len(peer.asked()))}
        return None

    peer.faults.append(expire)
    pages = clinic.read(**ALL)
    assert len(clinic.keys(pages)) == 30  # F-16: read again, given on once
    assert pages[-1].complete


def test_what_always_expires_is_asked_for_in_halves(peer: Peer, clinic: Clinic) -> None:
    peer.max_count = 5
    peer.fill(40, days=8)

    def forget(asked: Asked) -> Reply | None:
        gone = asked.one("_offset") is not None
        return peer.fhir({}, 410) if gone else None  # no second page ever lives to be read

    peer.faults.append(forget)
    pages = clinic.read(strategy="window", slice="16d")
    assert len(clinic.keys(pages)) == 40
    assert pages[-1].complete
    assert "halves" in clinic.notes(pages)


def test_a_day_that_cannot_be_halved_leaves_the_others_complete(peer: Peer, clinic: Clinic) -> None:
    peer.max_count = 5
    for n in range(8):
        peer.book(f"A-{n}", NOW + timedelta(days=3, minutes=n))
    peer.book("B", NOW + timedelta(days=40))
    peer.faults.append(lambda asked: peer.fhir({}, 410) if asked.one("_offset") else None)
    pages = clinic.read(strategy="window")
    assert not pages[-1].complete
    bad_day = NOW + timedelta(days=3)
    covers = pages[-1].covers or ()
    assert covers
    assert not [c for c in covers if c.start and c.end and c.start <= bad_day < c.end]
    assert "before they can be read" in clinic.notes(pages)


def test_epics_expired_session_is_an_expired_page(peer: Peer, clinic: Clinic) -> None:
    peer.max_count = 5
    peer.fill(12)
    answers = [peer.outcome("fatal", "processing", epic="4113")]
    peer.faults.append(
        lambda asked: answers.pop() if answers and asked.one("_offset") == "5" else None
    )
    pages = clinic.read(**ALL)
    assert len(clinic.keys(pages)) == 12
    assert pages[-1].complete


def test_a_link_that_is_refused_fails_the_read(peer: Peer, clinic: Clinic) -> None:
    peer.max_count = 5
    peer.fill(12)
    peer.faults.append(lambda asked: peer.fhir({}, 404) if asked.one("_offset") else None)
    with pytest.raises(Unwelcome):
        clinic.read(**ALL)
