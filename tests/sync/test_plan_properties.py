"""Whatever happens to a visit and whenever we look: nobody hears something false, late or twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as replace_visit

from clinicrelay.actions import MessageKind, Role, Say, Told, facts_of
from clinicrelay.model import Appointment, Channel, Patient, Place, Practitioner, Status
from clinicrelay.settings.schema import Confirmation, PatientReminders, QuietHours, Reminders
from sync.due import (
    due_reminders,
    first_hour,
    reminders,
    useless_after,
    when,
)
from sync.gate import Drop, GateOptions, Go, Wait, gate, reopens
from sync.plan import Seen, baseline, dedupe_key, matters, owed
from sync.quiet import (
    quiet_period,
)

ZONE = "Europe/Berlin"
BEGIN = datetime(2026, 3, 26, 9, 0, tzinfo=UTC)  # three days before clocks change
QUIET = QuietHours()


def minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


CONFIRMED = Reminders(
    patient=PatientReminders(confirmation=Confirmation(), steps=("3d", "1d", "6h", "1h"))
)
UNCONFIRMED = Reminders(patient=PatientReminders(steps=("3d", "1d", "1h")))
OPTIONS = GateOptions(
    order=("sms",),
    order_setting="channels.order",
    senders={Channel.SMS: ("outbox",)},
    consent={Channel.SMS: "implied"},
    zone=ZONE,
)

starts = st.integers(0, 7 * 24 * 12).map(lambda n: BEGIN + minutes(5 * n))
# Few, so that visits come back to where they were: soon, in 3 minutes' reach, early, late, far.
times_of_day = st.sampled_from([4 * 60, 1500, 1503, 2845, 3150, 4290, 4680, 5990, 7000])
few_starts = times_of_day.map(lambda n: BEGIN + minutes(n))
statuses = st.sampled_from([Status.BOOKED] * 8 + [Status.CANCELLED] * 4 + list(Status))
changes = st.one_of(
    st.fixed_dictionaries({"start": few_starts}),
    st.fixed_dictionaries({"start": few_starts, "status": statuses}),
    st.fixed_dictionaries({"status": statuses}),
    st.just({"start": None}),
    st.fixed_dictionaries({"location": st.sampled_from([None, Place(name="A"), Place(name="B")])}),
    st.fixed_dictionaries({"practitioners": st.sampled_from([(), (Practitioner("d1"),)])}),
    st.fixed_dictionaries({"notes": st.sampled_from(["x", "y"])}),
    st.fixed_dictionaries({"gone": st.booleans()}),
    *[st.just({})] * 4,
)
passing = st.sampled_from([0, 1, 7, 55, 60, 180, 300, 600, 720])
acts = st.sampled_from(["", "plan", "send", "sync", "sync"])
histories = st.lists(st.tuples(changes, passing, acts), min_size=10, max_size=40)


def booked(start: datetime | None) -> Appointment:
    return Appointment(
        source="ehr",
        key="1",
        status=Status.BOOKED,
        timezone=ZONE,
        start=start,
        patients=(Patient("p1"),),
        practitioners=(Practitioner("d1"),),
        location=Place(name="A"),
    )


class Clinic:
    """One visit, its ledger and what the patient heard: what sync does, in one page."""

    def __init__(self, visit: Appointment, rules: Reminders, quiet: QuietHours | None) -> None:
        self.visit, self.rules, self.quiet = visit, rules, quiet
        self.now = BEGIN
        self.gone = False
        self.kept: Seen | None = None
        self.told: dict[str, Told] = {}
        self.ledger: dict[str, Say | str] = {}
        self.heard: list[tuple[datetime, Say]] = []

    def happen(self, change: dict) -> None:
        self.gone = change.get("gone", self.gone)
        facts = {name: value for name, value in change.items() if name != "gone"}
        self.visit = msgspec.structs.replace(self.visit, **facts)

    def import_silently(self) -> None:
        self.keep()
        self.told = baseline(self.kept.appointment, gone=self.kept.gone, now=self.now)

    def keep(self) -> None:
        old = self.kept
        moved = old is not None and old.appointment.start != self.visit.start
        self.kept = Seen(
            self.visit,
            first_seen=old.first_seen if old else self.now,
            told=dict(self.told),
            version=old.version + 1 if old else 1,
            gone=self.gone,
            moved_at=self.now if moved else (old.moved_at if old else None),
        )

    def owed(self) -> list[Say]:
        steps = self.rules.patient.steps
        reminded = due_reminders(self.kept, steps, Role.PATIENT, now=self.now, quiet=self.quiet)
        return owed(self.kept, self.rules, now=self.now) + reminded

    def plan(self) -> None:
        self.keep()
        for say in self.owed():
            key = dedupe_key("ehr", "1", say, self.told.get(say.recipient))
            entry = self.ledger.get(key)
            if entry is None or (isinstance(entry, str) and reopens(say.kind, entry)):
                self.ledger[key] = "skipped" if say.skip else say

    def send(self) -> None:
        for key, say in list(self.ledger.items()):
            if isinstance(say, Say) and say.due_at <= self.now:
                self.deliver(key, say)

    def sync(self) -> None:
        self.plan()
        self.send()
        settled(self)

    def deliver(self, key: str, say: Say) -> None:
        verdict = gate(
            say,
            fresh=self.visit,
            gone=self.gone,
            told=self.told.get(say.recipient),
            person=self.visit.patients[0],
            addresses={Channel.SMS: "+4915155501234"},
            options=replace(OPTIONS, quiet=self.quiet),
            now=self.now,
        )
        if isinstance(verdict, Go):
            self.check(say)
            self.heard.append((self.now, say))
            self.told[say.recipient] = Told(say.facts, self.now, by=key, kind=say.kind)
            self.ledger[key] = "sent"
        elif isinstance(verdict, Drop):
            self.ledger[key] = verdict.reason
        else:
            assert isinstance(verdict, Wait)
            assert verdict.until > self.now

    def check(self, say: Say) -> None:
        """What must hold at the moment of each send."""
        truth, before = facts_of(self.visit, gone=self.gone), self.told.get(say.recipient)
        about = say.before.start if say.kind is MessageKind.CANCELLATION else say.facts.start
        assert about > self.now, "about the past"
        assert self.now < say.useless_after, "late"
        if say.kind is MessageKind.CANCELLATION:
            assert not truth.on, "false"
            assert before is not None
            assert before.facts.on, "cancelled for somebody who expected nothing"
        else:
            assert say.facts == truth, "false"
            assert self.visit.status is Status.BOOKED
        if say.kind is not MessageKind.REMINDER:
            assert before is None or before.facts != say.facts, "twice"
        in_the_night = quiet_period(self.now, self.quiet, ZONE) is not None
        closed_door = say.kind in (MessageKind.CHANGE, MessageKind.CANCELLATION)
        soon = say.urgent or about - self.now < timedelta(hours=12)
        assert not in_the_night or (closed_door and soon), "in the night"


def live(clinic: Clinic, history) -> None:
    for change, pause, act in history:
        clinic.happen(change)
        before = len(clinic.heard)
        if act:
            getattr(clinic, act)()
        assert len(clinic.heard) <= before + 1, "two messages in one breath"
        clinic.now += minutes(pause)


def settled(clinic: Clinic) -> None:
    """After a sync by day nobody believes something false that a message could have mended."""
    if quiet_period(clinic.now, clinic.quiet, ZONE) is not None:
        return
    told, truth = clinic.told.get("patient/p1"), facts_of(clinic.visit, gone=clinic.gone)
    status, now = clinic.visit.status, clinic.now
    if truth.on and truth.start > now and status is Status.BOOKED:
        if told is None:
            unsent_for_a_day = "cut_off_passed" in clinic.ledger.values()
            assert clinic.rules.patient.confirmation is None or unsent_for_a_day
        else:
            assert not matters(told.facts, truth)
    if status is Status.CANCELLED and told is not None and told.facts.on:
        assert told.facts.start <= now
    clinic.keep()
    left = [say for say in clinic.owed() if say.skip is None]
    assert all(dedupe_key("ehr", "1", s, told) in clinic.ledger for s in left)
    late = [clinic.ledger[dedupe_key("ehr", "1", s, told)] == "cut_off_passed" for s in left]
    assert all(late)


@settings(max_examples=800, deadline=None)
@given(
    start=few_starts,
    rules=st.sampled_from([CONFIRMED, UNCONFIRMED]),
    quiet=st.sampled_from([QUIET, None]),
    imported=st.booleans(),
    history=histories,
)
@example(  # there, back and there again while everybody sleeps
    start=BEGIN + timedelta(days=4),
    rules=CONFIRMED,
    quiet=QUIET,
    imported=True,
    history=[
        ({}, 13 * 60, "sync"),
        ({"start": BEGIN + timedelta(days=5)}, 5, "sync"),
        ({"start": BEGIN + timedelta(days=4)}, 5, "sync"),
        ({"start": BEGIN + timedelta(days=5)}, 10 * 60, "sync"),
        ({}, 0, "sync"),
    ],
)
def test_nobody_ever_hears_something_false_late_or_twice(start, rules, quiet, imported, history):
    clinic = Clinic(booked(start), rules, quiet)
    if imported:
        clinic.import_silently()
    live(clinic, history)
    reminders = [(s.recipient, s.step, s.facts.hash) for _, s in clinic.heard if s.step]
    assert len(reminders) == len(set(reminders))


@settings(max_examples=200, deadline=None)
@given(start=starts, rules=st.sampled_from([CONFIRMED, UNCONFIRMED]), change=changes, after=starts)
def test_who_has_been_told_what_is_owed_is_owed_nothing_more(start, rules, change, after):
    clinic = Clinic(booked(start), rules, None)
    clinic.import_silently()
    clinic.happen(change)
    clinic.now = after
    clinic.keep()
    says = [s for s in owed(clinic.kept, rules, now=after) if s.skip is None]
    clinic.told |= {s.recipient: Told(s.facts, after, by="n") for s in says}
    clinic.keep()
    assert [s for s in owed(clinic.kept, rules, now=after) if s.skip is None] == []


@settings(max_examples=300, deadline=None)
@given(
    start=starts,
    status=st.sampled_from(Status),
    zone=st.sampled_from([None, "Asia/Tokyo"]),
    first_seen=starts,
    after=starts,
)
def test_what_came_with_an_import_is_no_news_and_is_reminded_of_as_if_nobody_was_told(
    start, status, zone, first_seen, after
):
    """So plan need not work out what counts as told of a visit that is as it was imported."""
    visit = replace_visit(
        booked(start), status=status, patients=(Patient("p1", timezone=zone), Patient("p2"))
    )
    now = max(first_seen, after)
    imported = Seen(
        visit, first_seen, told=baseline(visit, now=first_seen), version=1, imported=True
    )
    bare = Seen(visit, first_seen)
    steps = CONFIRMED.patient.steps
    asked = {"now": now, "quiet": QUIET}
    assert owed(imported, CONFIRMED, now=now) == []
    assert due_reminders(imported, steps, Role.PATIENT, **asked) == due_reminders(
        bare, steps, Role.PATIENT, **asked
    )
    each = [(Role.PATIENT, steps)]
    assert reminders(imported, each, **asked) == reminders(bare, each, **asked)


@settings(max_examples=300, deadline=None)
@given(start=starts, status=st.sampled_from(Status), first_seen=starts, after=starts)
def test_the_coming_hour_is_later_and_then_has_its_reminder(start, status, first_seen, after):
    one = Seen(replace_visit(booked(start), status=status), first_seen)
    now, steps = max(first_seen, after), UNCONFIRMED.patient.steps
    found = reminders(one, [(Role.PATIENT, steps)], now=now, quiet=QUIET)
    assert all(say.due_at <= now for say in found.due)
    if found.coming is not None:
        assert now < found.coming < start
        then = due_reminders(one, steps, Role.PATIENT, now=found.coming, quiet=QUIET)
        assert found.coming in {say.due_at for say in then}


@settings(max_examples=300, deadline=None)
@given(
    start=starts,
    zone=st.sampled_from([None, "America/New_York", "Asia/Tokyo", "Antarctica/Troll"]),
    ago=st.integers(0, 5 * 24 * 60),
)
def test_what_sleeps_until_its_first_hour_misses_no_reminder(start, zone, ago):
    """So a visit of an import need not be looked at before."""
    visit = replace_visit(booked(start), patients=(Patient("p1", timezone=zone), Patient("p2")))
    each = [(role, UNCONFIRMED.patient.steps) for role in (Role.PATIENT, Role.DOCTOR)]
    steps = [step for _, some in each for step in some]
    zones = {ZONE, zone or ZONE}
    first = first_hour(steps, start, quiet=QUIET, recipient_zones=zones, visit_zone=ZONE)
    one, long_ago = Seen(visit, start - timedelta(days=30)), start - timedelta(days=10)
    assert first == reminders(one, each, now=long_ago, quiet=QUIET).coming
    before = first - timedelta(seconds=1) - minutes(ago)
    assert reminders(one, each, now=before, quiet=QUIET) == ([], first)


def test_without_steps_a_visit_sleeps_until_it_begins():
    asked = {"quiet": QUIET, "recipient_zones": {ZONE}, "visit_zone": ZONE}
    assert first_hour((), BEGIN, **asked) == BEGIN


@settings(max_examples=200, deadline=None)
@given(start=starts, looks=st.lists(st.integers(0, 5 * 24 * 60), max_size=60))
def test_however_often_and_late_we_look_a_quiet_visit_is_reminded_at_most_once_a_step(start, looks):
    clinic = Clinic(booked(start + timedelta(days=4)), UNCONFIRMED, QUIET)
    for offset in sorted(looks):
        clinic.now = BEGIN + minutes(offset)
        clinic.sync()
    steps = [say.step for _, say in clinic.heard]
    assert len(steps) == len(set(steps))
    assert steps == sorted(steps, key=["3d", "1d", "1h"].index)


@settings(max_examples=300, deadline=None)
@given(
    start=starts,
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Antarctica/Troll"]),
    begins=st.integers(0, 23),
    lasts=st.integers(1, 22),
)
@example(  # the two hours between two nights are those that the clock skips
    start=datetime(2026, 3, 29, 1, 20, tzinfo=UTC), zone="Antarctica/Troll", begins=3, lasts=22
)
def test_a_step_is_outside_quiet_hours_useful_and_near(start, zone, begins, lasts):
    clock = datetime(2026, 1, 1, begins)
    quiet = QuietHours(start=clock.time(), end=(clock + timedelta(hours=lasts)).time())
    for step in CONFIRMED.patient.steps:
        at = when(step, start, quiet=quiet, recipient_zone=zone, visit_zone=ZONE)
        assert quiet_period(at, quiet, zone) is None
        assert at < useless_after(step, start)
        assert start - at <= step.before.length + timedelta(hours=50)
