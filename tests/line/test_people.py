"""Who is reached, and by what address: consent, test patients, guardians, links and numbers to dial."""

from __future__ import annotations

from datetime import UTC, datetime
from email import policy
from email.parser import BytesParser
from typing import TYPE_CHECKING

import icalendar
import pytest

from clinicrelay.actions import facts_of
from clinicrelay.contracts import Outcome, SendResult
from clinicrelay.model import Appointment, Patient, Status, encode
from notifiers.outbox import Outbox
from sync.explain import stories
from sync.searching import search

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.line.conftest import Line

FRIDAY = "2026-11-27 10:00"
STEPS = {"reminders": {"patient": {"confirmation": {}, "steps": ["1d"]}}}


@pytest.fixture
def store_url(tmp_path: object) -> str:
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def clinic(house: Callable[..., Line]) -> Line:
    line = house("riverside")
    line.set(**STEPS)
    line.book(99, "2026-12-24 10:00")
    line.after("2026-11-23 09:00")
    return line


def reasons(line: Line) -> list[tuple[str, str | None, str | None]]:
    rows = line.query("SELECT kind, state, reason, setting FROM messages ORDER BY id")
    return sorted((kind, reason, setting) for kind, state, reason, setting in rows if reason)


# --- consent -----------------------------------------------------------------------------------


def test_only_a_yes_opens_a_channel_that_wants_recorded_consent(clinic: Line) -> None:
    clinic.set(channels={"order": ["sms"], "consent": {"sms": "recorded"}})
    for key, word in enumerate(("ja", "", "no", "perhaps"), start=1):
        clinic.book(key, FRIDAY, sms_consent=word)
    assert clinic.after() == [("confirmation", "+4915155500001")]
    (odd,) = (one for one in clinic.visits().values() if one["key"] == "4")
    assert {"code": "invalid_bool", "field": "patient.consent.sms"} in odd["issues"]


def test_a_no_leaves_the_other_channels_open(clinic: Line) -> None:
    clinic.book(1, FRIDAY, sms_consent="no")
    assert clinic.after() == [("confirmation", "p1@mail.example")]


def test_a_change_of_consent_is_no_news_and_holds_at_once(clinic: Line) -> None:
    clinic.book(1, FRIDAY)
    clinic.after()
    clinic.change(1, sms_consent="no", email_consent="no")
    assert clinic.after() == []
    assert clinic.quietly("2026-11-26 10:00") == []
    assert reasons(clinic) == [("reminder", "opted_out", "patient.consent.sms")]


def test_a_consent_that_is_given_later_opens_the_next_reminder(clinic: Line) -> None:
    clinic.set(channels={"order": ["sms"], "consent": {"sms": "recorded"}})
    clinic.book(1, FRIDAY)
    assert clinic.after() == []
    clinic.change(1, sms_consent="yes")
    assert clinic.after() == [("confirmation", "+4915155500001")]
    assert clinic.quietly("2026-11-26 10:00") == [("reminder", "+4915155500001")]


# --- test patients -----------------------------------------------------------------------------


def test_a_test_patient_stands_in_the_calendar_and_hears_nothing(clinic: Line) -> None:
    clinic.book(1, FRIDAY, is_test="yes")
    assert clinic.after() == []
    assert clinic.quietly("2026-11-26 10:00") == []
    assert {reason for _, reason, _ in reasons(clinic)} == {"test_patient"}
    assert len(clinic.starts()) == 2


def test_a_mark_that_comes_late_stops_what_is_still_to_come(clinic: Line) -> None:
    clinic.book(1, FRIDAY)
    assert clinic.after() == [("confirmation", "+4915155500001")]
    clinic.change(1, is_test="yes", start="2026-11-27 12:00")
    assert clinic.after() == []
    clinic.cancel(1)
    assert clinic.after() == []


# --- guardians ---------------------------------------------------------------------------------

OWN, PARENT = "+4915155500001", "+4915155509999"
PARENTS = {"parent_name": "Eva Sample", "parent_phone": PARENT}


@pytest.mark.parametrize(
    ("born", "to"),
    [
        ("2015-03-04", PARENT),
        ("2008-11-28", PARENT),  # eighteen on the day after the visit
        ("2008-11-27", OWN),
        ("1980-01-01", OWN),
        ("04/03/58", OWN),
        ("", PARENT),
    ],
)
def test_who_is_under_age_on_the_day_is_reached_through_the_guardian(
    clinic: Line, born: str, to: str
) -> None:
    clinic.book(1, FRIDAY, birth_date=born, **PARENTS)
    assert clinic.after() == [("confirmation", to)]
    assert clinic.quietly("2026-11-26 10:00") == [("reminder", to)]


def test_the_age_is_a_setting_and_nought_switches_it_off(clinic: Line) -> None:
    for until, to in ((0, OWN), (12, PARENT)):
        rules = {"confirmation": {}, "steps": ["1d"], "guardian_until": until}
        clinic.set(reminders={"patient": rules})
        clinic.book(1, f"2026-12-0{1 + until // 12} 10:00", birth_date="2015-03-04", **PARENTS)
        assert [address for _, address in clinic.after()] == [to]


