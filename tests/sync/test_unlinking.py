"""When too many events would leave a calendar though their visits stand."""

from __future__ import annotations

import pytest

from sync.guard import is_emptied


@pytest.mark.parametrize(
    ("events", "shown", "emptied"),
    [
        (20, 20, False),  # a few may always go
        (21, 21, True),
        (21, 100, True),
        (21, 105, False),
        (40, 200, False),
        (41, 200, True),
        (0, 0, False),
    ],
)
def test_more_than_twenty_and_more_than_the_share_are_too_many(
    events: int, shown: int, emptied: bool
) -> None:
    """CAL-24: planned deletions > max(20, 20 % of the live events of that calendar)."""
    assert is_emptied(events, shown, 0.20) is emptied
