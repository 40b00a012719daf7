"""E-mail through the clinic's own mail server, one recipient a message."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from clinicrelay import Channel, Finding, Message, Notifier, Outcome, SendResult, loopback
from clinicrelay.pace import LONGEST
from notifiers import _mail, _pace
from notifiers.smtp.letter import Failure, Letter
from notifiers.smtp.options import PORTS
from notifiers.smtp.options import Options as SmtpOptions

if TYPE_CHECKING:
    from notifiers.smtp.session import Session

_RENEW_WITHIN = timedelta(days=14)
_ANSWERS = 20


class Smtp(Notifier):
    """Hands mails to an SMTP server and knows for each whether the server has it.

    What fails before the final dot was not accepted; an answer that is lost after it can be had from
    nobody, so `lookup` never tells. One connection serves the messages of a run; a server that has
    dropped it meanwhile, or takes only so many, gets a new one before the next message begins.
    """

    Options = SmtpOptions
    channels = (Channel.EMAIL,)
    hands_over = True
    options: SmtpOptions

    _session: Session | None = None

    @property
    def outside(self) -> bool:
        """Whether mails leave this machine: a server on it keeps them, but not at a mail port."""
        return not loopback.stays_here(self.options.host, self.options.at_port)

    @property
    def mailbox(self) -> str:
        return self._sender.address

    @property
    def patience(self) -> timedelta:
        """All answers of two connections, the second opened because the first was stale."""
        return LONGEST + _ANSWERS * self.options.timeout + self.options.final_timeout

    def send(self, message: Message) -> SendResult:
        """Send one mail; its Message-ID is always the same for the same attempt."""
        try:
            letter = self._letter(message)
        except _mail.BadAddress as error:
            return SendResult(Outcome.REJECTED, "address_invalid", detail=f"E-mail: {error}.")
        if (later := _pace.turn(self.kit)) is not None:
            return later
        try:
            return self._deliver(letter)
        except Failure as failure:
            return failure.result

    def advise(self) -> Iterator[Finding]:
        options = self.options
        if options.security == "none" and not loopback.is_loopback(options.host):
            what = "mails and the password" if options.password else "mails"
            yield Finding(
                "warning",
                "unencrypted",
                f"{what} travel readable for others: security is none, and {options.host} is not "
                "this machine",
                "write security: starttls",
            )
        yield from _at_another_port(options)
        if options.ca is not None and not os.access(options.ca, os.R_OK):
            message = f"{options.ca} cannot be read"
            yield Finding("error", "certificate_refused", message, "correct the path under ca")

    def check(self) -> Iterator[Finding]:
        """Connect, encrypt and log in as for a message, and send none."""
        try:
            session = self._open()
        except Failure as failure:
            result = failure.result
            yield Finding("error", result.reason, result.detail, failure.fix)
            return
        try:
            yield from _ends_soon(self.options.host, session.certificate_ends)
            if not session.answers():
                fix = "Ask whoever runs the mail server what it dislikes."
                yield Finding("error", "unreachable", "The server took the login and left.", fix)
        finally:
            session.quit()

    def close(self) -> None:
        """Say goodbye to the server."""
        session, self._session = self._session, None
        if session is not None:
            session.quit()

    def _deliver(self, letter: Letter) -> SendResult:
        if self._session is not None and self._session.alive():
            try:
                return self._through(self._session, letter)
            except Failure as failure:
                if not failure.stale:
                    raise
        self._drop()
        self._session = self._open()
        return self._through(self._session, letter)

    def _through(self, session: Session, letter: Letter) -> SendResult:
        usable = False
        try:
            reply = session.deliver(letter, self.kit.handing_over)
            usable = True
        except Failure as failure:
            usable = failure.usable
            raise
        finally:
            if not usable:
                self._drop()
        return SendResult(Outcome.ACCEPTED, provider_id=reply.queue_id or letter.message_id)

    def _open(self) -> Session:
        # What Python has for SMTP and TLS takes longer to import than a run without messages.
        from notifiers.smtp.session import Session

        return Session.open(self.options)

    def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.drop()

    def _letter(self, message: Message) -> Letter:
        sender = _mail.mailbox(message.sender) if message.sender else self._sender
        mail = _mail.compose(
            message,
            sender=sender,
            domain=sender.domain,
            date=message.written_at or self.kit.now,
            answers_to=self._answers_to,
        )
        recipient = _mail.travelling(message.to)
        return Letter(message.id, sender.address, recipient, mail.as_bytes(), mail["Message-ID"])

    @cached_property
    def _sender(self) -> _mail.Mailbox:
        return _mail.mailbox(self.options.sender)

    @cached_property
    def _answers_to(self) -> _mail.Mailbox | None:
        return _mail.answers_to(self.kit.clinic)


def _at_another_port(options: SmtpOptions) -> Iterator[Finding]:
    port, security = options.at_port, options.security
    if port == PORTS["tls"] and security != "tls":
        message = f"port {port} is encrypted from the first byte, and security is {security}"
        yield Finding("error", "tls_refused", message, "write security: tls")
    elif port in (PORTS["starttls"], PORTS["none"]) and security == "tls":
        message = f"port {port} is rarely encrypted from the first byte, and security is tls"
        yield Finding("warning", "tls_refused", message, "write security: starttls, or port: 465")


def _ends_soon(host: str, end: float | None) -> Iterator[Finding]:
    # The real clock: a certificate ends when it ends, whatever day is being rehearsed.
    left = timedelta(seconds=end - time.time()) if end is not None else _RENEW_WITHIN
    if left < _RENEW_WITHIN:
        yield Finding(
            "warning",
            "certificate_ends",
            f"The certificate of {host} ends in {max(left.days, 0)} days.",
            f"Ask whoever runs {host} to renew it: once it has ended, no mail leaves.",
        )
