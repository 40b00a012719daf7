"""What a server's answer means for the message, and for all the others: pure.

Before the final dot nothing was accepted, whatever happened; after it only an answer tells (RFC 5321
section 6.1, RFC 1047). What concerns the login, the sender or the server is not the message's fault:
it is not refused but waits, and the others wait with it. A server's text is read but never passed
on, as it likes to repeat the address.
"""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from clinicrelay import Outcome, SendResult

SOON = timedelta(minutes=1)
BY_HAND = timedelta(minutes=15)  # a person has to mend it first; till then five tries in an hour
NEXT_HOUR = timedelta(hours=1)  # limits are counted by the hour or the day

_ENHANCED = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})(?!\d)")
_ADDRESS = re.compile(r"<[^>]*>|\S+@\S+")
_QUEUED = re.compile(r"(?:queued as |\bid=)([A-Za-z0-9.-]{4,64})(?![\w@])")


class Phase(StrEnum):
    """How far a delivery has come; the words stand in details."""

    CONNECT = "connecting"
    HELLO = "EHLO"
    STARTTLS = "STARTTLS"
    LOGIN = "AUTH"
    MAIL = "MAIL FROM"
    RCPT = "RCPT TO"
    DATA = "DATA"
    BODY = "the text of the message"
    DOT = "the end of the message"


class Reply(NamedTuple):
    """A server's answer: three digits, and text that often begins with an RFC 3463 code."""

    code: int
    text: str = ""

    @property
    def good(self) -> bool:
        return 200 <= self.code < 400

    @property
    def enhanced(self) -> str:
        found = _ENHANCED.match(self.text)
        return found[1] if found else ""

    @property
    def words(self) -> str:
        """What it says, without addresses: somebody may be called relay or spamhaus."""
        return _ADDRESS.sub("", self.text)

    @property
    def shown(self) -> str:
        """The codes alone."""
        return (
            f"{self.code} {self.enhanced}".strip() if self.code > 0 else "something that is no SMTP"
        )

    @property
    def queue_id(self) -> str | None:
        """What the server calls the message, for whoever has to look for it there."""
        found = _QUEUED.search(self.text)
        return found[1] if found else None


def refusal(phase: Phase, reply: Reply) -> SendResult:
    """Return what an answer other than the wished one means."""
    detail = f"The server answered {reply.shown} to {phase}."
    if phase is Phase.DOT and not 400 <= reply.code < 600:
        return _nobody_knows(detail)
    if not 500 <= reply.code < 600:
        return _not_now(phase, reply, detail)
    if reply.code in (500, 502, 503, 504) and phase in _LETTER:
        # We have lost step with each other: a new connection begins anew.
        return SendResult(Outcome.NOT_SENT, "server_busy", detail=detail)
    if reason := _not_the_messages_fault(phase, reply):
        return standstill(reason, detail, NEXT_HOUR if reason == "quota_used_up" else BY_HAND)
    return SendResult(Outcome.REJECTED, _why_not_this_one(phase, reply), detail=detail)


def lost(phase: Phase, why: str) -> SendResult:
    """Return what the end of the connection in a phase means."""
    if phase is Phase.DOT:
        return _nobody_knows(f"After {phase} {why}, so nobody knows whether the server has it.")
    detail = f"At {phase} {why}."
    if phase in _LETTER and why != TOO_LATE:
        return SendResult(Outcome.NOT_SENT, "unreachable", detail=detail)
    return standstill("unreachable", detail, SOON)


def standstill(reason: str, detail: str, pause: timedelta) -> SendResult:
    """Return the outcome of a message that could not leave, as none can for now."""
    return SendResult(Outcome.NOT_SENT, reason, detail=detail, retry_after=pause, pause=pause)


def _nobody_knows(detail: str) -> SendResult:
    # The others wait: a server that loses every answer would make each message one nobody knows of.
    return SendResult(Outcome.UNKNOWN, "answer_lost", detail=detail, pause=SOON)


CUT = "the connection was cut"
TOO_LATE = "no answer came in time"
_LETTER = frozenset({Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.BODY, Phase.DOT})


def _not_now(phase: Phase, reply: Reply, detail: str) -> SendResult:
    if reply.code <= 0:
        return standstill("unreachable", detail, SOON)
    if phase in _LETTER and _QUOTA.search(reply.words) and not _CONNECTION.search(reply.words):
        return standstill("quota_used_up", detail, BY_HAND)
    if phase is Phase.RCPT and _RELAY.search(reply.words):
        return standstill("account_refused", detail, BY_HAND)  # Postfix puts it off for ever
    if phase in _LETTER - {Phase.MAIL}:
        return SendResult(Outcome.NOT_SENT, "server_busy", detail=detail)
    return standstill("server_busy", detail, SOON)


_PHASE_REASONS = {
    Phase.CONNECT: "account_refused",
    Phase.HELLO: "account_refused",
    Phase.STARTTLS: "tls_refused",
    Phase.LOGIN: "credentials_refused",
}


def _any_of(*words: str) -> re.Pattern[str]:
    return re.compile("|".join(words), re.IGNORECASE)


