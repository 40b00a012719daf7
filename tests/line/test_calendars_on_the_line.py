"""Doctors' calendars that others change: what is seen there, what is written, what is told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from clinicrelay.contracts import EventResult, EventWrite, Outcome
from clinicrelay.settings.values import read_rate
from clinicrelay.testing.diary import Diary, Shown, World
from clinicrelay.times import local
from sync import agree
from sync.clinic import Clinic
from sync.explain import stories
from sync.foresee import foresee
from sync.health import health
from sync.report import RunReport
from sync.store import events
from tests.line.conftest import ZONE, Line

SHARED = EventResult("", Outcome.NOT_SENT, reason="not_shared", fix="Share it.", blocks=True)
STOPPED = EventResult(
    "",
    Outcome.NOT_SENT,
    reason="usage_limit",
    fix="Wait.",
    blocks=True,
    everywhere=True,
    retry_after=timedelta(hours=1),
)
KEEPING = {"deletes": "respect", "moves": "keep"}


@pytest.fixture
def clinic(house: Callable[..., Line], world: World) -> Line:
    """A clinic with one visit tomorrow week that stands in doctor acar's diary."""
    line = house(calendars={"diary": {"type": "diary"}})
    line.book(1, "2026-12-07 10:00")
    line.drop()
    line.sync()
    assert starts(world) == ["10:00"]
    world.calls.clear()
    return line


def ruled(line: Line, **rules: str) -> None:
    line.set(calendars={"diary": {"type": "diary", "if_doctor": rules}})
    line.sync()
    Diary.world.calls.clear()


def starts(world: World, doctor: str = "acar") -> list[str]:
    return [f"{local(one.start, ZONE):%H:%M}" for one in world.live(doctor)]


def states(line: Line) -> list[tuple[Any, ...]]:
    return line.query("SELECT calendar, state, reason FROM events")


def writes(world: World) -> list[tuple[str, str]]:
    """Return what was written since this was last asked, to which calendar."""
    found = [(what, calendar) for what, calendar, _ in world.calls if what != "look"]
    world.calls.clear()
    return found


def moved_on(line: Line, start: str) -> RunReport:
    line.change(1, start=start)
    line.drop()
    return line.sync()


# --- the doctor's hand ---------------------------------------------------------------------------


def test_a_run_with_nothing_new_looks_once_and_writes_nothing(clinic: Line, world: World) -> None:
    clinic.sync()
    world.calls.clear()
    before = clinic.query("SELECT cursor_json, state, since FROM calendars")
    for _ in range(3):
        clinic.sync()
    assert world.calls == [("look", "acar", "")] * 3
    assert clinic.query("SELECT cursor_json, state, since FROM calendars") == before


def test_what_a_doctor_deleted_stays_away_until_the_visit_gets_another_time(
    clinic: Line, world: World
) -> None:
    world.delete("acar")
    for _ in range(3):
        clinic.sync()
    clinic.change(1, location="Another house")
    clinic.drop()
    clinic.sync()
    assert starts(world) == []
    assert states(clinic) == [("diary:acar", "hidden", "hidden_by_doctor")]
    assert clinic.visits()["reception/1"]["status"] == "booked"
    assert writes(world) == []

    moved_on(clinic, "2026-12-07 11:00")
    assert starts(world) == ["11:00"]
    assert states(clinic) == [("diary:acar", "synced", "")]


def test_what_a_doctor_deleted_comes_back_at_once_where_settings_say_so(
    clinic: Line, world: World
) -> None:
    ruled(clinic, deletes="restore")
    world.delete("acar")
    clinic.sync()
    assert starts(world) == ["10:00"]


def test_settings_that_now_restore_bring_back_what_was_hidden(clinic: Line, world: World) -> None:
    world.delete("acar")
    clinic.sync()
    ruled(clinic, deletes="restore")
    assert starts(world) == ["10:00"]


def test_a_deletion_that_is_to_be_asked_about_needs_a_person(clinic: Line, world: World) -> None:
    ruled(clinic, deletes="ask")
    world.delete("acar")
    report = clinic.sync()
    assert starts(world) == []
    assert report.exit == 3
    assert [need.command for need in report.needs] == ["clinicrelay verify calendars"]


