"""Mistakes in templates are found before a patient reads them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from clinicrelay.contracts import Finding
from clinicrelay.testing import CLINIC
from sync.words import Words
from sync.words.check import check_words


def findings(folder: Path | None = None, language: str = "de") -> list[Finding]:
    return check_words(Words(language, CLINIC, folder))


def fault(folder: Path, template: str, name: str = "reminder.sms.de.j2") -> Finding:
    (folder / name).write_text(template)
    (found,) = findings(folder)
    assert found.file == str(folder / name)
    return found


def test_our_own_texts_are_without_fault() -> None:
    assert findings() == []
    assert check_words(Words("en", replace(CLINIC, country="US", phone=None), None)) == []


def test_a_misspelt_name_is_found_with_its_line_and_a_suggestion(tmp_path: Path) -> None:
    found = fault(tmp_path, "{{ clinic }}\n{% if place == 'x' %}\n{{ plase }}{% endif %}")
    assert (found.severity, found.code, found.line) == ("error", "unknown_variable", 3)
    assert found.fix == "Did you mean place?"


def test_what_is_not_allowed_hides_no_misspelt_name(tmp_path: Path) -> None:
    lines = ("{{ clinic.secret }}", "{{ wen | uper }}", "{{ loop.index }}", "{{ tme.x }}")
    (tmp_path / "reminder.sms.de.j2").write_text("\n".join(lines))

    assert {(f.line, f.code, f.message.split(": ", 1)[1]) for f in findings(tmp_path)} == {
        (1, "template_not_allowed", "there is no .secret here"),
        (2, "template_not_allowed", "there is no filter 'uper' here; there is upper"),
        (2, "unknown_variable", "wen cannot be used here"),
        (3, "unknown_variable", "loop cannot be used here"),
        (4, "template_not_allowed", "there is no .x here"),
        (4, "unknown_variable", "tme cannot be used here"),
    }


def test_what_a_loop_makes_is_known_in_it_and_nowhere_else(tmp_path: Path) -> None:
    loop = "{% for d in days %}{{ loop.index }} {{ d.day }}{% for v in d.visits %}{{ v.time }}"
    text = (
        loop
        + "{% endfor %}{% else %}{{ d }}{% endfor %}\n{% if count == 99 %}{{ v.time }}{% endif %}"
    )
    (tmp_path / "digest.sms.de.j2").write_text(text)

    assert {(f.line, f.message) for f in findings(tmp_path)} == {
        (1, "digest.sms.de.j2: d cannot be used here"),
        (2, "digest.sms.de.j2: v cannot be used here"),
    }


@pytest.mark.parametrize(
    "name", ["reminder.sms.de.j2", "confirmation.sms.de.j2", "doctor_reminder.sms.de.j2"]
)
def test_an_own_text_that_does_not_say_when_the_visit_is_is_a_warning(
    tmp_path: Path, name: str
) -> None:
    found = fault(tmp_path, "{{ clinic }}: {{ visit }}", name)

    assert (found.severity, found.code) == ("warning", "no_time")
    assert "{{ when }}" in found.fix


def test_a_cancellation_may_leave_out_when_the_visit_was(tmp_path: Path) -> None:
    (tmp_path / "cancellation.sms.de.j2").write_text("{{ clinic }}: {{ visit }}")
    assert findings(tmp_path) == []


@pytest.mark.parametrize("name", ["first_name", "practitioner", "reason", "service"])
def test_an_sms_cannot_say_what_an_sms_must_not(tmp_path: Path, name: str) -> None:
    found = fault(tmp_path, "{{ clinic }} {{ " + name + " }}")
    assert found.code == "unknown_variable"
    assert name in found.message


def test_a_syntax_error_is_found_with_its_line(tmp_path: Path) -> None:
    found = fault(tmp_path, "{{ clinic }}\n{% if place %}")
    assert (found.code, found.line) == ("template_syntax", 2)


def test_an_error_while_filling_in_is_found_with_its_line(tmp_path: Path) -> None:
    found = fault(tmp_path, "{{ clinic }}\n\n{{ day + 1 }}")
    assert (found.code, found.line) == ("template_broken", 3)


def test_a_file_of_another_encoding_is_found(tmp_path: Path) -> None:
    (tmp_path / "reminder.sms.de.j2").write_bytes("Grüße {{ clinic }}".encode("cp1252"))
    (found,) = findings(tmp_path)
    assert found.code == "template_not_utf8"


@pytest.mark.parametrize(
    "text",
    [
        "To cancel, send CANCEL.",
        "STOP to end",
        "Please reply with 1",
        "Antworten Sie mit JA",
        "Respond YES",
    ],
)
def test_no_text_may_ask_for_a_reply(tmp_path: Path, text: str) -> None:
    found = fault(tmp_path, "{{ clinic }}: {{ day }}\n" + text)
    assert (found.code, found.line) == ("forbidden_word", 2)


@pytest.mark.parametrize("text", ["was cancelled", "Do not reply", "at the end of the day"])
def test_harmless_words_may_stand(tmp_path: Path, text: str) -> None:
    (tmp_path / "reminder.sms.de.j2").write_text("{{ clinic }}: {{ day }} " + text)
    assert findings(tmp_path) == []


def test_a_long_sms_is_found(tmp_path: Path) -> None:
    found = fault(tmp_path, "{{ clinic }} {{ when }} " + "x" * 300)
    assert (found.severity, found.code) == ("warning", "sms_too_long")


def test_a_mail_without_a_subject_is_found(tmp_path: Path) -> None:
    found = fault(tmp_path, "Hello from {{ clinic }}", "cancellation.email.de.j2")
    assert found.code == "no_subject"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("remainder.sms.de.j2", "reminder.sms.j2"),
        ("reminder.sms.txt", "reminder.sms.j2"),
        ("reminder.mail.j2", "reminder.email.j2"),
    ],
)
def test_a_file_that_would_never_be_used_is_found(tmp_path: Path, name: str, meant: str) -> None:
    found = fault(tmp_path, "{{ clinic }}", name)
    assert found.code == "template_not_used"
    assert found.fix == f"Did you mean {meant}?"


def test_a_language_we_do_not_speak_is_found_text_by_text(tmp_path: Path) -> None:
    before = {f.message for f in findings(language="da") if f.code == "language_missing"}
    assert any("reminder.sms in 'da'" in message for message in before)
    (tmp_path / "reminder.sms.da.j2").write_text("{{ clinic }}: {{ when }}")
    after = {f.message for f in findings(tmp_path, "da") if f.code == "language_missing"}
    assert {m for m in before - after if "reminder.sms" in m}
    assert after < before
