"""What Google may answer to a write, and what becomes of the event then.

CAL-05, 06, 09, 10, 14, 16 and 38 at the wire; answers that get lost are in
`test_google_lost_answers.py`. Where the other requirements are tested says
`tests/line/google/test_google_on_the_line.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from google_peer.peer import GooglePeer

from calendars.google.event import Identity
from clinicrelay import EventWrite, Hand, Outcome
from clinicrelay.contracts import Unpaced
from clinicrelay.testing import NOW
from tests.calendars.conftest import (
    DOCTOR,
    ROBOT,
    Ours,
    accepted,
    asked,
    batches,
    live,
    many,
    write,
)

# --- an id that is taken (CAL-03, CAL-05, CAL-06) ------------------------------------------------


def test_every_insert_has_an_id_that_only_this_installation_can_make(
    google: GooglePeer, ours: Ours
) -> None:
    """CAL-05."""
    ours.put(*many(60))
    ids = [json.loads(call.body)["id"] for call in google.calls("insert")]
    assert len(set(ids)) == 60
    assert all(re.fullmatch("cs[0-9a-v]{32}", one) for one in ids)
    other = Identity(b"another clinic's")
    assert not {other.event_id(one.ref, 0) for one in many(60)} & set(ids)


def test_a_live_event_of_ours_is_adopted_and_only_written_where_it_differs(
    google: GooglePeer, ours: Ours
) -> None:
    ours.put(write())
    ours.memos.clear()
    google.forget_calls()
    assert accepted(ours.put(write()))
    assert asked(google) == ["insert", "get"]
    ours.memos.clear()
    google.forget_calls()
    assert accepted(ours.put(write(title="Video visit")))
    assert asked(google) == ["insert", "get", "patch"]
    assert [event["summary"] for event in live(google)] == ["Video visit"]


def test_somebody_elses_event_under_our_id_is_left_alone(google: GooglePeer, ours: Ours) -> None:
    taken = Identity(b"one clinic's").event_id("r1", 0)
    moments = {"start": "2026-12-01T09:00:00Z", "end": "2026-12-01T10:00:00Z"}
    google.doctor(DOCTOR).create(id=taken, summary="Tennis", **moments)
    before = google.dump(DOCTOR)
    assert accepted(ours.put(write()))
    assert before[0] in google.dump(DOCTOR)
    assert ours.memos["r1"]["gen"] == 1


@pytest.mark.parametrize("memo_is_known", [True, False])
@pytest.mark.parametrize("case", ["may rise", "may not rise", "was purged"])
def test_a_visit_that_was_cancelled_and_booked_again_lives_once(
    google: GooglePeer, ours: Ours, case: str, memo_is_known: bool
) -> None:
    """CAL-06."""
    for turn in range(2):
        assert accepted(ours.put(write()))
        assert accepted(ours.put(EventWrite("r1", put=False)))
        assert live(google) == []
        google.switch(undelete=case != "may not rise")
        if case == "was purged":
            google.purge(DOCTOR)
        if not memo_is_known:
            ours.memos.clear()
        assert accepted(ours.put(write(title=f"Again {turn}")))
        assert [event["summary"] for event in live(google)] == [f"Again {turn}"]


def test_a_new_generation_is_told_before_it_is_written(google: GooglePeer, ours: Ours) -> None:
    ours.put(write())
    ours.put(EventWrite("r1", put=False))
    google.switch(undelete=False)
    result = ours.once(write())
    assert (result.outcome, result.memo, result.hand) == (Outcome.AGAIN, {"gen": 1}, None)
    assert live(google) == []
    assert accepted(ours.put(write()))


def test_a_tombstone_that_nobody_remembers_may_be_a_doctors(google: GooglePeer, ours: Ours) -> None:
    ours.put(write())
    google.doctor(DOCTOR).delete(live(google)[0]["id"])
    ours.memos.clear()
    result = ours.once(write())
    assert (result.outcome, result.hand) == (Outcome.AGAIN, Hand.DELETED)


# --- what is not there (404, 410) ----------------------------------------------------------------


def test_an_event_that_is_purged_is_inserted_under_the_same_id(
    google: GooglePeer, ours: Ours
) -> None:
    ours.put(write())
    known = live(google)[0]["id"]
    google.doctor(DOCTOR).delete(known)
    google.purge(DOCTOR)
    assert accepted(ours.put(write(title="Video visit")))
    assert [(one["id"], one["summary"]) for one in live(google)] == [(known, "Video visit")]


def test_removing_what_is_gone_already_is_done(google: GooglePeer, ours: Ours) -> None:
    ours.put(*many(3))
    for event in live(google):
        google.doctor(DOCTOR).delete(event["id"])
    google.fault("status", "delete", status=410, reason="deleted")
    google.forget_calls()
    gone = [EventWrite(one.ref, put=False) for one in many(3)]
    assert accepted(ours.put(*gone))
    assert {call.status for call in google.calls("delete")} == {410}
    google.purge(DOCTOR)
    ours.memos.clear()
    google.forget_calls()
    assert accepted(ours.put(*gone))
    # Each might mean that the calendar is not visible: one look does for all.
    assert asked(google).count("list") == 1


def test_without_the_calendar_a_404_removes_and_refuses_nothing(
    google: GooglePeer, ours: Ours
) -> None:
    ours.put(*many(3))
    google.share(DOCTOR, ROBOT, None)
    gone = [EventWrite(one.ref, put=False) for one in many(2)]
    results = ours.put(*gone, write("r9"))
    assert {(one.outcome, one.reason, one.blocks) for one in results} == {
        (Outcome.NOT_SENT, "not_shared", True)
    }
    assert len(live(google)) == 3


# --- somebody wrote meanwhile (412; CAL-09, CAL-10) ----------------------------------------------


def test_every_write_to_an_event_that_is_known_carries_its_etag(
    google: GooglePeer, ours: Ours
) -> None:
    """CAL-10."""
    ours.put(*many(3))
    ours.put(*(write(one.ref, start=one.start, title="Video visit") for one in many(3)))
    ours.put(*(EventWrite(one.ref, put=False) for one in many(3)))
    changing = google.calls("patch", "delete")
    assert len(changing) == 6
    assert all(re.fullmatch(r'"\d+"', call.if_match) for call in changing)


def test_an_edit_between_read_and_write_is_not_lost(google: GooglePeer, ours: Ours) -> None:
    """CAL-10."""
    ours.put(write())
    event = live(google)[0]["id"]
    doctor = google.doctor(DOCTOR)
    meanwhile = lambda: doctor.move(event, minutes=30)  # noqa: E731
    google.fault("call", "patch", limit=1, call=meanwhile)
    result = ours.once(write(title="Video visit"))
    assert (result.outcome, result.hand) == (Outcome.AGAIN, Hand.MOVED)
    assert result.start == NOW + timedelta(days=1, minutes=30)
    assert live(google)[0]["summary"] == "Appointment"


def test_guests_colour_alarm_and_notes_of_the_doctor_survive_an_update(
    google: GooglePeer, ours: Ours
) -> None:
    """CAL-09: what is not ours is neither told as an edit nor written over."""
    ours.put(write())
    event = live(google)[0]
    alarm = {"useDefault": False, "overrides": [{"method": "popup", "minutes": 7}]}
    own = {"attendees": [{"email": "nurse@riverside.example"}], "colorId": "5"}
    note = f"Mine.\n{event['description']}\nAlso mine."
    google.doctor(DOCTOR).edit(event["id"], **own, reminders=alarm, description=note)
    (result,) = ours.put(write(start=NOW + timedelta(days=2), description="Moved."))
    assert result.hand is None
    (after,) = live(google)
    assert {name: after[name] for name in own} == own
    assert after["reminders"][DOCTOR] == alarm
    assert after["description"] == note.replace("Booked by us.", "Moved.")
    assert after["start"] != event["start"]


def test_a_doctor_who_edits_at_every_turn_is_left_for_the_next_run(
    google: GooglePeer, ours: Ours
) -> None:
    ours.put(write())
    event = live(google)[0]["id"]
    colours = iter(str(n % 11 + 1) for n in range(100))
    doctor = google.doctor(DOCTOR)
    google.fault("call", "patch", call=lambda: doctor.edit(event, colorId=next(colours)))
    google.forget_calls()
    result = ours.once(write(title="Video visit"))
    assert (result.outcome, result.reason) == (Outcome.NOT_SENT, "edited_meanwhile")
    assert len(asked(google)) <= 13


# --- refused -------------------------------------------------------------------------------------


def test_what_is_refused_is_tried_once_and_the_others_are_written(
    google: GooglePeer, ours: Ours
) -> None:
    """CAL-38: one try, and one more without the zone's name, which may be too new for Google."""
    poisoned = write("bad", description="x")
    bad = Identity(b"one clinic's").event_id("bad", 0)
    google.fault("status", "insert", status=400, reason="invalid", nth=1)
    google.fault("status", "insert", status=400, reason="invalid", nth=51)
    results = ours.put(poisoned, *many(49))
    assert [one.reason for one in results if one.outcome is Outcome.REJECTED] == [
        "provider_rejected(invalid)"
    ]
    assert accepted(results[1:])
    tried = [json.loads(call.body) for call in google.calls("insert") if call.status == 400]
    assert [one["id"] for one in tried] == [bad, bad]
    assert ["timeZone" in one["start"] for one in tried] == [True, False]
    assert ours.waits == []


