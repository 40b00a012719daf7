"""How far a source has been read, by its own clock and never by ours (late-commit rule)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from clinicrelay.paths import compile_path
from clinicrelay.times import iso
from connectors.rest.door import Said
from connectors.rest.placeholders import moment_of

# Later than the server's own clock by more than this is somebody's typing error.
_AHEAD = timedelta(minutes=5)


class Watermark:
    """Moves from where a cycle began to where its end may put it.

    `began` is the server's time when the cycle began, `seen` the latest change met in it.
    """

    def __init__(self, clock: str | None, zone: str, *, told_by_records: bool) -> None:
        self._clock = compile_path(clock) if clock else None
        self._zone, self._told_by_records = zone, told_by_records
        self.began: datetime | None = None
        self.seen: datetime | None = None

    def take_up(self, resume: dict[str, Any]) -> None:
        """Go on with a cycle that an earlier run began."""
        self.began = moment_of(resume.get("began"), "UTC")
        self.seen = moment_of(resume.get("seen"), "UTC")

    def hear(self, said: Said) -> None:
        """Note the server's time, once a cycle: the first answer tells when it began."""
        if self.began is None:
            told = _told(self._clock, said.body) if self._clock else None
            self.began = moment_of(told, self._zone) if self._clock else said.answer.date

    def see(self, changes: Iterable[Any]) -> None:
        """Note when records say they were changed; typing errors in the future do not count."""
        for value in changes:
            moment = moment_of(value, self._zone)
            if moment is None or self.began is None or moment > self.began + _AHEAD:
                continue
            self.seen = max(self.seen or moment, moment)

    def after(self, before: datetime | None) -> datetime | None:
        """Return where the watermark stands after a whole cycle; None where nothing tells."""
        if self.began is None:
            return before
        if not self._told_by_records:
            return self.began
        met = [moment for moment in (before, self.seen) if moment]
        return min(self.began, max(met)) if met else self.began

    def as_json(self) -> dict[str, str]:
        both = {"began": self.began, "seen": self.seen}
        return {name: iso(moment) for name, moment in both.items() if moment}


def _told(clock: Any, body: Any) -> Any:
    try:
        return clock(body)
    except ValueError:
        return None
