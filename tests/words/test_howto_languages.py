"""What the page about languages shows is what happens."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from clinicrelay.actions import MessageKind, Role
from clinicrelay.model import Channel
from clinicrelay.testing import CLINIC
from sync.words import TextFacts, Words
from sync.words.check import check_words
from sync.words.facts import variables
from sync.words.reference import PAGE, page
from sync.words.templates import TEXTS, languages

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "languages.md"
START = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)


def blocks() -> list[tuple[str, str]]:
    """The page's blocks: what stands behind the fence, and what is inside."""
    return re.findall(r"^```(\S+[^\n]*)\n(.*?)^```$", HOWTO.read_text("utf-8"), re.M | re.S)


def test_the_examples_pass_the_check_and_say_what_the_page_says(tmp_path: Path) -> None:
    for fence, text in blocks():
        if fence.startswith("jinja "):
            (tmp_path / Path(fence.split()[1]).name).write_text(text, "utf-8")
    assert len(list(tmp_path.iterdir())) == 2
    words = Words("de", CLINIC, tmp_path)
    assert check_words(words) == []
    facts = TextFacts(at=START - timedelta(hours=20), start=START, timezone="Europe/Berlin")
    made = words.render(MessageKind.REMINDER, Role.PATIENT, Channel.SMS, "de", facts)
    (shown,) = [text for fence, text in blocks() if fence == "text"]
    assert made.text == shown.strip()
    mail = words.render(MessageKind.CONFIRMATION, Role.PATIENT, Channel.EMAIL, "en-GB", facts)
    assert "There is parking behind the house." in mail.text


def test_the_page_names_every_language() -> None:
    said = set(re.findall(r"\(`([a-z]{2})`\)", HOWTO.read_text("utf-8")))
    assert said == set(languages())


def test_the_reference_is_up_to_date_and_names_everything() -> None:
    assert PAGE.read_text("utf-8") == page()
    for kind, _ in TEXTS:
        for name in variables(kind, Channel.EMAIL):
            assert f"| `{name}` |" in page()
