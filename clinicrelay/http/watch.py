"""Cuts off what drips: a server may send a byte just before each time limit, for ever.

A limit for each read cannot see that, least of all within an answer's first lines, which no code of
ours gets to see byte by byte. So a timer closes the connection under it.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakSet

_MADE = ("connect_tcp.complete", "start_tls.complete")


class Watch:
    """Knows the connections of one client, and how long each exchange may last as a whole."""

    def __init__(self) -> None:
        self._streams: WeakSet[Any] = WeakSet()
        self.cut = False  # the last exchange was cut off

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Take note of connections; httpcore calls this at each step of a request."""
        if event.endswith(_MADE):
            self._streams.add(info["return_value"])

    @contextmanager
    def over(self, seconds: float) -> Iterator[None]:
        """Let what happens in the block last so long, and no longer."""
        self.cut = False
        timer = threading.Timer(seconds, self._cut_off)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _cut_off(self) -> None:
        self.cut = True
        for stream in list(self._streams):
            connection = stream.get_extra_info("socket")
            if connection is not None:
                # Closing would leave the thread that reads from it waiting; this wakes it up.
                with suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
