"""What monitoring is told is what the store holds; no label says more than it may."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from clinicrelay.contracts import Outcome, SendResult
from clinicrelay.errors import StoreBusy
from clinicrelay.times import parse_instant
from notifiers.outbox import Outbox
from sync.measures import MEASURES, PREFIX
from sync.metrics import exposition
from sync.runners import once
from sync.store import quarantine, standings

if TYPE_CHECKING:
    from collections.abc import Callable

    from clinicrelay.contracts import Message
    from sync.clinic import Clinic
    from tests.line.conftest import Line

Read = dict[tuple[str, ...], float]
TOMORROW = "2026-11-24 15:00"


def read(text: str) -> Read:
    """Return the samples by (name, label=value, …); the clinic's label and zeros are left out."""
    found: Read = {}
    for family in text_string_to_metric_families(text):
        assert family.type == "gauge"
        assert family.name.removeprefix(PREFIX) in MEASURES
        for sample in family.samples:
            assert sample.labels["clinic"] == "riverside"
            of = sorted(f"{k}={v}" for k, v in sample.labels.items() if v and k != "clinic")
            key = (sample.name.removeprefix(PREFIX), *of)
            assert key not in found, "the same series twice"
            found[key] = sample.value
    return {key: value for key, value in found.items() if value}


def told(line: Line) -> Read:
    return read(line.at_work(lambda at_work: exposition([at_work])).decode())


def seconds(at: str) -> float:
    return parse_instant(at, "Europe/Berlin").timestamp()


def test_an_empty_store_says_that_nothing_was_read_and_nobody_is_reached(line: Line) -> None:
    found = told(line)
    assert found["store_readable",] == 1
    assert found["mode", "mode=rehearsal"] == 1
    assert found["source_state", "source=reception", "state=new"] == 1
    assert not [key for key in found if "last_success" in key[0] or "run_last" in key[0]]


def test_a_clinic_at_work_in_numbers(line: Line) -> None:
    line.set(reminders={"patient": {"confirmation": {"channels": ["email"]}, "steps": ["1d"]}})
    for key in (1, 2, 3):
        line.book(key, TOMORROW)
    line.after("2026-11-23 09:00")
    line.book(4, "2026-11-30 10:00")
    line.book(5, "2026-11-30 11:00", email="", mobile="")
    line.change(3, status="nobody knows")
    assert line.after("2026-11-23 09:05") == [("confirmation", "p4@mail.example")]

    found = told(line)

    assert found["source_state", "source=reception", "state=ok"] == 1
    last = found["source_last_success_timestamp_seconds", "source=reception"]
    assert last == seconds("2026-11-23 09:05")
    assert found["source_records", "source=reception"] == 5
    aside = "kind=record", "reason=unknown_status", "source=reception"
    assert found["quarantine_records", *aside] == 1
    sent = "kind=confirmation", "notifier=outbox", "state=sent"
    assert found["messages_24h", *sent] == 1
    skipped = "kind=confirmation", "reason=no_contact", "state=skipped"
    assert found["messages_24h", *skipped] == 1
    assert found["coverage_tomorrow_booked",] == found["coverage_tomorrow_visits",]
    assert found["coverage_tomorrow_visits",] == found["coverage_tomorrow_covered",] == 3
    assert found["calendars", "calendar=files"] == 1
    assert found["run_last_exit_code", "command=sync"] == 3  # something was set aside
    ended = found["run_last_finished_timestamp_seconds", "command=sync"]
    assert abs(ended - datetime.now(UTC).timestamp()) < 600
    assert "command=send" not in str(found)


def stop(line: Line, what: str) -> None:
    """A person pauses something."""

    def pause(at_work: Clinic) -> None:
        with at_work.store.write() as connection:
            standings.pause(
                connection, at_work.store.clinic, what, reason="", until=None,
                since=at_work.now, who="test",
            )  # fmt: skip

    line.at_work(pause)


