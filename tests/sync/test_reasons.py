"""Every reason code that the line can give is in the table that explains it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sync.codes import About
from sync.reasons import REASONS, base, in_words, reason, setting_of

ROOT = Path(__file__).resolve().parents[2]
DECIDING = ("gate.py", "plan.py", "due.py", "send.py", "settle.py", "clinic.py")
WORD = re.compile(r"[a-z]+(?:_[a-z]+)*")

# Words of these files that are no reasons: settings, states, tables, names of parts.
OTHERS = {
    *("patient", "practitioner", "doctor", "preferred", "recorded", "confirmation", "cancellation"),
    *("on_change", "on_cancel", "on_gone", "invalid_email", "invalid_phone", "landline"),
    *("sending", "unproven", "abandoned"),
    *("no_notifier", "off", "live", "planned", "skipped", "sent", "failed", "storm", "message"),
    *("calendars", "connectors", "notifiers", "clinic", "doctors", "channels", "reminders"),
    *("quiet_hours", "sha", "cr", "none", "outbox", "pace", "address", "clinicrelay"),
}


def strings(file: Path) -> Iterator[str]:
    """Every string of a file that could be a code, docstrings and parts of f-strings left out."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    inside = {
        id(v) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for v in node.values
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in inside
        ):
            yield node.value


def annotations(file: Path) -> set[str]:
    """The words of `Literal[…]`, of attribute look-ups and of imports under TYPE_CHECKING."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {
        constant.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript) and getattr(node.value, "id", "") == "Literal"
        for constant in ast.walk(node)
        if isinstance(constant, ast.Constant)
    }


@pytest.mark.parametrize("name", DECIDING)
def test_every_code_of_a_deciding_step_is_explained(name: str) -> None:
    file = ROOT / "sync" / name
    found = {s for s in strings(file) if WORD.fullmatch(s)} - annotations(file)

    assert found - OTHERS - REASONS.keys() == set()


def test_every_code_that_the_store_writes_by_itself_is_explained() -> None:
    written = set()
    for file in (ROOT / "sync" / "store").glob("*.py"):
        written |= set(re.findall(r"reason = '(\w+)'", file.read_text(encoding="utf-8")))

    assert written
    assert written <= REASONS.keys()


def test_every_code_for_a_record_set_aside_is_explained() -> None:
    given = set()
    for room in ("connectors", "mappings", "sync"):
        for file in (ROOT / room).rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            given |= set(re.findall(r'(?:BadRecord|NoHead)\(\s*"(\w+)"', text))

    assert {"missing", "not_csv", "duplicate_key"} <= given
    assert given <= REASONS.keys()


def test_every_reason_is_a_sentence_with_something_to_do() -> None:
    for code, meaning in REASONS.items():
        assert WORD.fullmatch(code), code
        assert meaning.says[0].islower(), code
        assert not meaning.says.endswith("."), code
        assert meaning.to_do, code
        assert meaning.to_do.endswith(".") or "clinicrelay" in meaning.to_do, code
        assert meaning.about in About, code


def test_a_providers_own_code_stays_visible() -> None:
    assert base("provider_rejected(30005)") == "provider_rejected"
    assert in_words("provider_rejected(30005)").endswith("(it said 30005)")


def test_a_code_of_a_plugin_that_nobody_knows_still_says_something() -> None:
    assert reason("carrier_filtered").says == "carrier filtered"


def test_the_setting_of_a_reason_outranks_that_of_the_message() -> None:
    assert setting_of("only_recipients", "reminders.patient.steps[0]") == "safety.only_recipients"
    assert setting_of("late_booking", "reminders.patient.steps[0]") == "reminders.patient.steps[0]"
    assert setting_of(None, "reminders.patient.on_change") == "reminders.patient.on_change"


def test_a_setting_of_nobody_in_particular_is_named_by_its_room() -> None:
    assert setting_of("rate", "reminders.patient.steps[0]") == "notifiers"
    assert setting_of("rate", "", "texting") == "notifiers.texting.rate"
    assert setting_of("sender_refused") == "notifiers"


def test_the_setting_of_a_refused_login_is_one_that_every_notifier_has() -> None:
    assert setting_of("credentials_refused", "", "twilio") == "notifiers.twilio"
    assert setting_of("sender_refused", "", "post") == "notifiers.post.from"
