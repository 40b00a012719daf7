"""The whole line into Google's calendars, against a Google of our own over real sockets.

Each requirement of a Google calendar is tested here or where this says:

- CAL-01 CAL-02 CAL-06 CAL-21..23 CAL-29 CAL-32 CAL-33 CAL-36 CAL-38 CAL-40 CAL-41 CAL-44: here;
  CAL-07 CAL-08 CAL-09 CAL-11 CAL-17 CAL-18 CAL-28: `test_doctors_and_google.py` beside this. Docstrings
  name them; nearly all of them are tested at the wire too.
- CAL-24: `test_links_that_vanish.py` beside this.
- CAL-05 CAL-10 CAL-14 CAL-16: `tests/calendars/test_google_answers.py`.
- CAL-03 CAL-25 CAL-26: `tests/calendars/test_google_lost_answers.py`.
- CAL-13 CAL-19 CAL-20 CAL-27: `tests/calendars/test_google_accounts.py`.
- CAL-30 CAL-31 CAL-37: `tests/calendars/test_google_events.py`.
- CAL-04 CAL-39: `tests/crash/test_killed_while_writing_to_google.py`.
- CAL-12 CAL-15: what is let through in any minute is tested in `tests/sync/test_pacing_sliding.py`;
  that and CAL-34 CAL-35, which are about speed, are measured in `bench`.
- CAL-42, CAL-43: with the commands and the status they are about.

The store's side is the same for every calendar, and is tested on every database with one in memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import create_engine, text

from sync import verifying
from sync.foresee import foresee
from sync.searching import search
from tests.line import test_canaries as canaries
from tests.line.conftest import export
from tests.line.google.conftest import ACAR, ROBOT, Doctors, address, settings_for

# --- what is pushed ------------------------------------------------------------------------------

ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "America/St_Johns",
]


@pytest.mark.parametrize("zone", ZONES)
def test_every_visit_stands_at_its_instant_in_its_doctors_calendar(
    doctors: Doctors, zone: str
) -> None:
    """CAL-01, CAL-33: through the weeks in which clocks change."""
    doctors.line.set(clinic={**doctors.line.settings["clinic"], "timezone": zone})
    expected: dict[str, set[datetime]] = {"acar": set(), "braun": set()}
    for n, day in enumerate(datetime(2027, 3, 8, 7) + timedelta(days=d) for d in range(35)):
        doctor, local = ("acar", "braun")[n % 2], day + timedelta(minutes=25 * n)
        doctors.book(n, f"{local:%Y-%m-%d %H:%M}", doctor)
        expected[doctor].add(local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC))
    assert doctors.drop("2027-02-01 09:00").written == 35
    for doctor, instants in expected.items():
        events = doctors.events(doctor)
        found = [datetime.fromisoformat(one["start"]["dateTime"]).astimezone(UTC) for one in events]
        assert (set(found), len(found)) == (instants, len(instants))
        assert {(one["visibility"], one["transparency"]) for one in events} == {
            ("private", "opaque")
        }


def test_a_run_with_nothing_new_writes_nothing_and_looks_once_at_each_calendar(
    doctors: Doctors,
) -> None:
    """CAL-02."""
    doctors.book_many(60, ["acar", "braun"])
    doctors.drop()
    doctors.run()
    before = [doctors.peer.dump(address(one)) for one in ("acar", "braun")]
    for _ in range(10):
        doctors.peer.forget_calls()
        doctors.drop()
        asked = [call.operation for call in doctors.peer.calls() if call.operation != "token"]
        assert asked == ["list"] * 2
    assert [doctors.peer.dump(address(one)) for one in ("acar", "braun")] == before


@pytest.mark.parametrize("case", ["may rise", "may not rise", "was purged"])
def test_a_visit_that_is_cancelled_and_booked_again_is_there_again(one: Doctors, case: str) -> None:
    """CAL-06: and nobody takes what we removed ourselves for a doctor's hand."""
    one.peer.switch(undelete=case != "may not rise")
    for _ in range(2):
        one.line.cancel(1)
        one.drop()
        assert one.starts() == []
        if case == "was purged":
            one.peer.purge(ACAR)
        one.line.change(1, status="scheduled")
        one.drop()
        assert one.starts() == ["10:00"]
    assert one.states() == [("synced", "")]
    assert one.line.query("SELECT touched_at FROM events") == [(None,)]


