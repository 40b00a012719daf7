"""How a read is cut into parts that fit: stretches of days, and whom a list must be asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from clinicrelay.contracts import Stretch, Window
from clinicrelay.errors import Refused
from clinicrelay.times import Span, day_of, first_instant
from connectors.rest.bodies import as_id, found_at
from connectors.rest.door import Door, Incomplete
from connectors.rest.options import List
from connectors.rest.paging import Astray
from connectors.rest.placeholders import Values
from connectors.rest.requests import Partition, Request
from connectors.rest.walk import Walk

# Whom absence can be told of (see Stretch); of all others only when every part was read.
_KNOWN = ("practitioner", "location", "patient")
_DAYS = frozenset({"window_start", "window_end"})


@dataclass(frozen=True, slots=True)
class Part:
    """One list to be walked: for all, or for one; on all days, or on some."""

    number: int  # of the list
    who: str | None = None
    days: Window | None = None

    def values(self, values: Values) -> Values:
        """Return the values with this part's own."""
        days = self.days
        return values.but(
            partition=self.who,
            window_start=days.start if days else None,
            window_end=days.end if days else None,
        )


def stretches(window: Window, span: Span | None, zone: str) -> list[Window]:
    """Cut a window at midnights into stretches of at most so many days."""
    if span is None:
        return [window]
    found, start = [], window.start
    while start < window.end:
        if span.days:
            day = day_of(start, zone) + timedelta(days=span.days)
            end = first_instant(day, zone) + span.elapsed
        else:
            end = start + span.elapsed
        found.append(Window(start, min(end, window.end)))
        start = end
    return found


def parts_of(
    requests: Sequence[Request], window: Window, span: Span | None, who: Sequence[str], zone: str
) -> list[Part]:
    """Return everything that has to be walked, in the order in which it is."""
    cut = stretches(window, span, zone)
    found = []
    for number, request in enumerate(requests):
        named = request.placeholders
        days: list[Any] = list(cut) if named & _DAYS else [None]
        whom: list[Any] = list(who) if "partition" in named else [None]
        found += [(when, number, Part(number, one_of, when)) for when in days for one_of in whom]
    # Stretch by stretch, and in each list by list: what is nearest matters most.
    # A later list has the last word (what is cancelled comes after what is booked), so one without
    # days comes after every stretch of those before it.
    order = {id(when): at for at, when in enumerate(cut)}
    dated = min((number for when, number, _ in found if when is not None), default=0)
    found.sort(
        key=lambda entry: (
            order.get(id(entry[0]), len(cut) if entry[1] > dated else 0),
            entry[1],
        )
    )
    return [part for _, _, part in found]


def ids_of(partition: Partition, door: Door, values: Values) -> list[str]:
    """Return whom a list has to be asked for; never nobody, nor only some. Raises as the door does."""
    if partition.request is None:
        return list(partition.ids)
    one = _Listed(partition)
    name = found_at(partition.id)
    found = []
    try:
        for rows in Walk(door, one, partition.request, values, name=lambda item: None).pages():
            found += [who for item in rows.items if (who := as_id(name(item))) is not None]
    except (Astray, Incomplete) as error:
        raise Refused(
            f"{door.host} does not list whole whom to ask for: {error}",
            fix="check partition: request and paging",
        ) from error
    if not found:  # to read no part at all would look like a source without visits
        raise Refused(
            f"{door.host} lists nobody to ask for at {partition.request.path}",
            fix="check partition: request, records and id",
        )
    return list(dict.fromkeys(found))


class _Listed(List):
    def __init__(self, partition: Partition) -> None:
        assert partition.request is not None
        self.request = self.changes_request = partition.request
        self.records, self.paging = partition.records, partition.paging
        self.gone, self.set = False, {}


def covered(parts: Sequence[Part], whole: set[Part], by: str) -> list[Stretch]:
    """Return the stretches of which every list was read to its end in this run."""
    if not parts:
        return []
    cut: list[Window | None] = [*dict.fromkeys(part.days for part in parts if part.days)]
    whom: list[str | None] = [*dict.fromkeys(part.who for part in parts if part.who is not None)]
    cut, whom = cut or [None], whom or [None]
    unread = {(part.days, part.who) for part in parts if part not in whole}
    found: list[Stretch] = []
    for days in cut:
        named = [who for who in whom if unread.isdisjoint(_within(days, who))]
        found += _stretches(days, named, whom, by)
    return found


def _within(days: Window | None, who: str | None) -> tuple[tuple[Window | None, str | None], ...]:
    """Return what has to be read of some days and of one: a list for all days, or for all, as well."""
    return (days, who), (days, None), (None, who), (None, None)


def _stretches(
    days: Window | None, named: Sequence[str | None], whom: Sequence[str | None], by: str
) -> Iterator[Stretch]:
    start, end = (days.start, days.end) if days else (None, None)
    if len(named) == len(whom) and (by not in _KNOWN or None in whom):
        yield Stretch(start, end)
    elif by in _KNOWN:
        yield from (Stretch(start, end, by, who or "") for who in named)
