"""The clinic's own people hear of what needs them, once, and once more when it is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.testing import Fault
from clinicrelay.times import parse_instant
from commands._shown import run_lines
from commands.pause import pause
from commands.why import _why as why
from notifiers.sendgrid import Sendgrid
from sync.health import health
from tests.notifiers.peers import PROVIDERS, Peer, Provider, Taken

if TYPE_CHECKING:
    from tests.line.conftest import Line

MINUTE = timedelta(minutes=1)
ON_SQLITE = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
IT = "it@riverside.example"
SMS, EMAIL, SPARE = PROVIDERS


@pytest.fixture
def peers(line: Line) -> Iterator[Callable[..., list[Peer]]]:
    """Let the clinic send by providers; the IT is told of what is wrong by the second of them."""
    made: list[Peer] = []

    def served(*providers: Provider, **said: Any) -> list[Peer]:
        made.extend(Peer(one) for one in providers)
        notifiers = {
            one.provider.name: {**one.provider.options, "base_url": one.door(), "timeout": "1s"}
            for one in made
        }
        monitoring = {"alerts": {"to": [IT], "via": providers[1].name}}
        line.set(notifiers=notifiers, calendars={}, monitoring=monitoring, **said)
        return made

    yield served
    for peer in made:
        peer.close()


def minutes(line: Line, peers: list[Peer], count: int) -> None:
    """Let a run pass each minute."""
    for _ in range(count):
        line.now += MINUTE
        for peer in peers:
            peer.now = line.now
        line.sync(timedelta(0))


def heard(peer: Peer) -> list[Taken]:
    """Return what the IT got."""
    return [one for one in peer.taken if one.to == IT]


def alerts(peer: Peer) -> list[str]:
    """Return its subjects, without the clinic's name."""
    subjects = (str(one.said["subject"]) for one in heard(peer))
    return [subject.removeprefix("Riverside Family Clinic: ") for subject in subjects]


def imported(line: Line, count: int) -> None:
    for number in range(1, count + 1):
        line.book(number, "2026-11-24 12:00", email="")
    line.drop()
    line.sync("2026-11-23 11:59")


REMINDED = {"reminders": {"patient": {"steps": ["1d"]}}, "channels": {"order": ["sms", "email"]}}
LOCKED_OUT = "twilio sends nothing: the notifier's server does not take the login"


def test_a_wrong_key_is_told_once_and_so_is_its_end(
    line: Line, peers: Callable[..., list[Peer]]
) -> None:
    sms, mail = made = peers(SMS, EMAIL, **REMINDED)
    imported(line, 6)
    sms.fate = lambda: Fault.LOCKED_OUT
    minutes(line, made, 60)
    assert len(sms.messages) <= 5
    assert alerts(mail) == [LOCKED_OUT]
    (told,) = mail.taken
    assert "6 messages wait for patients and doctors" in told.text
    assert "clinicrelay check --connect" in told.text
    assert "12:00" in told.text
    sms.fate = lambda: None
    minutes(line, made, 60)
    assert alerts(mail) == [LOCKED_OUT, f"over: {LOCKED_OUT}"]
    assert sorted(one.to for one in sms.taken) == sorted({one.to for one in sms.taken})
    assert len(sms.taken) == 6
    assert {row[0] for row in line.query("SELECT state FROM messages")} == {"sent"}


def test_a_server_that_nobody_reaches_is_a_matter_for_a_person_after_half_an_hour(
    line: Line, peers: Callable[..., list[Peer]]
) -> None:
    sms, mail = made = peers(SMS, EMAIL, **REMINDED)
    imported(line, 6)
    sms.fate = lambda: Fault.GONE
    minutes(line, made, 20)
    early = line.sync(timedelta(0))
    assert (early.exit, early.needs, alerts(mail)) == (0, [], [])
    minutes(line, made, 20)
    late = line.sync(timedelta(0))
    assert (late.exit, [need.what for need in late.needs]) == (3, alerts(mail))
    said = "\n".join(line.at_work(lambda at_work: run_lines(at_work, late)))
    assert f"nothing changed, nothing sent. Unknown: {late.unknown} (clinicrelay status)" in said
    sms.fate = lambda: None
    minutes(line, made, 20)
    over = line.sync(timedelta(0))
    assert (over.exit, over.needs) == (0, [])


