"""What a broken settings file still says, whatever was mistyped: of its store, so that `pause` works,
and of its heartbeat, so that somebody hears that nothing runs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from clinicrelay.errors import SettingsError
from clinicrelay.settings.tree import parse
from clinicrelay.settings.upkeep import Store

if TYPE_CHECKING:
    from clinicrelay.settings.monitoring import Job

_DEFAULT_DATA = "var"
_REFERENCE = re.compile(r"\$\{([A-Za-z_]\w*)(?::-([^}]*))?\}")
# Where the file is no YAML at all: the first line that looks like it.
_NO_VALUE = tuple("[{&*!|>%@`")  # what no plain value begins with
_LINES = {
    "id": re.compile(r"(?m)(?:^\s*|[{,]\s*)id:\s*[\"']?([\w-]+)"),
    "data": re.compile(r"(?m)^data:\s*[\"']?([^\"'#\n]+)"),
    "url": re.compile(r"(?m)(?:^\s+|[{,]\s*)url:\s*[\"']?(\w+:[^\"'\s,}]+)"),
}
_PINGED = r"[\"']?((?:https?://|\$\{[^}]*\})[^\"'\s,}]*)"
_AFTER_HEARTBEAT = 400  # signs in which its addresses stand


class Salvaged(NamedTuple):
    """A clinic and where its store is, as SQLAlchemy's URL; it may hold a password."""

    clinic: str
    store_url: str


def salvage(file: Path, environ: Mapping[str, str] = os.environ) -> Salvaged | None:
    """Return what can be made out of a file that cannot stand; None where that is not enough."""
    try:
        text = file.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return None
    said = dict(_by_line(text)) | dict(_by_key(text, file))
    said |= dict(_by_environment(environ))
    try:
        if any(text.startswith(_NO_VALUE) for text in said.values()):
            return None  # YAML that breaks off says nothing of the place
        clinic = _filled(said["id"], environ)
        data = Path(file.absolute().parent, _filled(said.get("data", _DEFAULT_DATA), environ))
        store = Store(url=_filled(said["url"], environ)) if "url" in said else Store()
        return Salvaged(clinic, store.resolved_url(data.expanduser()))
    except (KeyError, ValueError):
        return None


def heartbeat(file: Path, job: Job, environ: Mapping[str, str] = os.environ) -> str:
    """Return the address that a job reports to, as far as it can be made out; empty: it cannot."""
    from clinicrelay.settings.load import read

    try:
        settings = read(file, environ).settings
        if settings is not None:
            return settings.monitoring.pinged_by(job)
        _, _, after = file.read_text("utf-8-sig", "replace").partition("heartbeat:")
        found = re.search(rf"\b{job}:\s*{_PINGED}", after[:_AFTER_HEARTBEAT])
        if job == "sync":
            found = re.match(rf"\s*{_PINGED}", after) or found
        return _filled(found[1], environ) if found else ""
    except (SettingsError, OSError, KeyError):
        return ""


def _by_line(text: str) -> Iterator[tuple[str, str]]:
    for name, pattern in _LINES.items():
        if found := pattern.search(text):
            yield name, found[1].strip()


def _by_key(text: str, file: Path) -> Iterator[tuple[str, str]]:
    data = parse(text, str(file)).data
    for name, path in (("id", ("clinic", "id")), ("data", ("data",)), ("url", ("store", "url"))):
        if isinstance(found := _at(data, path), str):
            yield name, str(found)


def _at(data: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _by_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, variable in (("id", "CLINIC__ID"), ("data", "DATA"), ("url", "STORE__URL")):
        if found := environ.get(f"CLINICRELAY__{variable}"):
            yield name, found


def _filled(text: str, environ: Mapping[str, str]) -> str:
    """Put environment variables in. Raises KeyError for one that is not set."""

    def value(match: re.Match[str]) -> str:
        name, default = match[1], match[2]
        return environ[name] if default is None or name in environ else default

    return _REFERENCE.sub(value, text)
