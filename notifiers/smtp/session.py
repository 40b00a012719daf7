"""A connection to a mail server: opened once, used for many messages, each step with its own verdict.

`smtplib` speaks the protocol, but its conveniences are not used: `send_message` tells of refused
recipients without raising, `login` tries every mechanism with a wrong password, and neither says
whether the final dot was written.
"""

from __future__ import annotations

import base64
import re
import smtplib
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress

from notifiers.smtp.client import Client, EncryptedClient
from notifiers.smtp.failures import (
    CA_FIX,
    LOGIN_FIX,
    NEEDS_UTF8,
    TLS_FIX,
    as_bytes,
    during,
    good,
)
from notifiers.smtp.letter import Failure, Letter
from notifiers.smtp.options import Options
from notifiers.smtp.verdicts import BY_HAND, Phase, Reply, standstill

_FAREWELL_SECONDS = 5.0
# Twice the time of an answer is enough for a server's objection to arrive; within these bounds.
_AT_LEAST, _AT_MOST = 0.01, 0.1
_LINE_END = re.compile(rb"\r\n?|\n")


class Session:
    """One connection, greeted, encrypted and logged in as the options say."""

    def __init__(self, client: Client, final: float) -> None:
        self._client = client
        self._final = final
        self._patience = _AT_LEAST

    @classmethod
    def open(cls, options: Options) -> Session:
        """Connect, and make everything ready for the first message. Raises Failure."""
        session = cls(_connected(options), options.final_timeout.total_seconds())
        try:
            session._hello()
            if options.security == "starttls":
                session._starttls(options)
            if options.username and options.password:
                session._login(
                    options.username.get_secret_value(), options.password.get_secret_value()
                )
        except BaseException:
            session.drop()
            raise
        return session

    @property
    def certificate_ends(self) -> float | None:
        """When the server's certificate ends, in seconds since 1970; None without TLS."""
        if not isinstance(self._client.sock, ssl.SSLSocket):
            return None
        certificate = self._client.sock.getpeercert() or {}
        return float(ssl.cert_time_to_seconds(str(certificate["notAfter"])))

    def alive(self) -> bool:
        """Whether the server still listens, and has forgotten whatever went before."""
        return self._answers("RSET")

    def answers(self) -> bool:
        """Whether the server does nothing when it is asked to."""
        return self._answers("NOOP")

    def deliver(self, letter: Letter, handing_over: Callable[[str], None]) -> Reply:
        """Deliver one mail; return the server's acceptance. Raises Failure, or what handing over
        raises, with nothing accepted."""
        client = self._client
        if letter.in_utf8 and not client.has_extn("smtputf8"):
            raise Failure(NEEDS_UTF8, usable=True)
        good(
            Phase.MAIL,
            self._say(Phase.MAIL, "MAIL", f"FROM:<{letter.sender}>{self._extras(letter)}"),
        )
        good(Phase.RCPT, self._say(Phase.RCPT, "RCPT", f"TO:<{letter.recipient}>"))
        asked = time.monotonic()
        good(Phase.DATA, self._say(Phase.DATA, "DATA"), wanted=354)
        self._patience = min(max(2 * (time.monotonic() - asked), _AT_LEAST), _AT_MOST)
        with during(Phase.BODY):
            self._write(_stuffed(letter.content))
            self._let_object(self._patience)
        handing_over(letter.id)
        with during(Phase.BODY):
            self._let_object(0.0)
        with during(Phase.DOT):
            client.send(b".\r\n")
            reply = client.getreply(self._final)
        return good(Phase.DOT, reply, wanted=250)

    def quit(self) -> None:
        """Say goodbye if anybody is there to hear it; in either case the connection is closed."""
        with suppress(OSError, smtplib.SMTPException):
            if self._client.sock is not None:
                self._client.putcmd("QUIT")
                self._client.getreply(_FAREWELL_SECONDS)
        self.drop()

    def drop(self) -> None:
        """Close without a word."""
        with suppress(OSError):
            self._client.close()

    # --- becoming ready ----------------------------------------------------------------------

    def _hello(self) -> None:
        with during(Phase.HELLO):
            reply = self._client.ehlo()
        good(Phase.HELLO, reply)

    def _starttls(self, options: Options) -> None:
        if not self._client.has_extn("starttls"):
            detail = f"{options.host} offers no STARTTLS, and mails never travel unencrypted."
            raise Failure(standstill("tls_refused", detail, BY_HAND), fix=TLS_FIX)
        with during(Phase.STARTTLS, options.host):
            self._client.starttls(context=tls(options))
        self._hello()  # what was said before the encryption counts for nothing (RFC 3207)

    def _login(self, name: str, password: str) -> None:
        """Log in once, with one mechanism: a wrong password tried three times locks accounts."""
        offered = self._client.esmtp_features.get("auth", "").upper().split()
        if "PLAIN" in offered:
            reply = self._say(Phase.LOGIN, "AUTH", "PLAIN " + _base64(f"\0{name}\0{password}"))
        elif "LOGIN" in offered:
            good(Phase.LOGIN, self._say(Phase.LOGIN, "AUTH", "LOGIN"), wanted=334)
            good(Phase.LOGIN, self._say(Phase.LOGIN, _base64(name)), wanted=334)
            reply = self._say(Phase.LOGIN, _base64(password))
        else:
            detail = "The server offers no login by PLAIN or LOGIN."
            raise Failure(standstill("credentials_refused", detail, BY_HAND), fix=LOGIN_FIX)
        good(Phase.LOGIN, reply, wanted=235)

    # --- speaking ----------------------------------------------------------------------------

    def _say(self, phase: Phase, *words: str) -> tuple[int, bytes]:
        with during(phase):
            return self._client.docmd(*words)

    def _write(self, text: bytes) -> None:
        try:
            self._client.send(text)
        except OSError:
            self._let_object(0.0)  # what it said before it left tells more
            raise

    def _let_object(self, patience: float) -> None:
        """Give the server time to refuse the text or to leave while nothing can have been accepted.

        A connection that it cut in the middle of a text would else be found cut after the dot, where
        nobody knows any more whether the message was taken. Raises Failure with what it said, or
        OSError when it left without a word.
        """
        if self._client.speaks(patience):
            good(Phase.BODY, self._client.getreply(), wanted=354)
            raise ConnectionAbortedError("an answer before it was asked")

    def _answers(self, command: str) -> bool:
        with suppress(OSError, smtplib.SMTPException):
            return self._client.docmd(command)[0] == 250
        return False

    def _extras(self, letter: Letter) -> str:
        size = f" SIZE={len(letter.content)}" if self._client.has_extn("size") else ""
        return f"{size} BODY=8BITMIME SMTPUTF8" if letter.in_utf8 else size


