"""Mistakes under `auth`, where one of several kinds of section may stand, and the pages about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from clinicrelay import Connector, Finding, SettingsError, plugins
from clinicrelay.http import HttpOptions
from clinicrelay.settings import json_schema, load, reference

HEAD = """\
version: 1
clinic: {id: riverside, name: Riverside, timezone: Europe/Berlin, country: DE, language: de}
sources:
  ehr:
    type: web
    base_url: https://ehr.example/r4
"""


class Web(Connector):
    class Options(HttpOptions):
        """A made-up source."""


@pytest.fixture(autouse=True)
def _web(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = plugins.find
    monkeypatch.setattr(plugins, "find", lambda *a: Web if a[1] == "web" else usual(*a))


def mistakes(folder: Path, text: str) -> list[Finding]:
    file = folder / "settings.yaml"
    file.write_text(f"{HEAD}    {text}\n", encoding="utf-8")
    file.chmod(0o600)
    environ = dict.fromkeys(("TOKEN", "KEY"), "abcdef") | {"BAD": "one\ntwo", "EMPTY": ""}
    with pytest.raises(SettingsError) as told:
        load(file, environ=environ)
    return [one for one in told.value.findings if one.severity == "error"]


# text | column on line 7 | path below the source | a word of the message | a word of the remedy
GOLDEN = [
    ('auth: {type: berer, token: "${TOKEN}"}', 18, "auth.type", "must be one of none", "write bearer"),
    ("auth: {type: bearer}", 5, "auth.token", "'token' is missing", 'token: "${EHR_TOKEN}"'),
    ('auth: {type: bearer, token: "${TOKEN}", tok: a}', 45, "auth.tok", "unknown key", "'token'"),
    ('auth: {token: "${TOKEN}"}', 11, "auth", "'type' is missing", "`type: bearer`"),
    ("auth: {client_id: a, kid: b}", 11, "auth", "'type' is missing", "`type: smart_backend`"),
    ("auth: {}", 11, "auth", "'type' is missing", "`type: …`"),
    ("auth: bearer", 11, "auth", "a section is wanted", "{type: bearer, …}"),
    ("auth: [a]", 11, "auth", "a section is wanted", "below it"),
    (
        'auth: {type: basic, username: "${KEY}", token: "${TOKEN}"}',
        45,
        "auth.token",
        "'token' is not a key of this type, basic",
        "the type that has it: bearer",
    ),
    ("auth: {type: none, foo: 1}", 24, "auth.foo", "unknown key 'foo'", "known here are type"),
    ('auth: {type: bearer, token: "${BAD}"}', 33, "auth.token", "a line break", "as one line"),
    ("auth: {type: header, name: X Y, value: a}", 32, "auth.name", "signs that are not", "match"),
    (
        'auth: {type: oauth2, client_id: a, client_secret: "${KEY}", token_url: ftp://x}',
        76,
        "auth.token_url",
        "not an address",
        "https://auth.ehr.example/token",
    ),
    ("tls: {key: a.key}", 10, "tls", "a key without its certificate", "cert: …"),
    ("headers: {X Y: a}", 15, "headers.X Y", "signs that are not allowed", "match"),
    ("proxy: proxy.example", 12, "proxy", "no proxy's address", "http://"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "column", "path", "what", "fix"), GOLDEN, ids=[text for text, *_ in GOLDEN]
)
def test_a_mistake_is_told_at_its_place_with_what_would_be_right(
    tmp_path: Path, text: str, column: int, path: str, what: str, fix: str
) -> None:
    (told,) = mistakes(tmp_path, text)
    assert (told.line, told.column, told.path) == (7, column, f"sources.ehr.{path}")
    assert what in told.message
    assert fix in told.fix


@pytest.mark.parametrize("url", ["ftp://x", "https://u:p@x.example", "https://x.example?a=b", "x"])
def test_what_is_no_base_address_is_told_without_its_credentials(tmp_path: Path, url: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(HEAD.replace("https://ehr.example/r4", url), encoding="utf-8")
    with pytest.raises(SettingsError) as failed:
        load(file, environ={})
    told = [one for one in failed.value.findings if one.path == "sources.ehr.base_url"]
    assert any(one.severity == "error" and one.fix for one in told)
    assert not any("u:p@" in one.message + one.fix for one in told)


# --- the pages ---------------------------------------------------------------------------------


@pytest.fixture
def _with_web(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (reference, json_schema):
        monkeypatch.setattr(module, "installed", lambda: [("sources", "web", Web.Options)])


@pytest.mark.usefixtures("_with_web")
def test_each_kind_has_a_table_of_its_own_in_the_reference() -> None:
    page = reference.page()
    for kind in ("none", "basic", "bearer", "header", "query", "oauth2", "smart_backend"):
        assert page.count(f"## sources.NAME.auth: `type: {kind}`\n") == 1


@pytest.mark.usefixtures("_with_web")
@pytest.mark.parametrize(
    ("auth", "right"),
    [
        (None, True),
        ({"type": "bearer", "token": "${TOKEN}"}, True),
        ({"type": "basic", "username": "key"}, True),
        ({"type": "bearer"}, False),
        ({"type": "berer", "token": "x"}, False),
        ({"type": "bearer", "token": "x", "username": "y"}, False),
        ({"token": "x"}, False),
    ],
)
def test_the_schema_for_editors_accepts_what_the_settings_do(auth: Any, right: bool) -> None:
    clinic = {
        "id": "a",
        "name": "A",
        "timezone": "Europe/Berlin",
        "country": "DE",
        "language": "de",
    }
    source = {"type": "web", "base_url": "https://ehr.example", "auth": auth}
    whole = {"version": 1, "clinic": clinic, "sources": {"ehr": source}}
    schema = Draft202012Validator(json.loads(json_schema.text()))
    assert schema.is_valid(whole) is right
