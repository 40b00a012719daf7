"""The contract of calendars: after any number of tries the events are as they should be, once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from clinicrelay.contracts import Calendar, EventWrite, Memo, Outcome
from clinicrelay.testing.applying import SeenEvent, apply_all
from clinicrelay.testing.kits import CANARY_NAME, NOW, canaries_in
from clinicrelay.testing.looking import LookingContract
from clinicrelay.testing.options import OptionsContract


class CalendarContract(LookingContract, OptionsContract):
    """Inherit, say how to make the plugin and how to see its events; then its promises are kept.

    A plugin that looks has to say as well what a doctor's hand does; see `LookingContract`.
    """

    ours: ClassVar[str] = "elif.acar@riverside.example"
    other: ClassVar[str] = "jonas.braun@riverside.example"

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """Where the plugin under test may live."""
        return tmp_path

    def make(self, folder: Path) -> Calendar:
        """Return the plugin, as a process that starts now would make it."""
        raise NotImplementedError

    def events(self, folder: Path, calendar: str) -> Sequence[SeenEvent]:
        """Return all events of a calendar, in any order."""
        raise NotImplementedError

    def break_destination(self, folder: Path) -> None:
        """Make writing impossible from now on: a server that is gone, a folder that is none."""
        raise NotImplementedError

    def state(self, folder: Path, calendar: str) -> object:
        """Return what must not change when the same is written again; best the very bytes."""
        return sorted(self.events(folder, calendar), key=lambda e: e.identity)

    def plugin(self) -> type[Calendar]:
        return type(self.make(Path()))

    def write(self, ref: str = "r1", **changes: Any) -> EventWrite:
        """Return a write that puts half an hour on the coming day."""
        fields: dict[str, Any] = {
            "ref": ref,
            "put": True,
            "start": NOW + timedelta(days=1),
            "end": NOW + timedelta(days=1, minutes=30),
            "timezone": "Europe/Berlin",
            "title": "Appointment",
            "written_at": NOW,
        }
        return EventWrite(**fields | changes)

    def test_an_event_that_was_put_is_there_once(self, folder: Path) -> None:
        write = self.write(description="Booked by us.\nSee, there; \\o/", location="Main site")
        (result,) = apply_all(self.make(folder), self.ours, [write])
        assert (result.ref, result.outcome) == (write.ref, Outcome.ACCEPTED)
        (seen,) = self.events(folder, self.ours)
        assert (seen.title, seen.start, seen.end) == (write.title, write.start, write.end)
        assert (seen.description.rstrip(), seen.location) == (write.description, write.location)

    def test_the_calendar_itself_shows_what_was_put_until_it_is_removed(self, folder: Path) -> None:
        write = self.write()
        (put,) = apply_all(self.make(folder), self.ours, [write])
        assert self.make(folder).shows(self.ours, write.ref, put.memo)
        assert not self.make(folder).shows(self.ours, "another", {})
        assert not self.make(folder).shows(self.other, write.ref, put.memo)
        gone = EventWrite(write.ref, put=False, memo=put.memo)
        apply_all(self.make(folder), self.ours, [gone])
        assert not self.make(folder).shows(self.ours, write.ref, put.memo)

    def test_the_same_put_again_changes_nothing_at_all(self, folder: Path) -> None:
        writes = [self.write("r1"), self.write("r2")]
        apply_all(self.make(folder), self.ours, writes)
        before = self.state(folder, self.ours)
        results = apply_all(self.make(folder), self.ours, writes)
        assert [r.outcome for r in results] == [Outcome.ACCEPTED] * 2
        assert self.state(folder, self.ours) == before

    def test_a_put_whose_memo_was_lost_makes_no_second_event(self, folder: Path) -> None:
        apply_all(self.make(folder), self.ours, [self.write()])
        apply_all(self.make(folder), self.ours, [self.write(title="Video visit", sequence=1)])
        (seen,) = self.events(folder, self.ours)
        assert seen.title == "Video visit"

    def test_an_event_that_moves_keeps_its_identity(self, folder: Path) -> None:
        memos: dict[str, Memo] = {}
        apply_all(self.make(folder), self.ours, [self.write()], memos)
        (before,) = self.events(folder, self.ours)
        later = NOW + timedelta(days=2)
        moved = self.write(start=later, end=later + timedelta(hours=1), sequence=1, tentative=True)
        apply_all(self.make(folder), self.ours, [moved], memos)
        (after,) = self.events(folder, self.ours)
        assert after.identity == before.identity
        assert (after.start, after.end, after.tentative) == (moved.start, moved.end, True)

    def test_removing_leaves_nothing_and_may_be_repeated(self, folder: Path) -> None:
        memos: dict[str, Memo] = {}
        apply_all(self.make(folder), self.ours, [self.write(), self.write("r2")], memos)
        for _ in range(2):
            gone = EventWrite(ref="r1", put=False, sequence=1, written_at=NOW)
            (result,) = apply_all(self.make(folder), self.ours, [gone], memos)
            assert result.outcome is Outcome.ACCEPTED
            assert len(self.events(folder, self.ours)) == 1

    def test_removing_what_was_never_there_is_done(self, folder: Path) -> None:
        (result,) = apply_all(self.make(folder), self.ours, [EventWrite(ref="r9", put=False)])
        assert result.outcome is Outcome.ACCEPTED
        assert not self.events(folder, self.ours)

    def test_an_event_that_was_removed_can_be_put_again(self, folder: Path) -> None:
        memos: dict[str, Memo] = {}
        apply_all(self.make(folder), self.ours, [self.write()], memos)
        apply_all(self.make(folder), self.ours, [EventWrite(ref="r1", put=False)], memos)
        (result,) = apply_all(self.make(folder), self.ours, [self.write(sequence=2)], memos)
        assert result.outcome is Outcome.ACCEPTED
        assert len(self.events(folder, self.ours)) == 1

    def test_a_mixed_batch_gives_each_write_its_result_in_order(self, folder: Path) -> None:
        memos: dict[str, Memo] = {}
        first = [self.write(f"r{n}", title=f"Visit {n}") for n in range(60)]
        apply_all(self.make(folder), self.ours, first, memos)
        mixed = [
            EventWrite(ref=f"r{n}", put=False)
            if n % 3 == 0
            else self.write(f"r{n}", title=f"New {n}", sequence=1)
            for n in range(70)
        ]
        results = apply_all(self.make(folder), self.ours, mixed, memos)
        assert [r.ref for r in results] == [w.ref for w in mixed]
        assert {r.outcome for r in results} == {Outcome.ACCEPTED}
        titles = sorted(e.title for e in self.events(folder, self.ours))
        assert titles == sorted(w.title for w in mixed if w.put)

    def test_two_calendars_do_not_mix(self, folder: Path) -> None:
        calendar = self.make(folder)
        apply_all(calendar, self.ours, [self.write(title="Mine")])
        apply_all(calendar, self.other, [self.write(title="Yours")])
        apply_all(calendar, self.ours, [EventWrite(ref="r1", put=False)])
        assert not self.events(folder, self.ours)
        assert [e.title for e in self.events(folder, self.other)] == ["Yours"]

    def test_no_writes_give_no_results(self, folder: Path) -> None:
        assert list(self.make(folder).apply(self.ours, [])) == []

    def test_a_broken_destination_is_an_outcome_and_not_an_error(self, folder: Path) -> None:
        calendar = self.make(folder)
        self.break_destination(folder)
        writes = [self.write("r1", title=CANARY_NAME), EventWrite(ref="r2", put=False)]
        results = apply_all(calendar, self.ours, writes)
        assert [r.ref for r in results] == ["r1", "r2"]
        assert results[0].outcome in (Outcome.NOT_SENT, Outcome.UNKNOWN)
        assert results[0].reason
        assert results[0].fix
        assert not canaries_in(*results, *calendar.check())

    def test_check_says_what_is_wrong_and_writes_nothing(self, folder: Path) -> None:
        calendar = self.make(folder)
        assert not [f for f in calendar.check() if f.severity == "error"]
        self.break_destination(folder)
        errors = [f for f in calendar.check() if f.severity == "error"]
        assert errors
        assert all(f.message and f.fix for f in errors)
