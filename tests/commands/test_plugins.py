"""The plugins there are: ours, those of other packages, and those that cannot be used yet."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pydantic import SecretStr, ValidationError
from ruamel.yaml import YAML

import commands
from clinicrelay import plugins
from clinicrelay.pages import outdated
from clinicrelay.settings.plugged import ROOMS
from commands import _plugin_page
from commands._call import Call
from sync import catalogue
from sync.catalogue import BUILT_IN, Entry

PLUGIN = '''\
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from clinicrelay import Channel, Notifier

class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")
    token: SecretStr = Field(description="The key that Acme gave you.")
    region: str = Field(default="eu", description="Where Acme keeps it.", examples=["eu"])

class Acme(Notifier):
    """Sends letters by pigeon.

    More that nobody needs to see here.
    """
    Options = Options
    channels = (Channel.SMS,)
'''


class Ran(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Ran]:
    """Type the command in a folder without any settings."""
    monkeypatch.chdir(tmp_path)

    def typed(*words: str) -> Ran:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            commands.main(["plugins", *words])
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        assert isinstance(end.value.code, int)
        return Ran(end.value.code, said.out, said.err)

    return typed


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Install a package of somebody else's, with one notifier in a module of this text."""

    def install(text: str) -> None:
        place = tmp_path / "site"
        info = place / "acme_mail-2.1.dist-info"
        info.mkdir(parents=True)
        (place / "acme_mail.py").write_text(text, encoding="utf-8")
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-mail\nVersion: 2.1\n")
        (info / "entry_points.txt").write_text("[clinicrelay.notifiers]\nacme = acme_mail\n")
        monkeypatch.syspath_prepend(str(place))
        monkeypatch.delitem(sys.modules, "acme_mail", raising=False)

    return install


def found(run: Callable[..., Ran], *words: str) -> dict[str, dict[str, Any]]:
    ran = run("--json", *words)
    assert ran.code == 0, ran
    return {one["type"]: one for one in json.loads(ran.out)}


# --- ours ----------------------------------------------------------------------------------------


def test_every_plugin_of_every_room_is_listed_without_any_settings(run: Callable[..., Ran]) -> None:
    listed = [(one["section"], one["type"]) for one in json.loads(run("--json").out)]

    assert listed == [(s, name) for s, (room, _) in ROOMS.items() for name in plugins.names(room)]
    assert {("sources", "csv"), ("calendars", "ics"), ("notifiers", "outbox")} <= set(listed)


def test_a_line_says_what_a_plugin_does_and_by_which_channels(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = run().out
    monkeypatch.setattr(Call, "on_terminal", property(lambda call: True))
    monkeypatch.setenv("COLUMNS", "200")
    terminal = run().out

    for said in (pipe, terminal):
        (line,) = [line for line in said.splitlines() if line.startswith("notifiers  outbox")]
        assert "email, sms, whatsapp" in line
        assert "built in" in line
        assert "Writes what would be sent" in line
    assert "what it does" in terminal


def test_one_plugin_is_shown_with_its_keys_and_the_least_that_works(
    run: Callable[..., Ran],
) -> None:
    ran = run("csv")

    assert ran.code == 0
    said = {" ".join(line.split()) for line in ran.out.splitlines()}
    assert any(line.startswith("contents snapshot | delta | append required") for line in said)
    assert any(line.startswith("ready.settle duration") for line in said)
    assert ran.out.endswith("sources:\n  csv:\n    type: csv\n    contents: snapshot\n")
    assert "Nothing leaves this machine." in run("outbox").out


def test_json_has_exactly_its_keys(run: Callable[..., Ran]) -> None:
    one = found(run, "ics")["ics"]

    assert one == {
        "section": "calendars",
        "type": "ics",
        "origin": "built in",
        "says": "Writes `FOLDER/DOCTOR.ics`; calendar programs open or subscribe to it.",
        "channels": [],
        "outside": False,
        "fault": None,
        "install": None,
        "options": [
            {
                "key": "folder",
                "type": "path",
                "default": "calendars",
                "required": False,
                "description": "Where the files go, one a doctor; relative to the data folder.",
                "example": None,
            }
        ],
        "example": "calendars:\n  ics:\n    type: ics",
    }


def test_a_name_that_is_none_is_answered_with_the_nearest(run: Callable[..., Ran]) -> None:
    ran = run("outbux")

    assert ran.code == 2
    assert "did you mean outbox?" in " ".join(ran.err.replace("│", " ").split())
    assert "there are: csv" in " ".join(run("zzz").err.replace("│", " ").split())


# --- of other packages ---------------------------------------------------------------------------


def test_a_plugin_of_another_package_says_which(
    run: Callable[..., Ran], package: Callable[[str], None]
) -> None:
    package(PLUGIN)

    one = found(run)["acme"]
    ran = run("acme")

    assert (one["origin"], one["says"]) == ("acme-mail 2.1", "Sends letters by pigeon.")
    assert one["outside"] is True
    assert "Sends sms." in ran.out
    assert ran.out.endswith('notifiers:\n  acme:\n    type: acme\n    token: "${ACME_TOKEN}"\n')


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("import pigeons", "needs the library pigeons"),
        ("def", "cannot be imported (SyntaxError)"),
        ("x = 1", "cannot be imported (TypeError)"),
        ("raise SystemError('Quenby')", "cannot be imported (SystemError)"),
    ],
)
def test_a_plugin_that_cannot_be_imported_hides_no_other(
    run: Callable[..., Ran], package: Callable[[str], None], text: str, fault: str
) -> None:
    package(text)

    listed = found(run)

    assert listed["acme"]["fault"] == fault
    assert listed["outbox"]["fault"] is None
    ran = run("acme")
    assert ran.code == 0
    assert fault in ran.out
    assert "Quenby" not in ran.out


