"""A log of changes, kept by the triggers of its page, is read by the settings of its page."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from clinicrelay.errors import Refused

PAGE = Path(__file__).parents[3] / "docs" / "howto" / "connect-audit-sql.md"
HEADINGS = {"postgresql": "PostgreSQL", "mysql": "MariaDB and MySQL", "sqlite": "SQLite"}
TABLES = (
    "CREATE TABLE patients (id INTEGER PRIMARY KEY, name VARCHAR(80), phone VARCHAR(40), "
    "email VARCHAR(80))",
    "CREATE TABLE appointments (id INTEGER PRIMARY KEY, starts_at {time}, status VARCHAR(20), "
    "patient_id INTEGER, doctor_id INTEGER)",
    "INSERT INTO patients VALUES (1, 'Ann Sample', '+12025550100', 'ann@mail.example')",
    "INSERT INTO appointments VALUES (1, '2026-12-01 09:30:00', 'scheduled', 1, 3)",
    "INSERT INTO appointments VALUES (2, '2026-12-02 09:30:00', 'scheduled', 1, 3)",
)


def blocks(language: str, after: str = "") -> list[str]:
    text = (
        PAGE.read_text(encoding="utf-8").partition(after)[2] if after else PAGE.read_text("utf-8")
    )
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def statements(kind: str) -> Iterator[str]:
    """Yield the page's statements as a server takes them; in SQLite a trigger holds semicolons."""
    script = blocks("sql", f"### {HEADINGS[kind]}\n")[0]
    if kind != "sqlite":
        yield from [script] if kind == "postgresql" else filter(str.strip, script.split(";\n"))
        return
    part = ""
    for line in script.splitlines(keepends=True):
        part += line
        if sqlite3.complete_statement(part):
            yield part
            part = ""


def settings() -> dict[str, Any]:
    source = dict(YAML(typ="safe").load(blocks("yaml")[0])["sources"]["practice"])
    return {name: source[name] for name in ("query", "key", "cursor", "zones", "gone")}


@pytest.fixture
def log(clinic: Any) -> Any:
    for statement in TABLES:
        clinic.run(statement.format(time="TEXT" if clinic.kind == "sqlite" else "TIMESTAMP NULL"))
    for statement in statements(clinic.kind):
        clinic.run(statement)
    clinic.real_clock = True
    return clinic


def told(read: Any) -> dict[str, tuple[str, bool]]:
    return {r.key: (r.data["status"], r.gone) for r in read.records}


def test_what_was_there_before_the_log_is_read_first(log: Any) -> None:
    read = log.read(**settings())
    assert told(read) == {"1": ("scheduled", False), "2": ("scheduled", False)}
    assert read.pages[-1].complete


def test_the_newest_entry_of_a_visit_wins_and_a_delete_proves_it_gone(log: Any) -> None:
    first = log.read(**settings())
    for statement in (
        "UPDATE appointments SET status = 'arrived' WHERE id = 1",
        "UPDATE appointments SET status = 'cancelled' WHERE id = 1",
        "INSERT INTO appointments VALUES (3, '2026-12-03 09:30:00', 'scheduled', 1, 3)",
        "UPDATE appointments SET status = 'arrived' WHERE id = 2",
        "DELETE FROM appointments WHERE id = 2",
    ):
        log.run(statement)
    second = log.read(first.cursor, **settings())
    assert second.pages[-1].changes
    assert told(second) == {
        "1": ("cancelled", False),
        "2": ("arrived", True),
        "3": ("scheduled", False),
    }
    everything = log.read(**settings())
    assert told(everything) == told(second)


def test_a_visit_that_was_deleted_and_made_again_is_there(log: Any) -> None:
    log.run("DELETE FROM appointments WHERE id = 2")
    log.run("INSERT INTO appointments VALUES (2, '2026-12-09 09:30:00', 'scheduled', 1, 3)")
    assert told(log.read(**settings()))["2"] == ("scheduled", False)


def test_who_is_asked_for_by_key_is_gone_by_its_newest_entry(log: Any) -> None:
    log.read(**settings())
    log.run("DELETE FROM appointments WHERE id = 2")
    connector = log.connector(**settings())
    found = {r.key: r.gone for page in connector.reread(["1", "2"]) for r in page.records}
    assert found == {"1": False, "2": True}


@pytest.mark.parametrize("gone", [{"deleted": 1}, {"deleted": "1"}, {"Deleted": [1, "y"]}], ids=str)
def test_a_flag_says_that_a_visit_is_gone(clinic: Any, gone: dict[str, Any]) -> None:
    clinic.run("CREATE TABLE flagged (appointment_id INTEGER, deleted INTEGER)")
    clinic.run("INSERT INTO flagged VALUES (?, ?)", (1, 0), (2, 1), (3, None))
    said = {"query": "SELECT appointment_id, deleted FROM flagged", "gone": gone}
    assert {r.key: r.gone for r in clinic.read(**said).records} == {
        "1": False,
        "2": True,
        "3": False,
    }


def test_another_word_for_gone_is_another_reading_of_the_same_rows(clinic: Any) -> None:
    clinic.open()
    clinic.book(1)
    first = clinic.read(cursor="updated_at")
    clinic.now += timedelta(minutes=5)
    again = clinic.read(first.cursor, cursor="updated_at", gone={"status": "scheduled"})
    assert not again.pages[-1].changes
    assert [record.gone for record in again.records] == [True]
    assert first.records[0].digest != again.records[0].digest


def test_a_column_of_gone_that_is_not_there_is_refused(clinic: Any) -> None:
    clinic.open()
    with pytest.raises(Refused, match="gone names statuss") as error:
        clinic.read(gone={"statuss": "x"})
    assert "did you mean status?" in error.value.fix
