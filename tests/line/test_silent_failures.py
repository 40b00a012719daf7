"""What fails without an error is told once when it begins and once when it is over."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from calendars.ics import Ics
from clinicrelay.times import parse_instant
from sync.health import health
from sync.runners import jobs, once
from sync.runners.jobs import Job
from sync.store import standings
from tests.line.planted import typed

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from tests.line.conftest import Line

STEP = timedelta(minutes=5)
on_sqlite = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)


@pytest.fixture
def told(line: Line) -> Line:
    """A clinic that is told of what needs it; visits on two days, of doctors acar and braun."""
    line.set(
        monitoring={"alerts": {"to": ["it@riverside.example"], "via": "outbox"}},
        notifiers={"outbox": {"type": "outbox"}},
        channels={"order": ["sms"], "consent": {"sms": "implied"}, "sms": ["outbox"]},
        reminders={"patient": {"steps": ["1d"]}},
    )
    for key in range(6):
        day = "2026-11-24" if key < 3 else "2026-11-30"
        braun = {"doctor_id": "braun", "doctor_email": "braun@riverside.example"}
        line.book(key, f"{day} {10 + key}:00", **(braun if key % 2 else {}))
    line.drop()
    assert line.sync("2026-11-23 09:00").alerts == {}
    return line


def runs(line: Line, number: int, step: timedelta = STEP) -> list[tuple[str, str]]:
    """Run so often, and return the alerts that were told, in their order."""
    return [pair for _ in range(number) for pair in line.sync(step).alerts.items()]


def sends(line: Line, number: int, step: timedelta = timedelta(minutes=1)) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for _ in range(number):
        line.now += step
        found += line.at_work(once.send).alerts.items()
    return found


def needs(line: Line) -> str:
    return "\n".join(need.what for need in line.at_work(health).needs)


def mails(line: Line) -> list[str]:
    return [sent.text.splitlines()[0] for sent in line.outbox() if sent.kind == "alert"]


def once_and_over(name: str) -> list[tuple[str, str]]:
    return [(name, "opened"), (name, "resolved")]


# --- coverage ------------------------------------------------------------------------------------


def test_a_channel_that_is_switched_off_is_told_by_the_visits_of_which_nobody_is_reminded(
    told: Line,
) -> None:
    before = told.said["channels"]
    told.set(channels={**before, "sms": []})

    found = runs(told, 3)
    assert found == [("coverage", "opened")]
    assert "nobody sends by sms any more" in mails(told)[0]
    assert "3 of 3 visits tomorrow: nobody is reminded" in needs(told)

    told.set(channels=before)
    assert found + runs(told, 3) == once_and_over("coverage")
    assert len(mails(told)) == 2


def test_it_is_told_although_those_of_tomorrow_were_reminded_before(told: Line) -> None:
    told.quietly("2026-11-23 20:00")
    assert told.query("SELECT count(*) FROM messages WHERE step = '1d' AND state = 'sent'") == [
        (3,)
    ]
    before = told.said["channels"]
    told.set(channels={**before, "sms": []})
    assert runs(told, 2) == [("coverage", "opened")]
    assert "nobody sends by sms any more" in needs(told)
    told.set(channels=before)
    assert runs(told, 2) == [("coverage", "resolved")]


def test_who_has_only_the_channel_that_nobody_sends_on_any_more_waits_for_it(told: Line) -> None:
    """A notifier went missing from the settings; another one still sends to whoever has an e-mail."""
    both = {
        "order": ["sms", "email"],
        "consent": {"sms": "implied", "email": "implied"},
        "sms": ["outbox"],
        "email": ["outbox"],
    }
    told.set(channels=both, quiet_hours="off")
    for key in range(10, 14):
        told.book(key, f"2026-11-25 {key}:00", email="")
    told.book(14, "2026-11-25 14:00")
    told.drop()
    told.sync()
    told.set(channels={**both, "sms": []})
    said = told.outbox()

    assert told.sync("2026-11-24 08:00").alerts == {"coverage": "opened"}
    told.sync("2026-11-24 12:30")
    phones = {f"+49151555{key:05}" for key in range(10, 14)}
    assert phones.isdisjoint(to for _, to in told.said_since(said))
    told.sync("2026-11-24 14:10")
    assert ("reminder", "p14@mail.example") in told.said_since(said)
    assert "4 of 5 visits tomorrow: nobody is reminded" in needs(told)
    assert "nobody sends by sms any more" in needs(told)
    waiting = told.query("SELECT state, reason FROM messages WHERE recipient = 'patient/P10'")
    assert ("planned", "no_notifier") in waiting

    told.set(channels=both)
    assert told.sync("2026-11-24 18:00").alerts == {"coverage": "resolved"}
    reached = [to for kind, to in told.said_since(said) if kind == "reminder"]
    assert phones <= set(reached)
    assert len(reached) == len(set(reached))


@on_sqlite
def test_who_never_had_more_than_a_channel_that_is_not_in_use_is_no_alert(told: Line) -> None:
    """A clinic that sends e-mails only, and knows that some patients have none."""
    told.set(channels={"order": ["sms", "email"], "sms": [], "email": ["outbox"]})
    told.rewrite("DELETE FROM memory WHERE owner = 'sync/lacking'")  # as at the first look
    for key in range(10, 14):
        told.book(key, f"2026-11-25 {key}:00", email="")
    told.drop()
    found = {**told.sync().alerts, **told.sync("2026-11-24 09:00").alerts}
    found |= told.sync("2026-11-24 15:00").alerts
    assert "coverage" not in found
    assert told.query(
        "SELECT DISTINCT reason FROM messages WHERE step = '1d' AND state = 'skipped'"
    )


@on_sqlite
def test_a_week_end_without_visits_is_no_recovery_and_no_new_alert(told: Line) -> None:
    before = told.said["channels"]
    told.set(channels={**before, "sms": []})
    found = runs(told, 1)
    for day in (24, 25, 26, 27, 28, 29):  # the next visits are on Monday the 30th
        told.sync(f"2026-11-{day} 09:00")
        found += [("other", "x") for name in told.sync().alerts if name == "coverage"]
    assert found == [("coverage", "opened")]


@on_sqlite
def test_a_pause_is_told_as_nobody_is_reminded_meanwhile(told: Line) -> None:
    def stop(at_work: Clinic) -> None:
        with at_work.store.write() as connection:
            standings.pause(
                connection, at_work.store.clinic, "patients", reason="", until=None,
                since=at_work.now, who="test",
            )  # fmt: skip

    def resume(at_work: Clinic) -> None:
        with at_work.store.write() as connection:
            standings.resume(connection, at_work.store.clinic, "patients")

    told.at_work(stop)
    found = runs(told, 4)
    told.at_work(resume)
    assert found + runs(told, 4) == once_and_over("coverage")


@on_sqlite
def test_workers_look_for_silence_once_a_rhythm_and_cheaply_in_between(told: Line) -> None:
    before = told.said["channels"]
    told.set(channels={**before, "sms": []})

    def job(step: str) -> dict[str, str]:
        told.now += STEP
        return told.at_work(lambda at_work: jobs.do(at_work, Job(step))).report.alerts

    assert job("alert") == {}
    assert [job("stock"), job("alert"), job("stock")] == [{"coverage": "opened"}, {}, {}]
    told.set(channels=before)
    assert [job("alert"), job("stock")] == [{}, {"coverage": "resolved"}]


# --- a source that is taken out ------------------------------------------------------------------


def test_a_source_that_is_no_longer_named_is_told_while_it_has_visits_ahead(told: Line) -> None:
    sources = told.settings["sources"]
    told.set(sources={"other": {"type": "csv", "contents": "snapshot"}})
    found = runs(told, 3)
    assert found == [("removed/reception", "opened")]
    assert "reception is no longer in the settings, and has 6 visits ahead" in needs(told)

    told.set(sources=sources)
    assert found + runs(told, 3) == once_and_over("removed/reception")


@on_sqlite
def test_an_inbox_that_gets_no_file_any_more_is_told_and_no_night_is(told: Line) -> None:
    """A clinic that exports each hour from 8 to 18, with visits from 9 to 18."""
    for day in (23, 24, 25, 26, 27, 30):
        for hour in range(9, 18):
            told.book(100 * day + hour, f"2026-11-{day} {hour}:00")
    stale: list[tuple[str, str]] = []

    def hour(day: int, at: int, *, exported: bool) -> None:
        if exported:
            told.drop()
        alerts = told.sync(f"2026-11-{day} {at:02}:05").alerts
        stale.extend(pair for pair in alerts.items() if pair[0] == "source/reception")

    for day in (23, 24, 25, 26, 27, 28, 29):
        for at in range(10 if day == 23 else 0, 24):
            hour(day, at, exported=day < 28 and 8 <= at <= 18)
    assert stale == []
    for at in range(18):  # Monday: nobody exports
        hour(30, at, exported=False)
    assert stale == [("source/reception", "opened")]
    hour(30, 18, exported=True)
    assert stale == once_and_over("source/reception")


# --- a doctor without a calendar -----------------------------------------------------------------


@pytest.fixture
def by_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calendars that are known by the doctor's address, as most are."""
    monkeypatch.setattr(Ics, "address_of", classmethod(lambda _cls, who: who.email))