# --- extras --------------------------------------------------------------------------------------


@pytest.fixture
def pigeon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin of ours whose library comes with an extra, and is not installed."""
    names, requires = plugins.names, catalogue.metadata.requires

    def named(room: str) -> list[str]:
        return sorted({*names(room), "pigeon_sms"}) if room == "notifiers" else names(room)

    monkeypatch.setattr(plugins, "names", named)
    monkeypatch.setattr(
        catalogue.metadata,
        "requires",
        lambda name: [*(requires(name) or []), "pigeon-post>=9.1; extra == 'pigeon'"],
    )
    monkeypatch.setattr(catalogue, "_origin", lambda room, name: BUILT_IN)


@pytest.mark.usefixtures("pigeon")
def test_what_is_missing_is_told_with_the_line_to_install_it(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = plugins.find

    def lacking(room: str, name: str) -> plugins.Plugin:
        if name == "pigeon_sms":
            raise ImportError("no module", name="pigeon")
        return find(room, name)

    monkeypatch.setattr(plugins, "find", lacking)

    one = found(run)["pigeon_sms"]
    line = next(line for line in run().out.splitlines() if "pigeon_sms" in line)

    assert one["install"] == 'pip install "clinicrelay[pigeon]"'
    assert line.endswith('needs the library pigeon: pip install "clinicrelay[pigeon]"')


@pytest.mark.usefixtures("pigeon")
def test_a_plugin_that_imports_its_library_late_is_known_to_lack_it(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = plugins.find
    monkeypatch.setattr(
        plugins, "find", lambda room, name: find(room, name.replace("pigeon_sms", "outbox"))
    )

    one = found(run)["pigeon_sms"]

    assert (one["fault"], one["install"]) == (None, 'pip install "clinicrelay[pigeon]"')
    assert 'needs: pip install "clinicrelay[pigeon]"' in run("pigeon_sms").out


# --- said of every plugin ------------------------------------------------------------------------


def entries() -> list[Entry]:
    return [entry for entry in catalogue.catalogue() if entry.origin == BUILT_IN]


def test_the_page_is_up_to_date() -> None:
    assert outdated(_plugin_page.files()) == [], "run python -m commands._plugin_page"


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: f"{entry.section}-{entry.name}")
def test_every_plugin_says_what_it_does_and_what_each_key_is_for(entry: Entry) -> None:
    assert entry.fault == ""
    assert entry.says.endswith("."), "begin the class's docstring with a sentence"
    assert [option.key for option in entry.options if not option.about] == []


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: f"{entry.section}-{entry.name}")
def test_the_example_of_every_plugin_is_one_that_its_options_take(entry: Entry) -> None:
    section = YAML(typ="safe", pure=True).load(entry.example)[entry.section][entry.name]
    room = ROOMS[entry.section][0]
    kind = plugins.find(room, section.pop("type"))

    try:
        kind.Options.model_validate(section, context={"country": "DE"})
    except ValidationError as error:
        # What a file holds that is only referred to, nobody can judge by the reference.
        wrong = [e for e in error.errors() if not str(e["input"]).startswith("${file:")]
        if wrong:
            pytest.fail(f"give its required keys examples: {wrong}")


def test_a_plugin_without_words_would_be_seen() -> None:
    from pydantic import BaseModel

    class Options(BaseModel):
        token: SecretStr

    (option,) = catalogue._options(Options)

    assert (option.about, option.required) == ("", True)
