"""Going live by typing: checklist, numbers, the clinic's id; pauses; and what a live store refuses."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer

from calendars.ics import Ics
from clinicrelay.testing.kits import CANARY_EMAIL, CANARY_NAME, CANARY_PHONE
from clinicrelay.times import parse_instant
from commands._call import Call
from notifiers.outbox import Outbox

Row = Callable[..., dict[str, Any]]


@pytest.fixture
def outside(desk: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A desk whose folders stand for the world, and that may write at whatever hour this runs."""
    monkeypatch.setattr(Outbox, "outside", True)
    monkeypatch.setattr(Ics, "outside", True)
    desk.change("notifiers:", "channels: {consent: {sms: implied, email: implied}}\nnotifiers:")
    desk.write(desk.settings.read_text() + "quiet_hours: off\n")
    return desk


def days_ahead(days: int) -> dict[str, str]:
    """The date and time of a visit that many days from the real now."""
    start = datetime.now(UTC) + timedelta(days=days)
    return {"date": f"{start:%Y-%m-%d}", "time": "12:00"}


def drop(desk: Any, *rows: dict[str, Any]) -> Any:
    return desk.sync(*rows, now=None)


def sent(desk: Any) -> list[Path]:
    return sorted((desk.folder / "var" / "outbox").glob("*.*"))


def first_word(out: str) -> str:
    return out.split(" · ", maxsplit=1)[0]


# --- the checklist -------------------------------------------------------------------------------


def test_every_command_says_first_that_this_is_a_rehearsal(outside: Any, row: Row) -> None:
    assert first_word(drop(outside, row(1, **days_ahead(9))).out) == "REHEARSAL"
    for command in ("status", "plan", "appointments", "held list", "quarantine list"):
        assert first_word(outside.run(*command.split(), now=None).out) == "REHEARSAL", command


def test_without_the_typed_id_nothing_happens_and_it_is_said_what_would(
    outside: Any, row: Row
) -> None:
    drop(outside, row(1, **days_ahead(2)))
    ran = outside.run("live", "patients", now=None)
    assert ran.code == 3
    assert "clinicrelay live patients --confirm riverside" in ran.err
    assert "ok    reception read completely" in ran.out
    assert "open  outbox was never tried" in ran.out
    assert "open  no backup of the store" in ran.out
    assert "open  nobody is told when something goes wrong" in ran.out
    assert "messages to 1 patients: reminder" in ran.out
    assert first_word(outside.run("status", now=None).out) == "REHEARSAL"


@pytest.mark.parametrize("typed", ["lakeside", "RIVERSIDE", ""])
def test_another_id_takes_nothing_live(outside: Any, row: Row, typed: str) -> None:
    drop(outside, row(1, **days_ahead(2)))
    assert outside.run("live", "patients", "--confirm", typed, now=None).code == 3
    assert first_word(outside.run("status", now=None).out) == "REHEARSAL"


def test_what_was_never_read_cannot_go_live(outside: Any) -> None:
    ran = outside.run("live", "patients", "--confirm", "riverside", now=None)
    assert ran.code == 3
    assert "NO    reception was never read completely" in ran.out
    assert "Nothing was done: mend what is marked NO first." in ran.out


def test_what_was_read_under_a_clock_set_ahead_cannot_go_live(outside: Any, row: Row) -> None:
    drop(outside, row(1, **days_ahead(20)))
    ahead = f"{datetime.now(UTC) + timedelta(days=5):%Y-%m-%dT%H:%M:%SZ}"
    outside.sync(row(1, **days_ahead(20)), now=ahead)
    ran = outside.run("live", "patients", "--confirm", "riverside", now=None)
    assert ran.code == 3
    assert "clinicrelay sync, without --now" in ran.out


def test_consent_has_to_be_said_and_is_not_assumed(outside: Any, row: Row) -> None:
    outside.change("channels: {consent: {sms: implied, email: implied}}\n", "")
    drop(outside, row(1, **days_ahead(9)))
    ran = outside.run("live", "patients", "--confirm", "riverside", now=None)
    assert ran.code == 3
    assert "NO    nobody has said what allows the clinic to write to its patients" in ran.out
    assert outside.run("live", "calendars", "--confirm", "riverside", now=None).code == 0


