"""The folder of a new clinic: proved in a place apart, then written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from clinicrelay import files
from clinicrelay.contracts import Finding
from clinicrelay.errors import SettingsError
from clinicrelay.settings import load
from clinicrelay.settings.environment import read_dotenv
from commands._init.draft import SCHEMA, SECRETS, settings_yaml
from commands._init.questions import SOURCE, Given

SETTINGS = "settings.yaml"
_PRIVATE = (".env", "var/", "drops/")  # secrets, and what is kept of patients


@dataclass(frozen=True, slots=True)
class Made:
    """What init made: the settings file, all files, the inbox, and what a person has to see to."""

    settings: Path
    written: tuple[Path, ...]
    inbox: Path
    warnings: tuple[str, ...]


def refuse(folder: Path) -> None:
    """Raises SettingsError where a new clinic cannot begin: before anybody answers a question."""
    file = folder / SETTINGS
    if os.path.lexists(file):
        raise _refusal(
            file,
            "exists",
            f"{file} is there already, and init overwrites nothing",
            "edit it and run `clinicrelay check`, or name another folder: clinicrelay init FOLDER",
        )
    if reason := files.why_not_writable(folder):
        raise _refusal(folder, "not_writable", reason, "name a folder of yours")


def refuse_secrets(folder: Path) -> None:
    """Raises SettingsError where secrets would have to go into a file that is there already."""
    file = folder / ".env"
    if os.path.lexists(file):
        raise _refusal(
            file,
            "exists",
            f"{file} is there already, and init overwrites nothing",
            "name another folder, or choose `folder` now and write the mail server in later",
        )


def make(folder: Path, given: Given) -> Made:
    """Write the clinic's files. Raises SettingsError and OSError, and then leaves nothing behind."""
    content = _proved(given)
    inbox = folder / "drops" / SOURCE
    with _undone_if_cut_off() as made:
        _make_folder(inbox, made)
        for name, text in content.items():
            path = folder / name
            if name == SETTINGS or not os.path.lexists(path):
                _put(path, text, made)
    written = tuple(path for path in made if path.is_file())
    return Made(folder / SETTINGS, written, inbox, tuple(_warnings(folder)))


# --- proved in a place apart ---------------------------------------------------------------------


def _proved(given: Given) -> dict[str, str]:
    """Return the files by name, settings last; they were loaded as a run would load them."""
    schema = _schema()
    content = {} if schema is None else {SCHEMA: schema}
    content[".gitignore"] = "".join(f"{line}\n" for line in _PRIVATE)
    with tempfile.TemporaryDirectory(prefix="clinicrelay-init-") as place:
        apart = Path(place)
        if secrets := {SECRETS[name]: given[name] for name in SECRETS if given.get(name)}:
            content[".env"] = _dotenv(apart / ".env", secrets)
        text = settings_yaml(given, schema=schema is not None)
        (apart / SETTINGS).write_text(text, encoding="utf-8")
        _load(apart / SETTINGS)
    content[SETTINGS] = text
    return content


def _load(file: Path) -> None:
    from msgspec.structs import replace

    try:
        load(file, environ={})
    except SettingsError as error:
        findings = [f for f in error.findings if f.severity == "error"]
        raise SettingsError([replace(f, file="", line=0, column=0) for f in findings]) from error


def _dotenv(file: Path, secrets: Mapping[str, str]) -> str:
    """Write the secrets into a private file, each in the quotes that give back this very secret."""
    file.touch(mode=0o600)
    text = "".join(_line(file, name, secret) for name, secret in secrets.items())
    file.write_text(text, encoding="utf-8")
    return text


def _line(file: Path, name: str, secret: str) -> str:
    for quote in ('"', "'", ""):
        line = f"{name}={quote}{secret}{quote}\n"
        file.write_text(line, encoding="utf-8")
        if read_dotenv(file) == {name: secret}:
            return line
    raise _refusal(
        None,
        "secret",
        f"what was given for {name} cannot be written into .env",
        "choose `folder` now, and give the mail server a ${file:secrets/smtp} later",
    )


def _schema() -> str | None:
    """Return the JSON Schema with the options of every plugin; None while one cannot be imported."""
    from clinicrelay.settings import reference

    try:
        return reference.files()[reference.FOLDER / SCHEMA]
    except ImportError:
        return None


# --- written whole or not at all -----------------------------------------------------------------


@contextmanager
def _undone_if_cut_off() -> Iterator[list[Path]]:
    """Take away again what was made when anything, Ctrl-C among it, cuts the making off."""
    made: list[Path] = []
    try:
        yield made
    except BaseException:
        for path in reversed(made):
            with suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()
        raise


def _make_folder(folder: Path, made: list[Path]) -> None:
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        made.append(path)
        path.mkdir(exist_ok=True)


def _put(path: Path, text: str, made: list[Path]) -> None:
    made.append(path)
    files.replace(path, text.encode(), mode=0o600 if path.name == ".env" else None)


def _warnings(folder: Path) -> Iterator[str]:
    ignored = (folder / ".gitignore").read_text(encoding="utf-8", errors="replace").split()
    if missing := [line for line in _PRIVATE if line not in ignored]:
        yield f".gitignore was there already: add {' and '.join(missing)} to it"


def _refusal(file: Path | None, code: str, message: str, fix: str) -> SettingsError:
    return SettingsError([Finding("error", code, message, fix, file=str(file) if file else "")])


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what this machine says of itself: its country and its time zone."""
    from commands._init import proposals

    zone = proposals.zone_of_machine(environ)
    return {"zone": zone, "country": proposals.country_for(environ, zone)}
