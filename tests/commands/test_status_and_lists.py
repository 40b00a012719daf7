"""What a person asks every day: status, appointments, check, map and send."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from calendars.ics import Ics
from clinicrelay.contracts import Finding
from clinicrelay.pages import outdated
from clinicrelay.testing.kits import canaries_in
from commands import GROUPS, _reference
from commands._call import Call
from connectors.csv import Csv
from notifiers.outbox import Outbox

Row = Callable[..., dict[str, Any]]
NOON = "2026-11-23T11:00:00Z"


def told(ran: Any) -> Any:
    return json.loads(ran.out)


# --- status --------------------------------------------------------------------------------------


def test_a_clinic_that_was_never_read_is_red_and_says_what_to_type(desk: Any) -> None:
    ran = desk.run("status")

    assert ran.code == 3
    assert "reception was never read completely   clinicrelay sync" in ran.out


def test_a_clinic_in_order_is_green_with_exactly_the_promised_keys(desk: Any, row: Row) -> None:
    desk.sync(row(1), row(2, date="2026-11-24"))

    ran = desk.run("status", "--json")

    assert ran.code == 0
    assert told(ran) == {
        "healthy": True,
        "mode": "rehearsal",
        "sources": {
            "reception": {
                "state": "ok",
                "last_complete": "2026-11-23T08:00:00Z",
                "strategy": None,
                "watermark": None,
                "complete": True,
                "reconciled": None,
                "appointments": 2,
                "set_aside": 0,
                "held": 0,
            }
        },
        "calendars": {
            "files": {
                "state": "ok",
                "pending": 0,
                "blocked": 0,
                "hidden": 0,
                "put_back": 0,
                "held": 0,
                "asked": 0,
                "refused": 0,
                "calendars": [
                    {
                        "address": "acar",
                        "last_success": "2026-11-23T08:00:00Z",
                        "lag": None,
                        "queue": 0,
                        "hidden": 0,
                        "held": 0,
                        "refused": 0,
                        "reason": "",
                        "fix": "",
                    }
                ],
            }
        },
        "messages": {"due": 0, "sent_24h": 0, "unknown": 0, "failed": 0, "visits_waiting": 0},
        "notifiers": {"outbox": {"state": "ok", "reason": None, "since": None, "until": None}},
        "coverage": {"tomorrow": {"visits": 1, "covered": 1, "explained": 0, "of": 1}},
    }
    assert "GREEN" in desk.run("status").out


def test_what_fell_due_while_nothing_ran_is_due(desk: Any, row: Row) -> None:
    late = "2026-11-30T14:00:00Z"
    both = {"time": "10:00", "email": ""}
    desk.sync(row(1, **both), row(2, **both), row(3, date="2026-12-20"))
    assert told(desk.run("status", "--json"))["messages"]["due"] == 0

    found = told(desk.run("status", "--json", now=late))["messages"]
    assert (found["due"], found["visits_waiting"]) == (2, 0)  # of three steps a visit only the 1d
    assert "due 2" in desk.run("status", now=late).out

    assert told(desk.run("sync", "--json", now=late))["messages"]["sent"] == 2
    assert told(desk.run("status", "--json", now=late))["messages"]["due"] == 0


def test_more_visits_than_can_be_looked_at_are_said_to_wait_for_the_next_run(
    desk: Any, row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = "2026-11-30T14:00:00Z"
    desk.sync(*(row(n, time="10:00") for n in range(1, 5)))
    monkeypatch.setattr("sync.outstanding._MOST", 3)

    ran = desk.run("status", now=late)

    (line,) = [line for line in ran.out.splitlines() if line.startswith("messages")]
    assert "4 visits wait for the next run" in line
    assert "due" not in line
    assert told(desk.run("status", "--json", now=late))["messages"]["visits_waiting"] == 4


def test_a_record_set_aside_turns_the_status_red(desk: Any, row: Row) -> None:
    desk.sync(row(1), row(2, status="XQ"))

    ran = desk.run("status")

    assert ran.code == 3
    assert "1 set aside from reception   clinicrelay quarantine list" in ran.out
    assert canaries_in(ran.out) == []


def test_a_source_turns_red_at_the_minute_that_settings_name(desk: Any, row: Row) -> None:
    desk.change("settle: 0s}", "settle: 0s}, stale_after: 2h")
    desk.sync(row(1))

    assert desk.run("status", now="2026-11-23T10:00:00Z").code == 0
    late = desk.run("status", "--json", now="2026-11-23T10:00:01Z")
    assert late.code == 3
    assert told(late)["sources"]["reception"]["state"] == "stale"

    desk.sync(row(1), row(2), now="2026-11-23T10:30:00Z")
    assert desk.run("status", now="2026-11-23T10:30:00Z").code == 0


def test_without_a_setting_three_times_the_usual_rhythm_is_waited(desk: Any, row: Row) -> None:
    for hour in range(4):
        desk.sync(row(1, time=f"1{hour}:00"), now=f"2026-11-23T{8 + hour:02}:00:00Z")

    assert desk.run("status", now="2026-11-23T14:00:00Z").code == 0
    assert desk.run("status", now="2026-11-23T14:00:01Z").code == 3


def test_a_source_that_cannot_be_read_is_red(desk: Any, row: Row) -> None:
    desk.drop(row(1, date="03/04/2027"))
    assert desk.run("sync").code == 3

    found = desk.run("status", "--json")

    assert found.code == 3
    assert told(found)["sources"]["reception"]["state"] == "failed"


def test_tomorrow_counts_who_is_reminded_who_is_not_and_why(desk: Any, row: Row) -> None:
    tomorrow = {"date": "2026-11-24", "time": "15:00"}
    unreachable = {"phone": "", "email": ""}
    desk.sync(
        row(1, **tomorrow),
        row(2, **tomorrow),
        row(3, **tomorrow, **unreachable),
        row(4, **tomorrow, status="cancelled"),
        row(5),
    )
    day = told(desk.run("status", "--json"))["coverage"]["tomorrow"]
    assert day == {"visits": 3, "covered": 2, "explained": 1, "of": 3}

    desk.run("send", now="2026-11-23T15:00:00Z")
    ran = desk.run("status", "--json", now="2026-11-23T15:00:00Z")
    assert told(ran)["coverage"]["tomorrow"] == {"visits": 3, "covered": 2, "explained": 1, "of": 3}
    assert told(ran)["messages"]["sent_24h"] == 2


def test_without_a_notifier_tomorrow_is_red_although_nothing_failed(desk: Any, row: Row) -> None:
    desk.sync(row(1, date="2026-11-24", time="15:00", phone="", email="quenby@canary.example"))
    desk.change("confirmation: {channels: [email]}, steps: [3d, 1d, 1h]", "steps: [1d]")
    desk.write(desk.settings.read_text() + "channels: {consent: {email: off}, order: [email]}\n")
    desk.run("send", now="2026-11-23T15:00:00Z")

    ran = desk.run("status", now="2026-11-23T15:00:00Z")

    assert ran.code == 3
    assert "1 of 1 visit tomorrow: nobody is reminded (reception/1)" in ran.out
    assert "clinicrelay appointments --uncovered" in ran.out
    assert canaries_in(ran.out) == []


def test_the_uncovered_visits_of_tomorrow_can_be_listed(desk: Any, row: Row) -> None:
    tomorrow = {"date": "2026-11-24", "time": "15:00"}
    desk.change("confirmation: {channels: [email]}, steps: [3d, 1d, 1h]", "steps: [1d]")
    desk.write(desk.settings.read_text() + "channels: {order: [sms]}\n")
    desk.sync(row(1, **tomorrow), row(2), row(3, **tomorrow, phone=""))
    assert told(desk.run("appointments", "--uncovered", "--json")) == []

    desk.change("{order: [sms]}", "{order: [sms], sms: []}")

    listed = told(desk.run("appointments", "--uncovered", "--json"))
    assert [one["key"] for one in listed] == ["1", "3"]
    assert desk.run("status").code == 3


def test_status_names_a_notifier_that_is_paused(desk: Any, row: Row) -> None:
    desk.sync(row(1))
    desk.run("pause", "outbox", "--reason", "wrong texts", now=None)

    ran = desk.run("status")

    line = next(line for line in ran.out.splitlines() if line.startswith("outbox"))
    assert line.split()[:4] == ["outbox", "paused", "wrong", "texts"]
    assert told(desk.run("status", "--json"))["notifiers"]["outbox"]["state"] == "paused"


# --- appointments --------------------------------------------------------------------------------


def test_the_list_has_exactly_its_keys(desk: Any, row: Row) -> None:
    desk.sync(row(1, time="09:30"))

    (one,) = told(desk.run("appointments", "--json"))

    assert one == {
        "source": "reception",
        "key": "1",
        "status": "booked",
        "start": "2026-12-01T08:30:00Z",
        "end": "2026-12-01T09:00:00Z",
        "timezone": "Europe/Berlin",
        "end_inferred": True,
        "modality": "in_person",
        "join_url": None,
        "join_url_practitioner": None,
        "call_in": None,
        "patients": [
            {
                "key": "p1",
                "name": "Quenby Canary",
                "phone": "+12025550143",
                "email": "quenby@canary.example",
                "language": None,
            }
        ],
        "practitioners": [
            {"key": "acar", "name": None, "email": "acar@riverside.example", "primary": True}
        ],
        "location": None,
        "service": None,
        "version": 1,
        "issues": [{"code": "end_inferred", "field": "end"}],
    }


def test_an_empty_store_is_an_empty_list(desk: Any) -> None:
    assert told(desk.run("appointments", "--json")) == []


def test_days_are_the_clinics_and_the_last_one_is_included(desk: Any, row: Row) -> None:
    desk.sync(*(row(n, date=f"2026-12-0{n}", time="00:30") for n in range(1, 5)))

    def keys(*words: str) -> list[str]:
        return [one["key"] for one in told(desk.run("appointments", "--json", *words))]

    assert keys("--from", "2026-12-02", "--to", "2026-12-03") == ["2", "3"]
    assert keys("--from", "2026-12-02T23:30:00Z") == ["3", "4"]
    assert keys("--to", "2026-12-01T23:30:00Z") == ["1"]
    assert keys("--source", "reception") == keys()
    typo = desk.run("appointments", "--source", "elsewhere")
    assert (typo.code, "there are: reception" in typo.err) == (2, True)
    assert desk.run("appointments", "--from", "tomorrow").code == 2
    turned = desk.run("appointments", "--from", "2026-12-02", "--to", "2026-12-01")
    assert (turned.code, "it lies before --from" in turned.err) == (2, True)
    assert desk.run("appointments", "--from", "2026-12-02", "--to", "2026-12-02").code == 0


def test_cancelled_ones_are_listed_and_gone_ones_only_with_all(desk: Any, row: Row) -> None:
    desk.sync(row(1), row(2), row(3))
    desk.sync(row(1), row(2, status="cancelled"), now=NOON)

    usual = told(desk.run("appointments", "--json"))
    everything = told(desk.run("appointments", "--json", "--all"))

    assert {one["key"]: one["status"] for one in usual} == {"1": "booked", "2": "cancelled"}
    assert not any("gone" in one for one in usual)
    assert [one["key"] for one in everything if one.get("gone")] == ["3"]
    assert [one["key"] for one in told(desk.run("appointments", "--status", "cancelled", "--json"))]
    assert desk.run("appointments", "--status", "lost").code == 2


def test_a_pipe_gets_keys_and_times_and_no_name(desk: Any, row: Row) -> None:
    desk.sync(row(1, time="09:30"))

    ran = desk.run("appointments")

    assert "reception/1  Tue 1 Dec 2026 09:30  booked  acar  end_inferred" in ran.out
    assert canaries_in(ran.out, ran.err) == []


def test_a_terminal_shows_names(desk: Any, row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.sync(row(1, patient_name="Quenby [bold]Canary"))
    monkeypatch.setattr(Call, "on_terminal", property(lambda call: True))
    monkeypatch.setenv("COLUMNS", "200")

    assert "Quenby [bold]Canary" in desk.run("appointments").out


# --- check ---------------------------------------------------------------------------------------


def test_settings_in_order_pass_and_the_file_is_named(desk: Any) -> None:
    ran = desk.run("check")

    assert ran.code == 0, ran
    assert str(desk.settings) in ran.out
    assert not (desk.folder / "var" / "clinicrelay.db").exists()


def test_every_mistake_is_told_at_once_with_its_place(desk: Any) -> None:
    desk.change("country: DE", "country: Germany")
    desk.change("type: ics", "type: icz")

    ran = desk.run("check", "--json")

    found = told(ran)
    assert ran.code == 2
    assert found["ok"] is False
    assert len([f for f in found["findings"] if f["severity"] == "error"]) == 2
    assert {f["path"] for f in found["findings"]} >= {"clinic.country", "calendars.files.type"}
    assert set(found["findings"][0]) == {
        *("severity", "file", "line", "column", "path", "code", "message", "fix")
    }


def test_a_warning_alone_does_not_fail(desk: Any) -> None:
    desk.write(desk.settings.read_text() + "quiet_hours: off\n")

    ran = desk.run("check", "--json")

    assert ran.code == 0
    assert [f["code"] for f in told(ran)["findings"]] == ["quiet_hours_off"]
    assert told(ran)["ok"] is True


MAPPING = """\
version: 1
fields:
  key: {path: appointment_id, required: true}
  start: {join: [date, time], type: datetime, zone: clinic}
  status: {path: status, table: {booked: booked}}