@pytest.mark.parametrize(
    ("case", "failing"),
    [
        ("cancelled", "close_after"),
        ("another doctor's", "reset_after"),
        ("killed", "close_before"),
    ],
)
def test_a_removal_that_may_have_been_done_is_no_doctors_deletion(
    one: Doctors, case: str, failing: str
) -> None:
    """The visit is on again before anybody knows what became of the removal."""
    before = {"doctor_id": "acar", "doctor_email": ACAR, "status": "scheduled"}
    one.peer.fault(failing, "delete")
    if case == "another doctor's":
        one.line.change(1, doctor_id="braun", doctor_email=address("braun"))
    else:
        one.line.cancel(1)
    one.drop()
    one.peer.heal()
    if case == "killed":  # nobody lived to write the failure down
        one.behind_our_back("UPDATE events SET tries = 0, next_try_at = NULL, reason = ''")
    one.line.change(1, **before)
    one.drop()
    one.run()
    assert (one.starts(), one.starts("braun")) == (["10:00"], [])
    assert one.line.query("SELECT touched_at FROM events WHERE state = 'synced'") == [(None,)]
    one.peer.doctor(ACAR).delete(one.events()[0]["id"])
    for _ in range(2):
        one.run()
        assert one.starts() == []  # that was the doctor


@pytest.mark.parametrize("killed", [False, True])
def test_a_move_that_may_have_been_done_is_undone(one: Doctors, killed: bool) -> None:
    """The visit is back at its old time before anybody knows what became of the move."""
    one.peer.fault("close_after", "patch")
    one.line.change(1, start="2026-12-07 11:30")
    one.drop()
    one.peer.heal()
    assert one.starts() == ["11:30"]
    if killed:
        one.behind_our_back("UPDATE events SET tries = 0, next_try_at = NULL, reason = ''")
    one.line.change(1, start="2026-12-07 10:00")
    one.drop()
    assert one.starts() == ["10:00"]
    one.peer.forget_calls()
    one.run()
    assert (one.written(), one.states()) == ([], [("synced", "")])


@pytest.mark.parametrize("case", ["cancelled", "moved", "booked again"])
def test_what_another_run_wants_while_an_event_is_written_is_not_forgotten(
    one: Doctors, case: str
) -> None:
    """Runs that overlap: the second one reads the source while the first one waits for Google."""

    def meanwhile() -> None:
        if case == "cancelled":
            one.line.cancel(1)
        elif case == "moved":
            one.line.change(1, start="2026-12-07 11:30")
        else:
            one.line.change(1, status="scheduled")
        one.drop()

    if case == "booked again":
        one.line.cancel(1)
    else:
        one.line.change(1, location="Seeblick")
    write = one.peer.fault("call", "delete" if case == "booked again" else "patch", call=meanwhile)
    write.limit = 1
    one.drop()
    assert write.fired == 1
    one.run()
    expected = {"cancelled": [], "moved": ["11:30"], "booked again": ["10:00"]}
    assert one.starts() == expected[case]
    one.peer.forget_calls()
    one.run()
    assert one.written() == []


def test_the_past_stays_as_it_was_and_nothing_of_it_is_removed(one: Doctors) -> None:
    """CAL-36."""
    one.run("2026-12-20 09:00")
    one.line.rows.clear()
    one.book(2, "2026-12-28 10:00")
    one.drop("2027-01-04 09:00")
    one.run("2027-03-01 09:00")
    assert "delete" not in [operation for operation, _ in one.written()]
    assert len(one.events()) == 2


def test_a_plan_asks_google_for_nothing(doctors: Doctors) -> None:
    """CAL-41."""
    doctors.book_many(5)
    doctors.line.drop()
    until = doctors.line.now + timedelta(days=60)
    found = doctors.line.at_work(lambda at_work: foresee(at_work, until=until), scratch=True)
    assert len(found.calendars) == 5
    assert doctors.peer.calls() == []


