"""What a calendar promises in which a doctor changes events too; kept by those that look."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from clinicrelay.contracts import (
    Calendar,
    Cursor,
    EventResult,
    EventWrite,
    Hand,
    Look,
    Memo,
    Outcome,
    Sighting,
)
from clinicrelay.testing.applying import SeenEvent, apply_all
from clinicrelay.testing.kits import CANARIES, NOW, canaries_in

Seen = list[tuple[str, Hand | None]]


@dataclass
class Shown:
    """One calendar, and what sync keeps of it: memos by ref, and where the last look ended."""

    contract: LookingContract
    folder: Path
    memos: dict[str, Memo] = field(default_factory=dict)
    cursor: Cursor | None = None

    @property
    def plugin(self) -> Calendar:
        """The plugin, as a process that starts now would make it."""
        return self.contract.make(self.folder)

    @property
    def state(self) -> object:
        return self.contract.state(self.folder, self.contract.ours)

    @property
    def events(self) -> Sequence[SeenEvent]:
        return self.contract.events(self.folder, self.contract.ours)

    @property
    def identity(self) -> str:
        """What the only event is known by."""
        (event,) = self.events
        return event.identity

    def put(self, *writes: EventWrite) -> list[EventResult]:
        """Write until nothing is to be done again."""
        return apply_all(self.plugin, self.contract.ours, writes, self.memos)

    def put_once(self, write: EventWrite) -> EventResult:
        """Write, and take the first answer for what it is."""
        (result,) = apply_all(self.plugin, self.contract.ours, [write], self.memos, rounds=1)
        return result

    def known(self, refs: Collection[str] | None = None) -> Mapping[str, Memo]:
        return {ref: memo for ref, memo in self.memos.items() if refs is None or ref in refs}

    def look(self) -> Look:
        """Look at the calendar from where the last look ended, and keep what it showed."""
        look = self.plugin.seen(self.contract.ours, self.cursor, self.known)
        self.cursor = look.cursor or self.cursor
        for sighting in look.sightings:
            if sighting.hand not in (Hand.COPIED, Hand.ORPHANED):
                self.memos[sighting.ref] = sighting.memo
        return look

    def news(self) -> Seen:
        """Look; return whose event it was, and what a hand did to it."""
        return [(one.ref, one.hand) for one in self.look().sightings]

    def whole_news(self) -> Seen:
        """Look at all there is, as after a cursor was lost."""
        self.cursor = None
        return self.news()


class LookingContract:
    """Say what a doctor's hand does; the promises are only asked of a plugin whose `looks` is true."""

    ours: ClassVar[str]

    def plugin(self) -> type[Calendar]:
        raise NotImplementedError

    def make(self, folder: Path) -> Calendar:
        raise NotImplementedError

    def events(self, folder: Path, calendar: str) -> Sequence[SeenEvent]:
        raise NotImplementedError

    def state(self, folder: Path, calendar: str) -> object:
        raise NotImplementedError

    def write(self, ref: str = "r1", **changes: Any) -> EventWrite:
        raise NotImplementedError

    def break_destination(self, folder: Path) -> None:
        raise NotImplementedError

    # --- what another hand does; `identity` is that of the event as it was seen --------------------

    def doctor_moves(self, folder: Path, calendar: str, identity: str, minutes: int) -> None:
        """Drag an event to another time."""
        raise NotImplementedError

    def doctor_deletes(self, folder: Path, calendar: str, identity: str) -> None:
        raise NotImplementedError

    def doctor_retitles(self, folder: Path, calendar: str, identity: str, title: str) -> None:
        raise NotImplementedError

    def doctor_notes(self, folder: Path, calendar: str, identity: str, note: str) -> None:
        """Write something into the description, beside what stands there."""
        raise NotImplementedError

    def doctor_copies(self, folder: Path, calendar: str, identity: str) -> None:
        """Make a second event of it, with all that it says."""
        raise NotImplementedError

    def lists_lie(self, folder: Path, calendar: str) -> None:
        """Let every list of events be empty from now on, though nothing is wrong with it."""
        raise NotImplementedError

    # --- promises --------------------------------------------------------------------------------

    @pytest.fixture
    def shown(self, folder: Path) -> Shown:
        """A calendar with one event of ours, looked at once."""
        if not self.plugin().looks:
            pytest.skip("nobody else changes events there")
        shown = Shown(self, folder)
        shown.put(self.write())
        shown.look()
        return shown

    def test_a_look_at_what_nobody_touched_shows_nothing(self, shown: Shown) -> None:
        assert (shown.news(), shown.whole_news()) == ([], [])

    def test_our_own_writes_are_no_news(self, shown: Shown) -> None:
        later = NOW + timedelta(days=3)
        changed = self.write(title="Video visit", start=later, end=later + timedelta(hours=1))
        shown.put(changed, self.write("r2"))
        shown.put(EventWrite("r2", put=False))
        assert [hand for _, hand in shown.news() if hand] == []
        assert [hand for _, hand in shown.whole_news() if hand] == []

    @pytest.mark.parametrize("whole", [False, True])
    def test_an_event_that_a_doctor_moved_is_seen_where_it_is_now(
        self, shown: Shown, whole: bool
    ) -> None:
        self.doctor_moves(shown.folder, self.ours, shown.identity, 45)
        if whole:
            shown.cursor = None
        (sighting,) = shown.look().sightings
        assert (sighting.ref, sighting.hand) == ("r1", Hand.MOVED)
        assert sighting.start == NOW + timedelta(days=1, minutes=45)
        assert shown.news() == []

    def test_what_a_doctor_deleted_or_wrote_is_told_once(self, shown: Shown) -> None:
        self.doctor_retitles(shown.folder, self.ours, shown.identity, "Mine")
        assert shown.news() == [("r1", Hand.EDITED)]
        self.doctor_deletes(shown.folder, self.ours, shown.identity)
        assert shown.news() == [("r1", Hand.DELETED)]
        assert [hand for _, hand in shown.whole_news() if hand] == []

    def test_what_is_in_the_calendar_is_not_known_by_its_copy(self, shown: Shown) -> None:
        original = shown.identity
        self.doctor_copies(shown.folder, self.ours, original)
        look = _whole(shown)
        assert [(one.ref, one.hand) for one in look.sightings] == [("r1", Hand.COPIED)]
        shown.put(self.write(title="Video visit"))
        titles = {one.identity: one.title for one in shown.events}
        assert (len(titles), titles[original]) == (2, "Video visit")
        self._removed(shown, look.sightings[0])
        assert [one.identity for one in shown.events] == [original]

    def test_an_event_of_no_visit_is_told_and_can_be_removed(self, shown: Shown) -> None:
        shown.memos.clear()
        look = _whole(shown)
        assert [(one.ref, one.hand) for one in look.sightings] == [("r1", Hand.ORPHANED)]
        self._removed(shown, look.sightings[0])
        assert not shown.events

    def _removed(self, shown: Shown, sighting: Sighting) -> None:
        memos = {sighting.ref: sighting.memo}
        gone = EventWrite(sighting.ref, put=False)
        (result,) = apply_all(shown.plugin, self.ours, [gone], memos)
        assert result.outcome is Outcome.ACCEPTED

    def test_an_event_whose_memo_was_lost_is_adopted_by_a_look(self, shown: Shown) -> None:
        before = shown.state
        shown.memos["r1"] = {}
        assert shown.whole_news() == [("r1", None)]
        assert shown.memos["r1"]
        shown.put(self.write())
        assert shown.state == before

    def test_an_empty_list_proves_nothing_gone_and_doubles_nothing(self, shown: Shown) -> None:
        before = shown.state
        self.lists_lie(shown.folder, self.ours)
        assert [hand for _, hand in shown.whole_news() if hand] == []
        shown.put(self.write())
        assert shown.state == before

    def test_the_same_put_with_its_memo_changes_nothing(self, shown: Shown) -> None:
        before = shown.state
        (result,) = shown.put(self.write())
        assert (result.outcome, shown.state) == (Outcome.ACCEPTED, before)

    @pytest.mark.parametrize("removed", [False, True])
    def test_what_may_have_been_done_meanwhile_is_no_matter(
        self, shown: Shown, removed: bool
    ) -> None:
        """Another write was done, and its answer lost: the memo is that of the write before."""
        memo, before = shown.memos["r1"], [one.start for one in shown.events]
        later = NOW + timedelta(days=3)
        moved = self.write(start=later, end=later + timedelta(hours=1))
        shown.put(EventWrite("r1", put=False) if removed else moved)
        shown.memos["r1"] = memo
        shown.put(msgspec.structs.replace(self.write(), in_doubt=True))
        assert [one.start for one in shown.events] == before

    @pytest.mark.parametrize("looked", [False, True])
    def test_what_a_doctor_added_survives_another_time_and_text(
        self, shown: Shown, looked: bool
    ) -> None:
        shown.put(self.write(description="Booked by us."))
        self.doctor_notes(shown.folder, self.ours, shown.identity, "Bring the X-ray.")
        if looked:
            assert [hand for _, hand in shown.news() if hand] == []
        later = NOW + timedelta(days=2)
        shown.put(self.write(start=later, end=later + timedelta(hours=1), description="Moved."))
        (seen,) = shown.events
        assert seen.start == later
        assert "Bring the X-ray." in seen.description
        assert "Moved." in seen.description
        assert "Booked by us." not in seen.description

    def test_a_write_that_meets_a_doctors_hand_tells_it_and_is_done_when_asked_again(
        self, shown: Shown
    ) -> None:
        self.doctor_moves(shown.folder, self.ours, shown.identity, 30)
        wanted = self.write(title="Video visit")
        met = shown.put_once(wanted)
        assert (met.outcome, met.hand) == (Outcome.AGAIN, Hand.MOVED)
        assert met.start == NOW + timedelta(days=1, minutes=30)
        (result,) = shown.put(wanted)
        assert result.outcome is Outcome.ACCEPTED
        (seen,) = shown.events
        assert (seen.title, seen.start) == ("Video visit", wanted.start)

    def test_an_event_stays_where_a_doctor_moved_it_when_that_is_wanted(self, shown: Shown) -> None:
        self.doctor_moves(shown.folder, self.ours, shown.identity, 30)
        assert shown.news() == [("r1", Hand.MOVED)]
        shown.put(self.write(title="Video visit", keep_time=True))
        (seen,) = shown.events
        assert (seen.title, seen.start) == ("Video visit", NOW + timedelta(days=1, minutes=30))

    def test_what_a_doctor_deleted_lives_again_once_when_it_is_written(self, shown: Shown) -> None:
        self.doctor_deletes(shown.folder, self.ours, shown.identity)
        assert shown.news() == [("r1", Hand.DELETED)]
        (result,) = shown.put(self.write())
        assert result.outcome is Outcome.ACCEPTED
        assert len(shown.events) == 1
        assert [hand for _, hand in shown.news() if hand] == []

    def test_removing_what_a_doctor_deleted_or_moved_is_done(self, shown: Shown) -> None:
        shown.put(self.write("r2"))
        for event, by in zip(shown.events, (self.doctor_deletes, self._moved), strict=True):
            by(shown.folder, self.ours, event.identity)
        results = shown.put(EventWrite("r1", put=False), EventWrite("r2", put=False))
        assert [one.outcome for one in results] == [Outcome.ACCEPTED] * 2
        assert not shown.events

    def _moved(self, folder: Path, calendar: str, identity: str) -> None:
        self.doctor_moves(folder, calendar, identity, 15)

    def test_a_look_at_a_broken_destination_is_a_trouble_and_not_an_error(
        self, shown: Shown
    ) -> None:
        self.break_destination(shown.folder)
        trouble = shown.look().trouble
        assert trouble is not None
        assert trouble.reason
        assert trouble.fix
        assert trouble.blocks
        assert trouble.outcome is Outcome.NOT_SENT

    def test_what_is_kept_of_an_event_tells_nothing_of_the_patient(self, shown: Shown) -> None:
        name, phone, *_ = CANARIES
        telling = self.write(title=name, description=phone, location=name)
        results = shown.put(telling)
        self.doctor_notes(shown.folder, self.ours, shown.identity, f"{name} called")
        self.doctor_moves(shown.folder, self.ours, shown.identity, 15)
        looks = [shown.look(), _whole(shown)]
        assert [one.hand for one in looks[0].sightings] == [Hand.MOVED]
        assert not canaries_in(*results, *looks, shown.memos, shown.cursor)


def _whole(shown: Shown) -> Look:
    shown.cursor = None
    return shown.look()
