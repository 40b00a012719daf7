"""A doctor's digest on the line: the day, and what changed since the last one was sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sync.health import health

if TYPE_CHECKING:
    from tests.line.conftest import Line

DIGEST = {"at": "18:00", "channels": ["email"]}


@pytest.fixture
def ward(line: Line) -> Line:
    """Doctor acar has visits on Tuesday, Wednesday and Friday; Monday's list has been sent."""
    line.set(reminders={"doctor": {"digest": DIGEST}})
    line.book(1, "2026-11-24 10:00")
    line.book(2, "2026-11-25 09:00")
    line.book(3, "2026-11-25 11:00", modality="video")
    line.book(4, "2026-11-27 12:00")
    line.after("2026-11-23 09:00")
    assert digests(line, "2026-11-23 18:00") == {"acar@riverside.example"}
    return line


def digests(line: Line, when: str) -> set[str]:
    return {to for kind, to in line.quietly(when) if kind == "digest"}


def last(line: Line) -> str:
    return [sent.text for sent in line.outbox() if sent.kind == "digest"][-1]


def news(line: Line) -> list[str]:
    """Return the lines of the last list's changes."""
    _, _, tail = last(line).partition("Seit der letzten Liste:")
    return [one for one in tail.splitlines() if ": " in one]


def test_the_first_list_and_one_after_a_quiet_day_tell_no_changes(ward: Line) -> None:
    assert "Seit der letzten" not in last(ward)
    assert digests(ward, "2026-11-24 18:00") == {"acar@riverside.example"}
    assert "09:00 Uhr P.S." in last(ward)
    assert "11:00 Uhr P.S. (Video)" in last(ward)
    assert "Seit der letzten" not in last(ward)
    assert "Sample" not in last(ward)


def of_days(line: Line) -> list[tuple[str, str, str, str | None]]:
    return sorted(
        line.query("SELECT recipient, step, state, reason FROM messages WHERE kind = 'digest'")
    )


def test_a_first_list_that_was_missed_is_made_up(line: Line) -> None:
    line.set(reminders={"doctor": {"digest": DIGEST}})
    line.book(1, "2026-11-24 10:00")
    line.after("2026-11-23 09:00")
    assert digests(line, "2026-11-24 08:30") == {"acar@riverside.example"}
    assert of_days(line) == [("doctor/acar", "2026-11-24", "sent", None)]


def test_each_list_that_was_missed_has_its_line(line: Line) -> None:
    line.set(reminders={"doctor": {"digest": DIGEST}})
    line.book(1, "2026-11-24 10:00")
    line.book(2, "2026-11-25 10:00", doctor_id="braun", doctor_email="braun@riverside.example")
    line.book(3, "2026-11-27 10:00")
    line.after("2026-11-23 09:00")
    assert digests(line, "2026-11-26 19:00") == {"acar@riverside.example"}
    line.quietly("2026-11-26 20:00")
    missed = "skipped", "cut_off_passed"
    assert of_days(line) == [
        ("doctor/acar", "2026-11-24", *missed),
        ("doctor/acar", "2026-11-27", "sent", None),
        ("doctor/braun", "2026-11-25", *missed),
    ]


def test_nobody_gets_a_list_of_before_the_clinic_was_read_or_wanted_any(line: Line) -> None:
    line.set(reminders={"doctor": {"steps": ["1h"]}})
    line.book(1, "2026-11-24 10:00")
    line.book(2, "2026-11-25 10:00")
    line.after("2026-11-23 09:00")
    line.set(reminders={"doctor": {"digest": DIGEST}})
    assert digests(line, "2026-11-24 08:30") == set()
    assert of_days(line) == []
    assert digests(line, "2026-11-25 08:30") == {"acar@riverside.example"}
    assert of_days(line) == [("doctor/acar", "2026-11-25", "sent", None)]


def test_whoever_gets_a_list_is_greeted_as_the_settings_name_them(ward: Line) -> None:
    assert "Guten Tag Dr. Acar," in last(ward)  # as the source does
    ward.set(doctors=[{"id": "acar", "match": "acar", "name": "Dr. Elif Acar"}])
    digests(ward, "2026-11-24 18:00")
    assert "Guten Tag Dr. Elif Acar," in last(ward)


