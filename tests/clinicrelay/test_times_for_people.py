"""A time that staff read names its year where they could take it for another one's."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from clinicrelay.times import for_people

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    ("instant", "told"),
    [
        (datetime(2026, 12, 1, 9, 30, tzinfo=UTC), "Tue 1 Dec 10:30"),
        (datetime(2026, 6, 1, 9, 30, tzinfo=UTC), "Mon 1 Jun 11:30"),
        (datetime(2026, 3, 2, 9, 30, tzinfo=UTC), "Mon 2 Mar 2026 10:30"),  # not the coming March
        (datetime(2027, 3, 2, 9, 30, tzinfo=UTC), "Tue 2 Mar 2027 10:30"),
        (datetime(2026, 12, 31, 23, 30, tzinfo=UTC), "Fri 1 Jan 2027 00:30"),  # there it is January
        (datetime(2031, 11, 23, 9, 0, tzinfo=UTC), "Sun 23 Nov 2031 10:00"),
    ],
)
def test_a_year_is_named_where_it_is_not_plain(instant: datetime, told: str) -> None:
    assert for_people(instant, BERLIN, now=NOW) == told


def test_the_form_of_the_day_is_the_callers() -> None:
    far = datetime(2028, 3, 2, 9, 30, tzinfo=UTC)
    assert for_people(NOW, BERLIN, now=NOW, day="%d %b") == "23 Nov 10:00"
    assert for_people(far, BERLIN, now=NOW, day="%a %d %b") == "Thu 02 Mar 2028 10:30"
