"""The line as jobs: a sweep finds what is due, nothing is written when nothing is, nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from sync.runners import jobs
from sync.runners.jobs import Job
from tests.line.test_every_runner import let_turns_pass

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from tests.line.conftest import Line

EVERY = timedelta(minutes=5)
T = TypeVar("T")


def sweep(line: Line) -> list[Job]:
    let_turns_pass(line)
    return line.at_work(lambda at_work: jobs.sweep(at_work, every=EVERY))


def do(line: Line, *some: Job) -> list[Job]:
    found: list[Job] = []
    for job in some:
        found += line.at_work(one(job))
    return found


def one(job: Job) -> Callable[[Clinic], Any]:
    return lambda at_work: jobs.do(at_work, job).next


def work_off(line: Line) -> None:
    """Do all that is due and all that follows, as one worker would."""
    waiting = sweep(line)
    while waiting:
        waiting += [job for job in do(line, waiting.pop(0)) if job not in waiting]


@pytest.fixture
def settled(line: Line) -> Line:
    line.book(1, "2026-11-25 09:00")
    line.book_many(20)
    line.drop()
    work_off(line)
    line.now += timedelta(minutes=5)
    line.book(2, "2026-11-26 09:00")
    line.change(100, start="2026-12-10 09:00")
    line.drop()
    work_off(line)
    line.now += timedelta(minutes=5)
    work_off(line)
    return line


def test_an_idle_sweep_and_all_that_it_wakes_write_no_more_than_a_run_from_cron(
    settled: Line,
) -> None:
    assert {message.kind for message in settled.outbox()} >= {"confirmation", "change"}
    rows, files = settled.dump(), settled.files()
    runs = len(settled.query("SELECT id FROM runs"))

    settled.now += timedelta(minutes=5)
    woken = sweep(settled)
    assert woken == [Job("pull", "reception"), Job("push", "files"), Job("stock")]
    assert do(settled, *woken) == []

    assert settled.dump() == rows
    assert settled.files() == files
    assert len(settled.query("SELECT id FROM runs")) == runs + 1  # the read, as its rhythm counts


def test_between_two_reads_a_sweep_writes_one_lease_and_wakes_nobody(settled: Line) -> None:
    sweep(settled)
    before = settled.query("SELECT name, token FROM leases")
    swept = settled.at_work(lambda at_work: jobs.sweep(at_work, every=EVERY))
    assert swept == []
    assert settled.query("SELECT name, token FROM leases") == before  # somebody has just swept


def test_whatever_is_left_undone_is_found_by_the_next_sweep(line: Line) -> None:
    line.book(1, "2026-11-25 09:00")
    line.drop()
    work_off(line)
    line.now += timedelta(minutes=5)
    line.book(2, "2026-11-26 09:00")
    line.drop()
    for last in ("pull", "plan", "send"):  # what each of them woke is lost
        woken = sweep(line)
        assert last in {job.step for job in woken}
        do(line, next(job for job in woken if job.step == last))
    do(line, *sweep(line))
    assert [one.kind for one in line.outbox()].count("confirmation") == 1
    assert line.starts() == ["2026-11-25 09:00", "2026-11-26 09:00"]
    assert sweep(line)[:1] == [Job("pull", "reception")]
    assert {job.step for job in sweep(line)} == {"pull", "push", "stock"}


def test_a_wake_up_too_many_finds_nothing_to_do(settled: Line) -> None:
    rows = settled.dump()
    shards = [Job("send", str(shard)) for shard in range(16)]
    some = [Job("settle"), Job("plan"), *shards, Job("push", "files"), Job("alert")]
    assert do(settled, *some, *some) == []
    assert settled.dump() == rows


def test_a_source_or_a_calendar_that_is_no_longer_in_the_settings_is_no_mistake(
    settled: Line,
) -> None:
    assert do(settled, Job("pull", "gone"), Job("push", "gone")) == []


def test_a_job_that_is_told_to_end_is_to_be_done_again(line: Line) -> None:
    line.book(1)
    line.drop()
    do(line, Job("pull", "reception"))

    def ended(at_work: Clinic) -> Any:
        at_work.ending.set()
        return jobs.do(at_work, Job("plan")).next

    assert Job("plan") in line.at_work(ended)


def test_what_workers_did_is_in_the_log_of_runs_and_counts_for_status(settled: Line) -> None:
    runs = settled.query("SELECT command, exit_code, finished_at FROM runs")
    assert {command for command, *_ in runs} == {"worker"}
    assert all(finished is not None for *_, finished in runs)
    reads = settled.query("SELECT id FROM runs WHERE report LIKE '%\"complete\": true%'")
    assert len(reads) >= 2
