"""The JSON Schema that editors get: it knows what `check` knows, as far as one value goes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel
from ruamel.yaml import YAML

from clinicrelay import SettingsError, plugins
from clinicrelay.settings import json_schema, load, shape
from clinicrelay.settings.plugged import ROOMS, installed
from clinicrelay.settings.schema import Settings
from clinicrelay.settings.shape import names_of
from clinicrelay.settings.writing import as_written, default_of

SHIPPED = Path(__file__).parents[2] / "settings.yaml"

HEAD = """\
version: 1
clinic: {id: riverside, name: Riverside, timezone: Europe/Berlin, country: DE, language: de}
"""
DESK = "sources: {reception: {type: csv, contents: snapshot}}\n"
OUT = "notifiers: {outbox: {type: outbox}}\n"

FHIR_GOOGLE_TWILIO = """\
version: 1
clinic: {id: riverside, name: Riverside, timezone: Europe/Berlin, country: DE, language: de}
data: /var/lib/clinicrelay
sources:
  main_ehr:
    type: fhir
    preset: epic
    base_url: https://fhir.ehr.example/api/FHIR/R4
    auth:
      type: smart_backend
      client_id: 3f2c9a10
      private_key: ${file:secrets/ehr.pem}
  reception: {type: csv, contents: snapshot}
calendars:
  google:
    type: google
    credentials: ${file:secrets/google.json}
doctors:
  - {id: acar,  match: Practitioner/17, calendar: elif.acar@riverside.example}
  - {id: braun, match: Practitioner/22, calendar: jonas.braun@riverside.example}
notifiers:
  outbox: {type: outbox}
  twilio:
    type: twilio_sms
    account_sid: ${TWILIO_ACCOUNT_SID}
    auth_token: ${TWILIO_AUTH_TOKEN}
    from: "+4930987654321"
channels:
  consent: {sms: implied, email: implied}
reminders:
  patient: {confirmation: {channels: [email], invite: true}, steps: [3d, 1d, 1h]}
  doctor: {digest: {at: "18:00"}}
"""


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return json_schema.json_schema()


@pytest.fixture(scope="module")
def judge(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(schema)


def data(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def refused(judge: Draft202012Validator, value: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in judge.iter_errors(value)]


def sections(schema: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each place that holds keys, with its name."""
    yield "settings", schema  # type: ignore[misc]
    for name, one in schema["$defs"].items():
        for choice in one.get("anyOf", [one]):
            if "properties" in choice:
                yield name, choice


def models(schema: Mapping[str, Any]) -> Iterator[tuple[type[BaseModel], dict[str, Any]]]:
    """Yield each model, the plugins' own included, with its keys in the schema."""
    yield Settings, schema["properties"]
    below = [Settings, *(model for _, model in ROOMS.values())]
    for model in below:
        for info in model.model_fields.values():
            found = list(shape.sections(shape.item_type(info.annotation)))
            below += [one for one in found if one not in below]
            for one in found:
                if one.__name__ in schema["$defs"]:
                    choices = schema["$defs"][one.__name__]
                    yield from (
                        (one, choice["properties"])
                        for choice in choices.get("anyOf", [choices])
                        if "properties" in choice
                    )
    for section, kind, options in installed():
        keys = schema["$defs"][f"{section}.{kind}"]["properties"]
        yield options, keys
        yield ROOMS[section][1], keys


# --- what is right -------------------------------------------------------------------------------


def test_it_is_a_json_schema(schema: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema)


def test_the_shipped_file_points_at_it_and_holds(judge: Draft202012Validator) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    first = json_schema.FIRST_LINE.format(place="docs/reference/settings.schema.json")

    assert text.splitlines()[0] == first
    assert (SHIPPED.parent / first.partition("=")[2]).read_text() == json_schema.text()
    assert refused(judge, data(text)) == []


def test_a_file_with_services_holds_as_far_as_their_types_are_there(
    tmp_path: Path, judge: Draft202012Validator
) -> None:
    settings = data(FHIR_GOOGLE_TWILIO)
    for section, (room, _) in ROOMS.items():
        there = plugins.names(room)
        named = settings[section].items()
        settings[section] = {name: one for name, one in named if one["type"] in there}

    assert refused(judge, settings) == []
    (tmp_path / "settings.yaml").write_text(json.dumps(settings))
    load(tmp_path / "settings.yaml", environ={}, secrets=False)


