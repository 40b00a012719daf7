"""Which searches make up a read: slices of days, partitions of ids, and the parameters of each.

Windows are whole local days of the clinic's zone, half open, sent as instants with their offset: a
date alone would mean the server's days.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from clinicrelay.contracts import Stretch, Window
from clinicrelay.times import day_of, first_instant, local
from connectors.fhir.server import Query

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Days:
    """Local days of a zone: from the first instant of one to that of another."""

    first: date
    end: date
    zone: str

    @property
    def start_at(self) -> datetime:
        return first_instant(self.first, self.zone)

    @property
    def end_at(self) -> datetime:
        return first_instant(self.end, self.zone)

    def halves(self) -> tuple[Days, Days] | None:
        """Return both halves; None where one day is left."""
        length = (self.end - self.first) // 2
        if length < _DAY:
            return None
        middle = self.first + length
        return replace(self, end=middle), replace(self, first=middle)


@dataclass(frozen=True, slots=True)
class Part:
    """One search of a listing: some days, or all; some ids, or everybody."""

    days: Days | None = None
    by: str = ""
    ids: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What a cursor calls it: the same on another day, as long as it asks the same."""
        when = f"{self.days.first}/{self.days.end}" if self.days else "all"
        if not self.by:
            return when
        whom = hashlib.blake2b(",".join(self.ids).encode(), digest_size=4).hexdigest()
        return f"{when} {self.by} {whom}"

    @property
    def called(self) -> str:
        """What a sentence calls it."""
        when = f"{self.days.first} to {self.days.end - _DAY}" if self.days else "all days"
        if not self.by:
            return when
        return f"{self.by} {self.ids[0]}" if len(self.ids) == 1 else f"{len(self.ids)} {self.by}s"

    def covers(self) -> Iterator[Stretch]:
        """Yield what has been read once this has."""
        start = self.days.start_at if self.days else None
        end = self.days.end_at if self.days else None
        if not self.by:
            yield Stretch(start, end)
        for one in self.ids:
            yield Stretch(start, end, self.by, one)

    def singly(self) -> list[Part]:
        """Return a part for each of its ids."""
        return [replace(self, ids=(one,)) for one in self.ids]

    def halves(self) -> list[Part]:
        """Return two parts of half its days each; none where that cannot be."""
        both = self.days.halves() if self.days else None
        return [replace(self, days=half) for half in both or ()]


@dataclass(frozen=True, slots=True)
class Job:
    """One search of a read, by a name that cursors know; `part` is what it covers, if anything."""

    name: str
    query: Query
    part: Part | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        """Of whom it asks, by the partition; nobody where it asks for all."""
        return self.part.ids if self.part else ()

    @property
    def end(self) -> datetime | None:
        """Where its days end; None where it asks for none."""
        return self.part.days.end_at if self.part and self.part.days else None


def slices(window: Window, zone: str, length: int) -> list[Days]:
    """Cut a window into slices of `length` days.

    They begin on the same days whenever that is asked, so that a read which goes on tomorrow knows
    what was read today; only the first and the last are cut to the window.
    """
    first, end = day_of(window.start, zone), day_of(window.end, zone)
    if first_instant(end, zone) < window.end:
        end += _DAY
    found, at = [], first
    while at < end:
        to = min(end, at + (length - at.toordinal() % length) * _DAY)
        found.append(Days(at, to, zone))
        at = to
    return found


def parts(
    days: Sequence[Days], by: str = "", ids: Sequence[str] = (), at_once: int = 1
) -> list[Part]:
    """Return the searches of a listing, in their order; without `days`, of all there is."""
    whom = [tuple(ids[at : at + at_once]) for at in range(0, len(ids), at_once)] if by else [()]
    whens: Sequence[Days | None] = days or [None]
    return [Part(when, by, group) for when in whens for group in whom]


@dataclass(frozen=True, slots=True)
class Searching:
    """How a server is asked: our own parameters, those of the settings, and a page's size.

    `wide` asks for a day more on either side (see `Preset`).
    """

    params: tuple[tuple[str, str], ...]
    includes: tuple[str, ...]
    page_size: int
    wide: bool = False

    def listing(self, part: Part) -> Query:
        """Ask for the visits of a part."""
        asked = [(part.by, ",".join(part.ids))] if part.by else []
        return self._query("Appointment", [*asked, *self._dates(part.days)])

    def changes(self, since: datetime) -> Query:
        """Ask for what was changed since, the moment included."""
        return self._query("Appointment", [("_lastUpdated", f"ge{instant(since)}")])

    def history(self, since: datetime) -> Query:
        """Ask for each version since, and for deletions."""
        params = (("_since", instant(since)), ("_count", str(self.page_size)))
        return Query("Appointment/_history", params)

    def _dates(self, days: Days | None) -> list[tuple[str, str]]:
        if days is None:
            return []
        first, end = (days.first - _DAY, days.end + _DAY) if self.wide else (days.first, days.end)
        bounds = ("ge", first_instant(first, days.zone)), ("lt", first_instant(end, days.zone))
        return [("date", f"{how}{local(at, days.zone).isoformat()}") for how, at in bounds]

    def _query(self, path: str, ours: Sequence[tuple[str, str]]) -> Query:
        includes = [("_include", one) for one in self.includes]
        size = ("_count", str(self.page_size))
        return Query(path, (*ours, *self.params, *includes, size))


def instant(moment: datetime) -> str:
    """Write an instant to the millisecond, as servers compare `lastUpdated`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
