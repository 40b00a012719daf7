"""Four days of the sample clinic: what its front desk did and exported, and what must come of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta

from clinicrelay.times import from_wall, local
from commands._sample.diary import Diary, Visit
from commands._sample.export import export
from commands._sample.people import DOCTORS, ZONE

DONE, NEEDS_PERSON, HELD = 0, 3, 4


@dataclass(frozen=True, slots=True)
class Expected:
    """What a run must show, known to whoever made the export.

    `messages` are exact numbers by kind, `some` are kinds of which at least one must leave. `lines`
    are those of the export that are set aside, `events` what all calendars hold afterwards.
    """

    exit: int
    changes: Mapping[str, int] = field(default_factory=dict)
    messages: Mapping[str, int] = field(default_factory=dict)
    some: Sequence[str] = ()
    lines: Sequence[int] = ()
    held: int = 0
    nothing: bool = False
    events: int = 0


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment of the week: `content` is dropped into the inbox, unless there is none."""

    at: datetime
    story: str
    expected: Expected
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Week:
    """The moments in their order, and the numbers of visits worth asking `why` about."""

    moments: Sequence[Moment]
    moved: int
    vanished: int


def last_week(now: datetime) -> date:
    """Return the Monday of the last Monday-to-Thursday that is over by `now`.

    The week lies in the past and its visits in the weeks to come, so that every command works on
    the result today as it would in a clinic.
    """
    today = local(now, ZONE)
    monday = today.date() - timedelta(days=today.weekday())
    over = from_wall(datetime.combine(monday + timedelta(days=3), time(9)), ZONE).instant
    return monday if now >= over else monday - timedelta(days=7)


def week(monday: date) -> Week:
    """Play the week at the front desk."""
    desk = _Desk(monday)
    moments = [
        desk.first_import(),
        desk.a_day_of_changes(),
        desk.a_reminder_morning(),
        desk.an_evening(),
        desk.half_an_export(),
        desk.the_right_export(),
        desk.the_same_again(),
    ]
    return Week(moments, desk.moved[0].number, desk.vanished[0].number)


class _Desk:
    def __init__(self, monday: date) -> None:
        self.diary = Diary(monday)
        self.damaged = self.diary.flawed("quote")
        self.flawed = [self.diary.flawed("status"), self.diary.flawed("date"), *self._double()]
        self.moved: list[Visit] = []
        self.vanished: list[Visit] = []
        self.last = b""

    def first_import(self) -> Moment:
        whole = export([*self._rows(), self.damaged])
        self.last = whole.content
        known = len(self.diary.visits)
        return Moment(
            self._at(0, "08:15"),
            f"clinicrelay reads the first export: {known} good visits of the coming month, and "
            f"{len(whole.flawed_lines)} rows that nobody can understand. Nobody is told anything: "
            "these visits were booked before.",
            Expected(
                NEEDS_PERSON,
                changes={"booked": known},
                messages=_messages(),
                lines=whole.flawed_lines,
                events=self._events(),
            ),
            whole.content,
        )

    def a_day_of_changes(self) -> Moment:
        cancelled, self.moved = self.diary.cancel(2), self.diary.move(3)
        reassigned, self.vanished = self.diary.reassign(1), self.diary.lose(1)
        booked = [*self.diary.book(4), self.diary.mend(self.damaged)]
        return self._exported(
            1,
            "08:15",
            "reception exports again: 4 visits are new, 3 moved, 2 cancelled, 1 is with another "
            "doctor, 1 is no longer listed. The row with the stray quote is mended, so that visit "
            "is new as well. Nothing ran at 18:00, so doctors get today's list now.",
            changes={
                "booked": len(booked),
                "cancelled": len(cancelled),
                "gone": len(self.vanished),
                "reassigned": len(reassigned),
                "rescheduled": len(self.moved),
            },
            messages=_messages(
                confirmation=_with_email(booked),
                change=len(self.moved) + len(reassigned),
                cancellation=len(cancelled),
            ),
            some=["reminder", "digest"],
        )

    def a_reminder_morning(self) -> Moment:
        corrected, booked = self.diary.correct_phone(1), self.diary.book(2)
        return self._exported(
            2,
            "08:15",
            "a quiet morning: 2 new visits and a corrected phone number. The reminders three days, "
            "one day and one hour ahead are due, and today's lists again.",
            changes={"booked": len(booked), "details": len(corrected)},
            messages=_messages(confirmation=_with_email(booked)),
            some=["reminder", "digest"],
        )

    def an_evening(self) -> Moment:
        tomorrow = self.diary.monday + timedelta(days=3)
        at_work = {v.doctor for v in self.diary.standing() if v.start.date() == tomorrow}
        return Moment(
            self._at(2, "18:05"),
            "no new export, but the day is over: every doctor gets the list of tomorrow.",
            Expected(DONE, messages=_messages(digest=len(at_work)), events=self._events()),
        )

    def half_an_export(self) -> Moment:
        doctors = {doctor.id for doctor in DOCTORS[:3]}
        half = export(visit for visit in self._rows() if visit.doctor in doctors)
        return Moment(
            self._at(3, "08:10"),
            "the export broke off after the third of six doctors. Half of the clinic seems to be "
            "cancelled, so a guard holds it and asks.",
            Expected(
                HELD, messages=_messages(), lines=half.flawed_lines, held=1, events=self._events()
            ),
            half.content,
        )

    def the_right_export(self) -> Moment:
        cancelled, booked = self.diary.cancel(1), self.diary.book(2)
        return self._exported(
            3,
            "08:35",
            "reception exports once more, whole this time, with 2 new visits and 1 cancelled. What "
            "was held dissolves by itself.",
            changes={"booked": len(booked), "cancelled": len(cancelled)},
            messages=_messages(confirmation=_with_email(booked), cancellation=len(cancelled)),
        )

    def the_same_again(self) -> Moment:
        return Moment(
            self._at(3, "08:40"),
            "somebody drops the same export a second time.",
            Expected(DONE, messages=_messages(reminder=0), nothing=True, events=self._events()),
            self.last,
        )

    def _exported(
        self,
        day: int,
        clock: str,
        story: str,
        *,
        changes: Mapping[str, int],
        messages: Mapping[str, int],
        some: Sequence[str] = (),
    ) -> Moment:
        made = export(self._rows())
        self.last = made.content
        expected = Expected(
            NEEDS_PERSON, changes, messages, some, made.flawed_lines, events=self._events()
        )
        return Moment(self._at(day, clock), story, expected, made.content)

    def _rows(self) -> list[Visit]:
        return [*self.diary.visits.values(), *self.flawed]

    def _double(self) -> tuple[Visit, Visit]:
        """Return two rows that say different times of one visit."""
        one = self.diary.flawed("double")
        return one, replace(one, start=one.start + timedelta(minutes=90))

    def _events(self) -> int:
        return len(self.diary.standing())

    def _at(self, day: int, clock: str) -> datetime:
        wall = datetime.combine(self.diary.monday + timedelta(days=day), time.fromisoformat(clock))
        return from_wall(wall, ZONE).instant


def _messages(**more: int) -> dict[str, int]:
    """Return how many messages of each kind that tells news; others are counted only if named."""
    return {"confirmation": 0, "change": 0, "cancellation": 0} | more


def _with_email(visits: Sequence[Visit]) -> int:
    """Count those who can be told: the sample clinic confirms by e-mail alone."""
    return sum(bool(visit.patient.email) for visit in visits)
