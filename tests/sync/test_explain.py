"""`why` answers rightly: each situation a clinic asks about has its own sentence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace as but

from clinicrelay.actions import Told, facts_of
from clinicrelay.model import Appointment, Kind, Patient, Practitioner, Status
from sync.answers import Case, answer
from sync.chronicle import difference
from sync.outlook import Next, Stuck
from sync.reasons import REASONS
from sync.standing import ELSEWHERE, Pause

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
START = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
VISIT = Appointment(
    "reception",
    "7",
    Status.BOOKED,
    "UTC",
    START,
    START + timedelta(minutes=30),
    patients=(Patient("p1", "Quenby Canary", "+12025550143", "quenby@canary.example"),),
    practitioners=(Practitioner("acar"),),
)
PLAIN = Case(VISIT, NOW, lambda instant: f"{instant:%d %b %H:%M}")
SOON = Next("1d", START - timedelta(days=1), "sms")


def message(state: str, kind: str = "reminder", **values: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "kind": kind,
        "step": "1d" if kind == "reminder" else "",
        "state": state,
        "reason": None,
        "setting": f"reminders.patient.{kind}",
        "together": None,
        "left": None,
        "left_by": None,
        "channel": "email",
        "notifier": "smtp",
        "due_at": NOW - timedelta(hours=2),
        "next_try_at": None,
        "created_at": NOW - timedelta(hours=2),
        "settled_at": NOW - timedelta(hours=1),
        "held": None,
        "tries": 0,
        **values,
    }


def event(pause: Pause) -> dict[str, Any]:
    return {"calendar": "google:acar@riverside.example", "state": "put", "pause": pause}


def skipped(reason: str, kind: str = "reminder") -> dict[str, Any]:
    return message("skipped", kind, reason=reason)


def status(word: Status) -> Appointment:
    return but(VISIT, status=word)


TOLD = Told(facts_of(VISIT), NOW - timedelta(days=1), by="cr1")
PAST = but(VISIT, start=NOW - timedelta(hours=3), end=NOW - timedelta(hours=2))
HELD = {"held": 12, "what": "gone", "summary": "61 of 412 visits missing from this read"}
ASIDE = {"id": 3, "reason": "unknown_status", "field": "status"}

NOON = NOW + timedelta(hours=4)
PAUSE = Pause("", "wrong texts", None, NOW)
ENDING = PAUSE._replace(until=NOW + timedelta(hours=9))
COPY = PAUSE._replace(reason=ELSEWHERE)
LOOKED_AT = {
    "reason": "paused",
    "next_try_at": NOW + timedelta(minutes=1),
    "useless_after": START,
    "settled_at": None,
}

BY_NIGHT = {
    "reason": "quiet_hours_deferred",
    "next_try_at": NOW + timedelta(hours=9),
    "settled_at": None,
}
STUCK = Stuck("twilio", "credentials_refused", NOW - timedelta(hours=2))

LOCKED_OUT = {
    "reason": "credentials_refused",
    "next_try_at": NOW + timedelta(minutes=15),
    "settled_at": None,
}

SITUATIONS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "told by mail": (
        {"messages": [message("sent", "confirmation")], "next": SOON},
        ["told by e-mail on 23 Nov 07:00 (confirmation)", "(1d) leaves 30 Nov 09:30 by SMS"],
    ),
    "will be reminded": ({"next": SOON}, ["The next reminder (1d) leaves 30 Nov 09:30 by SMS."]),
    "overdue": (
        {"next": replace(SOON, at=NOW)},
        ["The next reminder (1d) is overdue and leaves with the next run by SMS."],
    ),
    "sent by nobody now": (
        {"next": replace(SOON, stuck=STUCK)},
        [
            "(1d), 30 Nov 09:30, is to leave by SMS, but twilio sends nothing since 23 Nov 06:00: the",
            "does not take the login (notifiers.twilio). clinicrelay check --connect.",
        ],
    ),
    "sent another way if that lasts": (
        {"next": replace(SOON, stuck=STUCK._replace(instead="email"))},
        ["is to leave by SMS, but twilio sends nothing", "If that lasts, it leaves by e-mail."],
    ),
    "sent by nobody, and the night": (
        {
            "messages": [message("planned", **BY_NIGHT)],
            "waits": replace(SOON, at=NOW + timedelta(hours=9), stuck=STUCK),
        },
        ["it waits for the end of quiet hours. But twilio sends nothing since 23 Nov 06:00"],
    ),
    "no contact": (
        {"next": replace(SOON, channel=None, reason="no_contact")},
        ["will not be sent: the source has no address", "Enter a phone number"],
    ),
    "invalid contact": (
        {"next": replace(SOON, channel=None, reason="invalid_contact")},
        ["cannot be used", "Correct the phone number"],
    ),
    "not opted in": (
        {"next": replace(SOON, reason="not_opted_in")},
        ["wants recorded consent", "channels.consent"],
    ),
    "quiet hours": (
        {"messages": [message("planned", **BY_NIGHT)]},
        ["The reminder 1d leaves 23 Nov 17:00", "end of quiet hours"],
    ),
    "a refused login": (
        {"messages": [message("planned", tries=1, **LOCKED_OUT)]},
        ["The reminder 1d is tried again 23 Nov 08:15: the notifier's server does not take the"],
    ),
    "a login refused to others": (
        {"messages": [message("planned", **LOCKED_OUT)]},
        ["The reminder 1d is tried 23 Nov 08:15: the notifier's server does not take the login."],
    ),
    "due at once": (
        {"messages": [message("planned", settled_at=None)]},
        ["is due and leaves with the next run"],
    ),
    "cancelled and told": (
        {
            "visit": status(Status.CANCELLED),
            "told": TOLD,
            "messages": [message("sent", "confirmation"), message("sent", "cancellation")],
        },
        ["It was cancelled, and the patient was told by e-mail on 23 Nov 07:00."],
    ),
    "cancelled, never told": (
        {"visit": status(Status.CANCELLED)},
        ["cancelled before anybody had been told", "nobody was told"],
    ),
    "cancelled, but silent": (
        {
            "visit": status(Status.CANCELLED),
            "messages": [skipped("outside_policy", "cancellation")],
        },
        ["cancelled, but the patient was not told: the settings say that this is not told"],
    ),
    "never was": ({"visit": status(Status.ENTERED_IN_ERROR)}, ["never was a visit"]),
    "gone": (
        {"gone_at": NOW, "told": TOLD},
        ["vanished from its source on 23 Nov 08:00", "reminders.patient.on_gone is off"],
    ),
    "gone and told": (
        {"gone_at": NOW, "on_gone": True, "messages": [message("sent", "cancellation")]},
        ["vanished", "the patient was told so by e-mail"],
    ),
    "imported": (
        {
            "imported": True,
            "told": Told(facts_of(VISIT), NOW),
            "next": replace(SOON, step="3d"),
        },
        ["there at the first read", "counts as told", "(3d) leaves"],
    ),
    "held": ({"waiting": HELD}, ["held for a person: 61 of 412", "clinicrelay held show h12"]),
    "set aside": ({"aside": [ASIDE]}, ["unknown_status in status", "quarantine show 3"]),
    "late booking": (
        {"messages": [skipped("late_booking")], "next": SOON},
        ["reminder 1d was not sent: the visit was booked, moved or first read after"],
    ),
    "told recently": (
        {"messages": [skipped("told_recently")]},
        ["was told about this visit shortly before", "No further reminder is due."],
    ),
    "too late": ({"messages": [skipped("cut_off_passed")]}, ["would be of no use now"]),
    "unscheduled": ({"visit": but(VISIT, start=None, end=None)}, ["It has no time"]),
    "past": (
        {"visit": PAST, "messages": [message("sent")]},
        ["The visit is past", "told by e-mail on 23 Nov 07:00 (reminder 1d)"],
    ),
    "past and silent": ({"visit": PAST}, ["The visit is past", "Nobody was told"]),
    "asked for": ({"visit": status(Status.PENDING)}, ["pending, not booked"]),
    "arrived": ({"visit": status(Status.CHECKED_IN)}, ["checked in: nothing more is said"]),
    "source failed": (
        {"next": SOON, "source_state": "failed", "last_complete": NOW - timedelta(days=2)},
        ["Beware: reception is failed, last read completely 21 Nov 08:00"],
    ),
    "source stale": ({"next": SOON, "source_state": "stale"}, ["reception is stale"]),
    "rehearsal": (
        {"next": replace(SOON, reason="rehearsal")},
        ["was in rehearsal", "clinicrelay live patients"],
    ),
    "paused": (
        {"next": replace(SOON, pause=PAUSE)},
        ["reminder (1d), 30 Nov 09:30, leaves as soon as messages are resumed: clinicrelay resume"],
    ),
    "paused, and waiting": (
        {"pause": PAUSE, "messages": [message("planned", **LOOKED_AT)]},
        ["The reminder 1d leaves as soon as messages are resumed: clinicrelay resume"],
    ),
    "paused until": (
        {"pause": ENDING, "messages": [message("planned", **LOOKED_AT)]},
        ["The reminder 1d leaves after the pause ends 23 Nov 17:00."],
    ),
    "paused for too long": (
        {"pause": ENDING, "messages": [message("planned", **LOOKED_AT | {"useless_after": NOON})]},
        [
            "will not be sent: the pause lasts until 23 Nov 17:00, and it is of use until 23 Nov 12:00"
        ],
    ),
    "a calendar that is paused": (
        {"next": SOON, "events": [event(PAUSE._replace(scope="google"))]},
        [
            "The calendar google does not show it as it stands: google is paused (clinicrelay pause",
            "as soon as calendars are resumed: clinicrelay resume google (it was noted: wrong texts).",
        ],
    ),
    "calendars of a copy": (
        {"next": SOON, "events": [event(COPY)]},
        ["this store is a copy. It is written only where the clinic is live", "live here."],
    ),
    "a copy": (
        {"pause": COPY, "messages": [message("planned", **LOOKED_AT)]},
        ["only where the clinic is live", "clinicrelay live here"],
    ),
    "only recipients": (
        {"messages": [skipped("only_recipients")]},
        ["not among those that messages are restricted to", "(safety.only_recipients)"],
    ),
    "provider rejected": (
        {"messages": [message("failed", reason="provider_rejected(30005)")]},
        ["failed for good on 23 Nov 07:00", "it said 30005", "Correct the address in the source"],
    ),
    "a telephone that was off": (
        {"messages": [message("failed", reason="handset_unreachable(30003)")]},
        ["(it said 30003). Nothing, unless it happens again: it may pass. Call the person if it"],
    ),
    "unknown outcome": (
        {"messages": [message("unknown", next_try_at=NOW + timedelta(minutes=3))]},
        ["Nobody knows yet whether the reminder 1d arrived: smtp is asked again 23 Nov 08:03"],
    ),
    "off, and perhaps told": (
        {
            "visit": status(Status.CANCELLED),
            "messages": [message("unknown", "cancellation")],
            "mute": {"smtp"},
            "repeated": {1},
        },
        [
            "cancelled. The cancellation may have arrived",
            "smtp cannot be asked",
            "sent once more with",
        ],
    ),
    "off, and the provider is asked": (
        {"visit": status(Status.CANCELLED), "messages": [message("sending", "cancellation")]},
        [
            "cancelled. Nobody knows yet whether the cancellation arrived: smtp is asked again with the"
        ],
    ),
    "off, and it leaves once more": (
        {
            "visit": status(Status.CANCELLED),
            "repeated": {1},
            "messages": [
                message("planned", "cancellation", reason="server_busy", next_try_at=NOON)
            ],
        },
        ["cancelled. The cancellation may have arrived", "It is sent once more 23 Nov 12:00."],
    ),
    "off, and nobody will ever know": (
        {
            "visit": status(Status.CANCELLED),
            "messages": [message("unproven", "cancellation", reason="unproven_twice")],
        },
        ["cancelled. Nobody can find out", "both times the answer was lost. Call the person."],
    ),
    "gone, and perhaps told": (
        {"gone_at": NOW, "on_gone": True, "messages": [message("unknown", "cancellation")]},
        ["vanished from its source on 23 Nov 08:00. Nobody knows yet whether the cancellation"],
    ),
    "past, and perhaps told": (
        {"visit": PAST, "messages": [message("unproven", reason="unproven_not_repeated")]},
        ["The visit is past", "Nobody can find out whether the reminder 1d"],
    ),
    "unproven": (
        {"messages": [message("unproven", reason="unproven_not_repeated")], "next": SOON},
        ["Nobody can find out whether the reminder 1d of 23 Nov 07:00 arrived", "not sent twice"],
    ),
    "a flood is held": (
        {"messages": [message("held", held=4)]},
        ["too many messages fell due at once", "held show h4"],
    ),
    "nothing set up": ({"silent": True}, ["No reminders are set up (reminders.patient.steps)."]),
    "a block": ({"visit": but(VISIT, kind=Kind.BLOCK)}, ["No patient is named"]),
    "booked anew": ({"replaced_by": "reception/8"}, ["booked anew as reception/8"]),
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_each_situation_has_its_short_answer(situation: str) -> None:
    changes, expected = SITUATIONS[situation]

    said = answer(replace(PLAIN, **changes))

    assert [part for part in expected if part not in said] == [], said


def test_a_pause_that_is_over_holds_nothing_back() -> None:
    waited = replace(PLAIN, messages=[message("planned", **LOOKED_AT)])
    assert "is due and leaves with the next run" in answer(waited)


def test_no_two_situations_are_answered_alike() -> None:
    answers = [answer(replace(PLAIN, **changes)) for changes, _ in SITUATIONS.values()]

    assert len(set(answers)) == len(answers)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_no_answer_holds_a_name_or_an_address(situation: str) -> None:
    said = answer(replace(PLAIN, **SITUATIONS[situation][0]))

    assert not any(word in said for word in ("Quenby", "Canary", "2025550143", "canary.example"))


@pytest.mark.parametrize(
    "reason", [r for r, meaning in REASONS.items() if meaning.about == "message"]
)
def test_every_reason_of_a_skipped_message_is_told_in_words(reason: str) -> None:
    said = answer(replace(PLAIN, messages=[skipped(reason)]))

    assert f"was not sent: {REASONS[reason].says}" in said


def test_a_failure_that_was_made_up_for_is_no_longer_the_answer() -> None:
    failed = message(
        "failed", reason="provider_rejected(30005)", settled_at=NOW - timedelta(hours=3)
    )

    said = answer(replace(PLAIN, messages=[failed, message("sent", "change")]))

    assert "failed" not in said
    assert "told by e-mail" in said


def test_a_difference_names_times_and_never_the_patient() -> None:
    moved = but(
        VISIT,
        start=START + timedelta(hours=1),
        end=START + timedelta(hours=2),
        status=Status.PENDING,
        patients=(but(VISIT.patients[0], name="Quenby Other"),),
    )

    said = difference(VISIT, moved, PLAIN.when)

    assert said == ("01 Dec 09:30 → 01 Dec 10:30, booked → pending, the patient's data")
