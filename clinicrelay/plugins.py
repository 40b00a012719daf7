"""Finds a plugin by the `type` that settings name: a module of the room, else an entry point.

A plugin room is a package of modules, one a plugin; the class to use is the module's only subclass
of the room's contract that the module itself defines. No list is edited anywhere.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from difflib import get_close_matches
from types import ModuleType
from typing import TypeAlias

from clinicrelay.contracts import Calendar, Connector, Notifier

Plugin: TypeAlias = type[Connector] | type[Calendar] | type[Notifier]

ROOMS: dict[str, type[Connector] | type[Calendar] | type[Notifier]] = {
    "connectors": Connector,
    "calendars": Calendar,
    "notifiers": Notifier,
}


class NoSuchPlugin(LookupError):
    """No plugin of that type; `suggestion` is the nearest one there is, or None."""

    def __init__(self, room: str, name: str, suggestion: str | None) -> None:
        super().__init__(f"no {room.removesuffix('s')} of type {name!r}")
        self.suggestion = suggestion


def find(room: str, name: str) -> Plugin:
    """Return the plugin class for `type: name` in a room; imports only that plugin.

    Raises NoSuchPlugin.
    """
    if name.isidentifier() and importlib.util.find_spec(f"{room}.{name}"):
        return _plugin_in(importlib.import_module(f"{room}.{name}"), room)
    from importlib.metadata import entry_points

    for point in entry_points(group=f"clinicrelay.{room}", name=name):
        loaded = point.load()
        return _plugin_in(loaded, room) if isinstance(loaded, ModuleType) else loaded
    close = get_close_matches(name, names(room), n=1)
    raise NoSuchPlugin(room, name, close[0] if close else None)


def names(room: str) -> list[str]:
    """Return the types a room offers, installed entry points included."""
    from importlib.metadata import entry_points

    package = importlib.import_module(room)
    own = (m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))
    return sorted({*own, *(p.name for p in entry_points(group=f"clinicrelay.{room}"))})


def _plugin_in(module: ModuleType, room: str) -> Plugin:
    contract = ROOMS[room]
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, contract)
        and value is not contract
        and value.__module__.startswith(module.__name__)
    ]
    if len(found) != 1:
        raise TypeError(f"{module.__name__} must define exactly one {contract.__name__}")
    return found[0]
