"""Who is visited and where that shows; names and addresses are for a person at a screen."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from ruamel.yaml import YAML

from calendars.ics import Ics
from clinicrelay import Practitioner
from clinicrelay.settings import load
from commands._call import Call

Row = Callable[..., dict[str, Any]]
NAME, MAIL = "Dr. Quenby Härtel-Østergård", "quenby.haertel@riverside.example"


@pytest.fixture
def by_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calendars are addresses, as with the services that people have accounts at."""

    def address_of(practitioner: Practitioner) -> str | None:
        return practitioner.email

    monkeypatch.setattr(Ics, "address_of", staticmethod(address_of))


@pytest.fixture
def seen(desk: Any, row: Row) -> Any:
    """Three doctors, of whom only acar has an e-mail."""
    desk.sync(
        row(1),
        row(2),
        row(3, doctor_id="D/17", doctor_email=""),
        row(4, doctor_id="D 9", doctor_email=""),
        row(5, doctor_id="D 9", doctor_email="", date="2026-11-20"),
    )
    return desk


def told(desk: Any) -> dict[str, Any]:
    ran = desk.run("doctors", "--json")
    assert ran.code == 0, ran
    found: dict[str, Any] = json.loads(ran.out)
    return found


def test_before_any_read_nobody_is_known(desk: Any) -> None:
    ran = desk.run("doctors")

    assert ran.code == 0
    assert "No source has named a practitioner so far: clinicrelay sync reads them." in ran.out
    assert told(desk) == {"practitioners": [], "unseen": [], "paste": None}


def test_files_need_no_link(seen: Any) -> None:
    ran = seen.run("doctors")

    assert ran.code == 0
    assert "3 practitioners, all linked." in ran.out
    assert "doctors:" not in ran.out


@pytest.mark.usefixtures("by_mail")
def test_json_has_exactly_its_keys(seen: Any) -> None:
    acar, nine, _ = sorted(told(seen)["practitioners"], key=lambda one: one["key"] != "acar")

    assert acar == {
        "source": "reception",
        "key": "acar",
        "name": None,
        "email": "acar@riverside.example",
        "visits_ahead": 2,
        "doctor": None,
        "calendars": {
            "files": {"address": "acar@riverside.example", "state": "linked", "reason": ""}
        },
    }
    assert (nine["key"], nine["visits_ahead"], nine["calendars"]) == ("D 9", 1, {"files": None})


@pytest.mark.usefixtures("by_mail")
def test_whoever_has_no_calendar_gets_a_line_to_paste(seen: Any) -> None:
    ran = seen.run("doctors")

    assert "3 practitioners, 2 without a calendar." in ran.out
    assert ran.out.endswith(
        "doctors:\n"
        '  - {id: d_9, match: {reception: "D 9"}, calendar: {files: }}  # 1 visit ahead\n'
        "  - {id: d_17, match: {reception: D/17}, calendar: {files: }}  # 1 visit ahead\n"
    )


@pytest.mark.usefixtures("by_mail")
def test_what_was_pasted_and_filled_in_links_them(seen: Any) -> None:
    paste = told(seen)["paste"]
    filled = paste.replace("{files: }", "{files: room-9}", 1)
    seen.write(seen.settings.read_text() + filled + "\n")

    after = told(seen)

    assert load(seen.settings, environ={}).settings.doctors[0].calendar == {"files": "room-9"}
    linked = {one["key"]: one["calendars"]["files"] for one in after["practitioners"]}
    assert linked["D 9"]["address"] == "room-9"
    assert linked["D/17"] is None
    assert after["paste"] is None
    assert (
        "doctors: d_17 has no calendar in files: add it to that entry." in seen.run("doctors").out
    )


def test_an_entry_that_matches_nobody_is_told(seen: Any) -> None:
    seen.write(seen.settings.read_text() + "doctors: [{id: costa, match: C0STA}]\n")

    assert (
        "doctors: costa matches nobody that a source has named so far." in seen.run("doctors").out
    )
    assert told(seen)["unseen"] == [{"id": "costa", "match": "C0STA"}]


