"""Asks sources once more about the visits of due reminders, just before those leave.

What was cancelled or moved after the last read is so found in time. The answers are kept by the same
line as any read: mapped, judged by the guard, and seen by plan. A source that does not answer keeps
nobody's reminder back; for how long it may be silent, `sync.freshness` says. Those that there was no
time to ask about wait for the next run, within limits (`sync.outward`).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from clinicrelay.contracts import Page
from clinicrelay.errors import Refused, TryLater
from sync import keep
from sync.freshness import held_back, overdue
from sync.pull import keep_page, reading_of_answers
from sync.standing import PART_OF
from sync.store import progress, said, together

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.pull import SourceRun
    from sync.reading import Reading

_FRESH = timedelta(minutes=5)
_AT_ONCE = 200  # visits; a source is asked for so many in each run, however long that takes
_GO_ON = 30.0  # seconds after which no more are asked for: nobody is reminded meanwhile


class Looked(NamedTuple):
    """What became of a look: the visits not asked about (their keys), and why it ended early."""

    left: Sequence[str] = ()
    failure: TryLater | Refused | None = None


def doubtful(clinic: Clinic, shards: Collection[int]) -> dict[str, list[str]]:
    """Return the visits with a reminder due in these shards that are to be asked about: keys by source.

    Not those of which a guard holds what the source says: that is for a person to judge, and they wait.
    """
    standing = clinic.standing()
    roles = [r for r, part in PART_OF.items() if standing.paused(part, "", clinic.now) is None]
    with clinic.store.read() as connection:
        due = said.reminders_due(connection, clinic.store.clinic, roles, shards, now=clinic.now)
        beside = together.beside_due(connection, clinic.store.clinic, now=clinic.now) if due else {}
    held = held_back(clinic)
    asked = {
        name: [
            one for one in dict.fromkeys([*keys, *beside.get(name, ())]) if (name, one) not in held
        ]
        for name, keys in due.items()
        if name in clinic.settings.sources and _is_asked(clinic, name)
    }
    return {name: keys for name, keys in asked.items() if keys}


def _is_asked(clinic: Clinic, name: str) -> bool:
    """Whether a source can be asked, and was not read just now, nor in vain."""
    if clinic.settings.sources[name].verify_before_send == "off" or name in overdue(clinic):
        return False
    with clinic.store.read() as connection:
        known = progress.progress(connection, clinic.store.clinic, name)
    just_now = (clinic.now - _FRESH).timestamp()
    if known.state == "failed" or (known.last_complete_at or 0) > just_now:
        return False
    return clinic.connector(name).rereads


def look(clinic: Clinic, source: SourceRun, keys: Sequence[str]) -> Looked:
    """Ask a source about visits and keep what it answers, once the guard has judged the whole.

    What it said before it answered no further counts.
    """
    reading, found = reading_of_answers(source), Looked()
    try:
        found = Looked(left=_ask(clinic, source, reading, keys))
    except (TryLater, Refused) as error:
        found = Looked(failure=error)
    page = Page("by id", last=True, correction=True)
    limits = clinic.settings.safety.hold_if
    keep.end_read(source, reading, page, limits=limits, zone=clinic.zone)
    return found


def _ask(clinic: Clinic, source: SourceRun, reading: Reading, keys: Sequence[str]) -> Sequence[str]:
    """Ask part by part; return what there was no time for, or no budget that its reads can spare."""
    began, thrifty = time.monotonic(), clinic.settings.sources[source.name].budget is not None
    for start in range(0, len(keys), _AT_ONCE):
        if start and (thrifty or time.monotonic() - began >= _GO_ON or clinic.ending.is_set()):
            return keys[start:]
        for answer in source.connector.reread(keys[start : start + _AT_ONCE]):
            reading.records += len(answer.records)
            keep_page(source, reading, replace(answer, changes=True, last=True, cursor={}))
    return ()
