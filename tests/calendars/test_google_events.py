"""What an event says in Google: its times, meeting, alarms, marks, and what is kept from everybody.

CAL-11, 21, 22, 30, 31, 33 and 37 at the wire.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google_peer import checks
from google_peer.peer import GooglePeer

from clinicrelay import EventWrite, Hand, Outcome
from clinicrelay.testing import NOW
from tests.calendars.conftest import DOCTOR, Ours, accepted, asked, live, many, write

HALF_AN_HOUR = timedelta(minutes=30)


def instants(event: dict[str, Any]) -> tuple[datetime, ...]:
    return tuple(datetime.fromisoformat(event[end]["dateTime"]) for end in ("start", "end"))


# --- times (CAL-37) ------------------------------------------------------------------------------

TIMES = {
    "zero length": ("2026-12-01T09:00Z", "2026-12-01T09:00Z", "Europe/Berlin"),
    "a whole day": ("2026-11-30T23:00Z", "2026-12-01T23:00Z", "Europe/Berlin"),
    "over midnight": ("2026-12-01T22:30Z", "2026-12-01T23:30Z", "Europe/Berlin"),
    "first half of a fold": ("2026-10-25T00:30Z", "2026-10-25T01:30Z", "Europe/Berlin"),
    "second half of a fold": ("2026-10-25T01:30Z", "2026-10-25T02:00Z", "Europe/Berlin"),
    "across a gap": ("2027-03-28T00:45Z", "2027-03-28T01:15Z", "Europe/Berlin"),
    "a gap of half an hour": ("2026-10-03T15:15Z", "2026-10-03T15:45Z", "Australia/Lord_Howe"),
    "a zone with a new name": ("2026-12-01T09:00Z", "2026-12-01T09:30Z", "Europe/Kyiv"),
    "a zone with an old name": ("2026-12-01T09:00Z", "2026-12-01T09:30Z", "Asia/Calcutta"),
    "a zone that is none": ("2026-12-01T09:00Z", "2026-12-01T09:30Z", "Mars/Base"),
}


@pytest.mark.parametrize("kind", TIMES)
def test_every_kind_of_time_is_taken_and_shown_to_the_second(
    google: GooglePeer, ours: Ours, kind: str
) -> None:
    """CAL-37."""
    start, end = (datetime.fromisoformat(at) for at in TIMES[kind][:2])
    wanted = write(start=start, end=end, timezone=TIMES[kind][2])
    assert accepted(ours.put(wanted))
    (event,) = live(google)
    assert instants(event) == (start, end)
    before = google.dump(DOCTOR)
    assert accepted(ours.put(wanted))
    assert google.dump(DOCTOR) == before
    assert [one.hand for one in ours.look().sightings] == []


def test_a_zone_that_google_does_not_know_yet_is_left_out(
    google: GooglePeer, ours: Ours, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CAL-37."""
    monkeypatch.setattr(checks, "ZONES", checks.ZONES - {"Europe/Kyiv"})
    wanted = write(timezone="Europe/Kyiv")
    assert accepted(ours.put(wanted))
    assert accepted(ours.put(write(timezone="Europe/Kyiv", start=NOW + timedelta(days=2))))
    (event,) = live(google)
    assert instants(event)[0] == NOW + timedelta(days=2)
    assert [call.status for call in google.calls("insert", "patch")] == [400, 200, 400, 200]


def test_an_end_before_the_start_is_not_passed_on(google: GooglePeer, ours: Ours) -> None:
    assert accepted(ours.put(write(end=NOW)))
    assert instants(live(google)[0]) == (NOW + timedelta(days=1),) * 2


def test_a_doctor_who_makes_a_whole_day_of_it_has_moved_it_and_is_put_back(
    google: GooglePeer, ours: Ours
) -> None:
    ours.put(write())
    day = {"date": "2026-11-24", "dateTime": None, "timeZone": None}
    next_day = {**day, "date": "2026-11-25"}
    google.doctor(DOCTOR).edit(live(google)[0]["id"], start=day, end=next_day)
    assert ours.once(write(title="Video visit")).hand is Hand.MOVED
    assert accepted(ours.put(write(title="Video visit")))
    assert instants(live(google)[0])[0] == NOW + timedelta(days=1)


