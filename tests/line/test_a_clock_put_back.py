"""A clock that is put back: what people were told before stays told."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

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