def test_the_checklist_knows_what_was_tried_and_backed_up(outside: Any, row: Row) -> None:
    drop(outside, row(1, **days_ahead(9)))
    assert outside.run("try", "outbox", "--to", "me@desk.example", now=None).code == 0
    assert outside.run("store", "backup", str(outside.folder / "b.zip"), now=None).code == 0
    assert outside.run("try", "alerts", now=None).code == 2, "nobody is named yet"
    alerts = "monitoring: {alerts: {to: [it@desk.example], via: outbox}}\n"
    outside.write(outside.settings.read_text() + alerts)
    ran = outside.run("live", "patients", now=None)
    assert "open  alerts was never tried" in ran.out
    assert "clinicrelay try alerts" in ran.out
    assert outside.run("try", "alerts", now=None).code == 0
    (alert,) = (file for file in sent(outside) if "-alert-" in file.name)
    assert "Nothing is wrong: somebody tried." in alert.read_text()
    told = json.loads(outside.run("live", "patients", "--json", now=None).out)
    points = {point["what"].split(" ")[0]: point["ok"] for point in told["checklist"]}
    assert (points["outbox"], points["alerts"], points["backup"]) == (True, True, True)
    assert told["live"] is False


# --- going live ----------------------------------------------------------------------------------


@pytest.fixture
def live(outside: Any, row: Row) -> Any:
    """A desk that is live in all its parts, with one visit in nine days."""
    drop(outside, row(1, **days_ahead(9)))
    for part in ("calendars", "doctors", "patients"):
        ran = outside.run("live", part, "--confirm", "riverside", now=None)
        assert (ran.code, ran.err) == (0, "")
    return outside


def test_a_clinic_that_is_live_says_so_and_reaches_people(live: Any, row: Row) -> None:
    assert first_word(live.run("status", now=None).out) == "LIVE"
    ran = drop(live, row(1, **days_ahead(9)), row(2, **days_ahead(9)))
    assert first_word(ran.out) == "LIVE"
    assert [path.name.split("-")[1] for path in sent(live)] == ["confirmation"]
    assert json.loads(live.run("sync", "--json", now=None).out)["mode"] == "live"


def test_a_live_store_refuses_a_clock_set_by_hand_where_it_would_write(live: Any) -> None:
    for words in (
        *(("sync",), ("send",), ("held", "release", "h1"), ("held", "reject", "h1")),
        *(("pause", "--until", "2h"), ("resume",), ("rehearse",)),
        ("try", "outbox", "--to", "me@desk.example"),
    ):
        ran = live.run(*words, now="2027-01-01T08:00:00Z")
        assert ran.code == 2, words
        assert "the clinic is live: its time cannot be set by hand" in ran.err
    assert first_word(live.run("status", now=None).out) == "LIVE"
    for words in (("plan",), ("status",), ("appointments",)):
        assert live.run(*words, now="2027-01-01T08:00:00Z").code in (0, 3), words


def test_going_live_happens_on_the_real_clock_only(outside: Any) -> None:
    assert outside.run("live", "patients", "--confirm", "riverside").code == 2


def test_what_is_live_already_is_said_and_not_done_again(live: Any) -> None:
    ran = live.run("live", "patients", "--confirm", "riverside", now=None)
    assert ran.code == 0
    assert "The patients are live already, since" in ran.out


def test_rehearsal_is_gone_back_to_on_a_terminal_only_if_a_person_says_so(
    live: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Call, "on_terminal", property(lambda call: True))
    asked: list[str] = []

    def says(answer: bool) -> None:
        monkeypatch.setattr(typer, "confirm", lambda text: asked.append(text) or answer)

    says(False)
    ran = live.run("rehearse", now=None)
    assert (ran.code, len(asked)) == (0, 1)
    assert "clinicrelay pause" in ran.out
    assert first_word(live.run("status", now=None).out) == "LIVE"
    says(True)
    assert live.run("rehearse", now=None).code == 0
    assert first_word(live.run("status", now=None).out) == "REHEARSAL"
    assert live.run("rehearse", now=None).code == 0
    assert len(asked) == 2


def test_going_back_to_rehearsal_asks_nothing_where_it_is_told_not_to(
    live: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Call, "on_terminal", property(lambda call: True))
    assert live.run("rehearse", "--yes", now=None).code == 0
    assert first_word(live.run("status", now=None).out) == "REHEARSAL"


def test_back_to_rehearsal_nobody_is_reached(live: Any, row: Row) -> None:
    assert live.run("rehearse", now=None).code == 0
    ran = drop(live, row(1, **days_ahead(9)), row(3, **days_ahead(9)))
    assert first_word(ran.out) == "REHEARSAL"
    assert sent(live) == []


