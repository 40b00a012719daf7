"""The generated pages of the settings say what the models say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from clinicrelay.pages import outdated
from clinicrelay.settings import reference
from clinicrelay.settings.schema import Settings
from clinicrelay.settings.shape import sections


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for info in model.model_fields.values():
        for below in sections(reference.item_type(info.annotation)):
            yield from models(below)


def test_the_pages_are_up_to_date() -> None:
    assert outdated(reference.files()) == [], "run python -m clinicrelay.settings.reference"


def test_every_field_says_what_it_is_for() -> None:
    silent = [
        f"{model.__qualname__}.{name}"
        for root in (Settings, *(options for _, _, options in reference.installed()))
        for model in models(root)
        for name, info in model.model_fields.items()
        if not info.description
    ]

    assert silent == []


def test_no_plugin_accepts_keys_that_it_does_not_know() -> None:
    lax = [
        f"{section} {name}: {model.__qualname__}"
        for section, name, options in reference.installed()
        for model in models(options)
        if model.model_config.get("extra") != "forbid"
    ]

    assert lax == []


@pytest.mark.usefixtures("made_up_plugins")
def test_the_page_names_keys_as_they_are_written_with_type_and_default() -> None:
    page = reference.page()

    assert '| `quiet_hours.from` | time of day | `"21:00"` |' in page
    assert "| `safety.hold_if.gone` | share | `10%` |" in page
    assert "| `store.lease` | duration | `60s` |" in page
    assert "| `clinic.name` | text | required |" in page
    assert "`reminders.patient.steps[].before`" in page
    assert "## notifiers: `type: smtp`" in page
    assert "`notifiers.NAME.port`" in page
    assert ".options`" not in page


@pytest.mark.usefixtures("made_up_plugins")
def test_the_schema_joins_common_keys_and_those_of_the_type() -> None:
    schema = reference.json_schema()
    smtp = schema["$defs"]["notifiers.smtp"]

    assert {"type", "timeout", "host", "from"} <= set(smtp["properties"])
    assert "options" not in smtp["properties"]
    assert smtp["required"] == ["host", "type"]
    assert schema["properties"]["notifiers"]["additionalProperties"]["properties"]["type"] == {
        "enum": ["outbox", "smtp", "twilio_sms"]
    }
    assert schema["properties"]["data"]["default"] == "var"


@pytest.mark.usefixtures("made_up_plugins")
def test_the_schema_takes_a_step_as_a_word_and_quiet_hours_as_off() -> None:
    schema = reference.json_schema()

    assert {"string", "object"} <= {c.get("type") for c in schema["$defs"]["Step"]["anyOf"]}
    assert {"const": "off"} in schema["properties"]["quiet_hours"]["anyOf"]
