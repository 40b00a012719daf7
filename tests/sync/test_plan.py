"""What is owed to patients, and which calendars show a visit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from clinicrelay.actions import Facts, MessageKind, PutEvent, RemoveEvent, Say, Told, facts_of
from clinicrelay.model import Appointment, Kind, Modality, Patient, Place, Practitioner, Status
from clinicrelay.settings.schema import Confirmation, PatientReminders, Reminders
from sync.plan import Seen, baseline, dedupe_key, event_actions, owed

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
START = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
EVERYTHING = Reminders(patient=PatientReminders(confirmation=Confirmation(invite=True)))
NO_CONFIRMATION = Reminders(patient=PatientReminders())
ME = "patient/p1"
hours, minutes = (lambda n: timedelta(hours=n)), (lambda n: timedelta(minutes=n))


def visit(**changed) -> Appointment:
    return msgspec.structs.replace(
        Appointment(
            source="ehr",
            key="1",
            status=Status.BOOKED,
            timezone="Europe/Berlin",
            start=START,
            end=START + minutes(30),
            patients=(Patient("p1"),),
            practitioners=(Practitioner("d1"),),
            location=Place(name="Main house"),
        ),
        **changed,
    )


def told(appointment: Appointment | None = None, *, by: str | None = "n1") -> Told:
    return Told(facts_of(appointment or visit()), at=NOW - hours(48), by=by)


def seen(appointment: Appointment | None = None, told_of: Told | None = None, **more) -> Seen:
    return Seen(
        appointment or visit(),
        first_seen=NOW - hours(72),
        told={ME: told_of} if told_of else {},
        **more,
    )


def only(says: list[Say]) -> Say:
    assert len(says) == 1
    return says[0]


def test_a_new_booking_is_confirmed():
    say = only(owed(seen(), EVERYTHING, now=NOW))
    assert (say.kind, say.recipient, say.skip) == (MessageKind.CONFIRMATION, ME, None)
    assert say.setting == "reminders.patient.confirmation"
    assert say.due_at == NOW
    assert say.useless_after == NOW + hours(24)
    assert say.invite


def test_a_confirmation_is_useless_once_the_visit_begins():
    say = only(owed(seen(visit(start=NOW + hours(5))), EVERYTHING, now=NOW))
    assert say.useless_after == NOW + hours(5)


@pytest.mark.parametrize("reminders", [NO_CONFIRMATION, Reminders()])
def test_a_confirmation_that_is_not_configured_is_not_said(reminders):
    assert owed(seen(), reminders, now=NOW) == []


def test_a_change_is_told_only_to_those_who_were_told_of_the_visit():
    assert owed(seen(visit(start=START + hours(1)), version=2), NO_CONFIRMATION, now=NOW) == []


def test_an_import_confirms_nothing_and_a_later_move_is_told():
    first = seen(imported=True)
    assert owed(first, EVERYTHING, now=NOW) == []
    counted = baseline(first.appointment, now=NOW)
    moved = Seen(visit(start=START + hours(1)), NOW, counted, version=2, imported=True)
    assert only(owed(moved, EVERYTHING, now=NOW)).kind is MessageKind.CHANGE


@pytest.mark.parametrize("status", [Status.PENDING, Status.PROPOSED, Status.WAITLIST])
def test_what_was_imported_as_a_request_is_confirmed_when_it_is_booked(status):
    assert baseline(visit(status=status), now=NOW) == {}
    booked = seen(imported=True, version=2)
    assert only(owed(booked, EVERYTHING, now=NOW)).kind is MessageKind.CONFIRMATION


def test_an_import_counts_nobody_as_told_of_a_cancelled_or_vanished_visit():
    assert baseline(visit(status=Status.CANCELLED), now=NOW) == {}
    assert baseline(visit(), gone=True, now=NOW) == {}


def test_who_was_told_the_truth_is_owed_nothing():
    assert owed(seen(told_of=told()), EVERYTHING, now=NOW) == []


@pytest.mark.parametrize("changed", [{"notes": "bring x-ray"}, {"service": "x"}, {"end": None}])
def test_edits_that_do_not_concern_the_patient_are_not_told(changed):
    assert owed(seen(visit(**changed), told(), version=2), EVERYTHING, now=NOW) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"start": START + hours(1)},
        {"start": START - minutes(5)},
        {"location": Place(name="Annex")},
        {"modality": Modality.VIDEO},
        {"join_url": "https://video.example/1"},
        {"practitioners": (Practitioner("d2"),)},
    ],
)
def test_a_change_that_matters_is_told_with_what_was_told_before(changed):
    say = only(owed(seen(visit(**changed), told()), EVERYTHING, now=NOW))
    assert (say.kind, say.skip) == (MessageKind.CHANGE, None)
    assert say.setting == "reminders.patient.on_change"
    assert say.before == told().facts
    assert say.facts == facts_of(visit(**changed))


def test_a_move_of_less_than_five_minutes_waits_for_the_next_reminder():
    say = only(owed(seen(visit(start=START + minutes(4)), told()), EVERYTHING, now=NOW))
    assert say.skip == "minor_change"


@pytest.mark.parametrize(
    "changed", [{"location": None}, {"location": Place("loc-3")}, {"practitioners": ()}]
)
def test_what_became_unknown_is_nothing_to_tell(changed):
    assert owed(seen(visit(**changed), told()), EVERYTHING, now=NOW) == []


def test_a_practitioner_named_for_the_first_time_is_no_change():
    nobody = told(visit(practitioners=()))
    assert owed(seen(visit(), nobody), EVERYTHING, now=NOW) == []


def test_changes_switched_off_are_explained_and_not_told():
    quiet = Reminders(patient=PatientReminders(on_change=False))
    say = only(owed(seen(visit(start=START + hours(1)), told()), quiet, now=NOW))
    assert (say.skip, say.setting) == ("outside_policy", "reminders.patient.on_change")


@pytest.mark.parametrize("by", ["n1", None])
def test_a_cancellation_is_told_to_who_was_told_of_the_visit(by):
    say = only(owed(seen(visit(status=Status.CANCELLED), told(by=by)), EVERYTHING, now=NOW))
    assert (say.kind, say.skip, say.facts.on) == (MessageKind.CANCELLATION, None, False)
    assert say.before == told().facts
    assert say.useless_after == START
    assert say.setting == "reminders.patient.on_cancel"


def test_a_booking_cancelled_before_anybody_was_told_says_nothing():
    assert owed(seen(visit(status=Status.CANCELLED)), EVERYTHING, now=NOW) == []


@pytest.mark.parametrize(
    ("changed", "more", "skip", "setting"),
    [
        ({"status": Status.ENTERED_IN_ERROR}, {}, "entered_in_error", "on_cancel"),
        ({"start": None}, {}, "unscheduled", "on_cancel"),
        ({}, {"gone": True}, "gone", "on_gone"),
        ({}, {"gone": True, "replaced_by": "2"}, "superseded_by_reschedule", "on_change"),
        (
            {"status": Status.CANCELLED},
            {"replaced_by": "2"},
            "superseded_by_reschedule",
            "on_change",
        ),
        ({"status": Status.PENDING, "start": START + hours(1)}, {}, "not_booked", "on_change"),
        ({"patients": (Patient("p1", deceased=True),), "start": START + hours(1)}, {}, "deceased",
         "on_change"),
    ],
)  # fmt: skip
def test_a_silence_that_somebody_may_ask_about_has_a_reason(changed, more, skip, setting):
    say = only(owed(seen(visit(**changed), told(), **more), EVERYTHING, now=NOW))
    assert (say.skip, say.setting) == (skip, f"reminders.patient.{setting}")


def test_a_vanished_visit_is_told_where_settings_ask_for_it():
    talkative = Reminders(patient=PatientReminders(on_gone=True))
    say = only(owed(seen(told_of=told(), gone=True), talkative, now=NOW))
    assert (say.kind, say.skip) == (MessageKind.CANCELLATION, None)


def test_cancellations_switched_off_are_explained_and_not_told():
    quiet = Reminders(patient=PatientReminders(on_cancel=False))
    say = only(owed(seen(visit(status=Status.CANCELLED), told()), quiet, now=NOW))
    assert say.skip == "outside_policy"


def test_a_visit_that_takes_place_after_all_is_a_change_of_what_was_cancelled():
    say = only(owed(seen(visit(), told(visit(status=Status.CANCELLED))), EVERYTHING, now=NOW))
    assert (say.kind, say.skip) == (MessageKind.CHANGE, None)
    assert say.before is not None
    assert not say.before.on


def test_a_cancelled_visit_that_changes_once_more_says_nothing():
    off = visit(status=Status.CANCELLED)
    later = visit(status=Status.CANCELLED, start=START + hours(2))
    assert owed(seen(later, told(off)), EVERYTHING, now=NOW) == []


@pytest.mark.parametrize(
    "status",
    [
        Status.ARRIVED,
        Status.CHECKED_IN,
        Status.IN_PROGRESS,
        Status.FULFILLED,
        Status.NO_SHOW,
        Status.UNKNOWN,
    ],
)
def test_a_visit_under_way_or_not_understood_says_nothing(status):
    moved = visit(status=status, start=START + hours(1))
    assert owed(seen(moved, told()), EVERYTHING, now=NOW) == []
    assert owed(seen(visit(status=status)), EVERYTHING, now=NOW) == []


@pytest.mark.parametrize("status", [Status.PROPOSED, Status.PENDING, Status.WAITLIST])
def test_a_request_is_not_confirmed(status):
    assert owed(seen(visit(status=status)), EVERYTHING, now=NOW) == []


def test_a_block_is_told_to_nobody():
    assert owed(seen(visit(kind=Kind.BLOCK)), EVERYTHING, now=NOW) == []


@pytest.mark.parametrize(
    ("is_now", "was_told"),
    [
        (visit(start=NOW), None),
        (visit(start=NOW - hours(1)), visit()),
        (visit(start=NOW, status=Status.CANCELLED), visit(start=NOW)),
        (visit(start=NOW - hours(2)), visit(start=NOW - hours(1))),
    ],
    ids=["booked", "moved into the past", "cancelled afterwards", "moved afterwards"],
)
def test_nothing_is_said_about_the_past(is_now, was_told):
    before = told(was_told) if was_told else None
    assert owed(seen(is_now, before), EVERYTHING, now=NOW) == []


def test_a_missed_visit_that_gets_a_new_time_is_told():
    say = only(owed(seen(visit(), told(visit(start=NOW - hours(20)))), EVERYTHING, now=NOW))
    assert (say.kind, say.skip, say.urgent) == (MessageKind.CHANGE, None, False)


@pytest.mark.parametrize(("ahead", "urgent"), [(hours(12), False), (hours(12) - minutes(1), True)])
def test_a_cancellation_within_twelve_hours_is_urgent(ahead, urgent):
    soon = visit(start=NOW + ahead)
    off = msgspec.structs.replace(soon, status=Status.CANCELLED)
    assert only(owed(seen(off, told(soon)), EVERYTHING, now=NOW)).urgent is urgent


def test_a_move_is_urgent_when_the_patient_would_set_out_for_the_old_time():
    soon = told(visit(start=NOW + hours(3)))
    assert only(owed(seen(visit(), soon), EVERYTHING, now=NOW)).urgent


def test_a_cancellation_is_about_the_time_that_was_told():
    moved_then_off = visit(start=START + hours(48), status=Status.CANCELLED)
    say = only(owed(seen(moved_then_off, told()), EVERYTHING, now=NOW))
    assert say.useless_after == START


def test_a_visit_that_took_the_place_of_another_is_told_as_one_move():
    new = seen(visit(key="2", start=START + hours(1)), told(), replaces="1")
    say = only(owed(new, EVERYTHING, now=NOW))
    assert (say.kind, say.before) == (MessageKind.CHANGE, told().facts)


def test_each_patient_of_a_group_is_owed_their_own():
    group = visit(patients=(Patient("p1"), Patient("p2"), Patient("p2")), start=START + hours(1))
    says = owed(seen(group, told()), EVERYTHING, now=NOW)
    assert [(s.recipient, s.kind) for s in says] == [
        ("patient/p1", MessageKind.CHANGE),
        ("patient/p2", MessageKind.CONFIRMATION),
    ]


def test_a_patient_no_longer_named_hears_no_cancellation_and_why_knows_it():
    other = Seen(visit(patients=(Patient("p2"),)), NOW, {ME: told(), "patient/p2": told()})
    say = only(owed(other, EVERYTHING, now=NOW))
    assert (say.recipient, say.skip) == (ME, "not_on_visit")


def test_whose_visit_was_given_to_somebody_else_is_owed_the_news():
    patients = {ME: told(), "patient/p2": told()}
    other = Seen(visit(patients=(Patient("p2"),)), NOW, patients, displaced={ME})
    say = only(owed(other, EVERYTHING, now=NOW))
    assert (say.recipient, say.kind, say.skip) == (ME, MessageKind.CANCELLATION, None)


def test_of_a_visit_that_is_off_for_everybody_those_who_lost_it_before_are_owed_nothing_more():
    off = visit(patients=(Patient("p2"),), status=Status.CANCELLED)
    says = owed(
        Seen(off, NOW, {ME: told(), "patient/p2": told()}, displaced={ME}), EVERYTHING, now=NOW
    )
    assert {say.recipient: say.skip for say in says} == {"patient/p2": None, ME: "not_on_visit"}


def test_what_doctors_were_told_owes_patients_nothing():
    reminded = Seen(visit(), NOW, {ME: told(), "doctor/d9": told()})
    assert owed(reminded, EVERYTHING, now=NOW) == []


# --- keys ------------------------------------------------------------------------------------


def say_of(kind: MessageKind, start: datetime, *, step: str = "", skip: str | None = None) -> Say:
    return Say(
        kind=kind,
        role="patient",
        recipient=ME,
        facts=Facts(on=True, start=start),
        due_at=NOW,
        useless_after=start,
        setting="",
        step=step,
        skip=skip,
    )


def test_the_same_message_has_the_same_key_whenever_it_is_planned():
    say = say_of(MessageKind.CHANGE, START)
    later = msgspec.structs.replace(say, due_at=NOW + hours(3), urgent=True)
    assert dedupe_key("ehr", "1", say, told()) == dedupe_key("ehr", "1", later, told())
    assert len(dedupe_key("ehr", "1", say, None)) == 32


def test_there_and_back_and_there_again_is_told_each_time():
    say = say_of(MessageKind.CHANGE, START)
    keys = {dedupe_key("ehr", "1", say, Told(say.facts, NOW, by=by)) for by in ("n1", "n2")}
    assert len(keys) == 2


def test_a_reminder_is_one_whatever_was_told_in_between():
    say = say_of(MessageKind.REMINDER, START, step="1d")
    assert dedupe_key("ehr", "1", say, None) == dedupe_key("ehr", "1", say, told())


def test_a_silence_does_not_stand_in_the_way_of_the_message_it_kept_back():
    silent = say_of(MessageKind.CHANGE, START, skip="outside_policy")
    said = say_of(MessageKind.CHANGE, START)
    assert dedupe_key("ehr", "1", silent, told()) != dedupe_key("ehr", "1", said, told())


def test_visits_people_steps_and_facts_are_told_apart():
    say = say_of(MessageKind.REMINDER, START, step="1d")
    keys = {
        dedupe_key("ehr", "1", say, None),
        dedupe_key("ehr", "2", say, None),
        dedupe_key("csv", "1", say, None),
        dedupe_key("ehr", "1", msgspec.structs.replace(say, recipient="patient/p2"), None),
        dedupe_key("ehr", "1", say_of(MessageKind.REMINDER, START, step="1h"), None),
        dedupe_key("ehr", "1", say_of(MessageKind.REMINDER, START + hours(1), step="1d"), None),
    }
    assert len(keys) == 6


# --- events ----------------------------------------------------------------------------------

WANTED = {"google:b": "d2", "google:a": "d1"}


@pytest.mark.parametrize("status", [s for s in Status if s.on_calendar])
def test_a_visit_that_occupies_the_doctor_is_put_and_others_no_longer_show_it(status):
    assert event_actions(
        visit(status=status), gone=False, wanted=WANTED, existing=["google:z", "google:a"]
    ) == [PutEvent("google:a", "d1"), PutEvent("google:b", "d2"), RemoveEvent("google:z")]


@pytest.mark.parametrize(
    ("changed", "gone"),
    [
        ({"status": Status.CANCELLED}, False),
        ({"status": Status.ENTERED_IN_ERROR}, False),
        ({"status": Status.WAITLIST}, False),
        ({"status": Status.PROPOSED}, False),
        ({"start": None}, False),
        ({}, True),
        ({"status": Status.UNKNOWN}, True),
    ],
)
def test_a_visit_that_is_off_disappears_from_every_calendar(changed, gone):
    actions = event_actions(visit(**changed), gone=gone, wanted=WANTED, existing=["google:a"])
    assert actions == [RemoveEvent("google:a")]


def test_a_status_nobody_understands_leaves_calendars_alone():
    unknown = visit(status=Status.UNKNOWN)
    assert event_actions(unknown, gone=False, wanted=WANTED, existing=["google:z"]) == []


def test_a_block_keeps_the_doctors_time_free():
    block = visit(kind=Kind.BLOCK, patients=())
    assert event_actions(block, gone=False, wanted={"c": "d1"}, existing=[]) == [
        PutEvent("c", "d1")
    ]
