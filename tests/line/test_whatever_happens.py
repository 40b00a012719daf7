"""Whatever reception does: calendars are true, and nobody hears what is false or twice."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from clinicrelay.actions import Facts, MessageKind, Say
from clinicrelay.times import local

if TYPE_CHECKING:
    from tests.line.conftest import Line, Row

ZONE = "Europe/Berlin"
# CLINICRELAY_TEST_EXAMPLES=500 looks for longer.
EXAMPLES = int(os.environ.get("CLINICRELAY_TEST_EXAMPLES", "12"))
NO_GUARDS = {"hold_if": {"shifted": 10_000, "at_least": 10_000}}

some_visit = st.integers(0, 7)
# Few enough that visits come back to where they were.
days_ahead = st.sampled_from([1, 2, 4, 6])
clocks = st.sampled_from(["07:30", "09:00", "13:45", "19:00"])
passing = st.sampled_from([1, 1, 3, 5, 13, 24, 31, 48]).map(lambda hours: timedelta(hours=hours))


class Clinic(RuleBasedStateMachine):
    """Reception's book, what was exported of it last, and a line that has to keep up."""

    make: Callable[[], Line]

    @initialize(first=st.lists(st.tuples(days_ahead, clocks), min_size=1, max_size=4))
    def open(self, first: list[tuple[int, str]]) -> None:
        """Import a few visits; one in the far future marks how far exports reach."""
        self.line = type(self).make()
        self.away: dict[str, Row] = {}
        self.known: dict[str, tuple[str, str]] = {}  # what the line must believe: start and status
        self.numbers = count(10)
        self.pending = False
        self.line.book(999, "2027-03-01 10:00")
        for days, clock in first:
            self.line.book(next(self.numbers), self.start(days, clock))
        self.imported = set(self.line.rows)
        self.export()
        self.sync(timedelta(0))
        assert self.line.outbox() == []

    # --- what reception does -------------------------------------------------------------------

    @rule(days=days_ahead, clock=clocks)
    def book(self, days: int, clock: str) -> None:
        self.line.book(next(self.numbers), self.start(days, clock))

    @rule(which=some_visit, days=days_ahead, clock=clocks)
    def move(self, which: int, days: int, clock: str) -> None:
        self.alter(which, start=self.start(days, clock))

    @rule(which=some_visit, status=st.sampled_from(["cancelled", "cancelled", "scheduled", "XQ"]))
    def set_status(self, which: int, status: str) -> None:
        self.alter(which, status=status)

    @rule(which=some_visit, note=st.sampled_from(["a", "b"]))
    def edit(self, which: int, note: str) -> None:
        self.alter(which, notes=note)

    @rule(which=some_visit)
    def lose(self, which: int) -> None:
        key = self.key(which)
        if key:
            self.away[key] = self.line.rows.pop(key)

    @precondition(lambda self: self.away)
    @rule()
    def find_again(self) -> None:
        key, row = self.away.popitem()
        self.line.rows[key] = row

    @rule()
    def export(self) -> None:
        self.line.drop()
        self.pending = True
        self.exported = dict(self.line.rows)

    @rule(after=passing)
    def export_and_sync(self, after: timedelta) -> None:
        self.export()
        self.sync(after)

    # --- what we do, and what must hold then ---------------------------------------------------

    @rule(after=passing)
    def sync(self, after: timedelta) -> None:
        self.line.sync(after)
        if self.pending:
            self.believe()
        self.pending = False
        self.calendars_show_the_truth()
        self.what_was_just_said_is_true()
        self.nobody_heard_the_same_twice()
        self.who_was_told_anything_knows_the_truth_by_day()
        self.another_run_changes_nothing()

    def believe(self) -> None:
        """Apply the export to what the line must believe."""
        for key in self.known.keys() - self.exported.keys():
            start, status = self.known[key]
            if self.ahead(start) and status == "scheduled":
                self.known[key] = (start, "gone")
        for key, row in self.exported.items():
            if row["status"] != "XQ":
                self.known[key] = (row["start"], row["status"])

    def calendars_show_the_truth(self) -> None:
        true = [
            start for start, status in self.known.values()
            if status == "scheduled" and self.ahead(start)
        ]  # fmt: skip
        assert [s for s in self.line.starts() if self.ahead(s)] == sorted(true)

    def what_was_just_said_is_true(self) -> None:
        now = int(self.line.now.timestamp())
        for key, say in self.said(f"m.settled_at = {now}"):
            if say.role != "patient":
                continue
            start, status = self.known[key]
            about = say.before if say.kind is MessageKind.CANCELLATION else say.facts
            assert about is not None
            assert about.start is not None
            assert about.start > self.line.now, "about the past"
            assert (status == "scheduled") == (say.kind is not MessageKind.CANCELLATION)
            if status == "scheduled":
                assert clock_of(about.start) == start

    def nobody_heard_the_same_twice(self) -> None:
        by_person: dict[tuple[str, str], list[Say]] = {}
        for key, say in self.said("TRUE"):
            by_person.setdefault((key, say.recipient), []).append(say)
        for says in by_person.values():
            news = [say.facts for say in says if say.kind is not MessageKind.REMINDER]
            assert all(one != other for one, other in pairwise(news))
            steps = [(s.step, s.facts) for s in says if s.kind is MessageKind.REMINDER]
            assert all(steps.count(step) == 1 for step in steps)

    def who_was_told_anything_knows_the_truth_by_day(self) -> None:
        if not 8 <= local(self.line.now, ZONE).hour < 21:
            return
        told, ledger = self.line.queries(
            [
                "SELECT a.source_key, t.facts FROM told t JOIN appointments a "
                "ON a.id = t.appointment WHERE t.recipient LIKE 'patient/%'",
                "SELECT a.source_key, m.kind, m.state FROM messages m JOIN appointments a "
                "ON a.id = m.appointment WHERE m.role = 'patient'",
            ]
        )
        knows = {key: msgspec.json.decode(facts, type=Facts) for key, facts in told}
        for key, facts in knows.items():
            start, status = self.known[key]
            if status == "scheduled" and self.ahead(start):
                assert facts.on
                assert clock_of(facts.start) == start
            if status == "cancelled" and facts.on:
                assert facts.start <= self.line.now, "expects a visit that is off"
        spoken_of = {key for key, *_ in ledger}
        for key, (start, status) in self.known.items():
            if status == "scheduled" and self.ahead(start) and key not in self.imported:
                assert key in spoken_of, "neither told nor is there a reason why not"

    def another_run_changes_nothing(self) -> None:
        rows, files, writes = self.line.dump(), self.line.files(), len(self.line.writes)
        self.line.sync(timedelta(0))
        assert self.line.dump() == rows
        assert self.line.files() == files
        assert len(self.line.writes) == writes

    # --- looking -------------------------------------------------------------------------------

    def said(self, where: str) -> list[tuple[str, Say]]:
        """Return what was sent about visits, in the order in which it was."""
        rows = self.line.query(
            "SELECT m.settled_at, m.id, a.source_key, m.say FROM messages m "
            f"JOIN appointments a ON a.id = m.appointment WHERE m.state = 'sent' AND {where}"
        )
        return [(key, msgspec.json.decode(say, type=Say)) for _, _, key, say in sorted(rows)]

    def key(self, which: int) -> str | None:
        keys = [key for key in self.line.rows if key != "999"]
        return keys[which % len(keys)] if keys else None

    def alter(self, which: int, **cells: str) -> None:
        key = self.key(which)
        if key:
            self.line.change(key, **cells)

    def start(self, days: int, clock: str) -> str:
        return f"{local(self.line.now, ZONE) + timedelta(days=days):%Y-%m-%d} {clock}"

    def ahead(self, start: str) -> bool:
        return start > clock_of(self.line.now)


def clock_of(instant: datetime) -> str:
    return f"{local(instant, ZONE):%Y-%m-%d %H:%M}"


@pytest.mark.parametrize("store_url", ["sqlite:///made/anew/each/time"])
def test_whatever_happens_the_line_stays_true(house: Callable[..., Line], tmp_path: Path) -> None:
    numbers = count()

    class One(Clinic):
        @staticmethod
        def make() -> Line:
            store = f"sqlite:///{tmp_path}/{next(numbers)}.db"
            return house(store=store, safety=NO_GUARDS)

    run_state_machine_as_test(
        One,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=14,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