def test_what_a_doctor_moved_is_put_back_in_the_same_run_three_times_a_day(
    clinic: Line, world: World
) -> None:
    for _ in range(3):
        world.move("acar")
        assert clinic.sync().exit == 0
        assert starts(world) == ["10:00"]
    world.move("acar")
    report = clinic.sync()
    assert starts(world) == ["10:30"]
    assert states(clinic) == [("diary:acar", "held", "moved_too_often")]
    assert report.exit == 3
    writes(world)
    world.move("acar")
    clinic.sync("2026-11-25 09:00")
    assert writes(world) == []

    moved_on(clinic, "2026-12-07 12:00")
    assert starts(world) == ["12:00"]


def test_the_next_day_an_event_may_be_put_back_again(clinic: Line, world: World) -> None:
    for _ in range(3):
        world.move("acar")
        clinic.sync()
    world.move("acar")
    clinic.sync("2026-11-24 09:00")
    assert starts(world) == ["10:00"]


def test_a_moved_event_stays_where_it_is_until_the_visit_gets_another_time(
    clinic: Line, world: World
) -> None:
    ruled(clinic, **KEEPING)
    world.move("acar")
    clinic.sync()
    clinic.change(1, modality="video")
    clinic.drop()
    clinic.sync()
    (event,) = world.live("acar")
    assert (starts(world), event.title) == (["10:30"], "Videotermin")

    moved_on(clinic, "2026-12-07 12:00")
    assert starts(world) == ["12:00"]


def test_settings_that_now_revert_put_back_what_was_kept(clinic: Line, world: World) -> None:
    ruled(clinic, **KEEPING)
    world.move("acar")
    clinic.sync()
    ruled(clinic, deletes="respect", moves="revert")
    assert starts(world) == ["10:00"]


def test_a_text_that_a_doctor_wrote_is_left_alone(clinic: Line, world: World) -> None:
    world.retitle("acar", "Bring the X-ray")
    for _ in range(2):
        clinic.sync()
    assert [event.title for event in world.live("acar")] == ["Bring the X-ray"]
    assert writes(world) == []


def test_a_copy_is_left_alone(clinic: Line, world: World) -> None:
    world.copy("acar")
    clinic.sync()
    assert starts(world) == ["10:00"] * 2
    assert writes(world) == []


def test_an_event_that_vanished_without_a_trace_is_written_again(
    clinic: Line, world: World
) -> None:
    world.purge("acar")
    clinic.rewrite("UPDATE calendars SET cursor_json = NULL")
    clinic.sync()
    assert starts(world) == ["10:00"]


def test_a_doctors_hand_between_look_and_write_is_treated_by_the_same_rules(
    clinic: Line, world: World
) -> None:
    def deletes(calendar: str, write: EventWrite) -> None:
        world.meanwhile = lambda calendar, write: None
        world.delete(calendar)

    world.meanwhile = deletes
    clinic.change(1, modality="video")
    clinic.drop()
    clinic.sync()
    assert starts(world) == []
    assert states(clinic) == [("diary:acar", "hidden", "hidden_by_doctor")]

    world.meanwhile = lambda calendar, write: None
    moved_on(clinic, "2026-12-07 12:00")
    assert starts(world) == ["12:00"]


def test_a_doctor_who_edits_during_every_write_is_left_for_the_next_run(
    clinic: Line, world: World
) -> None:
    world.meanwhile = lambda calendar, write: world.retitle(calendar, str(world.etag))
    moved_on(clinic, "2026-12-07 11:00")
    assert len(writes(world)) == 4
    assert states(clinic) == [("diary:acar", "put", "edited_meanwhile")]

    world.meanwhile = lambda calendar, write: None
    clinic.sync()
    assert starts(world) == ["11:00"]


def test_what_a_doctor_does_to_events_long_past_is_nobodys_business(
    clinic: Line, world: World
) -> None:
    clinic.sync("2026-12-15 10:00")
    world.move("acar")
    clinic.sync()
    assert (starts(world), writes(world)) == (["10:30"], [])


