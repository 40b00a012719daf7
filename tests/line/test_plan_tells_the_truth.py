"""`plan` says what `sync` then does, and leaves no trace of having looked."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.times import iso
from sync.foresee import Forecast, foresee

if TYPE_CHECKING:
    from tests.line.conftest import Line


@pytest.fixture
def pending(line: Line) -> Line:
    """A clinic with an export in its inbox that changes a lot, and reminders that fall due."""
    line.book(1, "2026-11-27 10:00")
    line.book(2, "2026-11-25 14:00")
    line.book_many(30)
    line.after("2026-11-23 09:00")
    line.book(3, "2026-12-01 09:00")
    line.change(101, start="2026-12-20 10:00", location="Seeblick")
    line.change(102, doctor_id="braun")
    line.cancel(103)
    line.cancel(104)
    line.book(905, "2026-12-18 12:00", patient_id="P104", email="p104@mail.example")
    del line.rows["105"]
    line.change(106, status="XQ")
    line.change(107, notes="x")
    line.drop()
    line.now += timedelta(days=1, hours=3)
    return line


def foretell(line: Line, until: timedelta = timedelta()) -> Forecast:
    return line.at_work(lambda at_work: foresee(at_work, until=at_work.now + until), scratch=True)


def trace(line: Line) -> tuple[Any, Any]:
    """Return every row of the store, runs and leases included, and every file with its time."""
    files = {
        str(path.relative_to(line.folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(line.folder.rglob("*"))
        if path.is_file()
    }
    rows = line.dump() | {name: line.query(f"SELECT * FROM {name}") for name in ("runs", "leases")}
    return rows, files


def done(line: Line) -> tuple[Any, ...]:
    """Sync, and return changes, event writes and messages the way a forecast tells of them."""
    before, writes = set(line.outbox()), len(line.writes)
    report = line.sync(timedelta())
    said = [(s.kind, s.channel) for s in line.outbox() if s not in before]
    put = [("put" if w.put else "remove", iso(w.start) if w.start else None)
           for w in line.writes[writes:]]  # fmt: skip
    return report.sources["reception"].changes, sorted(put, key=repr), sorted(said)


def foretold(forecast: Forecast) -> tuple[Any, ...]:
    changes: dict[str, int] = {}
    for change in forecast.changes:
        if change["what"] != "booked" or change["after"]["status"] != "cancelled":
            changes[change["what"]] = changes.get(change["what"], 0) + 1
    put = [(one["op"], one["start"]) for one in forecast.calendars]
    said = [(one["kind"], one["channel"]) for one in forecast.messages]
    return dict(sorted(changes.items())), sorted(put, key=repr), sorted(said)


def test_plan_foretells_changes_events_and_messages_of_the_next_run(pending: Line) -> None:
    expected = foretold(foretell(pending))
    assert done(pending) == expected
    assert len(expected[1]) > 5
    assert len(expected[2]) > 5


def test_plan_leaves_no_trace(pending: Line) -> None:
    before = trace(pending)
    foretell(pending, timedelta(days=14))
    assert trace(pending) == before


def test_plan_of_a_clinic_that_never_ran_makes_no_store_and_moves_no_file(line: Line) -> None:
    line.book_many(5)
    line._read = 1  # not even the instance key
    path = line.drop()
    assert line.loaded
    before = sorted(Path(line.folder).rglob("*"))
    forecast = foretell(line)
    assert len(forecast.changes) == len(forecast.calendars) == 5
    assert sorted(Path(line.folder).rglob("*")) == before
    assert path.exists()


def test_plan_foretells_a_hold(line: Line) -> None:
    line.book_many(30)
    line.after()
    for key in list(line.rows)[:15]:
        line.cancel(key)
    line.drop()
    forecast = foretell(line)
    assert [hold["guard"] for hold in forecast.held] == ["cancelled"]
    assert forecast.changes == []
    assert line.sync().exit == 4


def test_plan_foretells_the_messages_of_the_days_ahead(pending: Line) -> None:
    until = timedelta(days=3)
    forecast = foretell(pending, until)
    before, end = set(pending.outbox()), pending.now + until
    pending.sync(timedelta())
    while pending.now + timedelta(hours=1) <= end:
        pending.sync(timedelta(hours=1))
    said = sorted((s.kind, s.channel) for s in pending.outbox() if s not in before)
    assert said == sorted((one["kind"], one["channel"]) for one in forecast.messages)
    assert {"digest", "reminder", "confirmation", "change", "cancellation"} <= {k for k, _ in said}
