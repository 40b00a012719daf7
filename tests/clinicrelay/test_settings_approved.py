"""A notifier that sends only approved texts has to have those that the settings would send by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clinicrelay.errors import SettingsError
from clinicrelay.settings import load

HX = {"de": "HX" + "0" * 32}
ALL = ("confirmation", "reminder", "change", "cancellation")
QUIET = {"on_change": False, "on_cancel": False, "on_gone": False}


def lacking(
    folder: Path,
    has: tuple[str, ...],
    *,
    patient: dict[str, Any] | None = None,
    doctor: dict[str, Any] | None = None,
    **channels: Any,
) -> list[str]:
    """Return the texts that are missed, with the line that it is said of."""
    file = folder / "settings.yaml"
    whatsapp = {
        "type": "twilio_whatsapp",
        "account_sid": "AC" + "0" * 32,
        "auth_token": "${TOKEN}",
        "from": "+12025550199",
        "templates": dict.fromkeys(has, HX),
    }
    settings: dict[str, Any] = {
        "version": 1,
        "clinic": {
            "id": "riverside",
            "name": "Riverside",
            "timezone": "Europe/Berlin",
            "country": "DE",
            "language": "de",
        },
        "sources": {"reception": {"type": "csv", "contents": "snapshot"}},
        "notifiers": {"wa": whatsapp, "outbox": {"type": "outbox"}},
        "channels": channels,
        "reminders": {"patient": patient, "doctor": doctor},
    }
    file.write_text(json.dumps(settings, indent=1))
    try:
        load(file, environ={}, secrets=False)
    except SettingsError as error:
        wrong = [f for f in error.findings if f.severity == "error"]
        assert {(f.code, f.path) for f in wrong} == {("no_template", "notifiers.wa.templates")}
        line = file.read_text().splitlines().index('   "templates": {') + 1
        assert {(f.file, f.line) for f in wrong} == {(str(file), line)}
        return [f.message.split()[5].rstrip(",") for f in wrong]
    return []


def test_whoever_may_prefer_whatsapp_needs_every_text_of_patients(tmp_path: Path) -> None:
    patient = {"steps": ["1d"], "confirmation": {}}
    assert lacking(tmp_path, ("reminder",), patient=patient) == [
        "confirmation",
        "change",
        "cancellation",
    ]
    assert not lacking(tmp_path, ALL, patient=patient)


def test_what_goes_another_way_needs_no_template(tmp_path: Path) -> None:
    steps = [{"before": "1d", "channels": ["whatsapp"]}, {"before": "1h", "channels": ["sms"]}]
    mail = {"channels": ["email"]}
    said: dict[str, Any] = {"steps": steps, "confirmation": mail}
    assert not lacking(tmp_path, ("reminder",), patient=said, order=["sms", "email"])
    assert lacking(tmp_path, ("change",), patient=said, order=["sms"]) == ["reminder"]
    assert lacking(tmp_path, ("reminder",), patient=said | QUIET | {"on_gone": True}) == [
        "cancellation"
    ]


@pytest.mark.parametrize(
    "channels", [{"whatsapp": ["outbox"]}, {"consent": {"whatsapp": "off"}}], ids=json.dumps
)
def test_a_notifier_that_gets_nothing_needs_nothing(
    tmp_path: Path, channels: dict[str, Any]
) -> None:
    assert not lacking(tmp_path, ("reminder",), patient={"steps": ["1d"]}, **channels)


def test_doctors_have_texts_of_their_own_and_prefer_nothing(tmp_path: Path) -> None:
    assert not lacking(tmp_path, ("reminder",), doctor={"steps": ["1h"]})
    order = ["whatsapp", "email"]
    assert lacking(tmp_path, ("reminder",), doctor={"steps": ["1h"]}, order=order) == [
        "doctor_reminder"
    ]
    digest = {"digest": {"at": "18:00", "channels": ["whatsapp"]}}
    assert lacking(tmp_path, ("doctor_reminder",), doctor=digest) == ["digest"]
