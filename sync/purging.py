"""purge: deletes what is older than settings keep it, piece by piece, and ends in time.

Each piece is one transaction under the lease `purge`, so it may be killed anywhere and goes on the next
time; others are kept waiting for no longer than a piece takes. What is at work stays: a message whose
end is open, a visit that plan is to look at, the visits of a source that is being read.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

from clinicrelay.errors import StoreBusy
from clinicrelay.times import day_of
from sync.store import audit, dialects, erased, memory, retention, seconds
from sync.store.leases import lease

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from clinicrelay.contracts import Connector, Leftover, Notifier
    from sync.clinic import Clinic
    from sync.store.leases import Lease
    from sync.store.retention import Old

OWNER = "sync/purge"  # as `sync.steps` knows it
_AT_ONCE = 1000
_SPANS = ("appointments", "bodies", "quarantine", "exports", "runs", "audit")


@dataclass(slots=True)
class Purged:
    """What was deleted, by its kind; `left` says that there is more, or that something was at work."""

    counts: Counter[str] = field(default_factory=Counter)
    left: bool = False
    troubles: list[str] = field(default_factory=list)


def outlook(clinic: Clinic) -> dict[str, int]:
    """Return how much is old enough to be deleted, by its kind."""
    with clinic.store.read() as connection:
        found = retention.counts(connection, clinic.store.clinic, _cutoffs(clinic))
    for what, _, leftover in leftovers(clinic):
        found[what] = found.get(what, 0) + _is_old(clinic, what, leftover)
    return found


def purge(clinic: Clinic, *, within: float | None = None, who: str) -> Purged | None:
    """Delete what is old enough, for so many seconds at most; None where another run is at it."""
    with lease(clinic.store, "purge", clinic.settings.store.lease) as held:
        if held is None:
            return None
        return _Purge(clinic, held, within).all(who)


def _cutoffs(clinic: Clinic) -> dict[str, int]:
    return {what: seconds(clinic.too_old(what)) for what in _SPANS}


class _Purge:
    """One go at it."""

    def __init__(self, clinic: Clinic, held: Lease, within: float | None) -> None:
        self._clinic, self._held = clinic, held
        self._until = None if within is None else time.monotonic() + within
        self._old = _cutoffs(clinic)
        self._done = Purged()

    def all(self, who: str) -> Purged:
        self._visits()
        self._timeless()
        self._bodies()
        self._each("messages", retention.delete_messages, "appointments")
        self._each("set_aside", retention.empty_quarantine, "quarantine")
        for table, span in (("quarantine", "appointments"), ("runs", "runs"), ("alerts", "runs")):
            self._each(table, _deleting(table), span)
        self._delete_files()
        self._end_erasures()
        self._each("audit", audit.forget_before, "audit")
        self._note(who)
        return self._done

    def _is_over(self) -> bool:
        """Whether it is time to end; then something may be left."""
        late = self._until is not None and time.monotonic() > self._until
        over = late or self._clinic.ending.is_set()
        self._done.left |= over
        return over

    @property
    def _name(self) -> str:
        return self._clinic.store.clinic

    # --- visits ----------------------------------------------------------------------------------

    def _visits(self) -> None:
        before, now, after = self._old["appointments"], seconds(self._clinic.now), (-(1 << 62), 0)
        while not self._is_over():
            with self._clinic.store.read() as connection:
                batch = retention.over(
                    connection, self._name, before=before, after=after, now=now, most=_AT_ONCE
                )
            if not batch:
                return
            after = batch[-1].start_at, batch[-1].id
            self._take([one for one in batch if _ended(one) < before])

    def _timeless(self) -> None:
        before, now, after = self._old["appointments"], seconds(self._clinic.now), 0
        while not self._is_over():
            with self._clinic.store.read() as connection:
                batch = retention.timeless(
                    connection, self._name, before=before, after=after, now=now, most=_AT_ONCE
                )
            if not batch:
                return
            after = batch[-1].id
            self._take(batch)

    def _take(self, visits: Sequence[Old]) -> None:
        """Delete visits, those of a source under its lease: a read holds what it knew of them."""
        for source, some in groupby(sorted(visits, key=_source), key=_source):
            length = self._clinic.settings.store.lease
            with lease(self._clinic.store, f"source:{source}", length) as reading:
                if reading is None:
                    self._done.left = True
                    continue
                with self._clinic.store.write() as connection:
                    dialects.overwrite_what_goes(connection)
                    reading.fence(connection)
                    self._held.fence(connection)
                    now = seconds(self._clinic.now)
                    self._done.counts["visits"] += retention.delete_visits(
                        connection, self._name, source, [*some], now=now
                    )

    # --- the rest of the store ---------------------------------------------------------------------

    def _bodies(self) -> None:
        with self._clinic.store.read() as connection:
            kept = memory.text_of(connection, self._name, OWNER, "bodies")
        upto, more = int(json.loads(kept or "0")), True
        began = upto
        while more and not self._is_over():
            with self._clinic.store.write() as connection:
                dialects.overwrite_what_goes(connection)
                self._held.fence(connection)
                done = retention.empty_bodies(
                    connection, self._name, before=self._old["bodies"], after=upto, most=_AT_ONCE
                )
            self._done.counts["texts"] += done.texts
            upto, more = done.upto, done.more
        if upto != began:
            self._remember(bodies=upto)

    def _each(self, what: str, delete: Deletes, span: str) -> None:
        """Delete piece by piece until there is nothing left of a kind."""
        while not self._is_over():
            with self._clinic.store.write() as connection:
                dialects.overwrite_what_goes(connection)
                self._held.fence(connection)
                number = delete(connection, self._name, before=self._old[span], most=_AT_ONCE)
            if number:
                self._done.counts[what] += number
            if number < _AT_ONCE:
                return

    # --- files -------------------------------------------------------------------------------------

    def _delete_files(self) -> None:
        for what, _, leftover in leftovers(self._clinic):
            if self._is_over():
                return
            if not _is_old(self._clinic, what, leftover):
                continue
            try:
                leftover.path.unlink(missing_ok=True)
            except OSError as error:
                self._done.troubles.append(f"{leftover.path}: {error.strerror}")
                continue
            self._done.counts[what] += 1
            with suppress(OSError):  # a month's folder goes with the last file in it
                if what == "exports" and leftover.path.parent.name[:4].isdigit():
                    leftover.path.parent.rmdir()

    def _end_erasures(self) -> None:
        """Finish what `forget` could not: an event still in a calendar, who came back with a backup."""
        with self._clinic.store.read() as connection:
            begun = erased.unfinished(connection, self._name)
        if not begun or self._is_over():
            return
        from sync import erasure

        try:
            done = erasure.go_on(self._clinic)
        except StoreBusy:
            self._done.left = True
            return
        if done is not None and done.done:
            self._done.counts["erased"] += len(begun)
        elif done is not None:
            self._done.troubles += done.troubles
            self._done.left = True

    # --- the end -----------------------------------------------------------------------------------

    def _note(self, who: str) -> None:
        """Note that this day is done, and what was deleted, if anything."""
        self._done.counts = +self._done.counts
        day = day_of(self._clinic.now, self._clinic.zone).isoformat()
        with self._clinic.store.write() as connection:
            self._held.fence(connection)
            _remember(connection, self._name, day=day)
            if self._done.counts:
                deed = audit.Deed(who, "purge", "retention", details=dict(self._done.counts))
                audit.note(connection, self._name, deed)
        if self._done.counts:
            dialects.write_back(self._clinic.store.engine)

    def _remember(self, **values: object) -> None:
        with self._clinic.store.write() as connection:
            self._held.fence(connection)
            _remember(connection, self._name, **values)


Deletes = Callable[..., int]


def _deleting(table: str) -> Deletes:
    return lambda connection, clinic, **of: retention.delete_old(connection, table, clinic, **of)


def _remember(connection: Connection, clinic: str, **values: object) -> None:
    before = memory.recall(connection, clinic, OWNER)
    memory.remember(connection, clinic, OWNER, before, {**before, **values})


def _source(one: Old) -> str:
    return one.source


def _ended(one: Old) -> int:
    """Return when a visit was over, in seconds."""
    end = one.visit.end
    return max(one.start_at, seconds(end)) if end else one.start_at


def leftovers(clinic: Clinic) -> Iterator[tuple[str, Connector | Notifier, Leftover]]:
    """Yield what plugins left on this machine, each with the plugin and the word for its kind."""
    for name in clinic.settings.sources:
        source = clinic.connector(name)
        yield from (("exports", source, one) for one in source.left())
    for notifier in [*map(clinic.notifier, clinic.settings.notifiers), clinic.rehearsal]:
        yield from (("written_out", notifier, one) for one in notifier.left())


def _is_old(clinic: Clinic, what: str, leftover: Leftover) -> bool:
    return leftover.at < clinic.too_old("exports" if what == "exports" else "bodies")
