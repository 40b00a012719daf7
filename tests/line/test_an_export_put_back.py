"""After a bad export, the good one of before again: its bytes are known, but not all that came since."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from sync import release
from sync.health import health
from sync.store import incoming
from tests.line.conftest import Line, Row, export

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.report import RunReport, SourceReport

DONE, HELD = 0, 4
FEW, MANY = 4, 12  # fewer and more than `hold_if` looks at


def begin(line: Line, visits: int) -> Line:
    """Let a clinic tell patients of visits that are gone, and import some without a word."""
    line.set(reminders={"patient": {"steps": ["1d"], "on_gone": True}})
    line.book_many(visits)
    line.after()
    return line


@pytest.fixture(params=[FEW, MANY], ids=["few", "many"])
def known(line: Line, request: pytest.FixtureRequest) -> Line:
    return begin(line, request.param)


@pytest.fixture
def few(line: Line) -> Line:
    return begin(line, FEW)


def moved(row: Row) -> Row:
    return {**row, "start": row["start"].replace("2026-12", "2027-01")}


def without_rows(rows: list[Row]) -> list[Row]:
    return []


def cut(rows: list[Row]) -> list[Row]:
    return rows[:1]


def cut_with_a_bad_row(rows: list[Row]) -> list[Row]:
    return [*rows[: len(rows) // 2], {**rows[-1], "start": "soon"}]


def all_moved(rows: list[Row]) -> list[Row]:
    return [moved(row) for row in rows]


def drop_bad(line: Line, bad: Callable[[list[Row]], list[Row]], name: str = "bad.csv") -> None:
    line.drop(export(bad([*line.rows.values()])), name=name)


def drop_good(line: Line) -> None:
    line.drop(name="good.csv")


def reception(report: RunReport) -> SourceReport:
    return report.sources["reception"]


def decide(line: Line, how: Callable[..., bool]) -> None:
    def end(at_work: Clinic) -> None:
        with at_work.store.read() as connection:
            for hold in incoming.open_holds(connection, at_work.store.clinic):
                assert how(at_work, hold)

    line.at_work(end)


def stands(line: Line, report: RunReport, before: dict[str, Any]) -> None:
    """Check that a run ended with all visits as they were, and that everything says so."""
    assert {key: line.visits()[key] for key in before} == before
    assert (report.exit, reception(report).state, reception(report).held) == (DONE, "ok", [])
    assert "gone" not in reception(report).changes
    assert reception(report).complete
    assert line.query("SELECT id FROM held WHERE state = 'open'") == []
    found = line.at_work(lambda at_work: health(at_work).sources["reception"])
    assert (found.state, found.last_complete) == ("ok", line.now)


@pytest.mark.parametrize("end", [None, release.reject], ids=["held", "rejected"])
def test_all_that_it_lists_stands_and_nobody_is_told_anything(
    known: Line, end: Callable[..., bool] | None
) -> None:
    before, said = known.visits(), known.outbox()
    drop_bad(known, without_rows)
    assert known.sync().exit == HELD
    if end:
        decide(known, end)
    drop_good(known)
    report = known.sync()
    stands(known, report, before)
    assert reception(report).unchanged == len(before)
    assert known.said_since(said) == []


@pytest.mark.parametrize("bad", [cut, cut_with_a_bad_row, all_moved])
def test_however_the_export_between_was_bad(
    line: Line, bad: Callable[[list[Row]], list[Row]]
) -> None:
    begin(line, MANY)
    before = line.visits()
    drop_bad(line, bad)
    assert line.sync().exit == HELD
    drop_good(line)
    stands(line, line.sync(), before)


def test_visits_that_a_person_let_go_come_back_and_nobody_is_told_anything(line: Line) -> None:
    line.book_many(FEW)
    line.after()
    starts, said = line.starts(), line.outbox()
    drop_bad(line, without_rows)
    line.sync()
    decide(line, release.release)
    line.sync()
    assert line.starts() == []
    drop_good(line)
    report = line.sync()
    assert reception(report).changes == {"reinstated": FEW}
    assert (report.exit, reception(report).state) == (DONE, "ok")
    assert line.starts() == starts
    assert line.said_since(said) == []


def test_moves_that_a_person_let_through_are_taken_back(line: Line) -> None:
    line.book_many(MANY)
    line.after()
    starts = line.starts()
    drop_bad(line, all_moved)
    line.sync()
    decide(line, release.release)
    line.sync()
    assert line.starts() != starts
    drop_good(line)
    assert line.sync().exit == HELD  # that all are back is a mass change as well
    decide(line, release.release)
    line.sync()
    assert line.starts() == starts


@pytest.mark.parametrize(
    ("bad", "more"), [(without_rows, 0), (cut, 1)], ids=["the same", "one more"]
)
def test_of_two_files_in_one_run_the_later_decides(
    known: Line, bad: Callable[[list[Row]], list[Row]], more: int
) -> None:
    before, said = known.visits(), known.outbox()
    drop_bad(known, bad)
    for key in range(900, 900 + more):
        known.book(key, "2026-12-27 10:00")
    drop_good(known)
    report = known.sync()
    stands(known, report, before)
    assert reception(report).changes == ({"booked": more} if more else {})
    assert {kind for kind, _ in known.said_since(said)} <= {"confirmation"}
    assert known.sync().exit == DONE


def test_a_good_file_before_the_bad_one_leaves_it_held(few: Line) -> None:
    before, said = few.visits(), few.outbox()
    drop_good(few)
    drop_bad(few, without_rows)
    report = few.sync()
    assert few.visits() == before
    assert report.exit == HELD
    assert [hold["guard"] for hold in reception(report).held] == ["gone"]
    assert few.said_since(said) == []


def test_a_bad_file_twice_in_one_run_is_one_hold_and_stays_one(few: Line) -> None:
    before, said = few.visits(), few.outbox()
    drop_bad(few, without_rows, "bad.csv")
    drop_bad(few, without_rows, "bad-again.csv")
    report = few.sync()
    assert [hold["guard"] for hold in reception(report).held] == ["gone"]
    drop_bad(few, without_rows, "bad-once-more.csv")
    assert few.sync().exit == HELD
    assert few.visits() == before
    drop_good(few)
    stands(few, few.sync(), before)
    assert few.said_since(said) == []


def test_a_file_for_quarantine_beside_the_bad_one_changes_none_of_this(few: Line) -> None:
    before, said = few.visits(), few.outbox()
    drop_bad(few, without_rows)
    few.drop("<html>", name="hopeless.csv")
    few.sync()
    drop_bad(few, without_rows)
    assert few.sync().exit == HELD
    drop_good(few)
    few.sync()
    assert few.visits() == before
    assert few.said_since(said) == []


def test_once_it_was_read_again_the_same_bytes_are_not(few: Line) -> None:
    drop_bad(few, without_rows)
    few.sync()
    drop_good(few)
    assert reception(few.sync()).read == len(few.rows)
    before = few.visits()
    drop_good(few)
    report = few.sync()
    stands(few, report, before)
    assert reception(report).read == 0


def test_a_file_for_quarantine_lets_the_same_bytes_be_skipped(few: Line) -> None:
    few.drop("<html>", name="hopeless.csv")
    few.sync()
    drop_good(few)
    assert reception(few.sync()).read == 0


def test_who_was_said_not_to_be_gone_stays_while_exports_go_on_leaving_them_out(
    known: Line,
) -> None:
    before = known.visits()
    drop_bad(known, without_rows)
    assert known.sync().exit == HELD
    decide(known, release.reject)
    drop_bad(known, without_rows, name="bad again.csv")
    stands(known, known.sync(), before)


def test_a_refusal_ends_once_an_export_names_the_visit_again(known: Line) -> None:
    drop_bad(known, without_rows)
    assert known.sync().exit == HELD
    decide(known, release.reject)
    known.book(300)
    known.drop(name="good.csv")
    assert known.sync().exit == DONE
    del known.rows["100"]
    known.drop(name="without one.csv")
    report = known.sync()
    assert reception(report).changes == {"gone": 1}
