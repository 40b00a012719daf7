"""How far a store had come when it last sent something, noted beside it in `data/last-sent`.

A store in a file may be put back from a copy with nothing but `cp`, and then knows nothing of what
was sent since. It is behind this note then: each run that sends takes its lease with a higher token,
and notes that before the first byte leaves, when the token has long been committed. So a store that
was not put back is never behind, whenever it is killed, on however many machines it is used; and
where `data` does not last there is no note, and nothing to say.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text

from clinicrelay import files

if TYPE_CHECKING:
    from sqlalchemy import Connection

SENDING = "send"  # the lease that every run takes for a moment before its messages leave


def note(data: Path, token: int) -> None:
    """Note the token of the run that sends now; a folder that cannot be written has no note."""
    if noted(data) != token:
        with suppress(OSError):
            files.replace(_file(data), f"{token}\n".encode())


def noted(data: Path) -> int | None:
    """Return the token of the last run that sent anything from here."""
    try:
        return int(_file(data).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def reached(connection: Connection, clinic: str) -> int:
    """Return the token of the last run that could have sent, as far as the store knows."""
    found = connection.execute(
        text("SELECT token FROM leases WHERE clinic = :clinic AND name = :name"),
        {"clinic": clinic, "name": SENDING},
    ).scalar()
    return int(found or 0)


def _file(data: Path) -> Path:
    return data / "last-sent"
