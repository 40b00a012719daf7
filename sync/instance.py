"""The key that a clinic's opaque ids are made with: the same even where the store has to begin anew.

It lives in the store and in `data/instance.key`; where `data` does not last, in the settings.
"""

from __future__ import annotations

import secrets
from hashlib import sha256
from typing import TYPE_CHECKING

from sync.store import memory

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from clinicrelay.settings import Settings
    from sync.store import Store

_LENGTH = 32
_OWNER, _ANEW = "sync/instance", "anew"

LOST = (
    "A new, empty store was made beside the key of an older one. If that one was lost, restore a "
    "backup of it before anything else: clinicrelay store restore FILE --replace"
)


def key_for(settings: Settings) -> bytes:
    """Return the key of a store that has none yet: from the settings, from `data`, else a new one."""
    named = settings.store.instance_key
    if named is not None:
        text = named.get_secret_value()
        return _key(text) or sha256(text.encode()).digest()
    return _kept(_file(settings)) or secrets.token_bytes(_LENGTH)


def keep(settings: Settings, store: Store) -> str:
    """Write the key of a store beside it, for the day the store is lost.

    Returns what a person is to hear, if that day has come: people delete stores on purpose as well.
    """
    file = _file(settings)
    if settings.store.instance_key is not None:
        return ""
    if store.made and _kept(file) is not None:
        with store.write() as connection:
            memory.replace(connection, store.clinic, _OWNER, _ANEW, None, "true")
        return LOST
    if not file.exists():
        from clinicrelay import files

        files.replace(file, f"{store.instance_key.hex()}\n".encode(), mode=0o600)
    return ""


def has_begun_anew(connection: Connection, clinic: str) -> bool:
    """Whether a store took the place of one that is gone, and nobody said that this was meant."""
    return memory.text_of(connection, clinic, _OWNER, _ANEW) is not None


def note_meant(connection: Connection, clinic: str) -> None:
    """Note that a person goes on with a store that began anew."""
    memory.remember(connection, clinic, _OWNER, memory.recall(connection, clinic, _OWNER), {})


def _file(settings: Settings) -> Path:
    return settings.data / "instance.key"


def _kept(file: Path) -> bytes | None:
    try:
        return _key(file.read_text(encoding="ascii"))
    except (OSError, UnicodeDecodeError):
        return None


def _key(text: str) -> bytes | None:
    """Return the key that `keys instance` prints as this text; None: the text is none."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        return None
    return key if len(key) == _LENGTH else None
