"""What the people of a visit are to hear, by the rules that we promise, and by none of our code.

The rules are those of docs/howto/reminders.md; wall clocks are read with `zoneinfo` alone. Time goes
from look to look of the line: what falls due between two is said at the later one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
QUIET_FROM, QUIET_TO = time(21), time(8)
# How long before the visit a step is due, in days of the clinic's clock or in time that passes; and
# until how long before it the step is worth saying.
STEPS = {"3d": (3, timedelta(0)), "1d": (1, timedelta(0)), "1h": (0, HOUR)}
LATEST = {"3d": 36 * HOUR, "1d": 3 * HOUR, "1h": timedelta(minutes=15)}
# Who heard of the visit so shortly before a step is not reminded by it.
GAP = {"3d": 21 * HOUR, "1d": 3 * HOUR, "1h": 3 * HOUR}
URGENT = 12 * HOUR
MINOR = timedelta(minutes=5)


def instant(day: date, clock: time, zone: str) -> datetime:
    """Return when a clock shows a time: the first time, and after a gap what the old clock meant."""
    return datetime.combine(day, clock, ZoneInfo(zone)).astimezone(UTC)


def in_quiet_hours(at: datetime, zone: str) -> bool:
    clock = at.astimezone(ZoneInfo(zone)).time()
    return clock >= QUIET_FROM or clock < QUIET_TO


def morning_after(at: datetime, zone: str) -> datetime:
    """Return when the quiet hours end that an instant lies in."""
    local = at.astimezone(ZoneInfo(zone))
    return instant(local.date() + (DAY if local.time() >= QUIET_FROM else 0 * DAY), QUIET_TO, zone)


def evening_before(at: datetime, zone: str) -> datetime:
    """Return five minutes before the quiet hours begin that an instant lies in."""
    local = at.astimezone(ZoneInfo(zone))
    day = local.date() - (0 * DAY if local.time() >= QUIET_FROM else DAY)
    return instant(day, QUIET_FROM, zone) - timedelta(minutes=5)


def step_at(step: str, start: datetime, visit_zone: str, zone: str) -> datetime:
    """Return when a step is to be said: after the night if that is of use, else before it."""
    days, elapsed = STEPS[step]
    local = start.astimezone(ZoneInfo(visit_zone))
    due = instant(local.date() - days * DAY, local.time(), visit_zone) if days else start - elapsed
    if not in_quiet_hours(due, zone):
        return due
    morning = morning_after(due, zone)
    return morning if morning < start - LATEST[step] else evening_before(due, zone)


class State(NamedTuple):
    """A visit as reception has it; `off` is empty, `cancelled` or `gone`."""

    start: datetime
    place: str = ""
    off: str = ""


class Line(NamedTuple):
    """An entry of the ledger: what was sent when, or not sent for which reason."""

    kind: str
    step: str
    state: str
    reason: str | None
    at: datetime | None = None


@dataclass
class Person:
    """One person of one visit, and what they believe about it.

    `silent` is why nobody can reach them. `believed` is what they know of without us: a visit that
    was there at the first read, or the one that this one takes the place of.
    """

    zone: str
    visit_zone: str
    doctor: bool = False
    silent: str = ""
    believed: State | None = None
    true: State | None = None
    known_since: datetime | None = None
    said_at: datetime | None = None
    said: str = ""
    waiting: tuple[str, State, datetime] | None = None
    lines: list[Line] = field(default_factory=list)
    _decided: set[tuple[str, ...]] = field(default_factory=set)

    def look(self, now: datetime, read: State | None) -> None:
        """Let the line look: at what reception has exported by now, and at the clock."""
        if read is None:
            return
        if self.true is None or (read.start, read.off) != (self.true.start, self.true.off):
            self.known_since = now
        self.true = read
        if not self.doctor:
            self._hear_news(now)
        if not read.off:
            self._be_reminded(now, read)

    # --- confirmations, changes, cancellations -------------------------------------------------

    def _hear_news(self, now: datetime) -> None:
        assert self.true is not None
        if self.waiting and self.waiting[1] != self.true:
            self._drop(*self.waiting[:2])
            self.waiting = None
        news = self._news(now)
        if self.waiting is None and news:
            self.waiting = (news, self.true, now)
        if self.waiting and self._may_leave(now, *self.waiting):
            self._hear(now, self.waiting[0], "")
            self.waiting = None

    def _news(self, now: datetime) -> str:
        true, believed = self.true, self.believed
        assert true is not None
        if believed is None:
            return self._once(true, "confirmation" if not true.off and true.start > now else "")
        if believed == true:
            return ""
        if true.off:
            expected = not believed.off and believed.start > now
            return self._once(true, "cancellation" if expected else "")
        return self._once(true, "change" if true.start > now else "")

    def _once(self, true: State, kind: str) -> str:
        """Return the news unless it was decided before that it is not told."""
        if not kind or (kind, str(true), str(self.believed)) in self._decided:
            return ""
        reason = self.silent or self._not_told(kind, true)
        if not reason:
            return kind
        self._decided.add((kind, str(true), str(self.believed)))
        by_telephone = self.silent and kind != "confirmation"
        self.lines.append(Line(kind, "", "failed" if by_telephone else "skipped", reason))
        if kind == "confirmation":
            self.believed = true  # they arranged it
        return ""

    def _not_told(self, kind: str, true: State) -> str:
        if true.off == "gone":
            return "gone"
        old = self.believed
        minor = kind == "change" and old is not None and not old.off and old.place == true.place
        return "minor_change" if minor and old and abs(old.start - true.start) < MINOR else ""

    def _drop(self, kind: str, was: State) -> None:
        assert self.true is not None
        back = kind == "change" and self.true == self.believed  # there and back in one night
        moved = "as_told" if back else "superseded_by_reschedule"
        reason = "cancelled" if self.true.off else moved
        self.lines.append(Line(kind, "", "skipped", "reinstated" if was.off else reason))

    def _may_leave(self, now: datetime, kind: str, state: State, since: datetime) -> bool:
        """Whether it leaves at once; what the night would make useless wakes only for bad news."""
        if not in_quiet_hours(now, self.zone):
            return True
        starts = [one.start for one in (state, self.believed) if one and not one.off]
        soon = min(start for start in starts if start > now)
        if kind != "confirmation":
            until = state.start if not state.off else soon
            return soon - since < URGENT or morning_after(now, self.zone) >= until
        if morning_after(now, self.zone) >= min(soon, since + DAY):
            self._decided.add((kind, str(state), str(self.believed)))
            self.lines.append(Line(kind, "", "skipped", "cut_off_passed"))
            self.believed, self.waiting = state, None
        return False

    def _hear(self, now: datetime, kind: str, step: str) -> None:
        self.lines.append(Line(kind, step, "sent", None, now))
        self.believed, self.said, self.said_at = self.true, kind, now

    # --- reminders -----------------------------------------------------------------------------

    def _be_reminded(self, now: datetime, true: State) -> None:
        good = []
        for step, at in self._steps(now, true):
            reason = self._not_reminded(step, at, now, true)
            if reason == "before we knew" or (step, str(true)) in self._decided:
                continue
            if not reason and self._waits_for_the_morning(step, now, true):
                continue
            self._decided.add((step, str(true)))
            if reason:
                self.lines.append(Line("reminder", step, "skipped", reason))
            else:
                good.append((at, step))
        for _, step in sorted(good)[:-1]:
            self.lines.append(Line("reminder", step, "skipped", "superseded_by_later_step"))
        if good and self.silent:
            self.lines.append(Line("reminder", max(good)[1], "skipped", self.silent))
        elif good:
            self._hear(now, "reminder", max(good)[1])

    def _steps(self, now: datetime, true: State) -> Iterator[tuple[str, datetime]]:
        for step in STEPS if not self.doctor else ("1h",):
            at = step_at(step, true.start, self.visit_zone, self.zone)
            if at <= now:
                yield step, at

    def _waits_for_the_morning(self, step: str, now: datetime, true: State) -> bool:
        """Whether a step that is late, as nobody looked, would wake somebody and can wait."""
        night = in_quiet_hours(now, self.zone)
        return night and morning_after(now, self.zone) < true.start - LATEST[step]

    def _not_reminded(self, step: str, at: datetime, now: datetime, true: State) -> str:
        assert self.known_since is not None
        late = at <= self.known_since
        if now >= true.start:
            return "before we knew" if late else "past_visit"
        if late:
            return "late_booking"
        news = self.said in ("confirmation", "change") and self.said_at is not None
        if news and self.said_at and self.said_at > at - GAP[step]:
            return "told_recently"
        until = true.start - LATEST[step]
        at_night = in_quiet_hours(now, self.zone) and morning_after(now, self.zone) >= until
        return "cut_off_passed" if now >= until or at_night else ""


def digests(
    starts: Sequence[tuple[str, datetime]], evening: date, now: datetime, zone: str
) -> dict[str, Line]:
    """Return each doctor's list of the day after an evening, when the line first looks after it."""
    day = evening + DAY
    found: dict[str, datetime] = {}
    for doctor, start in starts:
        if start.astimezone(ZoneInfo(zone)).date() == day:
            found[doctor] = min(start, found.get(doctor, start))
    return {
        doctor: Line("digest", day.isoformat(), "sent", None, now)
        if now < first
        else Line("digest", day.isoformat(), "skipped", "cut_off_passed")
        for doctor, first in found.items()
    }
