"""History is mapped again: what was misunderstood is corrected, and nobody hears anything twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import mappings
from clinicrelay.actions import Facts
from sync import keep
from sync.foresee import foresee_replay
from sync.rewording import alike, says_the_same
from sync.runners import once

if TYPE_CHECKING:
    from sync.report import RunReport
    from tests.line.conftest import Line

EVER = datetime(2020, 1, 1, tzinfo=UTC)
OURS = """\
version: 1
fields:
  key: {path: appointment_id, required: true}
  start: {path: start, type: datetime, zone: ZONE, required: true}
  duration: {path: minutes, type: minutes}
  status: {path: status, table: {scheduled: booked, cancelled: cancelledMORE}, unknown: set_aside}
  patient.key: {path: patient_id, required: true}
  patient.name: {path: patient_name}
  patient.email: {path: email, type: email}
  practitioner.key: {path: doctor_id}
  practitioner.email: {path: doctor_email, type: email}
  location.name: {PLACE}
"""
_read = mappings.find


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """What a mapping understands is the same on every store."""
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def written(line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Write the clinic's own mapping; its sources are read with it."""

    def write(zone: str = "clinic", place: str = "path: location", more: str = "") -> None:
        text = OURS.replace("ZONE", zone).replace("PLACE", place).replace("MORE", more)
        (tmp_path / "ours.yaml").write_text(text)
        monkeypatch.setattr(mappings, "find", lambda _name, _folder: _read("ours.yaml", tmp_path))

    write()
    line.set(safety={"hold_if": {"shifted": 1000, "at_least": 1000}})
    return write


def replayed(line: Line) -> tuple[RunReport, list[tuple[str, str]]]:
    """Replay all that was ever read; return the report, and kind and recipient of what was said."""
    before = line.outbox()
    line.now += timedelta(minutes=5)
    report = line.at_work(lambda at_work: once.replay(at_work, (), EVER))
    return report, line.said_since(before)


def a_month(line: Line) -> None:
    """Let reception work for a while: bookings, moves, cancellations, one that is left out."""
    line.book_many(20)
    line.after("2026-11-23 09:00")
    for number in (1, 2, 3, 4):
        line.book(number, f"2026-12-0{number} 10:00")
    line.after("2026-11-23 12:00")
    line.change(1, start="2026-12-03 11:00")
    line.cancel(2)
    line.after("2026-11-24 09:00")
    line.change(1, start="2026-12-02 12:00")
    del line.rows["3"]
    line.after("2026-11-25 09:00")
    line.after("2026-12-01 10:00")


def test_a_whole_month_is_replayed_without_a_word(line: Line) -> None:
    a_month(line)
    before = line.dump()
    report, said = replayed(line)
    assert (said, report.sources["reception"].changes) == ([], {})
    after = line.dump()
    for trail in ("audit", "clinics"):  # that somebody did this is noted, and sealed
        assert after.pop(trail) != before.pop(trail)
    assert after == before
    assert line.quietly() == []


def test_a_time_that_was_misread_is_corrected_and_told(
    line: Line, written: Callable[..., None]
) -> None:
    written(zone="utc")  # the export's times are the clinic's
    a_month(line)
    assert line.visits()["reception/1"]["start"] == "2026-12-02T12:00:00Z"
    written(zone="clinic")
    _, said = replayed(line)
    assert line.visits()["reception/1"]["start"] == "2026-12-02T11:00:00Z"
    assert {kind for kind, _ in said} <= {"change", "reminder"}
    assert ("change", "p1@mail.example") in said
    # Who was there before us was told nothing by us, and is off or left out: all that is no news.
    assert {to for _, to in said} == {"p1@mail.example", "p4@mail.example"}
    assert "2026-12-02 12:00" in line.starts()
    assert replayed(line)[1] == line.quietly() == []


