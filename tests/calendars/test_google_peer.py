"""The peer is worth trusting only where Google's own client is answered as Google would."""

from __future__ import annotations

import http.client
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from random import Random
from time import time
from typing import Any

import httplib2
import httpx
import jwt
import pytest
from google.auth.exceptions import RefreshError
from google.oauth2.credentials import Credentials
from google_auth_httplib2 import Request
from google_peer.faults import Rule
from google_peer.peer import GooglePeer
from google_peer.remote import apart
from googleapiclient.errors import HttpError
from googleapiclient.http import BatchHttpRequest

ROBOT, DOCTOR = "relay@riverside.example", "acar@riverside.example"
EVENTS = "https://www.googleapis.com/auth/calendar.events"
PRIVATE = {"private": {"csRef": "r1", "csInst": "i1"}}


def event(**more: Any) -> dict[str, Any]:
    return {
        "id": "cs001",
        "summary": "Appointment",
        "start": {"dateTime": "2026-12-01T09:00:00Z"},
        "end": {"dateTime": "2026-12-01T09:30:00Z", "timeZone": "Europe/Berlin"},
        "visibility": "private",
        "extendedProperties": PRIVATE,
        **more,
    }


def refused(request: Any) -> tuple[int, str]:
    with pytest.raises(HttpError) as caught:
        request.execute()
    return caught.value.status_code, caught.value.error_details[0]["reason"]


@pytest.fixture
def events(connect: Any) -> Any:
    return Bound(connect().events())


class Bound:
    """The events of one calendar, so that tests need not name it."""

    def __init__(self, of: Any, calendar: str = DOCTOR) -> None:
        self._of, self._calendar = of, calendar

    def __getattr__(self, name: str) -> Any:
        def ask(event_id: str | None = None, body: Any = None, **more: Any) -> Any:
            said = {"eventId": event_id, "body": body}
            given = {key: value for key, value in said.items() if value is not None}
            return getattr(self._of, name)(calendarId=self._calendar, **given, **more)

        return ask


def insert(events: Any, **more: Any) -> Any:
    return events.insert(body=event(**more)).execute()


# --- tokens --------------------------------------------------------------------------------------


def test_one_token_serves_many_calls(google: GooglePeer, events: Any) -> None:
    insert(events)
    events.get("cs001").execute()
    assert [call.operation for call in google.calls()] == ["token", "insert", "get"]
    assert {call.account for call in google.calls("insert", "get")} == {ROBOT}


def grant_error(connect: Any, **said: Any) -> tuple[str, str]:
    with pytest.raises(RefreshError) as caught:
        connect(**said).events().list(calendarId=DOCTOR).execute()
    details = caught.value.args[1]
    return details["error"], details["error_description"]


def test_a_key_that_was_replaced_is_refused(google: GooglePeer, connect: Any) -> None:
    old = google.service_account(ROBOT)
    google.service_account(ROBOT, key=1)
    assert grant_error(connect, key=old) == ("invalid_grant", "Invalid JWT Signature.")


def test_an_account_that_is_gone_is_not_found(google: GooglePeer, connect: Any) -> None:
    key = google.service_account(ROBOT)
    google.disable(ROBOT)
    assert grant_error(connect, key=key) == ("invalid_grant", "Invalid grant: account not found")


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_clock_that_is_off_is_refused_either_way(
    google: GooglePeer, connect: Any, hours: int
) -> None:
    google.skew(hours * 3600)
    error, why = grant_error(connect)
    assert error == "invalid_grant"
    assert why.startswith("Invalid JWT: Token must be a short-lived token (60 minutes)")


def test_an_assertion_is_for_an_hour_and_for_the_token_endpoint(google: GooglePeer) -> None:
    key, now = google.service_account(ROBOT), int(time())
    claims = {"iss": ROBOT, "scope": EVENTS, "aud": key["token_uri"], "iat": now, "exp": now + 3600}

    def status(**other: Any) -> int:
        signed = jwt.encode({**claims, **other}, key["private_key"], "RS256")
        kind = "urn:ietf:params:oauth:grant-type:jwt-bearer"
        form = {"grant_type": kind, "assertion": signed}
        return httpx.post(key["token_uri"], data=form).status_code

    assert status() == 200
    assert status(exp=now + 3601) == 400
    assert status(aud="https://elsewhere.example/token") == 400