def test_why_tells_what_an_alert_was_about_and_what_became_of_it(
    line: Line, peers: Callable[..., list[Peer]]
) -> None:
    sms, _ = made = peers(SMS, EMAIL, **REMINDED)
    imported(line, 6)
    sms.fate = lambda: Fault.LOCKED_OUT
    minutes(line, made, 5)
    ((attempt, number),) = line.query(
        "SELECT t.id, m.id FROM attempts t JOIN messages m ON m.id = t.message "
        "WHERE m.kind = 'alert'"
    )
    for reference in (attempt, f"m{number}"):
        told = line.at_work(lambda at_work, ref=reference: why(at_work, ref))
        assert told.exit == 0
        assert told.json["answer"].startswith(
            f"This alert (opened) tells: {LOCKED_OUT}. It was sent"
        )
        (message,) = told.json["messages"]
        assert (message["state"], message["to"]) == ("sent", f"staff/{IT}")
        assert [one["id"] for one in message["attempts"]] == [attempt]
        assert [one["what"] for one in told.json["history"]] == [
            "a person is needed",
            "alert opened sent",
        ]
    sms.fate = lambda: None
    minutes(line, made, 30)
    told = line.at_work(lambda at_work: why(at_work, attempt))
    assert "over since Mon 23 Nov 12:" in told.json["answer"]
    assert any("it is over" in one for one in told.lines)


@ON_SQLITE
def test_a_server_that_is_away_for_a_while_is_told_when_it_stays_away(
    line: Line, peers: Callable[..., list[Peer]]
) -> None:
    sms, mail = made = peers(SMS, EMAIL, **REMINDED)
    imported(line, 2)
    sms.fate = lambda: Fault.BUSY
    minutes(line, made, 20)
    sms.fate = lambda: None
    minutes(line, made, 40)
    assert alerts(mail) == []
    assert len(sms.taken) == 2
    assert line.query("SELECT name FROM alerts") == []


@ON_SQLITE
def test_an_alert_about_its_own_notifier_goes_by_another(
    line: Line, peers: Callable[..., list[Peer]]
) -> None:
    _, mail, spare = made = peers(SMS, EMAIL, SPARE, **REMINDED)
    for number in range(1, 4):
        line.book(number, "2026-11-24 12:00", mobile="")
    line.drop()
    line.sync("2026-11-23 11:59")
    line.set(channels={"order": ["email"], "email": [EMAIL.name]})
    mail.fate = lambda: Fault.LOCKED_OUT
    minutes(line, made, 20)
    assert len(alerts(spare)) == 1
    assert alerts(spare)[0].startswith("sendgrid sends nothing")
    assert alerts(mail) == []


def test_where_no_alert_can_leave_status_says_it_and_what_passed_is_never_told(
    line: Line, peers: Callable[..., list[Peer]]
) -> None:
    _, mail = made = peers(SMS, EMAIL, **REMINDED)
    line.set(channels={"order": ["email"]})
    for number in range(1, 4):
        line.book(number, "2026-11-24 12:00")
    line.drop()
    line.sync("2026-11-23 11:59")
    mail.fate = lambda: Fault.LOCKED_OUT
    minutes(line, made, 20)
    needs = line.at_work(lambda at_work: health(at_work).needs)
    assert any(n.what.startswith("1 alert has reached nobody") for n in needs)
    logged = (line.data / "log/clinicrelay.jsonl").read_text()
    assert logged.count("alert.opened") == 1
    mail.fate = lambda: None
    minutes(line, made, 30)
    assert alerts(mail) == []
    assert len(mail.taken) == 3
    found = line.query("SELECT step, state, reason FROM messages WHERE role = 'staff'")
    assert found == [
        ("opened", "skipped", "alert_over"),
        ("resolved", "skipped", "alert_not_told"),
    ]
    assert line.at_work(lambda at_work: health(at_work).needs) == []


@ON_SQLITE
@pytest.mark.parametrize("fault", [Fault.ANSWER_LOST, Fault.ANSWER_LATE, Fault.GONE])
def test_an_alert_whose_answer_is_lost_arrives_once(
    line: Line, peers: Callable[..., list[Peer]], fault: Fault
) -> None:
    sms, mail = made = peers(SMS, EMAIL, **REMINDED)
    imported(line, 1)
    sms.fate = lambda: Fault.LOCKED_OUT
    fates = [fault]
    mail.fate = lambda: fates.pop() if fates else None
    minutes(line, made, 15)
    assert alerts(mail) == [LOCKED_OUT]


@ON_SQLITE
def test_neither_a_pause_nor_a_night_nor_only_recipients_hold_an_alert_back(
    line: Line, peers: Callable[..., list[Peer]]
) -> None:
    _, mail = made = peers(SMS, EMAIL, safety={"only_recipients": ["boss@riverside.example"]})
    for number in range(1, 9):
        line.book(number)
    line.drop()
    line.sync("2026-11-23 20:00")
    line.at_work(lambda at_work: pause_all(line))
    line.rows = {}
    line.book(9)
    line.drop()
    line.now = parse_instant("2026-11-23T23:30", "Europe/Berlin")
    minutes(line, made, 2)
    assert [one.startswith("held: 8 of 8") for one in alerts(mail)] == [True]


