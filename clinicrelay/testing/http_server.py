"""A small HTTP server on this machine for tests: a function answers, and every request is kept."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it arrived. `query` are decoded pairs in their order."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]  # names in small letters
    body: bytes

    def one(self, name: str) -> str | None:
        """Return the first value of a parameter."""
        return next((value for key, value in self.query if key == name), None)


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer: `body` is bytes as they are, or anything else as JSON.

    With `drop` the connection is closed in the middle of it, without an end; with `reset` it is
    cut off before any of it was said.
    """

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False
    reset: bool = False


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # of five, a sixth caller at once would wait a second to be heard


class HttpServer:
    """Listens on 127.0.0.1. `answer` may be exchanged at any time; `log` holds what was asked."""

    def __init__(
        self, answer: Callable[[Asked], Reply], *, tls: ssl.SSLContext | None = None
    ) -> None:
        self.answer = answer
        self.log: list[Asked] = []
        self.connections = 0  # how many were made to it, open or not
        self._scheme = "https" if tls else "http"
        self._server = _Server(("127.0.0.1", 0), self._handler())
        if tls:
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._server.daemon_threads = True
        self._connections: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        """The address, without a slash at its end."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop listening; asked again from then on nothing answers."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else each answer waits 40 ms for an acknowledgement

            def setup(self) -> None:
                super().setup()
                outer._connections.add(self.connection)
                outer.connections += 1

            def finish(self) -> None:
                outer._connections.discard(self.connection)
                super().finish()

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except (ConnectionError, TimeoutError, ssl.SSLError):
                    self.close_connection = True

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return self._any
                raise AttributeError(name)

            def _any(self) -> None:
                size = int(self.headers.get("content-length") or 0)
                parts = urlsplit(self.path)
                asked = Asked(
                    self.command,
                    parts.path,
                    tuple(parse_qsl(parts.query, keep_blank_values=True)),
                    {name.lower(): value for name, value in self.headers.items()},
                    self.rfile.read(size),
                )
                outer.log.append(asked)
                self._reply(outer.answer(asked))

            def _reply(self, reply: Reply) -> None:
                if reply.reset:
                    self._cut()
                    return
                body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body)
                content = body if isinstance(body, bytes) else body.encode()
                usual = {"Date": self.date_time_string()}
                if not isinstance(reply.body, bytes):
                    usual["Content-Type"] = "application/json"
                self.send_response_only(reply.status)
                for name, value in {**usual, **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2] if reply.drop else content)
                self.close_connection = self.close_connection or reply.drop

            def _cut(self) -> None:
                """Close at once and unasked, which the other side hears as a reset."""
                self.close_connection = True
                outer._connections.discard(self.connection)
                now = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
                socket.close(self.connection.detach())

            def log_message(self, *arguments: Any) -> None:
                """Say nothing: tests look at `log`."""

        return Handler


@contextmanager
def serving(
    answer: Callable[[Asked], Reply], *, tls: ssl.SSLContext | None = None
) -> Iterator[HttpServer]:
    """Serve until the block ends, encrypted with `tls`."""
    server = HttpServer(answer, tls=tls)
    server.start()
    try:
        yield server
    finally:
        server.stop()