def test_a_copied_settings_file_is_not_live(live: Any, row: Row, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(live.settings, elsewhere)
    ran = live.run("status", "--settings", str(elsewhere / "settings.yaml"), now=None)
    # the last --settings counts: typed after ours
    copy = type(live)(elsewhere, live.capture)
    assert first_word(copy.run("status", now=None).out) == "REHEARSAL", ran


def test_a_copied_folder_stops_and_asks_until_a_person_decides(
    live: Any, row: Row, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "copy"
    shutil.copytree(live.folder, elsewhere, ignore=shutil.ignore_patterns("copy"))
    copy = type(live)(elsewhere, live.capture)
    ran = copy.sync(row(1, **days_ahead(9)), row(4, **days_ahead(9)), now=None)
    assert ran.code == 2
    assert "clinicrelay live here" in ran.err
    assert "clinicrelay rehearse" in ran.err
    assert first_word(copy.run("status", now=None).out) == "PAUSED (this store is live elsewhere)"

    ran = copy.run("try", "outbox", "--to", "me@desk.example", now=None)
    assert (ran.code, sent(copy)) == (2, [])
    assert copy.run("live", "here", "--confirm", "riverside").code == 2
    assert copy.run("live", "here", now=None).code == 3
    assert copy.run("live", "here", "--confirm", "riverside", now=None).code == 0
    assert first_word(copy.run("sync", now=None).out) == "LIVE"
    assert len(sent(copy)) == 1


def test_a_copy_can_be_kept_as_a_rehearsal(live: Any, row: Row, tmp_path: Path) -> None:
    elsewhere = tmp_path / "copy"
    shutil.copytree(live.folder, elsewhere, ignore=shutil.ignore_patterns("copy"))
    copy = type(live)(elsewhere, live.capture)
    assert copy.run("rehearse", now=None).code == 0
    ran = copy.sync(row(1, **days_ahead(9)), row(4, **days_ahead(9)), now=None)
    assert (ran.code, first_word(ran.out)) == (0, "REHEARSAL")
    assert sent(copy) == []


# --- put back ------------------------------------------------------------------------------------


@pytest.fixture
def put_back(live: Any, row: Row) -> Any:
    """A live desk whose store's file was put back with nothing but `cp`, after a message left."""
    store = live.folder / "var" / "clinicrelay.db"
    yesterday = live.folder / "yesterday.db"
    shutil.copyfile(store, yesterday)
    drop(live, row(1, **days_ahead(9)), row(2, **days_ahead(9)))
    assert len(sent(live)) == 1
    shutil.copyfile(yesterday, store)
    time.sleep(1 - time.time() % 1)  # a second in which it was read is not one of a day after
    return live


@pytest.mark.parametrize("first", ["sync", "send", "status", "why 1"])
def test_a_store_whose_file_was_put_back_sends_nothing_by_itself(
    put_back: Any, row: Row, first: str
) -> None:
    ran = put_back.run(*first.split(), now=None)
    assert "put back from a copy" in ran.err
    assert first_word(ran.out) == "PAUSED"
    for _ in range(3):
        ran = drop(put_back, row(1, **days_ahead(9)), row(2, **days_ahead(9)))
        assert (first_word(ran.out), ran.err) == ("PAUSED", "")
    assert len(sent(put_back)) == 1
    assert "everything paused: restored from a backup" in put_back.run("status", now=None).out


def test_a_store_that_was_put_back_goes_on_once_a_person_resumes_it(
    put_back: Any, row: Row
) -> None:
    put_back.run("sync", now=None)
    assert put_back.run("resume", now=None).code == 0
    ran = drop(put_back, row(1, **days_ahead(9)), row(3, **days_ahead(9)))
    assert (first_word(ran.out), ran.err) == ("LIVE", "")


def test_a_store_that_was_resumed_before_anybody_looked_at_it_stops_all_the_same(
    put_back: Any, row: Row
) -> None:
    put_back.run("resume", now=None)
    ran = drop(put_back, row(1, **days_ahead(9)), row(2, **days_ahead(9)))
    assert first_word(ran.out) == "PAUSED"
    assert len(sent(put_back)) == 1


def test_what_left_since_the_copy_is_told_in_numbers_and_does_not_leave_again(
    put_back: Any, row: Row
) -> None:
    told = put_back.run("status", now=None)
    assert "clinicrelay resume --plan" in told.err
    planned = put_back.run("resume", "--plan", now=None)
    assert "1 message may have been sent" in planned.out
    assert "1 were: their providers have them" in planned.out
    assert first_word(put_back.run("status", now=None).out) == "PAUSED"
    found = json.loads(put_back.run("resume", "--json", now=None).out)
    assert found["resumed"] == ["everything"]
    assert found["restored"] == {
        "asked": 1, "found": 1, "unproven": 0, "open": 0, "absent": 0, "unread": []
    }  # fmt: skip
    ran = drop(put_back, row(1, **days_ahead(9)), row(2, **days_ahead(9)), row(3, **days_ahead(9)))
    assert (first_word(ran.out), ran.err) == ("LIVE", "")
    assert len(sent(put_back)) == 2


def test_a_restore_over_a_live_store_is_reconciled_before_anything_leaves(
    live: Any, row: Row
) -> None:
    assert live.run("store", "backup", str(live.folder / "b.zip"), now=None).code == 0
    drop(live, row(1, **days_ahead(9)), row(2, **days_ahead(9)))
    before = sent(live)
    words = ("store", "restore", str(live.folder / "b.zip"), "--replace", "--confirm", "riverside")
    assert live.run(*words, now=None).code == 0
    assert live.run("sync", now=None).code == 0
    assert "1 were: their providers have them" in live.run("resume", now=None).out
    ran = drop(live, row(1, **days_ahead(9)), row(2, **days_ahead(9)), row(3, **days_ahead(9)))
    assert first_word(ran.out) == "LIVE"
    assert len(sent(live)) == len(before) + 1


@pytest.mark.parametrize("noted", [None, "", "1", "no number"])
def test_a_note_that_is_missing_old_or_damaged_stops_nothing(
    live: Any, row: Row, noted: str | None
) -> None:
    note = live.folder / "var" / "last-sent"
    assert note.exists()
    if noted is None:
        note.unlink()
    else:
        note.write_text(noted)
    ran = drop(live, row(1, **days_ahead(9)), row(2, **days_ahead(9)))
    assert (first_word(ran.out), ran.err) == ("LIVE", "")
    assert int(note.read_text()) > 1


def test_a_store_in_rehearsal_may_be_put_back_at_will(outside: Any, row: Row) -> None:
    drop(outside, row(1, **days_ahead(9)))
    (outside.folder / "var" / "last-sent").write_text("1000")
    ran = drop(outside, row(1, **days_ahead(9)), row(2, **days_ahead(9)))
    assert (first_word(ran.out), ran.err) == ("REHEARSAL", "")
    assert outside.run("live", "patients", "--confirm", "riverside", now=None).code == 0
    assert first_word(outside.run("status", now=None).out).startswith("LIVE")


# --- trying --------------------------------------------------------------------------------------


def test_a_message_is_tried_in_rehearsal_and_reaches_whom_was_named(outside: Any) -> None:
    ran = outside.run("try", "outbox", "--to", "0151 55500001", "--language", "fr", now=None)
    assert ran.code == 0
    assert "outbox took the sms." in ran.out
    [path] = sent(outside)
    assert "To: +4915155500001" in path.read_text()
    assert "rendez-vous" in path.read_text()
    assert json.loads(outside.run("status", "--json", now=None).out)["messages"]["sent_24h"] == 0


def test_nothing_is_tried_outside_under_a_clock_set_by_hand(outside: Any) -> None:
    ran = outside.run("try", "outbox", "--to", "me@desk.example")
    assert ran.code == 2
    assert sent(outside) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nobody", "--to", "me@desk.example"), "there are: outbox, files"),
        (("outbox",), "say to whom"),
        (("outbox", "--to", "12"), "neither a phone nor an e-mail"),
        (("files",), "say whose calendar"),
    ],
)
def test_what_cannot_be_tried_is_said(desk: Any, words: tuple[str, ...], said: str) -> None:
    ran = desk.run("try", *words, now=None)
    assert ran.code == 2
    assert said in " ".join(ran.err.split())


