"""The parts of the settings that are kept: they come back as they were, and hold no secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, SecretStr

from clinicrelay.settings import Settings, load
from clinicrelay.settings.parts import differences, parts_of, with_parts

LEAST = """\
version: 1
clinic: {id: riverside, name: Riverside, timezone: Europe/Berlin, country: DE, language: de}
sources: {reception: {type: csv, contents: snapshot}}
"""
ALL = """\
version: 1
clinic:
  {id: riverside, name: Riverside, timezone: Europe/Berlin, country: DE, language: de,
   phone: "+493012345678", email: desk@riverside.example, address: "Uferstrasse 5"}
sources: {reception: {type: csv, contents: snapshot}}
calendars:
  files: {type: ics, event: {detail: busy}, window: {past: 3d}, if_doctor: {deletes: restore}}
doctors:
  - {id: acar, name: Dr. Acar, match: {reception: "17"}, calendar: {files: acar},
     email: a@riverside.example}
  - {id: braun, match: "3", phone: "+4915111111111"}
notifiers: {outbox: {type: outbox}}
channels: {order: [preferred, sms], consent: {sms: implied, email: "off"}, email: [outbox]}
reminders:
  patient:
    confirmation: {channels: [email], invite: true}
    steps: [{before: 3d, latest: 36h}, 1d, {before: 90m, latest: 20m, channels: [sms]}]
    on_gone: true
    guardian_until: 16
  doctor: {steps: [1h], digest: {at: "18:30", channels: [email]}}
quiet_hours: {from: "22:00", to: "07:30"}
safety:
  hold_if: {gone: 12.5%, storm: 3x}
  caps: {day: 2}
  max_messages_per_run: 40
  only_recipients: ["*@riverside.example", "+4915111111111"]
"""
OFF = LEAST + 'quiet_hours: "off"\nsafety: {caps: "off"}\n'
PARTS = (
    *("clinic", "doctors", "calendars", "notifiers", "channels", "reminders", "quiet_hours"),
    "safety",
)


def settings_of(text: str, folder: Path) -> Settings:
    file = folder / "settings.yaml"
    file.write_text(text)
    return load(file, environ={}).settings


@pytest.mark.parametrize("text", [LEAST, ALL, OFF], ids=["least", "all", "off"])
def test_parts_come_back_as_they_were_from_json(text: str, tmp_path: Path) -> None:
    settings = settings_of(text, tmp_path)
    kept = json.loads(json.dumps(parts_of(settings)))
    back = with_parts(settings, kept)
    for part in PARTS:
        assert getattr(back, part) == getattr(settings, part)
        assert repr(getattr(back, part)) == repr(getattr(settings, part))


def test_parts_come_back_into_another_file(tmp_path: Path) -> None:
    kept = parts_of(settings_of(ALL, tmp_path))
    back = with_parts(settings_of(LEAST, tmp_path), kept)
    assert [step.name for step in back.reminders.patient.steps] == ["3d", "1d", "90m"]  # type: ignore[union-attr]
    assert back.calendars == {}, "nobody knows any more where its events lie"
    assert back.notifiers["outbox"].options is None


def test_what_differs_is_named_by_its_path(tmp_path: Path) -> None:
    before = parts_of(settings_of(ALL, tmp_path))
    edited = (
        ALL.replace("day: 2", "day: 3").replace('"17"', '"18"').replace("id: braun", "id: costa")
    )
    after = parts_of(settings_of(edited, tmp_path))
    assert [path for path, _, _ in differences(before, after)] == [
        "doctors.acar.match.reception",
        "doctors.braun",
        "doctors.costa",
        "safety.caps.day",
    ]


def models(kind: Any) -> set[type[BaseModel]]:
    """Return every model that a type is made of."""
    found: set[type[BaseModel]] = set()
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        found.add(kind)
        for name, info in kind.model_fields.items():
            if name != "options":
                found |= models(info.annotation)
    for inner in get_args(kind):
        found |= models(inner)
    return found


@pytest.mark.parametrize("part", PARTS)
def test_no_part_that_is_kept_has_a_key_for_a_secret(part: str) -> None:
    for model in models(Settings.model_fields[part].annotation):
        for name, info in model.model_fields.items():
            assert "SecretStr" not in repr(info.annotation), f"{model.__name__}.{name}"
    assert "SecretStr" in repr(SecretStr)
