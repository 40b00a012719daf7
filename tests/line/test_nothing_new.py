"""An unchanged world: nothing is written and nothing is said, in whatever form it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.line.conftest import Line


@pytest.fixture
def settled(line: Line) -> Line:
    """A clinic with a bit of history and nothing pending."""
    line.book(1, "2026-12-07 09:00")
    line.book_many(30)
    line.after()
    line.book(2, "2026-12-09 09:00")
    line.change(1, start="2026-12-10 09:00")
    line.cancel(105)
    line.rows["106"]["status"] = "XQ"  # set aside, and stays so
    assert len(line.after()) == 3
    return line


def test_a_second_run_writes_no_row_no_file_and_no_message(settled: Line) -> None:
    rows, files, writes = settled.dump(), settled.files(), len(settled.writes)
    report = settled.sync()
    assert (settled.dump(), settled.files()) == (rows, files)
    assert len(settled.writes) == writes
    assert not report.changed
    assert report.exit == 0


@pytest.mark.parametrize("name", ["visits.csv", "visits-again.csv"])
def test_the_same_bytes_again_are_a_fresh_read_and_nothing_else(settled: Line, name: str) -> None:
    rows, files, writes = settled.dump(), settled.files(), len(settled.writes)
    settled.drop(name=name)
    report = settled.sync()
    assert (settled.dump(), settled.files()) == (rows, files)
    assert len(settled.writes) == writes
    assert report.messages.sent == 0
    assert report.sources["reception"].complete


def test_the_same_rows_in_another_order_change_nothing(settled: Line) -> None:
    rows, files, writes = settled.dump(), settled.files(), len(settled.writes)
    settled.rows = dict(reversed(settled.rows.items()))
    settled.drop()
    report = settled.sync()
    after = settled.dump()
    assert len(after.pop("quarantine")) == len(rows.pop("quarantine")) == 1  # seen once more
    assert after.pop("sightings") != rows.pop("sightings")  # where each record stands now
    assert (after, settled.files(), len(settled.writes)) == (rows, files, writes)
    assert report.sources["reception"].changes == {}
    assert report.messages.sent == 0


def test_the_same_visits_written_in_another_way_are_told_to_nobody(settled: Line) -> None:
    before = settled.visits()
    files, writes = settled.files(), len(settled.writes)
    for key, row in settled.rows.items():
        settled.rows[key] = {**row, "start": row["start"].replace(" ", "T") + ":00"}
    assert settled.after() == []
    assert settled.visits() == before
    assert (settled.files(), len(settled.writes)) == (files, writes)


def test_a_lost_calendar_file_is_written_anew_and_nothing_is_said(settled: Line) -> None:
    path = settled.data / "calendars" / "acar.ics"
    before = path.read_bytes()
    path.unlink()
    assert settled.quietly() == []
    assert path.read_bytes() == before


def test_an_older_export_that_comes_late_is_not_applied(settled: Line) -> None:
    import os

    before = settled.visits()
    settled.change(1, start="2026-12-11 09:00")
    late = settled.drop()
    os.utime(late, (1_700_000_000, 1_700_000_000))
    assert settled.quietly() == []
    assert settled.visits() == before
