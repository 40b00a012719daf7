"""Finds, reads and checks settings.yaml: all of it is right, or every mistake is told at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import takewhile
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from clinicrelay.contracts import Finding
from clinicrelay.errors import SettingsError
from clinicrelay.settings import agreement, environment, plugged, references, secrecy
from clinicrelay.settings.mistakes import report_all
from clinicrelay.settings.schema import Settings
from clinicrelay.settings.shape import Shape
from clinicrelay.settings.tree import Mark, Tree, Where, parse

SYSTEM_FILE = Path("/etc/clinicrelay/settings.yaml")

# An empty value means the default, which protects; here the default would let everything through.
_NEVER_EMPTY: Where = ("safety", "only_recipients")


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings that hold, the warnings about them, and the file (with its digest) they came from."""

    settings: Settings
    findings: tuple[Finding, ...]
    file: Path
    digest: str


def find_file(
    explicit: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    cwd: Path | None = None,
) -> Path:
    """Return the settings file: the explicit one, $CLINICRELAY_SETTINGS, ./settings.yaml, or /etc.

    Raises SettingsError when there is none.
    """
    if explicit or environ.get("CLINICRELAY_SETTINGS"):
        return _expected(Path(explicit or environ["CLINICRELAY_SETTINGS"]).expanduser())
    here = (cwd or Path.cwd()) / "settings.yaml"
    for file in (here, SYSTEM_FILE):
        if file.is_file():
            return file
    raise _failure(
        "no_settings",
        f"there is no settings file: neither {here} nor {SYSTEM_FILE}",
        "run `clinicrelay init`, or name the file with --settings or CLINICRELAY_SETTINGS",
    )


def load(path: Path | None = None, *, environ: Mapping[str, str] = os.environ) -> Loaded:
    """Read the settings and check them, plugins' options and agreement of the parts included.

    Raises SettingsError with every mistake and warning, in the file's order.
    """
    file = find_file(path, environ)
    text = _text(file)
    tree = parse(text, str(file))
    settings = _checked(tree, file.absolute().parent, environ) if _has_keys(tree) else None
    findings = secrecy.redacted(tree)
    if settings is None or any(f.severity == "error" for f in findings):
        raise SettingsError(findings)
    return Loaded(settings, findings, file, sha256(text.encode()).hexdigest())


# --- the file --------------------------------------------------------------------------------


def _failure(
    code: str, message: str, fix: str, *, file: str = "", line: int = 0, column: int = 0
) -> SettingsError:
    finding = Finding("error", code, message, fix, file=file, line=line, column=column)
    return SettingsError([finding])


def _expected(file: Path) -> Path:
    if file.is_file():
        return file
    if file.is_dir():
        inside = file / "settings.yaml"
        fix = f"name {inside}" if inside.is_file() else "name a file"
        raise _failure("no_settings", f"{file} is a folder", fix, file=str(file))
    fix = "correct the path, or run `clinicrelay init`"
    raise _failure("no_settings", f"there is no file {file}", fix, file=str(file))


def _text(file: Path) -> str:
    try:
        content = file.read_bytes()
    except OSError as error:
        message = f"{file} cannot be read: {error.strerror}"
        fix = "let the user that runs clinicrelay read it"
        raise _failure("unreadable_file", message, fix, file=str(file)) from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        raise _failure(
            "encoding",
            "the file is not UTF-8" + (", but UTF-16" if content[:1] in b"\xff\xfe" else ""),
            "save it as UTF-8 (in Notepad: Save as, Encoding)",
            file=str(file),
            line=before.count(b"\n") + 1,
            column=error.start - before.rfind(b"\n"),
        ) from None


def _has_keys(tree: Tree) -> bool:
    if isinstance(tree.data, dict):
        return True
    if not tree.findings:
        empty = tree.data is None
        message = "the file is empty" if empty else "the file is not made of keys and values"
        fix = "begin with `version: 1`; `clinicrelay init` writes a whole file"
        tree.report(Mark(1, 1), (), "empty" if empty else "wrong_type", message, fix)
    return False


# --- its content -----------------------------------------------------------------------------


def _checked(tree: Tree, folder: Path, environ: Mapping[str, str]) -> Settings | None:
    dotenv = folder / ".env"
    known = {**_dotenv(tree, dotenv), **environ}
    environment.apply(tree, known)
    sources = references.References(folder, known)
    references.fill_all(tree, sources)
    plugins = plugged.find_all(tree)
    shape = Shape(Settings, plugins.options)
    literal = secrecy.hide_secrets(tree, shape)
    _warn_of_open_files(tree, sources, literal=literal)
    return _validated(tree, shape, plugins, folder)


def _dotenv(tree: Tree, file: Path) -> dict[str, str]:
    try:
        return environment.read_dotenv(file)
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError):
        message, fix = f"{file} cannot be read as UTF-8 text", "correct or delete it"
        tree.report(Mark(1, 1), (), "unreadable_file", message, fix)
        return {}


def _warn_of_open_files(tree: Tree, read: references.References, *, literal: bool) -> None:
    dotenv = read.folder / ".env"
    files = set(read.read)
    if dotenv.is_file():
        files.add(dotenv)
    if literal:
        files.add(Path(tree.file))
    secrecy.warn_of_open_files(tree, files)


def _validated(tree: Tree, shape: Shape, plugins: plugged.Plugged, folder: Path) -> Settings | None:
    clinic = tree.data.get("clinic")
    country = clinic.get("country") if isinstance(clinic, dict) else None
    context = {"folder": folder, "country": country if isinstance(country, str) else None}
    data = _present(tree.data, shape, ())
    broken = plugged.validate_all(tree, data, plugins, shape, context)
    try:
        settings = Settings.model_validate(data, context=context)
    except ValidationError as error:
        broken += report_all(tree, shape, error.errors(include_url=False))
        mended = _mended(data, broken, shape)
        try:
            settings = Settings.model_validate(mended, context=context)
        except ValidationError:
            return None
    agreement.check_all(tree, settings, plugins)
    return settings


def _present(value: Any, shape: Shape, where: Where) -> Any:
    """Copy data without the keys that are known and empty: those mean their default."""
    if isinstance(value, dict):
        return {
            key: _present(item, shape, (*where, key))
            for key, item in value.items()
            if item is not None or (*where, key) == _NEVER_EMPTY or not shape.knows((*where, key))
        }
    if isinstance(value, list):
        return [_present(item, shape, (*where, i)) for i, item in enumerate(value)]
    return [] if where == _NEVER_EMPTY and value is None else value


def _mended(data: Any, broken: Iterable[Where], shape: Shape) -> Any:
    """Put examples in place of wrong values, or drop them, so that the rest can still be checked."""
    for where in broken:
        # Without one item the others would be told of under their neighbour's place: drop the list.
        keys = tuple(takewhile(lambda step: isinstance(step, str), where))
        _mend(data, keys, shape)
    return data


def _mend(data: Any, where: Where, shape: Shape) -> None:
    holder = data
    for step in where[:-1]:
        holder = holder.get(step) if isinstance(holder, dict) else None
    if isinstance(holder, dict) and where:
        holder.pop(where[-1], None)
        info = shape.fields(where[:-1]).get(str(where[-1]))
        if info and info.is_required() and info.examples:
            holder[where[-1]] = info.examples[0]