def test_what_is_due_is_told_by_why_it_waits_and_for_how_long(line: Line) -> None:
    line.set(reminders={"patient": {"steps": ["1d"]}})
    line.book(1, TOMORROW)
    line.after("2026-11-23 09:00")
    stop(line, "patients")

    line.now = parse_instant("2026-11-23 15:10", "Europe/Berlin")  # nothing has run since
    found = told(line)
    assert found["visits_waiting",] == 1
    assert found["visits_waiting_oldest_seconds",] == 600
    assert not any(key[0] == "messages_due" for key in found)

    line.at_work(once.send)
    found = told(line)
    assert found["messages_due", "reason=paused"] == 1
    assert found["messages_due_oldest_seconds", "reason=paused"] == 600
    assert not any(key[0].startswith("visits_waiting") for key in found)
    assert ("run_last_finished_timestamp_seconds", "command=send") in found


def test_a_pause_and_a_hold_show(line: Line) -> None:
    line.book_many(20)
    line.drop()
    line.sync()
    for key in list(line.rows)[:15]:
        del line.rows[key]
    line.drop()
    line.sync()

    stop(line, "outbox")
    found = told(line)

    assert found["guard_held", "guard=gone", "source=reception"] == 1
    assert found["guard_held_visits", "guard=gone", "source=reception"] == 15
    assert found["source_state", "source=reception", "state=held"] == 1
    assert found["needs_person", "about=held"] == 1
    assert found["notifier_paused", "notifier=outbox"] == 1
    assert found["mode", "mode=paused"] == 1
    assert found["run_last_exit_code", "command=sync"] == 4


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_only_codes_become_labels_whatever_a_plugin_calls_its_reasons(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = "Canary says +4915155512345"

    def refuse(_self: Outbox, _message: Message) -> SendResult:
        return SendResult(Outcome.REJECTED, answer, "")

    line.book(1)
    line.after()
    monkeypatch.setattr(Outbox, "send", refuse)
    line.book(2, email="canary.mail@mail.example", patient_name="Canary Sample")
    line.after()

    def look(at_work: Clinic) -> str:
        aside = quarantine.SetAside("reception:Canary", "1", answer, answer, answer)
        with at_work.store.write() as connection:
            quarantine.set_aside(connection, "riverside", [aside], run="", now=at_work.now)
        return exposition([at_work]).decode()

    text = line.at_work(look)

    failed = "kind=confirmation", "notifier=outbox", "reason=provider_rejected", "state=failed"
    assert read(text)["messages_24h", *failed] == 1
    assert read(text)["quarantine_records", "kind=record", "reason=other", "source=reception"] == 1
    assert "canary" not in text.lower()
    assert "4915155512345" not in text


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_a_store_that_does_not_answer_is_told_and_takes_no_other_clinic_along(
    house: Callable[..., Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = house()

    def both(at_work: Clinic) -> str:
        broken = Locked(at_work)
        return exposition([broken, at_work]).decode()  # type: ignore[list-item]

    text = line.at_work(both)
    assert 'clinicrelay_store_readable{clinic="locked"} 0.0' in text
    assert 'clinicrelay_store_readable{clinic="riverside"} 1.0' in text
    assert 'clinicrelay_source_stale{clinic="locked"' not in text


class Locked:
    """A clinic whose store is at somebody else's."""

    def __init__(self, like: Clinic) -> None:
        self.settings, self.now, self.store = like.settings, like.now, self
        self.clinic = "locked"

    def read(self) -> None:
        raise StoreBusy("the store is locked")


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_the_numbers_go_by_indexes_and_not_through_all_rows(line: Line) -> None:
    line.set(reminders={"patient": {"confirmation": {"channels": ["email"]}, "steps": ["1d"]}})
    line.book(1, TOMORROW)
    line.after()
    line.book(2, TOMORROW)
    line.after()
    asked: list[str] = []

    def look(at_work: Clinic) -> None:
        with at_work.store.read() as connection:
            raw = connection.connection.driver_connection
            assert isinstance(raw, sqlite3.Connection)
            raw.set_trace_callback(asked.append)
        exposition([at_work])
        raw.set_trace_callback(None)
        for statement in asked:
            if statement.startswith("SELECT"):
                steps = [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}")]
                large = ("appointments", "messages", "events", "versions", "told")
                through = [step for step in steps if step.removeprefix("SCAN ").split()[0] in large]
                assert not through, (statement, steps)

    line.at_work(look)
    assert len([one for one in asked if one.startswith("SELECT")]) > 15
