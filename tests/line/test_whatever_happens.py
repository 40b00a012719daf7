"""Whatever reception does: calendars are true, and nobody hears what is false or twice."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, time, timedelta
from itertools import count, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from clinicrelay.actions import INVITATION, Facts, MessageKind, Say
from clinicrelay.times import local, parse_instant

if TYPE_CHECKING:
    from tests.line.conftest import Line, Row

ZONE = "Europe/Berlin"
# CLINICRELAY_TEST_EXAMPLES=500 looks for longer.
EXAMPLES = int(os.environ.get("CLINICRELAY_TEST_EXAMPLES", "18"))
NO_GUARDS = {"hold_if": {"shifted": 10_000, "at_least": 10_000}}

# Few enough that visits come back to where they were, and that a night is looked at twice.
days_ahead = st.sampled_from([1, 2, 4])
clocks = st.sampled_from(["07:30", "09:00", "19:00"])
next_looks = st.sampled_from(["08:00", "12:00", "18:30", "22:00", "23:30"])
acts = st.one_of(
    st.tuples(st.just("book"), days_ahead, clocks),
    st.tuples(st.just("move"), days_ahead, clocks),
    st.tuples(st.just("move back")),
    st.tuples(st.just("set"), st.just("status"), st.sampled_from(["cancelled", "scheduled"])),
    st.tuples(st.just("set"), st.just("status"), st.sampled_from(["XQ", "cancelled"])),
    st.tuples(st.just("set"), st.just("notes"), st.sampled_from(["a", "b"])),
    st.tuples(st.just("lose")),
    st.tuples(st.just("find")),
)


class Clinic(RuleBasedStateMachine):
    """Reception's book, what was exported of it last, and a line that has to keep up."""

    make: Callable[[], Line]

    @initialize(first=st.lists(st.tuples(days_ahead, clocks), min_size=1, max_size=4))
    def open(self, first: list[tuple[int, str]]) -> None:
        """Import a few visits; one in the far future marks how far exports reach."""
        self.line = type(self).make()
        self.away: dict[str, Row] = {}
        self.before: dict[str, str] = {}
        self.known: dict[str, tuple[str, str]] = {}  # what the line must believe: start and status
        self.numbers = count(10)
        self.pending = False
        self.line.book(999, "2027-03-01 10:00")
        for days, clock in first:
            self.line.book(next(self.numbers), self.start(days, clock))
        self.imported = set(self.line.rows)
        self.as_imported = {
            key: Facts(on=True, start=parse_instant(row["start"], ZONE))
            for key, row in self.line.rows.items()
        }
        self.export()
        self.sync(timedelta(0))
        assert self.line.outbox() == []

    # --- what reception does -------------------------------------------------------------------

    @rule(
        changes=st.lists(st.tuples(st.integers(0, 3), acts), min_size=1, max_size=3),
        exported=st.sampled_from([True, True, True, False]),
        clock=next_looks,
    )
    def a_stretch_of_time(
        self, changes: list[tuple[int, tuple[Any, ...]]], exported: bool, clock: str
    ) -> None:
        """Reception changes its book, exports it (or forgets to), and some time later we look."""
        for which, (act, *how) in changes:
            self.act(which, act, how)
        if exported:
            self.export()
        self.sync(self.until(clock))

    def act(self, which: int, act: str, how: list[Any]) -> None:
        keys = [key for key in self.line.rows if key != "999"]
        key = keys[which % len(keys)] if keys else ""
        if act == "book":
            self.line.book(next(self.numbers), self.start(*how))
        elif act == "find" and self.away:
            self.line.rows.update([self.away.popitem()])
        elif act == "lose" and key:
            self.away[key] = self.line.rows.pop(key)
        elif act == "move" and key:
            self.before[key] = self.line.rows[key]["start"]
            self.line.change(key, start=self.start(*how))
        elif act == "move back" and key:
            self.line.change(key, start=self.before.get(key, self.line.rows[key]["start"]))
        elif act == "set" and key:
            self.line.change(key, **dict([how]))

    def export(self) -> None:
        self.line.drop()
        self.pending = True
        self.exported = dict(self.line.rows)

    # --- what we do, and what must hold then ---------------------------------------------------

    def sync(self, after: timedelta) -> None:
        self.line.sync(after)
        if self.pending:
            self.believe()
        self.pending = False
        self.calendars_show_the_truth()
        self.what_was_just_said_is_true()
        self.nobody_heard_the_same_twice()
        self.who_was_told_anything_knows_the_truth_by_day()
        assert self.line.unaccounted() == []
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
            told = [say for say in says if say.kind is not MessageKind.REMINDER]
            news = [say.facts for say in told if say.step != INVITATION]
            assert all(one != other for one, other in pairwise(news))
            to_calendars = [say.facts for say in told if say.step == INVITATION]
            assert all(one != other for one, other in pairwise(to_calendars))
            steps = [(s.step, s.facts) for s in says if s.kind is MessageKind.REMINDER]
            assert all(steps.count(step) == 1 for step in steps)

    def who_was_told_anything_knows_the_truth_by_day(self) -> None:
        if not 8 <= local(self.line.now, ZONE).hour < 21:
            return
        for key, facts in self.last_heard().items():
            assert facts.start is not None
            start, status = self.known[key]
            if status == "scheduled" and self.ahead(start):
                assert facts.on
                assert clock_of(facts.start) == start
            if status == "cancelled" and facts.on:
                assert facts.start <= self.line.now, "expects a visit that is off"
        ledger = self.line.query(
            "SELECT a.source_key FROM messages m JOIN appointments a ON a.id = m.appointment "
            "WHERE m.role = 'patient'"
        )
        for key, (start, status) in self.known.items():
            if status == "scheduled" and self.ahead(start) and key not in self.imported:
                assert (key,) in ledger, "neither told nor is there a reason why not"

    def last_heard(self) -> dict[str, Facts]:
        """Return what each visit's patient must believe: the last message, else the import."""
        return self.as_imported | {key: say.facts for key, say in self.said("m.role = 'patient'")}

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

    def until(self, clock: str) -> timedelta:
        """Return how long it is until a wall-clock time comes next."""
        wall = local(self.line.now, ZONE).replace(tzinfo=None)
        then = datetime.combine(wall.date(), time.fromisoformat(clock))
        return (then if then > wall else then + timedelta(days=1)) - wall

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
            stateful_step_count=12,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