# --- lists ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("death", ["killed", "a week", "access", "purge"])
def test_a_dead_token_is_found_out_in_the_same_run_and_writes_nothing_needless(
    doctors: Doctors, death: str
) -> None:
    """CAL-21."""
    doctors.book_many(30)
    doctors.drop()
    doctors.run()
    doctors.peer.doctor(ACAR).move(doctors.events()[3]["id"], minutes=5)
    deaths: dict[str, Callable[[], None]] = {
        "killed": lambda: doctors.peer.kill_sync_tokens(ACAR),
        "a week": lambda: doctors.peer.advance(8 * 86_400),
        "access": lambda: doctors.peer.share(ACAR, "nurse@riverside.example", "reader"),
        "purge": lambda: doctors.peer.purge(ACAR),
    }
    before = doctors.starts()
    deaths[death]()
    doctors.peer.forget_calls()
    doctors.run()
    assert doctors.written() == [("patch", 200)]
    assert doctors.starts() != before
    doctors.run()
    assert doctors.written() == []


def test_short_pages_hide_nothing(doctors: Doctors) -> None:
    """CAL-22."""
    doctors.peer.switch(page_cap=7)
    doctors.book_many(100)
    doctors.drop()
    doctors.peer.kill_sync_tokens(ACAR)
    for n in (5, 50, 95):
        doctors.peer.doctor(ACAR).delete(doctors.events()[n]["id"])
    doctors.peer.forget_calls()
    doctors.run()
    assert doctors.states().count(("hidden", "hidden_by_doctor")) == 3
    assert doctors.written() == []


def test_a_list_that_lies_adds_and_removes_nothing(doctors: Doctors) -> None:
    """CAL-23."""
    doctors.book_many(30)
    doctors.drop()
    before = doctors.peer.dump(ACAR)
    doctors.peer.fault("empty_list", "list")
    for kill in (False, True):
        if kill:
            doctors.peer.kill_sync_tokens(ACAR)
        doctors.peer.forget_calls()
        doctors.drop()
        assert doctors.written() == []
    assert doctors.peer.dump(ACAR) == before


@pytest.mark.parametrize("left", [0, 20])
def test_a_source_that_lost_its_visits_removes_no_event_until_a_person_says_so(
    doctors: Doctors, left: int
) -> None:
    """CAL-24."""
    doctors.book_many(40)
    doctors.drop()
    doctors.peer.forget_calls()
    content = export(list(doctors.line.rows.values())[:left])
    for _ in range(3):
        doctors.line.drop(content)
        assert doctors.line.sync().exit == 4
    assert doctors.written() == []
    assert len(doctors.events()) == 40


# --- refused, lost, somebody else's --------------------------------------------------------------


def test_a_visit_that_google_refuses_is_tried_once_and_listed(doctors: Doctors) -> None:
    """CAL-38: once, and once without the name of its zone."""
    doctors.book_many(49)
    doctors.book(1, "2026-12-01 08:00")  # the first to be written
    for nth in (1, 51):
        doctors.peer.fault("status", "insert", status=400, reason="invalid", nth=nth)
    run = doctors.drop()
    assert (run.written, run.set_aside) == (49, 1)
    (aside,) = doctors.line.set_aside()
    assert (aside["kind"], aside["source_key"]) == ("event", "1")
    assert aside["reason"] == "provider_rejected(invalid)"
    doctors.peer.forget_calls()
    for _ in range(3):
        doctors.drop()
    assert doctors.written() == []
    doctors.line.change(1, start="2026-12-01 09:00")
    assert doctors.drop().set_aside == 0
    assert (len(doctors.events()), doctors.line.set_aside()) == (50, [])


def test_a_store_that_was_lost_and_made_anew_adopts_every_event(doctors: Doctors) -> None:
    """CAL-40: with the same instance key."""
    doctors.book_many(60, ["acar", "braun"])
    doctors.drop()
    forget_everything(doctors)
    doctors.peer.forget_calls()
    run = doctors.drop()
    assert doctors.written() == []
    assert (run.pending, len(doctors.events()), len(doctors.events("braun"))) == (0, 30, 30)
    doctors.line.change(100, start="2026-12-07 18:00")
    doctors.drop()
    assert doctors.written() == [("patch", 200)]


