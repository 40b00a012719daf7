"""A wire between workers and RabbitMQ, which can be cut, fall silent, or be a TLS one."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from urllib.parse import urlsplit


class Wire:
    """Passes on what both sides say. `silent`: it swallows all of it, and nobody notices by himself."""

    def __init__(self, broker: str, *, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(broker)
        self._to = parts.hostname or "", parts.port or 5672
        self._tls = tls
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self.silent = threading.Event()
        port = self._listening.getsockname()[1]
        login, scheme = f"{parts.username}:{parts.password}", "amqps" if tls else "amqp"
        self.url = f"{scheme}://{login}@127.0.0.1:{port}{parts.path}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End every connection there is."""
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listening.close()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                threading.Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        with suppress(OSError):
            if self._tls:
                near = self._tls.wrap_socket(near, server_side=True)
            far = socket.create_connection(self._to)
            self._open |= {near, far}
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while said := one.recv(65536):
                if not self.silent.is_set():
                    other.sendall(said)
        for end in (one, other):
            self._open.discard(end)
            with suppress(OSError):
                end.close()
