"""Ids: those that sort by when they were made, and those that say nothing of what they are made of."""

from __future__ import annotations

import hmac
import secrets
from datetime import datetime

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_BASE32HEX = "0123456789abcdefghijklmnopqrstuv"  # RFC 4648 section 7
_PAIRS = [first + second for first in _BASE32HEX for second in _BASE32HEX]
_BITS = range(150, -1, -10)
_REMEMBERED = 4096  # those of one message are asked for several times


def ulid(at: datetime) -> str:
    """Return 26 characters: milliseconds since 1970, and 80 bits of chance.

    See https://github.com/ulid/spec.
    """
    number = int(at.timestamp() * 1000) << 80 | secrets.randbits(80)
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


class Opaque:
    """Ids that mean nothing to who has not the key, and are always the same for the same parts."""

    def __init__(self, key: bytes) -> None:
        self._keyed = hmac.new(key, digestmod="sha256")
        self._known: dict[str, str] = {}

    def __call__(self, *parts: object) -> str:
        """Return `cr` and 160 bits in 32 small letters and digits."""
        message = "|".join(map(str, parts))
        known = self._known.get(message)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            keyed = self._keyed.copy()
            keyed.update(message.encode())
            number = int.from_bytes(keyed.digest()[:20], "big")
            known = "cr" + "".join([_PAIRS[number >> bits & 1023] for bits in _BITS])
            self._known[message] = known
        return known
