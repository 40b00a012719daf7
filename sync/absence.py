"""What it means that a read did not name a known visit: nothing yet, that it is gone, or that we ask.

A source that left a visit out may have deleted it, moved it out of the window, or not caught up with
itself. So absence counts only in parts that were read to their ends, and a source that can be asked
for one visit is asked before anything known is harmed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from clinicrelay.actions import What
from clinicrelay.contracts import Page, Stretch
from clinicrelay.counts import counted
from clinicrelay.errors import Refused, TryLater
from clinicrelay.model import Appointment
from clinicrelay.times import day_of
from sync import pairing
from sync.guard import Days, Limits, days_that_count
from sync.pull import SourceRun, keep_page, reading_of_answers
from sync.reading import Reading
from sync.store import absences, incoming, progress, visits
from sync.store.incoming import Waiting
from sync.store.visits import Coming

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sync.store.progress import Progress

_ASKED_AT_ONCE = 200  # visits in one run; the others have to wait for the next


@dataclass(frozen=True, slots=True)
class Absence:
    """What a read did not name: coming visits, those that are gone by that, and those renumbered."""

    visits: int = 0
    gone: Sequence[Waiting] = ()
    renumbered: Collection[str] = ()


def counts(source: SourceRun, reading: Reading, page: Page) -> bool:
    """Whether the read proves anything about visits that it does not name."""
    if page.changes or not source.connector.lists_everything:
        return False
    return bool(page.complete or page.covers) and not reading.nameless


def ask_by_key(
    source: SourceRun, reading: Reading, page: Page, *, limits: Limits, zone: str
) -> None:
    """Ask the source itself about visits that a read did not name, before the read is judged.

    What it answers is part of the read; what it does not answer stays as it is. So many missing that
    the guard holds the read anyway are nobody's business but the guard's.
    """
    if not source.connector.rereads or not counts(source, reading, page):
        return
    with source.store.read() as connection:
        known = progress.progress(connection, source.clinic, source.name)
        coming = partial(visits.count_coming, connection, source.clinic, source.name)
        count = partial(coming, now=source.now)
        missing = missing_of(connection, source, reading, page, known, count, zone)
        too_many = len(missing) >= limits.at_least and len(missing) > limits.gone * count()
    if not missing or too_many or not reading.records:
        return
    try:
        keys = [visit.source_key for visit in missing[:_ASKED_AT_ONCE]]
        for answer in source.connector.reread(keys):
            source.notes.extend(answer.notes)
            keep_page(source, reading, replace(answer, changes=True, last=True, cursor={}))
    except (TryLater, Refused) as error:
        source.notes.append(
            f"{counted(len(missing), 'visit')} that were not named stay as they are: {error}"
        )
    unproven = {visit.id for visit in missing if visit.id not in reading.met}
    reading.spared |= unproven


def ask_again(source: SourceRun) -> Reading | None:
    """Ask about visits that an earlier run missed and could not ask about, before anything else.

    Else a run whose budget ends with its listing would never come to it. Returns what the answers
    told, to be judged; None where there is nothing to ask, or nobody answers.
    """
    if not source.connector.rereads:
        return None
    with source.store.read() as connection:
        doubtful = absences.keys_of(connection, source.clinic, source.name)[:_ASKED_AT_ONCE]
    if not doubtful:
        return None
    reading = reading_of_answers(source)
    try:
        for answer in source.connector.reread(doubtful):
            reading.records += len(answer.records)
            keep_page(source, reading, replace(answer, changes=True, last=True, cursor={}))
    except (TryLater, Refused):
        return None  # the read itself meets the same, and tells it
    return reading


def missing_of(
    connection: Connection,
    source: SourceRun,
    reading: Reading,
    page: Page,
    known: Progress,
    coming: Callable[[], int],
    zone: str,
) -> list[Coming]:
    """Return the known coming visits that the read speaks for and did not name."""
    unmet = unmet_of(connection, source, reading, coming, None)
    if page.covers is None:
        first, last = _days(known, reading, source, zone)
        return [visit for visit in unmet if first <= _day(visit.start_at, zone) <= last]
    return _covered(connection, source, unmet, page.covers)


def absent(
    connection: Connection,
    source: SourceRun,
    reading: Reading,
    page: Page,
    known: Progress,
    coming: Callable[[], int],
    zone: str,
    back: Sequence[Waiting],
) -> Absence:
    """Return the known coming visits that the read did not name, and which are gone by that.

    It counts also those that its days do not cover: a cut file covers fewer days, and must not look
    harmless for that. One that is there again under a new number is not missing at all.
    """
    if not counts(source, reading, page):
        _say_why(source, reading, page)
        return Absence()
    before = absences.of(connection, source.clinic, source.name)
    passed_over = reading.spared | _refused(connection, source, reading)
    unmet = [
        visit
        for visit in unmet_of(connection, source, reading, coming, before if page.same else None)
        if visit.id not in passed_over
    ]
    if page.covers is None:
        unmet, covered = _of_a_file(source, reading, page, known, unmet, zone)
    else:
        unmet = covered = _covered(connection, source, unmet, page.covers)
    reads = {visit.id: before.get(visit.id, 0) + 1 for visit in covered}
    doubtful = {number: before.get(number, 1) for number in reading.spared}
    named = before.keys() - {visit.id for visit in unmet} - reading.spared
    absences.note(connection, source.clinic, source.name, named, (reads | doubtful).items())
    again = _renumbered(connection, source, reading, known, covered, back)
    gone = [
        Waiting(v.id, v.source_key, What.GONE, v.start_at, v.start_at, None)
        for v in covered
        if v.source_key in again or reads[v.id] >= source.connector.gone_after
    ]
    return Absence(len(unmet) - len(again), gone, {*again, *again.values()})


def unmet_of(
    connection: Connection,
    source: SourceRun,
    reading: Reading,
    coming: Callable[[], int],
    same: Collection[int] | None,
) -> list[Coming]:
    """Return the coming visits that the read did not name; `same`: those of the read before it."""

    def of_store() -> Iterator[Coming]:
        return visits.coming(connection, source.clinic, source.name, now=source.now)

    if same is not None:
        return [visit for visit in of_store() if visit.id in same] if same else []
    # As many met as there are: counting is cheaper than looking.
    if coming() == reading.coming:
        return []
    return [visit for visit in of_store() if visit.id not in reading.met]


def _refused(connection: Connection, source: SourceRun, reading: Reading) -> set[int]:
    """Return the visits of which a person said that they are not gone.

    That holds while reads leave them out. Once one names them again it has served, or a visit that is
    deleted weeks later would be reminded of.
    """
    refused = incoming.refused_absences(connection, source.clinic, source.name)
    again = [(visit, key) for visit, key in refused.items() if visit in reading.met]
    incoming.done(connection, source.clinic, source.name, [key for _, key in again])
    return refused.keys() - {visit for visit, _ in again}


def _say_why(source: SourceRun, reading: Reading, page: Page) -> None:
    if reading.nameless and page.complete and source.connector.lists_everything:
        source.notes.append(
            "a record that was set aside could be any visit: nothing is taken for deleted this time"
        )


def _renumbered(
    connection: Connection,
    source: SourceRun,
    reading: Reading,
    known: Progress,
    covered: Sequence[Coming],
    back: Sequence[Waiting],
) -> dict[str, str]:
    """Return the keys of visits that are there again under another, with that one."""
    if not (covered and reading.records):
        return {}
    keys = [visit.source_key for visit in covered]
    again = pairing.renumbered(
        connection, source.clinic, source.name, keys, back, since=known.believed_at
    )
    if again:
        source.notes.append(
            f"{counted(len(again), 'known visit')} came under other ids than before, with the same "
            "patient, doctor and start: they count as the same visits, and nobody is told anything"
        )
    return again


# --- what a read speaks for ----------------------------------------------------------------------


def _of_a_file(
    source: SourceRun,
    reading: Reading,
    page: Page,
    known: Progress,
    unmet: Sequence[Coming],
    zone: str,
) -> tuple[list[Coming], list[Coming]]:
    """Return the visits that a file should have named, and those of them on days that it covers."""
    first, last = _days(known, reading, source, zone)
    due = [visit for visit in unmet if _day(visit.start_at, zone) >= first]
    covered = [visit for visit in due if _day(visit.start_at, zone) <= last]
    if len(covered) < len(due):
        source.notes.append(
            f"{page.scope} ends on {last}: {counted(len(due) - len(covered), 'known visit')} after that "
            "day are left as they are; should it always be partial, set contents: append or delta"
        )
    return due, covered


def _days(known: Progress, reading: Reading, source: SourceRun, zone: str) -> tuple[date, date]:
    before = days_of(known)
    return days_that_count(before, days_covered(reading, zone), day_of(source.now, zone))


def _covered(
    connection: Connection,
    source: SourceRun,
    unmet: Sequence[Coming],
    stretches: Sequence[Stretch],
) -> list[Coming]:
    """Return the visits that lie in one of the stretches."""
    plain = [one for one in stretches if not one.by]
    found = [visit for visit in unmet if _in_any(visit, plain)]
    if len(plain) == len(stretches) or len(found) == len(unmet):
        return found
    inside = {visit.id for visit in found}
    others = [visit for visit in unmet if visit.id not in inside]
    keys = [visit.source_key for visit in others]
    stored = visits.by_keys(connection, source.clinic, source.name, keys)
    whose = [one for one in stretches if one.by]
    found += [visit for visit in others if _belongs(visit, stored[visit.source_key].visit, whose)]
    return sorted(found, key=lambda visit: visit.id)


def _in_any(visit: Coming, stretches: Iterable[Stretch]) -> bool:
    return any(_within(visit.start_at, stretch) for stretch in stretches)


def _within(start_at: int, stretch: Stretch) -> bool:
    after = stretch.start is None or stretch.start.timestamp() <= start_at
    return after and (stretch.end is None or start_at < stretch.end.timestamp())


def _belongs(visit: Coming, content: Appointment, stretches: Iterable[Stretch]) -> bool:
    return any(
        _within(visit.start_at, stretch) and _is_of(content, stretch.by, stretch.id)
        for stretch in stretches
    )


def _is_of(visit: Appointment, by: str, whose: str) -> bool:
    """Whether a visit is that of a practitioner, location or patient: `17` is also Practitioner/17."""
    place = visit.location.key if visit.location else None
    keys = {
        "practitioner": [one.key for one in visit.practitioners],
        "patient": [one.key for one in visit.patients],
        "location": [place] if place else [],
    }
    return any(key == whose or key.endswith(f"/{whose}") for key in keys[by])


def days_covered(reading: Reading, zone: str) -> Days | None:
    """Return the days from the first to the last visit that a read named."""
    if reading.first is None or reading.last is None:
        return None
    return Days(_day(reading.first, zone), _day(reading.last, zone))


def days_of(known: Progress) -> Days | None:
    """Return the days that the last complete read covered."""
    if known.first_day is None or known.last_day is None:
        return None
    return Days(date.fromisoformat(known.first_day), date.fromisoformat(known.last_day))


def _day(start_at: int, zone: str) -> date:
    return day_of(datetime.fromtimestamp(start_at, UTC), zone)
