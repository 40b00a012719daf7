"""Rehearsal, going live in parts, pauses, and a live store that wakes somewhere else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from calendars.ics import Ics
from clinicrelay.contracts import Message, SendResult
from clinicrelay.times import parse_instant
from notifiers.outbox import Outbox
from sync import live, outward
from sync.clinic import Clinic
from sync.store import going_live, standings
from tests.line.conftest import ZONE, Line

PHONE = {1: "+4915155500001", 2: "+4915155500002"}


@pytest.fixture
def outside(line: Line, monkeypatch: pytest.MonkeyPatch) -> Line:
    """A clinic whose folders stand for the world: what arrives there has reached somebody."""
    monkeypatch.setattr(Outbox, "outside", True)
    monkeypatch.setattr(Ics, "outside", True)
    line.real_clock = True
    line.now = parse_instant("2026-11-20 08:00", ZONE)
    return line


def go(line: Line, part: str, doctor: str = "", *, when: str | None = None) -> None:
    """Take a part live at a moment."""
    if when is not None:
        line.now = parse_instant(when, ZONE)
    line.at_work(lambda at_work: live.go(at_work, part, doctor, who="it@desk.example"))


def pause(line: Line, scope: str, until: str | None = None) -> None:
    def stop(at_work: Clinic) -> None:
        ends = parse_instant(until, ZONE) if until else None
        with at_work.store.write() as connection:
            standings.pause(
                connection, line.id, scope, reason="", until=ends, since=line.now, who="it"
            )

    line.at_work(stop)


def resume(line: Line, scope: str | None = None) -> None:
    def go_on(at_work: Clinic) -> None:
        with at_work.store.write() as connection:
            standings.resume(connection, line.id, scope)
            going_live.open_again(connection, line.id)

    line.at_work(go_on)


def kinds(line: Line) -> list[tuple[str, str]]:
    return [(one.kind, one.to) for one in line.rehearsed()]


# --- rehearsal -----------------------------------------------------------------------------------


def test_in_rehearsal_nothing_leaves_and_everything_can_be_read(outside: Line) -> None:
    outside.after("2026-11-23 09:00")
    outside.book(1, "2026-12-01 10:00")
    assert outside.after() == []
    assert kinds(outside) == [("confirmation", "p1@mail.example")]
    assert outside.events() == []
    assert outside.query("SELECT state, reason FROM messages") == [("skipped", "rehearsal")]


def test_a_rehearsal_goes_on_as_the_real_thing_would(outside: Line) -> None:
    outside.after("2026-11-23 09:00")
    outside.book(1, "2026-12-01 10:00")
    outside.after()
    outside.change(1, start="2026-12-01 11:00")
    outside.after()
    outside.cancel(1)
    outside.after()
    assert [kind for kind, _ in kinds(outside)] == ["confirmation", "change", "cancellation"]
    assert outside.outbox() == []


def test_a_rehearsed_calendar_asks_for_nobody(outside: Line) -> None:
    outside.book(1)
    outside.drop()
    report = outside.sync()
    assert report.exit == 0
    assert report.calendars["files"].pending == 1
    assert report.calendars["files"].blocked == []


def test_whoever_is_named_is_really_reached_and_nobody_else(outside: Line) -> None:
    outside.set(safety={"only_recipients": ["p1@mail.example", "*@riverside.example"]})
    outside.after("2026-11-23 09:00")
    outside.book(1, "2026-12-01 10:00")
    outside.book(2, "2026-12-01 11:00")
    assert outside.after() == [("confirmation", "p1@mail.example")]
    assert kinds(outside) == [("confirmation", "p2@mail.example")]


def test_under_a_clock_set_by_hand_even_those_named_are_not_reached(outside: Line) -> None:
    outside.set(safety={"only_recipients": ["p1@mail.example"]})
    outside.real_clock = False
    outside.after("2026-11-23 09:00")
    outside.book(1, "2026-12-01 10:00")
    assert outside.after() == []
    assert kinds(outside) == [("confirmation", "p1@mail.example")]


def test_a_rehearsed_message_is_not_written_twice_after_a_kill(outside: Line) -> None:
    outside.after("2026-11-23 09:00")
    outside.book(1, "2026-12-01 10:00")
    outside.drop()

    def killed(at_work: Clinic) -> None:
        send = at_work.rehearsal.send

        def send_and_die(message: Message) -> SendResult:
            send(message)
            raise KeyboardInterrupt

        at_work.rehearsal.send = send_and_die  # type: ignore[method-assign]
        outside._sync(at_work, ())

    with pytest.raises(KeyboardInterrupt):
        outside.at_work(killed)
    outside.sync()
    assert kinds(outside) == [("confirmation", "p1@mail.example")]


# --- patients ------------------------------------------------------------------------------------


def test_what_fell_due_before_going_live_never_goes_out(outside: Line) -> None:
    outside.after("2026-11-23 09:00")
    outside.book(1, "2026-11-26 09:30")
    outside.book(2, "2026-11-24 10:00")
    outside.book(3, "2026-12-20 10:00")
    outside.after()
    go(outside, "patients", when="2026-11-23 12:00")
    assert outside.quietly() == []
    assert outside.after() == []


def test_a_step_that_passed_unseen_in_rehearsal_is_not_made_up_when_live(outside: Line) -> None:
    outside.book(1, "2026-11-26 10:00")
    outside.after("2026-11-20 09:00")
    go(outside, "patients", when="2026-11-23 12:00")  # the 3d step was due two hours ago
    assert outside.quietly() == []
    assert ("skipped", "rehearsal", "3d") in outside.query(
        "SELECT state, reason, step FROM messages WHERE kind = 'reminder'"
    )


def test_steps_that_come_after_going_live_are_said(outside: Line) -> None:
    outside.book(1, "2026-11-26 10:00")
    outside.after("2026-11-23 11:00")
    go(outside, "patients", when="2026-11-23 12:00")
    outside.sync("2026-11-24 12:00")
    assert outside.quietly("2026-11-25 10:01") == [("reminder", PHONE[1])]


def test_a_week_rehearsed_ahead_takes_no_reminder_away(outside: Line) -> None:
    outside.book(1, "2026-11-26 10:00")
    outside.after("2026-11-20 09:00")
    outside.real_clock = False
    for when in ("2026-11-23 10:01", "2026-11-25 10:01", "2026-11-26 09:01"):
        outside.sync(when)
    assert [to for _, to in kinds(outside)].count(PHONE[1]) == 3
    outside.real_clock = True
    go(outside, "patients", when="2026-11-23 09:00")
    assert outside.quietly() == []
    for when in ("2026-11-23 10:01", "2026-11-25 10:01", "2026-11-26 09:01"):
        assert [kind for kind, _ in outside.quietly(when)] == ["reminder"]


def test_a_visit_first_seen_under_a_clock_set_ahead_is_reminded_of_all_the_same(
    outside: Line,
) -> None:
    outside.after("2026-11-20 09:00")
    outside.real_clock = False
    outside.book(1, "2026-11-30 10:00")
    outside.after("2026-11-28 09:00")
    outside.real_clock = True
    go(outside, "patients", when="2026-11-21 09:00")
    outside.quietly("2026-11-21 09:10")
    assert outside.quietly("2026-11-27 10:01") == [("reminder", PHONE[1])]


def test_a_change_after_going_live_is_told_to_those_who_were_there_before(outside: Line) -> None:
    outside.book(1, "2026-12-01 10:00")
    outside.after("2026-11-23 09:00")
    go(outside, "patients")
    outside.change(1, start="2026-12-01 12:00")
    assert outside.after() == [("change", PHONE[1])]


def test_patients_of_one_doctor_can_go_first(outside: Line) -> None:
    outside.book(1, "2026-12-01 10:00")
    outside.book(2, "2026-12-01 11:00", doctor_id="braun", doctor_email="b@riverside.example")
    outside.after("2026-11-23 09:00")
    go(outside, "patients", "braun")
    for key in (1, 2):
        outside.change(key, start="2026-12-02 12:00")
    assert outside.after() == [("change", PHONE[2])]
    outside.change(2, start="2026-12-03 12:00")
    outside.drop()
    go(outside, "patients")
    assert outside.quietly() == [("change", PHONE[2])]


# --- doctors and calendars -----------------------------------------------------------------------


def test_a_digest_that_fell_due_in_rehearsal_is_not_made_up(outside: Line) -> None:
    outside.set(reminders={"doctor": {"digest": {"at": "18:00"}}})
    for day in range(24, 28):
        outside.book(day, f"2026-11-{day} 10:00")
    outside.after("2026-11-23 09:00")
    outside.real_clock = False
    outside.sync("2026-11-26 18:01")  # rehearsed three days ahead
    outside.real_clock = True
    go(outside, "doctors", when="2026-11-23 18:30")
    assert outside.quietly() == []
    assert outside.quietly("2026-11-24 18:01") == [("digest", "acar@riverside.example")]


def test_calendars_go_live_by_themselves(outside: Line) -> None:
    outside.book(1, "2026-12-01 10:00")
    outside.after("2026-11-23 09:00")
    go(outside, "calendars")
    outside.book(2, "2026-12-01 12:00")
    assert outside.after() == []
    assert len(outside.events()) == 2


def test_the_outlook_counts_what_would_leave_and_leaves_no_trace(outside: Line) -> None:
    outside.book(1, "2026-11-26 10:00")
    outside.book(2, "2026-11-27 10:00")
    outside.after("2026-11-23 11:00")
    before = outside.dump()
    found = outside.at_work(lambda at_work: live.outlook(at_work, "patients"))
    assert found.messages == {"reminder": 5}
    assert (found.people, found.sms) == (2, 5)
    assert outside.dump() == before
    assert outside.outbox() == []
    go(outside, "patients")
    told = [
        outside.quietly(f"2026-11-{day} {at}") for day in range(24, 28) for at in ("09:01", "10:01")
    ]
    assert sum(map(len, told)) == 5


# --- pauses --------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["", "patients", "outbox"])
def test_what_is_paused_waits_and_goes_out_once_it_is_resumed(line: Line, scope: str) -> None:
    line.after("2026-11-23 09:00")
    line.book(1, "2026-12-01 10:00")
    pause(line, scope)
    assert line.after() == []
    assert line.query("SELECT state, reason FROM messages") == [("planned", "paused")]
    resume(line)
    assert line.quietly(when="2026-11-23 09:06") == [("confirmation", "p1@mail.example")]


def test_a_pause_ends_by_itself(line: Line) -> None:
    line.after("2026-11-23 09:00")
    line.book(1, "2026-12-01 10:00")
    pause(line, "patients", until="2026-11-23 11:00")
    assert line.after() == []
    assert line.quietly("2026-11-23 11:05") == [("confirmation", "p1@mail.example")]


def test_what_became_untrue_during_a_pause_is_never_said(line: Line) -> None:
    line.after("2026-11-23 09:00")
    line.book(1, "2026-12-01 10:00")
    pause(line, "patients")
    line.after()
    line.cancel(1)
    line.after()
    resume(line)
    assert line.quietly() == []


def test_paused_calendars_are_written_once_they_are_resumed(line: Line) -> None:
    line.book(1, "2026-12-01 10:00")
    pause(line, "calendars")
    line.drop()
    report = line.sync("2026-11-23 09:00")
    assert report.mode == "paused"
    assert report.exit == 0
    assert line.events() == []
    resume(line, "calendars")
    line.sync()
    assert len(line.events()) == 1


def test_a_pause_stops_the_very_next_message(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    line.after("2026-11-23 09:00")
    for key in range(5):
        line.book(key, "2026-12-01 10:00")
    line.drop()
    send: Callable[[Outbox, Message], SendResult] = Outbox.send

    def send_and_stop(self: Outbox, message: Message) -> SendResult:
        pause(line, "patients")
        return send(self, message)

    monkeypatch.setattr(Outbox, "send", send_and_stop)
    line.sync()
    assert len(line.outbox()) == 1


# --- somewhere else ------------------------------------------------------------------------------


def test_a_copy_of_a_live_store_stops_and_asks(
    outside: Line, house: Callable[..., Line], tmp_path: Path
) -> None:
    file = tmp_path / "store.db"
    outside.store_url = f"sqlite:///{file}"
    outside.book(1, "2026-12-01 10:00")
    outside.after("2026-11-23 09:00")
    go(outside, "patients")
    outside.at_work(lambda at_work: at_work.store.engine.dispose())
    copied = tmp_path / "copy" / "store.db"
    copied.parent.mkdir()
    shutil.copy(file, copied)
    copy = house("riverside", store=f"sqlite:///{copied}")
    copy.now, copy.real_clock = outside.now, True

    assert outside.at_work(outward.not_to_be_worked_on) is None
    wrong = copy.at_work(outward.not_to_be_worked_on)
    assert wrong is not None
    assert wrong.code == "store_elsewhere"
    assert "clinicrelay live here" in wrong.fix
    copy.book(1, "2026-12-01 12:00")
    assert copy.after() == []  # even a run that asks nobody reaches nobody


def test_a_live_store_that_was_moved_for_good_goes_on(outside: Line) -> None:
    outside.after("2026-11-23 09:00")
    go(outside, "patients")

    def elsewhere(at_work: Clinic) -> None:
        with at_work.store.write() as connection:
            standings.move_here(connection, outside.id, '{"host": "old-desk", "file": 1}')

    outside.at_work(elsewhere)
    wrong = outside.at_work(outward.not_to_be_worked_on)
    assert wrong is not None
    assert "the machine old-desk" in wrong.message

    def here(at_work: Clinic) -> None:
        with at_work.store.write() as connection:
            standings.move_here(connection, outside.id, at_work.place)

    outside.at_work(here)
    assert outside.at_work(outward.not_to_be_worked_on) is None


def test_a_place_that_an_earlier_version_noted_is_completed_in_silence(outside: Line) -> None:
    outside.after("2026-11-23 09:00")
    go(outside, "patients")
    whole = outside.query("SELECT place FROM live")
    earlier = {n: v for n, v in json.loads(whole[0][0]).items() if n not in ("system", "born")}
    outside.at_work(lambda at_work: move(at_work, json.dumps(earlier)))
    assert outside.at_work(outward.not_to_be_worked_on) is None
    assert outside.query("SELECT place FROM live") == whole


def move(at_work: Clinic, place: str) -> None:
    with at_work.store.write() as connection:
        standings.move_here(connection, at_work.store.clinic, place)


# --- personal data in calendars ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("domain", "shown"), [("riverside.example", True), ("other.example", False)]
)
def test_a_calendar_of_a_domain_that_is_not_named_shows_nothing_personal(
    outside: Line, monkeypatch: pytest.MonkeyPatch, domain: str, shown: bool
) -> None:
    monkeypatch.setattr(Ics, "address_of", classmethod(lambda cls, who: who.email))
    full = {"detail": "full", "phi_acknowledged": True, "domains": [domain]}
    outside.set(calendars={"files": {"type": "ics", "event": full}})
    outside.book(1, "2026-12-01 10:00")
    outside.after("2026-11-23 09:00")
    go(outside, "calendars")
    outside.sync()
    [write] = outside.writes
    assert ("Pat 1" in write.title) is shown
