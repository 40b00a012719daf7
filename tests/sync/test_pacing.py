"""Limits on how often a source is asked: by the second, by the clock, by the run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clinicrelay.settings.schema import Source
from sync.pacing import ByTheClock, OfOneRun, Several, pace_of
from sync.store import Store, open_store

NOW = timedelta(0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = open_store(f"sqlite:///{tmp_path}/store.db", "riverside", now=datetime.now(UTC))
    yield made
    made.close()


def hourly(store: Store, count: int, at: float) -> ByTheClock:
    return ByTheClock(store, "pace/ehr/budget", count, timedelta(hours=1), lambda: at)


def test_a_run_has_its_requests_and_no_more() -> None:
    pace = OfOneRun(2)
    assert [pace.take("r") for _ in range(3)] == [NOW, NOW, timedelta.max]


def test_an_hours_requests_are_counted_across_runs(store: Store) -> None:
    at = 3600 * 450_000 + 600.0  # ten past
    assert hourly(store, 3, at).take("r", 2) == NOW
    again = hourly(store, 3, at + 60)
    assert again.take("r") == NOW
    assert again.take("r") == timedelta(minutes=49)


def test_an_hour_begins_when_the_clock_strikes(store: Store) -> None:
    at = 3600 * 450_000 + 3590.0
    assert hourly(store, 1, at).take("r") == NOW
    assert hourly(store, 1, at).take("r") == timedelta(seconds=10)
    assert hourly(store, 1, at + 10).take("r") == NOW


def test_sources_are_counted_apart(store: Store) -> None:
    one, other = (
        pace_of(Source(type="rest", budget="1/h"), name, store)  # type: ignore[arg-type]
        for name in ("ehr", "physio")
    )
    assert one.take("r") == NOW
    assert other.take("r") == NOW
    assert one.take("r") > NOW


def test_the_strictest_of_several_limits_holds(store: Store) -> None:
    both = Several([OfOneRun(5), hourly(store, 2, 3600.0)])
    assert [both.take("r") > NOW for _ in range(3)] == [False, False, True]


def test_what_a_run_may_not_ask_any_more_is_not_counted_for_the_hour(store: Store) -> None:
    both = Several([OfOneRun(1), hourly(store, 2, 3600.0)])
    assert [both.take("r") for _ in range(5)] == [NOW, *[timedelta.max] * 4]
    assert hourly(store, 2, 3600.0).take("r") == NOW


def test_without_limits_nothing_waits_and_nothing_is_written(store: Store) -> None:
    pace = pace_of(Source(type="rest"), "ehr", store)
    assert pace.take("r", 10_000) == NOW
