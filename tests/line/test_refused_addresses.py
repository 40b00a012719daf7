"""A provider refuses an address: nothing is tried there again, and all of it once it is corrected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from clinicrelay.contracts import Message, Outcome, SendResult
from notifiers.outbox import Outbox

if TYPE_CHECKING:
    from tests.line.conftest import Line

WRONG = "typo@mail.example"


@pytest.fixture
def tried(line: Line, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every address that a message was tried at; one of them is refused."""
    tried: list[str] = []
    send = Outbox.send

    def refusing(self: Outbox, message: Message) -> SendResult:
        tried.append(message.to)
        if message.to == WRONG:
            return SendResult(Outcome.REJECTED, "address_refused")
        return send(self, message)

    monkeypatch.setattr(Outbox, "send", refusing)
    line.book_many(5)
    line.after()
    line.book(1, email=WRONG)
    line.after()
    assert tried == [WRONG]
    return tried


def test_what_was_refused_is_said_once_the_address_is_corrected(
    line: Line, tried: list[str]
) -> None:
    line.change(1, email="p1@mail.example")
    assert line.after() == [("confirmation", "p1@mail.example")]
    assert line.after() == []
    assert tried == [WRONG, "p1@mail.example"]


def test_an_address_that_was_refused_is_not_tried_again_for_another_edit(
    line: Line, tried: list[str]
) -> None:
    line.change(1, notes="brings papers")
    assert line.after() == []
    line.change(1, mobile="+4915155509999")
    assert line.after() == []
    assert tried == [WRONG]
    (state,) = [row[0] for row in line.query("SELECT state FROM messages WHERE tries > 0")]
    assert state == "failed"
