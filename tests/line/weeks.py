"""A week of a clinic over a change of clocks: reception's book, what happens in it, and time passing.

Beside the line stands what is expected of every visit (`tests.line.expected`); nothing here asks our
code what is due.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

from sync.runners import once
from tests.line.conftest import visit
from tests.line.expected import DAY, HOUR, Line, Person, State, digests, instant

if TYPE_CHECKING:
    from tests.line import conftest

QUARTER = timedelta(minutes=15)
DOCTORS = ("acar", "braun", "costa")
CLOCKS = (
    *("09:00", "07:30", "16:40", "08:15", "21:15", "10:30", "13:45", "08:00", "20:30"),
    *("12:05", "19:00", "06:45", "22:30"),
)
COLUMNS = (*visit(1), "patient_timezone", "preferred_channel")


class Week(NamedTuple):
    """A clinic, the Monday that the week begins with, and where its far patients live.

    On the Sunday clocks change at night, and `odd` is a time of that night which is skipped or comes
    twice. `away` is when nothing ran, counted from the Monday.
    """

    zone: str
    monday: date
    odd: str
    far: tuple[str, str]
    away: tuple[timedelta, timedelta] | None = None


# Two days in which nothing runs, until shortly before eleven.
OUTAGE = (2 * DAY + 10 * HOUR, 4 * DAY + 10 * HOUR + 3 * QUARTER)
WEEKS = [
    Week(
        zone="Europe/Madrid",
        monday=date(2026, 3, 23),
        odd="02:30",
        far=("America/Los_Angeles", "Asia/Kolkata"),
        away=OUTAGE,
    ),
    Week(
        zone="America/New_York",
        monday=date(2026, 10, 26),
        odd="01:30",
        far=("Europe/Madrid", "Pacific/Auckland"),
    ),
    Week(
        zone="Australia/Lord_Howe",
        monday=date(2026, 9, 28),
        odd="02:15",
        far=("Asia/Kathmandu", "Europe/London"),
    ),
]


@dataclass
class Book:
    """Reception's book: each visit's row, and when who entered what."""

    week: Week
    entries: list[tuple[datetime, str, dict[str, str] | None]] = field(default_factory=list)
    first: dict[str, dict[str, str]] = field(default_factory=dict)
    took_over: dict[str, str] = field(default_factory=dict)

    def wall(self, day: int, clock: str) -> datetime:
        return instant(self.week.monday + day * DAY, time.fromisoformat(clock), self.week.zone)

    def said(self, day: int, clock: str) -> str:
        """Return a time as reception writes it, with no word about zones."""
        return f"{self.week.monday + day * DAY} {clock}"

    def has(self, key: str, day: int, clock: str, **cells: str) -> None:
        """Let a visit be in the book before the week begins."""
        self.first[key] = self._row(key, day, clock, **cells)

    def books(self, when: tuple[int, str], key: str, day: int, clock: str, **cells: str) -> None:
        self.entries.append((self.wall(*when), key, self._row(key, day, clock, **cells)))

    def changes(self, when: tuple[int, str], key: str, **cells: str) -> None:
        self.entries.append((self.wall(*when), key, cells))

    def moves(self, when: tuple[int, str], key: str, day: int, clock: str) -> None:
        self.changes(when, key, start=self.said(day, clock))

    def cancels(self, when: tuple[int, str], key: str) -> None:
        self.changes(when, key, status="cancelled")

    def loses(self, when: tuple[int, str], key: str) -> None:
        self.entries.append((self.wall(*when), key, None))

    def _row(self, key: str, day: int, clock: str, **cells: str) -> dict[str, str]:
        doctor = {"doctor_id": "acar", "doctor_email": "acar@riverside.example"}
        none = {"patient_timezone": "", "preferred_channel": ""}
        return {**visit(key, self.said(day, clock)), **doctor, **none, **cells}

    def between(self, before: datetime | None, now: datetime) -> Iterator[tuple[str, Any]]:
        """Yield what was entered since the last export."""
        for at, key, cells in self.entries:
            if (before is None or at > before) and at <= now:
                yield key, cells

    @property
    def visits(self) -> dict[str, dict[str, str]]:
        """Every visit that ever was in the book, as it came into it."""
        new = {key: cells for _, key, cells in self.entries if cells and "patient_id" in cells}
        return {**self.first, **new}


def ordinary(book: Book) -> None:
    """Fill nine days: each doctor has three visits a day, of patients as they are."""
    people: list[dict[str, str]] = [
        {},
        {"mobile": "", "email": ""},
        {"preferred_channel": "email"},
        {"mobile": "12"},
        {"patient_timezone": book.week.far[0], "modality": "video"},
        {"mobile": "12", "email": "nobody"},
        {},
        {"preferred_channel": "none"},
        {"patient_timezone": book.week.far[1]},
        {"mobile": "", "modality": "phone"},
        {"email": ""},
    ]
    for n in range(81):
        doctor = DOCTORS[n % 3]
        cells = {"doctor_id": doctor, "doctor_email": f"{doctor}@riverside.example"}
        book.has(f"{100 + n}", n // 9, CLOCKS[n % 13], **people[n % 11], **cells)
        if n % 9 % 2:  # reception notes in the evening who came
            book.changes(
                (n // 9, "23:30"), f"{100 + n}", status=("fulfilled", "no-show")[n % 3 // 2]
            )


def eventful(book: Book) -> None:
    """Let happen what happens in a week; day 6 is the Sunday on which clocks change."""
    odd = book.week.odd
    for key, day, clock in [
        *[("201", 3, "11:00"), ("202", 4, "10:00"), ("203", 5, "10:00"), ("204", 3, "15:00")],
        *[("205", 2, "07:30"), ("206", 4, "16:00"), ("207", 5, "12:00"), ("208", 2, "16:00")],
        *[("209", 6, "16:00"), ("210", 6, odd), ("211", 7, odd), ("212", 6, "16:30")],
        *[("213", 5, "09:30"), ("214", 7, "10:00"), ("215", 7, "11:00"), ("216", 6, "09:15")],
        *[("217", 7, "11:30"), ("218", 6, "12:30"), ("219", 8, "14:00"), ("220", 8, "15:00")],
    ]:
        book.has(key, day, clock)
    book.has("221", 5, "17:00", preferred_channel="none")
    book.has("222", 5, "17:30", mobile="", email="")
    book.moves((1, "12:10"), "201", 4, "15:00")
    book.moves((1, "22:10"), "202", 5, "10:00")  # and back before anybody is awake
    book.moves((1, "23:40"), "202", 4, "10:00")
    book.moves((1, "23:10"), "203", 6, "13:00")
    book.cancels((1, "15:30"), "204")
    book.cancels((1, "22:40"), "205")  # there is no morning left to tell it
    book.cancels((1, "22:50"), "206")
    book.cancels((1, "09:20"), "207")
    book.changes((1, "18:20"), "207", status="scheduled")
    book.cancels((0, "10:20"), "208")
    book.books((1, "14:20"), "308", 6, "10:40", patient_id="P208")  # long after: a new booking
    book.cancels((4, "14:20"), "209")
    book.books((4, "14:20"), "309", 8, "11:20", **_contact("209"))  # at once: a move
    book.took_over["309"] = "209"
    book.moves((5, "11:20"), "212", 7, odd)
    book.loses((1, "16:20"), "213")
    book.moves((5, "12:20"), "214", 7, "10:03")
    book.changes((4, "16:20"), "215", location="Hafenweg")
    book.moves((5, "22:20"), "216", 6, "10:15")  # the patient would stand there too early
    book.moves((4, "13:20"), "217", 8, "09:40")
    book.moves((6, "13:20"), "217", 8, "17:40")
    book.cancels((6, "03:20"), "218")  # in the night of the change
    book.changes((7, "12:20"), "219", status="cancelled")
    book.changes((7, "20:20"), "219", status="scheduled")
    book.moves((1, "10:20"), "221", 7, "18:00")
    book.cancels((1, "10:20"), "222")
    for key, when, day, clock in [
        *[("301", (5, "14:20"), 6, "10:50"), ("302", (5, "12:20"), 5, "15:10")],
        *[("303", (5, "22:20"), 6, "09:10"), ("304", (5, "22:20"), 6, "07:30")],
        *[("305", (4, "14:20"), 5, "19:40"), ("306", (4, "14:20"), 5, "17:10")],
        *[("307", (4, "11:20"), 6, odd), ("310", (3, "09:20"), 3, "12:20")],
        *[("311", (6, "01:10"), 8, "16:20"), ("312", (6, "00:20"), 6, "18:10")],
    ]:
        book.books(when, key, day, clock)
    book.books((6, "21:20"), "313", 7, "16:50")  # booked and off again in one night
    book.cancels((6, "23:20"), "313")
    book.books((5, "15:20"), "314", 7, "09:20", patient_timezone=book.week.far[0])
    book.books((5, "15:20"), "315", 7, "18:20", patient_timezone=book.week.far[1])


def _contact(key: str) -> dict[str, str]:
    same = visit(key)
    return {name: same[name] for name in ("patient_id", "patient_name", "mobile", "email")}


@dataclass
class Passing:
    """The week as it passes: the clinic, its book, and beside it what is expected of every visit."""

    line: conftest.Line
    book: Book
    rows: dict[str, dict[str, str]] = field(default_factory=dict)
    read: dict[str, State] = field(default_factory=dict)
    people: dict[tuple[str, str], Person] = field(default_factory=dict)
    first_read: dict[str, datetime] = field(default_factory=dict)
    ever: dict[str, list[State]] = field(default_factory=dict)
    lists: list[tuple[str, Line]] = field(default_factory=list)
    exported: datetime | None = None
    evening: date | None = None

    def run(self) -> None:
        """Look at every moment of the week at which somebody would."""
        for now in self.moments():
            self.line.now = now
            if now.minute == 0:
                self.export(now)
                self.line.sync(timedelta(0))
            else:
                self.line.at_work(once.send)
            self.expect(now)
            if now.astimezone(ZoneInfo(self.book.week.zone)).time() == time(12):
                assert self.line.unaccounted() == []
        assert self.line.unaccounted() == []

    def moments(self) -> list[datetime]:
        """Return every quarter hour, and five minutes before each person's night begins."""
        begin, end = self.book.wall(0, "00:00"), self.book.wall(9, "01:00")
        found = {begin + n * QUARTER for n in range((end - begin) // QUARTER)}
        for zone in (self.book.week.zone, *self.book.week.far):
            for n in range(-1, 11):
                found.add(instant(self.book.week.monday + n * DAY, time(20, 55), zone))
        away = [begin + away for away in self.book.week.away or (-DAY, -DAY)]
        return sorted(at for at in found if begin <= at < end and not away[0] <= at < away[1])

    def export(self, now: datetime) -> None:
        """Let reception export its book, if anything was entered since."""
        entered = list(self.book.between(self.exported, now))
        if self.exported is None:
            self.rows = dict(self.book.first)
        for key, cells in entered:
            if cells is None:
                del self.rows[key]
            else:
                self.rows[key] = {**self.rows.get(key, {}), **cells}
        if entered or self.exported is None:
            written = io.StringIO()
            sheet = csv.DictWriter(written, COLUMNS, lineterminator="\n")
            sheet.writeheader()
            sheet.writerows(self.rows.values())
            self.line.drop(written.getvalue())
            self.note(now, imported=self.exported is None)
        self.exported = now

    def note(self, now: datetime, *, imported: bool) -> None:
        """Note what the line must believe from now on."""
        for key in self.read.keys() - self.rows.keys():
            self.read[key] = self.read[key]._replace(off="gone")
        for key, row in self.rows.items():
            start = datetime.fromisoformat(row["start"])
            off = "cancelled" if row["status"] == "cancelled" else ""
            at = instant(start.date(), start.time(), self.book.week.zone)
            self.read[key] = State(at, row["location"], off)
            self.first_read.setdefault(key, now)
            self.ever.setdefault(key, []).append(self.read[key])
        if imported:
            for key in self.read:
                self.person(key, "patient").believed = self.read[key]

    def person(self, key: str, role: str) -> Person:
        """Return one of a visit's two people."""
        row, zone = self.book.visits[key], self.book.week.zone
        who = f"patient/{row['patient_id']}" if role == "patient" else f"doctor/{row['doctor_id']}"
        if (key, who) not in self.people:
            own = row["patient_timezone"] if role == "patient" else ""
            silent = _silent(row) if role == "patient" else ""
            self.people[key, who] = Person(own or zone, zone, role == "doctor", silent)
            if key in self.book.took_over and role == "patient":
                self.take_over(self.people[key, who], self.book.took_over[key], who)
        return self.people[key, who]

    def take_over(self, person: Person, old: str, who: str) -> None:
        """Let who was told of the old visit hear of the new one as a move, and of the old no more."""
        before = self.people[old, who]
        person.believed = before.believed
        before.lines.append(Line("cancellation", "", "skipped", "superseded_by_reschedule"))
        before.believed = None

    def expect(self, now: datetime) -> None:
        for key, state in sorted(self.read.items(), reverse=True):  # who takes over comes first
            for role in ("patient", "doctor"):
                self.person(key, role).look(now, state)
        self.expect_lists(now)

    def expect_lists(self, now: datetime) -> None:
        zone = self.book.week.zone
        local = now.astimezone(ZoneInfo(zone))
        evening = local.date() if local.time() >= time(18) else local.date() - DAY
        if self.evening is not None and evening > self.evening:
            stand = [(key, one) for key, one in self.read.items() if not one.off]
            starts = [(self.rows[key]["doctor_id"], one.start) for key, one in stand]
            missed = [self.evening + n * DAY for n in range(1, (evening - self.evening).days)]
            for one in missed:  # none of them is of use once the next is due
                lists = digests(starts, one, datetime.max.replace(tzinfo=UTC), zone)
                self.lists += lists.items()
            self.lists += digests(starts, evening, now, zone).items()
        self.evening = evening

    def expected(self) -> Counter[tuple[str, str, Line]]:
        """Return what the ledger must hold: visit, person and line."""
        told = [(key, who, one) for (key, who), p in self.people.items() for one in p.lines]
        return Counter([*told, *(("", f"doctor/{who}", one) for who, one in self.lists)])


def _silent(row: dict[str, str]) -> str:
    if row["preferred_channel"] == "none":
        return "opted_out"
    if row["mobile"] == "12" and row["email"] == "nobody":
        return "invalid_contact"
    return "" if row["mobile"] or row["email"] else "no_contact"