def test_whose_calendar_is_tried_must_be_known_once_there_are_visits(desk: Any, row: Row) -> None:
    drop(desk, row(1, **days_ahead(9)))
    ran = desk.run("try", "files", "--doctor", "acra", now=None)
    assert (ran.code, "no visit ahead is with 'acra'" in " ".join(ran.err.split())) == (2, True)
    assert desk.run("try", "files", "--doctor", "acar", now=None).code == 0


def test_a_calendar_is_tried_and_left_as_it_was(desk: Any) -> None:
    ran = desk.run("try", "files", "--doctor", "acar", now=None)
    assert ran.code == 0
    assert "Read back: it is there.\nRemoved." in ran.out
    assert "BEGIN:VEVENT" not in (desk.folder / "var" / "calendars" / "acar.ics").read_text()


# --- pausing -------------------------------------------------------------------------------------


def test_a_pause_is_the_first_word_until_it_is_lifted(live: Any, row: Row) -> None:
    assert live.run("pause", "patients", "--reason", "wrong texts", now=None).code == 0
    ran = drop(live, row(1, **days_ahead(9)), row(5, **days_ahead(9)))
    assert first_word(ran.out) == "PAUSED (patients)"
    assert sent(live) == []
    typo = live.run("resume", "patient", now=None)
    assert typo.code == 2
    assert "there is no 'patient'; there are: calendars, doctors, patients, " in typo.err
    told = json.loads(live.run("resume", "--json", now=None).out)
    assert told == {"resumed": ["patients"], "paused": []}
    live.run("sync", now=None)
    assert len(sent(live)) == 1


