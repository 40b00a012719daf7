"""A notifier's rate: never more in any stretch of its period, whoever sends, however often started."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event

from clinicrelay.contracts import Unpaced
from clinicrelay.pace import LONGEST, Counted
from clinicrelay.settings.values import read_rate
from sync.metered import SLOTS, Meter, Metered, reserve
from sync.pacing import pace_of_notifier
from sync.store import Store, open_store

BEGAN = 1_795_507_200.4
NOW = timedelta(0)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    made = open_store(store_url, "riverside", now=datetime.now(UTC))
    yield made
    made.close()


class Clock:
    def __init__(self) -> None:
        self.at = BEGAN

    def __call__(self) -> float:
        return self.at


def metered(store: Store, rate: str, clock: Clock) -> Metered:
    return Metered(store, "pace/notifiers/twilio", read_rate(rate), clock)


def busiest(calls: list[float], span: float) -> int:
    """Return the most calls in any stretch of so many seconds, both its ends included."""
    return max((sum(begin <= at <= begin + span for at in calls) for begin in calls), default=0)


PERIODS = st.sampled_from([1.0, 60.0, 3600.0])


@given(PERIODS, st.integers(1, 40), st.lists(st.floats(0, 0.7), max_size=80))
def test_in_no_stretch_of_a_period_leave_more_than_the_rate(
    period: float, count: int, pauses: list[float]
) -> None:
    meter, now, calls = Meter(), BEGAN, []
    for pause in pauses:
        now += pause * period
        meter, wait = reserve(meter, 1, count, period, now)
        calls.append(now + wait)
        now += wait
    assert busiest(calls, period * (1 + 1 / SLOTS)) <= count
    assert len(meter.slots) <= 3 * (SLOTS + 3)


@given(PERIODS, st.integers(1, 200))
def test_who_sends_without_a_pause_gets_seven_eighths_of_the_rate(
    period: float, count: int
) -> None:
    meter, now = Meter(), BEGAN
    for _ in range(3 * count + 1):
        meter, wait = reserve(meter, 1, count, period, now)
        now += wait
    assert now - BEGAN <= 3 * period * (1 + 3.1 / SLOTS)


@pytest.mark.parametrize("rate", ["5/s", "40/s", "600/m"])
def test_several_processes_together_keep_to_it(store: Store, rate: str) -> None:
    clock, calls = Clock(), []
    limit = read_rate(rate)
    assert limit.period is not None
    period = limit.period.total_seconds()
    processes = [metered(store, rate, clock) for _ in range(4)]
    for n in range(4 * limit.count):
        wait = processes[n % 4].take("messages")
        if wait <= LONGEST:
            clock.at += wait.total_seconds()
            calls.append(clock.at)
        else:
            clock.at += period / 10
        clock.at += 0.003
    assert busiest(calls, period) <= limit.count
    assert len(calls) >= limit.count


def test_a_process_that_is_started_anew_does_not_begin_anew(store: Store) -> None:
    clock = Clock()
    for rate, waits in (("2/s", [0, 0.575, 1.15]), ("2/m", [0, 0, 68.6])):
        pace = Metered(store, rate, read_rate(rate), clock)
        assert [pace.take("messages").total_seconds() for _ in waits] == pytest.approx(waits, abs=3)
        again = Metered(store, rate, read_rate(rate), clock).take("messages")
        assert again >= timedelta(seconds=waits[-1])


def test_who_would_wait_too_long_reserves_nothing(store: Store) -> None:
    clock = Clock()
    assert metered(store, "1/h", clock).take("messages") == NOW
    waits = {metered(store, "1/h", clock).take("messages") for _ in range(5)}
    assert len(waits) == 1
    assert timedelta(minutes=50) < waits.pop() < timedelta(hours=1.2)
    clock.at += 1.2 * 3600
    assert metered(store, "1/h", clock).take("messages") == NOW


def test_many_that_wait_at_once_wait_apart(store: Store) -> None:
    clock = Clock()
    waits = [metered(store, "5/s", clock).take("messages") for _ in range(60)]
    leaving = [BEGAN + wait.total_seconds() for wait in waits if wait <= LONGEST]
    assert len(leaving) >= 20
    assert busiest(leaving, 1) <= 5


def test_a_refusal_keeps_everybody_off(store: Store) -> None:
    clock = Clock()
    one, other = metered(store, "100/s", clock), metered(store, "100/s", clock)
    assert max(one.take("messages"), other.take("messages")) < timedelta(seconds=0.1)
    one.refused("messages", timedelta(seconds=3))
    assert one.take("messages") >= timedelta(seconds=2.9)
    clock.at += 0.2  # what the other had reserved already is of no use any more
    assert other.take("messages") >= timedelta(seconds=2.7)


def test_a_clock_that_was_set_back_blocks_nobody(store: Store) -> None:
    clock = Clock()
    assert metered(store, "1/s", clock).take("messages") == NOW
    clock.at -= 3600
    assert metered(store, "1/s", clock).take("messages") == NOW


def test_threads_of_several_processes_take_no_more_than_the_rate(store: Store) -> None:
    clock = Clock()
    processes = [metered(store, "40/s", clock) for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        waits = [*pool.map(lambda n: processes[n % 4].take("messages"), range(80))]
    assert sum(wait == NOW for wait in waits) <= 40
    assert sum(wait <= timedelta(seconds=1.2) for wait in waits) <= 80


def test_a_high_rate_writes_once_for_the_messages_of_a_slot(store: Store) -> None:
    clock, written = Clock(), []
    event.listen(store.engine, "commit", lambda _connection: written.append(1))
    pace = metered(store, "200/s", clock)
    for _ in range(40):
        clock.at += pace.take("messages").total_seconds() + 0.001
    assert len(written) == math.ceil(40 / (200 / SLOTS))


def test_without_a_rate_nothing_is_looked_up_or_written(store: Store) -> None:
    assert isinstance(pace_of_notifier(None, "twilio", store), Unpaced)
    assert isinstance(pace_of_notifier(read_rate("100/run"), "twilio", store), Counted)
