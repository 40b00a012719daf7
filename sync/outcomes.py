"""What an event's row becomes after it was seen, or after somebody tried to write it. Pure."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from clinicrelay.contracts import EventResult, EventWrite, Hand, Memo, Outcome, Sighting
from sync import hands
from sync.hands import Hands, Row, Rules
from sync.store.events import REMOVAL, Written

if TYPE_CHECKING:
    from sync.store.events import Pending

HIDDEN, EDITED_MEANWHILE = "hidden_by_doctor", "edited_meanwhile"
_REASONS = {"hidden": HIDDEN, "held": hands.MOVED_TOO_OFTEN}
_AT_NEXT_RUN = 2  # failures in a row after which an event is simply tried by the next run
_FIRST_RETRY = timedelta(minutes=1)
_LAST_RETRY = timedelta(hours=1)


class Job(NamedTuple):
    """An event on its way to its calendar, and how it stood before this run took it up."""

    before: Pending
    row: Row
    write: EventWrite

    @property
    def forgiven(self) -> bool:
        """Whether it was refused for good, and is another one now."""
        return hands.read(self.before.hands).refused not in ("", self.row.hands.refused)


def row_of(event: Pending) -> Row:
    """Return an event as it stands; one in doubt is to be written, whatever was written last."""
    written = hands.to_write_again(event.written) if event.doubt else event.written
    return Row(event.state, written, hands.read(event.hands))


def begun(event: Pending, write: EventWrite, rules: Rules) -> Job:
    """Return an event as it goes to its calendar; only rows of state put and remove really go."""
    row = row_of(event)
    if not write.put:
        if row.hands.refused == REMOVAL:
            return Job(event, Row("blocked", row.written, row.hands), write)
        return Job(event, Row("remove", row.written, replace(row.hands, refused="")), write)
    turn = hands.turn(row, write, rules)
    write = replace(write, keep_time=turn.keep_time)
    return Job(event, Row(turn.state, row.written, turn.hands), write)


def kept_from(job: Job) -> Written:
    """Return an event that is not written: it reads the same, or somebody's hand keeps it."""
    reason = _REASONS.get(job.row.state, job.before.reason if job.row.state == "blocked" else "")
    return as_row(job.before, job.row, job.before.memo, reason=reason)


def seen(event: Pending, sighting: Sighting, wanted: EventWrite, rules: Rules) -> Written | None:
    """Return an event after somebody's hand was seen on it; None: it is about no event of ours."""
    row = _decided(event, row_of(event), sighting, wanted, rules)
    if row is None:
        return None
    return as_row(event, row, sighting.memo, reason=_REASONS.get(row.state, ""))


def _decided(
    event: Pending, row: Row, found: Sighting | EventResult, wanted: EventWrite, rules: Rules
) -> Row | None:
    """Return what follows from a hand on an event; None: it is about no event of ours."""
    if event.doubt == "remove" and wanted.put and found.hand is Hand.DELETED:
        return dataclasses.replace(row, state="put")  # a removal of ours whose answer was lost
    return hands.decide(found.hand, _as_it_was(row, found, wanted), wanted, rules)


def _as_it_was(row: Row, found: Sighting | EventResult, wanted: EventWrite) -> Row:
    """Return a row that knows what was written, by what a deleted event still says, if it does not.

    A store that was lost knows of no event; a doctor who deleted one of just this time meant it.
    """
    same = (found.start, found.end) == (wanted.start, wanted.end)
    if found.hand is not Hand.DELETED or row.written is not None or not (wanted.put and same):
        return row
    return dataclasses.replace(row, written=hands.fingerprint(wanted))


def again(job: Job, result: EventResult, rules: Rules) -> Job:
    """Return an event whose memo is another, and that somebody changed meanwhile, if so."""
    row = job.row
    if result.hand is not None:
        row = _decided(job.before, row, result, job.write, rules) or row
    keep_time = job.write.put and row.hands.kept is not None
    write = replace(job.write, memo=result.memo, keep_time=keep_time, in_doubt=False)
    return Job(job.before._replace(memo=result.memo), row, write)


def ended(job: Job, result: EventResult, now: datetime) -> Written:
    """Return an event after its calendar answered."""
    if result.outcome is Outcome.ACCEPTED:
        return _accepted(job, result.memo)
    reason, detail = result.reason or result.outcome.value, result.fix or result.detail
    if result.blocks:
        return as_row(job.before, job.row, result.memo, reason=job.before.reason)
    if result.outcome is Outcome.REJECTED:
        print_ = hands.fingerprint(job.write).hex() if job.write.put else REMOVAL
        row = Row("blocked", job.row.written, replace(job.row.hands, refused=print_))
        return as_row(job.before, row, result.memo, reason=reason, detail=detail)
    tries = job.before.tries + 1
    wait = _waits(tries) if result.retry_after is None else result.retry_after
    failed = as_row(job.before, job.row, result.memo, reason=reason, detail=detail)
    return failed._replace(tries=tries, next_try_at=now + wait if wait else None)


def _waits(tries: int) -> timedelta:
    """Return how long an event waits that failed so often: once or twice only for the next run."""
    if tries <= _AT_NEXT_RUN:
        return timedelta(0)
    return min(_FIRST_RETRY * (1 << min(tries - _AT_NEXT_RUN - 1, 10)), _LAST_RETRY)


def edited_meanwhile(job: Job, now: datetime) -> Written:
    """Return an event that somebody changed each time it was to be written."""
    return ended(
        job, EventResult(job.before.ref, Outcome.NOT_SENT, job.write.memo, EDITED_MEANWHILE), now
    )


def _accepted(job: Job, memo: Memo) -> Written:
    if job.write.put:
        row = Row("synced", hands.fingerprint(job.write), job.row.hands)
        return as_row(job.before, row, memo)._replace(sequence=job.write.sequence)
    row = Row("removed", None, Hands(log=job.row.hands.log))
    return as_row(job.before, row, memo)._replace(sequence=job.write.sequence)


def as_row(event: Pending, row: Row, memo: Memo, *, reason: str = "", detail: str = "") -> Written:
    """Return an event as it is to be kept."""
    return Written(
        event.appointment,
        event.calendar,
        event.wish,
        row.state,
        event.sequence,
        row.written,
        memo,
        row.hands.text,
        row.hands.touched_at,
        event.tries if row.state in ("put", "remove") else 0,
        reason,
        detail,
        doubt="" if row.state in ("synced", "removed") else event.doubt,
    )