def test_what_waits_in_a_pause_is_counted_and_told_when_it_leaves(live: Any, row: Row) -> None:
    live.run("pause", now=None)
    drop(live, row(1, **days_ahead(9)), row(5, **days_ahead(9)))
    status = json.loads(live.run("status", "--json", now=None).out)
    assert status["messages"]["due"] == 1
    told = " ".join(live.run("why", "reception/5", now=None).out.split())
    assert "The confirmation leaves as soon as messages are resumed: clinicrelay resume." in told
    told = " ".join(live.run("why", "reception/1", now=None).out.split())
    assert "leaves as soon as messages are resumed" in told
    assert "waits, paused" in told


def test_a_reminder_that_comes_after_the_end_of_a_pause_is_not_told_to_wait(
    live: Any, row: Row
) -> None:
    live.run("pause", "--until", "2h", now=None)
    drop(live, row(1, **days_ahead(9)), row(5, **days_ahead(9)))
    told = " ".join(live.run("why", "reception/5", now=None).out.split())
    assert "The confirmation leaves after the pause ends" in told
    told = " ".join(live.run("why", "reception/1", now=None).out.split())
    assert "The next reminder (3d) leaves" in told
    assert "waits" not in told


@pytest.mark.parametrize(
    ("until", "last"),
    [
        ("2h", "2026-11-23T09:59:59Z"),
        ("2026-12-24", "2026-12-24T22:59:59Z"),  # with that day, on the clinic's clock
        ("2026-11-23", "2026-11-23T22:59:59Z"),
        ("2026-12-24T08:00", "2026-12-24T06:59:59Z"),
    ],
)
def test_a_pause_may_end_by_itself(desk: Any, until: str, last: str) -> None:
    desk.sync()
    assert desk.run("pause", "--until", until).code == 0
    assert first_word(desk.run("status").out) == "PAUSED"
    assert first_word(desk.run("status", now=last).out) == "PAUSED"
    after = f"{parse_instant(last, 'UTC') + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"
    assert first_word(desk.run("status", now=after).out) == "REHEARSAL"


@pytest.mark.parametrize(
    "until", ["2026-11-22", "2026-11-23T09:00", "2026-11-23T07:59Z", "0h", "tomorrow"]
)
def test_a_pause_that_would_be_over_is_refused_and_changes_nothing(desk: Any, until: str) -> None:
    desk.sync()
    assert desk.run("pause", "--reason", "wrong texts").code == 0
    ran = desk.run("pause", "--until", until)
    assert (ran.code, ran.out) == (2, "")
    told = " ".join(ran.err.replace("│", " ").split())
    assert ("is not ahead" in told) is (until != "tomorrow")
    assert "such as 2h" in told
    status = desk.run("status")
    assert first_word(status.out) == "PAUSED"
    assert "everything paused: wrong texts" in status.out


def test_a_pause_of_something_that_is_not_there_is_refused(desk: Any) -> None:
    desk.sync()
    ran = desk.run("pause", "twilio", now=None)
    assert ran.code == 2
    assert "patients, outbox, files" in " ".join(ran.err.split())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("contents: snapshot", "contents: everything"),
        ("sources:", "sources: [\n"),
        ("notifiers:", "notifiers: {a: b"),
        ("version: 1", "\tversion: 1"),
    ],
)
def test_a_pause_works_whatever_was_mistyped_in_the_settings(
    live: Any, row: Row, before: str, after: str
) -> None:
    whole = live.settings.read_text(encoding="utf-8")
    live.change(before, after)
    assert live.run("status", now=None).code == 2
    assert live.run("pause", now=None).code == 0
    live.write(whole)
    ran = drop(live, row(1, **days_ahead(9)), row(6, **days_ahead(9)))
    assert first_word(ran.out) == "PAUSED"
    assert sent(live) == []
    live.change(before, after)
    assert live.run("resume", now=None).code == 0


