"""Whether something that comes again and again is missing, judged from numbers alone."""

from __future__ import annotations

import pytest

from sync.rhythm import is_usual, open_seconds, patience, usual_gap

MINUTE, HOUR, DAY = 60, 3600, 86400


def each(step: int, number: int, first: int = 0) -> list[int]:
    return [first + step * n for n in range(number)]


def test_a_rhythm_is_known_after_some_moments_and_not_of_what_comes_at_random() -> None:
    assert usual_gap(each(5 * MINUTE, 5)) is None
    assert usual_gap(each(5 * MINUTE, 6)) == 5 * MINUTE
    assert usual_gap([0, 60, 120, 5000, 5060, 30_000, 30_060, 90_000, 90_060]) is None


def test_it_is_missing_after_three_times_its_gap_and_never_before_the_least() -> None:
    assert patience(each(5 * MINUTE, 9), at_least=0) == 15 * MINUTE
    assert patience(each(MINUTE, 9), at_least=15 * MINUTE) == 15 * MINUTE
    assert patience([0], at_least=0) is None


def test_a_rhythm_that_has_just_become_slower_is_waited_for() -> None:
    slower = [*each(5 * MINUTE, 20), 95 * MINUTE + HOUR]
    assert patience(slower, at_least=0) == 1.5 * HOUR


@pytest.mark.parametrize(
    ("since", "until", "open_"),
    [
        (10 * HOUR, 12 * HOUR, HOUR),  # two visits of half an hour
        (10 * HOUR + 15 * MINUTE, 10 * HOUR + 45 * MINUTE, 15 * MINUTE),
        (12 * HOUR, 20 * HOUR, 0),  # a night
    ],
)
def test_only_time_with_visits_counts(since: int, until: int, open_: int) -> None:
    starts = [10 * HOUR, 11 * HOUR, 9 * HOUR]
    assert open_seconds(starts, since=since, until=until, after=30 * MINUTE) == open_


def test_visits_at_the_same_time_count_once() -> None:
    starts = [0, 0, 10 * MINUTE, 20 * MINUTE]
    assert open_seconds(starts, since=0, until=DAY, after=30 * MINUTE) == 50 * MINUTE


def test_what_paused_in_the_same_hours_yesterday_or_a_week_ago_is_no_silence() -> None:
    mornings = [day * DAY + hour * HOUR for day in range(4) for hour in (7, 8, 9)]
    noon = 3 * DAY + 9 * HOUR
    assert is_usual(mornings, since=noon, until=noon + 6 * HOUR)
    whole_days = [day * DAY + hour * HOUR for day in range(4) for hour in range(7, 18)]
    at_nine = [at for at in whole_days if at <= noon]
    assert not is_usual(at_nine, since=noon, until=noon + 6 * HOUR)


def test_without_a_day_before_nothing_is_usual() -> None:
    assert not is_usual(each(HOUR, 5, 9 * HOUR), since=13 * HOUR, until=20 * HOUR)
