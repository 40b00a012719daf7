"""`smtplib`'s client with an end to every answer: it waits for each octet anew and keeps all it gets."""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# RFC 5321 section 4.5.3.1 allows lines of 512 octets; real servers say more, none says so much.
_MOST_OCTETS, _MOST_LINES = 65_536, 100
# All lines of an answer but its last have a hyphen after the code (RFC 5321 section 4.2.1).
_WHOLE = re.compile(rb"(?:\d{3}-[^\n]*\n)*(?!\d{3}-)[^\n]*\n")
_ENDLESS = -1, b"an answer without end"
_NOT_YET = (TimeoutError, BlockingIOError, ssl.SSLWantReadError)


class Client(smtplib.SMTP):
    """A connection whose every answer is there within `timeout`, whole, or counts as none."""

    _heard = b""

    def send(self, s: ReadableBuffer | str) -> None:
        """Send as it is; what the server has said meanwhile can still be read when this fails."""
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("not connected")
        self.sock.sendall(s.encode(self.command_encoding) if isinstance(s, str) else s)

    def getreply(self, within: float | None = None) -> tuple[int, bytes]:
        """Return the next answer; the code is -1 where it is no SMTP, or too long to be one."""
        ends = time.monotonic() + (self.timeout if within is None else within)
        while (answer := _WHOLE.match(self._heard)) is None:
            if len(self._heard) > _MOST_OCTETS or self._heard.count(b"\n") >= _MOST_LINES:
                return _ENDLESS
            try:
                self._hear(_left(ends))
            except OSError as error:
                self.close()
                raise smtplib.SMTPServerDisconnected("no answer") from error
        self._heard = self._heard[answer.end() :]
        lines = answer[0].splitlines()
        code = lines[-1][:3]
        return int(code) if code.isdigit() else -1, b"\n".join(line[4:].strip() for line in lines)

    def speaks(self, within: float) -> bool:
        """Whether the server says something now. Raises OSError when it has left."""
        try:
            self._hear(within)
        except _NOT_YET:
            return False
        return True

    def starttls(self, *, context: ssl.SSLContext | None = None) -> tuple[int, bytes]:  # type: ignore[override]
        """Encrypt; what was said before counts for nothing, as anybody may have said it (RFC 3207)."""
        answer: tuple[int, bytes] = super().starttls(context=context)
        self._heard = b""
        return answer

    def close(self) -> None:
        super().close()
        self._heard = b""

    def _hear(self, within: float) -> None:
        connection = self._connected()
        connection.settimeout(within)
        try:
            said = connection.recv(4096)
        finally:
            connection.settimeout(self.timeout)
        if not said:
            raise ConnectionAbortedError("the server has left")
        self._heard += said

    def _connected(self) -> socket.socket:
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("not connected")
        return self.sock


class EncryptedClient(Client, smtplib.SMTP_SSL):
    """The same, encrypted from the first byte."""


def _left(ends: float) -> float:
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