def test_settings_that_name_no_clinic_any_more_are_told_of(live: Any) -> None:
    live.write("version: 1\n")
    ran = live.run("pause", now=None)
    assert ran.code == 2
    assert "which clinic and which store" in ran.err


# --- privacy -------------------------------------------------------------------------------------


def test_no_patient_is_named_on_the_way(outside: Any, row: Row) -> None:
    drop(outside, row(1, **days_ahead(2)))
    said = [
        outside.run(*words.split(), now=None)
        for words in (
            "live patients",
            "live patients --json",
            "live patients --confirm riverside",
            "pause patients",
            "status",
            "resume",
            "rehearse",
        )
    ]
    text = "".join(one.out + one.err for one in said)
    assert not [canary for canary in (CANARY_NAME, CANARY_PHONE, CANARY_EMAIL) if canary in text]


def test_a_pause_without_an_end_asks_for_a_person_and_one_with_an_end_does_not(
    desk: Any, row: Row
) -> None:
    desk.sync(row(1))
    assert desk.run("status").code == 0
    desk.run("pause", "patients", "--until", "2h")
    assert desk.run("status").code == 0
    desk.run("pause", "patients", "--reason", "wrong texts")
    red = desk.run("status")
    assert red.code == 3
    assert "patients paused: wrong texts clinicrelay resume patients" in " ".join(red.out.split())


def test_check_says_first_how_the_clinic_stands(live: Any) -> None:
    assert live.run("check", now=None).out.startswith("LIVE · Riverside Family Clinic · ")


def test_a_doctor_whom_nobody_knows_takes_nothing_live(outside: Any, row: Row) -> None:
    drop(outside, row(1, **days_ahead(9)))
    ran = outside.run("live", "patients", "--doctor", "nobody", "--confirm", "riverside", now=None)
    assert ran.code == 2
    assert "no visit ahead is with 'nobody'" in " ".join(ran.err.split())
    assert outside.run("live", "patients", "--doctor", "acar", now=None).code == 3


def test_plan_on_a_copy_says_that_the_clinic_is_live_elsewhere(live: Any, tmp_path: Path) -> None:
    elsewhere = tmp_path / "copy"
    shutil.copytree(live.folder, elsewhere, ignore=shutil.ignore_patterns("copy"))
    copy = type(live)(elsewhere, live.capture)
    assert first_word(copy.run("plan", now=None).out) == "PAUSED (this store is live elsewhere)"
    copy.run("pause", now=None)
    assert "clinicrelay live here" in copy.run("resume", now=None).out


def test_a_store_that_vanished_is_red_until_a_person_says_what_is_so(desk: Any, row: Row) -> None:
    desk.change(
        "version: 1", "version: 1\nmonitoring: {alerts: {to: [it@riverside.example], via: outbox}}"
    )
    assert desk.sync(row(1)).code == 0
    for file in (desk.folder / "var").glob("clinicrelay.db*"):
        file.unlink()
    ran = desk.sync(row(1), row(2), now="2026-11-23T09:30:00Z")
    assert ran.code == 3
    assert "began anew" in ran.out
    ran = desk.run("status", now="2026-11-23T09:40:00Z")
    assert ran.code == 3
    assert "began anew beside the key of an older one" in ran.out
    assert "clinicrelay store restore FILE --replace" in ran.out
    alerts = [*(desk.folder / "var").rglob("*alert*")]
    assert len(alerts) == 1

    assert desk.run("rehearse", now=None).code == 0
    assert desk.run("status", now="2026-11-23T09:50:00Z").code == 0
    assert desk.sync(row(1), now="2026-11-23T09:55:00Z").code == 0


@pytest.mark.parametrize(
    ("data", "said"), [("[var", "too broken to say"), ("vra", "so nothing was paused")]
)
def test_a_pause_that_finds_no_store_does_not_say_that_nothing_can_be_sent(
    live: Any, data: str, said: str
) -> None:
    live.write(f"data: {data}\n" + live.settings.read_text())
    ran = live.run("pause", now=None)
    assert ran.code == 2
    assert said in " ".join(ran.err.split())
    assert "nothing can be sent" not in ran.err
