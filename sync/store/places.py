"""Where a store is: a live one that wakes somewhere else must not reach the same people twice.

A copy of a server's database is another database. A copy of a SQLite file is another file or is on
another machine. A container has no lasting host name, so there the file is all that counts: the
volume it lies on may be mounted anywhere.

A file is told from its copy by its inode, and as two file systems that were filled alike give the
same ones, by the id of the file system or by a mark: an empty file beside the store whose moment of
birth (ctime) nobody can set. One of the two is enough: some file systems have another id after a
reboot, and a change of owner gives the mark another ctime. A volume cloned block by block has all
three, so in a container it is taken for the one it was cloned from.
"""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sync.store import dialects

if TYPE_CHECKING:
    from sync.store import Store

_CONTAINERS = (Path("/.dockerenv"), Path("/run/.containerenv"))
_WITNESSES = ("system", "born")


class Found(NamedTuple):
    """What the disk says of a store's file: its inode, its file system, when its mark was born."""

    file: int
    system: int | None
    born: int | None


def place_of(url: str, store: Store) -> str:
    """Return where the store at a URL is, as text that `same` compares.

    `store` is opened on it, or on a copy in memory of it.
    """
    file = dialects.file_of(url)
    if file is None:
        with store.read() as connection:
            return json.dumps({"database": dialects.identity(connection)})
    host = {} if _in_a_container() else {"host": socket.gethostname(), "machine": _machine()}
    return json.dumps({**host, **_found(file)._asdict()})


def same(known: str, here: str) -> bool:
    """Return whether two places are one; of what an earlier version noted, only the inode counts."""
    was, now = json.loads(known), json.loads(here)
    witnesses = [(was.pop(name, None), now.pop(name, None)) for name in _WITNESSES]
    noted = [(before, after) for before, after in witnesses if before is not None]
    return bool(was == now and (not noted or any(before == after for before, after in noted)))


def mark(url: str) -> None:
    """Leave the mark beside a store in a file, once."""
    file = dialects.file_of(url)
    if file is not None:
        with suppress(OSError):  # it is there, or nothing can be written here
            os.close(os.open(_mark(file), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _mark(file: Path) -> Path:
    return file.with_name(f"{file.name}-born")


def _found(file: Path) -> Found:
    # Old systems call every file system in memory 0; Windows has no such id.
    system = os.statvfs(file).f_fsid if hasattr(os, "statvfs") else 0
    try:
        born = _mark(file).stat().st_ctime_ns
    except OSError:
        born = None
    return Found(file.stat().st_ino, system or None, born)


def called(place: str) -> str:
    """Return what a person calls a place."""
    known = json.loads(place)
    if "database" in known:
        return "another database"
    return f"the machine {known['host']}" if "host" in known else "another file"


def _machine() -> str:
    """A fingerprint of the machine's own id; the id itself is nobody's business."""
    for file in (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id")):
        if file.is_file():
            return sha256(b"clinicrelay" + file.read_bytes().strip()).hexdigest()[:16]
    return ""


def _in_a_container() -> bool:
    return "KUBERNETES_SERVICE_HOST" in os.environ or any(file.exists() for file in _CONTAINERS)
