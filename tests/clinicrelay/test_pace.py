"""Never more than so many in any stretch of time."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from clinicrelay.pace import Counted
from clinicrelay.settings.values import Rate


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(st.integers(1, 5), st.lists(st.floats(0, 3), max_size=40))
def test_no_stretch_of_a_period_sees_more_than_the_count(count: int, gaps: list[float]) -> None:
    clock = Clock()
    pace = Counted(Rate(count, "s"), clock)
    left: list[float] = []
    for gap in gaps:
        clock.now += gap
        clock.now += pace.take("messages").total_seconds()
        left.append(clock.now)
    for at, later in zip(left, left[count:], strict=False):
        assert later - at >= 1 - 1e-5


def test_each_key_has_a_count_of_its_own() -> None:
    pace = Counted(Rate(1, "h"), Clock())
    assert pace.take("one") == timedelta(0)
    assert pace.take("another") == timedelta(0)
    assert pace.take("one") == timedelta(hours=1)


def test_several_calls_at_once_wait_for_the_last_of_them() -> None:
    assert Counted(Rate(2, "m"), Clock()).take("messages", 5) == timedelta(minutes=2)


def test_what_one_run_may_not_send_waits_for_another() -> None:
    pace = Counted(Rate(2, "run"), Clock())
    assert [pace.take("messages") > timedelta(0) for _ in range(4)] == [False, False, True, True]
