"""When reminders and digests fall due."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from itertools import pairwise

import msgspec
import pytest

from clinicrelay.actions import MessageKind, Role, Say, Told, facts_of
from clinicrelay.model import Appointment, Kind, Patient, Practitioner, Status
from clinicrelay.settings.schema import Digest, QuietHours, Step
from clinicrelay.times import at_wall_time, from_wall, local
from sync.digest_hours import (
    digest_due,
    digest_say,
    digest_useful_until,
    missed_digests,
)
from sync.due import (
    coming_reminders,
    due_reminders,
    next_step,
    reminders,
    useless_after,
    when,
)
from sync.plan import UNDER_WAY, Seen
from sync.quiet import (
    outside_quiet,
)

BERLIN = "Europe/Berlin"
NIGHT = QuietHours()
STEPS = tuple(Step(before=b) for b in ("3d", "1d", "1h"))
ME = "patient/p1"
hours, minutes, days = (
    (lambda n: timedelta(hours=n)),
    (lambda n: timedelta(minutes=n)),
    (lambda n: timedelta(days=n)),
)


def wall(text: str, zone: str = BERLIN) -> datetime:
    return from_wall(datetime.fromisoformat(text), zone).instant


START = wall("2026-12-01T10:30")
LONG_AGO = START - days(30)


def visit(start: datetime | None = START, **changed) -> Appointment:
    return msgspec.structs.replace(
        Appointment(
            source="ehr",
            key="1",
            status=Status.BOOKED,
            timezone=BERLIN,
            patients=(Patient("p1"),),
            practitioners=(Practitioner("d1"),),
        ),
        start=start,
        **changed,
    )


def seen(appointment: Appointment | None = None, *, told: Told | None = None, **more) -> Seen:
    more.setdefault("first_seen", LONG_AGO)
    return Seen(appointment or visit(), told={ME: told} if told else {}, **more)


def told(at: datetime, kind: MessageKind | None, *, by: str | None = "n1", of=None) -> Told:
    return Told(facts_of(of or visit()), at=at, by=by, kind=kind)


def due(of: Seen, now: datetime, *, steps=STEPS, role=Role.PATIENT, quiet=NIGHT) -> list[Say]:
    return due_reminders(of, steps, role, now=now, quiet=quiet)


def decisions(says: list[Say]) -> dict[str, str | None]:
    return {say.step: say.skip for say in says}


# --- quiet hours and the time of a step --------------------------------------------------------


def at(step: str, start: datetime, *, quiet=NIGHT, zone=BERLIN, visit_zone=BERLIN) -> datetime:
    chosen = Step(before=step)
    return when(chosen, start, quiet=quiet, recipient_zone=zone, visit_zone=visit_zone)


@pytest.mark.parametrize(
    ("step", "start", "expected"),
    [
        ("24h", "2026-12-01T10:30", "2026-11-30T10:30"),
        ("24h", "2026-12-01T02:00", "2026-11-30T08:00"),
        ("1h", "2026-12-01T08:30", "2026-12-01T08:00"),
        ("1h", "2026-12-01T07:30", "2026-11-30T20:55"),
        ("1h", "2026-12-01T22:30", "2026-12-01T20:55"),
        ("1h", "2026-12-01T09:00", "2026-12-01T08:00"),
        ("1d", "2026-12-01T21:00", "2026-12-01T08:00"),
    ],
)
def test_a_step_in_the_night_waits_for_the_morning_or_comes_the_evening_before(
    step, start, expected
):
    assert at(step, wall(start)) == wall(expected)


def test_without_quiet_hours_a_step_is_due_at_any_hour():
    assert at("24h", wall("2026-12-01T02:00"), quiet=None) == wall("2026-11-30T02:00")


def test_quiet_hours_are_those_of_the_recipient():
    tokyo = at("1d", wall("2026-12-01T14:00"), zone="Asia/Tokyo")
    assert tokyo == wall("2026-12-01T08:00", "Asia/Tokyo")


def test_quiet_hours_may_lie_within_one_day():
    siesta = QuietHours(start=time(13), end=time(15))
    assert at("1h", wall("2026-12-01T15:00"), quiet=siesta) == wall("2026-12-01T12:55")
    assert at("6h", wall("2026-12-01T20:00"), quiet=siesta) == wall("2026-12-01T15:00")


def test_the_edges_of_quiet_hours_begin_at_the_first_minute_and_end_before_the_last():
    evening, morning = wall("2026-11-30T21:00"), wall("2026-12-01T08:00")
    far = morning + days(1)
    assert outside_quiet(evening, far, NIGHT, BERLIN) == morning
    assert outside_quiet(morning, far, NIGHT, BERLIN) == morning
    assert outside_quiet(evening - minutes(1), far, NIGHT, BERLIN) == evening - minutes(1)


@pytest.mark.parametrize(
    ("zone", "start", "day_before", "a_day_of_hours_before"),
    [
        ("Europe/Madrid", "2026-03-29T09:00", "2026-03-28T08:00Z", "2026-03-28T07:00Z"),
        ("Europe/Madrid", "2026-10-25T09:00", "2026-10-24T07:00Z", "2026-10-24T08:00Z"),
        ("America/New_York", "2026-03-08T09:00", "2026-03-07T14:00Z", "2026-03-07T13:00Z"),
        ("America/New_York", "2026-11-01T09:00", "2026-10-31T13:00Z", "2026-10-31T14:00Z"),
        ("Australia/Lord_Howe", "2026-10-04T09:00", "2026-10-02T22:30Z", "2026-10-02T22:00Z"),
        ("Australia/Lord_Howe", "2026-04-05T09:00", "2026-04-03T22:00Z", "2026-04-03T22:30Z"),
    ],
)
def test_a_day_before_is_the_same_wall_time_also_when_clocks_change(
    zone, start, day_before, a_day_of_hours_before
):
    begin = wall(start, zone)
    by_day = at("1d", begin, quiet=None, zone=zone, visit_zone=zone)
    by_hours = at("24h", begin, quiet=None, zone=zone, visit_zone=zone)
    assert by_day == datetime.fromisoformat(day_before)
    assert by_hours == datetime.fromisoformat(a_day_of_hours_before)


def test_nothing_is_useful_in_the_last_quarter_of_an_hour():
    assert useless_after(Step(before="1h", latest="1m"), START) == START - minutes(15)
    assert useless_after(Step(before="1d"), START) == START - hours(3)


def test_a_step_of_a_few_minutes_can_be_said_at_all():
    step = Step(before="10m")
    assert START - minutes(10) < useless_after(step, START) < START


# --- which reminder is due --------------------------------------------------------------------


def test_each_step_falls_due_at_its_time_and_not_a_minute_earlier():
    for step, lead in (("3d", days(3)), ("1d", days(1)), ("1h", hours(1))):
        moment = START - lead
        assert step not in decisions(due(seen(), moment - minutes(1)))
        assert decisions(due(seen(), moment))[step] is None


def test_a_reminder_says_who_when_until_when_and_why():
    say = due(seen(), START - hours(1))[-1]
    assert (say.kind, say.role, say.recipient) == (MessageKind.REMINDER, Role.PATIENT, ME)
    assert (say.due_at, say.useless_after) == (START - hours(1), START - minutes(15))
    assert say.setting == "reminders.patient.steps[2]"
    assert say.facts == facts_of(visit())


def test_after_an_outage_only_the_nearest_step_is_said():
    assert decisions(due(seen(), START - hours(5))) == {
        "3d": "cut_off_passed",
        "1d": None,
    }
    assert decisions(due(seen(), START - hours(40))) == {"3d": None}
    generous = (Step(before="3d", latest="1h"), Step(before="1d", latest="1h"))
    assert decisions(due(seen(), START - hours(20), steps=generous)) == {
        "3d": "superseded_by_later_step",
        "1d": None,
    }


def test_a_missed_hour_is_made_up_while_it_is_useful():
    assert decisions(due(seen(), START - hours(22)))["1d"] is None


def test_past_its_cut_off_a_step_is_not_said():
    assert decisions(due(seen(), START - minutes(15))) == {
        "3d": "cut_off_passed",
        "1d": "cut_off_passed",
        "1h": "cut_off_passed",
    }


AFTERWARDS = [s for s in Status if s.reminds or s in UNDER_WAY]


@pytest.mark.parametrize("since", [timedelta(0), minutes(1), days(3)])
@pytest.mark.parametrize("status", AFTERWARDS)
def test_once_the_visit_has_begun_what_nobody_decided_about_is_explained_and_not_said(
    since, status
):
    missed = due(seen(visit(status=status)), START + since)
    assert decisions(missed) == dict.fromkeys(("3d", "1d", "1h"), "past_visit")


def test_of_a_visit_that_has_begun_only_steps_are_explained_that_were_promised_and_not_said():
    reminded = told(START - hours(24), MessageKind.REMINDER)
    assert decisions(due(seen(told=reminded), START)) == {"1h": "past_visit"}
    assert decisions(due(seen(first_seen=START - hours(2)), START)) == {"1h": "past_visit"}
    assert due(seen(first_seen=START), START) == []
    assert due(seen(first_seen=START + days(1)), START + days(1)) == []
    moved_when_it_was_over = seen(moved_at=START + hours(1))
    assert due(moved_when_it_was_over, START + hours(1)) == []


@pytest.mark.parametrize(
    "of",
    [seen(visit(status=status)) for status in Status if status not in AFTERWARDS]
    + [seen(gone=True), seen(replaced_by="2"), seen(visit(kind=Kind.BLOCK))],
)
def test_a_visit_that_did_not_take_place_missed_no_reminder(of):
    assert due(of, START + minutes(5)) == []


def test_a_late_booking_gets_no_step_that_was_past_already():
    booked = START - hours(20)
    late = seen(first_seen=booked)
    assert decisions(due(late, booked)) == {"3d": "late_booking", "1d": "late_booking"}
    confirmed = seen(first_seen=booked, told=told(booked, MessageKind.CONFIRMATION))
    assert decisions(due(confirmed, START - hours(1)))["1h"] is None


def test_a_moved_visit_is_reminded_only_of_steps_still_ahead_of_the_move():
    moved = START - hours(30)
    again = seen(moved_at=moved, told=told(moved + minutes(1), MessageKind.CHANGE))
    assert decisions(due(again, START - hours(24)))["3d"] == "late_booking"
    assert decisions(due(again, START - hours(24)))["1d"] is None


def test_an_imported_visit_is_reminded_of_steps_still_ahead_of_the_import():
    imported = START - hours(30)
    known = seen(first_seen=imported, imported=True, told=told(imported, None, by=None))
    assert decisions(due(known, imported + minutes(1))) == {"3d": "late_booking"}
    assert decisions(due(known, START - hours(24)))["1d"] is None


def test_what_fell_due_before_going_live_stays_unsaid():
    live = START - hours(20)
    known = seen(told=told(live, None, by=None))
    assert decisions(due(known, live))["1d"] == "late_booking"


@pytest.mark.parametrize("kind", [MessageKind.CONFIRMATION, MessageKind.CHANGE])
@pytest.mark.parametrize(
    ("step", "before_the_step", "skip"),
    [
        ("1d", hours(3) - minutes(1), "told_recently"),
        ("1d", hours(3), None),
        ("1h", minutes(30), "told_recently"),
        ("3d", hours(20), "told_recently"),
        ("3d", hours(24), None),
    ],
)
def test_who_has_just_been_told_is_not_reminded(kind, step, before_the_step, skip):
    moment = at(step, START)
    heard = seen(told=told(moment - before_the_step, kind))
    assert decisions(due(heard, moment))[step] == skip


def test_a_confirmation_that_came_after_the_step_stands_for_it():
    heard = seen(told=told(START - hours(16), MessageKind.CONFIRMATION))
    assert decisions(due(heard, START - hours(15)))["1d"] == "told_recently"


def test_old_news_of_another_time_does_not_stand_for_a_reminder():
    other = told(START - hours(25), MessageKind.CHANGE, of=visit(START + days(9)))
    assert decisions(due(seen(told=other), START - hours(24)))["1d"] is None


def test_a_step_that_was_said_is_not_said_again():
    reminded = seen(told=told(START - hours(24), MessageKind.REMINDER))
    assert due(reminded, START - hours(23)) == []
    assert decisions(due(reminded, START - hours(1))) == {"1h": None}


def test_a_small_move_after_the_reminder_does_not_repeat_it():
    reminded = told(START - hours(24), MessageKind.REMINDER)
    nudged = seen(visit(START + minutes(3)), told=reminded, moved_at=START - hours(22))
    assert decisions(due(nudged, START - hours(22)))["1d"] == "late_booking"
    assert decisions(due(nudged, START - minutes(50)))["1h"] is None


def test_a_clock_set_back_an_hour_repeats_nothing():
    reminded = seen(told=told(START - hours(24) + minutes(2), MessageKind.REMINDER))
    assert due(reminded, START - hours(25)) == []
    assert due(reminded, START - hours(24)) == []


@pytest.mark.parametrize(
    "of",
    [
        seen(visit(status=status)) for status in Status if status is not Status.BOOKED
    ]
    + [seen(gone=True), seen(visit(None)), seen(visit(kind=Kind.BLOCK)), seen(replaced_by="2")],
)  # fmt: skip
def test_only_a_booked_visit_that_stands_is_reminded_of(of):
    assert due(of, START - hours(1)) == []


def test_the_deceased_are_not_reminded_and_why_knows_it():
    mourned = seen(visit(patients=(Patient("p1", deceased=True),)))
    assert decisions(due(mourned, START - hours(24)))["1d"] == "deceased"


def test_each_patient_and_each_practitioner_has_their_own_reminder():
    group = visit(
        patients=(Patient("p1"), Patient("p2", timezone="Asia/Tokyo")),
        practitioners=(Practitioner("d1"), Practitioner("d2", primary=False)),
    )
    nine_at_night = START - hours(1)  # 18:30 in Tokyo
    last = [s.recipient for s in due(seen(group), nine_at_night) if s.step == "1h"]
    assert last == ["patient/p1", "patient/p2"]
    doctors = due(seen(group), nine_at_night, role=Role.DOCTOR)
    assert [s.recipient for s in doctors if s.skip is None] == ["doctor/d1", "doctor/d2"]
    assert {s.setting for s in doctors if s.skip is None} == {"reminders.doctor.steps[2]"}


def test_two_steps_that_the_night_pushes_together_are_said_once():
    early = visit(wall("2026-12-01T07:30"))
    steps = (Step(before="2h"), Step(before="1h"))
    says = due(seen(early), wall("2026-11-30T20:55"), steps=steps)
    assert decisions(says) == {"2h": "superseded_by_later_step", "1h": None}
    coming = coming_reminders(
        seen(early), steps, Role.PATIENT, now=LONG_AGO, until=START, quiet=NIGHT
    )
    assert [s.step for s in coming] == ["1h"]


@pytest.mark.parametrize("start", [f"2026-12-01T{hour:02}:{m}" for hour in range(24) for m in "03"])
def test_every_step_comes_near_its_lead_and_while_it_is_of_use(start):
    begin = wall(start + "0")
    for step in STEPS:
        assert begin - at(str(step.before), begin) <= step.before.length + hours(50)
        assert at(str(step.before), begin) < useless_after(step, begin)


# --- what will come ---------------------------------------------------------------------------


def test_the_next_step_is_the_nearest_still_to_be_said():
    assert next_step(seen(), STEPS, Role.PATIENT, now=START - days(2), quiet=NIGHT) == (
        STEPS[1],
        START - days(1),
    )
    assert next_step(seen(), STEPS, Role.PATIENT, now=START - minutes(30), quiet=NIGHT) is None
    assert next_step(seen(visit(None)), STEPS, Role.PATIENT, now=START, quiet=NIGHT) is None


def test_a_step_that_will_be_skipped_is_not_the_next_one():
    heard = seen(told=told(START - hours(26), MessageKind.CHANGE))
    step, _ = next_step(heard, STEPS, Role.PATIENT, now=START - hours(25), quiet=NIGHT)
    assert step.name == "1h"


def test_what_is_announced_is_what_then_falls_due():
    announced = coming_reminders(
        seen(), STEPS, Role.PATIENT, now=LONG_AGO, until=START, quiet=NIGHT
    )
    assert [s.step for s in announced] == ["3d", "1d", "1h"]
    for say in announced:
        assert say in due(seen(), say.due_at)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("ahead", [-hours(1), hours(0), minutes(30), hours(5), days(2), days(9)])
def test_the_next_moment_is_that_of_the_first_reminder_to_come(role, ahead):
    """Whoever is asked about: several people, a night elsewhere, a visit that is off."""
    tokyo = (Patient("p1"), Patient("p2", timezone="Asia/Tokyo"))
    for one in (
        seen(),
        seen(visit(patients=tokyo)),
        seen(visit(wall("2026-12-01T07:30"))),
        seen(visit(status=Status.CANCELLED)),
        seen(visit(None)),
        seen(gone=True),
    ):
        asked = {"now": START - ahead, "quiet": NIGHT}
        until = one.appointment.start or START
        coming = coming_reminders(one, STEPS, role, until=until, **asked)
        first = coming[0].due_at if coming else None
        assert reminders(one, [(role, STEPS)], **asked).coming == first


def test_steps_that_are_equal_are_found_as_one():
    again = tuple(Step(before=b) for b in ("3d", "1d", "1h"))
    assert again == STEPS
    assert hash(again) == hash(STEPS)
    assert Step(before="1d", latest="2h") != Step(before="1d")


# --- a week of minutes -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "sunday"),
    [
        ("Europe/Madrid", date(2026, 3, 29)),
        ("America/New_York", date(2026, 11, 1)),
        ("Australia/Lord_Howe", date(2026, 10, 4)),
    ],
)
def test_minute_by_minute_through_a_clock_change_each_step_is_said_once(zone, sunday):
    starts = [
        at_wall_time(sunday + days(offset), clock, zone)
        for offset, clock in [(0, time(2, 15)), (0, time(9)), (1, time(7, 30)), (2, time(16, 40))]
    ]
    visits = {n: visit(start, timezone=zone) for n, start in enumerate(starts)}
    states: dict[int, Told] = {}
    said: list[tuple[int, str]] = []
    now, end = starts[0] - days(5), starts[-1] + hours(1)
    while now < end:
        for n, appointment in visits.items():
            if not now < appointment.start <= now + days(5):
                continue
            knows = Seen(appointment, starts[0] - days(30), {ME: states[n]} if n in states else {})
            for say in due(knows, now):
                if say.skip is None:
                    assert 8 <= local(now, zone).hour < 21
                    said.append((n, say.step))
                    states[n] = Told(say.facts, now, by="n", kind=say.kind)
        now += minutes(1)
    assert sorted(said) == sorted((n, step.name) for n in visits for step in STEPS)


# --- digests ----------------------------------------------------------------------------------

EVENING = Digest(at="18:00")
TODAY = date(2026, 11, 30)


def asked(clock: str, last: date | None, digest: Digest = EVENING) -> date | None:
    return digest_due(wall(f"2026-11-30T{clock}"), digest, BERLIN, last)


def test_an_evening_digest_is_about_the_next_day_and_comes_once():
    assert asked("17:59", TODAY) is None
    assert asked("18:00", TODAY) == TODAY + days(1)
    assert asked("23:59", TODAY + days(1)) is None


def test_a_missed_digest_is_made_up_unless_the_next_one_is_due():
    yesterday = TODAY - days(1)
    assert asked("07:00", yesterday) == TODAY
    assert asked("18:30", yesterday) == TODAY + days(1)


def test_a_first_digest_has_nothing_to_make_up():
    assert asked("07:00", None) is None
    assert asked("18:00", None) == TODAY + days(1)


def test_a_first_digest_that_was_missed_is_made_up():
    def made_up(clock: str, since: str, digest: Digest = EVENING) -> date | None:
        now = wall(f"2026-11-30T{clock}")
        return digest_due(now, digest, BERLIN, None, since=wall(since))

    assert made_up("07:00", "2026-11-29T17:59") == TODAY
    assert made_up("07:00", "2026-11-29T18:01") is None
    assert made_up("07:00", "2026-11-25T18:00") == TODAY


def test_the_days_whose_digest_never_left_are_those_since_the_last_one_or_the_first_look():
    def missed(last: date | None, since: str | None = None) -> list[int]:
        looked = wall(since) if since else None
        found = missed_digests(TODAY, EVENING, BERLIN, last, since=looked)
        return [(TODAY - one).days for one in found]

    assert missed(TODAY - days(1)) == []
    assert missed(TODAY - days(4)) == [1, 2, 3]
    assert missed(TODAY - days(400)) == [*range(1, 15)]
    assert missed(None) == []
    assert missed(None, "2026-11-27T18:00") == [1, 2]
    assert missed(None, "2026-11-27T18:01") == [1]


def test_a_morning_digest_is_about_its_own_day():
    morning = Digest(at="07:00")
    assert asked("06:59", TODAY - days(1), morning) is None
    assert asked("07:00", TODAY - days(1), morning) == TODAY
    assert asked("20:00", TODAY, morning) is None


def test_hour_by_hour_there_is_one_digest_a_day_also_when_clocks_change():
    now, last, sent = wall("2026-10-23T12:00"), date(2026, 10, 23), []
    for _ in range(72):
        day = digest_due(now, EVENING, BERLIN, last)
        if day is not None:
            last = day
            sent.append(local(now, BERLIN))
        now += hours(1)
    assert [moment.hour for moment in sent] == [18, 18, 18]
    assert all((b.date() - a.date()) == days(1) for a, b in pairwise(sent))


def test_a_digest_is_news_until_the_first_visit_of_its_day_or_of_the_rest_of_it():
    first, second = wall("2026-12-01T09:00"), wall("2026-12-01T11:00")
    tomorrow = TODAY + days(1)
    evening, morning = wall("2026-11-30T18:00"), wall("2026-12-01T09:00")
    assert digest_useful_until(tomorrow, [second, first], BERLIN, since=evening) == first
    assert digest_useful_until(tomorrow, [second, first], BERLIN, since=morning) == second
    assert digest_useful_until(tomorrow, [first], BERLIN, since=morning) == morning
    soon = morning + minutes(10)
    assert digest_useful_until(tomorrow, [first, soon, second], BERLIN, since=morning) == second
    assert digest_useful_until(tomorrow, [first, soon], BERLIN, since=morning) == soon
    assert digest_useful_until(tomorrow, [], BERLIN, since=evening) == wall("2026-12-02T00:00")
    say = digest_say("d1", tomorrow, [first], EVENING, BERLIN)
    assert (say.kind, say.recipient, say.step) == (MessageKind.DIGEST, "doctor/d1", "2026-12-01")
    assert (say.due_at, say.useless_after) == (wall("2026-11-30T18:00"), first)
