"""What `clinicrelay check` says: mistakes, every value with its origin, and a look without secrets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
CANARY = "canary-7719"
ROOT = Path(__file__).resolve().parents[2]


def test_what_is_right_is_said_to_be_right_with_the_file(desk: Any) -> None:
    ran = desk.run("check", now=None)

    assert ran.code == 0
    assert ran.out.startswith("REHEARSAL · ")
    assert str(desk.settings) in ran.out.splitlines()[0]
    assert "All is right." in ran.out


def test_a_broken_file_is_named_as_well(desk: Any) -> None:
    desk.change("version: 1", "version: 1\ncolour: red")
    ran = desk.run("check", now=None)

    assert ran.code == 2
    assert f"Settings: {desk.settings}" in ran.out
    assert f"{desk.settings}:2:1: error: colour: unknown key" in ran.out


def test_without_any_settings_it_is_said_where_to_put_them(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk.folder)
    monkeypatch.delenv("CLINICRELAY_SETTINGS", raising=False)
    desk.settings.rename(desk.folder / "x.yaml")
    ran = desk.run("check", "--json", now=None)
    [finding] = json.loads(ran.out)["findings"]

    assert ran.code == 2
    assert finding["code"] == "no_settings"


def test_every_value_is_explained_with_its_origin(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLINICRELAY__LOGGING__LEVEL", "debug")
    ran = desk.run("check", "--explain", now=None)
    lines = [line.split("  ") for line in ran.out.splitlines()]
    told = {cells[0]: [cell.strip() for cell in cells[1:] if cell.strip()] for cells in lines}

    assert ran.code == 0
    assert told["clinic.id"] == ["riverside", "settings.yaml:3:8"]
    assert told["logging.level"] == ["debug", "CLINICRELAY__LOGGING__LEVEL in the environment"]
    assert told["retention.bodies"] == ["30d", "default"]
    assert told["sources.reception.ready.settle"][0] == "0s"


def test_programs_get_the_same_and_no_secret(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLINICRELAY__STORE__INSTANCE_KEY", CANARY)
    ran = desk.run("check", "--explain", "--json", now=None)
    told = json.loads(ran.out)
    values = {one["path"]: one for one in told["values"]}

    assert told["ok"]
    assert values["clinic.name"] == {
        "path": "clinic.name",
        "value": "Riverside Family Clinic",
        "secret": False,
        "origin": "file",
        "file": str(desk.settings),
        "line": 3,
        "column": 25,
        "variable": None,
        "references": [],
    }
    assert values["store.instance_key"]["secret"]
    assert values["store.instance_key"]["value"] is None
    assert CANARY not in ran.out + ran.err


def test_a_pipe_learns_nothing_of_people(desk: Any) -> None:
    doctor = "doctors: [{id: acar, match: x, name: Dr. Elif Acar, email: acar@x.example}]\n"
    desk.change("calendars:", doctor + "safety: {only_recipients: [it@x.example]}\ncalendars:")
    ran = desk.run("check", "--explain", now=None)

    assert "doctors[0].id" in ran.out
    assert not any(name in ran.out for name in ("Elif", "acar@x.example", "it@x.example"))


def test_of_a_broken_file_what_is_written_is_explained(desk: Any) -> None:
    desk.change("contents: snapshot", "contents: everything")
    ran = desk.run("check", "--explain", now=None)

    assert ran.code == 2
    assert "sources.reception.contents everything settings.yaml:6:36" in " ".join(ran.out.split())
    assert "retention.bodies" not in ran.out


# --- without secrets ---------------------------------------------------------------------------


def test_without_secrets_no_store_is_opened_and_nothing_is_missed(desk: Any) -> None:
    desk.change("calendars:", "store: {url: 'postgresql://u:${PW}@db.example/x'}\ncalendars:")
    desk.change("ready:", "mapping: '${MAPPING}', ready:")
    desk.change("version: 1", "version: 1\ntemplates: ${TEMPLATES}\ndata: ${DATA}")
    ran = desk.run("check", "--no-secrets", now=None)

    assert (ran.code, ran.out.splitlines()[-1]) == (0, "All is right.")
    assert [file.name for file in desk.folder.iterdir()] == ["settings.yaml"]


def test_without_secrets_mistakes_in_settings_mappings_and_texts_are_found(desk: Any) -> None:
    desk.change("calendars:", "store: {url: '${URL}'}\ntemplates: texts\ncalendars:")
    desk.change("ready:", "mapping: mine.yaml, ready:")
    (desk.folder / "mine.yaml").write_text("version: 1\nfields: {}\n")
    (desk.folder / "texts").mkdir()
    (desk.folder / "texts" / "reminder.sms.de.j2").write_text("{{ nothing_of_ours }}")
    ran = desk.run("check", "--no-secrets", "--json", now=None)
    files = {finding["file"] for finding in json.loads(ran.out)["findings"]}

    assert ran.code == 2
    assert any(str(file).endswith("mine.yaml") for file in files)
    assert any(str(file).endswith("reminder.sms.de.j2") for file in files)


def test_without_secrets_what_needs_none_is_advised_all_the_same(desk: Any) -> None:
    desk.change(
        "calendars:",
        "  ehr:\n    type: fhir\n    preset: epic\n    base_url: https://ehr.example/R4\n    auth: "
        "{type: smart_backend, client_id: us, private_key: '${file:key.pem}'}\n"
        "    partition: {by: patient, ids: ['${PATIENT}']}\ncalendars:",
    )
    assert desk.run("check", "--no-secrets", now=None).code == 0
    desk.change("    partition: {by: patient, ids: ['${PATIENT}']}\n", "")
    ran = desk.run("check", "--no-secrets", now=None)
    assert ran.code == 2
    assert "before it is said whose appointments are wanted" in ran.out


@pytest.mark.parametrize("file", ["kubernetes/base", "compose/settings"])
def test_the_settings_to_begin_with_are_right_without_secrets(desk: Any, file: str) -> None:
    desk.write((ROOT / "deploy" / file / "settings.yaml").read_text())
    ran = desk.run("check", "--no-secrets", now=None)
    assert (ran.code, ran.out.splitlines()[-1]) == (0, "All is right.")


def test_without_secrets_nothing_can_be_connected_to(desk: Any) -> None:
    ran = desk.run("check", "--no-secrets", "--connect", now=None)

    assert ran.code == 2
    assert "without secrets" in ran.err


SOURCES_THAT_ARE_WRONG = """
version: 1
clinic: {id: riverside, name: Riverside, timezone: Europe/Berlin, country: DE, language: de}
sources:
  pms:
    type: rest
    base_url: http://127.0.0.1:9
    request: {path: /visits}
    key: id
  billing:
    type: sql
    url: sqlite:///practice.db
    query: SELECT * FROM visits FOR UPDATE
    mapping: reception_sql
  empty:
    type: sql
    url: sqlite:///practice.db
    mapping: reception_sql
notifiers:
  outbox: {type: outbox}
"""


def test_one_source_without_a_mapping_hides_no_other_s_mistakes(desk: Any) -> None:
    desk.settings.write_text(SOURCES_THAT_ARE_WRONG.lstrip())
    ran = desk.run("check", "--json", now=None)
    errors = [one for one in json.loads(ran.out)["findings"] if one["severity"] == "error"]
    found = {one["path"]: one["line"] for one in errors}

    assert ran.code == 2
    assert {name.split(".")[1] for name in found} == {"pms", "billing", "empty"}
    # The option that is wrong, and of one that is missing the source that lacks it.
    assert found["sources.billing.query"] == 12
    assert (found["sources.pms.mapping"], found["sources.empty"]) == (5, 15)
