"""A digest's list of changes, in every language that has one."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from clinicrelay.actions import MessageKind, Role
from clinicrelay.model import Channel
from sync.words import DigestChange, DigestLine, Words
from sync.words.templates import languages
from tests.words.test_golden_texts import CLINIC, START, VISIT

LANGUAGES = languages()
SAID = re.compile(r"R\.M\.[\u2066\u2068\u2069]* ?[:：] ?")  # in Arabic between marks
KINDS = ("booked", "moved", "cancelled", "reassigned")


def made(language: str, count: int, channel: Channel = Channel.EMAIL) -> str:
    changes = tuple(
        DigestChange(KINDS[n % 4], DigestLine(START, initials="R.M."), START - timedelta(days=2))
        for n in range(count)
    )
    facts = replace(VISIT, changed=changes)
    words = Words(language, CLINIC, None)
    return words.render(MessageKind.DIGEST, Role.DOCTOR, channel, language, facts).text


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_kind_of_change_reads_differently(language: str) -> None:
    lines = [SAID.split(one, maxsplit=1) for one in made(language, 4).splitlines()]
    assert len({line[1] for line in lines if len(line) == 2}) == 4


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_long_list_is_cut_and_the_rest_counted(language: str) -> None:
    text = made(language, 27)
    assert len(SAID.findall(text)) == 20
    assert "7" in SAID.split(text)[-1].replace("2026", "")


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_sms_says_only_how_many(language: str) -> None:
    assert "R.M." not in made(language, 3, Channel.SMS)
    some, none = (made(language, count, Channel.SMS) for count in (3, 0))
    assert some.startswith(none)
    assert "3" in some.removeprefix(none)


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("de", ", 10:30 Uhr R.M.: verschoben, war Sonntag, 29. November 2026, 10:30 Uhr\n"),
        ("fr", ", 10:30 R.M. : annulé\n"),
        ("ru", "R.M.: перенесено, было: воскресенье, 29 ноября 2026 г., 10:30\n"),
        ("uk", "R.M.: перенесено, було: неділя, 29 листопада 2026 р., 10:30\n"),
    ],
)
def test_a_change_is_written_as_the_rest_of_the_list_is(language: str, said: str) -> None:
    assert said in made(language, 4)
