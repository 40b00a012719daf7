"""What was learned of addresses: listed without them, and taken back by a person with a note."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clinicrelay.contracts import Message, Outcome, SendResult
from notifiers.outbox import Outbox

FIRST = "2026-11-23T08:00:00Z"
BOOKED, TOLD, LATER = "2026-11-23T09:00:00Z", "2026-11-23T09:05:00Z", "2026-11-23T10:00:00Z"


@pytest.fixture
def refused(desk: Any, row: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A clinic whose provider says that the address of one patient is none."""
    desk.sync(row(99), now=FIRST)
    answer = SendResult(Outcome.REJECTED, "address_refused", code="550")
    with monkeypatch.context() as patched:
        patched.setattr(Outbox, "send", lambda self, message: answer)
        desk.sync(row(99), mailed(row), now=BOOKED)
    return desk


def mailed(row: Any) -> dict[str, Any]:
    """Return the visit of a patient who has only an e-mail address."""
    found: dict[str, Any] = row(1, phone="")
    return found


def contacts(desk: Any, now: str = LATER) -> list[dict[str, Any]]:
    ran = desk.run("contacts", "list", "--json", now=now)
    found: list[dict[str, Any]] = json.loads(ran.out)
    return found


def test_the_list_says_whom_and_why_and_never_an_address(refused: Any) -> None:
    (one,) = contacts(refused)
    assert (one["channel"], one["state"], one["reason"]) == ("email", "closed", "address_refused")
    assert one["recipient"].startswith("patient/")
    ran = refused.run("contacts", "list", now=LATER)
    assert one["id"] in ran.out
    assert "@" not in ran.out.replace("@ ", "")


def test_why_foresees_that_the_next_reminder_will_not_go_there(refused: Any) -> None:
    ran = refused.run("why", "reception/1", "--json", now=LATER)
    assert "will not be sent" in json.loads(ran.out)["answer"]


def test_reopening_wants_a_note_and_lets_the_next_message_go(
    refused: Any, row: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = contacts(refused)
    assert refused.run("contacts", "reopen", one["id"], now=LATER).code == 2
    ran = refused.run("contacts", "reopen", one["id"][:12], "--note", "asked on 23 Nov", now=LATER)
    assert ran.code == 0
    (again,) = contacts(refused)
    assert (again["state"], again["note"]) == ("open", "asked on 23 Nov")

    sent: list[Message] = []
    keep = Outbox.send

    def send(self: Outbox, message: Message) -> SendResult:
        sent.append(message)
        return keep(self, message)

    monkeypatch.setattr(Outbox, "send", send)
    refused.sync(row(99), mailed(row), now="2026-11-30T12:00:00Z")
    assert ("reminder", "email") in [(one.kind, one.channel.value) for one in sent]


@pytest.mark.parametrize("enough", [2, 7])
def test_an_id_that_means_nothing_is_refused_with_where_to_look(refused: Any, enough: int) -> None:
    (one,) = contacts(refused)
    ran = refused.run("contacts", "reopen", one["id"][:enough], "--note", "x", now=LATER)
    assert ran.code == 2
    assert "clinicrelay contacts list" in ran.err + ran.out
