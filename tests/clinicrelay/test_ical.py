"""Every text that ical writes is read back by the icalendar library, and says the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import icalendar
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinicrelay import EventWrite, ical

START = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)

# The characters that break writers: line ends of all kinds, what is escaped, wide and odd letters.
NASTY = st.text(
    st.one_of(
        st.sampled_from("\r\n\t,;:\\\"'=\u2028\u2029\x85\x0b\x0c\x00\x7f 🏥é漢\u0301"),
        st.characters(codec="utf-8"),
    ),
    max_size=300,
)
INSTANTS = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)).map(
    lambda d: d.replace(microsecond=0)
)


def write(**changes: object) -> EventWrite:
    fields: dict[str, object] = {
        "ref": "r1",
        "put": True,
        "start": START,
        "end": START + timedelta(minutes=30),
        "title": "Appointment",
        "written_at": START - timedelta(days=9),
    }
    return EventWrite(**{**fields, **changes})  # type: ignore[arg-type]


def read(text: str) -> icalendar.Event:
    (event,) = icalendar.Calendar.from_ical(text).walk("VEVENT")
    return event


def as_read(text: str) -> str:
    """What a text should come back as: one kind of line end, no control characters."""
    for end in ("\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"):
        text = text.replace(end, "\n")
    return "".join(c for c in text if c in "\n\t" or not (c < " " or c == "\x7f"))


@given(NASTY, NASTY, NASTY, st.text(min_size=1, max_size=120))
def test_any_text_comes_back_as_it_was(title: str, notes: str, place: str, ref: str) -> None:
    event = write(title=title, description=notes, location=place)
    seen = read(ical.calendar("acar", "Europe/Berlin", [ical.vevent(event, ref)]))
    for name, text in (("SUMMARY", title), ("DESCRIPTION", notes), ("LOCATION", place)):
        assert str(seen.get(name, "")) == as_read(text)
    assert str(seen["UID"]) == as_read(ref)
    assert not seen.errors


@given(NASTY, NASTY)
def test_every_line_is_short_enough_and_ends_as_it_must(title: str, name: str) -> None:
    text = ical.calendar(name, "Europe/Berlin", [ical.vevent(write(title=title), "u@x")])
    lines = text.encode().split(b"\r\n")
    assert lines.pop() == b""
    assert max(map(len, lines)) <= 75
    assert not [line for line in lines if b"\n" in line or b"\r" in line]
    for line in lines:
        line.decode()  # no character is cut in half


def test_a_lone_surrogate_does_not_stop_the_file_from_being_written() -> None:
    text = ical.vevent(write(title="a\ud83db"), "u@x")
    assert "SUMMARY:a\ufffdb\r\n" in text
    assert text.encode()


@given(INSTANTS, st.timedeltas(timedelta(seconds=1), timedelta(days=40)), st.integers(0, 10**6))
def test_times_and_sequence_come_back_as_they_were(
    start: datetime, length: timedelta, sequence: int
) -> None:
    end = (start + length).replace(microsecond=0)
    text = ical.vevent(write(start=start, end=end, sequence=sequence), "u@x")
    seen = read(ical.calendar("acar", "Europe/Berlin", [text]))
    assert seen["DTSTART"].dt == start
    assert seen.get("DTEND") is None if end <= start else seen["DTEND"].dt == end
    assert seen["SEQUENCE"] == sequence
    assert seen["DTSTAMP"].dt == seen["LAST-MODIFIED"].dt == START - timedelta(days=9)


def test_a_time_of_another_zone_is_written_as_utc() -> None:
    from zoneinfo import ZoneInfo

    local = START.astimezone(ZoneInfo("Australia/Lord_Howe"))
    assert "DTSTART:20261201T093000Z\r\n" in ical.vevent(write(start=local), "u@x")


@pytest.mark.parametrize("end", [None, START, START - timedelta(hours=1)])
def test_an_end_that_is_not_after_the_start_is_left_out(end: datetime | None) -> None:
    seen = read(ical.calendar("acar", "Europe/Berlin", [ical.vevent(write(end=end), "u@x")]))
    assert "DTEND" not in seen
    assert seen["DTSTART"].dt == START


def test_a_pending_visit_is_tentative_and_every_event_is_private() -> None:
    seen = read(ical.calendar("acar", "Europe/Berlin", [ical.vevent(write(tentative=True), "u@x")]))
    assert (seen["STATUS"], seen["CLASS"]) == ("TENTATIVE", "PRIVATE")
    assert "STATUS:CONFIRMED" in ical.vevent(write(), "u@x")


def test_the_same_write_gives_the_same_text() -> None:
    assert ical.vevent(write(), "u@x") == ical.vevent(write(), "u@x")
    assert ical.vevent(write(written_at=None), "u@x") == ical.vevent(write(written_at=None), "u@x")


def test_an_event_without_a_start_is_an_error() -> None:
    with pytest.raises(ValueError, match="start"):
        ical.vevent(write(start=None), "u@x")


def invite(method: ical.Method = ical.Method.REQUEST, **changes: object) -> str:
    return ical.invite(
        write(title="Appointment – Riverside", **changes),
        "appt-7@riverside.clinicrelay",
        organizer=ical.Person("frontdesk@riverside.example", 'Riverside "Family", Clinic'),
        attendee=ical.Person("jo@patient.example"),
        method=method,
    )


def test_an_invitation_names_both_sides_and_asks_for_no_answer() -> None:
    calendar = icalendar.Calendar.from_ical(invite())
    (event,) = calendar.walk("VEVENT")
    assert calendar["METHOD"] == "REQUEST"
    assert event["ORGANIZER"] == "mailto:frontdesk@riverside.example"
    assert event["ORGANIZER"].params["CN"] == "Riverside 'Family', Clinic"
    assert event["ATTENDEE"] == "mailto:jo@patient.example"
    assert event["ATTENDEE"].params["RSVP"] == "FALSE"
    assert not event.walk("VALARM")
    assert not event.errors


def test_an_invitation_says_where_to_join_and_nothing_can_hide_in_the_link() -> None:
    people = {"organizer": ical.Person("a@b.example"), "attendee": ical.Person("jo@b.example")}
    link = "https://meet.example/room;x=1,2?" + "k" * 90
    (event,) = icalendar.Calendar.from_ical(ical.invite(write(), "u@x", **people, url=link)).walk(
        "VEVENT"
    )
    assert event["URL"] == link
    assert "URL" not in ical.invite(write(), "u@x", **people, url=f"{link}\r\nX-EVIL:1")


def test_a_withdrawal_has_the_same_uid_and_says_cancelled_twice() -> None:
    # The title must not be mistaken for the status line.
    text = invite(ical.Method.CANCEL, sequence=2, description="x\r\nSTATUS:CONFIRMED\r\ny")
    calendar = icalendar.Calendar.from_ical(text)
    (event,) = calendar.walk("VEVENT")
    assert calendar["METHOD"] == "CANCEL"
    assert (event["STATUS"], event["SEQUENCE"]) == ("CANCELLED", 2)
    assert event["UID"] == read(invite())["UID"]
    assert "STATUS:CONFIRMED" in event["DESCRIPTION"]


@pytest.mark.parametrize("address", ["", "jo", "jo@x.example\r\nX-EVIL:1", "a@b,c@d", "a b@c"])
def test_an_invitation_to_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="plain e-mail"):
        ical.invite(
            write(), "u@x", organizer=ical.Person("a@b.example"), attendee=ical.Person(address)
        )


@given(st.text(st.characters(codec="utf-8"), max_size=120))
def test_no_name_of_an_organizer_can_add_a_line(name: str) -> None:
    text = ical.invite(
        write(),
        "u@x",
        organizer=ical.Person("a@b.example", name),
        attendee=ical.Person("jo@c.example"),
    )
    event = read(text)
    assert event["ORGANIZER"] == "mailto:a@b.example"
    assert not event.errors