def test_a_minor_whose_guardian_cannot_be_reached_keeps_their_own_number(clinic: Line) -> None:
    clinic.book(1, FRIDAY, birth_date="2015-03-04", parent_name="Eva Sample", parent_phone="")
    assert clinic.after() == [("confirmation", OWN)]


def test_a_guardian_reads_their_own_language_and_is_invited(clinic: Line) -> None:
    rules = {"confirmation": {"channels": ["email"], "invite": True}}
    clinic.set(reminders={"patient": rules})
    clinic.book(
        1, FRIDAY, birth_date="2015-03-04", guardian_email="eva@mail.example",
        guardian_language="es",
    )  # fmt: skip
    assert clinic.after() == [("confirmation", "eva@mail.example")]
    (mail,) = (clinic.data / "outbox").glob("*.eml")
    text = mail.read_text()
    assert "mailto:eva@mail.example" in text.replace("\n ", "")
    assert "p1@mail.example" not in text
    assert "Content-Language: es" in text


def test_a_guardian_who_is_named_later_is_told_nothing_anew(clinic: Line) -> None:
    clinic.book(1, FRIDAY, birth_date="2015-03-04")
    assert clinic.after() == [("confirmation", OWN)]
    clinic.change(1, **PARENTS)
    assert clinic.after() == []
    assert clinic.query("SELECT DISTINCT recipient FROM messages") == [("patient/P1",)]
    assert clinic.quietly("2026-11-26 10:00") == [("reminder", PARENT)]


def test_an_opt_out_of_the_patients_number_is_not_the_guardians(
    clinic: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic.set(channels={"order": ["sms"], "consent": {"sms": "implied"}})
    clinic.book(1, FRIDAY, birth_date="2015-03-04")
    with monkeypatch.context() as patch:
        refused = SendResult(Outcome.REJECTED, "opted_out")
        patch.setattr(Outbox, "send", lambda self, message: refused)
        clinic.after()
    clinic.book(2, FRIDAY, mobile=OWN)
    assert clinic.after() == []  # learned, and kept for whoever has that number
    clinic.change(1, **PARENTS)
    clinic.after()
    assert clinic.quietly("2026-11-26 10:00") == [("reminder", PARENT)]


def test_why_says_that_a_guardian_is_addressed_and_names_nobody(clinic: Line) -> None:
    clinic.book(1, FRIDAY, birth_date="2015-03-04", **PARENTS)
    clinic.after()
    told = story(clinic)
    assert "The guardian whom the source names is addressed" in told
    assert "Eva" not in told
    clinic.change(1, birth_date="1980-01-01")
    clinic.after()
    assert "guardian" not in story(clinic)


def story(line: Line) -> str:
    ((visit,),) = line.query("SELECT id FROM appointments WHERE source_key = '1'")
    return line.at_work(lambda at_work: stories(at_work, [visit])[0].answer)


def test_a_minors_visits_are_found_by_the_guardians_number_and_mailbox(clinic: Line) -> None:
    clinic.book(1, FRIDAY, birth_date="2015-03-04", guardian_email="eva@mail.example", **PARENTS)
    clinic.book(2, FRIDAY)
    clinic.after()
    (number,) = clinic.query("SELECT id FROM appointments WHERE source_key = '1'")
    for wanted in ("0151 5550 9999", PARENT, "EVA@mail.example"):
        found = clinic.at_work(lambda at_work, said=wanted: search(at_work, said))
        assert found == list(number), wanted


# --- the link in an invitation -----------------------------------------------------------------

LINK = "https://meet.example/k7x2"


def test_the_invitation_to_a_video_visit_has_the_link_and_its_withdrawal_has_none(
    clinic: Line,
) -> None:
    clinic.set(
        channels={"order": ["email"]}, reminders={"patient": {"confirmation": {"invite": True}}}
    )
    clinic.book(1, "2026-12-11 10:00", modality="video", join_url=LINK)
    clinic.after()
    clinic.change(1, join_url=f"{LINK}new")
    clinic.after()
    clinic.cancel(1)
    clinic.after()
    booked, changed, off = invitations(clinic)
    assert (booked["URL"], changed["URL"]) == (LINK, f"{LINK}new")
    assert LINK in booked["DESCRIPTION"]
    assert "LOCATION" not in booked
    assert LINK not in off.to_ical().decode().replace("\r\n ", "")


def invitations(line: Line) -> list[icalendar.Event]:
    mails = sorted((line.data / "outbox").glob("*.eml"))
    parsed = [BytesParser(policy=policy.default).parsebytes(one.read_bytes()) for one in mails]
    files = [part for mail in parsed for part in mail.iter_attachments()]
    events = [icalendar.Calendar.from_ical(one.get_content()).walk("VEVENT")[0] for one in files]
    return sorted(events, key=lambda event: event["SEQUENCE"])


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"modality": "video", "join_url": LINK}, {"join_url": f"{LINK}new"},
         "There is a new link for your video visit"),
        ({"modality": "video", "join_url": LINK}, {"modality": "office", "join_url": ""},
         "It is now at the clinic, no longer by video."),
        ({"modality": "phone", "call_in": "030 5550123"}, {"call_in": "030 5550124"},
         "There is a new number to dial for your phone visit"),
        ({"modality": "office"}, {"modality": "phone", "call_in": "030 5550123"},
         "is now by phone. The number to dial comes with our last reminder."),
        ({"modality": "office"}, {"modality": "phone"}, "is now by phone: we will call you."),
    ],
)  # fmt: skip
def test_whatever_changes_of_a_link_or_a_number_is_told_as_that(
    clinic: Line, before: dict[str, str], after: dict[str, str], said: str
) -> None:
    clinic.set(channels={"order": ["sms"]})
    clinic.book(1, "2026-12-11 10:00", language="en", location="", **before)
    clinic.after()
    clinic.change(1, **after)
    assert clinic.after() == [("change", OWN)]
    (text,) = (sent.text for sent in clinic.outbox() if sent.kind == "change")
    assert said in text


