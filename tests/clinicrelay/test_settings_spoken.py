"""Rules that silence each other, and ways that are closed, though every word of them may stand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from clinicrelay import Finding
from clinicrelay.settings import Loaded

Read = Callable[..., Loaded]

OUT = "notifiers: {outbox: {type: outbox}}\n"
TOLD = OUT + "reminders: {patient: {steps: [1d]}}\n"


def warning(read: Read, text: str) -> Finding:
    [found] = read(text).findings
    assert found.severity == "warning"
    return found


def test_steps_that_differ_only_where_clocks_change_are_a_warning(read: Read) -> None:
    found = warning(read, OUT + "reminders: {patient: {steps: [1d, 3d, 24h]}}")

    assert (found.path, found.line, found.column) == ("reminders.patient.steps[2]", 5, 39)
    assert "only one of the two is said" in found.message


def test_a_patient_and_a_doctor_may_be_reminded_at_the_same_time(read: Read) -> None:
    steps = "patient: {steps: [1d, 1h]}, doctor: {steps: [1h]}"
    assert read(OUT + f"reminders: {{{steps}}}").findings == ()


def test_a_channel_that_is_named_twice_is_a_warning(read: Read) -> None:
    found = warning(read, TOLD + "channels: {order: [sms, email, sms]}")

    assert (found.path, found.line, found.column) == ("channels.order[2]", 6, 32)


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        (
            TOLD + "channels: {consent: {sms: off, email: off}}",
            *("channels", "sms is closed by consent: off, email is closed by consent: off"),
        ),
        (TOLD + "channels: {sms: [], email: []}", "channels", "sms has no notifier left, email"),
        (TOLD + "channels: {order: [sms], consent: {sms: off}}", "channels", "sms is closed"),
        (
            OUT + "channels: {sms: []}\n"
            "reminders: {patient: {steps: [1d, {before: 1h, channels: [sms]}]}}",
            *("reminders.patient.steps[1]", "sms has no notifier left"),
        ),
        (
            OUT + "channels: {consent: {email: off}}\n"
            "reminders: {patient: {confirmation: {channels: [email]}}}",
            *("reminders.patient.confirmation", "email is closed by consent: off"),
        ),
        (
            OUT + 'channels: {email: []}\nreminders: {doctor: {digest: {at: "18:00"}}}',
            *("reminders.doctor.digest", "email has no notifier left"),
        ),
    ],
)
def test_a_rule_whose_every_channel_is_closed_is_a_warning(
    read: Read, text: str, path: str, message: str
) -> None:
    found = warning(read, text)

    assert (found.code, found.path) == ("nobody_reached", path)
    assert message in found.message


@pytest.mark.parametrize(
    "channels",
    [
        "{consent: {sms: off}}",
        "{sms: []}",
        "{consent: {whatsapp: off}, whatsapp: []}",
        "{order: [preferred], consent: {sms: off, email: off}}",
    ],
)
def test_a_closed_channel_beside_an_open_one_is_nothing_to_warn_of(
    read: Read, channels: str
) -> None:
    assert read(TOLD + f"channels: {channels}").findings == ()


def test_a_doctor_needs_no_consent(read: Read) -> None:
    text = 'channels: {consent: {email: off}}\nreminders: {doctor: {digest: {at: "18:00"}}}'
    assert read(OUT + text).findings == ()


def test_consent_that_nobody_needs_is_nothing_to_warn_of(read: Read) -> None:
    assert read(OUT + "channels: {consent: {sms: off, email: off}}").findings == ()
