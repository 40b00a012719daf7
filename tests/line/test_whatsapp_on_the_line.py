"""WhatsApp on the whole line: the right template, the right values, and a clear end when it fails."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.testing import Fault
from clinicrelay.testing.http_server import serving
from commands.check import _notifiers
from tests.notifiers.test_twilio import SENDER, SID, TOKEN
from tests.notifiers.test_twilio_whatsapp import Strict, a_template, hx

if TYPE_CHECKING:
    from tests.line.conftest import Line

REMINDERS = {"reminder": {"de": hx(1), "en": hx(2)}}


@pytest.fixture
def twilio() -> Iterator[Strict]:
    made = Strict(templates={hx(n): a_template() for n in (1, 2)})
    with serving(made.answer) as server:
        made.url = server.url  # type: ignore[attr-defined]
        yield made
        made.over.set()


@pytest.fixture
def clinic(house: Callable[..., Line], twilio: Strict) -> Callable[..., Line]:
    """Make a clinic that reminds by WhatsApp one day ahead, of a visit on Monday morning."""

    def make(templates: dict[str, Any] = REMINDERS) -> Line:
        notifier = {"type": "twilio_whatsapp", "account_sid": SID, "auth_token": TOKEN}
        notifier |= {"from": SENDER, "base_url": twilio.url, "templates": templates}  # type: ignore[attr-defined]
        patient = {"steps": [{"before": "1d", "channels": ["whatsapp"]}], "on_change": False}
        made = house(
            notifiers={"whatsapp": notifier},
            channels={"consent": {"whatsapp": "implied"}},
            reminders={"patient": {**patient, "on_cancel": False, "on_gone": False}},
        )
        made.book(1, "2026-12-07 10:00")
        made.book(2, "2026-12-07 11:00", language="tr")
        made.book(3, "2026-12-07 12:00", language="en", modality="phone")
        made.after("2026-11-30 09:00")
        return made

    return make


def test_each_reminder_is_its_languages_template_with_its_own_values(
    clinic: Callable[..., Line], twilio: Strict
) -> None:
    line = clinic()
    report = line.sync("2026-12-06 12:30")
    sent = sorted(
        (form["To"], form["ContentSid"], *json.loads(form["ContentVariables"]).values())
        for form in twilio.forms
    )
    name, phone = "Riverside Family Clinic", "+493012345678"
    where = "Uferstrasse"
    assert sent == [
        ("whatsapp:+4915155500001", hx(1), name, "Mo., 7. Dez., 10:00 Uhr", where, phone),
        ("whatsapp:+4915155500002", hx(1), name, "Mo., 7. Dez., 11:00 Uhr", where, phone),
        (
            "whatsapp:+4915155500003",
            hx(2),
            name,
            "Mon, 7 Dec, 12:00 (Berlin time)",
            "phone visit",
            phone,
        ),
    ]
    assert report.messages.by_channel == {"whatsapp": 3}
    line.sync()
    assert len(twilio.forms) == 3


@pytest.mark.parametrize(
    ("code", "reason"),
    [(63016, "template_required"), (63024, "not_on_whatsapp"), (21656, "template_refused")],
)
def test_what_whatsapp_refuses_ends_as_a_clear_reason(
    clinic: Callable[..., Line], twilio: Strict, code: int, reason: str
) -> None:
    line = clinic()
    twilio.refusing, twilio.fault = (400, code), Fault.REFUSED
    line.sync("2026-12-06 12:30")
    ended = line.query("SELECT state, reason FROM messages WHERE tries > 0")
    assert ended == [
        ("failed", f"provider_rejected({code}: {reason})"),
        ("sent", None),
        ("sent", None),
    ]


def test_a_run_that_lost_an_answer_asks_and_sends_nothing_twice(
    clinic: Callable[..., Line], twilio: Strict
) -> None:
    line = clinic()
    twilio.fault = Fault.ANSWER_LOST
    line.sync("2026-12-06 12:30")
    line.sync("2026-12-06 12:40")
    line.sync("2026-12-06 12:50")
    assert len(twilio.forms) == 3
    assert line.query("SELECT DISTINCT state FROM messages WHERE tries > 0") == [("sent",)]


def test_a_language_that_patients_speak_and_no_template_has_is_warned_of(
    clinic: Callable[..., Line],
) -> None:
    line = clinic()
    line.book(4, language="tr-TR")
    line.book(5, language="de-AT")
    line.book(6, "2026-11-20 10:00", language="pl")
    line.after()
    found = line.at_work(lambda at_work: [*_notifiers(at_work, line.file, connect=False)])
    (said,) = [one for one in found if one.code == "template_language_missing"]
    assert (said.severity, said.path) == ("warning", "notifiers.whatsapp.templates.reminder")
    assert said.line > 1
    assert "in 'tr', which 2 patients" in said.message
