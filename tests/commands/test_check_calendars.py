"""`check --connect` tells of each doctor's calendar what can be done in it, and of each cause once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import pytest

from clinicrelay import plugins
from clinicrelay.contracts import Calendar, EventResult, EventWrite, Finding, Memo, Outcome, Reach
from clinicrelay.settings.values import Section
from clinicrelay.testing.kits import CANARY_EMAIL, CANARY_NAME, canaries_in

NOT_SHARED = Finding("error", "not_shared", "the calendar is not shared", "Ask the doctor.")
DEAD_KEY = Finding("error", "account_key", "the key is not accepted", "Make a new one.")
UNWISE = Finding("warning", "no_effect", "this changes nothing", "Delete it.")
SETTINGS = """
doctors:
  - {id: acar, match: acar, name: Quenby Canary, calendar: quenby@canary.example}
  - {id: braun, match: {reception: b1}, calendar: {office: braun@riverside.example}}
  - {id: quill, match: quill, email: quill@riverside.example}
  - {id: nobody, match: none}
"""


class NoKeys(Section):
    """Fakes are told what to do by the test."""


class Office(Calendar):
    """An office in memory: `wrong` says which of its calendars cannot be written, and why."""

    Options = NoKeys
    wrong: ClassVar[dict[str, Finding]] = {}
    locked: ClassVar[Finding | None] = None
    asked: ClassVar[list[str]] = []
    written: ClassVar[list[EventWrite]] = []

    def advise(self) -> Iterator[Finding]:
        yield UNWISE

    def check(self) -> Iterator[Finding]:
        self.asked.append("check")
        yield from [self.locked] if self.locked else []

    def reach(self, calendars: Sequence[str]) -> Iterator[Reach]:
        self.asked.append("reach")
        for one in calendars:
            wrong = self.wrong.get(one)
            role = "" if wrong else "writer"
            yield Reach(one, role, "Europe/Berlin", meetings=wrong is None, wrong=wrong)

    def apply(self, calendar: str, writes: Sequence[EventWrite]) -> Iterator[EventResult]:
        for write in writes:
            self.written.append(write)
            yield EventResult(write.ref, Outcome.ACCEPTED)

    def shows(self, calendar: str, ref: str, memo: Memo) -> bool:
        return True


@pytest.fixture
def office(desk: Any, monkeypatch: pytest.MonkeyPatch) -> type[Office]:
    """An office calendar in the clinic's settings, and three doctors who have a place there."""
    usual = plugins.find
    monkeypatch.setattr(plugins, "find", lambda *a: Office if a[1] == "office" else usual(*a))
    for name, empty in (("wrong", {}), ("locked", None), ("asked", []), ("written", [])):
        monkeypatch.setattr(Office, name, empty)
    desk.change("  files: {type: ics}", f"  office: {{type: office}}{SETTINGS.rstrip()}")
    return Office


def checked(desk: Any) -> tuple[int, dict[str, Any]]:
    ran = desk.run("check", "--connect", "--json", now=None)
    return ran.code, json.loads(ran.out)


def errors(told: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in told["findings"] if one["severity"] == "error"]


def test_each_doctor_gets_a_row_and_one_without_a_calendar_none(
    desk: Any, office: type[Office]
) -> None:
    office.wrong["braun@riverside.example"] = NOT_SHARED
    ran = desk.run("check", "--connect", now=None)
    rows = [" ".join(line.split()) for line in ran.out.splitlines()]

    assert "office: 2 of 3 doctors' calendars can be written" in rows
    assert "acar writer Europe/Berlin own alarms: no Meet: yes" in rows
    assert "braun - Europe/Berlin own alarms: no Meet: no cannot be written (not_shared)" in rows
    assert any(row.startswith("quill writer") for row in rows)
    assert "nobody" not in ran.out


def test_who_was_only_seen_in_the_source_is_asked_about_too(
    desk: Any, office: type[Office], row: Callable[..., Any]
) -> None:
    desk.sync(row(1, doctor_id="ortiz", doctor_email="ortiz@riverside.example"))
    _, told = checked(desk)
    found = {one["doctor"]: one["calendar"] for one in told["calendars"]["office"]}

    assert found["reception/ortiz"] == "ortiz@riverside.example"
    assert found["quill"] == "quill@riverside.example"


