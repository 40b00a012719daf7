"""Which appointments a read has met: each is given on once, in the newest version that came (F-05).

While pages are read the data behind them moves, so the same visit may come on two pages, or in two
slices, and not always the newer one last.
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import blake2b

from msgspec import Raw


class Seen:
    """Remembers a few bytes of each appointment, however long the read is."""

    def __init__(self) -> None:
        self._met: dict[str, tuple[float, bytes]] = {}
        self.newest: datetime | None = None

    def __len__(self) -> int:
        return len(self._met)

    def is_news(self, key: str, updated: str | None, raw: Raw | bytes) -> bool:
        """Whether this version is to be given on: of two the one changed later, else that met later.

        The same version again is no news.
        """
        moment = moment_of(updated)
        at = moment.timestamp() if moment else 0.0
        mark = blake2b(raw, digest_size=8).digest()
        known = self._met.get(key)
        if known and (known[1] == mark or at < known[0]):
            return False
        self._met[key] = (at, mark)
        return True

    def note(self, updated: str | None, *, until: datetime | None) -> None:
        """Remember the latest change, unless it lies after `until`: a server's typing error."""
        moment = moment_of(updated)
        if moment and (until is None or moment <= until):
            self.newest = max(self.newest or moment, moment)


def moment_of(text: str | None) -> datetime | None:
    """Read an instant as servers write it; None for anything else, and without an offset UTC."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
