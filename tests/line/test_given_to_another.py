"""A visit that is given to another patient: whoever had it before is no longer expected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.line.conftest import Line

ANNA = "p2@mail.example"
ZOE = {
    "patient_id": "P77",
    "patient_name": "Zoe Other",
    "mobile": "+4915155500077",
    "email": "zoe@mail.example",
}


@pytest.fixture
def confirmed(line: Line) -> Line:
    line.book_many(12)
    assert line.after() == []
    line.book(2, "2026-12-09 09:00")
    assert line.after() == [("confirmation", ANNA)]
    return line


def test_it_is_confirmed_to_whoever_has_it_now_and_a_person_is_to_call_the_other(
    confirmed: Line,
) -> None:
    confirmed.change(2, **ZOE)
    before = confirmed.outbox()
    confirmed.drop()
    report = confirmed.sync()
    assert confirmed.said_since(before) == [("confirmation", ZOE["email"])]
    assert (report.exit, report.messages.failed) == (3, 1)
    assert failed(confirmed) == [("patient/P2", "cancellation", "given_to_another")]
    assert confirmed.quietly() == []
    assert len(failed(confirmed)) == 1


def test_whoever_gets_it_back_meanwhile_is_told_nothing(confirmed: Line) -> None:
    confirmed.change(2, **ZOE)
    confirmed.after()
    confirmed.change(2, patient_id="P2", patient_name="Anna Sample", mobile="", email=ANNA)
    assert [one for one in confirmed.after() if one[1] == ANNA] == []


@pytest.mark.parametrize("alike", ["patient_name", "mobile", "email"])
def test_a_record_that_may_be_the_same_persons_is_nobody_elses(confirmed: Line, alike: str) -> None:
    confirmed.change(2, **{name: value for name, value in ZOE.items() if name != alike})
    confirmed.after()
    assert failed(confirmed) == []


def failed(line: Line) -> list[tuple[object, ...]]:
    return line.query("SELECT recipient, kind, reason FROM messages WHERE state = 'failed'")
