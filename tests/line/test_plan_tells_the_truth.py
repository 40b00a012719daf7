"""`plan` says what `sync` then does, and leaves no trace of having looked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.times import iso, local
from sync import steps
from sync.foresee import Forecast, foresee
from sync.store import standings

ZONE = "Europe/Berlin"

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from tests.line.conftest import Line


@pytest.fixture
def pending(line: Line) -> Line:
    """A clinic with an export in its inbox that changes a lot, and reminders that fall due."""
    line.book(1, "2026-11-27 10:00")
    line.book(2, "2026-11-25 14:00")
    line.book_many(30)
    line.after("2026-11-23 09:00")
    line.book(3, "2026-12-01 09:00")
    line.change(101, start="2026-12-20 10:00", location="Seeblick")
    line.change(102, doctor_id="braun")
    line.cancel(103)
    line.cancel(104)
    line.book(905, "2026-12-18 12:00", patient_id="P104", email="p104@mail.example")
    del line.rows["105"]
    line.change(106, status="XQ")
    line.change(107, notes="x")
    line.drop()
    line.now += timedelta(days=1, hours=3)
    return line


def foretell(line: Line, until: timedelta = timedelta()) -> Forecast:
    return line.at_work(lambda at_work: foresee(at_work, until=at_work.now + until), scratch=True)


def trace(line: Line) -> tuple[Any, Any]:
    """Return every row of the store, runs and leases included, and every file with its time."""
    files = {
        str(path.relative_to(line.folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(line.folder.rglob("*"))
        if path.is_file()
    }
    rows = line.dump() | {name: line.query(f"SELECT * FROM {name}") for name in ("runs", "leases")}
    return rows, files


def done(line: Line) -> tuple[Any, ...]:
    """Sync, and return changes, event writes and messages the way a forecast tells of them."""
    before, writes = set(line.outbox()), len(line.writes)
    report = line.sync(timedelta())
    said = [(s.kind, s.channel) for s in line.outbox() if s not in before]
    put = [("put", iso(w.start)) if w.put and w.start else ("remove", None)
           for w in line.writes[writes:]]  # fmt: skip
    return report.sources["reception"].changes, sorted(put, key=repr), sorted(said)


def foretold(forecast: Forecast) -> tuple[Any, ...]:
    changes: dict[str, int] = {}
    for change in forecast.changes:
        if change["what"] != "booked" or change["after"]["status"] != "cancelled":
            changes[change["what"]] = changes.get(change["what"], 0) + 1
    assert all(one["start"] for one in forecast.calendars)
    put = [(one["op"], one["start"] if one["op"] == "put" else None) for one in forecast.calendars]
    said = [(one["kind"], one["channel"]) for one in forecast.messages]
    return dict(sorted(changes.items())), sorted(put, key=repr), sorted(said)


def test_plan_foretells_changes_events_and_messages_of_the_next_run(pending: Line) -> None:
    expected = foretold(foretell(pending))
    assert done(pending) == expected
    assert len(expected[1]) > 5
    assert len(expected[2]) > 5


def test_plan_leaves_no_trace(pending: Line) -> None:
    before = trace(pending)
    foretell(pending, timedelta(days=14))
    assert trace(pending) == before


def test_plan_of_a_clinic_that_never_ran_makes_no_store_and_moves_no_file(line: Line) -> None:
    line.book_many(5)
    line._read = 1  # not even the instance key
    path = line.drop()
    assert line.loaded
    before = sorted(Path(line.folder).rglob("*"))
    forecast = foretell(line)
    assert len(forecast.changes) == len(forecast.calendars) == 5
    assert sorted(Path(line.folder).rglob("*")) == before
    assert path.exists()


def test_plan_foretells_a_hold(line: Line) -> None:
    line.book_many(30)
    line.after()
    for key in list(line.rows)[:15]:
        line.cancel(key)
    line.drop()
    forecast = foretell(line)
    assert [hold["guard"] for hold in forecast.held] == ["cancelled"]
    assert forecast.changes == []
    assert line.sync().exit == 4


def test_plan_foretells_the_messages_of_the_days_ahead(pending: Line) -> None:
    until = timedelta(days=3)
    forecast = foretell(pending, until)
    before, end = set(pending.outbox()), pending.now + until
    pending.sync(timedelta())
    while pending.now + timedelta(hours=1) <= end:
        pending.sync(timedelta(hours=1))
    said = sorted((s.kind, s.channel) for s in pending.outbox() if s not in before)
    assert said == sorted((one["kind"], one["channel"]) for one in forecast.messages)
    assert {"digest", "reminder", "confirmation", "change", "cancellation"} <= {k for k, _ in said}


# --- plan, then run: the same messages at the same times, and the same silence --------------------

_DOCTORS = [
    {"id": "acar", "match": "acar", "email": "acar@riverside.example", "phone": "+4915155500001"}
]


@pytest.fixture
def rich(line: Line) -> Line:
    """Two channels, doctors with reminders and digests, late bookings, nights, people out of reach."""
    line.set(
        reminders={
            "patient": {
                "confirmation": {"channels": ["email"]},
                "steps": ["2d", {"before": "1d", "channels": ["email"]}, "2h"],
            },
            "doctor": {
                "steps": [{"before": "1h", "channels": ["sms"]}],
                "digest": {"at": "18:00", "channels": ["email"]},
            },
        },
        doctors=_DOCTORS,
    )
    line.book(1, "2026-11-25 08:30")  # its 2h falls into the night
    line.book(2, "2026-11-25 14:00")
    line.book(3, "2026-11-26 22:30")  # its 1d falls into the night
    line.book(4, "2026-11-26 10:00", mobile="", email="")
    line.book(5, "2026-11-25 12:00")
    line.book(6, "2026-11-26 12:00", mobile="")
    line.book(
        7, "2026-11-26 15:00", email="", doctor_id="braun", doctor_email="b@riverside.example"
    )
    line.book_many(30)
    line.after("2026-11-23 09:00")
    line.change(2, start="2026-11-26 09:00")
    line.cancel(5)
    line.change(6, location="Seeblick")
    line.book(8, "2026-11-25 16:00")
    line.book(9, "2026-11-24 17:00", modality="video")
    del line.rows["105"]
    line.drop()
    line.now += timedelta(days=1, hours=1)
    return line


def said_and_unsaid(line: Line, since: int) -> tuple[list[Any], list[Any]]:
    """Return what the ledger holds since: when, what, to whom and how, or why not."""
    rows = line.query(
        "SELECT m.state, m.settled_at, m.due_at, m.kind, m.step, m.role, m.channel, m.reason, "
        "a.source, a.source_key FROM messages m LEFT JOIN appointments a ON a.id = m.appointment "
        f"WHERE m.settled_at >= {since}"
    )
    said, unsaid = [], []
    for state, settled, due, kind, step, role, channel, reason, source, key in rows:
        about = f"{source}/{key}" if source else None
        if state == "sent":
            said.append((at(settled), kind, step or None, role, channel, about))
        else:
            unsaid.append((at(due), kind, step or None, role, reason, about))
    return sorted(said, key=repr), sorted(unsaid, key=repr)


def at(seconds: int) -> str:
    return iso(datetime.fromtimestamp(seconds, UTC))


def entries(found: list[dict[str, Any]], how: str) -> list[Any]:
    names = ("at", "kind", "step", "to", how, "appointment")
    return sorted((tuple(one[name] for name in names) for one in found), key=repr)


def test_a_plan_and_the_runs_after_it_are_the_same_actions_at_the_same_times(rich: Line) -> None:
    until, since = timedelta(days=2, hours=4), int(rich.now.timestamp())
    before, calls, writes = trace(rich), len(rich.calls), len(rich.writes)
    forecast = foretell(rich, until)
    assert (trace(rich), len(rich.calls), len(rich.writes)) == (before, calls, writes)

    end = rich.now + until
    rich.sync(timedelta())
    while rich.now < end:
        rich.sync(timedelta(minutes=30))
        if (
            f"{local(rich.now, ZONE):%H:%M}" == "20:30"
        ):  # what the night would swallow leaves before
            rich.sync(timedelta(minutes=25))
            rich.sync(timedelta(minutes=5))

    said, unsaid = said_and_unsaid(rich, since)
    assert entries(forecast.messages, "channel") == said
    assert entries(forecast.unsaid, "reason") == unsaid
    assert {kind for _, kind, *_ in said} == {
        "confirmation", "reminder", "change", "cancellation", "digest",
    }  # fmt: skip
    assert {one[4] for one in said} == {"sms", "email"}
    assert {one[3] for one in said} == {"patient", "doctor"}
    assert {"no_contact", "gone", "told_recently", "late_booking"} <= {one[4] for one in unsaid}
    nights = [local(datetime.fromisoformat(one[0]), ZONE).hour for one in said]
    assert not [hour for hour in nights if hour >= 21 or hour < 8]


def test_a_plan_under_a_pause_says_what_it_keeps_back_without_looking_each_minute(
    rich: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(at_work: Clinic) -> None:
        with at_work.store.write() as connection:
            standings.pause(
                connection, at_work.store.clinic, "", reason="", until=None,
                since=at_work.now, who="test",
            )  # fmt: skip

    rich.at_work(stop)
    looked, plan = [], steps.plan
    monkeypatch.setattr(steps, "plan", lambda at_work: looked.append(1) or plan(at_work))

    forecast = foretell(rich, timedelta(days=2))

    assert forecast.messages == []
    assert "paused" in {one["reason"] for one in forecast.unsaid}
    assert len(looked) < 60  # what is paused asks every five minutes: that would be hundreds


def test_a_plan_goes_on_where_a_pause_ends(rich: Line) -> None:
    ends = rich.now + timedelta(hours=1)

    def stop(at_work: Clinic) -> None:
        with at_work.store.write() as connection:
            standings.pause(
                connection, at_work.store.clinic, "", reason="", until=ends,
                since=at_work.now, who="test",
            )  # fmt: skip

    rich.at_work(stop)

    said = foretell(rich, timedelta(hours=3)).messages

    assert {one["kind"] for one in said} >= {"change", "cancellation", "confirmation"}
    assert min(one["at"] for one in said) >= iso(ends)
