"""Writing a file so that a reader, or a crash at any moment, meets the old one or the new, whole."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def replace(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Put `content` at `path` in one step, folders included; without a `mode` as the umask says.

    The content is on the disk before the name points at it, so that after a power cut there is
    never an empty file under the right name. Raises OSError and then leaves nothing behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, as a rename is atomic only within one file system; hidden from `*.ics`.
    half = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        _write(half, content, mode)
        half.replace(path)
    except OSError:
        with suppress(OSError):
            half.unlink()
        raise


def _write(path: Path, content: bytes, mode: int | None) -> None:
    descriptor = os.open(
        path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666 if mode is None else 0o600
    )
    with os.fdopen(descriptor, "wb") as file:
        if mode is not None:
            path.chmod(mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def as_open_as(folder: Path) -> int:
    """Return the mode of a file that whoever may list its folder may read, and nobody else."""
    folder.mkdir(parents=True, exist_ok=True)
    return 0o600 | (folder.stat().st_mode & 0o044)


def why_not_writable(folder: Path) -> str | None:
    """Say why files could not be put into a folder that may not exist yet; writes nothing."""
    there = next((p for p in (folder, *folder.parents) if p.exists()), folder)
    if not there.is_dir():
        return f"{there} is not a folder"
    if not os.access(there, os.W_OK | os.X_OK):
        return f"{there} may not be written by this user"
    return None