def test_without_calendars_there_is_nothing_to_link(seen: Any) -> None:
    seen.change("calendars:\n  files: {type: ics}\n", "")

    ran = seen.run("doctors")

    assert ran.code == 0
    assert "No calendar is named in the settings" in ran.out


def test_a_calendar_that_takes_nothing_is_told_as_blocked(seen: Any) -> None:
    folder = seen.folder / "var" / "calendars"
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    folder.write_text("in the way", encoding="utf-8")
    seen.sync()

    states = {one["key"]: one["calendars"]["files"] for one in told(seen)["practitioners"]}

    assert states["acar"]["state"] == "blocked"
    assert "files: blocked (folder_not_writable)" in seen.run("doctors").out


# --- names ---------------------------------------------------------------------------------------


@pytest.fixture
def named(desk: Any, row: Row) -> Any:
    """One doctor whose name and e-mail are told by the source."""
    inbox = desk.folder / "drops" / "reception"
    inbox.mkdir(parents=True)
    (inbox / "named.csv").write_text(
        "appointment_id,date,time,status,patient_id,doctor_id,doctor_name,doctor_email\n"
        f"1,2026-12-01,09:00,booked,p1,17,{NAME},{MAIL}\n"
        f'2,2026-12-01,09:00,booked,p2,18,"Ünal, Öz ""the # doc""",\n',
        encoding="utf-8",
    )
    assert desk.sync().code == 0
    return desk


@pytest.mark.usefixtures("by_mail")
def test_a_pipe_gets_keys_and_no_name_or_address(named: Any) -> None:
    ran = named.run("doctors")

    assert "reception/17" in ran.out
    assert "files: linked" in ran.out
    assert "{id: doctor, match" not in ran.out
    for word in ("Quenby", "Härtel", "quenby", "Ünal", "unal", MAIL):
        assert word not in ran.out


@pytest.mark.usefixtures("by_mail")
def test_a_person_at_a_screen_sees_names_and_ids_made_of_them(
    named: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Call, "on_terminal", property(lambda call: True))
    monkeypatch.setenv("COLUMNS", "200")

    ran = named.run("doctors")

    assert NAME in ran.out
    assert MAIL in ran.out
    line = '  - {id: unal, match: {reception: "18"}, calendar: {files: }}'
    assert f'{line}  # Ünal, Öz "the # doc", 1 visit ahead' in ran.out


@pytest.mark.usefixtures("by_mail")
def test_the_lines_are_yaml_whatever_a_name_holds(named: Any) -> None:
    read = YAML(typ="safe", pure=True).load(told(named)["paste"])

    assert read == {
        "doctors": [{"id": "unal", "match": {"reception": "18"}, "calendar": {"files": None}}]
    }


@pytest.mark.usefixtures("by_mail")
def test_one_person_in_two_sources_gets_one_line(named: Any) -> None:
    named.change(
        "settle: 0s}}\n",
        "settle: 0s}}\n  evening: {type: csv, contents: snapshot, ready: {settle: 0s}}\n",
    )
    inbox = named.folder / "drops" / "evening"
    inbox.mkdir(parents=True)
    (inbox / "named.csv").write_text(
        "appointment_id,date,time,status,patient_id,doctor_id,doctor_name\n"
        '1,2026-12-01,19:00,booked,p1,OE,"Ünal, Öz ""the # doc"""\n'
        "2,2026-12-01,19:00,booked,p1,18,Someone Else\n"
        "3,2026-12-01,19:00,booked,p1,20,Other Else\n",
        encoding="utf-8",
    )
    named.sync()

    read = YAML(typ="safe", pure=True).load(told(named)["paste"])["doctors"]

    assert {one["id"]: one["match"] for one in read} == {
        "else": {"evening": "18"},
        "else_2": {"evening": "20"},
        "unal": {"evening": "OE", "reception": "18"},
    }
