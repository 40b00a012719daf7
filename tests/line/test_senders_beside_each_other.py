"""A run that finds other senders at work does its part, and says whether there was any."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from commands._shown import run_lines
from sync.report import RunReport
from sync.runners import once
from sync.store.leases import lease
from sync.store.shards import lease_of, shard_of

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from tests.line.conftest import Line

MINE, THEIRS = 1, 2
HOUR = timedelta(hours=1)


@pytest.fixture
def due(line: Line) -> Line:
    """A clinic that owes two people of different senders a reminder."""
    line.set(calendars={}, reminders={"patient": {"steps": ["1d"]}})
    line.book(MINE, "2026-11-24 12:00")
    line.book(THEIRS, "2026-11-24 12:00")
    line.drop()
    line.sync("2026-11-23 09:00")
    line._pass("2026-11-23 12:00")
    return line


def beside(line: Line, *others: int) -> tuple[RunReport, list[str]]:
    """Send while another sender is at the messages of some patients; return what is told of it."""

    def send(at_work: Clinic) -> tuple[RunReport, list[str]]:
        first, last = (lease_of(shard_of(f"patient/P{key}")) for key in (others[0], others[-1]))
        with lease(at_work.store, first, HOUR), lease(at_work.store, last, HOUR):
            report = once.send(at_work)
        return report, run_lines(at_work, report)

    return line.at_work(send)


def test_one_that_sent_its_part_is_done_and_says_that_others_are_at_the_rest(due: Line) -> None:
    report, told = beside(due, THEIRS)
    assert (report.messages.sent, report.exit) == (1, 0)
    assert "            another run is at the rest" in told
    assert told[-1] == "Exit 0: done."


def test_one_that_found_all_of_it_in_other_hands_did_nothing(due: Line) -> None:
    report, told = beside(due, MINE, THEIRS)
    assert (report.messages.sent, report.exit) == (0, 75)
    assert told == ["Exit 75: another run is at work; nothing was done, try again."]


def test_once_they_are_gone_the_rest_leaves(due: Line) -> None:
    beside(due, THEIRS)
    report = due.at_work(once.send)
    assert (report.messages.sent, report.exit) == (1, 0)
