"""An unchanged world: nothing is written and nothing is said, in whatever form it comes."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest

from clinicrelay.times import parse_instant
from sync import live, reads, steps, verifying
from sync.health import health
from sync.runners import once
from tests.line.conftest import ZONE, export

if TYPE_CHECKING:
    from pathlib import Path

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


def pending(line: Line) -> int:
    found = line.at_work(health)
    return found.calendars["files"].pending


def test_what_the_calendars_show_is_not_wanted_again_when_a_reminder_is_due(settled: Line) -> None:
    since = settled.query("SELECT appointment, changed_at FROM events")
    settled.now = parse_instant("2026-12-06 09:00", ZONE)
    assert settled.at_work(once.send).messages.sent > 0
    assert pending(settled) == 0
    assert settled.query("SELECT appointment, changed_at FROM events") == since


def test_what_the_calendars_show_is_not_wanted_again_when_patients_go_live(settled: Line) -> None:
    settled.at_work(lambda at_work: live.go(at_work, "patients", who="it@desk.example"))
    settled.now += timedelta(minutes=5)
    settled.real_clock = True
    settled.at_work(once.send)
    assert pending(settled) == 0


def test_a_change_that_is_not_yet_planned_when_patients_go_live_still_reaches_the_calendars(
    settled: Line,
) -> None:
    settled.change(1, start="2026-12-11 09:00")
    settled.drop()
    settled.now += timedelta(minutes=5)
    settled.at_work(lambda at_work: reads.pull(at_work, "reception"))
    settled.at_work(lambda at_work: live.go(at_work, "patients", who="it@desk.example"))
    settled.at_work(once.send)
    assert pending(settled) == 1
    settled.sync()
    assert "2026-12-11 09:00" in settled.starts()


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


def test_another_folder_for_calendar_files_is_filled_by_the_next_run(settled: Line) -> None:
    before = uids(settled.data / "calendars" / "acar.ics")
    settled.set(calendars={"files": {"type": "ics", "folder": "shared"}})
    assert settled.quietly() == []
    assert uids(settled.data / "shared" / "acar.ics") == before


def test_a_lost_calendar_file_is_a_difference_that_a_person_may_mend(settled: Line) -> None:
    path = settled.data / "calendars" / "acar.ics"
    before = uids(path)
    assert settled.at_work(verifying.verify)
    assert not differing(settled)
    path.unlink()
    assert set(differing(settled)) == {"missing"}
    settled.at_work(partial(verifying.verify, repair=True))
    assert not differing(settled)
    assert uids(path) == before


def uids(file: Path) -> list[str]:
    return sorted(re.findall(r"^UID:(\S+)", file.read_text(), re.MULTILINE))


def differing(line: Line) -> list[str]:
    found = line.at_work(verifying.verify)
    return [difference.what for one in found for difference in one.differences]


def test_an_older_export_that_comes_late_is_not_applied(settled: Line) -> None:
    import os

    before = settled.visits()
    settled.change(1, start="2026-12-11 09:00")
    late = settled.drop()
    os.utime(late, (1_700_000_000, 1_700_000_000))
    assert settled.quietly() == []
    assert settled.visits() == before


def test_an_import_that_could_not_be_read_at_first_tells_nobody_either(line: Line) -> None:
    for key in range(3):
        line.book(key, "2026-12-07 10:00")
    line.drop(export(line.rows.values()).replace("start", "when it is"))
    assert line.sync("2026-11-23 09:00").exit == 3
    assert line.after() == []
    line.book(9, "2026-12-08 10:00")
    assert line.after() == [("confirmation", "p9@mail.example")]


def test_where_nothing_is_due_plan_looks_and_writes_nothing(settled: Line) -> None:
    settled.at_work(steps.plan)

    def lease() -> list[tuple[object, ...]]:
        return settled.query("SELECT token, until FROM leases WHERE name = 'plan'")

    before = lease()
    assert settled.at_work(steps.plan) == 0
    assert lease() == before
    settled.now = parse_instant("2026-12-06 09:00", ZONE)
    assert settled.at_work(steps.plan)
    assert lease() != before
