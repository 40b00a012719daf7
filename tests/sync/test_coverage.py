"""Whether a patient is told of tomorrow's visit, judged from what they heard and will hear."""

from __future__ import annotations

import pytest

from sync.coverage import Heard, verdict


@pytest.mark.parametrize(
    ("heard", "reminders", "expected"),
    [
        (Heard(reminded=True), True, "covered"),
        (Heard(coming=True), True, "covered"),
        (Heard(news=True), True, "covered"),
        (Heard(news=True), False, "covered"),
        (Heard(coming=True, silenced=("channel_off",)), True, "covered"),
        (Heard(reminded=True, failed=True), True, "covered"),
        (Heard(news=True, silenced=("told_recently",)), True, "covered"),
        (Heard(silenced=("no_contact",)), True, "explained"),
        (Heard(silenced=("opted_out", "late_booking")), True, "explained"),
        (Heard(silenced=("rehearsal",)), True, "explained"),
        (Heard(silenced=("unproven_not_repeated",)), True, "explained"),
        (Heard(), False, "explained"),
        (Heard(), True, "open"),
        (Heard(silenced=("channel_off",)), True, "open"),
        (Heard(news=True, silenced=("channel_off",)), True, "open"),
        (Heard(silenced=("no_contact", "paused")), True, "open"),
        (Heard(silenced=("credentials_refused",)), True, "open"),
        (Heard(failed=True), True, "open"),
        (Heard(news=True, failed=True), True, "open"),
    ],
)
def test_a_visit_of_tomorrow_is_covered_explained_or_open(
    heard: Heard, reminders: bool, expected: str
) -> None:
    assert verdict(heard, reminders=reminders) == expected
