"""Each change a source can tell of: the right event and the right message, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.line.conftest import Line

P1 = ("p1@mail.example", "+4915155500001")


@pytest.fixture
def known(line: Line) -> Line:
    """A clinic that was read once: visit 1 of Monday week, and a few others."""
    line.book(1)
    line.book_many(12)
    assert line.after() == []
    return line


def test_an_import_fills_calendars_and_tells_nobody(known: Line) -> None:
    assert len(known.events()) == 13
    assert known.outbox() == []
    assert set(known.visits()) == {f"reception/{key}" for key in known.rows}


def test_a_booking_made_after_the_import_is_confirmed_once_with_an_invitation(known: Line) -> None:
    known.book(2, "2026-12-09 09:00")
    assert known.after() == [("confirmation", "p2@mail.example")]
    assert known.quietly() == []
    assert known.after() == []
    mail = next((known.data / "outbox").glob("*.eml")).read_text()
    assert "METHOD:REQUEST" in mail or "method=REQUEST" in mail
    assert "2026-12-09 09:00" in known.starts()


def test_an_invitation_of_a_clinic_without_an_address_is_answered_to_the_sender_of_the_mail(
    known: Line,
) -> None:
    post = {"type": "smtp", "host": "127.0.0.1", "port": 9, "security": "none"}
    facts = known.settings["clinic"]
    facts.pop("email", None)
    known.set(clinic=facts, notifiers={"post": {**post, "from": "R <noreply@riverside.example>"}})
    known.book(2, "2026-12-09 09:00")
    known.drop()
    known.sync()
    ((body,),) = known.query("SELECT body FROM attempts")
    body = body.replace("\\r\\n ", "")  # lines of an invitation are folded
    assert "ORGANIZER" in body
    assert "mailto:noreply@riverside.example" in body
    assert ".invalid" not in body


def test_a_booking_for_the_same_week_is_confirmed_and_shown_at_once(known: Line) -> None:
    known.book(2, "2026-11-24 09:00")
    assert known.after("2026-11-23 11:00") == [("confirmation", "p2@mail.example")]
    assert known.starts()[0] == "2026-11-24 09:00"


def test_a_move_is_told_once_with_the_new_time_only_in_the_calendar(known: Line) -> None:
    known.change(1, start="2026-12-08 15:15")
    assert known.after() == [("change", P1[1])]
    assert known.after() == []
    assert "8. Dez." in known.outbox()[-1].text
    assert "15:15" in known.outbox()[-1].text
    assert "2026-12-08 15:15" in known.starts()
    assert len(known.events()) == 13
    moved = next(event for event in known.events() if event.start == "2026-12-08 15:15")
    assert moved.sequence == 1


def test_another_place_is_told_and_shown(known: Line) -> None:
    known.change(1, location="Seeblick")
    assert known.after() == [("change", P1[1])]
    assert "Seeblick" in known.outbox()[-1].text
    assert [e.location for e in known.events()].count("Seeblick") == 1
    assert known.after() == []


def test_another_doctor_gets_the_event_and_the_patient_is_told(known: Line) -> None:
    known.change(1, doctor_id="braun", doctor="Dr. Braun", doctor_email="braun@riverside.example")
    assert known.after() == [("change", P1[1])]
    assert known.starts("braun") == ["2026-12-07 10:00"]
    assert len(known.events("acar")) == 12
    assert known.after() == []


def test_a_cancellation_is_told_and_the_event_goes(known: Line) -> None:
    known.cancel(1)
    assert known.after() == [("cancellation", P1[1])]
    assert len(known.events()) == 12
    assert known.after() == []


def test_a_visit_that_stands_again_after_a_cancellation_is_told_and_shown(known: Line) -> None:
    known.cancel(1)
    known.after()
    known.change(1, status="scheduled")
    assert known.after() == [("change", P1[1])]
    assert len(known.events()) == 13
    assert known.after() == []


def test_a_visit_that_vanishes_loses_its_event_and_nobody_is_told(known: Line) -> None:
    gone = known.rows.pop("1")
    assert known.after() == []
    assert len(known.events()) == 12
    assert known.visits()["reception/1"]["gone"] is True
    known.rows["1"] = gone
    assert known.after() == []  # nothing that anybody believes has changed
    assert len(known.events()) == 13
    assert "gone" not in known.visits()["reception/1"]


def test_a_visit_that_comes_back_at_another_time_is_told_as_moved(known: Line) -> None:
    gone = known.rows.pop("1")
    known.after()
    known.rows["1"] = {**gone, "start": "2026-12-10 16:00"}
    assert known.after() == [("change", P1[1])]
    assert "2026-12-10 16:00" in known.starts()


def test_many_changes_in_one_export_are_told_each_to_its_own_patient(known: Line) -> None:
    known.change(101, start="2026-12-08 17:00")
    known.change(102, location="Seeblick")
    known.cancel(103)
    del known.rows["104"]
    known.book(2, "2026-12-14 09:00")
    known.change(105, notes="brings the old X-ray")
    assert known.after() == [
        ("cancellation", "+4915155500103"),
        ("change", "+4915155500101"),
        ("change", "+4915155500102"),
        ("confirmation", "p2@mail.example"),
    ]
    assert len(known.events()) == 12
    assert known.after() == []


def test_a_patient_whose_record_was_merged_is_no_new_patient(known: Line) -> None:
    known.book(2, "2026-12-01 09:00")
    assert known.after() == [("confirmation", "p2@mail.example")]
    assert known.quietly("2026-11-28 10:00") == [("reminder", "+4915155500002")]
    known.change(2, patient_id="P2-survivor", email="")  # named alike, and the same number
    known.change(1, patient_id="P1-survivor")
    assert known.after() == []
    known.change(1, start="2026-12-10 10:00")
    assert known.after() == [("change", P1[1])]
    known.change(1, patient_id="P1-again")
    assert known.after() == []


def test_another_patient_of_the_same_name_is_another_patient(known: Line) -> None:
    known.change(1, patient_id="P99", mobile="+4915155599999", email="p99@mail.example")
    assert known.after() == [("confirmation", "p99@mail.example")]


def test_there_and_back_between_two_runs_is_nothing(known: Line) -> None:
    before = known.state()
    known.change(1, start="2026-12-08 15:15")
    known.change(1, start="2026-12-07 10:00")
    assert known.after() == []
    assert known.state() == before


def test_there_and_back_and_there_again_is_told_each_time(known: Line) -> None:
    for start in ("2026-12-08 15:15", "2026-12-07 10:00", "2026-12-08 15:15", "2026-12-07 10:00"):
        known.change(1, start=start)
        assert known.after() == [("change", P1[1])]
        assert known.starts().count(start) == 1
        assert known.after() == []


def test_cancelled_and_reinstated_over_and_over_is_told_each_time(known: Line) -> None:
    for _ in range(2):
        known.cancel(1)
        assert known.after() == [("cancellation", P1[1])]
        known.change(1, status="scheduled")
        assert known.after() == [("change", P1[1])]


def test_cancelled_and_booked_anew_under_another_id_is_one_message_of_a_move(known: Line) -> None:
    known.cancel(1)
    known.book(900, "2026-12-09 14:00", patient_id="P1", mobile=P1[1], email=P1[0])
    assert known.after() == [("change", P1[1])]
    assert "9. Dez." in known.outbox()[-1].text
    assert "2026-12-09 14:00" in known.starts()
    assert "2026-12-07 10:00" not in known.starts()
    assert len(known.events()) == 13
    assert known.after() == []


def test_vanished_and_booked_anew_under_another_id_is_one_message_of_a_move(known: Line) -> None:
    del known.rows["1"]
    known.book(900, "2026-12-09 14:00", patient_id="P1", mobile=P1[1], email=P1[0])
    assert known.after() == [("change", P1[1])]
    assert len(known.events()) == 13
    assert known.after() == []


def test_who_was_told_of_a_move_under_another_id_hears_that_the_old_visit_is_back(
    known: Line,
) -> None:
    known.cancel(1)
    known.book(900, "2026-12-09 14:00", patient_id="P1", mobile=P1[1], email=P1[0])
    assert known.after() == [("change", P1[1])]
    known.change(1, status="scheduled")
    assert known.after() == [("confirmation", P1[0])]
    assert {"2026-12-09 14:00", "2026-12-07 10:00"} <= {*known.starts()}
    reminded = known.quietly("2026-12-06 12:00")
    assert ("reminder", P1[1]) in reminded


def test_edits_that_change_nothing_for_the_patient_are_not_told(known: Line) -> None:
    for cells in (
        {"notes": "allergic to latex"},
        {"service": "Check-up"},
        {"patient_name": "Pat One Sample-Newname"},
        {"email": "new1@mail.example"},
        {"mobile": "+4915155509999"},
        {"minutes": "45"},
        {"doctor": "Dr. med. Acar"},
    ):
        known.change(1, **cells)
        assert known.after() == []
    assert known.visits()["reception/1"]["version"] == 8
    # Only the longer visit reads differently in a calendar.
    assert [write.put for write in known.writes[13:]] == [True]
    assert len(known.events()) == 13


def test_news_goes_to_the_contact_that_was_corrected_meanwhile(known: Line) -> None:
    known.change(1, mobile="+4915155509999")
    known.after()
    known.cancel(1)
    assert known.after() == [("cancellation", "+4915155509999")]


def test_a_visit_cancelled_before_anybody_was_told_is_never_mentioned(known: Line) -> None:
    known.book(2, "2026-12-09 09:00")
    before = known.outbox()
    known.drop()
    known.sync("2026-11-23 22:30")  # at night: the confirmation waits for the morning
    assert known.said_since(before) == []
    known.cancel(2)
    assert known.after("2026-11-23 23:00") == []
    assert known.quietly("2026-11-24 08:30") == []
    known.quietly("2026-12-08 12:00")
    assert not [sent for sent in known.outbox() if "p2@" in sent.to or sent.to.endswith("5500002")]


def test_a_visit_that_arrives_cancelled_is_kept_and_neither_shown_nor_told(known: Line) -> None:
    known.book(2, "2026-12-09 09:00", status="cancelled")
    assert known.after() == []
    assert len(known.events()) == 13
    assert known.visits()["reception/2"]["status"] == "cancelled"


def test_a_past_visit_that_changes_is_kept_and_not_told(known: Line) -> None:
    known.quietly("2026-12-07 12:00")
    known.change(1, status="no-show")
    assert ("change", P1[1]) not in known.after()
    assert known.visits()["reception/1"]["status"] == "no_show"


def test_a_move_at_night_is_told_in_the_morning_and_only_its_last_state(known: Line) -> None:
    known.change(1, start="2026-12-08 15:15")
    assert known.after("2026-11-23 22:00") == []
    known.change(1, start="2026-12-09 15:15")
    assert known.after("2026-11-23 23:00") == []
    assert known.quietly("2026-11-24 08:00") == [("change", P1[1])]
    assert "9. Dez." in known.outbox()[-1].text


def test_a_move_taken_back_at_night_is_not_told(known: Line) -> None:
    known.change(1, start="2026-12-08 15:15")
    assert known.after("2026-11-23 22:00") == []
    known.change(1, start="2026-12-07 10:00")
    assert known.after("2026-11-23 23:00") == []
    assert known.quietly("2026-11-24 08:00") == []
    known.change(1, start="2026-12-08 15:15")
    assert known.after("2026-11-24 09:00") == [("change", P1[1])]


def test_a_slip_of_a_few_minutes_is_shown_and_not_told(known: Line) -> None:
    known.change(1, start="2026-12-07 10:03")
    assert known.after() == []
    assert "2026-12-07 10:03" in known.starts()
