"""Where a source stands between runs: the cursor, and what of a read that was cut off is done.

The watermark is by the server's clock and moves only when a read has come to its end (2.1); which
parts of a listing are done stands beside it, so that a run that is killed costs one part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from clinicrelay.contracts import Cursor, Window
from clinicrelay.times import iso
from connectors.fhir.search import instant
from connectors.fhir.seen import moment_of

# Beyond this, what was read first is too old to be called read.
_LONGEST_CYCLE = timedelta(days=7)

# A listing that could not be finished is tried again after so long, changes being read in between.
_BEFORE_ANOTHER_TRY = timedelta(hours=1)

# What lies further ahead of this machine's clock is no moment at which a server answered.
WRONG_CLOCK = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Cycle:
    """A read under way, maybe over several runs: of `kind` listing or changes.

    `began` is our business time, `clock` the server's own at that moment; `newest` the latest change
    met. `done` are the names of parts that were read; `link` is the next page of part `at`, noted only
    where a run could not finish a single part; `pieced` says that this has happened. `unjudged`: a
    run was killed before anybody asked what its parts did not name. `window` are the instants that a
    listing was begun with: by tomorrow's its parts would have other names, and all be read anew.
    """

    kind: str
    began: str
    clock: str | None = None
    newest: str | None = None
    done: tuple[str, ...] = ()
    at: str | None = None
    link: str | None = None
    pieced: bool = False
    unjudged: bool = False
    window: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """What a cursor says. `of` is a mark of what was asked; another one makes the cursor void."""

    of: str
    strategy: str
    watermark: str | None = None
    reconciled: str | None = None
    tried: str | None = None
    cycle: Cycle | None = None

    def cursor(self) -> Cursor:
        """Return it as JSON."""
        return self._told(self.cycle)

    def cursor_on_the_way(self) -> Cursor:
        """Return what a run finds that goes on where this one was killed."""
        return self._told(self.cycle and replace(self.cycle, unjudged=bool(self.cycle.done)))

    def _told(self, cycle: Cycle | None) -> Cursor:
        told: dict[str, Any] = {
            "strategy": self.strategy,
            "watermark": self.watermark,
            "reconciled": self.reconciled,
            "tried": self.tried,
            "of": self.of,
        }
        if cycle:
            told["cycle"] = {name: getattr(cycle, name) for name in Cycle.__slots__}
            told["cycle"]["done"] = list(cycle.done)
            told["cycle"]["window"] = list(cycle.window)
        return told

    def is_due(self, now: datetime, every: timedelta) -> bool:
        """Whether everything has to be read whole again, rather than what changed."""
        if self.watermark is None:
            return True
        again = min(every, _BEFORE_ANOTHER_TRY)
        return not (_within(self.reconciled, now, every) or _within(self.tried, now, again))

    def under_way(self, kind: str, now: datetime) -> Cycle | None:
        """Return the read that was cut off, if it is of this kind and not too old."""
        if self.cycle is None or self.cycle.kind != kind:
            return None
        return self.cycle if _within(self.cycle.began, now, _LONGEST_CYCLE) else None

    def window(self, window: Window, now: datetime) -> Window:
        """Return the window of the listing under way, else the one that is given."""
        cycle = self.under_way("listing", now)
        bounds = [moment for text in cycle.window if (moment := moment_of(text))] if cycle else []
        return Window(*bounds) if len(bounds) == 2 else window

    def ended(self, now: datetime, *, whole: bool) -> Standing:
        """Return where the source stands when the cycle has come to its end.

        Unless it was `whole`, the watermark stays.
        """
        cycle = self.cycle
        if cycle is None:
            return self
        listing = cycle.kind == "listing"
        after = replace(self, cycle=None, tried=cycle.began if listing else self.tried)
        if not whole:
            return after
        if listing:
            # What was changed beside the window since is still to be asked for.
            marks = self.strategy in ("watermark", "history")
            mark = (self._not_after(cycle.clock) or self._moved(cycle)) if marks else None
            if cycle.unjudged:  # what is gone from its first parts, a whole listing has to tell
                return replace(after, watermark=mark, tried=None)
            return replace(after, reconciled=cycle.began, watermark=mark)
        # Between two runs pages may have shifted: everything is read whole the next time.
        settled = None if cycle.pieced else self.reconciled
        tried = None if cycle.pieced else after.tried
        return replace(after, watermark=self._moved(cycle), reconciled=settled, tried=tried)

    def _not_after(self, clock: str | None) -> str | None:
        """Return the watermark, pulled back to the server's clock where it lies beyond."""
        mark, limit = moment_of(self.watermark), moment_of(clock)
        return clock if mark and limit and mark > limit else self.watermark

    def without_future(self, now: datetime) -> Standing:
        """Return it without a watermark that is yet to come: it would hide all that changes."""
        mark = moment_of(self.watermark)
        if self.watermark and (mark is None or mark - now > WRONG_CLOCK):
            return replace(self, watermark=None)
        return self

    def _moved(self, cycle: Cycle) -> str | None:
        """Return the new watermark: the server's clock as the read began, or the latest change
        met if that is earlier: the two may come from two machines."""
        clock, newest, before = (
            moment_of(text) for text in (cycle.clock, cycle.newest, self.watermark)
        )
        known = [moment for moment in (newest, before) if moment]
        mark = max(known) if known else clock
        if mark is None:
            return None
        return instant(min(mark, clock) if clock else mark)


def standing_of(cursor: Cursor | None, of: str, strategy: str) -> Standing:
    """Return what a cursor says; as for the first time where it is of another question."""
    known = cursor or {}
    if known.get("of") != of or known.get("strategy") != strategy:
        return Standing(of, strategy)
    cycle = known.get("cycle")
    return Standing(
        of,
        strategy,
        known.get("watermark"),
        known.get("reconciled"),
        known.get("tried"),
        Cycle(**{**cycle, "done": tuple(cycle["done"])}) if cycle else None,
    )


def began(kind: str, now: datetime, clock: datetime | None, window: Window) -> Cycle:
    """Return a read that begins."""
    bounds = (iso(window.start), iso(window.end))
    return Cycle(kind, iso(now), instant(clock) if clock else None, window=bounds)


def _within(text: str | None, now: datetime, length: timedelta) -> bool:
    """Whether a moment lies less than so long ago; one to come is of a rehearsal, and forgotten."""
    moment = moment_of(text)
    return moment is not None and timedelta(0) <= now - moment < length


def later(one: str | None, other: datetime | None) -> str | None:
    """Return the later of two moments, of which either may be missing."""
    moment = moment_of(one)
    if other is None or (moment and moment >= other):
        return one
    return instant(other.astimezone(UTC))
