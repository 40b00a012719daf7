"""A clock that is put back: what people were told before stays told."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from clinicrelay.times import parse_instant
from sync.health import health
from tests.line.conftest import ZONE

if TYPE_CHECKING:
    from tests.line.conftest import Line


def test_a_move_is_told_once_though_the_clock_was_put_back_behind_the_import(line: Line) -> None:
    line.book(1, "2026-12-07 10:00")
    line.drop()
    line.sync("2026-11-23 09:00")
    line.now -= timedelta(minutes=30)
    line.change(1, start="2026-12-09 11:00")
    assert [kind for kind, _ in line.after(timedelta(0))] == ["change"]

    line.change(1, doctor_id="braun", doctor="Dr. Braun", doctor_email="braun@riverside.example")
    before = line.outbox()
    line.drop()
    line.sync(timedelta(hours=2))

    (told,) = [sent for sent in line.outbox() if sent not in before and sent.kind == "change"]
    assert "verlegt" not in told.text
    assert "9. Dez" in told.text


def test_a_source_that_was_read_while_the_clock_was_ahead_is_not_fresh_for_days(line: Line) -> None:
    line.book_many(30)
    line.drop()
    line.sync("2026-11-23 09:00")
    line.drop()
    line.sync("2026-11-26 09:00")  # by a clock that was three days ahead
    line.now = parse_instant("2026-11-23 10:00", ZONE)
    assert line.at_work(health).sources["reception"].state == "stale"
    line.drop()
    line.sync(timedelta(minutes=5))
    assert line.at_work(health).sources["reception"].state == "ok"
