"""`verify calendars`: what differs is named, and mended as settings and a person say."""

from __future__ import annotations

import pytest

from sync import verifying
from sync.verifying import Compared
from tests.line.google.conftest import ACAR, Doctors


def verify(doctors: Doctors, *, repair: bool = False) -> list[tuple[str, str]]:
    """Return what differs, of which visit."""
    found = compared(doctors, repair=repair)
    return [(one.what, one.visit) for calendar in found for one in calendar.differences]


def compared(doctors: Doctors, *, repair: bool = False) -> list[Compared]:
    found: list[Compared] = doctors.line.at_work(
        lambda at_work: verifying.verify(at_work, repair=repair)
    )
    return found


@pytest.fixture
def three(doctors: Doctors) -> Doctors:
    """Three visits of doctor acar, of which the doctor deletes, moves and copies one each."""
    for key, hour in ((1, 10), (2, 11), (3, 12)):
        doctors.book(key, f"2026-12-07 {hour}:00")
    doctors.drop()
    ids = [event["id"] for event in doctors.events()]
    hand = doctors.peer.doctor(ACAR)
    hand.delete(ids[0])
    hand.move(ids[1], minutes=30)
    hand.copy(ids[2])
    doctors.peer.forget_calls()
    return doctors


DIFFERENT = [("duplicated", "reception/3"), ("missing", "reception/1"), ("moved", "reception/2")]


def test_what_differs_is_named_and_nothing_is_written(three: Doctors) -> None:
    """CAL-43: and the same again, as a look changes nothing."""
    for _ in range(2):
        assert sorted(verify(three)) == DIFFERENT
    assert three.written() == []
    verify(three, repair=True)  # no test leaves a visit there twice


def test_what_is_mended_differs_no_more_and_the_doctors_deletion_is_respected(
    three: Doctors,
) -> None:
    assert sorted(verify(three, repair=True)) == DIFFERENT
    assert verify(three) == []
    assert three.starts() == ["11:00", "12:00"]
    assert three.run().written == 0


def test_calendars_that_agree_are_not_written(one: Doctors) -> None:
    assert verify(one, repair=True) == []
    assert one.written() == []


def test_a_text_that_a_doctor_wrote_is_named_until_somebody_wants_ours_back(one: Doctors) -> None:
    (event,) = one.events()
    ours = event["summary"]
    one.peer.doctor(ACAR).edit(event["id"], summary="Tea with Jonas")
    one.run()  # a run leaves it, and it differs all the same
    assert verify(one) == [("edited", "reception/1")]
    assert verify(one, repair=True) == [("edited", "reception/1")]
    assert [event["summary"] for event in one.events()] == [ours]
    assert verify(one) == []


def test_an_event_that_no_visit_is_behind_is_removed_unless_it_is_past(one: Doctors) -> None:
    one.book(2, "2026-11-24 15:00")
    one.drop()
    assert one.starts() == ["15:00", "10:00"]
    one.behind_our_back("DELETE FROM events")
    assert verify(one) == [("missing", "reception/1"), ("missing", "reception/2")]
    one.behind_our_back("DELETE FROM appointments WHERE source_key = '1'")
    one.behind_our_back(
        "INSERT INTO events (clinic, appointment, calendar, ref, state, sequence, memo, tries, "
        "reason, detail, changed_at) SELECT clinic, id, 'google:acar@riverside.example', 'x', "
        "'synced', 0, '{}', 0, '', '', 0 FROM appointments WHERE source_key = '2'"
    )
    one.run("2026-11-25 09:00")
    one.behind_our_back("DELETE FROM events WHERE ref <> 'x'")
    assert verify(one) == [("orphaned", "")]
    assert verify(one, repair=True) == [("orphaned", "")]
    assert one.starts() == ["15:00"]


def status(before: str, after: str) -> str:
    """Return what makes a visit another one behind our back."""
    says = f'REPLACE(content, \'"status":"{before}"\', \'"status":"{after}"\')'
    return f"UPDATE appointments SET status = '{after}', content = {says}"


@pytest.mark.parametrize(
    ("mistake", "what", "starts"),
    [
        ("UPDATE events SET state = 'removed', written = NULL", "missing", ["10:00"]),
        ("UPDATE events SET state = 'remove'", "missing", ["10:00"]),
        ("DELETE FROM events", "missing", ["10:00"]),
        (status("booked", "cancelled"), "orphaned", []),
    ],
    ids=["removed", "to be removed", "lost", "cancelled"],
)
def test_what_is_kept_of_events_by_mistake_is_seen_by_the_visits_themselves(
    one: Doctors, mistake: str, what: str, starts: list[str]
) -> None:
    one.behind_our_back(mistake)
    assert verify(one) == [(what, "reception/1")]
    (mended,) = compared(one, repair=True)
    assert (mended.mended, mended.left) == (1, 0)
    assert (one.starts(), verify(one)) == (starts, [])
    assert one.run().written == 0


def test_what_a_calendar_shows_no_longer_by_mistake_is_shown_again(one: Doctors) -> None:
    one.line.cancel(1)
    one.drop()
    one.behind_our_back(status("cancelled", "booked"))
    assert (one.starts(), verify(one)) == ([], [("missing", "reception/1")])
    (mended,) = compared(one, repair=True)
    assert (mended.mended, mended.left) == (1, 0)
    assert (one.starts(), verify(one)) == (["10:00"], [])


def test_a_calendar_that_cannot_be_looked_at_says_why_and_loses_nothing(one: Doctors) -> None:
    one.peer.share(ACAR, "relay@riverside.example", None)
    (found,) = compared(one, repair=True)
    assert (found.reason, found.differences) == ("not_shared", [])
    assert one.written() == []


@pytest.mark.parametrize("answer", ["adopt", "replace", "beside"])
def test_events_of_another_installation_are_dealt_with_as_a_person_says(
    doctors: Doctors, answer: str
) -> None:
    """CAL-44."""
    for key in (1, 2):
        doctors.book(key, f"2026-12-07 1{key}:00")
    doctors.drop()
    before = {event["id"] for event in doctors.events()}
    another_key(doctors)
    assert doctors.run().blocked[0].reason == "other_instance"
    assert {event["id"] for event in doctors.events()} == before

    doctors.line.at_work(lambda at_work: verifying.settle_strangers(at_work, answer))

    assert doctors.run().blocked == []
    now = {event["id"] for event in doctors.events()}
    assert {"adopt": now == before, "replace": not now & before, "beside": now > before}[answer]
    assert len(now) == (4 if answer == "beside" else 2)
    assert verify(doctors) == []


def another_key(doctors: Doctors) -> None:
    """Let the clinic begin anew, with another key, as if its folder had been lost."""
    doctors.behind_our_back(
        f"UPDATE clinics SET instance_key = x'{'ab' * 32}'",
        "UPDATE events SET state = 'put', written = NULL, memo = '{}'",
        "UPDATE calendars SET cursor_json = NULL",
        "DELETE FROM memory WHERE owner LIKE 'calendars/%'",
    )
    rows = doctors.line.query("SELECT id, source, source_key FROM appointments")
    doctors.behind_our_back(
        *(f"UPDATE events SET ref = 'other{row[0]}' WHERE appointment = {row[0]}" for row in rows)
    )
