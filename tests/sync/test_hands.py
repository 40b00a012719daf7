"""What is done about an event that somebody changed: every hand under every rule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinicrelay.contracts import EventWrite, Hand
from clinicrelay.settings.schema import IfDoctor
from sync import hands
from sync.hands import Hands, Row, Rules, decide, fingerprint, turn

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
WRITE = EventWrite("r1", put=True, start=NOW, end=NOW + timedelta(minutes=30), title="Appointment")
LATER = msgspec.structs.replace(WRITE, start=NOW + timedelta(hours=1), end=NOW + timedelta(hours=2))
RETITLED = msgspec.structs.replace(WRITE, title="Video visit")
SYNCED = Row("synced", fingerprint(WRITE))


def rules(now: datetime = NOW, **if_doctor: Any) -> Rules:
    return Rules(IfDoctor(**if_doctor), "Europe/Berlin", now)


def after(hand: Hand | None, row: Row = SYNCED, wanted: EventWrite = WRITE, **how: Any) -> Row:
    found = decide(hand, row, wanted, rules(**how))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("hand", "how", "state", "done"),
    [
        (Hand.DELETED, {}, "hidden", "respected"),
        (Hand.DELETED, {"deletes": "restore"}, "put", "restored"),
        (Hand.DELETED, {"deletes": "ask"}, "hidden", "respected"),
        (Hand.MOVED, {}, "put", "reverted"),
        (Hand.MOVED, {"moves": "keep"}, "synced", "kept"),
        (Hand.MOVED, {"moves": "propose"}, "synced", "kept"),
        (Hand.EDITED, {}, "synced", "left"),
        (Hand.MISSING, {}, "put", "restored"),
    ],
)
def test_each_hand_is_treated_as_settings_say(
    hand: Hand, how: dict[str, str], state: str, done: str
) -> None:
    row = after(hand, **how)
    assert (row.state, [deed.done for deed in row.hands.log]) == (state, [done])
    assert row.hands.asked is bool({"ask", "propose"} & {*how.values()})


@pytest.mark.parametrize("hand", [Hand.COPIED, Hand.ORPHANED])
def test_what_is_no_event_of_ours_changes_nothing_of_ours(hand: Hand) -> None:
    assert decide(hand, SYNCED, WRITE, rules()) is None


@pytest.mark.parametrize("hand", [Hand.DELETED, Hand.MOVED])
def test_a_visit_that_got_another_time_meanwhile_outweighs_the_doctors_hand(hand: Hand) -> None:
    row = after(hand, Row("put", fingerprint(WRITE)), LATER, deletes="respect", moves="keep")
    assert turn(row, LATER, rules(moves="keep")) == hands.Turn("put", row.hands)


def test_a_visit_whose_text_changed_meanwhile_does_not() -> None:
    row = after(Hand.DELETED, Row("put", fingerprint(WRITE)), RETITLED)
    assert turn(row, RETITLED, rules()).state == "hidden"
    kept = after(Hand.MOVED, Row("put", fingerprint(WRITE)), RETITLED, moves="keep")
    assert turn(kept, RETITLED, rules(moves="keep")).keep_time


def test_moves_are_counted_by_the_clinics_day() -> None:
    late = datetime(2026, 11, 23, 22, 30, tzinfo=UTC)  # half past eleven in Berlin
    row = SYNCED
    for _ in range(3):
        row = after(Hand.MOVED, row, now=late)
    assert after(Hand.MOVED, row, now=late).state == "held"
    assert after(Hand.MOVED, row, now=late + timedelta(hours=1)).state == "put"


def test_what_is_held_stays_so_until_the_visit_changes() -> None:
    row = SYNCED
    for _ in range(4):
        row = after(Hand.MOVED, row)
    assert after(Hand.MOVED, row, now=NOW + timedelta(days=3)) == row
    assert turn(row, WRITE, rules()).state == "held"
    assert turn(row, RETITLED, rules()).state == "put"


def test_what_was_refused_is_written_again_only_as_another_event() -> None:
    row = Row("blocked", None, Hands(refused=fingerprint(WRITE).hex()))
    assert turn(row, WRITE, rules()).state == "blocked"
    assert turn(row, RETITLED, rules()) == hands.Turn("put", hands.NONE)


def test_a_doctor_who_takes_the_deletion_back_sees_the_event_kept_up_again() -> None:
    hidden = after(Hand.DELETED)
    assert after(None, hidden).state == "put"
    assert after(Hand.EDITED, hidden).state == "put"
    assert after(Hand.MISSING, hidden) == hidden


def test_an_event_that_is_to_go_goes_whatever_was_done_to_it() -> None:
    gone = EventWrite("r1", put=False)
    for hand in (Hand.DELETED, Hand.MOVED, Hand.EDITED, Hand.MISSING, None):
        assert after(hand, Row("remove", None), gone) == Row("remove", None)


def test_only_the_last_deeds_are_kept_and_read_back_as_they_were() -> None:
    row = SYNCED
    for n in range(30):
        row = after(Hand.EDITED, row, now=NOW + timedelta(minutes=n))
    assert len(row.hands.log) == 20
    assert hands.read(row.hands.text) == row.hands
    assert hands.NONE.text is None
    assert hands.read(None) == hands.NONE


def test_a_fingerprint_knows_the_time_apart_from_the_rest() -> None:
    own = fingerprint(WRITE)
    again = hands.to_write_again(own)
    assert again != own
    assert hands.same_time(again, fingerprint(RETITLED))
    assert not hands.same_time(own, fingerprint(LATER))
    assert not hands.same_time(None, own)
    assert len({own, fingerprint(RETITLED), fingerprint(LATER)}) == 3


_HAND = st.sampled_from([None, Hand.DELETED, Hand.MOVED, Hand.EDITED, Hand.MISSING])
_DELETES = st.sampled_from(["respect", "restore", "ask"])
_MOVES = st.sampled_from(["revert", "keep", "propose"])


@given(st.lists(st.tuples(_HAND, _DELETES, _MOVES), max_size=12))
def test_after_any_hands_a_new_time_of_the_visit_is_written(
    deeds: list[tuple[Hand | None, str, str]],
) -> None:
    row = SYNCED
    for hand, deletes, moves in deeds:
        row = after(hand, row, deletes=deletes, moves=moves)
        ready = turn(row, WRITE, rules(deletes=deletes, moves=moves))
        if ready.state == "put":  # as push does, before the next look
            row = Row("synced", fingerprint(WRITE), ready.hands)
    assert turn(row, LATER, rules()) == hands.Turn("put", Hands(log=row.hands.log))
