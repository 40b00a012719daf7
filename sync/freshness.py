"""Whether what is known of a source is still to be relied on: for status, and before each reminder.

Status asks for complete reads and is red early, so that a person looks. Reminders wait only where the
source did not speak for longer (what it said incompletely it did say), and those of single visits
while a guard holds what it says of them now.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any

from clinicrelay import plugins
from sync.hours import VISIT, open_for
from sync.rhythm import is_usual
from sync.store import counting, incoming, progress, silent

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sync.clinic import Clinic
    from sync.store.progress import Progress

_RED_AT_LEAST = timedelta(minutes=30)
_OVERDUE_AT_LEAST = timedelta(hours=2)  # a restart at lunch keeps nobody's reminder back
_SKEW = 15 * 60  # seconds by which the clocks of two machines may differ
_RHYTHM_UNKNOWN = timedelta(hours=24)
_READS = 4  # of files, by which their rhythm is told


def stale_after(
    clinic: Clinic, name: str, rhythm: timedelta | None, *, at_least: timedelta = _RED_AT_LEAST
) -> timedelta:
    """Return after how long without a read a source is stale.

    Unless settings say so it is three times the rhythm in which it was read whole, at least as long
    as said; a day while its rhythm is not known.
    """
    source = clinic.settings.sources[name]
    if "stale_after" in source.model_fields_set:
        return source.stale_after
    return max(at_least, 3 * rhythm) if rhythm else _RHYTHM_UNKNOWN


def source_state(clinic: Clinic, connection: Connection, name: str) -> str:
    """Return how one source stands: ok, new, partial, failed, held or stale."""
    known = progress.progress(connection, clinic.store.clinic, name)
    if name not in clinic.settings.sources or known.state == "held":
        return known.state
    usual = rhythms(connection, clinic.store.clinic).get(name)
    return state_of(clinic, connection, name, known, usual)


def state_of(
    clinic: Clinic, connection: Connection, name: str, known: Progress, rhythm: timedelta | None
) -> str:
    """Return how a source stands by what is known of its reads: ok, new, partial, failed or stale."""
    if known.state == "failed":
        return "failed"
    if known.last_complete_at is None:
        return "partial" if known.state == "partial" else "new"
    if is_stale(clinic, connection, name, known.last_complete_at, rhythm):
        return "stale"
    return "ok" if known.state == "held" else known.state


def is_stale(
    clinic: Clinic, connection: Connection, name: str, last: int, rhythm: timedelta | None
) -> bool:
    """Whether a source was last read whole (in seconds) for too long a time ago.

    Files are brought by people who go home: where settings say nothing else, only hours in which the
    source has visits count, and hours in which no file came on earlier days do not.
    """
    now, allowed = int(clinic.now.timestamp()), stale_after(clinic, name, rhythm).total_seconds()
    if last - now > _SKEW:
        return True  # the clock was ahead when it was read: nobody knows how long ago that is
    if now - last <= allowed:
        return False
    if "stale_after" in clinic.settings.sources[name].model_fields_set or not _brought(
        clinic, name
    ):
        return True
    reads = silent.whole_reads(connection, clinic.store.clinic, name)
    if len(reads) < _READS:  # somebody tries it out
        rhythm, allowed = None, max(allowed, _RHYTHM_UNKNOWN.total_seconds())
    after = max(VISIT, int(rhythm.total_seconds() if rhythm else allowed))
    if open_for(clinic, connection, since=last, until=now, after=after, source=name) <= allowed:
        return False
    return not is_usual(reads, since=last, until=now)


def _brought(clinic: Clinic, name: str) -> bool:
    """Whether what a source says is brought by others, as files are."""
    kind: Any = plugins.find("connectors", clinic.settings.sources[name].type)
    return bool(kind.brought)


def rhythms(connection: Connection, clinic: str) -> dict[str, timedelta]:
    """Return how far apart the complete reads of each source usually were."""
    moments: dict[str, list[int]] = {}
    for at, report in counting.complete_reads(connection, clinic):
        for name, one in json.loads(report).get("sources", {}).items():
            if one.get("complete"):
                moments.setdefault(name, []).append(at)
    return {
        name: timedelta(seconds=median(gaps))
        for name, found in moments.items()
        if (gaps := [abs(b - a) for a, b in pairwise(found) if a != b])
    }


def overdue(clinic: Clinic) -> frozenset[str]:
    """Return the sources that were silent for too long to remind anybody by what they said.

    Looked up once, until `clinic.overdue` is forgotten: within a run it holds for all messages alike.
    """
    if clinic.overdue is None:
        with clinic.store.read() as connection:
            clinic.overdue = frozenset(_overdue(clinic, connection))
    return clinic.overdue


def held_back(clinic: Clinic) -> Mapping[tuple[str, str], str | None]:
    """Return the visits (source, key) of which a hold keeps back what the source says now.

    And their content as it says it; None where it does not mention them any more.

    Looked up once, until `clinic.held_back` is forgotten: before each batch of messages.
    """
    if clinic.held_back is None:
        with clinic.store.read() as connection:
            clinic.held_back = dict(incoming.held_back(connection, clinic.store.clinic))
    return clinic.held_back


def _overdue(clinic: Clinic, connection: Connection) -> Iterator[str]:
    silent = {
        name: silence
        for name in clinic.settings.sources
        if (silence := _silence(clinic, connection, name)) is not None
    }
    usual = rhythms(connection, clinic.store.clinic) if silent else {}
    for name, silence in silent.items():
        if silence > stale_after(clinic, name, usual.get(name), at_least=_OVERDUE_AT_LEAST):
            yield name


def _silence(clinic: Clinic, connection: Connection, name: str) -> timedelta | None:
    """Return for how long a source said nothing; None where that could not be for too long.

    Files are brought whenever somebody has some: that none came tells only whoever set `stale_after`
    that something is wrong.
    """
    known = progress.progress(connection, clinic.store.clinic, name)
    if known.last_read_at is None:
        return None
    silence = clinic.now - datetime.fromtimestamp(known.last_read_at, UTC)
    source = clinic.settings.sources[name]
    if "stale_after" in source.model_fields_set:
        return silence
    if silence <= _OVERDUE_AT_LEAST or (_brought(clinic, name) and known.state != "failed"):
        return None
    return silence
