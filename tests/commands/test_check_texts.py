"""A clinic's own texts, from its folder to `check`, and to what a patient gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def folder(desk: Any) -> Path:
    """A clinic with a templates folder of its own, still empty."""
    desk.write(desk.settings.read_text() + "templates: templates\n")
    made: Path = desk.folder / "templates"
    made.mkdir()
    return made


def findings(desk: Any, *, code: int) -> list[dict[str, Any]]:
    ran = desk.run("check", "--json")
    assert ran.code == code, ran
    found: list[dict[str, Any]] = json.loads(ran.out)["findings"]
    return found


def test_every_mistake_in_the_folder_is_told_at_once_with_file_and_line(
    desk: Any, folder: Path
) -> None:
    wrong = {
        "reminder.sms.en.j2": ("{{ clinic }}\n{{ docter }}", 2, "unknown_variable"),
        "reminder.sms.de.j2": ("{{ clinic }}\n\n{% if day %}", 3, "template_syntax"),
        "reminder.email.en.j2": ("{{ clinic }} {{ when }}", 1, "no_subject"),
        "change.sms.fr.j2": ("{{ clinic }}\nEnvoyez ARRET", 2, "forbidden_word"),
        "change.sms.es.j2": ("{{ clinic }}: responda SI", 1, "forbidden_word"),
        "cancellation.sms.en.j2": ("{{ clinic }} " + "x" * 300, 1, "sms_too_long"),
        "digest.sms.tr.j2": ("\n{% set x = 1 %}", 2, "template_not_allowed"),
        "remainder.sms.en.j2": ("{{ clinic }}", None, "template_not_used"),
        "reminder.sms.deutsch.j2": ("{{ clinic }} {{ when }}", None, "unknown_language"),
        "reminder.sms.de_AT.j2": ("{{ clinic }} {{ when }}", None, "unknown_language"),
        "confirmation.sms.en.j2": ("{{ clinic }}", 1, "no_time"),
        "confirmation.sms.j2": ("{{ clinic }} {{ when }}", None, "template_twice"),
    }
    for name, (text, _, _) in wrong.items():
        (folder / name).write_text(text)

    found = findings(desk, code=2)

    told = {(Path(f["file"]).name, f["line"], f["code"]) for f in found}
    assert told == {(name, line, code) for name, (_, line, code) in wrong.items() if code}
    assert all(Path(f["file"]).parent == folder and f["fix"] for f in found)
    fixes = {Path(f["file"]).name: f["fix"] for f in found}
    assert "reminder.sms" in fixes["remainder.sms.en.j2"]
    assert "reminder.sms.de.j2" in fixes["reminder.sms.deutsch.j2"]
    assert "reminder.sms.de-AT.j2" in fixes["reminder.sms.de_AT.j2"]


def test_a_missing_folder_is_told_at_its_line_in_the_settings(desk: Any, folder: Path) -> None:
    folder.rmdir()

    (found,) = findings(desk, code=2)

    assert found["code"] == "templates_missing"
    assert found["file"] == str(desk.settings)
    lines = desk.settings.read_text().splitlines()
    assert lines[found["line"] - 1].startswith("templates:")


def test_a_person_reads_where_a_mistake_is_and_how_to_mend_it(desk: Any, folder: Path) -> None:
    (folder / "reminder.sms.en.j2").write_text("{{ clinic }}\n{{ docter }}")
    ran = desk.run("check")
    assert f"{folder / 'reminder.sms.en.j2'}:2:1: error: templates: " in ran.out
    assert "docter" in ran.out


def test_good_texts_in_ten_languages_pass(desk: Any, folder: Path) -> None:
    for language in ("de", "en", "es-MX", "fr", "it", "pt-BR", "nl", "pl", "tr", "da", "es-419"):
        (folder / f"reminder.sms.{language}.j2").write_text("{{ clinic }}: {{ day }}, {{ time }}")
    assert findings(desk, code=0) == []


def mails(desk: Any) -> list[str]:
    return [f.read_text() for f in sorted((desk.folder / "var/outbox").glob("**/*.eml"))]


def book(desk: Any, row: Any) -> Any:
    """A first read, which tells nobody, and then one with a visit more."""
    desk.sync(row(1), row(2))
    return desk.sync(row(1), row(2), row(3), now="2026-11-23T09:00:00Z")


def test_a_patient_gets_the_clinics_own_words(desk: Any, folder: Path, row: Any) -> None:
    (folder / "confirmation.email.j2").write_text(
        "Subject: See you on {{ day }}\n\nWe look forward to you.\n{{ clinic }}\n"
    )

    ran = book(desk, row)

    (mail,) = mails(desk)
    assert "See you on Tuesday" in mail
    assert "We look forward to you." in mail
    assert ran.code == 0


def test_a_text_that_fails_is_said_in_our_words_and_sync_tells_so(
    desk: Any, folder: Path, row: Any
) -> None:
    (folder / "confirmation.email.en.j2").write_text("Subject: x\n\n{{ docter }}")

    ran = book(desk, row)

    (mail,) = mails(desk)
    assert "Your appointment is booked" in mail
    assert ran.code == 3
    assert "confirmation.email.en.j2 cannot be filled in, ours was sent" in ran.out
    assert "clinicrelay check" in ran.out


def test_a_program_is_told_which_text_failed(desk: Any, folder: Path, row: Any) -> None:
    (folder / "confirmation.email.en.j2").write_text("Subject: x\n\n{{ docter }}")
    desk.sync(row(1))
    desk.drop(row(1), row(2))
    ran = desk.run("sync", "--json", now="2026-11-23T09:00:00Z")
    assert json.loads(ran.out)["messages"]["broken_texts"] == ["confirmation.email.en.j2"]


def test_a_folder_that_is_gone_stops_no_message(desk: Any, folder: Path, row: Any) -> None:
    folder.rmdir()
    book(desk, row)
    assert len(mails(desk)) == 1


def test_what_an_sms_costs_is_told_with_the_characters_that_cost(desk: Any, folder: Path) -> None:
    (folder / "reminder.sms.en.j2").write_text("{{ clinic }}: \u03b1 {{ when }} " + "x" * 60)
    (folder / "reminder.sms.ru.j2").write_text("{{ clinic }}: ждём Вас на приём {{ when }}")
    ran = desk.run("check")
    assert ran.code == 0
    line = "reminder.sms in en: 2 SMS each time, UCS-2 because of \u03b1 (U+03B1); without: 1 SMS."
    assert line in ran.out.splitlines()
    assert "reminder.sms in ru" not in ran.out  # it has no cheaper letters

    explained = desk.run("check", "--explain").out.splitlines()
    rows = [line.split("  ") for line in explained if line.startswith("reminder  ")]
    assert [[cell.strip() for cell in row if cell.strip()] for row in rows] == [
        ["reminder", "en", "2", "UCS-2 because of \u03b1 (U+03B1); without: 1 SMS."],
        ["reminder", "ru", "1", "UCS-2: Cyrillic."],
    ]

    told = json.loads(desk.run("check", "--json").out)["sms"]
    (english,) = [one for one in told if (one["text"], one["language"]) == ("reminder", "en")]
    assert (english["encoding"], english["messages"], english["without"]) == ("UCS-2", 2, 1)
    assert english["costly"] == [{"character": "\u03b1", "code": "U+03B1"}]
    assert {one["text"] for one in told} == {
        "confirmation", "reminder", "change", "cancellation", "digest", "doctor_reminder",
    }  # fmt: skip


def test_cheap_texts_cost_no_line(desk: Any) -> None:
    assert " SMS" not in desk.run("check").out


def test_a_script_is_named_in_one_word(desk: Any) -> None:
    for language, script in (("ar", "Arabic"), ("hi", "Devanagari"), ("zh", "Chinese")):
        ran = desk.run(
            "messages", "preview", "reminder", "--language", language, "--channel", "sms"
        )
        assert f"UCS-2: {script}." in ran.out
        assert "U+" not in ran.out
