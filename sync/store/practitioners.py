"""Who is visited: the practitioners that the kept visits name, and how many visits they have ahead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import text

from clinicrelay.model import Practitioner, Status
from sync.store import dialects, seconds

if TYPE_CHECKING:
    from sqlalchemy import Connection

_AT_ONCE = 900
_SHOWN = ", ".join(f"'{status}'" for status in Status if status.on_calendar)
_AHEAD = f"start_at > :now AND gone_at IS NULL AND status IN ({_SHOWN})"


@dataclass(slots=True)
class Seen:
    """A practitioner as a source last told of them; `ahead` are visits still to come."""

    source: str
    practitioner: Practitioner
    ahead: int = 0


class _Who(msgspec.Struct, frozen=True):
    """As much of a visit's content as is needed here: the rest is skipped, not decoded."""

    practitioners: tuple[Practitioner, ...] = ()


_who = msgspec.json.Decoder(_Who).decode


def seen(connection: Connection, clinic: str, *, now: datetime) -> list[Seen]:
    """Return every practitioner of every source, by source and key.

    The first one of a visit is a column, and is counted where it lies; others, whom few visits have,
    stand in the content. Both go through the visits from end to end.
    """
    found: dict[tuple[str, str], Seen] = {}
    ahead = _counted(connection, clinic, now)
    for number, source, who in _told(connection, sorted(ahead)):
        if who:
            _note(found, source, who[0], ahead[number])
    for source, who, coming in _with_others(connection, clinic, now):
        for one in who[1:]:
            _note(found, source, one, coming)
    return [found[key] for key in sorted(found)]


def _note(found: dict[tuple[str, str], Seen], source: str, who: Practitioner, ahead: int) -> None:
    found.setdefault((source, who.key), Seen(source, who)).ahead += ahead


def _counted(connection: Connection, clinic: str, now: datetime) -> dict[int, int]:
    """Return visits ahead by the number of the latest visit of each first practitioner."""
    rows = connection.execute(
        text(
            f"SELECT max(id), sum(CASE WHEN {_AHEAD} THEN 1 ELSE 0 END) FROM appointments "
            f"WHERE {dialects.unindexed('clinic')} = :clinic AND practitioner IS NOT NULL "
            "GROUP BY source, practitioner"
        ),
        {"clinic": clinic, "now": seconds(now)},
    )
    return {int(row[0]): int(row[1]) for row in rows}


def _with_others(
    connection: Connection, clinic: str, now: datetime
) -> Iterator[tuple[str, tuple[Practitioner, ...], int]]:
    """Yield source, practitioners and whether it is ahead (1 or 0) of visits that have several."""
    rows = connection.execute(
        text(
            f"SELECT source, content, CASE WHEN {_AHEAD} THEN 1 ELSE 0 END FROM appointments "
            f"WHERE {dialects.unindexed('clinic')} = :clinic AND content LIKE :others ORDER BY id"
        ),
        {"clinic": clinic, "now": seconds(now), "others": '%"primary":false%'},
    )
    for source, content, coming in rows:
        yield source, _who(content).practitioners, int(coming)


def _told(
    connection: Connection, numbers: Sequence[int]
) -> Iterator[tuple[int, str, tuple[Practitioner, ...]]]:
    for some in _slices(numbers):
        rows: Iterable[tuple[int, str, str]] = connection.exec_driver_sql(
            "SELECT id, source, content FROM appointments "
            f"WHERE id IN ({dialects.marks(connection, len(some))}) ORDER BY id",
            some,
        )
        for number, source, content in rows:
            yield number, source, _who(content).practitioners


def _slices(numbers: Sequence[int]) -> Iterator[tuple[int, ...]]:
    for start in range(0, len(numbers), _AT_ONCE):
        yield tuple(numbers[start : start + _AT_ONCE])
