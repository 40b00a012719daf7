"""Opens connections to one system: certificates, proxy, credentials, time limits."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import httpx

from clinicrelay import __version__
from clinicrelay.http.options import HttpOptions
from clinicrelay.http.reading import ACCEPTED
from clinicrelay.http.trust import trusted_by

_CONNECT = 10.0  # seconds
_TALKATIVE = (
    "httpx",
    *(f"httpcore.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")),
)


def open_client(
    options: HttpOptions,
    headers: Mapping[str, str],
    auth: httpx.Auth | None = None,
    *,
    url: str = "",
) -> httpx.Client:
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
    return httpx.Client(
        auth=auth,
        headers={**usual, **headers},
        timeout=httpx.Timeout(seconds, connect=min(_CONNECT, seconds)),
        # Reading all signers costs some 30 ms.
        verify=trusted_by(options, there) if there.startswith("https") else False,
        proxy=options.proxy,
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