def test_a_doctor_who_loses_the_calendar_is_told_and_a_new_one_without_any(
    by_mail: None, told: Line
) -> None:
    told.book(7, "2026-11-26 11:00", doctor_id="room3", doctor_email="")
    told.drop()
    assert [name for name, _ in runs(told, 2)] == ["unlinked/files"]  # it came after the first look
    del told.rows["7"]
    told.drop()
    assert runs(told, 2) == [("unlinked/files", "resolved")]

    for key in ("1", "3", "5"):
        told.change(key, doctor_email="")
    told.drop()
    found = runs(told, 3)
    assert found == [("unlinked/files", "opened")]
    assert "reception/braun has no calendar in files, and 3 visits" in needs(told)

    for key in ("1", "3", "5"):
        told.change(key, doctor_email="braun@riverside.example")
    told.drop()
    assert found + runs(told, 3) == once_and_over("unlinked/files")


@on_sqlite
def test_who_had_no_calendar_at_the_first_look_is_how_the_clinic_began(
    by_mail: None, line: Line
) -> None:
    line.set(monitoring={"alerts": {"to": ["it@riverside.example"], "via": "outbox"}})
    line.book(1, "2026-11-26 11:00", doctor_id="room3", doctor_email="", language="fa")
    line.book(2, "2026-11-26 12:00")
    line.drop()
    assert runs(line, 3) == []
    assert line.at_work(health).healthy


# --- texts ---------------------------------------------------------------------------------------


@pytest.fixture
def texts(told: Line) -> Path:
    folder = told.folder / "templates"
    folder.mkdir()
    for name in ("reminder.sms.fa.j2", "reminder.sms.de.j2"):
        (folder / name).write_text("{{ clinic }}: {{ day }} {{ time }} {{ phone }}")
    told.set()
    told.change("4", language="fa")
    told.drop()
    assert runs(told, 2) == []
    return folder


@on_sqlite
def test_a_text_that_is_taken_away_is_told_and_a_language_without_any(
    told: Line, texts: Path
) -> None:
    text = texts / "reminder.sms.fa.j2"
    kept = text.read_text()
    text.unlink()
    found = runs(told, 3)
    assert found == [("texts/own", "opened")]
    assert "reminder.sms.fa.j2 is gone" in needs(told)
    *_, heading, still, end = typed(told, "sync").splitlines()
    assert heading == "Still open, and the reason why status is red"
    assert ("reminder.sms.fa.j2 is gone" in still, end) == (True, "Exit 0: done.")

    text.write_text(kept)
    assert found + runs(told, 2) == once_and_over("texts/own")
    assert "Still open" not in typed(told, "sync")


@on_sqlite
def test_a_language_without_texts_that_comes_later_is_told(told: Line) -> None:
    told.change("4", language="fa")
    told.drop()
    found = runs(told, 3)
    assert found == [("texts/language", "opened")]
    assert "read a language without texts: fa (1)" in needs(told)

    told.change("4", language="de")
    told.drop()
    assert found + runs(told, 3) == once_and_over("texts/language")


