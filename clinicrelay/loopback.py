"""Which addresses are this machine itself: what is sent there leaves nothing and nobody sees it."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, ip_address
from urllib.parse import urlsplit

_IPV4 = IPv4Network("127.0.0.0/8")
_IPV6 = IPv6Address("::1")
# A mail server of this machine passes on what it gets, so the patient would really be written to.
_MAIL_PORTS = frozenset({25, 465, 587})
_DEFAULT_PORTS = {"http": 80, "https": 443}


@lru_cache(maxsize=64)  # asked for each message
def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name alone: 127.0.0.0/8, ::1 or localhost.

    No name is looked up, as the answer may be another one a second later.
    """
    name = host.strip("[]").casefold()
    try:
        address = ip_address(name)
    except ValueError:
        return name == "localhost"
    return address == _IPV6 or address in _IPV4


def stays_here(host: str, port: int) -> bool:
    """Whether what is sent to a port of a host ends on this machine; mail ports pass it on."""
    return is_loopback(host) and port not in _MAIL_PORTS


@lru_cache(maxsize=64)
def url_stays_here(url: str) -> bool:
    """Whether what is sent to an address such as `http://127.0.0.1:8085/v1` ends on this machine."""
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError:
        return False
    return bool(parts.hostname) and stays_here(parts.hostname or "", port)