def test_speaking_for_a_doctor_needs_delegation_of_every_scope(
    google: GooglePeer, connect: Any
) -> None:
    key = google.service_account(ROBOT)
    assert grant_error(connect, key=key, subject=DOCTOR)[0] == "unauthorized_client"
    key = google.service_account(ROBOT, delegated=(EVENTS,))
    both = (EVENTS, "https://www.googleapis.com/auth/calendar.readonly")
    assert grant_error(connect, key=key, subject=DOCTOR, scopes=both)[0] == "unauthorized_client"
    nobody = grant_error(connect, key=key, subject="nobody@riverside.example")
    assert nobody == ("invalid_grant", "Invalid email or User ID")
    insert(Bound(connect(key=key, subject=DOCTOR).events()))
    assert google.dump(DOCTOR)[0]["creator"]["email"] == DOCTOR
    assert google.peaks()[f"user {ROBOT}"] == 1


def test_a_scope_that_is_missing_is_told_apart_from_one_that_is_too_small(
    google: GooglePeer, connect: Any
) -> None:
    too_small = Bound(connect(scopes=(f"{EVENTS}.readonly",)).events())
    assert refused(too_small.insert(body=event())) == (403, "insufficientPermissions")
    assert refused(connect().calendars().get(calendarId=DOCTOR))[1] == "insufficientPermissions"
    assert grant_error(connect, scopes=("",))[0] == "invalid_scope"


def test_a_refresh_token_works_until_it_is_revoked(google: GooglePeer) -> None:
    # Not from_authorized_user_info: that asks Google itself, whatever token_uri the file names.
    file = google.authorized_user(DOCTOR)
    del file["type"]
    person = Credentials(None, **file)
    transport = Request(httplib2.Http())
    person.refresh(transport)
    assert person.token
    google.revoke()
    with pytest.raises(RefreshError, match="expired or revoked"):
        person.refresh(transport)
    transport.http.close()


def test_the_client_gets_a_new_token_when_the_old_one_is_expired(
    google: GooglePeer, events: Any
) -> None:
    insert(events)
    google.expire_tokens()
    events.get("cs001").execute()
    assert [call.status for call in google.calls("get")] == [401, 200]
    assert len(google.calls("token")) == 2


# --- events --------------------------------------------------------------------------------------


def test_times_come_back_in_the_calendars_zone(events: Any) -> None:
    made = insert(events)
    assert made["start"] == {"dateTime": "2026-12-01T10:00:00+01:00", "timeZone": "Europe/Berlin"}
    asked = events.get("cs001", timeZone="Asia/Tokyo").execute()
    assert asked["start"]["dateTime"] == "2026-12-01T18:00:00+09:00"


@pytest.mark.parametrize("name", ["abcd", "csx-1", "CS001", "csxyz", "c" * 1025])
def test_ids_are_base32hex(events: Any, name: str) -> None:
    assert refused(events.insert(body=event(id=name))) == (400, "invalid")


def test_an_id_is_taken_for_good(google: GooglePeer, events: Any) -> None:
    insert(events)
    assert refused(events.insert(body=event())) == (409, "duplicate")
    events.delete("cs001").execute()
    assert events.get("cs001").execute()["status"] == "cancelled"
    assert events.get("cs001").execute()["summary"] == "Appointment"
    assert refused(events.delete("cs001")) == (410, "deleted")
    assert refused(events.insert(body=event())) == (409, "duplicate")
    google.purge(DOCTOR)
    assert refused(events.get("cs001")) == (404, "notFound")
    insert(events)


@pytest.mark.parametrize("verb", ["update", "patch"])
def test_what_was_deleted_comes_back_only_where_that_is_allowed(
    google: GooglePeer, events: Any, verb: str
) -> None:
    insert(events)
    events.delete("cs001").execute()
    body = event(status="confirmed")
    google.switch(undelete=False)
    assert refused(getattr(events, verb)("cs001", body)) == (403, "forbidden")
    google.switch(undelete=True)
    assert getattr(events, verb)("cs001", body).execute()["status"] == "confirmed"