def test_a_refusal_that_lies_with_the_event_stops_no_other(google: GooglePeer, ours: Ours) -> None:
    said = {"status": 403, "reason": "forbiddenForServiceAccounts"}
    google.fault("status", "insert", nth=2, **said)
    results = ours.put(*many(3))
    refused = [one for one in results if one.outcome is Outcome.REJECTED]
    assert [one.ref for one in refused] == ["r001"]
    assert refused[0].reason.startswith("provider_rejected(forbidden")
    assert len(live(google)) == 2


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [(403, "insufficientPermissions", "scope"), (403, "accessNotConfigured", "api_disabled")],
)
def test_what_is_set_up_wrong_stops_the_account_and_says_what_to_click(
    google: GooglePeer, ours: Ours, status: int, reason: str, expected: str
) -> None:
    google.fault("status", status=status, reason=reason)
    results = ours.put(*many(120))
    assert {(one.outcome, one.reason, one.everywhere) for one in results} == {
        (Outcome.NOT_SENT, expected, True)
    }
    assert all(ROBOT in one.detail and one.fix for one in results)
    assert len(batches(google)) == 1


def test_over_the_limit_of_use_nothing_more_is_tried_and_a_time_is_set(
    google: GooglePeer, ours: Ours
) -> None:
    """CAL-16: one batch is on its way when it turns out."""
    ours.put(*many(10))
    google.limit_use(ROBOT, 600)
    google.forget_calls()
    results = ours.put(*many(200))
    late = [one for one in results if one.outcome is not Outcome.ACCEPTED]
    assert len(late) == 190
    assert {(one.outcome, one.reason) for one in late} == {(Outcome.NOT_SENT, "usage_limit")}
    assert all(one.everywhere and one.retry_after == timedelta(minutes=15) for one in late)
    assert len(google.calls("insert")) <= 50
    google.advance(601)
    assert accepted(ours.put(*many(200)))


