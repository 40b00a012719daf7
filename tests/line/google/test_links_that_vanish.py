"""A calendar is not emptied because a link vanished: that is held until a person says it was meant."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sync import release, verifying
from sync.store import incoming
from tests.line.google.conftest import ROBOT, Doctors, address
from tests.line.planted import typed

COUNT, HELD, DONE = 40, 4, 0


@pytest.fixture
def known(doctors: Doctors) -> Doctors:
    """Dr Acar's calendar shows 40 visits."""
    doctors.book_many(COUNT)
    assert doctors.drop().written == COUNT
    return doctors


def holds(known: Doctors) -> list[dict[str, Any]]:
    def look(at_work: Any) -> list[dict[str, Any]]:
        with at_work.store.read() as connection:
            return incoming.open_holds(connection, at_work.store.clinic)

    return known.line.at_work(look)


def decided(known: Doctors, answer: Any) -> None:
    (hold,) = holds(known)
    assert known.line.at_work(lambda at_work: answer(at_work, hold))


def without_mail(known: Doctors, *numbers: int) -> None:
    for number in numbers:
        known.line.change(100 + number, doctor_email="")
    known.line.drop()


def linked_to(known: Doctors, doctor: str) -> None:
    known.line.set(doctors=[{"id": "acar", "match": "acar", "calendar": address(doctor)}])


def test_an_export_that_lost_the_doctors_addresses_empties_no_calendar(known: Doctors) -> None:
    """CAL-24."""
    without_mail(known, *range(COUNT))
    report = known.line.sync()
    assert (report.exit, len(known.events())) == (HELD, COUNT)
    (hold,) = holds(known)
    assert (hold["guard"], hold["source"]) == ("unlinked", "google")
    assert (hold["visits"], hold["known"]) == (COUNT, COUNT)
    assert f"google:{address('acar')}" in hold["summary"]
    known.book(1, "2026-12-08 09:00")
    assert (known.drop().written, known.line.sync().exit) == (1, HELD)
    assert len(known.events()) == COUNT + 1


def test_what_was_lost_by_mistake_needs_nobody_once_it_is_back(known: Doctors) -> None:
    before = known.events()
    without_mail(known, *range(COUNT))
    known.line.sync()
    for number in range(COUNT):
        known.line.change(100 + number, doctor_email=address("acar"))
    known.written()
    known.line.drop()
    assert (known.line.sync().exit, holds(known), known.written()) == (DONE, [], [])
    assert known.events() == before


def test_a_doctors_visits_stay_where_they_were_and_are_shown_where_they_are_linked_to(
    known: Doctors,
) -> None:
    linked_to(known, "braun")
    report = known.line.sync()
    assert (report.exit, report.calendars["google"].written) == (HELD, COUNT)
    assert (len(known.events()), len(known.events("braun"))) == (COUNT, COUNT)
    decided(known, release.release)
    assert (known.line.sync().exit, holds(known)) == (DONE, [])
    assert (len(known.events()), len(known.events("braun"))) == (0, COUNT)


def test_a_slip_in_the_settings_that_was_put_right_takes_nothing_from_its_doctor(
    known: Doctors,
) -> None:
    before = known.events()
    linked_to(known, "braun")
    known.line.sync()
    linked_to(known, "acar")
    assert known.line.sync().exit == HELD  # of what stands in the other calendar since
    (hold,) = holds(known)
    assert f"{COUNT} of {COUNT} events would go from google:{address('braun')}" in hold["summary"]
    decided(known, release.release)
    assert (known.line.sync().exit, holds(known)) == (DONE, [])
    assert (known.events(), known.events("braun")) == (before, [])


def test_what_a_person_rejects_stays(known: Doctors) -> None:
    without_mail(known, *range(COUNT))
    known.line.sync()
    decided(known, release.reject)
    assert (known.line.sync().exit, holds(known), len(known.events())) == (DONE, [], COUNT)
    known.line.cancel(100)  # it is still ours to remove
    known.line.drop()
    known.line.sync()
    assert len(known.events()) == COUNT - 1


