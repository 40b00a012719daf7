"""A source that takes its time: the others are read, kept and told of meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from clinicrelay import plugins
from clinicrelay.contracts import Connector, Cursor, Page, Window
from clinicrelay.errors import TryLater
from clinicrelay.testing.fakes import NoOptions, record
from sync.runners import in_time, once
from sync.store import leases

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.report import RunReport
    from tests.line.conftest import Line

NEEDS_PERSON, BUG = 3, 1
_AT_MOST = 120.0  # seconds


class Slow(Connector):
    """Answers only when it sees what it waits for, or after two minutes."""

    Options = NoOptions
    mapping = "clinic_csv"
    waits_for: ClassVar[Any] = None
    saw: ClassVar[list[bool]] = []
    error: ClassVar[Exception | None] = None

    def pull(self, cursor: Cursor | None, window: Window) -> Iterator[Page]:
        until = time.monotonic() + _AT_MOST
        pause = threading.Event()
        while not (seen := Slow.waits_for()) and time.monotonic() < until:
            pause.wait(0.02)
        Slow.saw.append(seen)
        if Slow.error:
            raise Slow.error
        row = {"appointment_id": "7", "start": "2026-12-08 10:00", "patient_id": "s7"}
        yield Page("all", [record(row)], last=True, complete=True)


@pytest.fixture
def two(line: Line, monkeypatch: pytest.MonkeyPatch) -> Line:
    """A clinic with an inbox and a slow system; everybody waits for the slowest but a moment."""
    find = plugins.find

    def found(room: str, name: str) -> Any:
        return Slow if name == "slow" else find(room, name)

    monkeypatch.setattr(plugins, "find", found)
    monkeypatch.setattr(once, "TOGETHER", 0.2)
    Slow.saw, Slow.error, Slow.waits_for = [], None, lambda: True
    reception = line.settings["sources"]["reception"]
    line.set(sources={"slow": {"type": "slow"}, "reception": reception})
    line.book("1")
    line.drop()
    line.sync()
    Slow.saw.clear()
    return line


def test_messages_of_other_sources_leave_while_one_is_still_read(two: Line) -> None:
    before = two.outbox()
    two.book("2")
    two.drop()
    Slow.waits_for = lambda: len(two.outbox()) > len(before)
    report = two.sync()
    assert Slow.saw == [True]
    assert list(report.sources) == ["slow", "reception"]
    assert report.sources["slow"].state == "ok"
    assert report.calendars["files"].written == 1
    assert ("confirmation", "p2@mail.example") in two.said_since(before)


def test_one_that_fails_in_the_end_takes_nothing_back(two: Line) -> None:
    before = two.outbox()
    two.book("2")
    two.drop()
    Slow.waits_for = lambda: len(two.outbox()) > len(before)
    Slow.error = TryLater("the EHR does not answer")
    report = two.sync()
    assert report.exit == NEEDS_PERSON
    assert report.sources["slow"].state == "failed"
    assert "reception/2" in two.visits()


def test_a_bug_that_one_source_wakes_up_silences_nobody(two: Line) -> None:
    before = two.outbox()
    two.book("2")
    two.drop()
    Slow.error = ZeroDivisionError("a bug")
    report = two.sync()
    assert report.exit == BUG
    assert report.sources["slow"].state == "failed"
    assert "ZeroDivisionError" in (report.sources["slow"].error or "")
    assert ("confirmation", "p2@mail.example") in two.said_since(before)


def test_nor_where_it_is_the_only_source(two: Line) -> None:
    two.set(sources={"slow": {"type": "slow"}})
    Slow.error = ZeroDivisionError("a bug")
    assert two.sync().exit == BUG


def test_what_is_due_does_not_wait_for_the_only_source(two: Line) -> None:
    before = two.outbox()
    Slow.waits_for = lambda: len(two.outbox()) > len(before)
    two.sync("2026-12-06 10:30", "slow")  # a day before the visit
    assert Slow.saw == [True]


def test_a_run_whose_time_is_up_ends_and_the_next_one_goes_on(
    two: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    two.book("2")
    two.drop()
    answers, up = threading.Event(), threading.Event()
    Slow.waits_for = answers.is_set
    deliver = once._deliver

    def delivered(clinic: Clinic, report: RunReport) -> None:
        deliver(clinic, report)
        if "reception" in report.sources:
            up.set()

    clock = SimpleNamespace(monotonic=lambda: 1e6 if up.is_set() else 0.0)
    monkeypatch.setattr(in_time, "time", clock)
    monkeypatch.setattr(once, "_deliver", delivered)

    def cut(clinic: Clinic) -> RunReport:
        report = once.sync(clinic)
        answers.set()
        for thread in threading.enumerate():
            if thread.name == "slow":
                thread.join()
        return report

    report = two.at_work(cut)
    assert (report.exit, report.cut, report.busy) == (0, True, False)
    assert (report.sources["slow"].state, report.sources["slow"].unfinished) == ("partial", True)
    assert "runner.budget" in report.sources["slow"].notes[0]
    assert "reception/2" in two.visits()
    monkeypatch.setattr(once, "_deliver", deliver)
    up.clear()
    report = two.sync()
    assert (report.cut, report.sources["slow"].state) == (False, "ok")


def test_a_lease_outlives_a_long_wait(two: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    two.set(store={"url": two.store_url, "lease": "0.3s"})
    renewals: list[str] = []
    fence = leases.Lease.fence

    def counted(self: leases.Lease, *rest: Any) -> None:
        renewals.append(self.name)
        fence(self, *rest)

    monkeypatch.setattr(leases.Lease, "fence", counted)
    Slow.waits_for = lambda: renewals.count("source:slow") >= 5
    assert two.sync().sources["slow"].state == "ok"
    assert Slow.saw == [True]
