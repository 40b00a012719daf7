"""Which hosts are of one's own network: there, and nowhere else, a connection may be less than safe."""

from __future__ import annotations

import socket
from ipaddress import IPv4Network, ip_address
from urllib.parse import urlsplit

from clinicrelay.loopback import is_loopback

# RFC 6762, RFC 8375 and ICANN's `internal` are kept free of public names; the others by custom.
_ENDINGS = (".local", ".localhost", ".internal", ".home.arpa", ".lan", ".intranet")
_SHARED = IPv4Network("100.64.0.0/10")  # RFC 6598: providers' and private overlay networks


def host_in(url: str) -> str:
    """Return the host of an address, without its port and brackets."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def is_private(host: str, *, resolve: bool = False) -> bool:
    """Whether a host is this machine or one of its own network.

    A name with dots tells nothing by itself; with `resolve` it is looked up, and all that it stands
    for has to be private. A name that nobody knows counts as private: nothing can be sent there.
    """
    name = host.strip("[]").rstrip(".").casefold()
    if _is_address(name):
        return _is_private_address(name)
    if is_loopback(name) or "." not in name or name.endswith(_ENDINGS):
        return True
    return resolve and all(_is_private_address(one) for one in _addresses(name))


def safe_to_send(url: str) -> bool:
    """Whether a secret may be sent to an address: encrypted, or within one's own network."""
    return url.lower().startswith("https:") or is_private(host_in(url))


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_private_address(text: str) -> bool:
    address = ip_address(text.partition("%")[0])
    return address.is_private or (address.version == 4 and address in _SHARED)


def _addresses(name: str) -> set[str]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return set()
    return {str(one[4][0]) for one in found}
