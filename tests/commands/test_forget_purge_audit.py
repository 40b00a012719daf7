"""`forget`, `purge` and `audit` as they are typed: what they say, and how they end."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.testing.kits import CANARY_EMAIL, CANARY_NAME, CANARY_PHONE

if TYPE_CHECKING:
    from tests.commands.conftest import Desk

AFTER = "2026-12-02T08:00:00Z"


@pytest.fixture
def known(desk: Desk, row: Callable[..., dict[str, Any]]) -> Desk:
    """A clinic that knows the canary patient's visit of yesterday, and one of somebody else."""
    other = row(2, patient_name="Olaf Other", phone="+4915155500002", email="o@mail.example")
    desk.sync(row(1), {**other, "date": "2026-12-20"})
    desk.run("sync", now="2026-12-01T08:00:00Z")
    return desk


def test_nothing_is_erased_before_the_clinics_id_is_typed(known: Desk) -> None:
    refused = known.run("forget", CANARY_PHONE, now=AFTER)
    assert refused.code == 2
    assert "--confirm riverside" in refused.err
    assert "1 visit with" in refused.out
    plan = known.run("forget", "reception/p1", "--plan", "--json", now=AFTER)
    assert plan.code == 0
    assert json.loads(plan.out)["visits"] == 1
    assert CANARY_NAME not in refused.out + refused.err + plan.out


def test_a_patient_is_asked_for_so_that_no_name_lands_in_a_history(
    known: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO(f"{CANARY_EMAIL}\n"))
    ran = known.run("forget", "-", "--confirm", "riverside", now=AFTER)
    assert ran.code == 0, ran.err
    assert known.run("why", CANARY_EMAIL, now=AFTER).code == 3
    why = known.run("why", "reception/p1", now=AFTER)
    assert "Erased on 02 Dec 2026 09:00 by " in why.out
    again = known.run("forget", "reception/p1", "--confirm", "riverside", now=AFTER)
    assert (again.code, "Erased on" in again.out) == (0, True)


def test_whom_nobody_knows_and_who_is_several_are_told(
    known: Desk, row: Callable[..., dict[str, Any]]
) -> None:
    assert known.run("forget", "nobody@mail.example", "--confirm", "riverside").code == 3
    known.sync(row(1), row(2), row(3), now="2026-12-01T09:00:00Z")
    several = known.run("forget", CANARY_PHONE, "--confirm", "riverside", now=AFTER)
    assert several.code == 2
    assert "reception/p1, reception/p2, reception/p3" in several.err


def test_a_visit_ahead_is_a_conflict_that_is_told_before_anything_is_done(known: Desk) -> None:
    held = known.run("forget", "reception/p2", "--confirm", "riverside", now=AFTER)
    assert held.code == 3
    assert "reception/2" in held.out
    assert "Nothing was done" in held.out
    assert known.run("forget", "reception/p2", "--plan", "--json", now=AFTER).code == 3
    done = known.run("forget", "reception/p2", "--ahead", "--confirm", "riverside", now=AFTER)
    assert done.code == 0, done.out


def test_a_reason_that_names_them_is_refused(known: Desk) -> None:
    words = ("forget", "reception/p1", "--confirm", "riverside", "--reason")
    assert known.run(*words, f"letter of {CANARY_NAME}", now=AFTER).code == 2
    assert known.run(*words, "letter 4711", now=AFTER).code == 0
    assert "letter 4711" in known.run("audit", "list", now=AFTER).out


def test_purge_says_what_it_would_do_and_does_it(known: Desk) -> None:
    known.change("reminders:", "retention: {appointments: 14d, bodies: 1d}\nreminders:")
    plan = known.run("purge", "--plan", "--json", now="2026-12-19T08:00:00Z")
    would = json.loads(plan.out)["would_delete"]
    assert (would["visits"], plan.code) == (1, 0)
    said = known.run("purge", now="2026-12-19T08:00:00Z")
    assert said.code == 0
    assert "1 visit   (retention.appointments: 14d)" in said.out
    nothing = known.run("purge", now="2026-12-19T08:00:00Z")
    assert "Nothing is old enough" in nothing.out


def test_too_short_a_retention_is_a_mistake_in_the_settings(known: Desk) -> None:
    known.change("reminders:", "retention: {appointments: 3d}\nreminders:")
    checked = known.run("check")
    assert checked.code == 2
    assert "retention.appointments" in checked.err + checked.out
    assert "14d" in checked.err + checked.out


def test_each_thing_that_people_do_is_one_entry(known: Desk) -> None:
    known.run("pause", "--reason", "=1+1", now=None)
    known.run("resume", now=None)
    known.run("forget", "reception/p1", "--confirm", "riverside", now=AFTER)
    listed = json.loads(known.run("audit", "list", "--json").out)
    assert [one["action"] for one in listed] == ["settings.seen", "pause", "resume", "forget"]
    assert all("@" in one["actor"] for one in listed)
    known.change("steps: [3d, 1d, 1h]", "steps: [1d]")
    known.run("sync", now=AFTER)
    known.run("sync", now=AFTER)
    listed = json.loads(known.run("audit", "list", "--json").out)
    assert [one["action"] for one in listed][4:] == ["settings.seen"]


def test_an_export_of_a_trail_that_was_tampered_with_says_so(known: Desk) -> None:
    known.run("pause", now=None)
    with closing(sqlite3.connect(known.folder / "var" / "clinicrelay.db")) as db, db:
        db.execute("UPDATE audit SET actor = 'nobody@x' WHERE action = 'pause'")
    ran = known.run("audit", "export", str(known.folder / "trail.jsonl"), "--json")
    assert (ran.code, json.loads(ran.out)["ok"]) == (3, False)
    other = known.run("audit", "export", str(known.folder / "again.jsonl"))
    assert "it says something else than it did" in other.out


def test_an_export_names_nobody_and_is_no_formula(
    known: Desk, row: Callable[..., dict[str, Any]]
) -> None:
    known.sync(row(1), row(3, date="2026-12-21"), now="2026-12-01T09:00:00Z")
    known.run("pause", "--reason", "=1+1", now=None)
    known.run("forget", "reception/p1", "--confirm", "riverside", now=AFTER)
    sheet, lines = known.folder / "trail.csv", known.folder / "trail.jsonl"
    assert known.run("audit", "export", str(sheet), "--messages").code == 0
    assert known.run("audit", "export", str(lines)).code == 0
    assert known.run("audit", "export", str(lines)).code == 2  # none is replaced
    assert known.run("audit", "export", str(known.folder / "trail.xls")).code == 2
    text = sheet.read_text()
    assert (sheet.stat().st_mode & 0o777) == 0o600
    for canary in (CANARY_NAME, CANARY_EMAIL, CANARY_PHONE):
        assert canary not in text
    rows = list(csv.DictReader(text.splitlines()))
    assert [one["reason"] for one in rows if one["action"] == "pause"] == ["'=1+1"]
    assert any(one["action"].startswith("message.") for one in rows)
    told = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [one["action"] for one in told] == ["settings.seen", "pause", "forget"]


def test_an_entry_that_sql_altered_is_named_and_ends_in_3(known: Desk) -> None:
    import sqlite3

    known.run("pause", now=None)
    assert known.run("audit", "verify").code == 0
    with sqlite3.connect(known.folder / "var" / "clinicrelay.db") as store:
        store.execute("UPDATE audit SET actor = 'nobody' WHERE number = 2")
    broken = known.run("audit", "verify")
    assert broken.code == 3
    assert "Entry 2" in broken.out