def test_programs_get_the_same_in_full(desk: Any, office: type[Office]) -> None:
    office.wrong["braun@riverside.example"] = NOT_SHARED
    _, told = checked(desk)

    assert told["calendars"]["office"][:2] == [
        {
            "calendar": CANARY_EMAIL,
            "doctor": "acar",
            "role": "writer",
            "zone": "Europe/Berlin",
            "own_reminders": False,
            "meetings": True,
            "reason": None,
        },
        {
            "calendar": "braun@riverside.example",
            "doctor": "braun",
            "role": None,
            "zone": "Europe/Berlin",
            "own_reminders": False,
            "meetings": False,
            "reason": "not_shared",
        },
    ]


def test_what_is_wrong_with_one_calendar_stands_at_the_doctor_s_own_line(
    desk: Any, office: type[Office]
) -> None:
    lines = desk.settings.read_text("utf-8").splitlines()
    wrong = (
        (CANARY_EMAIL, "doctors[0].calendar", "id: acar"),
        ("braun@riverside.example", "doctors[1].calendar.office", "id: braun"),
        ("quill@riverside.example", "doctors[2].email", "id: quill"),
    )
    for address, path, text in wrong:
        office.wrong.clear()
        office.wrong[address] = NOT_SHARED
        code, told = checked(desk)
        [finding] = errors(told)

        assert code == 2
        assert (finding["path"], finding["code"]) == (path, "not_shared")
        assert text in lines[finding["line"] - 1]
        assert finding["message"].endswith(": the calendar is not shared")
        assert finding["fix"] == "Ask the doctor."


def test_one_cause_is_told_once_however_many_calendars_it_stops(
    desk: Any, office: type[Office]
) -> None:
    for address in (CANARY_EMAIL, "braun@riverside.example", "quill@riverside.example"):
        office.wrong[address] = DEAD_KEY
    code, told = checked(desk)
    [finding] = errors(told)

    assert code == 2
    assert finding["path"] == "calendars.office"
    assert finding["message"] == "acar, braun, quill (3 calendars): the key is not accepted"
    assert [one["reason"] for one in told["calendars"]["office"]] == ["account_key"] * 3


def test_of_many_doctors_a_sentence_names_some_and_counts_the_rest(
    desk: Any, office: type[Office]
) -> None:
    more = "".join(
        f"  - {{id: d{n}, match: d{n}, calendar: d{n}@riverside.example}}\n" for n in range(8)
    )
    desk.change("  - {id: nobody, match: none}\n", more)
    office.wrong.update({f"d{n}@riverside.example": DEAD_KEY for n in range(8)})
    [finding] = errors(checked(desk)[1])

    assert finding["message"].startswith("d0, d1, d2, d3, d4 and 3 more (8 calendars): ")


def test_where_the_account_is_not_let_in_no_calendar_is_asked(
    desk: Any, office: type[Office], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(office, "locked", DEAD_KEY)
    code, told = checked(desk)

    assert code == 2
    assert [one["code"] for one in errors(told)] == ["account_key"]
    assert office.asked == ["check"]
    assert "calendars" not in told


def test_without_connect_nothing_is_asked_and_what_is_unwise_is_said(
    desk: Any, office: type[Office]
) -> None:
    ran = desk.run("check", now=None)

    assert ran.code == 0
    assert "calendars.office: this changes nothing" in ran.out
    assert office.asked == []


def test_a_pipe_gets_ids_and_nobody_s_name_or_address(desk: Any, office: type[Office]) -> None:
    office.wrong[CANARY_EMAIL] = NOT_SHARED
    ran = desk.run("check", "--connect", now=None)

    assert CANARY_NAME in desk.settings.read_text("utf-8")
    assert "acar" in ran.out
    assert canaries_in(ran.out, ran.err) == []


def test_a_clinic_whose_doctors_have_no_calendar_is_not_wrong(
    desk: Any, office: type[Office]
) -> None:
    desk.change(SETTINGS.rstrip(), "")
    ran = desk.run("check", "--connect", now=None)

    assert ran.code == 0
    assert "office: no doctor has a calendar there. See: clinicrelay doctors" in ran.out


# --- a trial looks first -------------------------------------------------------------------------


def test_a_trial_writes_nothing_where_it_could_not_take_it_away_again(
    desk: Any, office: type[Office]
) -> None:
    office.wrong["braun@riverside.example"] = NOT_SHARED
    ran = desk.run("try", "office", "--doctor", "braun", now=None)

    assert ran.code == 3
    assert "office cannot write there: the calendar is not shared. Ask the doctor." in ran.out
    assert office.written == []


def test_a_trial_puts_an_event_and_takes_it_away_again(desk: Any, office: type[Office]) -> None:
    ran = desk.run("try", "office", "--doctor", "braun", now=None)

    assert ran.code == 0
    assert [write.put for write in office.written] == [True, False]
