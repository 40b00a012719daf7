"""Plugins made up for the tests of settings, and a settings file to write them into."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, SecretStr

from clinicrelay import Calendar, Channel, Connector, Finding, Notifier, SettingsError, plugins
from clinicrelay.settings import Loaded, load
from clinicrelay.settings.values import Duration, Section

HEAD = """\
version: 1
clinic: {id: riverside, name: Riverside, timezone: Europe/Berlin, country: DE, language: de}
sources: {reception: {type: csv, contents: snapshot}}
"""


class Basic(Section):
    kind: Literal["basic"]
    password: SecretStr


class Token(Section):
    kind: Literal["token"]
    token: SecretStr


class Drops(Connector):
    class Options(Section):
        contents: Literal["snapshot", "delta", "append"]
        inbox: Path | None = None
        settle: Duration | None = None
        auth: Annotated[Basic | Token, Field(discriminator="kind")] | None = None


class Folder(Calendar):
    class Options(Section):
        folder: Path = Path("calendars")


class Post(Notifier):
    channels = (Channel.EMAIL,)

    class Options(Section):
        host: str
        port: int = 587
        password: SecretStr | None = None
        sender: str = Field("Riverside <noreply@riverside.example>", alias="from")


class PatientPost(Notifier):
    channels = (Channel.EMAIL,)

    class Options(Section):
        timeout: Duration | None = None


class Texts(Notifier):
    channels = (Channel.SMS,)

    class Options(Section):
        auth_token: SecretStr | None = None


class Anything(Notifier):
    channels = tuple(Channel)
    outside = False

    class Options(BaseModel):
        folder: Path = Path("outbox")


PLUGINS: dict[str, dict[str, plugins.Plugin]] = {
    "connectors": {"csv": Drops},
    "calendars": {"ics": Folder},
    "notifiers": {
        "smtp": Post,
        "twilio_sms": Texts,
        "patient_post": PatientPost,
        "outbox": Anything,
    },
}


@pytest.fixture
def made_up_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(room: str, name: str) -> plugins.Plugin:
        if name in PLUGINS[room]:
            return PLUGINS[room][name]
        close = get_close_matches(name, PLUGINS[room], n=1)
        raise plugins.NoSuchPlugin(room, name, close[0] if close else None)

    monkeypatch.setattr(plugins, "find", find)
    monkeypatch.setattr(plugins, "names", lambda room: sorted(PLUGINS[room]))


@pytest.fixture
def read(tmp_path: Path, made_up_plugins: None) -> Callable[..., Loaded]:
    """Write settings (below HEAD unless they begin with `version` or `clinic`) and load them."""

    def read(text: str = "", **environ: str) -> Loaded:
        file = tmp_path / "settings.yaml"
        whole = text.startswith(("version", "clinic"))
        file.write_text(text if whole else HEAD + text, encoding="utf-8")
        return load(file, environ=environ)

    return read


@pytest.fixture
def mistakes(read: Callable[..., Loaded]) -> Callable[..., list[Finding]]:
    """Load settings that cannot stand, and return what is said about them."""

    def mistakes(text: str, **environ: str) -> list[Finding]:
        with pytest.raises(SettingsError) as refused:
            read(text, **environ)
        return [f for f in refused.value.findings if f.severity == "error"]

    return mistakes