# --- calendars that cannot be written ------------------------------------------------------------


def other_doctor(line: Line, key: int = 2) -> None:
    line.book(key, "2026-12-07 14:00", doctor_id="braun", doctor_email="braun@riverside.example")


def test_a_calendar_that_is_not_shared_stops_no_other_and_heals_at_once(
    clinic: Line, world: World
) -> None:
    world.troubles["acar"] = SHARED
    other_doctor(clinic)
    report = moved_on(clinic, "2026-12-07 11:00")
    assert (starts(world, "braun"), starts(world)) == (["14:00"], ["10:00"])
    assert report.json()["calendars"]["diary"]["blocked"] == [
        {"calendar": "acar", "reason": "not_shared", "fix": "Share it."}
    ]
    assert report.exit == 3
    assert writes(world) == [("put", "braun")]

    world.troubles.clear()
    assert clinic.sync(timedelta(seconds=1)).exit == 0
    assert starts(world) == ["11:00"]


def test_an_account_that_is_stopped_is_left_alone_till_its_time_and_told_in_one_line(
    clinic: Line, world: World
) -> None:
    other_doctor(clinic)
    clinic.drop()
    clinic.sync()
    world.troubles.update(acar=STOPPED, braun=STOPPED)
    world.calls.clear()
    clinic.change(2, start="2026-12-07 15:00")
    report = moved_on(clinic, "2026-12-07 11:00")
    asked = len(world.calls)
    assert 1 <= asked <= Diary.at_once
    assert [need.what for need in report.needs] == [
        "calendars diary usage_limit: 2 cannot be written"
    ]
    clinic.sync(timedelta(minutes=30))
    assert len(world.calls) == asked

    clinic.sync(timedelta(minutes=31))  # looked at again, and in vain: the wait doubles
    assert len(world.calls) > asked
    asked = len(world.calls)
    clinic.sync(timedelta(minutes=110))
    assert len(world.calls) == asked
    world.troubles.clear()
    assert clinic.sync(timedelta(minutes=11)).exit == 0
    assert (starts(world), starts(world, "braun")) == (["11:00"], ["15:00"])


def test_a_mistake_in_a_plugin_ends_one_calendar_and_is_reported(
    clinic: Line, world: World
) -> None:
    other_doctor(clinic)
    world.troubles["acar"] = ZeroDivisionError()
    report = moved_on(clinic, "2026-12-07 11:00")
    assert starts(world, "braun") == ["14:00"]
    assert (report.exit, [type(bug) for bug in report.bugs]) == (1, [ZeroDivisionError])
    world.troubles.clear()
    assert clinic.sync().exit == 0
    assert starts(world) == ["11:00"]


def test_an_event_refused_for_good_is_tried_once_and_set_aside_until_it_changes(
    clinic: Line, world: World
) -> None:
    clinic.book(2, "2026-12-07 14:00")
    clinic.book(3, "2026-12-07 15:00")
    world.refuses.add(world.live("acar")[0].start.replace(hour=13))
    clinic.drop()
    assert clinic.sync().exit == 3
    assert starts(world) == ["10:00", "15:00"]
    (aside,) = clinic.set_aside()
    assert (aside["kind"], aside["source"], aside["place"], aside["reason"]) == (
        "event",
        "diary",
        "reception/2",
        "bad_event",
    )
    writes(world)
    clinic.set(clinic={**clinic.settings["clinic"], "phone": "+4930555011"})  # wakes every visit
    clinic.sync()
    assert ("put", "acar") not in writes(world)

    clinic.change(2, start="2026-12-07 16:00")
    clinic.drop()
    assert clinic.sync().exit == 0
    assert starts(world) == ["10:00", "15:00", "16:00"]
    assert clinic.set_aside() == []


def test_what_was_refused_is_written_once_more_when_a_person_wants_that(
    clinic: Line, world: World
) -> None:
    start = world.live("acar")[0].start + timedelta(hours=1)
    world.refuses.add(start)
    moved_on(clinic, "2026-12-07 11:00")
    (aside,) = clinic.set_aside()
    world.refuses.clear()

    def retry(at_work: Clinic) -> None:
        with at_work.store.write() as connection:
            events.try_refused(connection, clinic.id, aside["source"], aside["place"])

    clinic.at_work(retry)
    clinic.sync()
    assert starts(world) == ["11:00"]