def test_a_write_to_an_older_version_is_refused_and_changes_nothing(
    google: GooglePeer, events: Any
) -> None:
    request = events.patch("cs001", {"summary": "Video visit"})
    request.headers["If-Match"] = insert(events)["etag"]
    google.doctor(DOCTOR).move("cs001", minutes=30)
    before = google.dump(DOCTOR)
    assert refused(request) == (412, "conditionNotMet")
    assert google.dump(DOCTOR) == before
    request = events.patch("cs001", {"summary": "Video visit"})
    request.headers["If-Match"] = before[0]["etag"]
    assert request.execute()["start"]["dateTime"] == "2026-12-01T10:30:00+01:00"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"start": None}, "required"),
        ({"start": {"dateTime": "2026-12-01T09:00:00"}}, "invalid"),
        ({"start": {"dateTime": "2026-12-01T09:00:00", "timeZone": "CET+1"}}, "invalid"),
        ({"start": {"dateTime": "tomorrow"}}, "invalid"),
        ({"start": {"date": "2026-12-01"}}, "invalid"),
        ({"start": {"date": "2026-12-01", "dateTime": "2026-12-01T09:00:00Z"}}, "invalid"),
        ({"start": {"dateTime": "2026-12-01T10:00:00Z"}}, "timeRangeEmpty"),
        ({"colorId": "12"}, "invalid"),
        ({"extendedProperties": {"private": {"n": 1}}}, "invalid"),
        ({"extendedProperties": {"private": {f"n{n}": "" for n in range(301)}}}, "invalid"),
    ],
)
def test_what_is_wrong_is_refused_and_leaves_no_trace(
    google: GooglePeer, events: Any, wrong: dict[str, Any], reason: str
) -> None:
    assert refused(events.insert(body=event(**wrong))) == (400, reason)
    assert google.dump(DOCTOR) == []


def test_put_replaces_and_patch_merges(google: GooglePeer, events: Any) -> None:
    insert(events, location="Room 1")
    google.doctor(DOCTOR).edit("cs001", attendees=[{"email": "braun@riverside.example"}])
    google.doctor(DOCTOR).edit("cs001", colorId="5")
    shared = {"private": {"csRef": None, "csGen": "2"}}
    merged = events.patch("cs001", {"location": None, "extendedProperties": shared}).execute()
    assert "location" not in merged
    assert (merged["colorId"], len(merged["attendees"])) == ("5", 1)
    assert merged["extendedProperties"] == {"private": {"csInst": "i1", "csGen": "2"}}
    replaced = events.update("cs001", event()).execute()
    assert not {"attendees", "colorId"} & replaced.keys()
    assert google.mails() == []


def test_a_sequence_only_grows_and_a_status_is_never_nothing(events: Any) -> None:
    insert(events, sequence=4)
    assert refused(events.patch("cs001", {"sequence": 3})) == (400, "invalid")
    later = {"dateTime": "2026-12-01T09:45:00Z"}
    changed = events.patch("cs001", {"end": later, "status": None}).execute()
    assert (changed["sequence"], changed["status"]) == (5, "confirmed")


def test_a_whole_day_needs_the_times_cleared(events: Any) -> None:
    insert(events)
    days = {"start": {"date": "2026-12-01"}, "end": {"date": "2026-12-02"}}
    assert refused(events.patch("cs001", days)) == (400, "invalid")
    clear = {"dateTime": None, "timeZone": None}
    cleared = {name: {**day, **clear} for name, day in days.items()}
    assert events.patch("cs001", cleared).execute()["start"] == {"date": "2026-12-01"}


def test_long_properties_are_cut_and_long_names_dropped(events: Any) -> None:
    made = insert(events, extendedProperties={"private": {"a": "x" * 2000, "b" * 45: "lost"}})
    assert made["extendedProperties"] == {"private": {"a": "x" * 1024}}


def test_a_bare_account_invites_nobody_and_opens_no_meetings(events: Any) -> None:
    guests = event(attendees=[{"email": "braun@riverside.example"}])
    assert refused(events.insert(body=guests)) == (403, "forbiddenForServiceAccounts")
    asking = events.insert(body=event(conferenceData=meet("q1")), conferenceDataVersion=1)
    with pytest.raises(HttpError, match="Invalid conference type value"):
        asking.execute()
    assert "conferenceData" not in insert(events, conferenceData=meet("q1"))


def meet(request: str) -> dict[str, Any]:
    key = {"type": "hangoutsMeet"}
    return {"createRequest": {"requestId": request, "conferenceSolutionKey": key}}


@pytest.fixture
def speaking_for_the_doctor(google: GooglePeer, connect: Any) -> Any:
    key = google.service_account(ROBOT, delegated=(EVENTS,))
    return Bound(connect(key=key, subject=DOCTOR).events())


