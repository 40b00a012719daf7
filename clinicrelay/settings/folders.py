"""The folders that a clinic's files go through, wherever in the settings they are named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from os.path import realpath
from pathlib import Path
from typing import Any

from clinicrelay.settings.schema import Settings
from clinicrelay.settings.tree import Where


def folders(settings: Settings) -> Iterator[tuple[Where, Path]]:
    """Yield each folder, absolute and without links, with the place of its key."""
    yield ("data",), real(settings.data)
    yield from inboxes(settings)
    yield from outboxes(settings, "calendars")
    yield from outboxes(settings, "notifiers")


def inboxes(settings: Settings) -> Iterator[tuple[Where, Path]]:
    """Yield the folders that sources take files from; they begin at the settings file."""
    for name, source in settings.sources.items():
        if _has(source.options, "inbox"):
            inbox = source.options.inbox or Path("drops", name)
            yield ("sources", name, "inbox"), real(settings.folder / inbox)


def outboxes(settings: Settings, section: str) -> Iterator[tuple[Where, Path]]:
    """Yield the folders that calendars or notifiers write files into; they begin at `data`."""
    entries: Mapping[str, Any] = getattr(settings, section)
    for name, entry in entries.items():
        if _has(entry.options, "folder"):
            yield (section, name, "folder"), real(settings.data / entry.options.folder)


def private(settings: Settings) -> Iterator[Path]:
    """Yield the folders that hold what only this program's user may see; none within another.

    Calendar files are read by others, too: whoever names a folder for them opens it, or does not.
    """
    data = real(settings.data)
    yield data
    apart = {folder for _, folder in outboxes(settings, "notifiers")}
    apart.add(real(settings.log_file.parent))
    yield from sorted(folder for folder in apart if not folder.is_relative_to(data))


def real(folder: Path) -> Path:
    """Return a folder without `..` and links: under one name, however it was written."""
    return Path(realpath(folder))


def _has(options: Any, key: str) -> bool:
    return isinstance(getattr(options, key, None), Path) or (
        key == "inbox" and key in getattr(type(options), "model_fields", ())
    )