def test_what_only_reads_differently_is_kept_and_told_to_nobody(
    line: Line, written: Callable[..., None]
) -> None:
    a_month(line)
    before = len(line.outbox())
    written(place="any: [{path: room}, {literal: Uferstrasse 5}]")
    report, said = replayed(line)
    assert said == []
    assert report.sources["reception"].changes["relocated"] >= 20
    assert line.visits()["reception/1"]["location"]["name"] == "Uferstrasse 5"
    assert line.quietly(timedelta(minutes=30)) == []  # nor is a reminder that was sent sent again
    line.change(4, start="2026-12-05 10:00")
    assert ("change", "p4@mail.example") in line.after("2026-12-01 14:00")
    assert len(line.outbox()) > before


def test_an_older_record_never_overwrites_a_newer_one(
    line: Line, written: Callable[..., None]
) -> None:
    line.set(sources={"reception": {"type": "csv", "contents": "delta", "ready": {"settle": "0s"}}})
    line.book(1, "2026-12-05 10:00", op="insert")
    line.after("2026-11-23 09:00")
    line.change(1, start="2026-12-06 10:00")
    line.after("2026-11-23 10:00")
    line.rows.clear()
    line.book(2, "2026-12-07 10:00", status="zapped", op="insert")
    line.after("2026-11-23 11:00")
    assert len(line.set_aside()) == 1
    line.change(2, status="scheduled", start="2026-12-08 10:00")
    line.after("2026-11-23 12:00")  # the good one came meanwhile
    written(more=", zapped: booked")
    _, said = replayed(line)
    starts = {key: one["start"][:10] for key, one in line.visits().items()}
    assert starts == {"reception/1": "2026-12-06", "reception/2": "2026-12-08"}
    assert (said, line.set_aside()) == ([], [])


def test_a_plan_of_it_names_what_would_change_and_writes_nothing(
    line: Line, written: Callable[..., None]
) -> None:
    written(zone="utc")
    a_month(line)
    written(zone="clinic")
    before = line.dump(), line.files()
    planned = line.at_work(
        lambda at_work: foresee_replay(at_work, (), EVER),
        scratch=True,
    )
    assert (line.dump(), line.files()) == before
    report, said = replayed(line)
    assert len(planned.changes) == sum(report.sources["reception"].changes.values()) > 0
    assert sorted(one["kind"] for one in planned.messages) == sorted(kind for kind, _ in said)


def test_cut_off_before_it_is_judged_it_is_done_by_the_next(
    line: Line, written: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    written(zone="utc")
    a_month(line)
    written(zone="clinic")
    with monkeypatch.context() as cut:
        cut.setattr(keep, "end_read", _killed)
        with pytest.raises(_Killed):
            replayed(line)
    assert line.visits()["reception/1"]["start"] == "2026-12-02T12:00:00Z"
    assert ("change", "p1@mail.example") in replayed(line)[1]
    assert line.visits()["reception/1"]["start"] == "2026-12-02T11:00:00Z"


class _Killed(Exception):
    pass


def _killed(*_: object, **__: object) -> None:
    raise _Killed


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Uferstr. 5", "Uferstrasse 5, 13357 Berlin", True),
        ("Uferstraße", "Uferstrasse 5", True),
        ("Praxis Nord", "Praxis Süd", False),
        ("Room 1", "Room 12", False),
        ("Dr. Acar", "Acar, Elif", False),
        (None, "Uferstrasse", True),
    ],
)
def test_two_names_mean_one_thing_where_each_word_of_the_shorter_is_in_the_longer(
    one: str | None, other: str | None, same: bool
) -> None:
    assert alike(one, other) is alike(other, one) is same
    then = datetime(2026, 12, 1, 9, tzinfo=UTC)
    assert says_the_same(Facts(True, then, place=one), Facts(True, then, place=other)) is same
    later = then + timedelta(hours=1)
    assert not says_the_same(Facts(True, then, place=one), Facts(True, later, place=other))