def test_the_number_comes_with_the_last_reminder_however_far_ahead_that_is(clinic: Line) -> None:
    clinic.set(
        channels={"order": ["sms"]}, reminders={"patient": {"confirmation": {}, "steps": ["3d"]}}
    )
    clinic.book(1, "2026-12-11 10:00", language="en", location="")
    clinic.after()
    clinic.change(1, modality="phone", call_in="030 5550123")
    assert clinic.after() == [("change", OWN)]
    (text,) = (sent.text for sent in clinic.outbox() if sent.kind == "change")
    assert "is now by phone." in text
    assert "with our last reminder" in text
    assert "+49305550123" not in text
    clinic.quietly("2026-12-08 10:00")
    (text,) = (sent.text for sent in clinic.outbox() if sent.kind == "reminder")
    assert "+49305550123" in text


def test_where_no_reminder_is_to_come_the_change_says_the_number(clinic: Line) -> None:
    clinic.set(channels={"order": ["sms"]}, reminders={"patient": {"confirmation": {}}})
    clinic.book(1, "2026-12-11 10:00", language="en", location="")
    clinic.after()
    clinic.change(1, modality="phone", call_in="030 5550123")
    assert clinic.after() == [("change", OWN)]
    (text,) = (sent.text for sent in clinic.outbox() if sent.kind == "change")
    assert "+49305550123" in text
    assert "reminder" not in text


# --- phone visits ------------------------------------------------------------------------------


def test_the_number_of_a_phone_visit_is_in_event_invitation_and_nearest_reminder(
    clinic: Line,
) -> None:
    rules = {"confirmation": {"invite": True}, "steps": ["3d", "1d"]}
    clinic.set(channels={"order": ["email"]}, reminders={"patient": rules})
    clinic.book(
        1, "2026-12-11 10:00", modality="telephone", call_in="030 5550123", language="en",
        location_address="Uferstrasse 5",
    )  # fmt: skip
    clinic.after()
    clinic.quietly("2026-12-08 10:00")
    clinic.quietly("2026-12-10 10:00")
    texts = {sent.at: sent.text for sent in clinic.outbox()}
    booked, far, near = (texts[at] for at in sorted(texts))
    assert "Dial in: +49305550123" in near
    assert "+49305550123" not in booked
    assert "+49305550123" not in far
    (invited,) = invitations(clinic)
    assert "+49305550123" in invited["DESCRIPTION"]
    assert "Uferstrasse" not in near + invited.to_ical().decode() + booked
    file = (clinic.data / "calendars" / "acar.ics").read_text().replace("\n ", "")
    assert "Einwahl: +49305550123" in file


def test_another_number_is_told_and_one_that_vanishes_is_not(clinic: Line) -> None:
    clinic.book(1, FRIDAY, modality="telephone", call_in="030 5550123")
    clinic.after()
    clinic.change(1, call_in="030 5550124")
    assert clinic.after() == [("change", OWN)]
    clinic.change(1, call_in="")
    assert clinic.after() == []


# --- an upgrade --------------------------------------------------------------------------------


def test_what_is_kept_and_told_reads_the_same_where_nothing_new_is_known() -> None:
    """The bytes and the fingerprint of before these fields: else an upgrade told everybody anew."""
    start = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
    visit = Appointment(
        "ehr", "1", Status.BOOKED, "Europe/Berlin", start, patients=(Patient("p1", "Ada"),)
    )
    assert encode(visit) == (
        b'{"source":"ehr","key":"1","status":"booked","timezone":"Europe/Berlin",'
        b'"start":"2026-12-01T09:30:00Z","patients":[{"key":"p1","name":"Ada"}]}'
    )
    assert facts_of(visit).hash == "4bb8eb5583cea95d"
