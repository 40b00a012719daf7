"""A clinic's template can name, choose and repeat; it reaches nothing, and it always ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from jinja2 import TemplateAssertionError, TemplateError

from clinicrelay.actions import MessageKind, Role
from clinicrelay.model import Channel
from clinicrelay.testing import CLINIC
from sync.words import Words
from sync.words.check import check_words
from sync.words.samples import samples

FILE = "reminder.sms.de.j2"

# Each with the line it is told at.
NOT_ALLOWED = {
    "{{ 'x' * 1000000000 }}": 1,
    "{{ 9 ** 9 ** 9 }}": 1,
    "\n{{ '%1000000000d' % 1 }}": 2,
    "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}": 1,
    "{% for a in 'xxxxxxxxxx' %}x{% endfor %}": 1,
    "{% for a in clinic %}x{% endfor %}": 1,
    "{% for a in days recursive %}{{ loop(days) }}{% endfor %}": 1,
    "{% for a in days %}{% for b in days %}{% for c in days %}x{% endfor %}{% endfor %}{% endfor %}": 1,
    "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}\n{{ m() }}": 1,
    "{% set a = 'xx' %}{{ a }}": 1,
    "{% set a %}x{% endset %}{{ a }}": 1,
    "{{ 'a' | replace('', 'xxxxxxxxxx') }}": 1,
    "{{ 'a' | replace('a', 'xxxxxxxxxx') }}": 1,
    "{{ clinic | replace('a', clinic) }}": 1,
    "{{ clinic | center(1000000000) }}": 1,
    "{{ clinic | attr('__class__') }}": 1,
    "{{ clinic.__class__ }}": 1,
    "\n\n{{ ().__class__.__base__.__subclasses__() }}": 3,
    "{{ clinic.format }}": 1,
    "{{ clinic.upper() }}": 1,
    "{{ self }}{{ self.__init__ }}": 1,
    "{{ lipsum() }}": 1,
    "{{ cycler }}{{ cycler.__init__.__globals__ }}": 1,
    "{% include 'ours/en/reminder.sms.j2' %}": 1,
    "{% import 'ours/en/reminder.sms.j2' as x %}": 1,
    "{% extends 'ours/en/reminder.sms.j2' %}": 1,
    "{% block x %}{% endblock %}": 1,
    "{% filter upper %}x{% endfilter %}": 1,
    "{% call x() %}{% endcall %}": 1,
    "x" * 20_001: 1,
}


def words(folder: Path, template: str) -> Words:
    (folder / FILE).write_text(template)
    return Words("de", CLINIC, folder)


@pytest.mark.parametrize("template", NOT_ALLOWED, ids=range(len(NOT_ALLOWED)))
def test_what_is_not_on_the_list_is_found_and_never_done(tmp_path: Path, template: str) -> None:
    ours = words(tmp_path, template)

    found = check_words(ours)

    assert found
    assert {finding.file for finding in found} == {str(tmp_path / FILE)}
    assert min(finding.line for finding in found) == NOT_ALLOWED[template]
    (facts, *_) = samples(MessageKind.REMINDER)
    made = ours.render(MessageKind.REMINDER, Role.PATIENT, Channel.SMS, "de", facts)
    assert "Erinnerung an Ihren Termin" in made.text
    assert ours.passed_over == {FILE}


@pytest.mark.parametrize(
    "template",
    [
        "{{ clinic }}: {{ day }} {{ time }}",
        "{% if place %}{{ place }}{% elif city %}{{ city }}{% else %}{{ clinic }}{% endif %}",
        "{{ clinic }}{% if 'time' in changes or modality == 'video' and not place %}x{% endif %}",
        "{{ clinic }} {{ day | replace(',', '') | capitalize }} {{ phone | default('-') }}",
        "{{ clinic }} {{ 'a' if time[:2] == '1:' else 'b' }} {{ time[0] }} {{ clinic ~ '!' }}",
        "{{ clinic }}{# a remark #}{% raw %}{{ x }}{% endraw %}",
        "{{ clinic }}{% for change in changes %} {{ change }}{% endfor %}",
        "{{ clinic }}{% if join_url is defined and join_url | length > 5 %} {{ join_url }}{% endif %}",
    ],
)
def test_what_a_sentence_needs_is_there(tmp_path: Path, template: str) -> None:
    ours = words(tmp_path, template)

    assert [finding for finding in check_words(ours) if finding.severity == "error"] == []
    (facts, *_) = samples(MessageKind.REMINDER)
    made = ours.render(MessageKind.REMINDER, Role.PATIENT, Channel.SMS, "de", facts)
    assert made.text.startswith("Riverside") or made.text == facts.place
    assert not made.issues


def test_a_digest_goes_over_its_days_and_their_visits(tmp_path: Path) -> None:
    (tmp_path / "digest.sms.de.j2").write_text(
        "{{ clinic }}{% for d in days %}{% for v in d.visits %} {{ loop.index }} {{ v.time }}"
        "{% endfor %}{% endfor %}"
    )
    ours = Words("de", CLINIC, tmp_path)
    one = list(samples(MessageKind.DIGEST))[1]
    made = ours.render(MessageKind.DIGEST, Role.DOCTOR, Channel.SMS, "de", one)
    assert made.text == "Riverside Family Clinic 1 10:30"


def test_a_misspelt_filter_is_found_with_the_right_one(tmp_path: Path) -> None:
    (found,) = check_words(words(tmp_path, "{{ clinic | capitalise }}"))
    assert "capitalize" in found.message
    assert (found.code, found.line, found.column) == ("template_not_allowed", 1, 1)


def test_an_output_without_measure_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "digest.sms.de.j2").write_text(
        "{% for d in days %}{% for v in d.visits %}" + "x" * 4_000 + "{% endfor %}{% endfor %}"
    )
    ours = Words("de", CLINIC, tmp_path)
    many = list(samples(MessageKind.DIGEST))[2]
    made = ours.render(MessageKind.DIGEST, Role.DOCTOR, Channel.SMS, "de", many)
    assert "20 Termine" in made.text
    assert [issue.code for issue in made.issues] == ["template_broken"]


def test_the_sandbox_says_no_while_it_reads(tmp_path: Path) -> None:
    sandbox = words(tmp_path, "").templates.sandbox
    with pytest.raises(TemplateAssertionError):
        sandbox.from_string("{% set x = 1 %}")
    assert issubclass(TemplateAssertionError, TemplateError)


def test_a_file_that_cannot_be_read_is_a_finding_and_ours_is_said(tmp_path: Path) -> None:
    (tmp_path / FILE).symlink_to(tmp_path / "gone")
    ours = Words("de", CLINIC, tmp_path)

    (found,) = check_words(ours)

    assert found.code == "template_unreadable"
    (facts, *_) = samples(MessageKind.REMINDER)
    made = ours.render(MessageKind.REMINDER, Role.PATIENT, Channel.SMS, "de", facts)
    assert "Erinnerung" in made.text


@pytest.mark.parametrize("language", ["tr", "vi"])
def test_a_name_keeps_its_capital_in_a_sentence_that_begins_with_the_visit(language: str) -> None:
    (facts, *_) = samples(MessageKind.CANCELLATION)
    shared = replace(facts, names_whom=True)
    ours = Words(language, CLINIC, None)
    made = ours.render(MessageKind.CANCELLATION, Role.PATIENT, Channel.WHATSAPP, language, shared)
    assert "(Maximiliane)" in made.text
    assert made.text.startswith(
        f"{CLINIC.name}: {'Randevunuz' if language == 'tr' else 'Cuộc hẹn'}"
    )


@pytest.mark.parametrize(
    ("said", "raised"),
    [("dr. Müller", "Dr. Müller"), ("über uns", "Über uns"), ("", ""), ("预约", "预约")],
)
def test_capitalize_raises_the_first_letter_and_leaves_the_others(
    tmp_path: Path, said: str, raised: str
) -> None:
    sandbox = words(tmp_path, "").templates.sandbox
    assert sandbox.from_string("{{ said | capitalize }}").render(said=said) == raised
