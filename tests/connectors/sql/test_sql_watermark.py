"""Changes are found by a column of times, and no row is lost to clocks, ties or NULLs."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from clinicrelay.errors import Refused
from clinicrelay.testing.connectors import Read
from clinicrelay.testing.kits import NOW
from connectors.sql.server import Clock
from connectors.sql.watermark import Marks, begin

CURSOR = {"cursor": "updated_at"}
EXPLICIT = (
    "SELECT * FROM appointments WHERE updated_at >= :watermark AND appointment_date < :window_end"
)


def keys(read: Read) -> list[str]:
    return sorted(str(record.key) for record in read.records)


def test_a_second_poll_asks_only_for_what_changed(clinic: Any) -> None:
    clinic.open()
    clinic.book(*range(30))
    first = clinic.read(**CURSOR)
    assert not first.pages[-1].changes
    clinic.book(99, at="2026-11-22 10:00:00")
    second = clinic.read(first.cursor, **CURSOR)
    assert all(page.changes for page in second.pages)
    clinic.book(100, at="2026-11-22 10:00:30")
    third = clinic.read(second.cursor, **CURSOR)
    assert keys(third) == ["A-100", "A-99"]  # the other again, for the overlap


def test_the_query_may_compare_with_the_watermark_itself(clinic: Any) -> None:
    clinic.open()
    clinic.book(*range(30))
    first = clinic.read(query=EXPLICIT, **CURSOR)
    assert len(first.records) == 30
    clinic.book(99, at="2026-11-22 10:00:00")
    clinic.read(first.cursor, query=EXPLICIT, **CURSOR)
    second = clinic.read(
        clinic.read(first.cursor, query=EXPLICIT, **CURSOR).cursor, query=EXPLICIT, **CURSOR
    )
    assert keys(second) == ["A-99"]


def test_everything_is_read_once_a_day(clinic: Any) -> None:
    clinic.open()
    clinic.book(1, 2)
    first = clinic.read(**CURSOR)
    clinic.now = NOW + timedelta(hours=23)
    second = clinic.read(first.cursor, **CURSOR)
    clinic.now = NOW + timedelta(hours=25)
    third = clinic.read(second.cursor, **CURSOR)
    fourth = clinic.read(third.cursor, **CURSOR)
    assert [r.pages[-1].changes for r in (first, second, third, fourth)] == [
        False,
        True,
        False,
        True,
    ]
    assert third.pages[-1].covers
    assert third.cursor
    assert third.cursor["reconciled"] == clinic.now.isoformat()


def test_five_hundred_rows_of_one_moment_are_all_read(clinic: Any) -> None:
    """Across the limit of a fetch, too (pipelinewise #1027 took the last row's value)."""
    clinic.open()
    clinic.book(*range(100))
    first = clinic.read(fetch_size=100, **CURSOR)
    clinic.book(*range(1000, 1500), at="2026-11-22 10:00:00")
    second = clinic.read(first.cursor, fetch_size=100, **CURSOR)
    assert {f"A-{n}" for n in range(1000, 1500)} <= set(keys(second))


def test_rows_that_do_not_say_when_are_read_each_time(clinic: Any) -> None:
    clinic.open()
    clinic.book(1, at=None)
    clinic.book(*range(2, 9))
    first = clinic.read(**CURSOR)
    clinic.book(10, at=None)
    clinic.book(11, at="2026-11-22 10:00:00")
    second = clinic.read(first.cursor, **CURSOR)
    assert {"A-1", "A-10", "A-11"} <= set(keys(second))
    assert second.cursor
    assert second.cursor["watermark"] == "2026-11-22T10:00:00+00:00"


def test_a_typing_error_in_the_future_does_not_move_the_watermark(clinic: Any) -> None:
    clinic.open()
    clinic.book(1, at="2026-11-22 10:00:00")
    clinic.book(2, at="2062-11-22 10:00:00")
    first = clinic.read(**CURSOR)
    assert first.cursor
    assert first.cursor["watermark"] == "2026-11-22T10:00:00+00:00"
    assert any("later than the database's clock" in note for note in first.pages[-1].notes)
    clinic.book(3, at="2026-11-23 07:00:00")
    assert "A-3" in keys(clinic.read(first.cursor, **CURSOR))


def test_the_watermark_never_goes_back_and_never_past_the_sources_clock() -> None:
    marks = Marks(Clock(NOW), "UTC")
    marks.see(["2026-11-23 08:03:00+00"])
    assert marks.reached(None) == NOW
    assert marks.reached(NOW + timedelta(days=1)) == NOW + timedelta(days=1)
    held = Marks(Clock(NOW, NOW - timedelta(hours=2), True), "UTC")
    held.see(["2026-11-23 07:59:00+00"])
    assert held.reached(None) == NOW - timedelta(hours=2)


def test_a_column_of_days_is_asked_for_the_day_before_too(clinic: Any) -> None:
    clinic.run("CREATE TABLE days (appointment_id VARCHAR(20), changed DATE)")
    said = {"query": "SELECT appointment_id, changed FROM days", "cursor": "changed"}
    clinic.run("INSERT INTO days VALUES (?, ?)", ("A-1", "2026-11-22"))
    first = clinic.read(**said)
    clinic.run("INSERT INTO days VALUES (?, ?)", ("A-2", "2026-11-22"), ("A-3", "2026-11-23"))
    second = clinic.read(first.cursor, **said)
    assert {"A-2", "A-3"} <= set(keys(second))
    clinic.run("INSERT INTO days VALUES (?, ?)", ("A-4", "2026-11-23"))
    assert "A-4" in keys(clinic.read(second.cursor, **said))


def test_a_column_in_local_time_is_asked_for_the_hour_that_autumn_repeats() -> None:
    at = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    plain = begin(at, timedelta(minutes=10), coarse=False, naive=False)
    assert plain - begin(at, timedelta(minutes=10), coarse=False, naive=True) == timedelta(hours=1)


def test_a_column_of_local_time_is_compared_in_its_zone(clinic: Any) -> None:
    """09:30 in Berlin is 08:30 UTC: not in the future at 08:45 UTC, and asked for as 09:…"""
    clinic.open()
    clinic.now = datetime(2026, 11, 23, 8, 45, tzinfo=UTC)
    said = {**CURSOR, "zones": {"updated_at": "clinic"}}
    clinic.book(1, at="2026-11-23 09:30:00")
    first = clinic.read(**said)
    assert first.cursor
    assert first.cursor["watermark"] == "2026-11-23T08:30:00+00:00"
    clinic.book(2, at="2026-11-23 07:00:00")
    clinic.book(3, at="2026-11-23 09:31:00")
    assert keys(clinic.read(first.cursor, **said)) == ["A-1", "A-3"]


def test_a_cursor_of_another_query_is_worth_nothing(clinic: Any) -> None:
    clinic.open()
    clinic.book(1, 2)
    first = clinic.read(query="SELECT * FROM appointments WHERE appointment_id <> 'A-1'", **CURSOR)
    assert keys(first) == ["A-2"]
    assert keys(clinic.read(first.cursor, **CURSOR)) == ["A-1", "A-2"]


def test_a_column_that_holds_no_times_is_refused_by_its_name(clinic: Any) -> None:
    clinic.open()
    clinic.book(1)
    with pytest.raises(Refused, match="status holds no times"):
        clinic.read(cursor="status")


def test_until_the_last_page_the_cursor_stays(clinic: Any) -> None:
    clinic.open()
    clinic.book(*range(35))
    first = clinic.read(fetch_size=10, **CURSOR)
    assert [page.cursor for page in first.pages[:-1]] == [{}, {}, {}]
    clinic.book(*range(100, 135), at="2026-11-22 10:00:00")
    second = clinic.read(first.cursor, fetch_size=10, **CURSOR)
    assert all(page.cursor == first.cursor for page in second.pages[:-1])
    assert second.cursor != first.cursor


def test_settings_that_cannot_work_say_what_is_missing(sqlite_clinic: Any) -> None:
    for said, sentence in (
        ({"query": EXPLICIT}, "does not say which column"),
        ({"strategy": "watermark"}, "needs a column"),
        ({"strategy": "row_hash"}, "names none"),
        ({"strategy": "snapshot", "query": EXPLICIT, **CURSOR}, "leaves some out"),
    ):
        with pytest.raises(ValidationError, match=sentence):
            sqlite_clinic.connector(**said)


def test_which_way_is_taken_is_said_once(clinic: Any) -> None:
    clinic.open()
    clinic.book(1)
    first = clinic.read(**CURSOR)
    assert first.pages[-1].notes == [
        "reads what updated_at says has changed, and everything every 24 h"
    ]
    assert clinic.made[-1].strategy == "cursor"
    assert not clinic.read(first.cursor, **CURSOR).pages[-1].notes
    assert "compares it" in clinic.read().pages[-1].notes[0]
    assert clinic.made[-1].strategy == "snapshot"


def test_days_are_values_too() -> None:
    marks = Marks(Clock(NOW), "UTC")
    marks.see([date(2026, 11, 20), None, "0000-00-00", "9999-12-31", "infinity"])
    assert marks.highest == datetime(2026, 11, 20, tzinfo=UTC)
    assert marks.coarse
