"""Reads and checks settings: all of a file is right, or every mistake in it is told at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from clinicrelay.contracts import Finding
from clinicrelay.errors import SettingsError
from clinicrelay.settings import agreement, environment, folders, plugged, references, secrecy
from clinicrelay.settings.mending import mended, present
from clinicrelay.settings.mistakes import place_of, report_all
from clinicrelay.settings.places import clinics_in, find_file, refusal
from clinicrelay.settings.schema import Settings
from clinicrelay.settings.shape import Shape
from clinicrelay.settings.tree import Mark, Tree, dotted, parse

TEXTS = "templates"

# A section is mended by its keys first, then as a whole, then with what is around it.
_MOST_MENDS = 4


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings that hold, the warnings about them, and the file (with its digest) they came from.

    `opaque` are the paths whose references were left alone, where that was asked for. `text` is what
    stood in the file, `followed` are the files that secrets were taken from: see `with_secrets_anew`.
    """

    settings: Settings
    findings: tuple[Finding, ...]
    file: Path
    digest: str
    opaque: frozenset[str] = frozenset()
    text: str = field(default="", repr=False)
    followed: frozenset[Path] = frozenset()
    among_others: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """A file as it was read, right or wrong; `settings` are there as far as they could be mended."""

    file: Path
    tree: Tree
    settings: Settings | None
    digest: str
    references: references.References | None = None
    text: str = field(default="", repr=False)
    among_others: bool = False

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every mistake and warning in the file's order, without anything secret."""
        return secrecy.redacted(self.tree)

    def loaded(self) -> Loaded:
        """Return the settings. Raises SettingsError with every mistake and warning."""
        findings = self.findings
        if self.settings is None or any(f.severity == "error" for f in findings):
            raise SettingsError(findings)
        opaque = frozenset(dotted(where) for where in self.tree.opaque)
        followed = self.references.followed if self.references else set()
        return Loaded(
            self.settings,
            findings,
            self.file,
            self.digest,
            opaque,
            self.text,
            frozenset({*followed, self.file.absolute().parent / ".env"}),
            self.among_others,
        )


def load(
    path: Path | None = None, *, environ: Mapping[str, str] = os.environ, secrets: bool = True
) -> Loaded:
    """Read one clinic's settings and check them, plugins' options and agreement of the parts too.

    Without `secrets`, what `${NAME}` and `${file:…}` lead to is neither read nor missed.
    Raises SettingsError with every mistake and warning, in the file's order.
    """
    return read(find_file(path, environ), environ, secrets=secrets).loaded()


def with_secrets_anew(loaded: Loaded, *, environ: Mapping[str, str] = os.environ) -> Loaded:
    """Return the same settings with what `.env` and `${file:…}` hold now; the file is not looked at.

    Raises SettingsError where they do not hold any more.
    """
    return _of_text(
        loaded.text, loaded.file, environ, among_others=loaded.among_others, secrets=True
    ).loaded()


def read(
    file: Path,
    environ: Mapping[str, str],
    *,
    among_others: bool = False,
    secrets: bool = True,
) -> Reading:
    """Read a file and note what is wrong in it; `among_others`: it is one clinic of several.

    Raises SettingsError where the file cannot be read at all.
    """
    return _of_text(_text(file), file, environ, among_others=among_others, secrets=secrets)


def _of_text(
    text: str, file: Path, environ: Mapping[str, str], *, among_others: bool, secrets: bool
) -> Reading:
    digest = sha256(text.encode()).hexdigest()
    tree = parse(text, str(file))
    if not _has_keys(tree):
        return Reading(file, tree, None, digest)
    folder = file.absolute().parent
    dotenv = _dotenv(tree, folder / ".env") if secrets else {}
    sources = references.References(folder, environ, dotenv, opaque=not secrets)
    environment.apply(tree, sources.known, among_others=among_others)
    settings = _checked(tree, sources, among_others=among_others)
    return Reading(file, tree, settings, digest, sources, text, among_others)


# --- the file --------------------------------------------------------------------------------


def _text(file: Path) -> str:
    try:
        content = file.read_bytes()
    except OSError as error:
        message = f"{file} cannot be read: {error.strerror}"
        fix = "let the user that runs clinicrelay read it"
        raise refusal("unreadable_file", message, fix, file=file) from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        raise refusal(
            "encoding",
            "the file is not UTF-8" + (", but UTF-16" if content[:1] in b"\xff\xfe" else ""),
            "save it as UTF-8 (in Notepad: Save as, Encoding)",
            file=file,
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


def _checked(tree: Tree, sources: references.References, *, among_others: bool) -> Settings | None:
    references.fill_all(tree, sources)
    plugins = plugged.find_all(tree)
    shape = Shape(Settings, plugins.options)
    references.fill_homes(tree, shape)
    literal = secrecy.hide_secrets(tree, shape)
    if not sources.opaque:
        _warn_of_open_files(tree, sources, literal=literal)
    settings = _validated(tree, shape, plugins, sources.folder, among_others=among_others)
    wrong = any(finding.severity == "error" for finding in tree.findings)
    if settings is not None and not wrong and not sources.opaque:
        secrecy.warn_of_open_folders(tree, folders.private(settings))
    return settings


def _dotenv(tree: Tree, file: Path) -> dict[str, str]:
    try:
        return environment.read_dotenv(file)
    except FileNotFoundError:
        return {}
    except OSError as error:
        message, fix = (
            f"{file} cannot be read: {error.strerror}",
            "let this user read it, or delete it",
        )
        tree.report(Mark(1, 1), (), "unreadable_file", message, fix)
        return {}
    except UnicodeDecodeError:
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


def _validated(
    tree: Tree, shape: Shape, plugins: plugged.Plugged, folder: Path, *, among_others: bool
) -> Settings | None:
    clinic = tree.data.get("clinic")
    country = clinic.get("country") if isinstance(clinic, dict) else None
    context = {"folder": folder, "country": country if isinstance(country, str) else None}
    data = present(tree.data, shape)
    if "templates" not in data and not among_others:
        data |= _texts_beside(tree, folder)
    plugged.validate_all(tree, data, plugins, shape, context)
    try:
        settings: Settings | None = Settings.model_validate(data, context=context)
    except ValidationError as error:
        broken = report_all(tree, shape, error.errors(include_url=False))
        settings = _as_far_as_possible(mended(data, broken, shape), tree, shape, context)
    if settings is not None:
        agreement.check_all(tree, settings, plugins)
    return settings


def _texts_beside(tree: Tree, folder: Path) -> dict[str, Any]:
    """Take the folder `templates` for the clinic's own texts, if they can be no other clinic's."""
    if not (folder / TEXTS).is_dir():
        return {}
    if len(clinics_in(folder)[0]) > 1:
        tell_of_texts(tree)
        return {}
    return {"templates": TEXTS}


def tell_of_texts(tree: Tree) -> None:
    """Warn of a folder of texts that nobody uses."""
    message = (
        f"the folder {TEXTS} lies beside several .yaml files, so it is not used unless one names it"
    )
    fix = f"write `templates: {TEXTS}` where these are the clinic's texts, else rename the folder"
    tree.report(Mark(1, 1), ("templates",), "templates_not_used", message, fix, "warning")


def _as_far_as_possible(
    data: Any, tree: Tree, shape: Shape, context: dict[str, Any]
) -> Settings | None:
    """Check mended data, mending what disagrees with the mends: nobody is told of that."""
    for _ in range(_MOST_MENDS):
        try:
            return Settings.model_validate(data, context=context)
        except ValidationError as error:
            mended(data, (place_of(e, tree) for e in error.errors(include_url=False)), shape)
    return None