def pause_all(line: Line) -> None:
    pause(line.call, None, reason="", until=None)


def test_a_hold_is_told_and_so_is_its_end(line: Line, peers: Callable[..., list[Peer]]) -> None:
    _, mail = made = peers(SMS, EMAIL)
    for number in range(1, 9):
        line.book(number)
    line.drop()
    line.sync("2026-11-23 10:00")
    before, line.rows = line.rows, {}
    line.book(9)
    line.drop()
    minutes(line, made, 3)
    (told,) = alerts(mail)
    assert told.startswith("held: ")
    assert "clinicrelay held show h" in heard(mail)[0].text
    line.rows = {**before, **line.rows}
    line.drop()
    minutes(line, made, 3)
    assert alerts(mail) == [told, f"over: {told}"]


@ON_SQLITE
def test_a_source_that_is_not_read_is_told_and_so_is_its_end(
    line: Line, peers: Callable[..., list[Peer]]
) -> None:
    _, mail = made = peers(SMS, EMAIL)
    sources = line.settings["sources"]
    line.set(sources={"reception": {**sources["reception"], "stale_after": "30m"}})
    line.book(1)
    line.drop()
    line.sync("2026-11-23 10:00")
    minutes(line, made, 45)
    stale = "reception was not read completely for too long"
    assert alerts(mail) == [stale]
    assert "10:00" in heard(mail)[0].text
    line.drop()
    minutes(line, made, 5)
    assert alerts(mail) == [stale, f"over: {stale}"]


@ON_SQLITE
def test_no_storm_of_messages_holds_the_alert_of_it(
    line: Line, peers: Callable[..., list[Peer]]
) -> None:
    _, mail = made = peers(SMS, EMAIL, **REMINDED, safety={"max_messages_per_run": 2})
    imported(line, 9)
    minutes(line, made, 2)
    assert [one.partition(":")[0] for one in alerts(mail)] == ["held"]


@ON_SQLITE
def test_in_rehearsal_an_alert_really_leaves_and_a_reminder_does_not(
    line: Line, peers: Callable[..., list[Peer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Sendgrid, "outside", True)
    _, mail = made = peers(SMS, EMAIL, **REMINDED, safety={"max_messages_per_run": 2})
    line.real_clock = True
    for number in range(1, 9):
        line.book(number, "2026-11-24 12:00", mobile="")
    line.drop()
    line.sync("2026-11-23 11:59")
    minutes(line, made, 2)
    assert [one.to for one in mail.taken] == [IT]
    assert [one.kind for one in line.rehearsed()] == ["reminder"] * 2


@ON_SQLITE
def test_an_alert_that_goes_on_costs_a_quiet_run_nothing(
    line: Line, peers: Callable[..., list[Peer]]
) -> None:
    _, mail = made = peers(SMS, EMAIL)
    sources = line.settings["sources"]
    line.set(sources={"reception": {**sources["reception"], "stale_after": "30m"}})
    line.book(1)
    line.drop()
    line.sync("2026-11-23 10:00")
    minutes(line, made, 35)
    before = line.dump()
    minutes(line, made, 3)
    assert line.dump() == before
    assert len(mail.messages) == 1


@ON_SQLITE
def test_under_a_clock_set_by_hand_no_alert_leaves_the_machine(
    line: Line, peers: Callable[..., list[Peer]]
) -> None:
    sms, mail = made = peers(SMS, EMAIL, **REMINDED)
    outside = {**EMAIL.options, "base_url": "https://api.mail.example"}
    line.set(notifiers={**line.said["notifiers"], EMAIL.name: outside})
    imported(line, 1)
    sms.fate = lambda: Fault.LOCKED_OUT
    minutes(line, made, 2)
    assert mail.asked == []
    (told,) = (one for one in line.rehearsed() if one.kind == "alert")
    assert told.to == IT


@ON_SQLITE
def test_without_the_setting_nobody_is_told_and_nothing_is_kept(
    line: Line, peers: Callable[..., list[Peer]]
) -> None:
    sms, mail = made = peers(SMS, EMAIL, **REMINDED)
    line.set(monitoring={})
    imported(line, 1)
    sms.fate = lambda: Fault.LOCKED_OUT
    minutes(line, made, 3)
    assert mail.taken == []
    assert line.query("SELECT name FROM alerts") == []


@ON_SQLITE
def test_no_alert_names_a_patient(line: Line, peers: Callable[..., list[Peer]]) -> None:
    sms, mail = made = peers(SMS, EMAIL, **REMINDED)
    imported(line, 3)
    sms.fate = lambda: Fault.LOCKED_OUT
    minutes(line, made, 2)
    said = str(mail.taken[0].said)
    assert not [
        w for row in line.rows.values() for w in (row["patient_name"], row["mobile"]) if w in said
    ]
