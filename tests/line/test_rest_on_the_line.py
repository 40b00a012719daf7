"""A JSON interface through the whole line: X-01, X-03, and what a partial answer must never do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.testing import Asked, HttpServer, Reply
from commands._shown import run_lines
from sync.runners import once

if TYPE_CHECKING:
    from tests.line.conftest import Line


class Practice:
    """Thirty visits in pages of ten, behind a numbered list; `cut` leaves the last pages out."""

    def __init__(self) -> None:
        self.rows: list[Any] = [self._visit(n) for n in range(30)]
        self.cut = False

    def _visit(self, number: int) -> dict[str, Any]:
        return {
            "appointment_id": number,
            "appointment_date": f"2026-12-{number % 20 + 1:02} 09:00",
            "status": "scheduled",
            "patient_id": f"p{number % 7}",
            "patient_name": "Pat Sample",
            "patient_email": f"p{number % 7}@mail.example",
            "doctor_id": "acar",
            "doctor_name": "Dr. Acar",
            "doctor_email": "acar@riverside.example",
        }

    def __call__(self, asked: Asked) -> Reply:
        page = int(asked.one("page") or 1)
        if self.cut and page > 1:
            return Reply({"rows": self.rows[:10], "count": len(self.rows)})  # in a circle
        rows = self.rows[(page - 1) * 10 : page * 10]
        return Reply({"rows": rows, "count": len(self.rows)})


@pytest.fixture
def practice(line: Line) -> Iterator[Practice]:
    answer = Practice()
    server = HttpServer(answer)
    server.start()
    source = {
        "type": "rest",
        "base_url": server.url,
        "request": {"path": "/visits", "params": {"from": "{window_start:date}"}},
        "records": "rows",
        "paging": {"type": "page", "total": "count"},
        "key": "appointment_id",
        "mapping": "reception_sql",
    }
    line.set(sources={"pms": source})
    yield answer
    server.stop()


def test_a_second_read_of_an_unchanged_interface_changes_nothing(
    line: Line, practice: Practice
) -> None:
    first = line.sync().sources["pms"]
    assert (first.state, first.strategy, first.changes) == ("ok", "window", {"booked": 30})
    second = line.sync().sources["pms"]
    assert (second.unchanged, second.changes, second.complete) == (30, {}, True)


def test_one_bad_record_stops_no_other(line: Line, practice: Practice) -> None:
    practice.rows[3] = "no record at all"
    practice.rows[4]["status"] = "XQ"
    report = line.sync().sources["pms"]
    assert (report.read, report.set_aside, report.changes) == (30, 2, {"booked": 28})


def test_why_a_read_is_not_complete_is_said_also_where_nothing_changed(
    line: Line, practice: Practice
) -> None:
    line.sync()
    practice.cut = True
    lines = line.at_work(lambda clinic: run_lines(clinic, once.sync(clinic, [])))
    assert lines[0] == "pms         10 records, not complete"
    assert any("left out" in one for one in lines)
    assert "  pms was not read to its end   clinicrelay status" in lines
    assert lines[-1] == "Exit 3: done, but something needs a person."


def test_that_a_source_has_no_visit_at_all_is_said_as_it_may_be_a_right_that_is_missing(
    line: Line, practice: Practice
) -> None:
    rows, practice.rows = practice.rows, []
    for _ in range(2):
        assert "names no visit" in (line.sync().sources["pms"].idle or "")
    practice.rows = rows
    assert line.sync().sources["pms"].idle is None
    practice.rows = []
    report = line.sync().sources["pms"]
    assert (report.state, report.idle) == ("held", None)  # now it is no wonder but a danger


def test_a_list_that_goes_in_circles_cancels_nothing(line: Line, practice: Practice) -> None:
    line.sync()
    practice.cut = True
    for _ in range(3):
        report = line.sync().sources["pms"]
        assert (report.state, report.complete, report.changes) == ("partial", False, {})
    assert any("left out" in note for note in report.notes)


def test_a_visit_that_two_whole_lists_do_not_name_is_gone(line: Line, practice: Practice) -> None:
    line.sync()
    del practice.rows[12]
    assert line.sync().sources["pms"].changes == {}
    assert line.sync().sources["pms"].changes == {"gone": 1}


def test_no_log_holds_what_was_asked_or_answered(line: Line, practice: Practice) -> None:
    practice.rows[3] = "Quenby Canary"
    line.sync()
    written = "".join(p.read_text("utf-8") for p in line.data.rglob("*.jsonl"))
    assert "Quenby" not in written
    assert "from=" not in written
