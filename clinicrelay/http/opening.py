"""Opens connections to one system: certificates, proxy, credentials, time limits."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import httpx

from clinicrelay import __version__
from clinicrelay.http.options import HttpOptions
from clinicrelay.http.private import host_in
from clinicrelay.http.reading import ACCEPTED
from clinicrelay.http.trust import trusted_by
from clinicrelay.http.watch import Watch
from clinicrelay.loopback import is_loopback

_CONNECT = 10.0  # seconds
_TALKATIVE = (
    "httpx",
    *(f"httpcore.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")),
)


class Line(httpx.Client):
    """A client whose exchanges can be cut off as a whole."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.watch = Watch()


def open_line(
    options: HttpOptions,
    headers: Mapping[str, str],
    auth: httpx.Auth | None = None,
    *,
    url: str = "",
) -> Line:
    """Return a client for one system, or for another `url` by the same certificates and proxy.

    Raises Unwelcome where the certificates cannot be used.
    """
    _hush()
    there = (url or options.base_url).lower()
    seconds = options.timeout.total_seconds()
    usual = {
        "Accept": "application/json",
        "Accept-Encoding": ACCEPTED,
        "User-Agent": f"clinicrelay/{__version__}",
    }
    return Line(
        auth=auth,
        headers={**usual, **headers},
        timeout=httpx.Timeout(seconds, connect=min(_CONNECT, seconds)),
        # Reading all signers costs some 30 ms.
        verify=trusted_by(options, there) if there.startswith("https") else False,
        proxy=options.proxy,
        # What is for this machine goes by nobody else, whatever the environment says.
        trust_env=not is_loopback(host_in(there)),
        follow_redirects=False,
    )


def _hush() -> None:
    """Have the libraries keep addresses with their queries, and headers, to themselves (F40).

    A filter, as a level could be set back by whoever wants to see more of everything.
    """
    for name in _TALKATIVE:
        logger = logging.getLogger(name)
        if _only_trouble not in logger.filters:
            logger.addFilter(_only_trouble)


def _only_trouble(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING
