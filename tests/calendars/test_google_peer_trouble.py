"""The peer's limits and faults, its doctors, and the process of its own that it can be."""

from __future__ import annotations

import http.client
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from google_peer.faults import Rule
from google_peer.peer import GooglePeer
from google_peer.remote import apart
from googleapiclient.errors import HttpError

from tests.calendars.google_client import (
    DOCTOR,
    ROBOT,
    Bound,
    batched,
    event,
    grant_error,
    insert,
    refused,
)

# --- quota and faults ----------------------------------------------------------------------------


def test_the_window_of_a_quota_slides(google: GooglePeer, events: Any) -> None:
    google.limit(per_user=2, forms=[(403, "rateLimitExceeded"), (429, "userRateLimitExceeded")])
    google.limit(retry_after=7)
    events.list().execute()
    events.list().execute()
    assert refused(events.list()) == (403, "rateLimitExceeded")
    with pytest.raises(HttpError) as caught:
        events.list().execute()
    assert (caught.value.resp.status, caught.value.resp["retry-after"]) == (429, "7")
    events.list(quotaUser="another").execute()
    google.advance(61)
    events.list().execute()


def test_over_the_limit_of_use_an_account_only_reads(google: GooglePeer, events: Any) -> None:
    google.limit_use(ROBOT, 600)
    assert refused(events.insert(body=event())) == (403, "quotaExceeded")
    events.list().execute()
    google.advance(601)
    insert(events)


def test_the_client_itself_sends_again_what_was_closed_after_it_was_done(
    google: GooglePeer, events: Any
) -> None:
    google.fault("close_after", "insert", nth=1)
    assert refused(events.insert(body=event())) == (409, "duplicate")
    assert [call.status for call in google.calls("insert")] == [200, 409]
    body = event()
    del body["id"]
    google.fault("close_after", "insert", nth=1)
    events.insert(body=body).execute()
    assert google.duplicates() != {}
    assert len(google.duplicates()["r1"]) == 3


def test_a_batch_that_is_cut_off_was_done_up_to_there(google: GooglePeer, events: Any) -> None:
    events.list().execute()
    google.fault("reset_after", "insert", nth=2)
    requests = {str(n): events.insert(body=event(id=f"cs00{n}")) for n in range(3)}
    with pytest.raises(ConnectionError):
        batched(google, requests)
    assert [kept["id"] for kept in google.dump(DOCTOR)] == ["cs000", "cs001"]
    google.fault("html", "batch", nth=1, status=502)
    with pytest.raises(HttpError) as caught:
        batched(google, requests)
    assert caught.value.resp.status == 502
    assert len(google.dump(DOCTOR)) == 2


def test_a_token_can_be_refused_on_demand(google: GooglePeer, connect: Any) -> None:
    google.fault("status", "token", status=400, reason="invalid_grant", message="Bad Request")
    assert grant_error(connect) == ("invalid_grant", "Bad Request")
    assert [call.status for call in google.calls()] == [400]


@pytest.mark.parametrize("kind", ["reset_before", "reset_after", "truncate"])
def test_an_answer_can_be_lost_before_and_after_the_write(
    google: GooglePeer, events: Any, kind: str
) -> None:
    events.list().execute()
    google.fault(kind, "insert", limit=2)
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        insert(events)
    assert len(google.dump(DOCTOR)) == (kind != "reset_before")


def test_a_status_an_html_page_and_an_empty_list_can_be_ordered(
    google: GooglePeer, events: Any
) -> None:
    insert(events)
    google.fault("status", "get", status=503, nth=1, retry_after=3)
    google.fault("html", "get", status=502, nth=2)
    google.fault("empty_list", "list")
    statuses = []
    for _ in range(2):
        with pytest.raises(HttpError) as caught:
            events.get("cs001").execute()
        statuses.append(caught.value.resp.status)
    assert statuses == [503, 502]
    assert events.list().execute()["items"] == []
    google.heal()
    assert len(events.list().execute()["items"]) == 1