def test_an_unknown_end_is_tried_again_by_the_next_run_and_makes_no_second_event(
    clinic: Line, world: World
) -> None:
    """Only what fails again and again waits, longer each time."""
    world.faults += [EventResult("", Outcome.UNKNOWN, reason="no_answer")] * 3
    assert moved_on(clinic, "2026-12-07 11:00").calendars["diary"].pending == 1
    for _ in range(2):
        assert clinic.sync(timedelta(0)).calendars["diary"].pending == 1
    assert world.faults == []
    clinic.sync(timedelta(seconds=30))
    assert starts(world) == ["10:00"]
    clinic.sync(timedelta(seconds=30))
    assert starts(world) == ["11:00"]


def test_events_of_another_installation_are_asked_about_before_anything_is_written(
    house: Callable[..., Line], world: World
) -> None:
    line = house(calendars={"diary": {"type": "diary"}})
    line.book(1, "2026-12-07 10:00")
    line.drop()
    at = line.now
    world.calendars["acar"] = {"x": Shown("x", 1, at, at, "Termin", instance="theirs")}
    report = line.sync()
    assert (report.exit, writes(world)) == (3, [])
    assert "--adopt" in report.calendars["diary"].blocked[0].fix
    line.rewrite("""UPDATE calendars SET strangers = '["theirs"]'""")
    assert line.sync().exit == 0
    assert writes(world) == [("put", "acar")]


def test_a_visit_that_changes_waits_for_no_second_try_of_what_it_was(
    clinic: Line, world: World
) -> None:
    world.faults.append(EventResult("", Outcome.UNKNOWN, reason="no_answer"))
    moved_on(clinic, "2026-12-07 11:00")
    clinic.change(1, start="2026-12-07 12:00")
    clinic.drop()
    clinic.sync(timedelta(seconds=1))
    assert starts(world) == ["12:00"]


def test_what_a_calendar_plugin_counts_and_remembers_outlives_the_run(
    clinic: Line, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Diary, "limits", lambda options: {"user": read_rate("100/m")})

    def remembers(self: Diary) -> None:
        self.kit.memory["token"] = 7
        assert self.kit.pace.take("user/ab", 50) < timedelta.max

    look = Diary.seen
    monkeypatch.setattr(Diary, "seen", lambda self, *how: (remembers(self), look(self, *how))[1])
    clinic.sync()

    def next_run(at_work: Clinic) -> None:
        kit = at_work.calendar("diary").kit
        assert kit.memory == {"token": 7}
        assert kit.pace.take("user/ab", 50) > timedelta(seconds=30)

    clinic.at_work(next_run)


# --- order and reassignment ----------------------------------------------------------------------


def test_what_goes_is_written_first_and_then_the_nearest(clinic: Line, world: World) -> None:
    for key, start in ((2, "2026-12-20 10:00"), (3, "2026-12-12 10:00"), (4, "2026-12-11 10:00")):
        clinic.book(key, start)
    clinic.drop()
    clinic.sync()
    world.calls.clear()
    order: list[str] = []
    world.meanwhile = lambda calendar, write: order.append(
        f"{write.start:%d}" if write.start else "gone"
    )
    clinic.cancel(3)
    clinic.change(2, start="2026-12-21 10:00")
    clinic.change(4, start="2026-12-10 10:00")
    clinic.book(5, "2026-12-08 10:00")
    clinic.book(6, "2026-12-09 10:00")
    clinic.drop()
    clinic.sync()
    assert order == ["gone", "10", "21", "08", "09"]


def reassigned(line: Line, doctor: str) -> RunReport:
    line.change(1, doctor_id=doctor, doctor_email=f"{doctor}@riverside.example")
    line.drop()
    return line.sync()


def test_a_visit_changes_calendars_within_one_run(clinic: Line, world: World) -> None:
    for doctor, other in (("braun", "acar"), ("acar", "braun"), ("costa", "acar")):
        assert reassigned(clinic, doctor).exit == 0
        assert (starts(world, doctor), starts(world, other)) == (["10:00"], [])


