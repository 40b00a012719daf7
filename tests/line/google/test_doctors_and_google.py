"""What doctors do in their Google calendars, and calendars that cannot be written.

Where each requirement is tested says `test_google_on_the_line.py`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.line.google.conftest import ACAR, ROBOT, Doctors, address, settings_for

# --- the doctor's hand ---------------------------------------------------------------------------


def test_what_a_doctor_deleted_stays_away_until_the_visit_gets_another_time(one: Doctors) -> None:
    """CAL-07."""
    one.peer.doctor(ACAR).delete(one.events()[0]["id"])
    for _ in range(3):
        one.drop()
        assert one.starts() == []
    assert one.states() == [("hidden", "hidden_by_doctor")]
    assert one.line.visits()["reception/1"]["status"] == "booked"
    one.line.change(1, start="2026-12-07 11:00")
    one.drop()
    assert one.starts() == ["11:00"]


@pytest.mark.parametrize(
    ("moves", "after"), [("revert", "10:00"), ("keep", "10:30"), ("propose", "10:30")]
)
def test_what_a_doctor_moved_is_put_back_or_left_as_settings_say(
    one: Doctors, moves: str, after: str
) -> None:
    """CAL-08."""
    one.line.set(calendars=settings_for(one.peer, if_doctor={"moves": moves}))
    one.peer.doctor(ACAR).move(one.events()[0]["id"], minutes=30)
    run = one.run()
    one.run()
    assert (one.starts(), run.asked) == ([after], int(moves == "propose"))


def test_what_was_left_where_a_doctor_moved_it_stays_there_whatever_else_they_do(
    one: Doctors,
) -> None:
    """CAL-08."""
    one.line.set(calendars=settings_for(one.peer, if_doctor={"moves": "keep"}))
    event = one.events()[0]["id"]
    one.peer.doctor(ACAR).move(event, minutes=30)
    one.run()
    one.peer.doctor(ACAR).edit(event, colorId="5")
    one.run()
    one.line.change(1, modality="video")
    one.drop()
    assert (one.starts(), one.events()[0]["summary"]) == (["10:30"], "Videotermin")


def test_an_event_that_is_moved_again_and_again_is_let_be(one: Doctors) -> None:
    """CAL-08."""
    for _ in range(5):
        one.peer.doctor(ACAR).move(one.events()[0]["id"], minutes=30)
        run = one.run()
    assert (run.held, one.states()) == (1, [("held", "moved_too_often")])
    assert [operation for operation, _ in one.written()].count("patch") == 3


def test_what_a_doctor_added_is_still_there_after_a_change(one: Doctors) -> None:
    """CAL-09."""
    event = one.events()[0]
    own = {"attendees": [{"email": "nurse@riverside.example"}], "colorId": "5"}
    note = f"{event.get('description', '')}\nMine."
    one.peer.doctor(ACAR).edit(event["id"], **own, description=note)
    one.line.change(1, start="2026-12-07 11:00")
    one.drop()
    (after,) = one.events()
    assert {name: after[name] for name in own} == own
    assert (after["description"], one.starts()) == (note, ["11:00"])
    assert one.states() == [("synced", "")]


def test_a_doctors_own_events_are_as_they_were_after_many_runs(one: Doctors) -> None:
    """CAL-11."""
    doctor = one.peer.doctor(ACAR)
    for n in range(50):
        at = datetime(2026, 12, 1, 6, tzinfo=UTC) + timedelta(hours=7 * n)
        doctor.create(
            start=at.isoformat(), end=at.isoformat(), summary="CANARY", visibility="private"
        )
    own = [event for event in one.peer.dump(ACAR) if "extendedProperties" not in event]
    for hour in range(5):
        one.line.change(1, start=f"2026-12-07 1{hour}:00")
        one.drop()
    assert [e for e in one.peer.dump(ACAR) if "extendedProperties" not in e] == own
    asked = {call.event for call in one.peer.calls()}
    assert not asked & {event["id"] for event in own}


# --- calendars that cannot be written ------------------------------------------------------------


def test_calendars_that_cannot_be_written_stop_no_other_and_heal(doctors: Doctors) -> None:
    """CAL-17."""
    bad = {"absent": None, "reads": "reader", "half": "writerWithoutPrivateAccess"}
    good = [f"good{n}" for n in range(5)]
    doctors.join(*good, *bad)
    for doctor, role in bad.items():
        doctors.peer.share(address(doctor), ROBOT, role)
    doctors.book_many(80, [*good, *bad])
    run = doctors.drop()
    assert [len(doctors.events(one)) for one in good] == [10] * 5
    assert (run.written, run.pending) == (50, 30)
    assert {one.calendar.partition("@")[0]: one.reason for one in run.blocked} == {
        "absent": "not_shared",
        "reads": "read_only",
        "half": "no_private_access",
    }
    assert all(ROBOT in one.fix and "Make changes to events" in one.fix for one in run.blocked)
    for doctor in bad:
        probes = [call for call in doctors.peer.calls() if call.calendar == address(doctor)]
        assert len(probes) <= 3
        doctors.peer.share(address(doctor), ROBOT)
    run = doctors.run(timedelta(seconds=1))
    assert (run.written, run.pending, run.blocked) == (30, 0, [])


def test_a_calendar_that_is_taken_away_while_it_is_written_loses_nothing(doctors: Doctors) -> None:
    """CAL-18."""
    doctors.book_many(200, ["acar", "braun"])
    doctors.peer.fault(
        "call", "insert", calendar=ACAR, nth=60, call=lambda: doctors.peer.share(ACAR, ROBOT, None)
    )
    run = doctors.drop()
    assert len(doctors.events("braun")) == 100
    assert 0 < len(doctors.events()) < 100
    assert [(one.calendar, one.reason) for one in run.blocked] == [(ACAR, "not_shared")]
    doctors.peer.share(ACAR, ROBOT)
    assert doctors.run().pending == 0
    assert len(doctors.events()) == 100


# --- a visit changes doctors ---------------------------------------------------------------------


def test_a_visit_that_goes_from_doctor_to_doctor_stands_once_with_the_last(one: Doctors) -> None:
    """CAL-28: back onto the tombstones that it left."""
    one.join("costa", "demir", "evans")
    for doctor in ("braun", "acar", "braun", "costa", "demir", "evans", "acar"):
        one.book(1, doctor=doctor)
        run = one.drop()
        there = [d for d in ("acar", "braun", "costa", "demir", "evans") if one.events(d)]
        assert (there, len(one.events(doctor))) == ([doctor], 1)
        assert (run.written, run.removed) == (1, 1)


def test_a_visit_stays_with_the_first_doctor_while_the_second_cannot_be_written(
    one: Doctors,
) -> None:
    """CAL-28."""
    one.peer.share(address("braun"), ROBOT, None)
    one.book(1, doctor="braun")
    run = one.drop()
    assert (one.starts(), one.starts("braun")) == (["10:00"], [])
    assert [blocked.reason for blocked in run.blocked] == ["not_shared"]
    one.peer.share(address("braun"), ROBOT)
    one.run()
    assert (one.starts(), one.starts("braun")) == ([], ["10:00"])


def test_a_deleted_event_that_is_put_back_and_edited_at_once_is_there_again(one: Doctors) -> None:
    (event,) = one.events()
    hand = one.peer.doctor(ACAR)
    hand.delete(event["id"])
    one.run()
    hand.restore(event["id"])
    hand.edit(event["id"], location="Room 2")
    one.run()
    assert ("hidden", "hidden_by_doctor") not in one.states()
    assert one.starts() == ["10:00"]
