"""The generated pages of the settings say what the models say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import BaseModel, Field

from clinicrelay.pages import outdated
from clinicrelay.settings import reference
from clinicrelay.settings.plugged import installed
from clinicrelay.settings.schema import Settings
from clinicrelay.settings.shape import item_type, sections
from clinicrelay.settings.values import Section


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for info in model.model_fields.values():
        for below in sections(item_type(info.annotation)):
            yield from models(below)


def test_the_pages_are_up_to_date() -> None:
    assert outdated(reference.files()) == [], "run python -m clinicrelay.settings.reference"


def test_every_field_says_what_it_is_for() -> None:
    silent = [
        f"{model.__qualname__}.{name}"
        for root in (Settings, *(options for _, _, options in installed()))
        for model in models(root)
        for name, info in model.model_fields.items()
        if not info.description
    ]

    assert silent == []


def test_every_field_is_shown_as_it_may_be_written() -> None:
    silent = [
        f"{model.__qualname__}.{name}"
        for root in (Settings, *(options for _, _, options in installed()))
        for model in models(root)
        for name, info in model.model_fields.items()
        if name != "options"
        and not list(sections(item_type(info.annotation)))  # whose keys are shown themselves
        and not reference.example_of(info)
    ]

    assert silent == []


def test_every_field_has_a_row_with_its_type_and_what_it_is_for() -> None:
    rows = [line.split(" | ") for line in reference.page().splitlines() if line[:3] == "| `"]
    fields = [
        name
        for root in (Settings, *(options for _, _, options in installed()))
        for model in models(root)
        for name in model.model_fields
        if name != "options"
    ]

    assert len(rows) >= len(fields)
    for path, kind, _, purpose, *_ in rows:
        assert kind, path
        assert len(purpose) > 10, path


def test_a_field_that_says_nothing_is_found() -> None:
    class Silent(Section):
        key: str

    class Around(Section):
        inner: Silent = Field(description="A section.")

    told = [
        (model.__name__, name)
        for model in models(Around)
        for name, info in model.model_fields.items()
        if not info.description or not (reference.example_of(info) or name == "inner")
    ]

    assert told == [("Silent", "key")]


def test_no_plugin_accepts_keys_that_it_does_not_know() -> None:
    lax = [
        f"{section} {name}: {model.__qualname__}"
        for section, name, options in installed()
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