def test_an_event_without_a_time_is_refused_and_the_others_are_written(
    google: GooglePeer, ours: Ours
) -> None:
    results = ours.put(EventWrite("r0", put=True, title="x"), *many(2))
    assert [(one.outcome, one.reason) for one in results] == [
        (Outcome.REJECTED, "no_start"),
        (Outcome.ACCEPTED, ""),
        (Outcome.ACCEPTED, ""),
    ]


# --- meetings (CAL-30) ---------------------------------------------------------------------------


@pytest.fixture
def meeting(reach_google: Callable[..., Ours]) -> Ours:
    return reach_google(mode="delegated", meet=True)


def links(google: GooglePeer) -> list[str | None]:
    return [event.get("hangoutLink") for event in live(google)]


@pytest.mark.parametrize("pending", [False, True])
def test_a_video_visit_has_one_meeting_that_stays_when_it_moves_and_goes_with_it(
    google: GooglePeer, meeting: Ours, pending: bool
) -> None:
    """CAL-30."""
    google.switch(meet_pending=pending)
    assert accepted(meeting.put(write(video=True), write("r2", video=True), write("r3")))
    if pending:
        assert links(google) == [None, None, None]
        google.open_meetings()
        assert [one.hand for one in meeting.look().sightings if one.hand] == []
    first, second, none = links(google)
    assert None not in (first, second)
    assert (first != second, none) == (True, None)
    later = write(video=True, start=NOW + timedelta(days=3))
    assert accepted(meeting.put(later))
    meeting.memos.clear()
    assert accepted(meeting.put(later))
    assert links(google)[0] == first
    assert accepted(meeting.put(write(start=NOW + timedelta(days=3), title="In person")))
    assert links(google) == [None, second, None]


def test_a_meeting_that_is_still_pending_goes_when_the_visit_is_no_longer_by_video(
    google: GooglePeer, meeting: Ours
) -> None:
    """CAL-30."""
    google.switch(meet_pending=True)
    meeting.put(write(video=True))
    meeting.put(write(title="In person"))
    google.open_meetings()
    assert links(google) == [None]


def test_a_meeting_comes_and_goes_where_nothing_else_of_the_event_changes(
    google: GooglePeer, meeting: Ours
) -> None:
    """CAL-30: at the level of detail that calls every visit the same."""
    for video in (False, True, False):
        assert accepted(meeting.put(write(title="Busy", video=video)))
        assert (links(google) != [None]) == video


def test_a_meeting_that_the_doctor_made_stays(google: GooglePeer, meeting: Ours) -> None:
    """CAL-09: also where the visit is none by video, or no longer one."""
    own = {"requestId": "own", "conferenceSolutionKey": {"type": "hangoutsMeet"}}
    for n, (video, later) in enumerate([(False, False), (True, True), (True, False)]):
        ref = f"r{n}"
        meeting.put(write(ref, video=video))
        event = meeting.memos[ref]["id"]
        google.doctor(DOCTOR).edit(event, conferenceData={"createRequest": own})
        meeting.look()
        (made,) = (link for link in links(google) if link)
        assert accepted(meeting.put(write(ref, start=NOW + timedelta(days=3), video=later)))
        assert links(google) == [made]
        assert accepted([meeting.once(EventWrite(ref, put=False))])


def test_a_visit_that_is_by_video_again_asks_for_another_meeting(
    google: GooglePeer, meeting: Ours
) -> None:
    """Google ignores a wish that it knows (reference, Events: `createRequest.requestId`)."""
    for n, video in enumerate((True, False, True)):
        assert accepted(meeting.put(write(video=video, sequence=n)))
    wishes = [
        json.loads(call.body)["conferenceData"]["createRequest"]["requestId"]
        for call in [*google.calls("insert"), *google.calls("patch")]
        if "requestId" in call.body
    ]
    assert len(wishes) == len(set(wishes)) == 2
    assert links(google) != [None]


@pytest.mark.parametrize("said", [{}, {"meet": True}, {"mode": "delegated"}])
def test_no_meeting_is_asked_for_where_none_can_be_or_was_wanted(
    google: GooglePeer, reach_google: Callable[..., Ours], said: dict[str, Any]
) -> None:
    """CAL-30."""
    assert accepted(reach_google(**said).put(write(video=True)))
    (call,) = google.calls("insert")
    assert "conferenceData" not in call.body
    assert "conferenceDataVersion" not in call.query