def test_a_meeting_is_opened_once_for_a_request(
    google: GooglePeer, speaking_for_the_doctor: Any
) -> None:
    events = speaking_for_the_doctor
    google.switch(meet_pending=True)
    body = event(conferenceData=meet("q1"))
    made = events.insert(body=body, conferenceDataVersion=1).execute()
    assert made["conferenceData"]["createRequest"]["status"]["statusCode"] == "pending"
    assert "hangoutLink" not in made
    google.open_meetings()
    opened = events.get("cs001").execute()
    assert opened["hangoutLink"] == opened["conferenceData"]["entryPoints"][0]["uri"]
    again = events.patch("cs001", body, conferenceDataVersion=1).execute()
    assert again["conferenceData"] == opened["conferenceData"]


def test_reminders_belong_to_whoever_set_them(
    google: GooglePeer, events: Any, speaking_for_the_doctor: Any
) -> None:
    made = insert(events)
    alarms = [{"method": "popup", "minutes": 99999}] * 2 + [{"method": "sms", "minutes": 5}]
    body = {"reminders": {"useDefault": False, "overrides": alarms}}
    mine = events.patch("cs001", body).execute()
    assert mine["reminders"]["overrides"] == [{"method": "popup", "minutes": 40320}]
    assert (mine["etag"] != made["etag"], mine["updated"]) == (True, made["updated"])
    assert speaking_for_the_doctor.get("cs001").execute()["reminders"] == {"useDefault": True}
    assert events.update("cs001", event()).execute()["reminders"] == {"useDefault": True}


def test_guests_are_mailed_only_when_asked_for(
    google: GooglePeer, speaking_for_the_doctor: Any
) -> None:
    guests = event(attendees=[{"email": "braun@riverside.example"}])
    speaking_for_the_doctor.insert(body=guests).execute()
    assert google.mails() == []
    speaking_for_the_doctor.delete("cs001", sendUpdates="all").execute()
    assert [mail["to"] for mail in google.mails()] == ["braun@riverside.example"]


# --- roles ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "details", "writes"),
    [
        ("owner", "both", "both"),
        ("writer", "both", "both"),
        ("writerWithoutPrivateAccess", "public", "public"),
        ("reader", "public", "none"),
        ("freeBusyReader", "none", "none"),
    ],
)
def test_a_role_says_what_is_seen_and_written_of_events(
    google: GooglePeer, events: Any, role: str, details: str, writes: str
) -> None:
    insert(events)
    insert(events, id="cs002", visibility="default")
    google.share(DOCTOR, ROBOT, role)
    assert events.list().execute()["accessRole"] == role
    for name, also in (("cs001", "both"), ("cs002", "public")):
        assert ("summary" in events.get(name).execute()) is (details in ("both", also))
        patch = events.patch(name, {"summary": "Phone visit"})
        if writes in ("both", also):
            patch.execute()
        else:
            assert refused(patch) == (403, "requiredAccessLevel")


def test_a_calendar_that_is_not_shared_does_not_exist(google: GooglePeer, events: Any) -> None:
    insert(events)
    google.share(DOCTOR, ROBOT, None)
    for request in (events.get("cs001"), events.list(), events.insert(body=event(id="cs002"))):
        assert refused(request) == (404, "notFound")


def test_the_role_without_private_access_looks_like_success_on_insert(
    google: GooglePeer, events: Any
) -> None:
    google.share(DOCTOR, ROBOT, "writerWithoutPrivateAccess")
    assert "extendedProperties" not in insert(events)
    assert google.dump(DOCTOR)[0]["extendedProperties"] == PRIVATE


def test_primary_is_the_accounts_own_empty_calendar(google: GooglePeer, connect: Any) -> None:
    Bound(connect().events(), "primary").insert(body=event()).execute()
    assert (google.dump(DOCTOR), len(google.dump(ROBOT))) == ([], 1)


def test_a_shared_calendar_is_described_but_in_no_list(connect: Any) -> None:
    service = connect(scopes=("https://www.googleapis.com/auth/calendar",))
    assert service.calendars().get(calendarId=DOCTOR).execute()["timeZone"] == "Europe/Berlin"
    assert refused(service.calendarList().get(calendarId=DOCTOR)) == (404, "notFound")


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


def batched(google: GooglePeer, requests: dict[str, Any]) -> dict[str, Any]:
    """Return by name a status, or what came back."""
    answers: dict[str, Any] = {}

    def keep(name: str, answer: Any, error: HttpError | None) -> None:
        answers[name] = error.status_code if error else answer

    batch = BatchHttpRequest(keep, batch_uri=f"{google.url}/batch/calendar/v3")
    for name, request in requests.items():
        batch.add(request, request_id=name)
    batch.execute()
    return answers


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
