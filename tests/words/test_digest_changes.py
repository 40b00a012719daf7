"""A digest's list of changes, in every language that has one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from clinicrelay.actions import MessageKind, Role
from clinicrelay.model import Channel
from sync.words import DigestChange, DigestLine, Words
from tests.words.test_golden_texts import CLINIC, START, VISIT

LANGUAGES = ("de", "en", "es", "fr", "it", "nl", "pl", "pt", "tr")
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
    lines = [one for one in made(language, 4).splitlines() if "R.M.: " in one]
    assert len({line.partition("R.M.: ")[2] for line in lines}) == 4


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_long_list_is_cut_and_the_rest_counted(language: str) -> None:
    text = made(language, 27)
    assert text.count("R.M.: ") == 20
    assert "7" in text.rpartition("R.M.: ")[2].replace("2026", "")


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_sms_says_only_how_many(language: str) -> None:
    assert "R.M." not in made(language, 3, Channel.SMS)
    assert made(language, 3, Channel.SMS).endswith(": 3.")
    assert made(language, 0, Channel.SMS) == made(language, 0, Channel.SMS).removesuffix(": 0.")
