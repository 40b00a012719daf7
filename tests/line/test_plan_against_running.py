"""`plan --against running` lists what an edit of the settings changes, which is what runs then do."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from google_peer.peer import GooglePeer

from clinicrelay.times import parse_instant
from sync.runners import once
from sync.store import running
from tests.line.conftest import ZONE, Line
from tests.line.planted import typed

sqlite = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
ONE_DAY = {"patient": {"confirmation": {"channels": ["email"]}, "steps": ["1d"]}}
TWO_DAYS = {"patient": {"confirmation": {"channels": ["email"]}, "steps": ["2d"]}}
Sent = Counter[tuple[str, ...]]


def compared(line: Line, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        typed(line, "plan", "--against", "running", *words, "--json")
    )
    return found


def opened(line: Line, **said: Any) -> Line:
    """Let a clinic run for a while that has visits at ten on each of the next days."""
    reception = {**line.settings["sources"]["reception"], "stale_after": "30d"}
    line.set(**{"reminders": ONE_DAY, "calendars": {}, "sources": {"reception": reception}, **said})
    for day in range(25, 31):
        line.book(day, f"2026-11-{day} 10:00", doctor_id="braun" if day % 2 else "acar")
    line.after("2026-11-23 09:00")
    line.quietly("2026-11-23 11:00")
    return line


def lived_on(line: Line) -> Sent:
    """Run on each of the next mornings, and return what was sent then."""
    for moment in ("2026-11-23 12:00", *(f"2026-11-{day} 10:01" for day in range(24, 27))):
        line.now = parse_instant(moment, ZONE)
        line.at_work(lambda at_work: once.sync(at_work, []))
    rows = line.query(
        "SELECT m.kind, m.step, m.channel, a.source, a.source_key FROM messages m "
        f"JOIN appointments a ON a.id = m.appointment WHERE m.state = 'sent' AND m.clinic = '{line.id}'"
    )
    return Counter(
        (kind, step, channel, f"{source}/{key}") for kind, step, channel, source, key in rows
    )


def listed(some: list[dict[str, Any]]) -> Sent:
    messages = [one for one in some if one["thing"] == "message"]
    return Counter(
        (one["kind"], one["step"] or "", one["channel"], one["appointment"]) for one in messages
    )


EDITS: dict[str, dict[str, Any]] = {
    "a day becomes two": {"reminders": TWO_DAYS},
    "sms is switched off": {"channels": {"consent": {"sms": "off"}}},
    "sms goes last": {"channels": {"order": ["email", "sms"]}},
    "nobody is reminded": {"reminders": {}},
    "doctors are reminded": {"reminders": {**ONE_DAY, "doctor": {"steps": ["1d"]}}},
    "a notifier is removed": {"notifiers": {"mails": {"type": "outbox", "folder": "o"}}},
}


@sqlite
@pytest.mark.parametrize("edit", EDITS)
def test_what_is_listed_is_what_the_runs_then_do(house: Callable[..., Line], edit: str) -> None:
    both = {"texts": {"type": "outbox", "folder": "out/texts"}}
    notifiers = {"notifiers": {**both, "outbox": {"type": "outbox"}}}
    as_it_ran, edited = (opened(house(name), **notifiers) for name in ("one", "two"))
    edited.set(**EDITS[edit])
    found = compared(edited, "--until", "2026-11-26 10:01")

    ran, then = lived_on(as_it_ran), lived_on(edited)
    assert listed(found["added"]) == then - ran
    assert listed(found["removed"]) == ran - then
    assert found["same"] is False
    assert found["settings"]


@sqlite
def test_a_day_that_becomes_two_is_told_by_kind_step_channel_doctor_and_time(line: Line) -> None:
    opened(line)
    line.set(reminders=TWO_DAYS)
    said = typed(line, "plan", "--against", "running", "--until", "2d")
    assert "reminders.patient.steps  " in said
    assert "+3 messages   -2 messages" in said
    assert "+3 reminder 2d to patient by sms" in said
    assert "by doctor: acar +1 -0, braun +2 -2" in said or "by doctor: " in said
    assert "+ Tue 24 Nov 10:00  reminder 2d to patient by sms  reception/26  acar" in said
    assert "Pat 26" not in said


@sqlite
def test_a_doctor_whose_calendar_is_removed_loses_the_events_that_are_listed(line: Line) -> None:
    with GooglePeer(seed=7) as peer:
        robot = "relay@riverside.example"
        peer.calendar("b@riverside.example", shared={robot: "writer"})
        key = json.dumps(peer.service_account(robot))
        calendars = {"google": {"type": "google", "credentials": key, "base_url": peer.url}}
        acar = {"id": "braun", "match": "braun", "calendar": "b@riverside.example"}
        line.set(reminders={}, calendars=calendars, doctors=[acar])
        for day in range(25, 31):
            doctor = {"doctor_id": "braun" if day % 2 else "acar", "doctor_email": ""}
            line.book(day, f"2026-11-{day} 10:00", **doctor)
        line.after("2026-11-23 09:00")
        assert len(peer.dump("b@riverside.example", live=True)) == 3

        line.set(doctors=[])
        found = compared(line)
        assert (found["added"], found["changed"]) == ([], [])
        lost = [(one["thing"], one["appointment"], one["doctor"]) for one in found["removed"]]
        assert lost == [("event", f"reception/{day}", "braun") for day in (25, 27, 29)]
        assert "-3 events" in typed(line, "plan", "--against", "running")
        assert len(peer.dump("b@riverside.example", live=True)) == 3

        line.quietly()
        assert peer.dump("b@riverside.example", live=True) == []


@sqlite
def test_a_doctor_who_is_called_otherwise_costs_nobody_a_message(line: Line) -> None:
    braun = {"id": "dr-braun", "match": "braun", "calendar": "jonas"}
    opened(line, calendars={"files": {"type": "ics"}}, doctors=[braun])
    line.set(doctors=[])
    found = compared(line, "--until", "3d")
    assert {one["thing"] for one in found["added"] + found["removed"]} == {"event"}
    said = typed(line, "plan", "--against", "running", "--until", "3d")
    assert "message" not in said
    assert "- Wed 25 Nov 10:00  event in files  reception/25  dr-braun" in said
    assert "no time" not in said


@sqlite
def test_nothing_is_compared_where_nothing_ever_ran(line: Line) -> None:
    line.set(reminders=ONE_DAY)
    assert line.loaded
    said = typed(line, "plan", "--against", "running")
    assert "Nothing to compare with: no run has kept the settings" in said
    assert compared(line)["same"] is None


def test_settings_that_were_not_edited_differ_in_nothing(line: Line) -> None:
    opened(line)
    said = typed(line, "plan", "--against", "running")
    assert "The settings are those that run since Mon 23 Nov 09:00: nothing would change." in said
    assert compared(line)["same"] is True


@sqlite
def test_an_edit_that_is_not_compared_is_not_said_to_change_nothing(line: Line) -> None:
    opened(line)
    reception = {**line.settings["sources"]["reception"], "contents": "delta"}
    line.set(sources={"reception": reception})
    said = " ".join(typed(line, "plan", "--against", "running").split())
    assert "What is decided by is the same since Mon 23 Nov 09:00." in said
    assert "nothing would change" not in said
    assert compared(line)["same"] is False
    line.after()
    assert compared(line)["same"] is True


@sqlite
def test_an_edit_that_nobody_feels_is_said_to_be_one(line: Line) -> None:
    opened(line)
    line.set(safety={"max_messages_per_run": 400})
    found = compared(line)
    assert [one["path"] for one in found["settings"]] == ["safety.max_messages_per_run"]
    assert found["note"] == "Nothing that happens until then would be any different."


@sqlite
def test_sources_and_doctors_that_come_and_go_are_named_without_what_is_personal(
    line: Line,
) -> None:
    opened(line, doctors=[{"id": "acar", "match": "acar", "email": "secret@riverside.example"}])
    reception = line.settings["sources"]["reception"]
    line.set(
        sources={"reception": reception, "annex": {**reception, "inbox": "drops/annex"}},
        doctors=[{"id": "acar", "match": "acar", "email": "other@riverside.example"}],
    )
    found = compared(line)
    edits = {one["path"]: one["new"] for one in found["settings"]}
    assert edits["sources.annex"] == {"type": "csv"}
    assert edits["doctors.acar.email"] is None
    assert "secret@" not in json.dumps(found)


@sqlite
def test_plan_writes_nothing_and_the_next_run_keeps_what_it_ran_with(line: Line) -> None:
    opened(line)
    line.set(reminders=TWO_DAYS)
    before = line.dump()
    compared(line)
    assert line.dump() == before
    line.quietly()
    assert compared(line)["same"] is True


@sqlite
def test_no_secret_is_kept_of_what_ran(line: Line) -> None:
    canaries = [f"canary-{n}-5f2a" for n in range(5)]
    smtp = {"type": "smtp", "host": "127.0.0.1", "from": "desk@riverside.example"}
    twilio = {"type": "twilio_sms", "from": "+4930987654321", "base_url": "http://127.0.0.1:9"}
    opened(
        line,
        notifiers={
            "outbox": {"type": "outbox"},
            "mail": {**smtp, "username": canaries[0], "password": canaries[1]},
            "twilio": {**twilio, "account_sid": "AC" + "0" * 32, "auth_token": canaries[2]},
        },
        channels={"sms": ["outbox"], "email": ["outbox"]},
    )

    def parts(at_work: Any) -> str:
        with at_work.store.read() as connection:
            one = running.running(connection, at_work.store.clinic)
        assert one is not None
        return json.dumps(one.parts)

    assert '"mail": {"type": "smtp"}' in line.at_work(parts)
    kept = json.dumps(line.query("SELECT * FROM memory"))
    assert [one for one in canaries if one in kept] == []
