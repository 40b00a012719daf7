"""Each way in which a patient is not told has its own reason code and its own short answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from clinicrelay.contracts import Outcome, SendResult
from notifiers.outbox import Outbox
from sync.explain import stories
from sync.searching import search
from sync.store import standings
from tests.line.conftest import export, visit

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.explain import Story
    from tests.line.conftest import Line

sqlite = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)

FRIDAY = "2026-11-27 10:00"
PATIENT = {"confirmation": {"channels": ["email"]}, "steps": ["3d", "1d", "1h"]}


class Silence(NamedTuple):
    """What is done to visit 1, the code that tells why nobody heard, and words of the answer."""

    code: str
    words: str
    live: Callable[[Line], object]


def story(line: Line) -> Story:
    return line.at_work(lambda at_work: stories(at_work, search(at_work, "reception/1")))[0]


def codes(told: Story) -> set[str]:
    """Return every reason code that the life of a visit names, and that of what comes next."""
    found = [line.reason for line in told.history] + [told.next.reason if told.next else None]
    return {code.partition("(")[0] for code in found if code}


def booked(line: Line, start: str = FRIDAY, **cells: str) -> None:
    """Book visit 1 on an ordinary Monday, after the import, and let it be confirmed."""
    line.book(99, "2026-12-24 10:00")
    line.after("2026-11-23 09:00")
    line.book(1, start, **cells)
    line.after("2026-11-23 09:30")


def changed(**cells: str) -> Callable[[Line], None]:
    def live(line: Line) -> None:
        booked(line)
        line.change(1, **cells)
        line.after()

    return live


def with_cells(**cells: str) -> Callable[[Line], None]:
    return lambda line: booked(line, **cells)


def with_settings(start: str = FRIDAY, **settings: Any) -> Callable[[Line], None]:
    def live(line: Line) -> None:
        line.set(**settings)
        booked(line, start)

    return live


def pause(line: Line) -> None:
    def stop(at_work: Clinic) -> None:
        with at_work.store.write() as connection:
            standings.pause(
                connection, at_work.store.clinic, "patients", reason="", until=None,
                since=at_work.now, who="test",
            )  # fmt: skip

    line.at_work(stop)


def paused(line: Line) -> None:
    line.book(99, "2026-12-24 10:00")
    line.after("2026-11-23 09:00")
    pause(line)
    line.book(1, FRIDAY)
    line.after()


def resumed_too_late(line: Line) -> None:
    paused(line)
    line.now += timedelta(days=6)

    def go_on(at_work: Clinic) -> None:
        with at_work.store.write() as connection:
            standings.resume(connection, at_work.store.clinic)

    line.at_work(go_on)
    line.quietly()


def offline_till_it_was_over(line: Line) -> None:
    booked(line)
    line.quietly("2026-11-30 09:00")


def at_night(line: Line, **cells: str) -> None:
    """Leave a confirmation waiting for the morning, and let the visit change meanwhile."""
    line.book(99, "2026-12-24 10:00")
    line.after("2026-11-23 09:00")
    line.book(1, FRIDAY)
    line.after("2026-11-23 23:00")
    if cells:
        line.change(1, **cells)
        line.after("2026-11-23 23:30")
        line.quietly("2026-11-24 08:30")


def vanished(line: Line) -> None:
    booked(line)
    line.book_many(20)
    line.after()
    del line.rows["1"]
    line.after()


def opted_out(line: Line) -> None:
    """The source says that the patient wants no messages."""
    line.book(99, "2026-12-24 10:00")
    line.after("2026-11-23 09:00")
    line.book(1, FRIDAY)
    head, *rows = export(line.rows.values()).splitlines()
    line.drop("\n".join([f"{head},preferred_channel", *(f"{row},none" for row in rows)]) + "\n")
    line.sync("2026-11-23 09:30")


def offline(line: Line) -> None:
    """Nothing ran from three days before the visit until the day before it."""
    late = {"before": "3d", "latest": "12h"}
    line.set(reminders={"patient": {**PATIENT, "steps": [late, "1d", "1h"]}})
    booked(line, "2026-11-30 10:00")
    line.after("2026-11-29 11:00")


def offline_for_too_long(line: Line) -> None:
    booked(line, "2026-11-30 10:00")
    line.after("2026-11-30 09:50")


def flooded(line: Line) -> None:
    line.set(safety={"max_messages_per_run": 3})
    line.book(99, "2026-12-24 10:00")
    line.after("2026-11-23 09:00")
    for key in range(101, 112):
        line.book(key, "2026-11-26 10:00")
    line.book(1, FRIDAY)
    line.after()


def held(line: Line) -> None:
    line.book_many(20)
    line.book(1, FRIDAY)
    line.after("2026-11-23 09:00")
    for key in list(line.rows):
        line.cancel(key)
    line.after()


def answered(outcome: Outcome, reason: str, **more: Any) -> Callable[[Line], None]:
    """Let the provider answer a confirmation so."""

    def live(line: Line) -> None:
        send = Outbox.send
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Outbox, "send", lambda self, message: SendResult(outcome, reason, **more))
            booked(line)
        assert Outbox.send is send

    return live


SMS_RECORDED = {"consent": {"sms": "recorded", "email": "recorded"}}
LOCKED_OUT = {"pause": timedelta(minutes=15)}
SILENCES = [
    Silence("no_contact", "no address for any allowed channel", with_cells(mobile="", email="")),
    Silence("invalid_contact", "cannot be used", with_cells(mobile="12", email="nobody")),
    Silence("opted_out", "opted out", opted_out),
    Silence("not_opted_in", "wants recorded consent", with_settings(channels=SMS_RECORDED)),
    Silence("no_notifier", "no notifier", with_settings(channels={"sms": [], "email": []})),
    Silence(
        "only_recipients", "restricted", with_settings(safety={"only_recipients": ["*@b.example"]})
    ),
    Silence("imported", "there at the first read", lambda line: (line.book(1), line.after())),
    Silence(
        "late_booking", "after this reminder's time", lambda line: booked(line, "2026-11-25 12:00")
    ),
    Silence(
        "told_recently",
        "shortly before",
        lambda line: (booked(line, "2026-11-26 11:00"), line.quietly("2026-11-23 12:00")),
    ),
    Silence("superseded_by_later_step", "told by SMS on Sun 29 Nov 11:00 (reminder 1d)", offline),
    Silence("cut_off_passed", "would be of no use now", offline_for_too_long),
    Silence("past_visit", "The visit is past", offline_till_it_was_over),
    Silence("quiet_hours_deferred", "end of quiet hours", at_night),
    Silence(
        "cancelled",
        "cancelled before anybody had been told",
        lambda line: at_night(line, status="cancelled"),
    ),
    Silence(
        "superseded_by_reschedule",
        "(confirmation). The next reminder",
        lambda line: at_night(line, start="2026-11-28 10:00"),
    ),
    Silence(
        "outside_policy",
        "settings say that this is not told",
        lambda line: (
            line.set(reminders={"patient": {**PATIENT, "on_cancel": False}}),
            booked(line),
            line.cancel(1),
            line.after(),
        ),
    ),
    Silence("minor_change", "too small", changed(start="2026-11-27 10:02")),
    Silence("entered_in_error", "never was a visit", changed(status="entered-in-error")),
    Silence(
        "not_booked", "pending, not booked", changed(status="pending", start="2026-11-27 12:00")
    ),
    Silence("gone", "vanished from its source", vanished),
    Silence("not_on_visit", "leaves Tue 24 Nov 10:00", changed(patient_id="P2")),
    Silence(
        "given_to_another",
        "told by e-mail on Mon 23 Nov 09:35",
        changed(
            patient_id="P2",
            patient_name="Other Sample",
            email="o@mail.example",
            mobile="+4915155500777",
        ),
    ),
    Silence("paused", "as soon as messages are resumed", paused),
    Silence("awaiting_approval", "too many messages fell due at once", flooded),
    Silence("held", "held for a person", held),
    Silence("unknown_status", "set aside", changed(status="XQ")),
    Silence(
        "provider_rejected", "failed for good", answered(Outcome.REJECTED, "refused", code="30005")
    ),
    Silence(
        "credentials_refused",
        "does not take the login",
        answered(Outcome.NOT_SENT, "credentials_refused", **LOCKED_OUT),
    ),
    Silence("answer_lost", "Nobody knows yet", answered(Outcome.UNKNOWN, "answer_lost")),
]


@sqlite
@pytest.mark.parametrize("silence", SILENCES, ids=lambda one: one.code)
def test_whoever_was_not_told_is_told_of_with_the_reason(line: Line, silence: Silence) -> None:
    line.set(reminders={"patient": PATIENT}, calendars={})
    silence.live(line)

    told = story(line)

    assert silence.code in codes(told), told.history
    assert silence.words in told.answer


def test_the_reasons_are_more_than_twenty_and_all_of_them_distinct() -> None:
    assert len({one.code for one in SILENCES}) == len(SILENCES) > 20


@sqlite
def test_what_a_pause_kept_back_too_long_was_paused(line: Line) -> None:
    line.set(reminders={"patient": PATIENT}, calendars={})
    resumed_too_late(line)
    (said,) = line.query("SELECT state, reason FROM messages WHERE kind = 'confirmation'")
    assert said == ("skipped", "paused")


@sqlite
def test_what_was_moved_there_and_back_in_one_night_will_not_be_told(line: Line) -> None:
    line.set(reminders={"patient": PATIENT}, calendars={})
    booked(line, "2026-12-04 10:00")
    line.change(1, start="2026-12-05 10:00")
    line.after("2026-11-23 22:00")
    assert "The change leaves" in story(line).answer
    line.change(1, start="2026-12-04 10:00")
    line.after("2026-11-23 23:00")
    told = story(line).answer
    assert "The change will not be sent: the visit is again as the person knows it" in told
    assert line.quietly("2026-11-24 08:00") == []
    assert "as_told" in codes(story(line))


@sqlite
def test_what_was_booked_and_cancelled_in_one_night_will_not_be_told(line: Line) -> None:
    line.set(reminders={"patient": PATIENT}, calendars={})
    at_night(line)
    assert "The confirmation leaves" in story(line).answer
    line.cancel(1)
    line.after("2026-11-23 23:59")
    assert "It was cancelled. The confirmation will not be sent" in story(line).answer


@sqlite
def test_an_answer_names_nobody(line: Line) -> None:
    booked(line, mobile="", email="")
    told, row = story(line), visit(1)
    assert row["patient_name"] not in told.answer
