"""One story, told on every database: the same reports, the same state."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.line.conftest import Line


def story(line: Line) -> list[dict[str, Any]]:
    """Three days of a clinic: every kind of change, a hold, its end, reminders, a digest."""
    reports = []

    def sync(when: str) -> None:
        report = line.sync(when).json()
        reports.append({**report, "run": ""})

    line.book(1, "2026-11-25 09:30")
    line.book(2, "2026-11-26 14:00", email="", modality="video")
    line.book_many(30)
    line.drop()
    sync("2026-11-23 09:00")
    line.book(3, "2026-12-01 09:00")
    line.change(1, start="2026-11-25 16:30")
    line.change(101, location="Seeblick", notes="new place")
    line.change(102, doctor_id="braun")
    line.cancel(103)
    line.cancel(104)
    line.book(905, "2026-12-18 12:00", patient_id="P104", email="p104@mail.example")
    del line.rows["105"]
    line.change(106, status="XQ")
    line.change(107, minutes="60")
    line.drop()
    sync("2026-11-23 12:00")
    content = line.drop().read_text()
    line.drop("\n".join(content.splitlines()[:12]) + "\n")
    sync("2026-11-23 17:00")
    line.change(103, status="scheduled")
    line.drop()
    sync("2026-11-23 18:30")
    for _ in range(24):
        line.sync(timedelta(hours=2))
    sync("2026-11-25 20:00")
    return reports


def test_a_story_ends_the_same_on_every_database(
    house: Callable[..., Line], tmp_path: Path
) -> None:
    line = house()
    other = house(store=f"sqlite:///{tmp_path}/another.db")
    assert story(other) == story(line)
    state = line.state()
    assert differing(other.state(), state) == {}
    assert state["outbox"]
    assert {row[3] for row in state["ledger"]} >= {"confirmation", "change", "reminder", "digest"}
    assert [row[0] for row in state["held"]] == ["gone"]


def differing(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    return {name: (one[name], other[name]) for name in one if one[name] != other[name]}
