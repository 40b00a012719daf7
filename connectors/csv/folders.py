"""Whether files can travel through an inbox, found out without moving one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from clinicrelay.contracts import Finding, Kit
from connectors.csv.inbox import Inbox


def vanished(inbox: Inbox, folder: str, kit: Kit) -> Iterator[Finding]:
    """Yield that an inbox from which files were taken is gone, or empty: a disk that is not mounted."""
    if kit.memory.get("inbox") == folder and not inbox.is_used:
        yield Finding(
            "error",
            "inbox_vanished",
            f"{folder} is not the inbox from which files were taken: its folders are gone",
            "mount its disk or share; if it was emptied on purpose, make a folder `processed` in it",
        )


def folder_findings(inbox: Inbox) -> Iterator[Finding]:
    """Yield what stands in the way of moving files."""
    folder = inbox.folder
    if blocked := _first_unwritable(folder, inbox.processing):
        yield Finding(
            "error",
            "inbox_not_writable",
            f"files cannot be moved in {folder}: {blocked}",
            "let the user that runs clinicrelay write there, or set inbox to another folder",
        )
    elif strays := _other_file_systems(folder):
        yield Finding(
            "error",
            "inbox_on_two_file_systems",
            f"{', '.join(strays)} in {folder} lies elsewhere (a link, or another file system), "
            "so files cannot be moved there in one step",
            "make it a plain folder inside the inbox",
        )


def left_lying(inbox: Inbox) -> Iterator[Finding]:
    """Yield what lies in the inbox under the name of an export and is none."""
    if note := inbox.strangers().note:
        yield Finding(
            "warning",
            "not_a_file",
            f"in {inbox.folder}: {note}",
            "drop the files themselves, or take these away",
        )


def _first_unwritable(*folders: Path) -> str | None:
    from clinicrelay.files import why_not_writable

    return next((why for folder in folders if (why := why_not_writable(folder))), None)


def _other_file_systems(folder: Path) -> list[str]:
    strays = []
    for name in ("processing", "processed", "quarantine"):
        with suppress(FileNotFoundError):
            inside = os.lstat(folder / name)  # a link counts as what it is
            if inside.st_dev != folder.stat().st_dev or (folder / name).is_symlink():
                strays.append(name)
    return strays
