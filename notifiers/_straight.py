"""Straight to one provider, without a proxy between: `http.client`, with an end to every answer.

What httpx does for one request, and the timer that cuts off what drips, cost four times what this
does, and more than all the rest of a message. Here each octet is waited for only until the whole has
to be there. Connections are kept for the next message, and may be used by several threads.
"""

from __future__ import annotations

import base64
import http.client
import io
import select
import socket
import ssl
import time
import zlib
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import SplitResult, urlencode, urlsplit
from urllib.request import getproxies

from clinicrelay import __version__, loopback
from clinicrelay.http.reading import in_utf8

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_USUAL = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": f"clinicrelay/{__version__}",
}
_PACKED = ("gzip", "x-gzip", "deflate")
_PORTS = {"http": 80, "https": 443}


class Unreachable(Exception):
    """No connection came about: nothing was written."""


class Broken(Exception):
    """Something was written, and no whole answer came."""


class Request(NamedTuple):
    """One request, as the providers' libraries give it."""

    method: str
    url: str
    headers: Mapping[str, str] | None = None
    params: Any = None
    content: bytes | None = None
    form: Any = None
    auth: tuple[str, str] | None = None


def leads_to(url: str) -> bool:
    """Whether an address is reached without a proxy of the environment, and is a plain one."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    plain = parts.scheme in _PORTS and "@" not in parts.netloc and host and host.isascii()
    return bool(plain) and (loopback.is_loopback(host or "") or not _proxied(parts.scheme))


def _proxied(scheme: str) -> bool:
    return bool(getproxies().keys() & {scheme, "all"})


class Straight:
    """The connections to one provider. `tls` is how it has to prove who it is."""

    def __init__(
        self, tls: ssl.SSLContext | None, *, connect: float, seconds: float, largest: int
    ) -> None:
        self._tls = tls
        self._connect = connect
        self._seconds = seconds
        self._largest = largest
        self._idle: deque[tuple[str, socket.socket]] = deque()

    def exchange(self, request: Request) -> tuple[int, Mapping[str, str], bytes]:
        """Send a request and return status, headers (small letters) and content of its answer.

        Raises Unreachable and Broken.
        """
        parts = urlsplit(request.url)
        there, message = f"{parts.scheme}://{parts.netloc}", _written(request, parts)
        until = time.monotonic() + self._seconds
        connection = self._known(there) or self._opened(parts)
        done = False
        try:
            connection.settimeout(self._seconds)
            connection.sendall(message)
            heard = _Readable(connection, until)
            response = http.client.HTTPResponse(cast("socket.socket", heard), method=request.method)
            response.begin()
            if heard.octets.ended:  # http.client takes headers that are cut off for whole ones
                raise ConnectionAbortedError("an answer without its beginning")
            content = self._whole(response)
            done = not response.will_close
        except (OSError, http.client.HTTPException, zlib.error, ValueError) as error:
            raise Broken from error
        finally:
            if done:
                self._idle.append((there, connection))
            else:
                _drop(connection)
        headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status, headers, in_utf8(content, headers.get("content-type", ""))

    def close(self) -> None:
        """Let go of all connections that are not in use."""
        with suppress(IndexError):
            while True:
                _drop(self._idle.pop()[1])

    def _known(self, there: str) -> socket.socket | None:
        """Return a connection that still stands; one with something to read was given up there."""
        with suppress(IndexError):
            while True:
                place, connection = self._idle.pop()
                if place == there and not _speaks(connection):
                    return connection
                _drop(connection)
        return None

    def _opened(self, parts: SplitResult) -> socket.socket:
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        connection: socket.socket | None = None
        try:
            connection = socket.create_connection((host, port), self._connect)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if parts.scheme == "https":
                if self._tls is None:
                    raise ValueError("no certificates to prove it by")
                connection = self._tls.wrap_socket(connection, server_hostname=host)
        except (OSError, ValueError) as error:
            if connection is not None:
                _drop(connection)
            raise Unreachable from error
        return connection

    def _whole(self, response: http.client.HTTPResponse) -> bytes:
        """Return the content. Raises what `exchange` takes for Broken where it is cut off."""
        if response.length is not None and response.length > self._largest:
            raise ValueError("an answer without end")
        # All that was announced, or that it is cut off is an error; else as much as may be.
        announced = response.length is not None
        content = response.read() if announced else response.read(self._largest + 1)
        if response.headers.get("content-encoding", "").strip().lower() in _PACKED:
            content = zlib.decompressobj(wbits=47).decompress(content, self._largest + 1)
        if len(content) > self._largest:
            raise ValueError("an answer without end")
        return content


class _Readable:
    """What `HTTPResponse` reads an answer from."""

    def __init__(self, connection: socket.socket, until: float) -> None:
        self.octets = _Octets(connection, until)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self.octets)


class _Octets(io.RawIOBase):
    """Waits for octets until a moment, however few come at a time."""

    def __init__(self, connection: socket.socket, until: float) -> None:
        self._connection = connection
        self._until = until
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        heard = self._connection.recv_into(buffer)
        self.ended = heard == 0
        return heard


def _written(request: Request, parts: SplitResult) -> bytes:
    """Return a request as it travels. Raises Unreachable where a header would become two."""
    query = urlencode(request.params, doseq=True) if request.params else parts.query
    target = (parts.path or "/") + (f"?{query}" if query else "")
    headers = {"Host": parts.netloc, **_USUAL, **(request.headers or {})}
    content = request.content or b""
    if request.form:
        content = urlencode(request.form, doseq=True).encode()
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    if request.auth:
        login = base64.b64encode(":".join(request.auth).encode()).decode()
        headers["Authorization"] = f"Basic {login}"
    if content or request.method == "POST":
        headers["Content-Length"] = str(len(content))
    lines = [f"{request.method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    if any("\r" in line or "\n" in line for line in lines) or " " in target:
        raise Unreachable("the request cannot be written")
    try:
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + content
    except UnicodeEncodeError as error:
        raise Unreachable("the request cannot be written") from error


def _speaks(connection: socket.socket) -> bool:
    try:
        return bool(select.select([connection], [], [], 0)[0])
    except (OSError, ValueError):
        return True


def _drop(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.close()
