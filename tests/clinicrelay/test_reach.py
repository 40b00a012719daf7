"""How far reads have reached, as connectors remember it between runs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clinicrelay.reach import Reach

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
WEEK = timedelta(days=7)


@pytest.fixture
def memory() -> dict[str, Any]:
    return {}


def test_before_the_first_read_has_ended_everything_is_new(memory: dict[str, Any]) -> None:
    reach = Reach(memory, "all")
    assert reach.is_new()
    assert reach.is_new(["acar"])
    assert reach.until is None


def test_it_is_remembered_through_the_store_for_one_question(memory: dict[str, Any]) -> None:
    Reach(memory, "all").ended(until=MONDAY + WEEK, read_until=MONDAY + WEEK)
    kept = json.loads(json.dumps(memory))
    assert Reach(kept, "all").until == MONDAY + WEEK
    assert not Reach(kept, "all").is_new()
    assert Reach(kept, "some").is_new()
    assert Reach(kept, "some").until is None


def test_polls_of_one_day_remember_the_same(memory: dict[str, Any]) -> None:
    """What is remembered is written, and an unchanged poll writes nothing."""
    reach, now = Reach(memory, "all"), MONDAY + timedelta(hours=9)
    reach.ended(until=now + WEEK, read_until=now + WEEK)
    before = dict(memory)
    later = now + timedelta(minutes=5) + WEEK
    reach.ended(until=later, read_until=later)
    assert memory == before
    assert reach.until == MONDAY + WEEK


def test_only_who_was_read_is_known_and_who_leaves_is_forgotten(memory: dict[str, Any]) -> None:
    reach = Reach(memory, "all")
    reach.ended(until=None, parts=["acar", "braun"], read={"acar"})
    assert not reach.is_new(["acar"])
    assert reach.is_new(["acar", "braun"])
    reach.ended(until=None, parts=["acar", "braun"], read={"braun"})  # acar failed this time
    assert not reach.is_new(["acar", "braun"])
    reach.ended(until=None, parts=["braun"], read={"braun"})
    assert reach.is_new(["acar"])
    assert "acar" not in json.dumps(memory)


@pytest.mark.parametrize(
    ("until", "read_until", "reached"),
    [
        (WEEK * 3, WEEK * 3, WEEK * 3),  # a day further, or many
        (WEEK * 3, WEEK * 1, WEEK * 2),  # its end failed: what was known stays known
        (WEEK * 3, None, WEEK * 2),
        (WEEK * 1, WEEK * 1, WEEK * 1),  # a shorter window knows less
        (None, None, None),  # all days there are
    ],
)
def test_days_are_known_as_far_as_they_were_read(
    memory: dict[str, Any],
    until: timedelta | None,
    read_until: timedelta | None,
    reached: timedelta | None,
) -> None:
    reach = Reach(memory, "all")
    reach.ended(until=MONDAY + WEEK * 2, read_until=MONDAY + WEEK * 2)
    reach.ended(until=until and MONDAY + until, read_until=read_until and MONDAY + read_until)
    assert reach.until == (reached and MONDAY + reached)