# Codes of RFC 3463 and, where they name them, of Exchange Online ("Email non-delivery reports") and
# Gmail ("Gmail SMTP errors and codes"); words as Postfix, Exim, Exchange, Gmail, Amazon SES and
# hosters use them.
_LOGIN_CODES = {"5.7.8", "5.7.57"}
_QUOTA_CODES = {"5.1.90", "5.4.5", "5.7.232", "5.7.233", "5.7.705"}
_SENDER_CODES = {"5.1.7", "5.1.8", "5.2.252", "5.7.60"}
_ACCOUNT_CODES = _any_of(r"5\.7\.(54|64|50[1-4]|511|60[6-9]|6[1-4]\d|70[38]|750)")
# Also where the words are those of others: a recipient may have limits and lists of their own.
_RECIPIENT_CODES = _any_of(r"5\.1\.([1236]|10)", r"5\.2\.([12]|12\d)")
_RECIPIENT = _any_of(
    r"recipient (address )?rejected",
    r"unknown (user|recipient|mailbox)",
    r"no such (user|recipient|mailbox|address)",
    r"(user|recipient|mailbox) (is )?(unknown|not found|full|over|disabled)",
)
_SUBMISSION = _any_of(r"submission ?quota")
_QUOTA = _any_of(
    r"submission ?quota",
    r"\bdaily\b.*\b(limit|quota)",
    r"\bhourly\b.*\b(limit|quota)",
    r"\b(limit|quota|messages|mails|emails|rcpts|recipients)\b.*\b(per|an|in \d+) ?(hour|day|24)",
    r"\b(hour|day|24[- ]hours?)\b.*\b(limit|quota)",
    r"\b(sending|outgoing|message count|message rate) (\w+ )?(limit|quota|rate)",
    r"\btoo many (messages|e?-?mails)\b",
)
_CONNECTION = _any_of(r"\b(connection|session)\b")
_SENDER = _any_of(
    r"\bsender (address )?(is )?(rejected|denied|refused|not (allowed|permitted|authori[sz]ed))",
    r"\bsender (verify|verification) failed",
    r"send ?as ?denied",
    r"\bsend (as|on behalf of) this sender",
    r"\bnot owned by (user|auth)",
    r"\bnot (allowed|permitted|authori[sz]ed) to send (as|from)",
    r"\bfrom address (is )?(not|does not)",
    r"\baddress is not verified|\bverified sender",
)
_ACCOUNT = _any_of(
    r"\bclient host\b",
    r"\bblocked using\b|\bspamhaus\b|\bspamcop\b|\bbarracuda\b",
    r"\b(your|client|sending) (ip|host|server)\b.*\b(block|black|deny|list)",
    r"\bhelo command rejected",
    r"\bnot (allowed|permitted|authori[sz]ed) to (send|relay)",
)
_RELAY = _any_of(r"\brelay(ing)? (access )?denied")
_ACCOUNT_BEFORE_THE_TEXT = _any_of(r"\brelay", r"\brcpthosts\b", r"\baccess denied\b")


def _not_the_messages_fault(phase: Phase, reply: Reply) -> str | None:
    """Return the reason where every other message would be refused as well."""
    if phase in _PHASE_REASONS:
        return _PHASE_REASONS[phase]
    if reply.code in (530, 534, 535, 538) or reply.enhanced in _LOGIN_CODES:
        return "credentials_refused"
    if reason := _by_its_text(phase, reply):
        return reason
    too_large = reply.code == 552 or reply.enhanced == "5.3.4"
    return "sender_refused" if phase is Phase.MAIL and not too_large else None


def _by_its_text(phase: Phase, reply: Reply) -> str | None:  # noqa: PLR0911 - one line a verdict
    code, words = reply.enhanced, reply.words
    if _SUBMISSION.search(words):  # Exchange gives it the code of a full mailbox
        return "quota_used_up"
    if _RECIPIENT_CODES.fullmatch(code):
        return None
    if code in _QUOTA_CODES or _QUOTA.search(words):
        return "quota_used_up"
    if _RECIPIENT.search(words):
        return None
    if code in _SENDER_CODES or _SENDER.search(words):
        return "sender_refused"
    before_the_text = phase in (Phase.MAIL, Phase.RCPT, Phase.DATA)
    if before_the_text and _ACCOUNT_BEFORE_THE_TEXT.search(words):
        return "account_refused"
    if _ACCOUNT_CODES.fullmatch(code) or _ACCOUNT.search(words):
        return "account_refused"
    return None


def _why_not_this_one(phase: Phase, reply: Reply) -> str:
    """Return whether the address or the content was refused; codes of RFC 3463 section 3."""
    subject = reply.enhanced[:4]
    if reply.enhanced == "5.2.2" or (phase is Phase.RCPT and reply.code == 552):
        return "mailbox_full"
    if phase is Phase.RCPT or subject in ("5.1.", "5.2."):
        return "address_refused"
    if reply.code == 552 or reply.enhanced == "5.3.4":
        return "too_large"
    return "content_refused"
