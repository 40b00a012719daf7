"""A reject file, mended and dropped again: just its rows are applied, and nothing else moves."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from tests.line.conftest import Line, export


def inbox(line: Line) -> Path:
    return line.folder / "drops" / "reception"


def reject_file(line: Line) -> list[dict[str, str]]:
    (path,) = inbox(line).glob("processed/*/visits*.rejects.csv")
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"))))


def drop_again(line: Line, rows: list[dict[str, str]], name: str = "visits.rejects.csv") -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    line.drop(text.getvalue(), name=name)


def aside(line: Line) -> list[tuple[str, str, int | None]]:
    return [(one["place"], one["reason"], one["column_no"]) for one in line.set_aside()]


@pytest.fixture
def with_bad_rows(line: Line) -> Line:
    """A snapshot of which one row has an unknown status, and one is cut short."""
    line.book_many(12)
    line.book(1, status="XQ")
    line.drop(export(line.rows.values()) + "2,2026-12-08 10:00,30\n")
    line.sync()
    return line


def test_only_the_mended_rows_are_applied_and_nothing_else_vanishes(with_bad_rows: Line) -> None:
    line = with_bad_rows
    assert len(line.visits()) == 12
    assert aside(line) == [
        ("visits.csv:15", "missing_cell", 4),
        ("visits.csv:14", "unknown_status", 4),
    ]
    rows = reject_file(line)
    assert [(row["column"], row["value"]) for row in rows] == [("status", "XQ"), ("status", "")]

    mended = [rows[0] | {"status": "scheduled"}, rows[1] | {"status": "ok", "patient_id": "P2"}]
    drop_again(line, mended)
    report = line.sync().sources["reception"]

    assert (report.read, report.set_aside, report.changes) == (2, 0, {"booked": 2})
    assert report.state == "ok"
    assert len(line.visits()) == 14
    assert aside(line) == []


def test_a_row_without_any_key_is_resolved_too(with_bad_rows: Line) -> None:
    """The cut row names no visit that could be compared; only the reject file knows which it was."""
    line = with_bad_rows
    drop_again(line, [reject_file(line)[1] | {"status": "scheduled", "patient_id": "P2"}])
    line.sync()
    assert [reason for _, reason, _ in aside(line)] == ["unknown_status"]


def test_a_row_that_is_still_wrong_stays_set_aside_once(with_bad_rows: Line) -> None:
    line = with_bad_rows
    drop_again(line, [row | {"status": "XY", "patient_id": "P2"} for row in reject_file(line)])
    report = line.sync().sources["reception"]
    assert report.set_aside == 2
    assert sorted(aside(line)) == [
        ("visits.rejects.csv:2", "unknown_status", 4),
        ("visits.rejects.csv:3", "unknown_status", 4),
    ]


def test_many_rows_that_are_still_wrong_hold_nothing_back(line: Line) -> None:
    """A person works through a list; half of it wrong is no sign that the export has changed."""
    line.book_many(40)
    for key in range(1, 7):
        line.book(key, status="XQ")
    line.after()
    rows = reject_file(line)
    drop_again(line, [row | {"status": "scheduled"} for row in rows[:1]] + rows[1:])
    report = line.sync().sources["reception"]
    assert (report.state, report.changes, report.set_aside) == ("ok", {"booked": 1}, 5)


def test_the_next_snapshot_is_compared_as_if_there_had_been_no_correction(
    with_bad_rows: Line,
) -> None:
    line = with_bad_rows
    drop_again(
        line, [row | {"status": "scheduled", "patient_id": "P2"} for row in reject_file(line)]
    )
    line.sync()
    line.change(1, status="scheduled")
    line.book(2, "2026-12-08 10:00", minutes="30")
    line.drop()
    report = line.sync().sources["reception"]
    assert report.state == "ok"
    assert report.unchanged >= 12  # recalled word for word
    assert "gone" not in report.changes


def test_a_mended_visit_is_written_to_the_calendar_and_confirmed(with_bad_rows: Line) -> None:
    line = with_bad_rows
    before = line.outbox()
    drop_again(line, [reject_file(line)[0] | {"status": "scheduled"}])
    line.sync()
    assert line.said_since(before) == [("confirmation", "p1@mail.example")]


def test_a_correction_of_a_held_export_leaves_it_held(line: Line) -> None:
    line.book_many(20)
    line.after()
    for key in [*line.rows][:10]:
        del line.rows[key]
    line.book(1, status="XQ")
    line.drop()
    assert line.sync().sources["reception"].state == "held"
    drop_again(line, [reject_file(line)[0] | {"status": "scheduled"}])
    report = line.sync().sources["reception"]
    assert (report.state, report.changes) == ("held", {"booked": 1})