def test_what_was_booked_moved_or_cancelled_since_is_named_as_such(ward: Line) -> None:
    ward.book(5, "2026-11-25 15:00", modality="phone")
    ward.change(3, start="2026-11-26 08:30")
    ward.cancel(2)
    ward.change(4, doctor_id="braun", doctor_email="braun@riverside.example")
    ward.after("2026-11-24 12:00")

    digests(ward, "2026-11-24 18:00")

    to_acar = [s.text for s in ward.outbox() if s.kind == "digest" and "15:00 Uhr" in s.text][-1]
    _, _, tail = to_acar.partition("Seit der letzten Liste:")
    assert [line for line in tail.splitlines() if ": " in line] == [
        "Mittwoch, 25. November 2026, 09:00 Uhr P.S.: abgesagt",
        "Mittwoch, 25. November 2026, 15:00 Uhr P.S. (Telefon): neu",
        "Donnerstag, 26. November 2026, 08:30 Uhr P.S. (Video): verschoben, "
        "war Mittwoch, 25. November 2026, 11:00 Uhr",
        "Freitag, 27. November 2026, 12:00 Uhr P.S.: jetzt bei jemand anderem",
    ]


def test_a_day_that_is_empty_because_all_was_cancelled_is_told(ward: Line) -> None:
    for key in (2, 3):
        ward.cancel(key)
    ward.after("2026-11-24 12:00")

    assert digests(ward, "2026-11-24 18:00") == {"acar@riverside.example"}

    assert "keine Termine" in last(ward)
    assert len([one for one in news(ward) if one.endswith("abgesagt")]) == 2
    assert digests(ward, "2026-11-25 18:00") == set()  # told once
    assert ward.at_work(health).messages["failed"] == 0


def test_there_and_back_is_no_news(ward: Line) -> None:
    ward.change(4, start="2026-11-27 14:00")
    ward.after("2026-11-24 10:00")
    ward.change(4, start="2026-11-27 12:00")
    ward.after("2026-11-24 11:00")

    digests(ward, "2026-11-24 18:00")

    assert news(ward) == []


def test_news_of_a_day_without_a_list_is_told_with_the_next_one_once(ward: Line) -> None:
    digests(ward, "2026-11-24 18:00")
    digests(ward, "2026-11-25 18:00")  # Thursday is empty: no list
    ward.book(6, "2026-12-10 09:00")
    ward.after("2026-11-25 19:00")

    assert digests(ward, "2026-11-26 18:00") == {"acar@riverside.example"}
    assert [one.rpartition(" ")[2] for one in news(ward)] == ["neu"]
    assert digests(ward, "2026-11-27 18:00") == set()


def test_an_empty_day_is_skipped_unless_the_settings_want_it_told(ward: Line) -> None:
    digests(ward, "2026-11-24 18:00")
    assert digests(ward, "2026-11-25 18:00") == set()

    ward.set(reminders={"doctor": {"digest": {**DIGEST, "empty": "send"}}})
    ward.book(7, "2026-12-02 10:00")
    ward.after("2026-11-26 09:00")
    digests(ward, "2026-11-26 18:00")

    assert digests(ward, "2026-11-27 18:00") == {"acar@riverside.example"}
    assert "keine Termine" in last(ward)


def test_hour_by_hour_over_three_days_there_are_three_lists(line: Line) -> None:
    line.set(reminders={"doctor": {"digest": DIGEST}})
    for day in (24, 25, 26, 27):
        line.book(day, f"2026-11-{day} 10:00")
    line.after("2026-11-23 09:00")
    for day in (23, 24, 25):
        for hour in range(10 if day == 23 else 0, 24):
            line.sync(f"2026-11-{day} {hour:02}:00")
    assert len([sent for sent in line.outbox() if sent.kind == "digest"]) == 3


def test_what_a_later_import_brings_is_not_told_as_booked(ward: Line) -> None:
    sources = {**ward.settings["sources"], "annex": {**ward.settings["sources"]["reception"]}}
    ward.set(sources=sources)
    ward.drop(source="annex")
    ward.sync("2026-11-24 10:00", "annex")

    digests(ward, "2026-11-24 18:00")

    assert news(ward) == []


def test_a_morning_list_is_not_lost_to_a_visit_that_begins_with_it(line: Line) -> None:
    line.set(reminders={"doctor": {"digest": {"at": "08:00", "channels": ["email"]}}})
    for number, hour in enumerate(("08:00", "08:10", "15:00"), 1):
        line.book(number, f"2026-11-25 {hour}")
    line.after("2026-11-23 09:00")
    digests(line, "2026-11-24 08:00")
    assert digests(line, "2026-11-25 08:12") == {"acar@riverside.example"}
    assert "15:00 Uhr" in last(line)
