"""What a run says of its job to a watcher outside."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sync.beat import Beat, after, without_report
from sync.breaker import Barred
from sync.push import Blocked, CalendarRun
from sync.report import RunReport, SourceReport
from sync.send import MessageRun

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
LATER = NOW + timedelta(minutes=15)


def run(**did: Any) -> RunReport:
    return RunReport("01JD8Q3", NOW, "live", **did)


def messages(**did: Any) -> MessageRun:
    made = MessageRun()
    for name, value in did.items():
        setattr(made, name, value)
    return made


LOCKED_OUT = {"twilio": Barred("credentials_refused(20003)", NOW, LATER)}
RESTARTING = {"smtp": Barred("unreachable", NOW, LATER)}
ONE = Blocked("acar@riverside.example", "not_shared", "share it")
ALL = Blocked("acar@riverside.example", "credentials_refused", "mend it", everywhere=True)

CASES: dict[str, tuple[RunReport, bool | None, tuple[str, ...]]] = {
    "nothing to do": (run(), True, ()),
    "set aside": (
        run(sources={"ehr": SourceReport("ok", set_aside=2)}),
        True,
        ("needs_person",),
    ),
    "a calendar that is not shared": (
        run(calendars={"google": CalendarRun(blocked=[ONE])}),
        True,
        ("needs_person",),
    ),
    "a message that reached nobody": (run(messages=messages(failed=1)), True, ("needs_person",)),
    "a mail server that restarts": (run(messages=messages(barred=RESTARTING)), True, ()),
    "a source that could not be read": (
        run(sources={"ehr": SourceReport("failed", error="HTTP 403"), "lab": SourceReport("ok")}),
        False,
        ("source_failed",),
    ),
    "a login that is refused": (
        run(messages=messages(barred=LOCKED_OUT)),
        False,
        ("credentials_refused",),
    ),
    "a whole account of calendars": (
        run(calendars={"google": CalendarRun(blocked=[ALL, ALL])}),
        False,
        ("credentials_refused",),
    ),
    "held": (run(holds=[{}]), False, ("held",)),
    "a mistake of ours": (
        run(sources={"ehr": SourceReport("failed", bug=ValueError("x"))}),
        False,
        ("our_mistake", "source_failed"),
    ),
    "another run at work": (run(busy=True), None, ("busy",)),
}


@pytest.mark.parametrize("situation", CASES)
def test_a_job_is_well_unless_something_of_it_is_out_of_use_as_a_whole(situation: str) -> None:
    report, well, codes = CASES[situation]
    found = after(report)
    assert (found.well, found.codes) == (well, codes)
    assert found.exit == report.exit


def test_the_exit_code_and_the_codes_are_told_and_nothing_for_a_plain_success() -> None:
    assert Beat(True, 0).said == ""
    assert Beat(False, 3, ("source_failed", "held")).said == "exit 3 source_failed held"


@pytest.mark.parametrize(
    ("code", "why"),
    [(1, "our_mistake"), (2, "settings"), (75, "store_does_not_answer"), (9, "failed")],
)
def test_a_run_that_never_reported_is_not_well(code: int, why: str) -> None:
    assert without_report(code, {}) == Beat(False, code, (why,))


def test_a_run_that_a_person_stopped_says_nothing_and_a_copy_is_no_run_of_the_job() -> None:
    assert without_report(130, {}) == Beat(None, 130, ("stopped",))
    assert without_report(2, {"findings": [{"code": "store_elsewhere"}]}) is None


def test_a_look_that_found_nothing_due_is_a_success() -> None:
    assert without_report(0, {}) == Beat(True, 0)
