"""Any key can be set by a variable, and a wrong one is told of with the variable's name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from clinicrelay import Channel, Finding
from clinicrelay.settings import Loaded

Read = Callable[..., Loaded]
Mistakes = Callable[..., list[Finding]]

OUT = "notifiers: {outbox: {type: outbox}}\n"
CANARY = "canary-7719"


@pytest.mark.parametrize(
    ("variable", "text", "path", "value"),
    [
        ("STORE__LEASE", "90s", "store.lease", timedelta(seconds=90)),
        ("store__lease", "90s", "store.lease", timedelta(seconds=90)),
        ("SAFETY__MAX_MESSAGES_PER_RUN", "7", "safety.max_messages_per_run", 7),
        ("SAFETY__HOLD_IF__GONE", "5%", "safety.hold_if.gone", 0.05),
        ("REMINDERS__PATIENT__ON_GONE", "true", "reminders.patient.on_gone", True),
        ("SAFETY__ONLY_RECIPIENTS", '["a@x.example"]', "safety.only_recipients", ("a@x.example",)),
        ("CLINIC__NAME", "0017", "clinic.name", "0017"),
        ("CLINIC__ADDRESS", "a: b # c", "clinic.address", "a: b # c"),
        ("CLINIC__ADDRESS", "${NOT_FOLLOWED}", "clinic.address", "${NOT_FOLLOWED}"),
        ("QUIET_HOURS", "off", "quiet_hours", None),
        ("SOURCES__RECEPTION__WINDOW__PAST", "3d", "sources.reception.window.past.text", "3d"),
        ("SOURCES__RECEPTION__CONTENTS", "delta", "sources.reception.options.contents", "delta"),
        ("CALENDARS__NEW__TYPE", "ics", "calendars.new.type", "ics"),
        ("CALENDARS__NEW", "{type: ics}", "calendars.new.type", "ics"),
    ],
)
def test_a_variable_sets_the_key_it_is_called_after(
    read: Read, variable: str, text: str, path: str, value: Any
) -> None:
    here: Any = read(OUT, **{f"CLINICRELAY__{variable}": text}).settings
    for step in path.split("."):
        here = here[step] if isinstance(here, dict) else getattr(here, step)

    assert here == value


def test_a_section_can_be_set_as_json(read: Read) -> None:
    consent = read(OUT, CLINICRELAY__CHANNELS__CONSENT='{"sms": "off"}').settings.channels.consent

    assert (consent[Channel.SMS], consent[Channel.EMAIL]) == ("off", "implied")


def test_a_name_with_capitals_and_hyphens_is_found_whatever_the_variable_has(read: Read) -> None:
    text = "calendars: {my-files: {type: ics}, our_files: {type: ics, folder: x}}\n"
    calendars = read(
        text,
        CLINICRELAY__CALENDARS__MY_FILES__FOLDER="a",
        clinicrelay__CALENDARS__OUR_FILES__FOLDER="never: the prefix is in capitals",
        CLINICRELAY__calendars__our_files__FOLDER="b",
    ).settings.calendars

    assert [str(one.options.folder) for one in calendars.values()] == ["a", "b"]


def test_an_item_of_a_list_is_set_by_its_number_and_one_more_is_added(read: Read) -> None:
    text = "doctors: [{id: a, match: '1'}, {id: b, match: '2'}]\n"
    doctors = read(
        text,
        CLINICRELAY__DOCTORS__1__ID="c",
        CLINICRELAY__DOCTORS__2__ID="d",
        CLINICRELAY__DOCTORS__2__MATCH="3",
    ).settings.doctors

    assert [(one.id, one.match) for one in doctors] == [("a", "1"), ("c", "2"), ("d", "3")]


@pytest.mark.parametrize(
    ("variable", "text", "path", "fix"),
    [
        ("STOR__URL", "x", "stor", "did you mean 'store'?"),
        ("STORE__URLL", "x", "store.urll", "did you mean 'url'?"),
        ("TIMEZONE", "UTC", "timezone", "belongs under 'clinic'"),
        ("SOURCES__RECEPTION__INBX", "x", "sources.reception.inbx", "did you mean 'inbox'?"),
        ("STORE__LEASE", CANARY, "store.lease", "write 15m"),
        ("STORE__", "x", "store.", "known here are"),
        ("LOGGING__LEVEL", "[debug]", "logging.level", "write"),
        ("STORE", CANARY, "store", "keys below it"),
        ("SAFETY__ONLY_RECIPIENTS", "[a", "safety.only_recipients", "close the bracket"),
        ("MONITORING__METRICS", "x", "monitoring.metrics", "127.0.0.1:9464"),
    ],
)
def test_a_wrong_variable_is_named_and_its_value_is_not_repeated(
    tmp_path: Path, mistakes: Mistakes, variable: str, text: str, path: str, fix: str
) -> None:
    name = f"CLINICRELAY__{variable}"
    finding = next(f for f in mistakes(OUT, **{name: text}) if f.path == path)

    assert f"(from the environment variable {name})" in finding.message
    assert fix in finding.fix
    assert finding.file == str(tmp_path / "settings.yaml")
    assert (finding.line, finding.column) == (0, 0)
    assert CANARY not in finding.message + finding.fix


def test_state_lies_in_data_and_the_rest_beside_the_settings(tmp_path: Path, read: Read) -> None:
    settings = read(
        "store: {url: 'sqlite:///a.db'}\nlogging: {file: b.log}\n",
        CLINICRELAY__DATA="state",
        CLINICRELAY__TEMPLATES="texts",
    ).settings

    assert settings.store_url == f"sqlite:///{tmp_path}/state/a.db"
    assert settings.log_file == tmp_path / "state" / "b.log"
    assert settings.templates == tmp_path / "texts"