def test_a_hanging_answer_outlasts_the_callers_patience(google: GooglePeer, connect: Any) -> None:
    service = connect()
    events = Bound(service.events())
    events.list().execute()
    google.fault("hang_after", "insert", seconds=20)
    request = events.insert(body=event())
    service._http.http.timeout = 0.2
    for connection in service._http.http.connections.values():
        connection.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        request.execute()
    assert len(google.dump(DOCTOR)) == 1


def test_the_doctor_can_be_quicker_than_a_write(google: GooglePeer, events: Any) -> None:
    request = events.patch("cs001", {"summary": "Video visit"})
    request.headers["If-Match"] = insert(events)["etag"]
    hand = google.doctor(DOCTOR)
    google.fault("call", "patch", call=lambda: hand.move("cs001", minutes=5))
    assert refused(request) == (412, "conditionNotMet")


def test_chance_is_the_same_with_the_same_seed() -> None:
    def outcomes(seed: int) -> list[bool]:
        rule, chance = Rule("status", probability=0.5), Random(seed)
        return [rule.fires(chance) for _ in range(20)]

    assert outcomes(3) == outcomes(3) != outcomes(4)
    assert {True, False} == set(outcomes(3))


# --- the doctor, the log, and a process of its own -----------------------------------------------


def test_the_doctors_hand_copies_deletes_and_restores(google: GooglePeer, events: Any) -> None:
    insert(events)
    google.switch(undelete=False)
    doctor = google.doctor(DOCTOR)
    copied = doctor.copy("cs001")
    assert google.duplicates() == {"r1": [f"{DOCTOR}/cs001", f"{DOCTOR}/{copied}"]}
    doctor.delete(copied)
    assert google.duplicates() == {}
    doctor.restore(copied)
    assert len(google.dump(DOCTOR, live=True)) == 2
    own = doctor.create(start="2026-12-01T12:00:00Z", end="2026-12-01T13:00:00Z", summary="Lunch")
    assert events.get(own).execute()["summary"] == "Lunch"


def test_the_log_holds_what_left_the_house(google: GooglePeer, events: Any) -> None:
    events.insert(body=event(summary="Canary"), sendUpdates="none", quotaUser="q1").execute()
    google.advance(60)
    events.list().execute()
    call, later = google.calls("insert", "list")
    assert timedelta(seconds=60) <= later.at - call.at < timedelta(seconds=90)
    assert (call.calendar, call.status, call.quota_user) == (DOCTOR, 200, "q1")
    assert "Canary" in call.body
    assert call.query["sendUpdates"] == "none"


def test_callers_at_the_same_time_lose_nothing(google: GooglePeer, connect: Any) -> None:
    key = google.service_account(ROBOT)

    def push(caller: int) -> None:
        events = Bound(connect(key=key).events())
        for number in range(20):
            insert(events, id=f"cs{caller}v{number:02}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(push, range(8)))
    assert len(google.dump(DOCTOR)) == len(google.calls("insert")) == 160


def test_a_peer_in_a_process_of_its_own_is_led_over_http(connect: Any, tmp_path: Path) -> None:
    with apart(tmp_path) as peer:
        peer.calendar(DOCTOR, shared={ROBOT: "writer"})
        events = Bound(connect(key=peer.service_account(ROBOT), url=peer.url).events())
        peer.fault("status", "insert", nth=1)
        assert refused(events.insert(body=event())) == (503, "backendError")
        insert(events)
        peer.doctor(DOCTOR).move("cs001", minutes=15)
        assert peer.dump(DOCTOR)[0]["start"]["dateTime"] == "2026-12-01T09:15:00+00:00"
        assert [call["status"] for call in peer.calls("insert")] == [503, 200]
        with pytest.raises(ValueError, match="no_such"):
            peer.no_such()
