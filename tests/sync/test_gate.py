"""The last question before a message leaves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from clinicrelay.actions import MessageKind, Role, Say, Told, facts_of
from clinicrelay.model import Appointment, Channel, Issue, Patient, Practitioner, Status
from clinicrelay.settings.schema import Clinic, QuietHours, Settings
from sync.gate import Drop, GateOptions, Go, Wait, gate, needs_a_call, options_for, reopens

START = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)  # 10:30 in Berlin
NOON = datetime(2026, 11, 30, 11, 0, tzinfo=UTC)
NIGHT = datetime(2026, 11, 30, 22, 0, tzinfo=UTC)  # 23:00 in Berlin
MORNING = datetime(2026, 12, 1, 7, 0, tzinfo=UTC)  # 08:00 in Berlin
PHONE, MAIL = "+4915155501234", "p1@patients.example"
ADDRESSES = {Channel.SMS: PHONE, Channel.WHATSAPP: PHONE, Channel.EMAIL: MAIL}
SENDERS = {Channel.SMS: ("twilio", "aws"), Channel.EMAIL: ("smtp",), Channel.WHATSAPP: ("wa",)}
BY_SMS = Go(Channel.SMS, PHONE, ("twilio", "aws"))
BY_MAIL = Go(Channel.EMAIL, MAIL, ("smtp",))
OPTIONS = GateOptions(
    order=("preferred", "sms", "email"),
    order_setting="channels.order",
    senders=SENDERS,
    consent={Channel.SMS: "implied", Channel.EMAIL: "implied", Channel.WHATSAPP: "recorded"},
    zone="Europe/Berlin",
    quiet=QuietHours(),
)
hours, minutes = (lambda n: timedelta(hours=n)), (lambda n: timedelta(minutes=n))


def visit(**changed) -> Appointment:
    return msgspec.structs.replace(
        Appointment(
            source="ehr",
            key="1",
            status=Status.BOOKED,
            timezone="Europe/Berlin",
            start=START,
            patients=(Patient("p1"),),
            practitioners=(Practitioner("d1"),),
        ),
        **changed,
    )


def say(kind: MessageKind = MessageKind.REMINDER, of: Appointment | None = None, **changed) -> Say:
    step = "1d" if kind is MessageKind.REMINDER else ""
    base = Say(
        kind=kind,
        role=Role.PATIENT,
        recipient="patient/p1",
        facts=facts_of(of or visit()),
        due_at=START - hours(24),
        useless_after=START - hours(3 if step else 0),
        setting="reminders.patient.steps[1]",
        step=step,
    )
    return msgspec.structs.replace(base, **changed)


def cancellation(**changed) -> Say:
    off = visit(status=Status.CANCELLED)
    return say(MessageKind.CANCELLATION, off, before=facts_of(visit()), **changed)


def asked(about: Say | None = None, *, options=OPTIONS, now=NOON, **given):
    given = {
        "fresh": visit(),
        "gone": False,
        "told": None,
        "person": Patient("p1"),
        "addresses": ADDRESSES,
        **given,
    }
    return gate(about or say(), options=options, now=now, **given)


def test_what_is_true_and_useful_and_wanted_goes():
    assert asked() == BY_SMS


# --- true ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", [MessageKind.REMINDER, MessageKind.CONFIRMATION, MessageKind.CHANGE]
)
@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"status": Status.CANCELLED}, "cancelled"),
        ({"status": Status.ENTERED_IN_ERROR}, "cancelled"),
        ({"start": None}, "unscheduled"),
        ({"status": Status.ARRIVED}, "already_arrived"),
        ({"status": Status.CHECKED_IN}, "already_arrived"),
        ({"status": Status.FULFILLED}, "already_arrived"),
        ({"status": Status.NO_SHOW}, "no_show"),
        ({"status": Status.PENDING}, "not_booked"),
        ({"status": Status.UNKNOWN}, "not_booked"),
        ({"start": START + hours(1)}, "superseded_by_reschedule"),
        ({"join_url": "https://video.example/1"}, "superseded_by_reschedule"),
        ({"patients": (Patient("p2"),)}, "not_on_visit"),
    ],
)
def test_what_is_no_longer_so_is_not_said(kind, changed, reason):
    assert asked(say(kind), fresh=visit(**changed)).reason == reason


@pytest.mark.parametrize("given", [{"gone": True}, {"fresh": None}])
def test_a_vanished_visit_is_not_mentioned(given):
    assert asked(**given) == Drop("gone")


def test_edits_of_notes_stop_nothing():
    assert asked(fresh=visit(notes="fasting")) == BY_SMS


@pytest.mark.parametrize(
    "given", [{"fresh": visit(status=Status.CANCELLED)}, {"fresh": None}, {"gone": True}]
)
def test_a_cancellation_goes_while_the_visit_is_off(given):
    assert asked(cancellation(), **given) == BY_SMS


def test_whose_visit_somebody_else_has_now_is_left_to_a_person():
    assert asked(cancellation(), fresh=visit(patients=(Patient("p2"),))) == Drop("given_to_another")


def test_a_cancellation_of_a_visit_that_takes_place_after_all_is_dropped():
    assert asked(cancellation()) == Drop("reinstated")


def test_the_deceased_hear_nothing():
    assert asked(person=Patient("p1", deceased=True)) == Drop("deceased")


# --- said already -------------------------------------------------------------------------------


def told(kind: MessageKind, at: datetime, of: Appointment | None = None, by: str | None = "n1"):
    return Told(facts_of(of or visit()), at=at, by=by, kind=kind)


@pytest.mark.parametrize("kind", [MessageKind.CONFIRMATION, MessageKind.CHANGE])
def test_who_heard_it_by_another_message_is_not_told_again(kind):
    heard = told(MessageKind.REMINDER, NOON - hours(1))
    assert asked(say(kind), told=heard).reason == "already_sent"


@pytest.mark.parametrize("decided", [-1, 1])
def test_news_that_correct_what_nobody_thinks_any_more_give_way_to_what_is_owed_since(decided):
    """A→B was kept back, A→C was told meanwhile, and it is B after all: then C→B is owed."""
    once, meanwhile = visit(start=START - hours(48)), visit(practitioners=(Practitioner("d2"),))
    decided_at = NOON + minutes(decided)
    news = say(MessageKind.CHANGE, before=facts_of(once), due_at=decided_at)
    newer = told(MessageKind.CHANGE, NOON, meanwhile)
    verdict = asked(news, told=newer, now=NOON + hours(1))
    assert verdict == (BY_SMS if decided > 0 else Drop("superseded_by_reschedule", news.setting))
    off = cancellation(due_at=decided_at)
    gone = asked(off, fresh=visit(status=Status.CANCELLED), told=newer, now=NOON + hours(1))
    assert gone == (BY_SMS if decided > 0 else Drop("superseded_by_reschedule", off.setting))


def test_news_that_correct_what_the_person_heard_last_leave():
    once = visit(start=START - hours(48))
    heard = told(MessageKind.CONFIRMATION, NOON, once)
    news = say(MessageKind.CHANGE, before=facts_of(once), due_at=NOON - minutes(1))
    assert asked(news, told=heard, now=NOON + hours(1)) == BY_SMS


def test_a_cancellation_is_told_once():
    off = told(MessageKind.CANCELLATION, NOON, visit(status=Status.CANCELLED))
    verdict = asked(cancellation(), fresh=visit(status=Status.CANCELLED), told=off)
    assert verdict.reason == "already_sent"


@pytest.mark.parametrize(
    ("heard", "reason"),
    [
        (told(MessageKind.CHANGE, NOON), "told_recently"),
        (told(MessageKind.CONFIRMATION, START - hours(26)), "told_recently"),
        (told(MessageKind.REMINDER, START - hours(23)), "superseded_by_later_step"),
    ],
)
def test_a_reminder_overtaken_by_another_message_is_dropped(heard, reason):
    assert asked(told=heard).reason == reason


@pytest.mark.parametrize(
    "heard",
    [
        None,
        told(MessageKind.CHANGE, START - hours(27)),
        told(MessageKind.REMINDER, START - hours(72)),
        told(MessageKind.CHANGE, NOON, by=None),
        told(MessageKind.CHANGE, NOON, of=visit(start=START + hours(9))),
    ],
)
def test_older_or_other_news_does_not_stop_a_reminder(heard):
    assert asked(told=heard) == BY_SMS


# --- useful -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (START - hours(3), "cut_off_passed"),
        (START - minutes(1), "cut_off_passed"),
        (START, "past_visit"),
        (START + hours(5), "past_visit"),
    ],
)
def test_too_late_is_too_late(now, reason):
    assert asked(now=now) == Drop(reason, "reminders.patient.steps[1]")


def test_a_cancellation_is_past_when_the_told_time_is():
    later = visit(start=START + hours(48), status=Status.CANCELLED)
    about = cancellation(facts=facts_of(later))
    assert asked(about, fresh=later, now=START).reason == "past_visit"


# --- wanted -------------------------------------------------------------------------------------


def test_the_patients_own_choice_comes_first():
    assert asked(person=Patient("p1", preferred_channel="email")) == BY_MAIL


def test_a_choice_nobody_knows_is_passed_over():
    assert asked(person=Patient("p1", preferred_channel="pigeon")) == BY_SMS


def test_who_wants_no_messages_gets_none_on_any_channel():
    assert asked(person=Patient("p1", preferred_channel="none")) == Drop(
        "opted_out", "patient.preferred_channel"
    )


def test_a_message_with_channels_of_its_own_takes_no_other():
    own = replace(OPTIONS, order=(Channel.EMAIL,), order_setting="reminders.x.channels")
    assert asked(options=own, person=Patient("p1", preferred_channel="sms")) == BY_MAIL
    without = asked(options=own, addresses={Channel.SMS: PHONE})
    assert without == Drop("no_contact", "reminders.x.channels")


def test_without_one_address_the_next_channel_is_taken():
    assert asked(addresses={Channel.EMAIL: MAIL, Channel.SMS: None}) == BY_MAIL


def test_without_any_address_there_is_no_contact():
    assert asked(addresses={}) == Drop("no_contact", "channels.order")


def test_a_number_that_was_no_number_is_an_invalid_contact():
    broken = visit(issues=(Issue("invalid_phone", "patient.phone"),))
    assert asked(fresh=broken, addresses={}).reason == "invalid_contact"


def test_somebody_elses_broken_number_is_not_the_patients():
    broken = visit(issues=(Issue("invalid_phone", "practitioner.phone"),))
    assert asked(fresh=broken, addresses={}).reason == "no_contact"


@pytest.mark.parametrize("channel", [Channel.SMS, Channel.WHATSAPP])
def test_a_number_that_no_notifier_sends_to_is_no_way(channel):
    """A store may hold such numbers from before they were told as invalid when they were read."""
    consent = dict.fromkeys(Channel, "implied")
    order = replace(OPTIONS, order=(channel,), senders={channel: ("twilio",)}, consent=consent)
    assert asked(options=order, addresses={channel: PHONE}) == Go(channel, PHONE, ("twilio",))
    assert asked(options=order, addresses={channel: "+4912345"}).reason == "invalid_contact"


def test_a_landline_gets_no_sms():
    landline = visit(issues=(Issue("landline", "patient.phone"),))
    assert asked(fresh=landline) == BY_MAIL
    assert asked(fresh=landline, addresses={Channel.SMS: PHONE}).reason == "landline"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"consent": {Channel.SMS: "off"}}, "channel_off"),
        ({"consent": {Channel.SMS: "recorded"}}, "not_opted_in"),
        ({"consent": {}}, "not_opted_in"),
    ],
)
def test_a_channel_without_consent_is_closed_and_the_setting_named(changed, reason):
    verdict = asked(options=replace(OPTIONS, **changed), addresses={Channel.SMS: PHONE})
    assert verdict == Drop(reason, "channels.consent.sms")


def test_recorded_consent_opens_a_channel():
    asks = replace(OPTIONS, consent={Channel.SMS: "recorded"})
    assert asked(options=asks, person=Patient("p1", opted_in=(Channel.SMS,))) == BY_SMS


def test_an_opt_out_of_one_channel_leaves_the_others():
    assert asked(person=Patient("p1", opted_out=(Channel.SMS,))) == BY_MAIL


@pytest.mark.parametrize("consent", ["implied", "recorded", "off"])
def test_a_no_holds_whatever_the_settings_say_and_the_source_is_named(consent):
    options = replace(OPTIONS, order=("sms",), consent={Channel.SMS: consent})
    verdict = asked(options=options, person=Patient("p1", opted_out=(Channel.SMS,)))
    assert verdict == Drop("opted_out", "patient.consent.sms", no_way=True)


def test_a_doctor_needs_no_patients_consent():
    doctors = replace(OPTIONS, consent={Channel.SMS: "off"})
    about = say(role=Role.DOCTOR, recipient="doctor/d1")
    assert asked(about, options=doctors, person=Practitioner("d1")) == BY_SMS


def test_a_doctor_who_left_the_visit_is_not_reminded_of_it():
    about = say(role=Role.DOCTOR, recipient="doctor/d7")
    assert asked(about, person=Practitioner("d7")) == Drop("not_on_visit")


def test_a_channel_without_a_notifier_is_told_apart_from_one_that_is_off():
    mail_only = replace(OPTIONS, senders={Channel.EMAIL: ("smtp",)})
    assert asked(options=mail_only) == BY_MAIL
    assert asked(options=mail_only, addresses={Channel.SMS: PHONE}).reason == "no_contact"
    assert asked(options=replace(OPTIONS, senders={})) == Drop("no_notifier", "channels.sms")
    assert asked(options=replace(OPTIONS, order=())) == Drop("channel_off", "channels.order")


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ((PHONE,), BY_SMS),
        (("*@PATIENTS.example",), BY_MAIL),
        (("*@riverside.example", "+4915155500000"),
         Drop("only_recipients", "safety.only_recipients")),
        ((), Drop("only_recipients", "safety.only_recipients")),
    ],
)  # fmt: skip
def test_only_recipients_lets_nobody_else_through(patterns, expected):
    assert asked(options=replace(OPTIONS, only_recipients=patterns)) == expected


@pytest.mark.parametrize("opted_in", [(), (Channel.WHATSAPP,)])
def test_the_reason_told_is_the_one_that_a_person_can_mend(opted_in):
    options = replace(OPTIONS, order=("whatsapp", "sms", "email"))
    person = Patient("p1", opted_in=opted_in, opted_out=(Channel.EMAIL,))
    verdict = asked(options=options, person=person, addresses={Channel.EMAIL: MAIL})
    assert verdict == Drop("opted_out", "patient.consent.email")


# --- at this hour ---------------------------------------------------------------------------------


def late(**changed) -> Say:
    return say(useless_after=START - minutes(15), **changed)


def test_the_night_is_waited_out():
    assert asked(late(), now=NIGHT) == Wait(MORNING, "quiet_hours_deferred")
    assert asked(late(), now=MORNING) == BY_SMS


def test_a_reminder_that_cannot_wait_for_the_morning_is_dropped():
    verdict = asked(say(useless_after=MORNING), now=NIGHT)
    assert verdict == Drop("cut_off_passed", "quiet_hours")


def test_the_night_is_that_of_the_recipient():
    in_tokyo = asked(now=NOON + hours(3), person=Patient("p1", timezone="Asia/Tokyo"))
    assert in_tokyo.reason == "quiet_hours_deferred"
    in_new_york = asked(late(), now=NIGHT, person=Patient("p1", timezone="America/New_York"))
    assert in_new_york == BY_SMS


def test_without_quiet_hours_the_night_is_like_the_day():
    assert asked(late(), now=NIGHT, options=replace(OPTIONS, quiet=None)) == BY_SMS


def test_what_is_urgent_wakes():
    off = visit(status=Status.CANCELLED)
    assert asked(cancellation(urgent=True), fresh=off, now=NIGHT) == BY_SMS


def test_a_change_becomes_urgent_while_it_waits():
    far = visit(start=START + hours(3))
    about = say(MessageKind.CHANGE, far, useless_after=far.start)
    assert asked(about, fresh=far, now=NIGHT).reason == "quiet_hours_deferred"
    assert asked(about, fresh=far, now=NIGHT + hours(3)) == BY_SMS


def test_a_confirmation_does_not_wake():
    verdict = asked(say(MessageKind.CONFIRMATION), now=NIGHT)
    assert verdict == Wait(MORNING, "quiet_hours_deferred")


def digest(due_at: datetime) -> Say:
    return say(
        MessageKind.DIGEST,
        role=Role.DOCTOR,
        recipient="doctor/d1",
        due_at=due_at,
        useless_after=START,
        step="2026-12-01",
    )


def test_a_digest_needs_no_visit_and_comes_at_the_hour_it_was_set_to():
    doctor = {"fresh": None, "person": Practitioner("d1")}
    assert asked(digest(NOON), **doctor) == BY_SMS
    assert asked(digest(NOON), **doctor, now=NIGHT).reason == "quiet_hours_deferred"
    assert asked(digest(NIGHT), **doctor, now=NIGHT) == BY_SMS


# --- standing orders ------------------------------------------------------------------------------


def test_a_change_back_to_what_was_told_needs_no_telling_and_may_come_again():
    moved = say(MessageKind.CHANGE, facts=facts_of(visit(start=START + hours(1))))
    known = Told(facts_of(visit()), at=NOON - hours(1), by="cr1")
    assert asked(moved, told=known) == Drop("as_told")
    assert reopens(MessageKind.CHANGE, "as_told")


def test_a_pause_holds_and_does_not_lose():
    verdict = asked(options=replace(OPTIONS, paused=True))
    assert isinstance(verdict, Wait)
    assert (verdict.reason, verdict.until > NOON) == ("paused", True)


def test_a_pause_keeps_nothing_alive_that_is_no_longer_true():
    paused = replace(OPTIONS, paused=True)
    assert asked(options=paused, fresh=visit(status=Status.CANCELLED)) == Drop("cancelled")


@pytest.mark.parametrize(
    "options",
    [replace(OPTIONS, paused=True), replace(OPTIONS, waited="paused")],
    ids=["still paused", "resumed too late"],
)
def test_what_a_pause_kept_back_too_long_says_so(options):
    assert asked(say(useless_after=NOON), options=options) == Drop("paused")


def test_a_stale_source_holds_reminders_and_not_changes():
    stale = replace(OPTIONS, stale="ehr")
    assert asked(options=stale).reason == "source_stale"
    assert asked(say(MessageKind.CHANGE), options=stale) == BY_SMS


@pytest.mark.parametrize(
    "options",
    [replace(OPTIONS, stale="ehr"), replace(OPTIONS, waited="source_stale")],
    ids=["still silent", "back too late"],
)
def test_what_waited_for_its_source_too_long_says_so(options):
    late = say(useless_after=NOON)
    assert asked(late, options=options).reason == "source_stale"
    assert asked(late, options=OPTIONS).reason == "cut_off_passed"


def test_a_held_change_holds_the_visits_reminders_and_nothing_else():
    held = replace(OPTIONS, change_held=True)
    verdict = asked(options=held)
    assert isinstance(verdict, Wait)
    assert (verdict.reason, verdict.until > NOON) == ("change_held", True)
    assert asked(say(MessageKind.CHANGE), options=held) == BY_SMS
    assert asked(options=held, fresh=visit(status=Status.CANCELLED)) == Drop("cancelled")


def test_who_is_still_to_be_asked_about_waits_for_the_next_run():
    verdict = asked(options=replace(OPTIONS, unasked=True))
    assert isinstance(verdict, Wait)
    assert (verdict.reason, verdict.until < NOON + minutes(1)) == ("not_asked_yet", True)


@pytest.mark.parametrize(
    "options",
    [replace(OPTIONS, change_held=True), replace(OPTIONS, waited="change_held")],
    ids=["still held", "decided too late"],
)
def test_what_waited_for_a_persons_decision_too_long_says_so(options):
    assert asked(say(useless_after=NOON), options=options).reason == "change_held"


@pytest.mark.parametrize(
    ("kind", "reason", "comes_back"),
    [
        (MessageKind.CHANGE, "superseded_by_reschedule", True),
        (MessageKind.REMINDER, "cancelled", True),
        (MessageKind.CANCELLATION, "reinstated", True),
        (MessageKind.CANCELLATION, "no_contact", True),
        (MessageKind.REMINDER, "no_contact", True),
        (MessageKind.CONFIRMATION, "channel_off", True),
        (MessageKind.REMINDER, "channel_off", False),  # the settings were edited
        (MessageKind.CONFIRMATION, "cut_off_passed", False),
        (MessageKind.CHANGE, "already_sent", False),
        (MessageKind.CHANGE, "past_visit", False),
    ],
)
def test_a_dropped_message_comes_back_when_what_stopped_it_can_be_undone(kind, reason, comes_back):
    assert reopens(kind, reason) is comes_back


@pytest.mark.parametrize(
    ("kind", "reason", "calls"),
    [
        (MessageKind.CANCELLATION, "given_to_another", True),
        (MessageKind.CANCELLATION, "no_contact", True),
        (MessageKind.CHANGE, "opted_out", True),
        (MessageKind.CHANGE, "channel_off", False),  # the clinic wants it so
        (MessageKind.CHANGE, "superseded_by_reschedule", False),
        (MessageKind.REMINDER, "no_contact", False),
    ],
)
def test_news_that_reach_nobody_are_to_be_told_by_telephone(kind, reason, calls):
    assert needs_a_call(say(kind), reason) is calls


# --- what settings say ----------------------------------------------------------------------------

SETTINGS = Settings(
    version=1,
    clinic=Clinic(
        id="riverside", name="Riverside", timezone="Europe/Berlin", country="DE", language="de"
    ),
    channels={"sms": ["aws"], "consent": {"sms": "off"}},
    reminders={
        "patient": {
            "confirmation": {"channels": ["email"]},
            "steps": ["1d", {"before": "1h", "channels": ["sms"]}],
        },
        "doctor": {"steps": ["1h"], "digest": {"at": "18:00"}},
    },
)


@pytest.mark.parametrize(
    ("about", "order", "setting"),
    [
        (say(setting="s"), ("preferred", "sms", "email"), "channels.order"),
        (say(setting="s", step="1h"), ("sms",), "s.channels"),
        (say(MessageKind.CONFIRMATION, setting="s"), ("email",), "s.channels"),
        (say(MessageKind.CHANGE, setting="s"), ("preferred", "sms", "email"), "channels.order"),
        (say(setting="s", role=Role.DOCTOR, step="1h"), ("preferred", "sms", "email"),
         "channels.order"),
        (say(MessageKind.DIGEST, setting="s", role=Role.DOCTOR), ("email",), "s.channels"),
    ],
)  # fmt: skip
def test_a_message_takes_its_own_channels_else_those_of_all(about, order, setting):
    options = options_for(about, SETTINGS, SENDERS)
    assert (options.order, options.order_setting) == (order, setting)


def test_settings_name_notifiers_consent_and_quiet_hours():
    options = options_for(say(), SETTINGS, SENDERS, stale=True)
    assert options.senders[Channel.SMS] == ("aws",)
    assert options.senders[Channel.EMAIL] == ("smtp",)
    assert options.consent[Channel.SMS] == "off"
    assert options.quiet == QuietHours()
    assert options.zone == "Europe/Berlin"
    assert options.stale