def test_every_example_of_every_key_holds(schema: dict[str, Any]) -> None:
    count = 0
    for model, written in models(schema):
        for name, info in model.model_fields.items():
            for example in (info.examples or ()) if name not in ("options", "type") else ():
                key = written[names_of(name, info)[0]]
                judge = Draft202012Validator({**key, "$defs": schema["$defs"]})
                assert refused(judge, example) == [], (model, name)
                count += 1

    assert count > 60


def test_every_default_holds_and_is_written_as_a_person_would(schema: dict[str, Any]) -> None:
    for name, section in sections(schema):
        for key, one in section["properties"].items():
            if "default" in one:
                judge = Draft202012Validator({**one, "$defs": schema["$defs"]})
                assert refused(judge, one["default"]) == [], (name, key)

    assert schema["$defs"]["HoldIf"]["properties"]["gone"]["default"] == "10%"
    assert schema["$defs"]["Store"]["properties"]["lease"]["default"] == "60s"


RIGHT = [
    *("", "data:", "store:", "store: {lease: }", "safety: {hold_if: }", "doctors:"),
    *("quiet_hours: off", "quiet_hours: false", "quiet_hours: no", "quiet_hours: '${X}'"),
    *(
        "quiet_hours: {from: '9:30', to: '${X}'}",
        "store: {lease: '${X}'}",
        "store: {lease: 1h 30m}",
    ),
    *("safety: {max_messages_per_run: '${X}'}", "safety: {hold_if: {gone: '${X}'}}"),
    *("safety: {hold_if: {gone: 0.05, storm: 2.5, cancelled: 100%}}", "logging: {level: '${X}'}"),
    *("safety: {only_recipients: ['*@x.example', '+4915100000000', '${X}']}",),
    *("retention: {bodies: 1w}", "data: '~/state'", "calendars: {f: {type: '${X}'}}"),
    *("calendars: {f: {type: ics, event: {phi_acknowledged: '${X}', detail: '${X}'}}}",),
    *("doctors: [{id: a, match: {reception: '1'}, calendar: x}, {id: b, match: '2'}]",),
    OUT + "reminders: {patient: {steps: [1d, '${X}', {before: 1h, latest: 5m, channels: [sms]}]}}",
    OUT + "reminders: {patient: {on_gone: '${X}', confirmation: {invite: '${X}'}}}",
    OUT + "channels: {order: [sms, '${X}'], consent: {sms: off}, email: [outbox]}",
]


