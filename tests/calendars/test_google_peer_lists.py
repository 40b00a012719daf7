"""Lists and batches of the peer, as Google's own client asks for them."""

from __future__ import annotations

from typing import Any

import pytest
from google_peer.peer import GooglePeer
from googleapiclient.errors import HttpError

from tests.calendars.google_client import DOCTOR, ROBOT, batched, event, insert, refused

# --- lists ---------------------------------------------------------------------------------------


def pages(events: Any, **said: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return all items, and the last page."""
    items, answer = [], {"nextPageToken": None}
    while "nextPageToken" in answer:
        answer = events.list(**said, pageToken=answer["nextPageToken"]).execute()
        assert ("nextSyncToken" in answer) is ("nextPageToken" not in answer)
        items += answer["items"]
    return items, answer


def test_a_list_comes_in_pages_and_goes_on_from_its_last(google: GooglePeer, events: Any) -> None:
    for number in range(7):
        insert(events, id=f"cs00{number}")
    google.switch(page_cap=3)
    items, last = pages(events, maxResults=5)
    assert sorted(item["id"] for item in items) == [f"cs00{number}" for number in range(7)]
    doctor = google.doctor(DOCTOR)
    doctor.move("cs001", minutes=15)
    doctor.delete("cs002")
    news, later = pages(events, syncToken=last["nextSyncToken"])
    assert {n["id"]: n["status"] for n in news} == {"cs001": "confirmed", "cs002": "cancelled"}
    assert pages(events, syncToken=later["nextSyncToken"])[0] == []


def test_what_changes_between_two_pages_comes_with_the_next_list(
    google: GooglePeer, events: Any
) -> None:
    for number in range(3):
        insert(events, id=f"cs00{number}")
    first = events.list(maxResults=2).execute()
    google.doctor(DOCTOR).move("cs000", minutes=15)
    last = events.list(maxResults=2, pageToken=first["nextPageToken"]).execute()
    news, _ = pages(events, syncToken=last["nextSyncToken"])
    assert [item["id"] for item in news] == ["cs000"]


@pytest.mark.parametrize("death", ["killed", "shared", "purged", "old", "garbage"])
def test_a_sync_token_dies_of_many_things(google: GooglePeer, events: Any, death: str) -> None:
    insert(events)
    token = events.list().execute()["nextSyncToken"]
    if death == "killed":
        google.kill_sync_tokens(DOCTOR)
    elif death == "shared":
        google.share(DOCTOR, "braun@riverside.example", "reader")
    elif death == "purged":
        google.purge(DOCTOR)
    elif death == "old":
        google.advance(8 * 86400)
    else:
        token = "x" + token
    assert refused(events.list(syncToken=token)) == (410, "fullSyncRequired")


def test_nobody_knows_what_two_constraints_mean(events: Any) -> None:
    both = events.list(privateExtendedProperty=["csInst=i1", "csRef=r1"])
    assert refused(both) == (400, "invalidParameter")


@pytest.mark.parametrize(
    "other",
    [
        {"privateExtendedProperty": "csInst=i1"},
        {"timeMin": "2026-12-01T00:00:00Z"},
        {"showDeleted": False},
    ],
)
def test_some_parameters_exclude_a_sync_token(events: Any, other: dict[str, Any]) -> None:
    token = events.list().execute()["nextSyncToken"]
    assert refused(events.list(syncToken=token, **other)) == (400, "invalid")


def test_a_list_is_narrowed_by_time_property_and_life(events: Any) -> None:
    insert(events)
    insert(events, id="cs002", extendedProperties={"private": {"csInst": "other"}})
    events.delete("cs002").execute()

    def ids(**said: Any) -> list[str]:
        return [item["id"] for item in events.list(**said).execute()["items"]]

    assert ids() == ["cs001"]
    assert ids(showDeleted=True) == ["cs001", "cs002"]
    assert ids(showDeleted=True, privateExtendedProperty="csInst=other") == ["cs002"]
    assert ids(timeMin="2026-12-01T09:30:00Z") == []
    assert ids(timeMin="2026-12-01T09:29:00Z", timeMax="2026-12-01T09:30:00Z") == ["cs001"]
    assert ids(timeMax="2026-12-01T09:00:00Z") == []


def test_only_the_fields_that_were_asked_for_come(events: Any) -> None:
    insert(events)
    fields = "items(id,extendedProperties/private/csRef,start(dateTime)),nextSyncToken"
    answer = events.list(fields=fields).execute()
    assert answer.keys() == {"items", "nextSyncToken"}
    start = {"dateTime": "2026-12-01T10:00:00+01:00"}
    private = {"private": {"csRef": "r1"}}
    assert answer["items"] == [{"id": "cs001", "extendedProperties": private, "start": start}]
    assert events.get("cs001", fields="id").execute() == {"id": "cs001"}
    for wrong in ("items(id", "items(ident)", "id,,etag", "nothing"):
        assert refused(events.list(fields=wrong)) == (400, "invalidParameter")
    assert refused(events.delete("cs001", fields="nothing")) == (400, "invalidParameter")
    assert events.get("cs001").execute()["status"] == "confirmed"


# --- batches -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shuffle", [False, True])
def test_every_part_of_a_batch_has_its_own_answer_in_whatever_order(
    google: GooglePeer, events: Any, shuffle: bool
) -> None:
    for number in range(3):
        insert(events, id=f"cs00{number}")
    google.switch(batch_shuffle=shuffle)
    google.forget_calls()
    stale = events.patch("cs002", {"summary": "Müller"})
    stale.headers["If-Match"] = '"1"'
    requests = {
        "new": events.insert(body=event(id="cs003", summary="Müller")),
        "taken": events.insert(body=event(id="cs000")),
        "gone": events.delete("cs001"),
        "stale": stale,
        "unknown": events.get("cs009"),
    }
    answers = batched(google, requests)
    assert answers.pop("new")["summary"] == "Müller"
    assert answers == {"taken": 409, "gone": "", "stale": 412, "unknown": 404}
    order = [call.operation for call in google.calls() if call.in_batch]
    assert (order != ["insert", "insert", "delete", "patch", "get"]) is shuffle


def test_the_later_of_two_writes_to_one_event_clashes(google: GooglePeer, events: Any) -> None:
    insert(events)
    two = {name: events.patch("cs001", {"summary": name}) for name in ("first", "later")}
    answers = batched(google, two)
    assert (answers["first"]["summary"], answers["later"]) == ("first", 409)


def test_a_batch_holds_fifty_calls_and_each_of_them_counts(google: GooglePeer, events: Any) -> None:
    events.list().execute()
    many = {str(n): events.insert(body=event(id=f"cs{n:03}")) for n in range(51)}
    with pytest.raises(HttpError, match="more than 50 calls"):
        batched(google, many)
    assert google.dump(DOCTOR) == []
    del many["50"]
    google.advance(61)
    google.limit(per_user=40)
    answers = batched(google, many)
    assert [answers[str(n)] for n in range(40, 50)] == [403] * 10
    assert len(google.dump(DOCTOR)) == google.peaks()[f"user {ROBOT}"] == 40


def test_a_part_whose_answer_is_dropped_was_done_all_the_same(
    google: GooglePeer, events: Any
) -> None:
    events.list().execute()
    google.fault("drop_part", "insert", nth=2)
    requests = {str(n): events.insert(body=event(id=f"cs00{n}")) for n in range(3)}
    with pytest.raises(KeyError):
        batched(google, requests)
    assert len(google.dump(DOCTOR)) == 3
