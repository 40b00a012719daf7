"""The key that a clinic's opaque ids are made with: the same even where the store has to begin anew.

It lives in the store and in `data/instance.key`; where `data` does not last, in the settings.
"""

from __future__ import annotations

import secrets
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from clinicrelay.settings import Settings
    from sync.store import Store

_LENGTH = 32

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
        return LOST
    if not file.exists():
        from clinicrelay import files

        files.replace(file, f"{store.instance_key.hex()}\n".encode(), mode=0o600)
    return ""


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