def test_a_few_go_without_a_question(known: Doctors) -> None:
    without_mail(known, *range(20))
    assert (known.line.sync().exit, len(known.events())) == (DONE, COUNT - 20)
    without_mail(known, *range(20, COUNT))  # 20 once more
    assert (known.line.sync().exit, len(known.events())) == (DONE, 0)


def test_what_the_source_called_off_or_gave_to_another_goes_as_it_says(known: Doctors) -> None:
    """The guards over a source have judged it, or a person who released it."""
    safety = {"hold_if": {"cancelled": "100%", "reassigned": "100%"}}
    known.line.set(safety=safety)
    for number in range(0, COUNT, 2):
        known.line.cancel(100 + number)
        known.line.change(101 + number, doctor_id="braun", doctor_email=address("braun"))
    known.line.drop()
    assert known.line.sync().exit == DONE
    assert (len(known.events()), len(known.events("braun"))) == (0, COUNT // 2)


def test_a_held_event_still_says_the_truth_and_is_still_the_doctors(known: Doctors) -> None:
    without_mail(known, *range(COUNT))
    known.line.sync()
    deleted, moved = (event["id"] for event in known.events()[:2])
    doctor = known.peer.doctor(address("acar"))
    doctor.delete(deleted)
    doctor.move(moved, minutes=30)
    known.line.change(105, start="2026-12-09 16:45")
    assert known.drop().written == 2  # the doctor's move is undone, and the visit's is shown
    assert ("16:45" in known.starts(), len(known.events())) == (True, COUNT - 1)
    decided(known, release.release)
    assert (known.line.sync().exit, known.events()) == (DONE, [])


def test_a_wrong_address_that_was_never_written_to_is_corrected_without_a_question(
    doctors: Doctors,
) -> None:
    linked_to(doctors, "nobody")
    doctors.book_many(COUNT)
    assert doctors.drop().blocked[0].reason == "not_shared"
    linked_to(doctors, "braun")
    report = doctors.line.sync()
    assert (holds(doctors), len(doctors.events("braun"))) == ([], COUNT)
    run = report.calendars["google"]
    assert (report.exit, run.blocked, run.pending) == (DONE, [], 0)
    assert (
        json.loads(typed(doctors.line, "status", "--json"))["calendars"]["google"]["blocked"] == 0
    )


def test_a_closed_calendar_of_a_doctor_who_left_is_red_until_a_person_leaves_it_alone(
    known: Doctors,
) -> None:
    without_mail(known, *range(COUNT))
    known.line.sync()
    decided(known, release.release)
    known.peer.share(address("acar"), ROBOT, None)
    calendar = f"google:{address('acar')}"
    (blocked,) = known.line.sync().calendars["google"].blocked
    assert blocked.fix.endswith(f"clinicrelay verify calendars --leave {calendar}")
    assert f"--leave {calendar}" in typed(known.line, "status")
    assert f"{COUNT} events left" in typed(known.line, "verify", "calendars", "--leave", calendar)
    report = known.line.sync()
    assert (report.exit, report.calendars["google"].blocked) == (DONE, [])
    assert len(known.events()) == COUNT
    assert json.loads(typed(known.line, "status", "--json"))["calendars"]["google"]["blocked"] == 0


def test_a_calendar_whose_doctor_is_linked_to_it_is_not_left_alone(known: Doctors) -> None:
    known.peer.share(address("acar"), ROBOT, None)
    known.line.cancel(100)
    known.drop()
    calendar = f"google:{address('acar')}"
    assert known.line.at_work(lambda at_work: verifying.leave(at_work, calendar)) is None
    known.peer.share(address("acar"), ROBOT, "writer")
    known.line.sync()
    assert len(known.events()) == COUNT - 1


def test_a_calendar_that_was_closed_is_forgotten_with_its_last_visit(known: Doctors) -> None:
    known.peer.share(address("acar"), ROBOT, None)
    for number in range(COUNT):
        known.line.change(100 + number, start="2026-11-24 16:00")
    assert known.drop().blocked
    known.line.sync("2027-03-01 09:00")
    assert known.line.sync().calendars["google"].blocked == []