# --- connecting ----------------------------------------------------------------------------------


def tls(options: Options) -> ssl.SSLContext:
    """Return how encryption has to be: TLS 1.2 or newer, a certificate for that name. Raises Failure."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if options.ca is not None:
        try:
            context.load_verify_locations(options.ca)
        except OSError as error:
            why = (
                "is no file of certificates" if isinstance(error, ssl.SSLError) else error.strerror
            )
            detail = f"The file under ca cannot be used: {options.ca}: {why}."
            raise Failure(standstill("certificate_refused", detail, BY_HAND), fix=CA_FIX) from error
    return context


def _connected(options: Options) -> Client:
    wait = options.timeout.total_seconds()
    # Naming ourselves here keeps smtplib from asking the DNS for our own name, without any limit.
    ourselves = options.ehlo or "localhost"
    with during(Phase.CONNECT, options.host):
        try:
            if options.security == "tls":
                client: Client = EncryptedClient(
                    options.host, options.at_port, ourselves, timeout=wait, context=tls(options)
                )
            else:
                client = Client(options.host, options.at_port, ourselves, timeout=wait)
        except smtplib.SMTPConnectError as error:
            good(Phase.CONNECT, (error.smtp_code, as_bytes(error.smtp_error)), wanted=220)
            raise
    assert client.sock is not None
    # The dot is written apart from the text: without this it would wait for an acknowledgement.
    client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.command_encoding = "utf-8"  # an address of RFC 6531; all else is ASCII anyway
    client.local_hostname = options.ehlo or _literal(client.sock)
    return client


def _literal(connected: socket.socket) -> str:
    """Return our address as EHLO wants it (RFC 5321 section 4.1.3)."""
    address = connected.getsockname()[0].partition("%")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


# --- on the wire ---------------------------------------------------------------------------------


def _stuffed(content: bytes) -> bytes:
    """Return a text as DATA wants it: lines end with CRLF, one that begins with a dot has two."""
    lines = _LINE_END.sub(b"\r\n", content)
    stuffed = re.sub(rb"(?m)^\.", b"..", lines)
    return stuffed if stuffed.endswith(b"\r\n") else stuffed + b"\r\n"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")