# --- alarms (CAL-31) -----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["shared", "delegated"])
def test_alarms_ring_on_the_doctors_phone_or_are_not_sent_at_all(
    google: GooglePeer, reach_google: Callable[..., Ours], mode: str
) -> None:
    """CAL-31."""
    ours = reach_google(mode=mode, reminders=["10m", "1h"])
    ours.put(write())
    alarms = live(google)[0]["reminders"]
    if mode == "shared":
        assert alarms == {}
    else:
        minutes = [one["minutes"] for one in alarms[DOCTOR]["overrides"]]
        assert sorted(minutes) == [10, 60]
    own = {"useDefault": False, "overrides": [{"method": "popup", "minutes": 3}]}
    google.doctor(DOCTOR).edit(live(google)[0]["id"], reminders=own)
    assert [one.hand for one in ours.look().sightings if one.hand] == []
    assert accepted(ours.put(write(title="Video visit")))
    assert live(google)[0]["reminders"][DOCTOR] == own
    changes = google.calls("patch") + (google.calls("insert") if mode == "shared" else [])
    assert not any("reminders" in call.body for call in changes)


def test_no_alarm_at_all_can_be_wanted_too(
    google: GooglePeer, reach_google: Callable[..., Ours]
) -> None:
    reach_google(mode="delegated", reminders=[]).put(write())
    assert live(google)[0]["reminders"][DOCTOR] == {"useDefault": False}


# --- what is nobody else's business (CAL-11, CAL-29, CAL-33) -------------------------------------


def fill(google: GooglePeer) -> list[dict[str, Any]]:
    """Give the doctor a life of their own; return it."""
    doctor = google.doctor(DOCTOR)
    for n in range(20):
        at = datetime(2026, 12, 1 + n, 18, tzinfo=UTC)
        times = {"start": at.isoformat(), "end": (at + HALF_AN_HOUR).isoformat()}
        doctor.create(**times, summary=f"CANARY {n}", description="CANARY", visibility="private")
    doctor.create(
        start="2026-12-01T06:00:00Z",
        end="2026-12-01T07:00:00Z",
        summary="CANARY",
        recurrence=["RRULE:FREQ=WEEKLY"],
    )
    return google.dump(DOCTOR)


def test_a_doctors_own_events_are_neither_read_nor_touched(google: GooglePeer, ours: Ours) -> None:
    """CAL-11."""
    own = fill(google)
    google.switch(page_cap=7)
    for turn in range(3):
        ours.put(*(write(one.ref, start=one.start, title=f"Turn {turn}") for one in many(20)))
        look = ours.look()
        assert [one.hand for one in look.sightings] == []
    ours.put(*(EventWrite(one.ref, put=False) for one in many(20)))
    kept = {event["id"]: event for event in google.dump(DOCTOR)}
    assert [kept[event["id"]] for event in own] == own
    ids = {event["id"] for event in own}
    assert not any(call.event in ids for call in google.calls())
    for call in google.calls("list"):
        assert not any(word in call.query["fields"] for word in ("summary", "description", "*"))
        assert "items(id,etag,status," in call.query["fields"] or call.query["maxResults"] == "1"


def test_every_event_is_private_and_busy_and_mails_nobody(
    google: GooglePeer, reach_google: Callable[..., Ours]
) -> None:
    """CAL-29, CAL-33."""
    for mode in ("shared", "delegated"):
        ours = reach_google(mode=mode)
        ours.put(*many(60))
        event = live(google)[0]["id"]
        google.doctor(DOCTOR).edit(event, attendees=[{"email": "guest@riverside.example"}])
        google.doctor(DOCTOR).edit(event, visibility="public", transparency="transparent")
        ours.put(*(write(one.ref, start=one.start, title=mode) for one in many(60)))
        assert {(e["visibility"], e["transparency"]) for e in live(google)} == {
            ("private", "opaque")
        }
        ours.put(*(EventWrite(one.ref, put=False) for one in many(60)))
    writes = google.calls("insert", "patch", "delete")
    assert {call.query["sendUpdates"] for call in writes} == {"none"}
    assert google.mails() == []


