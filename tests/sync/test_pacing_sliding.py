"""A limit over any stretch of time: never more, whoever asks, however often we are started."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinicrelay.settings.values import read_rate
from sync.sliding import Sliding, Window, refused, take, take_all
from sync.store import Store, open_store

NEVER = float("inf")
BEGAN = 1_795_507_200.4


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    made = open_store(store_url, "riverside", now=datetime.now(UTC))
    yield made
    made.close()


def sliding(store: Store, rate: str = "100/m", at: float = BEGAN) -> Sliding:
    limits = {"user": read_rate(rate)}
    return Sliding(store, "pace/calendars/google", limits, lambda: at, lambda: 0.5)


def busiest(calls: list[tuple[float, int]], span: float) -> int:
    """Return the most calls in any stretch of so many seconds."""
    return max(
        (sum(n for at, n in calls if begin <= at < begin + span) for begin, _ in calls), default=0
    )


_PAUSES = st.sampled_from([0, 0, 0.7, 1, 29.9, 30.3, 59.2, 60, 60.7]) | st.floats(0, 40)
_SIZES = st.sampled_from([1, 1, 44, 45, 90]) | st.integers(min_value=1, max_value=50)
_REFUSED = st.integers(min_value=0, max_value=9).map(lambda n: n == 0)


@given(st.lists(st.tuples(_PAUSES, _SIZES, _REFUSED), max_size=60))
def test_in_no_minute_leave_more_than_nine_tenths_of_the_rate(
    asked: list[tuple[float, int, bool]],
) -> None:
    window, now, calls = Window(), BEGAN, []
    for pause, n, too_fast in asked:
        now += pause
        window, wait = take(window, n, 100, 60, now)
        assert wait == NEVER or 0 <= wait <= 62
        if wait != NEVER:
            calls.append((now + wait, n))
        if too_fast:
            window = refused(window, 0, now, 0.5)
    assert busiest(calls, 61) <= 90
    assert [at for at, _ in calls] == sorted(at for at, _ in calls)
    assert len(window.slots) <= 2 * 62


@given(st.lists(st.tuples(_PAUSES, _SIZES, st.sampled_from("ab"), _REFUSED), max_size=60))
def test_what_is_counted_alone_and_with_others_leaves_neither_too_fast(
    asked: list[tuple[float, int, str, bool]],
) -> None:
    windows = {"a": Window(), "b": Window(), "": Window()}
    calls: dict[str, list[tuple[float, int]]] = {"a": [], "b": [], "": []}
    now = BEGAN
    for pause, n, key, too_fast in asked:
        now += pause
        (own, together), wait = take_all([(windows[key], 100, 60), (windows[""], 120, 30)], n, now)
        if wait == NEVER:
            assert (own, together) == (windows[key], windows[""])
        windows |= {key: own, "": together}
        for name in (key, "") if wait != NEVER else ():
            calls[name].append((now + wait, n))
        if too_fast:
            windows[key] = refused(own, 0, now, 0.5)
    assert all(busiest(calls[key], 61) <= 90 for key in "ab")
    assert busiest(calls[""], 31) <= 108


def test_the_whole_rate_may_be_used_at_once_and_then_again_a_minute_later() -> None:
    window = Window()
    waits = []
    for _ in range(5):
        window, wait = take(window, 45, 100, 60, BEGAN)
        waits.append(wait)
    assert waits == pytest.approx([0, 0, 61.6, 61.6, NEVER])


def test_what_was_refused_a_place_holds_none() -> None:
    full, _ = take(Window(), 90, 100, 60, BEGAN)
    full, _ = take(full, 90, 100, 60, BEGAN)
    assert take(full, 1, 100, 60, BEGAN) == (full, NEVER)


def test_a_refusal_halves_the_rate_and_quiet_brings_it_back() -> None:
    window = refused(Window(), 0, BEGAN, 0.5)
    later = window.off_until
    assert later - BEGAN >= 1
    window, wait = take(window, 45, 100, 60, later)
    assert wait == 0
    assert take(window, 1, 100, 60, later)[1] > 60
    assert take(Window(share=0.5, refused_at=BEGAN), 60, 100, 60, BEGAN + 90)[1] == 0
    assert take(Window(share=0.5, refused_at=BEGAN), 90, 100, 60, BEGAN + 150)[1] == 0


def test_refusals_in_a_row_keep_off_for_longer_and_longer_but_not_for_ever() -> None:
    window, now, waits = Window(), BEGAN, []
    for _ in range(10):
        window = refused(window, 0, now, 0.0)
        waits.append(window.off_until - now)
        now = window.off_until
    assert waits[:4] == pytest.approx([1, 2, 4, 8])
    assert max(waits) <= 64
    assert window.share == 0.1


def test_refusals_of_calls_already_on_their_way_say_nothing_new() -> None:
    once = refused(Window(), 10, BEGAN, 0.5)
    assert refused(once, 10, BEGAN, 0.5) == once
    assert refused(once, 30, BEGAN, 0.5).off_until == BEGAN + 30


def test_whoever_is_told_how_long_to_wait_waits_as_long() -> None:
    window = refused(Window(), 20, BEGAN, 0.5)
    assert take(window, 1, 100, 60, BEGAN)[1] == pytest.approx(20)
    assert take(refused(Window(), 3600, BEGAN, 0.5), 1, 100, 60, BEGAN)[1] == NEVER


def test_a_clock_that_was_set_back_blocks_nobody_for_longer_than_a_period() -> None:
    window, _ = take(Window(), 90, 100, 60, BEGAN)
    assert take(window, 1, 100, 60, BEGAN - 86400)[1] == 0


def test_a_restart_does_not_begin_anew(store: Store) -> None:
    assert sliding(store).take("user/ab", 90) == timedelta(0)
    assert sliding(store, at=BEGAN + 30).take("user/ab") > timedelta(seconds=30)
    assert sliding(store, at=BEGAN + 63).take("user/ab") == timedelta(0)


def test_keys_are_counted_apart_and_unknown_ones_not_at_all(store: Store) -> None:
    pace = sliding(store)
    assert pace.take("user/ab", 90) == timedelta(0)
    assert pace.take("user/cd", 90) == timedelta(0)
    assert pace.take("other", 10_000) == timedelta(0)


def test_all_keys_together_have_a_limit_of_their_own(store: Store) -> None:
    limits = {"user": read_rate("100/m"), "": read_rate("120/m")}
    pace = Sliding(store, "pace/calendars/google", limits, lambda: BEGAN, lambda: 0.5)
    assert pace.take("user/ab", 90) == timedelta(0)
    assert pace.take("user/cd", 18) == timedelta(0)
    assert pace.take("user/ef", 1) > timedelta(minutes=1)


def test_a_refusal_is_kept_for_all(store: Store) -> None:
    sliding(store).refused("user/ab", timedelta(seconds=40))
    assert sliding(store).take("user/ab").total_seconds() == pytest.approx(40, abs=0.1)


def test_threads_together_take_no_more_than_one_alone(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(lambda _: sliding(store).take("user/ab", 10), range(27)))
    assert sum(wait == timedelta(0) for wait in waits) == 9
    assert sum(wait == timedelta.max for wait in waits) == 9


def test_threads_of_many_keys_share_what_all_have_together(store: Store) -> None:
    limits = {"user": read_rate("100/m"), "": read_rate("100/m")}
    pace = Sliding(store, "pace/calendars/google", limits, lambda: BEGAN, lambda: 0.5)
    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(lambda n: pace.take(f"user/{n % 3}", 10), range(27)))
    assert sum(wait == timedelta(0) for wait in waits) == 9
    assert sum(wait == timedelta.max for wait in waits) == 9