@on_sqlite
def test_a_text_that_somebody_breaks_is_told_before_it_is_needed(told: Line, texts: Path) -> None:
    text = texts / "reminder.sms.de.j2"
    kept = text.read_text()
    text.write_text("{{ clinic }: {{ dya }}")
    found = runs(told, 3)
    assert found == [("texts/own", "opened")]
    assert "reminder.sms.de.j2 cannot be filled in" in needs(told)

    text.write_text(kept + ".")
    assert found + runs(told, 2) == once_and_over("texts/own")


# --- what runs at all ----------------------------------------------------------------------------


@on_sqlite
def test_send_tells_that_no_sync_comes_any_more(told: Line) -> None:
    runs(told, 8)
    found = sends(told, 15)
    assert found == []  # three times five minutes
    found = sends(told, 30)
    assert found == [("schedule/sync", "opened")]
    assert "no sync has come to its end since Mon 23 Nov 09:40, though others run" in needs(told)
    assert found + runs(told, 1) + sends(told, 5) == once_and_over("schedule/sync")


@on_sqlite
def test_a_sync_that_stopped_is_one_alert_in_time_however_rarely_send_runs(told: Line) -> None:
    source = {"type": "csv", "contents": "snapshot", "stale_after": "45m"}
    told.set(sources={"reception": source})
    began = told.now
    for minutes in range(5, 185, 5):
        told.now = began + timedelta(minutes=minutes)
        if minutes % 15 == 0:
            told.sync(timedelta(0))
        elif minutes % 10 == 0:
            told.at_work(once.send)
    last = told.now
    found = sends(told, 6, timedelta(minutes=10))
    assert (found, told.now - last) == ([("schedule/sync", "opened")], timedelta(minutes=60))
    assert found + sends(told, 30, timedelta(minutes=10)) == found
    assert found + runs(told, 1) + sends(told, 5) == once_and_over("schedule/sync")


@on_sqlite
def test_the_first_run_after_a_gap_tells_it_and_a_night_is_none(told: Line) -> None:
    for hour in range(8, 18):  # visits of a whole Tuesday
        told.book(200 + hour, f"2026-11-24 {hour}:00")
    told.drop()
    runs(told, 20)
    told.now = parse_instant("2026-11-23 18:00", "Europe/Berlin")
    runs(told, 12)
    assert [name for name, _ in runs(told, 1, timedelta(hours=13, minutes=1))] == []  # 8:01
    runs(told, 10)
    assert "nothing has run" not in needs(told)
    told.now += timedelta(hours=5)
    assert "nothing has run since Tue 24 Nov 08:51" in needs(told)

    name = f"gap/{int(parse_instant('2026-11-24 08:51', 'Europe/Berlin').timestamp())}"
    found = [pair for pair in runs(told, 5) if pair[0] != "source/reception"]
    assert found == once_and_over(name)
    assert "nothing ran from Tue 24 Nov 08:51 to Tue 24 Nov 13:56; it runs again" in str(
        mails(told)
    )


@on_sqlite
def test_workers_tell_of_a_gap_although_one_of_them_read_something_first(told: Line) -> None:
    for hour in range(8, 18):
        told.book(200 + hour, f"2026-11-23 {hour}:00")
    told.drop()

    def job(step: str, of: str = "", after: timedelta = timedelta(0)) -> list[tuple[str, str]]:
        told.now += after
        done = told.at_work(lambda at_work: jobs.do(at_work, Job(step, of)))
        return [*done.report.alerts.items()]

    for _ in range(10):
        assert job("pull", "reception", STEP) + job("alert") == []
    name = f"gap/{int(told.now.timestamp())}"
    assert job("pull", "reception", timedelta(hours=4)) == []
    found = job("alert")
    assert found == [(name, "opened")]
    for _ in range(5):
        found += job("pull", "reception", STEP) + job("alert")
    assert [one for one in found if one[0].startswith("gap")] == once_and_over(name)


@on_sqlite
def test_a_source_that_is_away_for_six_hours_is_two_alerts(told: Line) -> None:
    inbox = told.folder / "drops" / "reception"
    runs(told, 3)
    moved = inbox.rename(inbox.with_name("away"))
    inbox.write_text("no folder any more")
    found = runs(told, 72)
    inbox.unlink()
    moved.rename(inbox)
    told.drop()
    found += runs(told, 3)
    counts = Counter(name for name, _ in found)
    assert counts["source/reception"] == 2, found
    assert found == once_and_over("source/reception")
