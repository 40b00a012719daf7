"""Whose turn it is, and when somebody is late: by a clock that a test sets."""

from __future__ import annotations

from itertools import pairwise

from sync.runners import turns

EVERY = 300.0


def test_a_thousand_clinics_begin_spread_over_the_whole_rhythm() -> None:
    starts = [turns.first(n, 1_000, EVERY) for n in range(1_000)]
    assert starts[0] == 0
    assert max(starts) < EVERY
    assert all(0.29 < after - before < 0.31 for before, after in pairwise(starts))


def test_a_few_clinics_begin_a_second_apart() -> None:
    assert [turns.first(n, 3, EVERY) for n in range(3)] == [0, 1, 2]


def test_turns_stay_where_they_were_however_long_a_cycle_takes() -> None:
    assert turns.following(10, EVERY, 12) == 310
    assert turns.following(10, EVERY, 309) == 310
    assert turns.following(10, EVERY, 311) == 610  # that turn has passed, and is not made up for


def test_a_turn_is_never_one_that_has_passed() -> None:
    assert turns.following(10, EVERY, 310) == 610
    assert turns.following(10, EVERY, 10) == 310


def test_looks_at_what_is_due_lie_between_the_cycles() -> None:
    cycle = turns.first(5, 10, EVERY)
    looks = {turns.first_look(cycle) + n * turns.LOOK for n in range(10)}
    assert not looks & {cycle + n * EVERY for n in range(10)}


def test_a_cycle_may_fail_twice_and_take_its_time_before_it_is_late() -> None:
    assert not turns.is_late(0, EVERY, 2 * EVERY + 200)
    assert turns.is_late(0, EVERY, 3 * EVERY + 31)


def test_whoever_renews_a_lease_for_an_hour_is_not_stuck_and_who_stops_is() -> None:
    assert not turns.is_stuck(wrote=3600, now=3600 + 1799)
    assert turns.is_stuck(wrote=3600, now=3600 + 1801)


def test_a_loop_that_ticks_is_not_stopped() -> None:
    assert not turns.is_stopped(beat=0, now=29)
    assert turns.is_stopped(beat=0, now=31)
