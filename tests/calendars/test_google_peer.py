"""The peer is worth trusting only where Google's own client is answered as Google would."""

from __future__ import annotations

from time import time
from typing import Any

import httplib2
import httpx
import jwt
import pytest
from google.auth.exceptions import RefreshError
from google.oauth2.credentials import Credentials
from google_auth_httplib2 import Request
from google_peer.peer import GooglePeer
from googleapiclient.errors import HttpError

from tests.calendars.google_client import (
    DOCTOR,
    EVENTS,
    PRIVATE,
    ROBOT,
    Bound,
    event,
    grant_error,
    insert,
    refused,
)

# --- tokens --------------------------------------------------------------------------------------


def test_one_token_serves_many_calls(google: GooglePeer, events: Any) -> None:
    insert(events)
    events.get("cs001").execute()
    assert [call.operation for call in google.calls()] == ["token", "insert", "get"]
    assert {call.account for call in google.calls("insert", "get")} == {ROBOT}


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