def test_a_visit_stays_in_the_old_calendar_while_the_new_one_is_blocked(
    clinic: Line, world: World
) -> None:
    world.troubles["braun"] = SHARED
    assert reassigned(clinic, "braun").exit == 3
    assert starts(world) == ["10:00"]
    assert ("diary:acar", "remove", "waits_for_other") in states(clinic)

    world.troubles.clear()
    clinic.sync()
    assert (starts(world), starts(world, "braun")) == ([], ["10:00"])


def test_a_run_that_ended_between_put_and_removal_is_gone_on_with(
    clinic: Line, world: World
) -> None:
    def ends(calendar: str, write: EventWrite) -> None:
        if not write.put:
            raise RuntimeError

    world.meanwhile = ends
    assert reassigned(clinic, "braun").exit == 1
    assert (starts(world), starts(world, "braun")) == (["10:00"], ["10:00"])

    world.meanwhile = lambda calendar, write: None
    assert clinic.sync().exit == 0
    assert (starts(world), starts(world, "braun")) == ([], ["10:00"])


def test_no_page_of_what_is_pending_is_left_out(
    clinic: Line, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agree, "_AT_ONCE", 2)
    for key in range(2, 12):
        clinic.book(key, f"2026-12-{8 + key // 2:02} 10:00")
    clinic.drop()
    clinic.sync()
    assert starts(world) == ["10:00"] * 11
    for key in (2, 3, 4):
        clinic.change(key, start=f"2026-12-{8 + key // 2:02} 11:00")
    clinic.cancel(5)
    clinic.drop()
    clinic.sync()
    assert sorted(starts(world)) == [*["10:00"] * 7, *["11:00"] * 3]


def test_calendars_are_written_beside_each_other(clinic: Line, world: World) -> None:
    together = threading.Barrier(2, timeout=20)
    world.meanwhile = lambda calendar, write: together.wait() and None
    other_doctor(clinic)
    assert moved_on(clinic, "2026-12-07 11:00").exit == 0
    assert (starts(world), starts(world, "braun")) == (["11:00"], ["14:00"])


def test_messages_wait_for_no_calendar(clinic: Line, world: World) -> None:
    said: list[int] = []
    world.meanwhile = lambda calendar, write: said.append(len(clinic.outbox()))
    clinic.book(2, "2026-12-07 14:00")
    clinic.drop()
    before = len(clinic.outbox())
    clinic.sync()
    assert said == [before + 1]


def test_a_visit_that_was_cancelled_meanwhile_waits_for_no_other_calendar(
    clinic: Line, world: World
) -> None:
    world.troubles["braun"] = SHARED
    reassigned(clinic, "braun")
    clinic.cancel(1)
    clinic.drop()
    clinic.sync()
    assert starts(world) == []


# --- telling -------------------------------------------------------------------------------------


def test_status_and_why_tell_what_a_doctor_did(clinic: Line, world: World) -> None:
    other_doctor(clinic)
    clinic.drop()
    clinic.sync()
    world.move("acar")
    world.delete("braun")
    clinic.sync("2026-11-23 14:10")
    found = clinic.at_work(health).json()["calendars"]["diary"]
    assert (found["hidden"], found["put_back"], found["held"], found["asked"]) == (1, 1, 0, 0)
    (one, _) = found["calendars"]
    assert (one["last_success"], one["queue"], one["lag"]) == ("2026-11-23T13:10:00Z", 0, None)

    told = clinic.at_work(lambda at_work: stories(at_work, [1]))[0].history
    assert "event moved by the doctor, put back" in [line.what for line in told]


# --- plan ----------------------------------------------------------------------------------------


def test_a_plan_asks_no_calendar(clinic: Line, world: World) -> None:
    clinic.book(2, "2026-12-08 10:00")
    clinic.drop()
    until = clinic.now + timedelta(hours=1)
    forecast = clinic.at_work(lambda at_work: foresee(at_work, until=until), scratch=True)
    assert [one["op"] for one in forecast.calendars] == ["put"]
    assert world.calls == []