@pytest.mark.parametrize("text", RIGHT)
def test_what_check_takes_the_schema_takes(
    tmp_path: Path, judge: Draft202012Validator, text: str
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(HEAD + DESK + text + "\n")
    load(file, environ={}, secrets=False)

    assert refused(judge, data(file.read_text())) == []


# --- what is wrong -------------------------------------------------------------------------------


WRONG = [
    *("colour: red", "store: {urll: x}", "monitoring: {metrics: x}", "store: x", "doctors: {}"),
    *(
        "store: {lease: soon}",
        "store: {lease: 15}",
        "store: {lease: 15x}",
        "retention: {bodies: 3}",
    ),
    *("quiet_hours: {from: 9 pm}", "quiet_hours: maybe", "quiet_hours: {from: '24:00'}"),
    *("safety: {hold_if: {gone: 10}}", "safety: {hold_if: {gone: 101%}}"),
    *("safety: {hold_if: {storm: 1x}}", "safety: {hold_if: {storm: 0}}"),
    *("safety: {max_messages_per_run: many}", "safety: {max_messages_per_run: 0}"),
    *("safety: {only_recipients: []}", "safety: {only_recipients: }"),
    *("safety: {only_recipients: [somebody]}", "logging: {level: loud}"),
    *(
        "calendars: {f: {type: icss}}",
        "calendars: {f: {folder: x}}",
        "calendars: {F G: {type: ics}}",
    ),
    *("calendars: {f: {type: ics, foldr: x}}", "calendars: {f: {type: ics, folder: [x]}}"),
    *("calendars: {f: {type: ics, event: {detail: all}}}", "calendars: [ics]"),
    *("notifiers: {o: {type: outbox, rate: fast}}", "notifiers: {o: {type: outbox, rate: 0/s}}"),
    *("notifiers: {o: {type: outbox, timeout: 5}}", "doctors: [{id: a}]", "doctors: [{match: x}]"),
    *("doctors: [{id: a b, match: x}]", "doctors: [{id: a, match: 22}]"),
    *("doctors: [{id: a, match: x, email: nobody}]", "doctors: [{id: a, match: x, phone: 0301}]"),
    OUT + "reminders: {patient: {steps: 1d}}",
    OUT + "reminders: {patient: {steps: [soon]}}",
    OUT + "reminders: {patient: {steps: [{latest: 1h}]}}",
    OUT + "reminders: {patient: {steps: [{before: 1d, channels: [fax]}]}}",
    OUT + "reminders: {patient: {on_gone: maybe}}",
    OUT + "reminders: {nurse: {}}",
    OUT + "channels: {order: [fax]}",
    OUT + "channels: {consent: {sms: maybe}}",
    OUT + "channels: {consent: {fax: off}}",
]

WRONG_CLINICS = [
    HEAD.replace("id: riverside", "id: My Clinic"),
    HEAD.replace("id: riverside, ", ""),
    HEAD.replace("Europe/Berlin", "CET"),
    HEAD.replace("Europe/Berlin", "Etc/GMT+1"),
    HEAD.replace("DE", "Germany"),
    HEAD.replace("language: de", "language: german"),
    HEAD.replace("language: de", "language: de, phone: +493012345678"),
    HEAD.replace("language: de", "language: de, phone: '030 12345678'"),
    HEAD.replace("language: de", "language: de, email: nobody"),
    HEAD.replace("version: 1", "version: 2"),
    HEAD.replace("version: 1\n", ""),
    HEAD.replace("name: Riverside", "name: ''"),
    HEAD.replace("name: Riverside", "name: "),
]


@pytest.mark.parametrize(
    "text", [HEAD + DESK + w for w in WRONG] + [c + DESK for c in WRONG_CLINICS]
)
def test_what_check_refuses_the_schema_refuses(
    tmp_path: Path, judge: Draft202012Validator, text: str
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(text + "\n")
    with pytest.raises(SettingsError):
        load(file, environ={})

    assert refused(judge, data(file.read_text()))


@pytest.mark.parametrize("entry", ["{contents: all}", "{contents: snapshot, patern: x}", "{}"])
def test_a_plugins_own_keys_are_judged_under_its_type(
    judge: Draft202012Validator, entry: str
) -> None:
    text = HEAD + "sources: {a: " + entry.replace("{", "{type: csv, ", 1) + "}"

    assert refused(judge, data(text))


# --- help ----------------------------------------------------------------------------------------


def test_every_key_says_what_it_is_for(schema: dict[str, Any]) -> None:
    silent = [
        f"{name}.{key}"
        for name, section in sections(schema)
        for key, one in section["properties"].items()
        if not one.get("description")
    ]

    assert silent == []


def test_every_key_of_the_models_is_there_with_its_default(schema: dict[str, Any]) -> None:
    for model, keys in models(schema):
        for name, info in model.model_fields.items():
            if name != "options" and default_of(info) not in ("", "required"):
                key = keys[names_of(name, info)[0]]
                assert key["default"] == as_written(info.default, info), (model, name)


@pytest.mark.usefixtures("made_up_plugins")
def test_a_plugins_keys_and_the_common_ones_are_offered_after_its_type() -> None:
    made = json_schema.json_schema()
    entry = made["properties"]["notifiers"]["anyOf"][0]["additionalProperties"]
    smtp = made["$defs"]["notifiers.smtp"]

    kinds = ["outbox", "patient_post", "smtp", "twilio_sms"]
    assert entry["properties"]["type"]["anyOf"][0] == {"enum": kinds}
    assert [one["then"]["$ref"].rpartition(".")[2] for one in entry["allOf"]] == kinds
    assert {"type", "timeout", "host", "from"} <= set(smtp["properties"])
    assert "options" not in smtp["properties"]
    assert smtp["required"] == ["host", "type"]


def test_a_schema_is_written_beside_a_settings_file_with_the_line_that_points_at_it(
    tmp_path: Path,
) -> None:
    line = json_schema.write_beside(tmp_path / "settings.yaml")

    assert line == "# yaml-language-server: $schema=settings.schema.json"
    assert (tmp_path / "settings.schema.json").read_text(encoding="utf-8") == json_schema.text()
