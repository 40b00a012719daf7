"""Whose fault a refusal is, by what real servers say."""

from __future__ import annotations

from datetime import timedelta

import pytest

from clinicrelay import Outcome
from notifiers.smtp.verdicts import Phase, Reply, refusal

RCPT, DATA, DOT = Phase.RCPT, Phase.DATA, Phase.DOT
TO = "<quenby@canary.example>"

EVERYONES: list[tuple[Phase, int, str, str]] = [
    # Postfix
    (RCPT, 553, "5.7.1 <a@b.example>: Sender address rejected: not owned by user x", "sender"),
    (RCPT, 553, "5.7.1 <a@b.example>: Sender address rejected: not logged in", "sender"),
    (RCPT, 550, "5.1.8 <a@b.example>: Sender address rejected: Domain not found", "sender"),
    (
        RCPT,
        554,
        "5.7.1 Service unavailable; Client host [192.0.2.7] blocked using zen.spamhaus.org",
        "account",
    ),
    (RCPT, 554, "5.7.1 <x[192.0.2.7]>: Client host rejected: Access denied", "account"),
    (RCPT, 554, f"5.7.1 {TO}: Relay access denied", "account"),
    (RCPT, 454, f"4.7.1 {TO}: Relay access denied", "account"),
    (RCPT, 554, f"5.7.1 {TO}: Access denied", "account"),
    (RCPT, 504, "5.5.2 <[192.0.2.7]>: Helo command rejected: need fully-qualified hostname", ""),
    (DATA, 554, "5.7.1 <DATA>: Data command rejected: only 10 messages per day", "quota"),
    (DATA, 554, "5.7.1 <DATA>: Data command rejected: limit of 400 rcpts per 24 hours", "quota"),
    (RCPT, 554, f"5.7.1 {TO}: Recipient address rejected: Message count quota exceeded", "quota"),
    # Exim, qmail, hosters
    (RCPT, 550, "Sender verify failed", "sender"),
    (RCPT, 550, "relay not permitted", "account"),
    (RCPT, 553, "sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", "account"),
    (DOT, 550, "b.example has exceeded the max emails per hour (100/100 (100%)) allowed.", "quota"),
    (DOT, 554, "sorry, too many emails (#5.7.1)", "quota"),
    (DOT, 550, "mail rejected: exceeded hour limit", "quota"),
    (DOT, 550, "User a@b.example has exceeded its 24-hour sending limit.", "quota"),
    (RCPT, 550, "Requested action not taken: mailbox unavailable\nSender address is not allowed.",
     "sender"),
    # Microsoft 365 and Exchange
    (DOT, 554, "5.2.252 SendAsDenied; a@b.example not allowed to send as c@b.example;", "sender"),
    (DOT, 550, "5.7.60 SMTP; Client does not have permissions to send as this sender", "sender"),
    (
        DOT,
        550,
        "5.1.90 Your message can't be sent because you've reached your daily limit for message "
        "recipients",
        "quota",
    ),
    (DOT, 554, "5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException;", "quota"),
    (DOT, 550, "5.2.2 Submission quota exceeded", "quota"),
    (RCPT, 550, "5.7.54 SMTP; Unable to relay recipient in non-accepted domain", "account"),
    (RCPT, 550, "5.7.606 Access denied, banned sending IP [192.0.2.7]", "account"),
    (DOT, 550, "5.7.501 Service unavailable. Access denied, spam abuse detected", "account"),
    # Gmail, Amazon SES, SendGrid
    (DOT, 550, "The from address does not match a verified Sender Identity.", "sender"),
    (DATA, 550, "5.4.5 Daily user sending limit exceeded. For more information on", "quota"),
    (DOT, 554, "Message rejected: Email address is not verified.", "sender"),
    (DOT, 454, "Throttling failure: Daily message quota exceeded.", "quota"),
    (DOT, 450, "4.7.1 <END-OF-MESSAGE>: rejected: Number messages per hour exceeded.", "quota"),
]  # fmt: skip
REASONS = {
    "sender": "sender_refused",
    "account": "account_refused",
    "quota": "quota_used_up",
    "": "server_busy",
}


@pytest.mark.parametrize(("phase", "code", "text", "whose"), EVERYONES)
def test_what_means_everyone_lets_all_wait_and_burns_nobody(
    phase: Phase, code: int, text: str, whose: str
) -> None:
    result = refusal(phase, Reply(code, text))
    assert (result.outcome, result.reason) == (Outcome.NOT_SENT, REASONS[whose])
    assert (result.pause is not None) == bool(whose)
    assert "example" not in result.detail


THEIRS: list[tuple[Phase, int, str, str]] = [
    (RCPT, 550, f"5.1.1 {TO}: Recipient address rejected: User unknown", "address_refused"),
    (RCPT, 550, "5.1.1 The email account that you tried to reach does not exist", "address_refused"),
    (RCPT, 550, "5.1.1 <relay@daily.limit.example>: User unknown", "address_refused"),
    (RCPT, 550, "5.1.10 RESOLVER.ADR.RecipientNotFound", "address_refused"),
    (RCPT, 550, "No such user here", "address_refused"),
    (RCPT, 554, "<spamhaus@relay.example>: no", "address_refused"),
    (RCPT, 554, f"5.7.1 {TO}: Recipient address rejected: Access denied", "address_refused"),
    (RCPT, 550, "5.4.1 Recipient address rejected: Access denied", "address_refused"),
    (RCPT, 550, "5.2.1 The user you are trying to contact is receiving mail at a rate that prevents",
     "address_refused"),
    (DOT, 550, "5.2.122 The recipient has exceeded their limit for messages per hour",
     "address_refused"),
    (RCPT, 552, f"5.2.2 {TO}: mailbox full", "mailbox_full"),
    (RCPT, 552, f"5.2.2 {TO}: Quota exceeded (mailbox for user is full)", "mailbox_full"),
    (DOT, 554, "5.7.1 Message contains spam or relayed content", "content_refused"),
]  # fmt: skip


@pytest.mark.parametrize(("phase", "code", "text", "reason"), THEIRS)
def test_what_means_one_person_keeps_nobody_else_waiting(
    phase: Phase, code: int, text: str, reason: str
) -> None:
    result = refusal(phase, Reply(code, text))
    assert (result.outcome, result.reason, result.pause) == (Outcome.REJECTED, reason, None)


LATER = [
    (RCPT, 450, f"4.2.0 {TO}: Recipient address rejected: Greylisted"),
    (RCPT, 452, f"4.2.2 {TO}: mailbox is over quota"),
    (RCPT, 450, "4.2.1 The user you are trying to contact is receiving mail too quickly"),
    (DOT, 451, "Requested action aborted\nMails per session limit"),
]


@pytest.mark.parametrize(("phase", "code", "text"), LATER)
def test_a_put_off_message_is_tried_again_and_keeps_nobody_waiting(
    phase: Phase, code: int, text: str
) -> None:
    result = refusal(phase, Reply(code, text))
    assert (result.outcome, result.reason, result.pause) == (Outcome.NOT_SENT, "server_busy", None)


def test_a_limit_is_waited_for_longer_than_anything_else() -> None:
    by_the_day = refusal(DATA, Reply(550, "5.4.5 Daily user sending limit exceeded"))
    locked_out = refusal(RCPT, Reply(530, "5.7.0 log in first"))
    assert (by_the_day.pause, locked_out.pause) == (timedelta(hours=1), timedelta(minutes=15))