# --- too fast (CAL-14) ---------------------------------------------------------------------------

SHAPES = [
    (403, "rateLimitExceeded"),
    (403, "userRateLimitExceeded"),
    (429, "rateLimitExceeded"),
    (429, "userRateLimitExceeded"),
]


class Pace(Unpaced):
    """Notes what is told of refusals."""

    def __init__(self) -> None:
        self.told: list[tuple[str, timedelta | None]] = []

    def refused(self, key: str, after: timedelta | None = None) -> None:
        self.told.append((key.partition("/")[0], after))


@pytest.mark.parametrize("retry_after", [None, 7])
@pytest.mark.parametrize(("status", "reason"), SHAPES)
def test_what_came_too_fast_comes_again_and_the_pace_hears_of_it(
    google: GooglePeer, reach_google: Any, status: int, reason: str, retry_after: int | None
) -> None:
    """CAL-14."""
    pace = Pace()
    ours = reach_google(own={"pace": pace})
    said: dict[str, Any] = {"status": status, "reason": reason, "retry_after": retry_after}
    google.fault("status", "insert", every=3, limit=20, **said)
    assert accepted(ours.put(*many(60)))
    assert len(live(google)) == 60
    assert pace.told
    asked_to_wait = timedelta(seconds=retry_after) if retry_after else None
    assert set(pace.told) == {("user", asked_to_wait)}
    assert ours.waits


def test_waits_grow_and_are_never_in_step(google: GooglePeer, ours: Ours) -> None:
    """CAL-14: bounds of full jitter; at most five tries of one write in a run."""
    google.fault("status", "insert", status=429, reason="rateLimitExceeded")
    (result,) = ours.put(write())
    assert (result.outcome, result.reason, result.blocks) == (Outcome.NOT_SENT, "quota", False)
    assert len(google.calls("insert")) == 5
    assert all(0 <= wait <= 2.0 ** (n + 1) for n, wait in enumerate(ours.waits))
    assert len(set(ours.waits)) == 4


# --- a small quota -------------------------------------------------------------------------------


def test_of_a_small_quota_no_batch_takes_all(
    google: GooglePeer, reach_google: Callable[..., Ours]
) -> None:
    """Else a batch would wait for ever for room that there never is."""
    ours = reach_google(quota={"per_user": "30/m", "per_project": "30/m"})
    assert accepted(ours.put(*many(8)))
    assert max(map(len, batches(google)), default=0) <= 3
    assert len(live(google)) == 8


# --- a store that was lost -----------------------------------------------------------------------


def test_a_copy_that_was_thrown_away_is_not_the_event_of_a_visit(
    google: GooglePeer, ours: Ours
) -> None:
    ours.put(write())
    (event,) = live(google)
    hand = google.doctor(DOCTOR)
    copy = hand.copy(event["id"])
    hand.delete(event["id"])
    google.purge(DOCTOR)
    hand.delete(copy)
    ours.memos = {"r1": {}}
    assert list(ours.look().sightings) == []
