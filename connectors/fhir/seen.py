"""Which appointments a read has met: each is given on once, in the newest version that came.

While pages are read the data behind them moves, so the same visit may come on two pages, or in two
slices, and not always the newer one last.
"""

from __future__ import annotations

from datetime import UTC, datetime

_FIRST_YEAR, _LAST_YEAR = 1900, 2199


class Seen:
    """Remembers a few bytes of each appointment, however long the read is."""

    def __init__(self) -> None:
        self._met: dict[str, tuple[float, int]] = {}
        self.newest: datetime | None = None

    def __len__(self) -> int:
        return len(self._met)

    def is_news(self, key: str, changed: datetime | None, mark: int) -> bool:
        """Whether this version is to be given on: of two the one changed later, else that met later.

        The same version again, by the mark of its content, is no news.
        """
        at = changed.timestamp() if changed else 0.0
        known = self._met.get(key)
        if known and (known[1] == mark or at < known[0]):
            return False
        self._met[key] = (at, mark)
        return True

    def note(self, changed: datetime | None, *, until: datetime) -> None:
        """Remember the latest change, unless it lies after `until`: a server's typing error."""
        if changed and changed <= until:
            self.newest = max(self.newest or changed, changed)


def moment_of(text: str | None) -> datetime | None:
    """Read an instant as servers write it; None for anything else, and without an offset UTC.

    The years 1 and 9999 stand for no date, and cannot be reckoned with.
    """
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        return None
    if moment.tzinfo is UTC:
        return moment
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