def test_with_another_key_nothing_is_written_till_a_person_says_whose_events_they_are(
    doctors: Doctors,
) -> None:
    """CAL-44."""
    doctors.book_many(20)
    doctors.drop()
    forget_everything(doctors)
    doctors.line.at_work(lambda at_work: None)
    engine = create_engine(doctors.line.loaded.settings.store_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE clinics SET instance_key = :key"), {"key": b"another" * 4})
    engine.dispose()
    doctors.peer.forget_calls()
    report = doctors.line.sync()
    assert (report.exit, doctors.written()) == (3, [])
    (blocked,) = report.calendars["google"].blocked
    assert blocked.reason == "other_instance"
    assert "--adopt" in blocked.fix
    doctors.line.at_work(lambda at_work: verifying.settle_strangers(at_work, "adopt"))
    doctors.run()
    assert (len(doctors.events()), {state for state, _ in doctors.states()}) == (20, {"synced"})


def forget_everything(doctors: Doctors) -> None:
    """Lose the store, and everything it knew; reception exports once more."""
    Path(doctors.line.store_url.removeprefix("sqlite:///")).unlink()
    doctors.line._read = 0
    doctors.line._engine = None
    doctors.line.drop()


# --- patients (CAL-32) ---------------------------------------------------------------------------


def test_no_patient_is_in_what_google_is_asked_nor_in_what_is_kept_of_it(doctors: Doctors) -> None:
    """CAL-32: with refusals, troubles and doctors' hands, at the default level of detail."""
    line, peer = doctors.line, doctors.peer
    for n in range(30):
        start = f"2026-12-{7 + n % 10:02} {8 + n % 9:02}:00"
        line.book(n, start, **canaries.planted_in(n), service="CANARYREASON")
    peer.fault("status", "insert", status=400, reason="invalid", message="CANARYNOTE", nth=3)
    peer.fault("status", "insert", status=503, reason="canaryReason", message="CANARYNOTE", nth=9)
    line.drop()
    report = line.sync()
    peer.doctor(ACAR).edit(doctors.events()[0]["id"], description="CANARYNOTE called")
    peer.doctor(ACAR).move(doctors.events()[1]["id"], minutes=5)
    peer.doctor(ACAR).delete(doctors.events()[2]["id"])
    line.cancel(7)
    line.change(8, doctor_id="braun", doctor_email=address("braun"))
    peer.share(address("braun"), ROBOT, None)
    doctors.drop()
    peer.fault("html", status=403, limit=2)
    doctors.drop()
    asked = [f"{call.query} {call.body} {call.event} {call.quota_user}" for call in peer.calls()]
    assert len(asked) > 40
    assert canaries.is_found(" ".join(asked).replace("CANARYNOTE called", "")) == []
    log = (line.data / "log" / "clinicrelay.jsonl").read_text()
    assert canaries.is_found(log + json.dumps(report.json())) == []
    kept = line.query("SELECT reason, detail, memo, ref, hands FROM events")
    kept += line.query("SELECT reason, fix, cursor_json FROM calendars")
    kept += line.query("SELECT reason, detail, place, field FROM quarantine")
    kept += line.query("SELECT * FROM memory") + line.query("SELECT report FROM runs")
    assert canaries.is_found(repr(kept)) == []


def test_a_wider_window_shows_the_past_that_it_now_covers(doctors: Doctors) -> None:
    """CAL-36: and events leave the window as they are."""
    doctors.book(1, "2026-11-24 10:00")
    doctors.line.drop()
    doctors.line.set(calendars=settings_for(doctors.peer, window={"past": "1d"}))
    doctors.run("2026-11-30 09:00")
    assert doctors.starts() == []
    doctors.line.set(calendars=settings_for(doctors.peer, window={"past": "14d"}))
    doctors.run("2026-11-30 09:05")
    assert doctors.starts() == ["10:00"]


def test_an_event_that_a_doctor_deleted_stays_away_also_after_the_store_was_lost(
    doctors: Doctors,
) -> None:
    """CAL-07, CAL-40: the very visit that was deleted; another time is another matter."""
    doctors.book(1, "2026-12-07 10:00")
    doctors.book(2, "2026-12-07 11:00")
    doctors.drop()
    for event in doctors.events():
        doctors.peer.doctor(ACAR).delete(event["id"])
    doctors.line.change(2, start="2026-12-07 12:00")
    forget_everything(doctors)
    doctors.run()
    assert doctors.starts() == ["12:00"]


def test_why_finds_a_visit_by_what_google_calls_its_event(one: Doctors) -> None:
    one.book(2, "2026-12-08 11:00")
    one.drop()
    for event in one.events():
        found = {
            tuple(one.line.at_work(partial(search, reference=called)))
            for called in (event["id"], f"{event['id']}@google.com")
        }
        assert len(found) == 1
        ((visit,),) = found
        ((key,),) = one.line.query(f"SELECT source_key FROM appointments WHERE id = {visit}")
        assert event["start"]["dateTime"].startswith("2026-12-08") == (key == "2")
