"""One clinic with three peers of which none can be relied on, as a machine that hypothesis drives."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any, TypeAlias

from google_peer.peer import GooglePeer
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from clinicrelay.testing import Fault
from clinicrelay.times import iso, local, parse_instant
from sync import release
from sync.clinic import Clinic
from sync.coverage import tomorrow
from sync.store import events, incoming, quarantine, standings
from tests.line.axe import Axe, Killed
from tests.line.conftest import MONDAY, ZONE, Line
from tests.line.google.conftest import WRITES
from tests.line.liar import LIES, Liar, Row
from tests.notifiers.peers import CUT, PROVIDERS, Fate, Peer

DOCTORS = ("acar@riverside.example", "braun@riverside.example")
TWILIO = PROVIDERS[0]
MINUTE = timedelta(minutes=1)
WHOSE = "SELECT e.ref, a.source_key FROM events e JOIN appointments a ON a.id = e.appointment"
SAID_AT = re.compile(r"(\d{1,2})\. \S+, (\d\d:\d\d) Uhr")
RAN = Counter[str]()  # how many steps there were, for those who ask with -rP

# What Google may answer once, or for the whole of a run.
MOODS = (
    *(("status", "*", {"status": 401, "reason": "authError"}),),
    *(("status", "*", {"status": 403, "reason": why}) for why in ("forbidden", "rateLimitExceeded")),
    *(("status", "insert", {"status": 403, "reason": "forbidden"}),),
    *(("status", "list", {"status": 404, "reason": "notFound"}),),
    *(("status", "list", {"status": 410, "reason": "fullSyncRequired"}),),
    *(("status", "patch", {"status": 412, "reason": "conditionNotMet"}),),
    *(("status", "*", {"status": 429, "reason": "rateLimitExceeded", "retry_after": 2}),),
    *(("status", what, {"status": 500}) for what in ("*", "insert", "batch", "token")),
    *((kind, what, {}) for kind in ("close_before", "reset_after") for what in ("*", "batch", "delete")),
    *(("empty_list", "list", {}), ("drop_part", "*", {}), ("html", "*", {}), ("truncate", "batch", {})),
)  # fmt: skip
FATES = (
    *(None, None, Fault.ANSWER_LOST, Fault.GONE, Fault.BUSY, Fault.TROUBLE, Fault.ANSWER_MANGLED),
    *(CUT, Fault.LOCKED_OUT),
)
WAITS = (5 * MINUTE, 40 * MINUTE, 5 * 60 * MINUTE, 13 * 60 * MINUTE, 26 * 60 * MINUTE)
EDITS = (
    {"quiet_hours": "off"},
    {"quiet_hours": {"from": "21:00", "to": "08:00"}},
    {"reminders": {"patient": {"confirmation": {"channels": ["sms"]}, "steps": ["1d"]}}},
    {"reminders": {"patient": {"steps": ["1d"], "on_change": True}}},
)

acts = st.one_of(
    st.sampled_from(["book", "move", "cancel", "back on", "give away", "lose", "renumber"]),
    st.just("move"),
)


Scene: TypeAlias = "tuple[Line, Liar, GooglePeer, Peer, Axe]"

# What reception does: which visit of those there are, and what.
CHANGES = st.lists(st.tuples(st.integers(0, 9), acts), max_size=3)


class Chaos(RuleBasedStateMachine):
    """One clinic with three peers, none of which can be relied on."""

    made: Scene

    @initialize(first=st.integers(6, 11))
    def begin(self, first: int) -> None:
        self.line, self.liar, self.google, self.peer, self.axe = self.made
        self.numbers, self.slots = count(first), count()
        self.released: set[str] = set()
        self.heard: dict[str, list[str]] = {}
        self.sees: dict[str, str] = {}  # by whom they were to be seen when they last heard
        self.touched: set[str] = set()  # events that a doctor moved or deleted
        self.places: dict[str, tuple[str, str]] = {}  # event: its visit, its doctor
        self.liar.now = self.line.now
        for number in range(first):
            self.book(number)
        self.sync(timedelta(0))
        assert self.heard == {}, "an import is told to nobody"

    # --- reception ---------------------------------------------------------------------------------

    def reception(self, changes: list[tuple[int, str]]) -> None:
        for which, act in changes:
            keys = sorted(self.liar.book)
            self.act(keys[which % len(keys)] if keys else "", act if keys else "book")

    def act(self, key: str, act: str) -> None:
        liar = self.liar
        if act == "book":
            self.book(next(self.numbers))
        elif act == "move":
            liar.change(key, start=self.start())
        elif act in ("cancel", "back on"):
            liar.change(key, status="cancelled" if act == "cancel" else "booked")
        elif act == "give away":
            liar.change(key, doctor=DOCTORS[liar.book[key]["doctor"] == DOCTORS[0]])
        else:
            row = liar.book.pop(key)
            if act == "renumber":
                new = f"v{next(self.numbers):03}"
                liar.book[new] = {**row, "id": new, "updated": iso(liar.now)}

    def book(self, number: int) -> None:
        self.liar.book[f"v{number:03}"] = {
            "id": f"v{number:03}",
            "start": self.start(),
            "status": "booked",
            "patient": f"p{number}",
            "phone": f"+4915155510{number:03}",
            "doctor": DOCTORS[number % 2],
            "updated": iso(self.liar.now),
        }

    def start(self, days: int = 0) -> str:
        """Return a time that no visit had before, by day, within the next week."""
        slot = next(self.slots)
        day = local(self.line.now, ZONE).date() + timedelta(days=days or 1 + slot % 6)
        at = f"{day} {9 + slot % 9:02}:{slot * 7 % 60:02}"
        return parse_instant(at, ZONE).isoformat()

    # --- the others --------------------------------------------------------------------------------

    @rule(
        doctor=st.sampled_from(DOCTORS),
        which=st.integers(0, 5),
        how=st.sampled_from(["move", "delete", "edit"]),
    )
    def a_doctor(self, doctor: str, which: int, how: str) -> None:
        RAN["steps"] += 1
        self.remember_places()
        live = [event["id"] for event in self.google.dump(doctor, live=True)]
        if live:
            event, hand = live[which % len(live)], self.google.doctor(doctor)
            self.touched |= {event} if how != "edit" else set()
            if how == "move":
                hand.move(event, minutes=30)
            elif how == "delete":
                hand.delete(event)
            else:
                hand.edit(event, colorId="5")

    @rule(scope=st.sampled_from(["patients", "calendars", ""]), on=st.booleans())
    def a_pause(self, scope: str, on: bool) -> None:
        RAN["steps"] += 1

        def change(at_work: Clinic) -> None:
            with at_work.store.write() as connection:
                if on:
                    standings.pause(
                        connection, at_work.store.clinic, scope, reason="", until=None,
                        since=at_work.now, who="test",
                    )  # fmt: skip
                else:
                    standings.resume(connection, at_work.store.clinic, scope or None)

        self.line.at_work(change)

    @rule(edit=st.sampled_from(EDITS))
    def settings_edited(self, edit: dict[str, Any]) -> None:
        RAN["steps"] += 1
        self.line.set(**edit)

    @rule(lets=st.booleans())
    def a_person_decides(self, lets: bool) -> None:
        RAN["steps"] += 1
        self.decide(lets)

    @rule()
    def receipts_come_late(self) -> None:
        RAN["steps"] += 1
        for message in self.peer.exchange.messages:
            message["status"] = "delivered"

    # --- our runs ----------------------------------------------------------------------------------

    @rule(
        changes=CHANGES,
        after=st.sampled_from(WAITS),
        lies=st.frozensets(st.sampled_from(LIES), max_size=2),
        moods=st.lists(
            st.tuples(st.sampled_from(MOODS), st.sampled_from([1, 2, None])), max_size=2
        ),
        fates=st.lists(st.sampled_from(FATES), max_size=4),
        lag=st.sampled_from([0, 0, 90]),
        kill=st.one_of(st.just(0), st.integers(1, 260)),
        kept=st.booleans(),
    )
    def a_run(
        self,
        changes: list[tuple[int, str]],
        after: timedelta,
        lies: frozenset[str] = frozenset(),
        moods: Sequence[tuple[Any, int | None]] = (),
        fates: Sequence[Fate] = (),
        lag: int = 0,
        kill: int = 0,
        kept: bool = False,
    ) -> None:
        """Reception changes its book, and then a run meets whatever goes wrong."""
        RAN["steps"] += 1
        self.reception(changes)
        for (kind, operation, how), limit in moods:
            self.google.fault(kind, operation, limit=limit, **how)
        left = list(fates)
        self.peer.fate = lambda: left.pop(0) if left else None
        self.peer.lag = timedelta(seconds=lag)
        self.axe.raised(kill, after=kept)
        self.sync(after, lies)
        self.google.heal()
        self.peer.fate, self.peer.lag = (lambda: None), timedelta(0)

    @rule(changes=CHANGES, after=st.sampled_from([timedelta(0), *WAITS[:3], -30 * MINUTE]))
    def a_run_among_the_healthy(self, changes: list[tuple[int, str]], after: timedelta) -> None:
        RAN["steps"] += 1
        self.reception(changes)
        self.sync(after)

    def sync(self, after: timedelta, lies: frozenset[str] = frozenset()) -> None:
        """Run once, and look at what came of it."""
        RAN["runs"] += 1
        self.line.now += after
        self.peer.now = self.line.now
        self.liar.begin(self.line.now, lies)
        taken = len(self.peer.taken)
        self.google.forget_calls()
        self.remember_places()
        try:
            report = self.line.sync(timedelta(0))
        except Killed:
            RAN["kills"] += 1
            self.line.at_work_again()  # type: ignore[attr-defined]
            report = None
        self.axe.raised(0, after=False)
        self.what_was_said_is_true(self.peer.taken[taken:])
        self.no_event_went_unasked()
        # Given to another doctor, a visit stands with both until it may leave the first; never twice.
        twice = [there for there in self.google.duplicates().values() if _in_one_calendar(there)]
        assert twice == [], twice
        assert self.google.mails() == []
        source = report.sources["ehr"] if report else None
        if source and source.complete and source.state == "ok":
            self.liar.believed()
        if report:
            assert report.bugs == [], report.bugs

    # --- what must hold ----------------------------------------------------------------------------

    def what_was_said_is_true(self, taken: list[Any]) -> None:
        for one in taken:
            before = self.heard.setdefault(one.to, [])
            ids = {
                key
                for key, rows in self.liar.claims.items()
                if any(row["phone"] == one.to and _tells(one.text, row) for row in rows)
            }
            assert ids, f"{one.text}: nobody said so"
            # Under another id a visit is another one, until the source is next read whole; and to and
            # fro between two doctors reads the same.
            claimed = {row["doctor"] for key in ids for row in self.liar.claims[key]}
            other = "empfängt" in one.text and claimed - {self.sees.get(one.to)}
            self.sees[one.to] = self.liar.claims[max(ids)][-1]["doctor"]
            if before.count(one.text) >= len(ids) and not other:
                assert one.text not in before[-1:], f"heard twice: {one.text}"
                assert "Erinnerung" not in one.text, f"reminded twice: {one.text}"
            before.append(one.text)

    def remember_places(self) -> None:
        if not any(self.google.dump(doctor, live=True) for doctor in DOCTORS):
            return
        keys = dict(self.line.query(WHOSE))
        for doctor in DOCTORS:
            for event in self.google.dump(doctor, live=True):
                ref = event["extendedProperties"]["private"]["csRef"]
                self.places[event["id"]] = keys.get(ref, ""), doctor

    def no_event_went_unasked(self) -> None:
        gone = [call for call in self.google.calls("delete") if call.status == 204]
        for call in gone:
            key, _ = self.places.get(call.event, ("", ""))
            rows = self.liar.claims.get(key, [])
            other = call.calendar  # to and fro between two doctors it has one id in both calendars
            asked = any(row["status"] == "cancelled" or row["doctor"] != other for row in rows)
            assert asked or not key or key in self.liar.denied | self.released, f"{key} went"

    # --- the end -----------------------------------------------------------------------------------

    def teardown(self) -> None:
        if not hasattr(self, "line"):
            return
        self.all_are_well()
        self.tomorrow_is_accounted_for()
        self.what_no_doctor_touched_is_shown()
        self.calendars_show_the_book()
        self.one_more_run_does_nothing()

    def all_are_well(self) -> None:
        self.a_pause("", on=False)
        self.line.now = max(self.line.now, parse_instant(MONDAY, ZONE))
        for _ in range(4):
            self.decide(lets=True)
            self.line.at_work(_events_are_tried_again)
            self.sync(5 * 60 * MINUTE)
        self.sync(2 * MINUTE)

    def decide(self, lets: bool) -> None:
        def decided(at_work: Clinic) -> None:
            with at_work.store.read() as connection:
                holds = incoming.open_holds(connection, at_work.store.clinic)
                kept = {
                    one.key
                    for hold in holds
                    for one in incoming.of_hold(connection, at_work.store.clinic, hold["id"])
                }
            self.released |= kept if lets else set()
            for hold in holds:
                assert (release.release if lets else release.reject)(at_work, hold)

        self.line.at_work(decided)

    def what_no_doctor_touched_is_shown(self) -> None:
        book = self.liar.book
        touched = {self.places[event][0] for event in self.touched if event in self.places}
        phones = {row["phone"] for key in touched for row in self.liar.claims.get(key, ())}
        shown = {
            (doctor, instant(event["start"]["dateTime"]))
            for doctor in DOCTORS
            for event in self.google.dump(doctor, live=True)
        }
        for row in book.values():
            ahead = row["status"] == "booked" and instant(row["start"]) > self.line.now
            if ahead and row["phone"] not in phones:
                assert (row["doctor"], instant(row["start"])) in shown, row

    def tomorrow_is_accounted_for(self) -> None:
        def look(at_work: Clinic) -> Any:
            with at_work.store.read() as connection:
                return tomorrow(at_work, connection).coverage

        found = self.line.at_work(look)
        assert found.visits == found.covered + found.explained, found
        doubtful = "SELECT state, reason FROM messages WHERE state IN ('sending', 'unknown')"
        left = self.line.query(doubtful)
        assert left == [], left

    def calendars_show_the_book(self) -> None:
        """A doctor's own deletion stands; so each visit gets a new time first."""
        for key, row in self.liar.book.items():
            if row["status"] == "booked":
                self.liar.change(key, start=self.start(days=10 + int(key[1:]) % 9))
        for _ in range(3):
            self.sync(7 * 60 * MINUTE)
            self.decide(lets=True)
        self.sync(2 * MINUTE)
        shown = sorted(
            (doctor, instant(event["start"]["dateTime"]))
            for doctor in DOCTORS
            for event in self.google.dump(doctor, live=True)
            if instant(event["start"]["dateTime"]) > self.line.now + timedelta(days=7)
        )
        assert self.google.duplicates() == {}
        booked = [row for row in self.liar.book.values() if row["status"] == "booked"]
        wanted = sorted((row["doctor"], instant(row["start"])) for row in booked)
        assert shown == wanted, f"{shown} instead of {wanted}"

    def one_more_run_does_nothing(self) -> None:
        taken = len(self.peer.taken)
        self.sync(timedelta(0))
        done = self.google.calls(*WRITES)
        assert (done, len(self.peer.taken)) == ([], taken), done


def _events_are_tried_again(at_work: Clinic) -> None:
    """Do what a person does about events that a calendar refused: `quarantine retry --all`."""
    with at_work.store.write() as connection:
        store = at_work.store.clinic
        for thing in quarantine.listed(connection, store):
            if thing["kind"] == "event":
                events.try_refused(connection, store, thing["source"], thing["place"])
                quarantine.discard(connection, store, thing["id"])


def _in_one_calendar(events: Sequence[str]) -> bool:
    return len({event.partition("/")[0] for event in events}) < len(events)


def _tells(message: str, row: Row) -> bool:
    """Whether a text says what the source said."""
    if ("abgesagt" in message) != (row["status"] == "cancelled"):
        return False
    start = local(instant(row["start"]), ZONE)
    day, clock = SAID_AT.findall(message)[0]
    return "abgesagt" in message or (int(day), clock) == (start.day, f"{start:%H:%M}")


def instant(said: str) -> datetime:
    return datetime.fromisoformat(said)
