"""A connection to Google with bounds: no redirect is followed, no answer is endless, and none drips.

Google's client speaks by httplib2. Left to itself that sends what buys a token once more to wherever
a redirect leads, keeps whatever it is sent, and waits for each octet anew.
"""

from __future__ import annotations

import http.client
import io
import time
from datetime import timedelta
from typing import Any

import httplib2
from httplib2.decode import DecodeLimitError

from clinicrelay import loopback

_LARGEST = 64 << 20  # bytes of an answer, unpacked; a page of 2,500 events has some 4 MB
_TIMES = 4  # of the timeout: as long may an answer take from its first byte to its last


class Endless(http.client.HTTPException):
    """An answer that is larger than any of Google's."""


class _Heard(io.BufferedReader):
    def read(self, size: int | None = -1, /) -> bytes:
        """Raises Endless before room is made for what a server only announces."""
        if size is not None and size > _LARGEST:
            raise Endless
        return super().read(size)


class _Wire(io.RawIOBase):
    """What a server says, for so long and no longer."""

    def __init__(self, wire: Any, sock: Any) -> None:
        self._wire, self._socket = wire, sock
        self._patience: float = sock.gettimeout()
        self._ends = time.monotonic() + _TIMES * self._patience
        self._size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Raises TimeoutError and Endless."""
        self._socket.settimeout(self._left())
        try:
            read: Any = self._wire.readinto(buffer)
        finally:
            self._socket.settimeout(self._patience)
        self._size += read or 0
        if self._size > _LARGEST:
            raise Endless
        return int(read)

    def close(self) -> None:
        self._wire.close()
        super().close()

    def _left(self) -> float:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return float(min(left, self._patience))


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **more: Any) -> None:
        super().__init__(sock, *args, **more)
        self.fp = _Heard(_Wire(self.fp.detach(), sock))


class _Plain(httplib2.HTTPConnectionWithTimeout):  # type: ignore[misc]
    response_class = _Response


class _Encrypted(httplib2.HTTPSConnectionWithTimeout):  # type: ignore[misc]
    response_class = _Response


class Connection(httplib2.Http):  # type: ignore[misc]  # the library tells no types
    """Asks the address that it is given, and no other. Raises Endless, besides what httplib2 does."""

    def __init__(self, timeout: timedelta) -> None:
        super().__init__(timeout=timeout.total_seconds(), decode_limit_hard=_LARGEST)
        self.follow_redirects = False
        self._way_out: Any = httplib2.proxy_info_from_environment

    def request(self, uri: str, *args: Any, **more: Any) -> Any:
        # What is for this machine goes by nobody else, whatever the environment says.
        self.proxy_info = None if loopback.url_stays_here(uri) else self._way_out
        kind = _Encrypted if uri.startswith("https:") else _Plain
        try:
            return super().request(uri, *args, **{**more, "connection_type": kind})
        except DecodeLimitError as error:
            raise Endless from error
