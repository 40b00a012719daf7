"""When a visit begins and ends, whatever shape its cells have."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinicrelay import Appointment, BadRecord, Issue
from clinicrelay.times import iso
from mappings import moments

Apply = Callable[..., Appointment]
START = "start: {path: start, zone: clinic}"


def at(moment: datetime | None) -> str | None:
    return iso(moment) if moment else None


def test_a_naive_time_is_clinic_time_and_says_so_unless_the_mapping_states_a_zone(
    visit: Apply,
) -> None:
    loose = visit("start: {path: start}", _key="1", start="2026-12-01 09:30", patient="x")
    stated = visit(START, _key="1", start="2026-12-01 09:30")
    assert at(loose.start) == at(stated.start) == "2026-12-01T08:30:00Z"
    assert Issue("inferred_zone", "start") in loose.issues
    assert Issue("inferred_zone", "start") not in stated.issues


@pytest.mark.parametrize(
    ("zone", "expected"),
    [("utc", "2026-12-01T09:30:00Z"), ("America/New_York", "2026-12-01T14:30:00Z")],
)
def test_a_field_can_state_another_zone(visit: Apply, zone: str, expected: str) -> None:
    got = visit(f"start: {{path: start, zone: {zone}}}", _key="1", start="2026-12-01 09:30")
    assert at(got.start) == expected


def test_an_offset_in_the_text_wins_over_every_zone(visit: Apply) -> None:
    got = visit(START, _key="1", start="2026-12-01T09:30:00-05:00")
    assert at(got.start) == "2026-12-01T14:30:00Z"


@pytest.mark.parametrize(
    ("wall", "expected", "code"),
    [
        ("2026-03-29 02:30", "2026-03-29T01:30:00Z", "nonexistent_local_time"),
        ("2026-10-25 02:15", "2026-10-25T00:15:00Z", "ambiguous_local_time"),
    ],
)
def test_clock_changes_are_settled_and_told(
    visit: Apply, wall: str, expected: str, code: str
) -> None:
    got = visit(START, _key="1", start=wall)
    assert at(got.start) == expected
    assert Issue(code, "start") in got.issues


@pytest.mark.parametrize(
    "cells",
    [
        ("2026-12-01", "09:30"),
        ("2026-12-01 00:00:00", "09:30"),
        ("2026-12-01 09:30", ""),
        ("2026-12-01 09:30", "09:30"),
        ("01.12.2026", "1899-12-30 09:30:00"),
        ("", "2026-12-01T09:30"),
        ("46357", "0.395833"),
        (date(2026, 12, 1), time(9, 30)),
        (datetime(2026, 12, 1), timedelta(hours=9, minutes=30)),
        (datetime(2026, 12, 1, 8, 30, tzinfo=UTC), None),
    ],
)
def test_date_and_time_are_joined_however_they_are_spread(
    visit: Apply, cells: tuple[Any, Any]
) -> None:
    got = visit("start: {join: [day, at], zone: clinic}", _key="1", day=cells[0], at=cells[1])
    assert at(got.start) == "2026-12-01T08:30:00Z"


def test_declared_formats_are_the_only_ones(visit: Apply) -> None:
    field = 'start: {path: start, zone: clinic, formats: ["%m/%d/%Y %H:%M"]}'
    assert at(visit(field, _key="1", start="12/01/2026 09:30").start) == "2026-12-01T08:30:00Z"
    with pytest.raises(BadRecord) as wrong:
        visit(field, _key="1", start="2026-12-01 09:30")
    assert (wrong.value.reason, wrong.value.field) == ("bad_time", "start")


@pytest.mark.parametrize(
    "text", ["soon", "2026-12-01", "09:30", "2026-02-30 10:00", "9999-01-01 10:00", "1/2/3"]
)
def test_a_start_that_cannot_be_read_sets_the_record_aside_with_its_key(
    visit: Apply, text: str
) -> None:
    with pytest.raises(BadRecord) as wrong:
        visit(f"key: {{path: id}}\n{START}", id="7", start=text)
    assert (wrong.value.reason, wrong.value.field, wrong.value.key) == ("bad_time", "start", "7")
    assert text not in wrong.value.detail


@pytest.mark.parametrize(
    ("day", "time", "said"),
    [
        ("2030-02-31", "09:00", "no such day"),
        ("31.02.2030", "09:00", "no such day"),
        ("31/02/30 09:00", "", "no such day"),
        ("0000-00-00", "09:00", "no such day: it stands for none"),
        ("9999-12-31", "09:00", "no such day: it stands for none"),
        ("", "09:00", "a time without a date"),
        ("soon", "09:00", "neither a date nor a time"),
    ],
)
def test_a_day_that_there_is_not_is_called_so(visit: Apply, day: str, time: str, said: str) -> None:
    with pytest.raises(BadRecord) as wrong:
        visit("start: {join: [day, time], zone: clinic}", _key="1", day=day, time=time)
    assert (wrong.value.reason, wrong.value.detail) == ("bad_time", said)


def test_an_undecided_day_asks_for_the_setting_that_decides(visit: Apply) -> None:
    with pytest.raises(BadRecord) as wrong:
        visit(START, _key="1", start="03/04/2026 10:00")
    assert wrong.value.reason == "ambiguous_date"
    assert "`dates: dmy`" in wrong.value.detail


@pytest.mark.parametrize("start", ["", None, "0000-00-00", "0001-01-01 00:00", "2026-11-00 10:00"])
def test_without_a_start_a_visit_is_kept_unscheduled(visit: Apply, start: str | None) -> None:
    got = visit(f"{START}\nstatus: {{path: s}}", _key="1", start=start, s="cancelled")
    assert (got.start, got.end, got.status) == (None, None, "cancelled")
    assert got.issues == (Issue("no_start", "start"),)


def test_a_required_start_that_is_missing_sets_the_record_aside(visit: Apply) -> None:
    with pytest.raises(BadRecord) as wrong:
        visit("start: {path: start, required: true}", _key="1", start="")
    assert (wrong.value.reason, wrong.value.field) == ("missing", "start")


ENDS = f"{START}\nend: {{path: end, zone: clinic}}\nduration: {{path: mins}}"


def ends(visit: Apply, start: str, end: Any, mins: Any = "") -> Appointment:
    return visit(ENDS, _key="1", start=start, end=end, mins=mins)


def test_an_end_of_its_own_is_not_inferred(visit: Apply) -> None:
    got = ends(visit, "2026-12-01 09:30", "2026-12-01 10:15")
    assert (at(got.end), got.end_inferred, got.issues) == ("2026-12-01T09:15:00Z", False, ())


@pytest.mark.parametrize(
    ("mins", "expected"),
    [("45", 45), ("00:45", 45), ("45 min", 45), ("2700 s", 45), ("0.75h", 45), (45, 45), ("", 30)],
)
def test_a_missing_end_comes_from_the_duration_or_the_default(
    visit: Apply, mins: Any, expected: int
) -> None:
    got = ends(visit, "2026-12-01 09:30", "", mins)
    assert got.start is not None
    assert got.end == got.start + timedelta(minutes=expected)
    assert got.end_inferred
    assert got.issues == (Issue("end_inferred", "end"),)


def test_a_duration_in_seconds_is_declared(visit: Apply) -> None:
    fields = f"{START}\nduration: {{path: secs, unit: seconds}}"
    assert at(visit(fields, _key="1", start="2026-12-01 09:30", secs="600").end) == (
        "2026-12-01T08:40:00Z"
    )


def test_a_duration_nobody_understands_is_told_and_the_default_taken(visit: Apply) -> None:
    got = ends(visit, "2026-12-01 09:30", "", "ages")
    assert Issue("invalid_minutes", "duration") in got.issues
    assert at(got.end) == "2026-12-01T09:00:00Z"


def test_the_mappings_own_default_length_wins_over_the_contexts(visit: Apply) -> None:
    fields = f"{START}\nduration: {{path: mins, default: 20m}}"
    assert at(visit(fields, _key="1", start="2026-12-01 09:30", mins="").end) == (
        "2026-12-01T08:50:00Z"
    )
    assert at(visit(fields, _key="1", start="2026-12-01 09:30").end) == "2026-12-01T08:50:00Z"


def test_where_end_and_duration_differ_the_end_wins_and_says_so(visit: Apply) -> None:
    got = ends(visit, "2026-12-01 09:30", "2026-12-01 10:00", "45")
    assert at(got.end) == "2026-12-01T09:00:00Z"
    assert got.issues == (Issue("duration_differs", "duration"),)


def test_a_default_duration_does_not_argue_with_an_end(visit: Apply) -> None:
    fields = f"{START}\nend: {{path: end, zone: clinic}}\nduration: {{path: m, default: 30m}}"
    got = visit(fields, _key="1", start="2026-12-01 09:30", end="2026-12-01 10:30", m="")
    assert got.issues == ()


@pytest.mark.parametrize("end", ["2026-12-01 09:30", "2026-12-01 08:00", "08:00", "10:00 AM x"])
def test_an_end_not_after_the_start_or_unreadable_counts_as_missing(visit: Apply, end: str) -> None:
    got = ends(visit, "2026-12-01 09:30", end)
    assert at(got.end) == "2026-12-01T09:00:00Z"
    assert got.end_inferred
    assert {issue.field for issue in got.issues} == {"end"}
    assert len(got.issues) == 2


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2026-12-01 09:30", "10:15", "2026-12-01T09:15:00Z"),
        ("2026-12-01 22:30", "06:00", "2026-12-02T05:00:00Z"),
        ("2026-12-01 22:30", "24:00", "2026-12-01T23:00:00Z"),
        ("2026-12-01T22:30:00Z", "00:15", "2026-12-01T23:15:00Z"),
    ],
)
def test_an_end_that_is_only_a_time_is_on_the_day_or_after_midnight(
    visit: Apply, start: str, end: str, expected: str
) -> None:
    got = ends(visit, start, end)
    assert (at(got.end), got.end_inferred) == (expected, False)


def test_minutes_can_be_added_to_a_time(visit: Apply) -> None:
    fields = f"{START}\nend: {{path: start, zone: clinic, add_minutes: 50}}"
    got = visit(fields, _key="1", start="2026-12-01 09:30")
    assert (at(got.end), got.end_inferred) == ("2026-12-01T09:20:00Z", False)


def test_a_pattern_can_be_as_long_as_the_visit(visit: Apply) -> None:
    fields = f"{START}\nduration: {{path: pattern, length: 5m}}"
    got = visit(fields, _key="1", start="2026-12-01 09:30", pattern="//XXXX//")
    assert at(got.end) == "2026-12-01T09:10:00Z"


def test_a_rows_own_zone_wins_over_the_clinics_and_an_unknown_one_is_not_guessed(
    visit: Apply,
) -> None:
    fields = f"{START}\ntimezone: {{path: tz}}"
    got = visit(fields, _key="1", start="2026-12-01 09:30", tz="Europe/Lisbon")
    assert (at(got.start), got.timezone) == ("2026-12-01T09:30:00Z", "Europe/Lisbon")
    with pytest.raises(BadRecord, match="unknown_timezone"):
        visit(fields, _key="1", start="2026-12-01 09:30", tz="EST")


def test_equal_cells_mean_the_same_again(load: Any) -> None:
    from clinicrelay import Record
    from clinicrelay.tables import Header, Row
    from mappings import Context

    mapper = load(f"fields:\n  {START}\n").compile(Context("s", "Europe/Berlin", "DE", "de"))
    header = Header(["start"])
    twice = [
        mapper(Record(data=Row(header, (text,), tuple), digest=b"", key="1"))
        for text in ("2026-03-29 02:30", "2026-12-01 09:30", "2026-03-29 02:30")
    ]
    assert twice[0] == twice[2] != twice[1]
    assert twice[2].issues == (
        Issue("nonexistent_local_time", "start"),
        Issue("end_inferred", "end"),
    )


OFFSETS = st.sampled_from(["Z", "+00:00", "-05:00", "+05:30", "+14:00", "", "z", "+0100", " Z"])
CLOCKS = ["09:00", "09:00:00", "23:59:59.999", "24:00:00", "09:00:60", "9:00", "25:00"]
DAYS = [
    "2026-12-01",
    "2026-02-30",
    "1900-01-01",
    "1901-01-01",
    "2199-12-31",
    "2200-01-01",
    "2026-00-01",
]


@given(st.sampled_from(DAYS), st.sampled_from(["T", " "]), st.sampled_from(CLOCKS), OFFSETS)
def test_the_short_way_to_an_instant_leads_where_the_long_way_does(
    day: str, mark: str, clock: str, offset: str
) -> None:
    text, how = f"{day}{mark}{clock}{offset}", moments.Zoned("Europe/Berlin", False)
    begin = moments.Start(datetime(2026, 12, 1, 8, 30, tzinfo=UTC), "Europe/Berlin", ())

    def told(read: Any, *given: Any) -> Any:
        try:
            return read.__wrapped__(*given)
        except ValueError as wrong:
            return str(wrong)

    def both() -> list[Any]:
        end = told(moments.read_end, (text,), begin, how)
        return [told(moments.read_start, (text,), how), end]

    short = both()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moments, "_exact", lambda text, how: None)
        assert short == both()


@pytest.mark.parametrize(
    "end_of_time",
    ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-05:00", "9999-12-31 23:59"],
)
def test_a_moment_at_the_ends_of_the_calendar_is_no_moment(visit: Apply, end_of_time: str) -> None:
    assert visit(START, _key="1", start=end_of_time).start is None
    ends = START + "\nend: {path: end, zone: clinic}"
    begun = visit(ends, _key="1", start="2026-12-01 09:30", end=end_of_time)
    assert at(begun.start) == "2026-12-01T08:30:00Z"
