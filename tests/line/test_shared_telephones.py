"""A number that several patients have gets texts that say whose visit each is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.line.conftest import Line

FAMILY = "+4915155550001"


def told(line: Line, **rules: object) -> list[str]:
    """Send the reminders of Anna and Ben, and return their texts."""
    line.set(channels={"order": ["sms"]}, reminders={"patient": {"steps": ["1d"], **rules}})
    line.drop()
    line.sync("2026-11-23 09:00")
    line.sync("2026-11-24 10:01")
    return sorted(one.text for one in line.outbox())


def book(line: Line, *names: str, phones: tuple[str, ...] = (FAMILY, FAMILY)) -> None:
    for number, (name, phone) in enumerate(zip(names, phones, strict=True), 1):
        line.book(number, "2026-11-25 10:00", patient_name=name, mobile=phone)


def test_each_says_whose_visit_it_is(line: Line) -> None:
    book(line, "Anna Sample", "Sample, Ben")
    first, second = told(line)
    assert "Termin (Anna)" in first
    assert "Termin (Ben)" in second
    assert "Sample" not in first + second


def test_who_has_a_number_alone_is_not_named_on_it(line: Line) -> None:
    book(line, "Anna Sample", "Ben Sample", phones=(FAMILY, "+4915155550002"))
    assert not any("Anna" in text or "Ben" in text for text in told(line))


def test_one_person_written_in_two_ways_is_no_family(line: Line) -> None:
    book(line, "Anna Sample", "SAMPLE, ANNA")
    assert not any("anna" in text.lower() for text in told(line))


@pytest.mark.parametrize(("rule", "named"), [("never", False), ("always", True)])
def test_the_clinic_may_decide_otherwise(line: Line, rule: str, named: bool) -> None:
    book(line, "Anna Sample", "Ben Sample", phones=(FAMILY, "+4915155550002" if named else FAMILY))
    assert all(("(Anna)" in t or "(Ben)" in t) is named for t in told(line, name_in_sms=rule))


def test_a_name_that_is_none_is_left_out(line: Line) -> None:
    book(line, "https://evil.example Sample", "Ben Sample")
    assert not any("evil" in text for text in told(line))


def test_a_title_or_a_placeholder_is_no_name(line: Line) -> None:
    book(line, "Frau Anna Sample", "None")
    first, second = told(line)
    assert "Termin (Anna)" in first
    assert "(" not in second
    line.book(3, "2026-11-25 11:00", patient_name="Frau", mobile="+4915155550003")
    line.set(channels={"order": ["email"]}, reminders={"patient": {"confirmation": {}}})
    line.after()
    assert "Guten Tag,\r\n" in line.outbox()[-1].text


def test_a_guardians_telephone_says_which_child(line: Line) -> None:
    book(line, "Anna Sample", "Ben Sample", phones=(FAMILY, "+4915155550002"))
    line.change(1, birth_date="2015-03-04", guardian_phone="+4915155550009")
    texts = told(line)
    assert [("Anna" in text, "Ben" in text) for text in texts] == [(True, False), (False, False)]