def test_marks_are_few_short_and_mean_nothing_to_anybody(google: GooglePeer, ours: Ours) -> None:
    ours.put(write("f00dfeed", title="Video visit", location="Main site"))
    marks = live(google)[0]["extendedProperties"]["private"]
    assert set(marks) == {"csApp", "csRef", "csInst", "csGen", "csVer", "csHash"}
    assert marks["csRef"] == "f00dfeed"
    said = json.dumps(marks)
    assert not any(word in said for word in ("Video", "Main", "Booked", "2026", "acar"))


# --- looking (CAL-21, CAL-22) --------------------------------------------------------------------


def test_a_list_in_many_pages_is_read_to_its_end_and_gone_on_from(
    google: GooglePeer, ours: Ours
) -> None:
    """CAL-22."""
    ours.put(*many(60))
    google.switch(page_cap=7)
    look = ours.look()
    assert look.sightings == []
    google.forget_calls()
    google.doctor(DOCTOR).move(live(google)[50]["id"], minutes=30)
    assert [one.hand for one in ours.look(look.cursor).sightings] == [Hand.MOVED]
    assert asked(google) == ["list", "get"]


@pytest.mark.parametrize("death", ["killed", "a week", "access", "purge"])
def test_a_dead_token_is_no_trouble_and_loses_nothing(
    google: GooglePeer, ours: Ours, death: str
) -> None:
    """CAL-21."""
    ours.put(*many(20))
    look = ours.look()
    google.doctor(DOCTOR).move(live(google)[3]["id"], minutes=30)
    google.doctor(DOCTOR).delete(live(google)[4]["id"])
    deaths: dict[str, Callable[[], None]] = {
        "killed": lambda: google.kill_sync_tokens(DOCTOR),
        "a week": lambda: google.advance(8 * 86_400),
        "access": lambda: google.share(DOCTOR, "nurse@riverside.example", "reader"),
        "purge": lambda: google.purge(DOCTOR),
    }
    deaths[death]()
    google.forget_calls()
    after = ours.look(look.cursor)
    gone = Hand.MISSING if death == "purge" else Hand.DELETED
    assert sorted(str(one.hand) for one in after.sightings) == sorted([gone, Hand.MOVED])
    assert after.cursor
    assert after.cursor != look.cursor
    assert not google.calls("insert", "patch", "delete")


def test_a_list_that_breaks_off_counts_for_nothing(google: GooglePeer, ours: Ours) -> None:
    ours.put(*many(20))
    google.switch(page_cap=7)
    google.fault("status", "list", status=403, reason="accessNotConfigured", nth=3)
    look = ours.look()
    assert look.trouble is not None
    assert (look.sightings, look.cursor) == ((), None)


def test_what_cannot_be_read_now_is_not_passed_over(google: GooglePeer, ours: Ours) -> None:
    ours.put(*many(3))
    first = ours.look()
    google.doctor(DOCTOR).move(live(google)[0]["id"], minutes=30)
    google.fault("status", "get")
    look = ours.look(first.cursor)
    assert look.trouble is not None
    assert look.cursor is None
    google.heal()
    assert [one.hand for one in ours.look(first.cursor).sightings] == [Hand.MOVED]


@pytest.mark.parametrize("whole", [False, True])
def test_a_write_whose_answer_nobody_kept_is_no_doctors_hand(
    google: GooglePeer, ours: Ours, whole: bool
) -> None:
    """CAL-04: killed between the write and the note of it."""
    ours.put(write())
    cursor = ours.look().cursor
    kept = dict(ours.memos)
    ours.put(write(start=NOW + timedelta(days=3)))
    ours.memos = kept
    assert [one.hand for one in ours.look(None if whole else cursor).sightings] == [None]
    later = write(start=NOW + timedelta(days=4))
    assert (ours.once(later).hand, instants(live(google)[0])[0]) == (None, later.start)


def test_events_of_another_installation_are_counted_and_not_taken_for_ours(
    google: GooglePeer, reach_google: Callable[..., Ours], ours: Ours
) -> None:
    """CAL-44: by a name that tells nothing, tombstones not counted."""
    other = reach_google(own={"instance_key": b"another clinic's"})
    other.put(*many(3))
    other.put(EventWrite("r000", put=False))
    ours.put(write())
    look = ours.look()
    assert look.sightings == []
    assert list(look.strangers.values()) == [2]
    assert len(live(google)) == 3