tests:
  - in: {appointment_id: 7, date: "2026-12-01", time: "09:30", status: booked}
    out: {key: "7", status: cancelled}
"""


def test_a_mapping_that_fails_its_own_test_fails_the_check(desk: Any) -> None:
    (desk.folder / "own.yaml").write_text(MAPPING)
    desk.change("contents: snapshot", "contents: snapshot, mapping: own.yaml")

    found = told(desk.run("check", "--json"))

    (finding,) = found["findings"]
    assert finding["code"] == "mapping_test"
    assert "own test 1: status" in finding["message"]


def test_a_mapping_that_is_not_there_is_a_finding_not_a_crash(desk: Any) -> None:
    desk.change("contents: snapshot", "contents: snapshot, mapping: nowhere")

    ran = desk.run("check", "--json")

    assert ran.code == 2
    assert "no_mapping" in [f["code"] for f in told(ran)["findings"]]


def test_a_template_with_an_unknown_word_is_found(desk: Any) -> None:
    (desk.folder / "templates").mkdir()
    (desk.folder / "templates" / "reminder.sms.en.j2").write_text("Hello {{ docter }}")
    desk.write(desk.settings.read_text() + "templates: templates\n")

    ran = desk.run("check", "--json")

    assert ran.code == 2
    assert any("docter" in f["message"] for f in told(ran)["findings"])


def test_what_a_plugin_finds_is_told_at_its_place_in_the_settings(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Finding("error", "broken", "it is broken", "mend it")
    for plugin in (Csv, Ics, Outbox):
        monkeypatch.setattr(plugin, "check", lambda self: iter([broken]))

    here = desk.run("check", "--json")
    everywhere = desk.run("check", "--connect", "--json")

    assert here.code == everywhere.code == 2
    assert [f["path"] for f in told(here)["findings"]] == ["calendars.files", "notifiers.outbox"]
    assert "sources.reception" in [f["path"] for f in told(everywhere)["findings"]]


def test_nothing_outside_is_asked_unless_connect_says_so(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(Outbox, "connects", True)
    monkeypatch.setattr(Outbox, "check", lambda self: iter(asked.append("outbox") or ()))

    assert desk.run("check").code == 0
    assert asked == []
    assert desk.run("check", "--connect").code == 0
    assert asked == ["outbox"]


# --- map -----------------------------------------------------------------------------------------


def test_a_sample_is_mapped_and_stays_where_it_is(desk: Any, row: Row) -> None:
    desk.drop(row(1, time="09:30"), row(2, status="XQ"))
    sample = desk.folder / "drops" / "reception" / "visits-001.csv"

    ran = desk.run("map", "clinic_csv", str(sample), now=None)
    found = told(desk.run("map", "clinic_csv", str(sample), "--json", now=None))

    assert ran.code == 0, ran
    assert "1 mapped, 1 set aside, 0 skipped. Nothing was stored." in ran.out
    assert canaries_in(ran.out, ran.err) == []
    assert found["appointments"][0]["start"] == "2026-12-01T08:30:00Z"
    assert found["set_aside"][0]["reason"] == "unknown_status"
    assert found["set_aside"][0]["line"] == 3
    assert sample.exists()
    assert not (desk.folder / "var").exists()


def test_a_sample_without_a_known_status_column_is_told_of(desk: Any, tmp_path: Path) -> None:
    sample = tmp_path / "ours.csv"
    sample.write_text("id,date,time,mobile,Buchungslage\n1,2026-12-01,09:30,,storniert\n")

    ran = desk.run("map", "clinic_csv", str(sample), now=None)

    assert "ours.csv: no column is known as status: every visit counts as booked" in ran.out
    assert "Columns not read: Buchungslage" in ran.out
    assert "phone or e-mail" not in ran.out


def test_a_sample_is_read_as_its_source_would_be(desk: Any, tmp_path: Path) -> None:
    sample = tmp_path / "ours.csv"
    sample.write_bytes("id;date;time;status\n1;2026-12-01;09:30;odwołana\n".encode("cp1250"))
    in_vain = told(desk.run("map", "clinic_csv", str(sample), "--json", now=None))
    assert in_vain["set_aside"][0]["reason"] == "unknown_status"

    words = ("map", "clinic_csv", str(sample), "--json")
    by_option = told(desk.run(*words, "--encoding", "cp1250", now=None))
    assert by_option["appointments"][0]["status"] == "cancelled"

    desk.write(desk.settings.read_text().replace("type: csv", "type: csv, encoding: cp1250", 1))
    assert told(desk.run(*words, now=None)) == by_option
    assert told(desk.run(*words, "--source", "reception", now=None)) == by_option
    assert desk.run(*words, "--source", "nowhere", now=None).code == 2
    assert desk.run(*words, "--encoding", "cp9", now=None).code == 2


def test_a_json_sample_is_mapped_too(desk: Any, row: Row, tmp_path: Path) -> None:
    sample = tmp_path / "sample.json"
    sample.write_text(json.dumps({"data": [row(1), row(2)]}))

    found = told(desk.run("map", "clinic_csv", str(sample), "--json", now=None))

    assert [one["key"] for one in found["appointments"]] == ["1", "2"]


def test_history_of_days_to_come_cannot_be_replayed(desk: Any, row: Row) -> None:
    desk.sync(row(1))
    later = desk.run("replay", "--since", "2199-01-01", "--plan")
    assert (later.code, "nothing was said yet after now" in later.err) == (2, True)


@pytest.mark.parametrize("words", [("clinic_csv", "nowhere.csv"), ("nowhere", "x.csv"), ()])
def test_a_sample_or_mapping_that_is_not_there_is_said(desk: Any, words: tuple[str, ...]) -> None:
    assert desk.run("map", *words, now=None).code == 2


def test_the_mappings_that_come_with_the_house_pass_their_own_tests(desk: Any) -> None:
    ran = desk.run("map", "--test", "--json", now=None)

    assert ran.code == 0, ran
    assert told(ran)["mappings"]["clinic_csv"] >= 12


def test_a_failing_test_of_a_mapping_shows_both_values(desk: Any) -> None:
    (desk.folder / "own.yaml").write_text(MAPPING)

    ran = desk.run("map", "own.yaml", "--test", now=None)

    assert ran.code == 3
    assert "own test 1: status: expected 'cancelled', found 'booked'" in ran.out


# --- send ----------------------------------------------------------------------------------------


def test_send_reads_no_source_and_sends_what_is_due(desk: Any, row: Row) -> None:
    desk.sync(row(1, time="09:30"))
    desk.drop(row(1), row(2))

    early = desk.run("send", "--json", now="2026-11-28T08:29:00Z")
    ran = desk.run("send", "--json", now="2026-11-28T08:30:00Z")

    assert told(early)["messages"]["sent"] == 0
    assert told(ran)["messages"]["sent"] == 1
    assert told(ran)["sources"] == {}
    assert len(told(desk.run("appointments", "--json"))) == 1


# --- all of them ---------------------------------------------------------------------------------

ASKING = ["status", "appointments", "check", "send", "quarantine list", "held list", "why 1"]


@pytest.mark.parametrize("command", ASKING)
def test_wrong_settings_end_in_a_sentence_and_exit_2(desk: Any, command: str) -> None:
    desk.change("country: DE", "country: Germany")

    ran = desk.run(*command.split())

    assert ran.code == 2
    assert "clinic.country" in ran.out + ran.err


@pytest.mark.parametrize("command", [c for c in ASKING if c != "check"])
def test_a_store_that_does_not_answer_is_exit_75(desk: Any, command: str) -> None:
    desk.write(
        desk.settings.read_text()
        + "store: {url: 'postgresql+psycopg://nobody@127.0.0.1:1/none?connect_timeout=1'}\n"
    )

    assert desk.run(*command.split()).code == 75


@pytest.mark.parametrize("command", ASKING)
def test_the_first_line_names_the_settings_in_use(desk: Any, row: Row, command: str) -> None:
    desk.sync(row(1))

    assert str(desk.settings) in desk.run(*command.split()).out.splitlines()[0]


# --- the reference pages -------------------------------------------------------------------------


def test_the_reference_pages_are_up_to_date() -> None:
    assert outdated(_reference.files()) == [], "run python -m commands._reference"


def test_every_command_and_option_says_what_it_is_for() -> None:
    page = _reference.commands_page()

    assert [
        name for group in GROUPS.values() for name in group if f"### {name}\n" not in page
    ] == []
    assert "| `--without-messages` | Apply it, but tell nobody. |" in page
    assert "` |  |" not in page


@pytest.mark.parametrize(
    ("name", "found", "told"),
    [
        (
            "shutil.disk_usage",
            lambda _folder: SimpleNamespace(free=1 << 20, total=1 << 30),
            "is full, or nearly",
        ),
        ("os.access", lambda _file, mode: mode != os.W_OK, "cannot be written"),
    ],
)
def test_status_is_red_when_the_next_run_could_keep_nothing(
    desk: Any, row: Row, monkeypatch: pytest.MonkeyPatch, name: str, found: Any, told: str
) -> None:
    desk.sync(row(1))
    assert desk.run("status").code == 0
    monkeypatch.setattr(f"sync.store.troubles.{name}", found)
    ran = desk.run("status")

    assert ran.code == 3
    assert told in ran.out


# --- an inbox that vanished ----------------------------------------------------------------------


@pytest.mark.parametrize("left", ["nothing", "an empty folder"])
def test_an_inbox_whose_disk_is_not_mounted_is_no_empty_inbox(
    desk: Any, row: Row, left: str
) -> None:
    assert desk.sync(row(1)).code == 0
    inbox, elsewhere = desk.folder / "drops" / "reception", desk.folder / "elsewhere"
    inbox.rename(elsewhere)
    if left == "an empty folder":
        inbox.mkdir()
    ran = desk.run("sync")
    assert ran.code == 3
    assert "is not the inbox from which files were taken" in ran.out
    assert "mount its disk or share" in ran.out
    assert "is not the inbox" in desk.run("check", "--connect").out
    assert inbox.exists() is (left == "an empty folder")
    assert not list(inbox.glob("*"))

    if inbox.exists():
        inbox.rmdir()
    elsewhere.rename(inbox)
    assert desk.sync(row(1), row(2)).code == 0


def test_an_inbox_that_was_emptied_on_purpose_and_another_one_are_taken(
    desk: Any, row: Row
) -> None:
    desk.sync(row(1))
    shutil.rmtree(desk.folder / "drops" / "reception")
    (desk.folder / "drops" / "reception" / "processed").mkdir(parents=True)
    assert desk.sync(row(1), row(2)).code == 0
    desk.change("contents: snapshot,", "contents: snapshot, inbox: other,")
    assert desk.run("sync").code == 0
