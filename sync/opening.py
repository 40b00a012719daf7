"""Opens the store of a clinic as its settings say, and keeps its key where the next one finds it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from sync import instance, store

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from clinicrelay.settings import Settings
    from sync.store import Store


def open_store(
    settings: Settings,
    *,
    now: datetime,
    tell: Callable[[str], None],
    who: Callable[[], str] = lambda: "clinicrelay",
    on: Engine | None = None,
) -> Store:
    """Open the store; `tell` hears what a person should know of it. Raises as `store.open_store`."""
    key, name = instance.key_for(settings), settings.clinic.id
    opened = store.open_store(settings.store_url, name, now=now, key=key, tell=tell, on=on, who=who)
    try:
        if lost := instance.keep(settings, opened):
            tell(lost)
    except BaseException:
        opened.close()
        raise
    return opened
