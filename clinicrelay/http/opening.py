"""Opens the connection to one system: certificates, proxy, credentials, time limits."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping, Sequence

import httpx

from clinicrelay import __version__
from clinicrelay.auth.flows import flow_of
from clinicrelay.http.errors import Unwelcome
from clinicrelay.http.options import HttpOptions, Tls

_CONNECT = 10.0  # seconds


def open_client(
    options: HttpOptions, headers: Mapping[str, str], scope: Sequence[str]
) -> httpx.Client:
    """Return a client for one system. Raises Unwelcome where its certificates cannot be read."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)  # else each address, with its query
    seconds = options.timeout.total_seconds()
    usual = {"Accept": "application/json", "User-Agent": f"clinicrelay/{__version__}"}
    return httpx.Client(
        auth=flow_of(options, scope),
        headers={**usual, **headers},
        timeout=httpx.Timeout(seconds, connect=min(_CONNECT, seconds)),
        verify=_trust(options) if options.base_url.startswith("https") else False,
        proxy=options.proxy,
        follow_redirects=False,
    )


def _trust(options: HttpOptions) -> ssl.SSLContext:
    """Trust the system's signers, those that come with us, and the clinic's own."""
    import certifi

    tls = options.tls
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    try:
        _add(context, tls)
    except (OSError, ssl.SSLError) as error:
        raise Unwelcome(
            f"the certificates under tls cannot be read: {getattr(error, 'strerror', '') or 'not PEM'}",
            fix="check the files that tls.ca, tls.cert and tls.key name",
        ) from error
    if tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _add(context: ssl.SSLContext, tls: Tls) -> None:
    if tls.ca:
        context.load_verify_locations(tls.ca)
    if tls.cert:
        password = tls.password.get_secret_value() if tls.password else None
        context.load_cert_chain(tls.cert, tls.key, password)
