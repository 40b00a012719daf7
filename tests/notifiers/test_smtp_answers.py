"""Answers without end, late ones, and a refusal while nobody has asked yet."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay import Outcome
from clinicrelay.testing import an_email
from notifiers.smtp import Smtp

if TYPE_CHECKING:
    from tests.notifiers.conftest import Authority, Peer

LATE = timedelta(seconds=1.2)  # a busy machine answers sooner
NOT_SENT, REJECTED, UNKNOWN = Outcome.NOT_SENT, Outcome.REJECTED, Outcome.UNKNOWN


ANSWERS = ("connect", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "dot")


@pytest.mark.parametrize("act", ["DRIP", "CHATTER", "RANT"])
@pytest.mark.parametrize("stage", ANSWERS)
def test_an_answer_without_end_is_none(
    peer: Callable[..., Peer],
    made: Callable[..., Smtp],
    acts: Any,
    authority: Authority,
    stage: str,
    act: str,
) -> None:
    server = peer(
        script={stage: getattr(acts, act)},
        offers=("STARTTLS", "AUTH PLAIN"),
        tls=authority.context("127.0.0.1"),
    )
    options = {"security": "starttls", "ca": str(authority.file)}
    result = made(server, username="login", password="x", **options).send(an_email())
    lost = (UNKNOWN, "answer_lost") if stage == "dot" else (NOT_SENT, "unreachable")
    assert (result.outcome, result.reason) == lost
    assert result.pause is not None
    assert "500" not in result.detail
    assert not server.mails


@pytest.mark.parametrize("size", [10, 600_000])
def test_a_refusal_in_the_middle_of_the_text_is_heard_whatever_its_size(
    peer: Callable[..., Peer], made: Callable[..., Smtp], size: int
) -> None:
    server = peer(script={"body": ["552 5.3.4 too large"]})
    notifier = made(server)
    result = notifier.send(an_email(text="x\n" * size))
    assert (result.outcome, result.reason) == (REJECTED, "too_large")
    assert result.detail == "The server answered 552 5.3.4 to the text of the message."
    assert notifier.send(an_email(id="cr2")).outcome is Outcome.ACCEPTED


def test_the_end_of_a_message_is_given_longer_than_any_other_answer(
    peer: Callable[..., Peer], made: Callable[..., Smtp], acts: Any
) -> None:
    server = peer(script={"dot": [acts.LATE]})
    notifier = made(server, timeout=LATE, final_timeout=4 * LATE)
    assert notifier.send(an_email()).outcome is Outcome.ACCEPTED
    assert notifier.patience > 4 * LATE
    by_default = Smtp.Options.model_validate({"host": "x.example", "from": "a@b.example"})
    assert by_default.final_timeout == timedelta(minutes=10)  # RFC 5321 section 4.5.3.2.6
