"""Doctors' calendars as files."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import icalendar
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calendars.ics import Ics, Options, file_name
from clinicrelay import EventWrite, Hand, Outcome, Practitioner
from clinicrelay.testing import CalendarContract, SeenEvent, kit
from clinicrelay.testing.kits import CLINIC

START = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)


def ics(folder: Path) -> Ics:
    return Ics(Options(), kit(folder))


def put(ref: str = "r1", title: str = "Appointment") -> EventWrite:
    return EventWrite(ref, put=True, start=START, title=title, written_at=START)


class TestIcsKeepsTheContract(CalendarContract):
    def make(self, folder: Path) -> Ics:
        return ics(folder)

    def events(self, folder: Path, calendar: str) -> Sequence[SeenEvent]:
        path = ics(folder).file_of(calendar)
        return [_seen(e) for e in _read(path).walk("VEVENT")] if path.exists() else []

    def state(self, folder: Path, calendar: str) -> object:
        path = ics(folder).file_of(calendar)
        return path.read_bytes(), path.stat().st_mtime_ns

    def break_destination(self, folder: Path) -> None:
        (folder / "calendars").write_text("a file where the folder should be")


def _read(path: Path) -> icalendar.Calendar:
    return icalendar.Calendar.from_ical(path.read_bytes())


def _seen(event: icalendar.Event) -> SeenEvent:
    return SeenEvent(
        identity=str(event["UID"]),
        title=str(event.get("SUMMARY", "")),
        start=event["DTSTART"].dt,
        end=event["DTEND"].dt if "DTEND" in event else None,
        description=str(event.get("DESCRIPTION", "")),
        location=str(event.get("LOCATION", "")),
        tentative=event["STATUS"] == "TENTATIVE",
    )


def test_the_file_is_named_after_the_doctor_and_says_so_inside(tmp_path: Path) -> None:
    list(ics(tmp_path).apply("acar", [put()]))
    calendar = _read(tmp_path / "calendars" / "acar.ics")
    assert calendar["X-WR-CALNAME"] == "acar"
    assert calendar["X-WR-TIMEZONE"] == "Europe/Berlin"


def test_a_doctors_calendar_is_the_key_of_the_practitioner() -> None:
    assert Ics.address_of(Practitioner("Practitioner/17", email="x@y.example")) == "Practitioner/17"


def test_the_uid_is_made_of_the_visit_and_the_clinic_and_returned(tmp_path: Path) -> None:
    (result,) = ics(tmp_path).apply("acar", [put("r1")])
    assert result.memo == {"uid": "r1@riverside.clinicrelay"}


def test_what_was_put_twice_in_one_batch_is_there_once_as_last_said(tmp_path: Path) -> None:
    results = list(ics(tmp_path).apply("acar", [put(title="First"), put(title="Second")]))
    assert [r.outcome for r in results] == [Outcome.ACCEPTED] * 2
    (event,) = _read(tmp_path / "calendars" / "acar.ics").walk("VEVENT")
    assert event["SUMMARY"] == "Second"


def test_an_event_without_a_start_is_refused_and_the_others_are_written(tmp_path: Path) -> None:
    results = list(ics(tmp_path).apply("acar", [EventWrite("r0", put=True), put("r1")]))
    assert [(r.outcome, r.reason) for r in results] == [
        (Outcome.REJECTED, "no_start"),
        (Outcome.ACCEPTED, ""),
    ]


def test_a_very_long_reference_is_found_again_across_folded_lines(tmp_path: Path) -> None:
    ref = "ä" * 150
    for _ in range(2):
        list(ics(tmp_path).apply("acar", [put(ref), put("r2")]))
    assert len(_read(tmp_path / "calendars" / "acar.ics").walk("VEVENT")) == 2
    list(ics(tmp_path).apply("acar", [EventWrite(ref, put=False)]))
    assert len(_read(tmp_path / "calendars" / "acar.ics").walk("VEVENT")) == 1


def test_a_text_that_looks_like_the_end_of_an_event_is_only_text(tmp_path: Path) -> None:
    title = "END:VEVENT\r\nEND:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:evil"
    for ref in ("r1", "r2"):
        list(ics(tmp_path).apply("acar", [put(ref, title)]))
    events = _read(tmp_path / "calendars" / "acar.ics").walk("VEVENT")
    assert [str(e["UID"])[:2] for e in events] == ["r1", "r2"]
    assert events[0]["SUMMARY"] == title.replace("\r\n", "\n")


def test_a_calendar_is_lost_when_its_file_is_gone_or_another_ones(tmp_path: Path) -> None:
    calendar = ics(tmp_path)
    assert calendar.lost("acar")
    list(calendar.apply("acar", [put()]))
    assert not calendar.lost("acar")
    list(calendar.apply("acar", [EventWrite("r1", put=False)]))
    assert not calendar.lost("acar")
    whole = calendar.file_of("acar").read_bytes()
    for damaged in (b"", b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", whole[:-9], b"\xff\xfe"):
        calendar.file_of("acar").write_bytes(damaged)
        assert calendar.lost("acar"), damaged
    calendar.file_of("acar").unlink()
    assert calendar.lost("acar")


def test_what_somebody_else_put_there_is_kept_beside(tmp_path: Path) -> None:
    path = ics(tmp_path).file_of("acar")
    path.parent.mkdir()
    path.write_bytes(b"BEGIN:VCALENDAR\r\nPRODID:somebody\r\nEND:VCALENDAR\r\n")
    list(ics(tmp_path).apply("acar", [put()]))
    assert len(_read(path).walk("VEVENT")) == 1
    assert b"somebody" in path.with_name("acar.ics.not-ours").read_bytes()


def test_nothing_but_the_calendar_files_is_left_in_the_folder(tmp_path: Path) -> None:
    for calendar in ("acar", "braun"):
        list(ics(tmp_path).apply(calendar, [put()]))
    names = sorted(p.name for p in (tmp_path / "calendars").iterdir())
    assert names == ["acar.ics", "braun.ics"]


def test_removing_from_a_calendar_that_never_was_makes_no_file(tmp_path: Path) -> None:
    list(ics(tmp_path).apply("acar", [EventWrite("r1", put=False)]))
    assert not ics(tmp_path).file_of("acar").exists()


def test_twenty_thousand_events_are_kept_apart(tmp_path: Path) -> None:
    length = timedelta(minutes=15)
    many = [
        EventWrite(f"r{n}", put=True, start=START + n * length, title="Visit", written_at=START)
        for n in range(20_000)
    ]
    list(ics(tmp_path).apply("acar", many))
    list(ics(tmp_path).apply("acar", [EventWrite("r777", put=False)]))
    content = ics(tmp_path).file_of("acar").read_text()
    assert content.count("BEGIN:VEVENT") == 19_999
    assert "UID:r777@" not in content


NAMES = st.one_of(
    st.text(st.sampled_from("aAbB1-._@/ äß"), min_size=1, max_size=12),
    st.text(st.characters(codec="utf-8"), max_size=200),
    st.sampled_from(["con", "CON", "nul.x", "..", ".", "", "-", "Practitioner/17", "a" * 300]),
)


@given(st.lists(NAMES, unique=True, max_size=20))
def test_no_two_calendars_share_a_file_on_any_system(calendars: list[str]) -> None:
    # Windows and macOS take Anna.ics and anna.ics for one file.
    files = {file_name(calendar).casefold() for calendar in calendars}
    assert len(files) == len(calendars)


@given(NAMES)
def test_every_file_name_is_one_that_any_system_takes(calendar: str) -> None:
    name = file_name(calendar)
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789._@-")
    assert name[0] not in ".-@_"
    assert len(name) <= 80
    assert name.split(".")[0] not in {"con", "prn", "aux", "nul", "com1", "lpt1"}


def test_a_name_made_to_look_like_one_with_a_hash_does_not_meet_it() -> None:
    victim = file_name("Anna")
    assert file_name(victim) != victim


@pytest.mark.parametrize("clinic", ["c", "a-clinic-whose-name-is-folded-in-a-file-as-it-is-long"])
def test_a_look_finds_what_the_file_lacks_and_what_it_has_too_many(
    tmp_path: Path, clinic: str
) -> None:
    plugin = Ics(Options(), kit(tmp_path, clinic=dataclasses.replace(CLINIC, id=clinic)))
    kept, strange, long = "r1", "r3", "cr" + "x" * 30
    memos = {r.ref: r.memo for r in plugin.apply("acar", [put(kept), put(long), put(strange)])}

    def look() -> dict[str, Hand | None]:
        seen = plugin.seen("acar", None, lambda refs=None: memos).sightings
        return {one.ref: one.hand for one in seen}

    assert look() == {}
    del memos[strange]
    assert look() == {strange: Hand.ORPHANED}
    (orphan,) = plugin.seen("acar", None, lambda refs=None: memos).sightings
    assert orphan.start == START
    list(plugin.apply("acar", [EventWrite(strange, put=False, memo=orphan.memo)]))
    assert look() == {}
    list(plugin.apply("acar", [EventWrite(long, put=False)]))
    assert look() == {long: Hand.MISSING}
    plugin.file_of("acar").unlink()
    assert look() == {kept: Hand.MISSING, long: Hand.MISSING}
