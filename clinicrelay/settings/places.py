"""Where settings are looked for: one file is one clinic, a folder is a clinic for each file in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from clinicrelay.contracts import Finding
from clinicrelay.errors import SettingsError

SYSTEM_FILE = Path("/etc/clinicrelay/settings.yaml")


def find(
    explicit: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    cwd: Path | None = None,
) -> Path:
    """Return the file or folder: the explicit one, $CLINICRELAY_SETTINGS, ./settings.yaml, or /etc.

    Raises SettingsError when there is none.
    """
    if explicit or environ.get("CLINICRELAY_SETTINGS"):
        return _expected(Path(explicit or environ["CLINICRELAY_SETTINGS"]))
    here = (cwd or Path.cwd()) / "settings.yaml"
    for file in (here, SYSTEM_FILE):
        if os.path.lexists(file):  # a file that cannot be read is told of, not passed over
            return file
    raise refusal(
        "no_settings",
        f"there is no settings file: --settings and CLINICRELAY_SETTINGS name none, and there is "
        f"neither {here} nor {SYSTEM_FILE}",
        "run `clinicrelay init` to write one, or `clinicrelay demo` to look around first",
    )


def find_file(
    explicit: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    cwd: Path | None = None,
) -> Path:
    """Return the settings file of one clinic, looked for as `find` does.

    Raises SettingsError when there is none, or a folder in its place.
    """
    place = find(explicit, environ, cwd)
    if place.is_dir():
        raise refusal("no_settings", f"{place} is a folder", "name one file in it", file=place)
    return place


def clinics_in(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the settings files of a folder in their order, and files that look like one but end
    in `.yml`, which nobody reads.

    Hidden files and folders below are no clinics. Raises SettingsError when there is no clinic.
    """
    try:
        inside = sorted(file for file in folder.iterdir() if not file.name.startswith("."))
    except OSError as error:
        fix = "let the user that runs clinicrelay read it"
        message = f"{folder} cannot be read: {error.strerror}"
        raise refusal("unreadable_file", message, fix, file=folder) from error
    files = [file for file in inside if not file.is_dir()]
    misnamed = [f for f in files if f.suffix != ".yaml" and f.suffix.lower() in (".yaml", ".yml")]
    found = [file for file in files if file.suffix == ".yaml"]
    if not found and not misnamed:
        raise refusal(
            "no_settings",
            f"there is no .yaml file in the folder {folder}, so there is no clinic",
            "put a settings file for each clinic there, or name another folder",
            file=folder,
        )
    return found, misnamed


def refusal(
    code: str, message: str, fix: str, *, file: Path | None = None, line: int = 0, column: int = 0
) -> SettingsError:
    """Return the error for one thing that is wrong with a file or folder as a whole."""
    place = str(file) if file else ""
    finding = Finding("error", code, message, fix, file=place, line=line, column=column)
    return SettingsError([finding])


def _expected(path: Path) -> Path:
    try:
        place = path.expanduser()
    except RuntimeError:  # ~somebody who is not there
        place = path
    if os.path.lexists(place):
        return place
    fix = "correct the path, or run `clinicrelay init`"
    raise refusal("no_settings", f"there is no file {place}", fix, file=place)
