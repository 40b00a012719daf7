"""Parts of the settings that belong to plugins: each is checked by the plugin's own model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from clinicrelay import plugins
from clinicrelay.settings.mending import mended
from clinicrelay.settings.mistakes import report_all
from clinicrelay.settings.schema import CalendarSettings, NotifierSettings, Source
from clinicrelay.settings.shape import Shape, names_of
from clinicrelay.settings.tree import Tree, Where
from clinicrelay.settings.values import Section

ROOMS: Mapping[str, tuple[str, type[Section]]] = {
    "sources": ("connectors", Source),
    "calendars": ("calendars", CalendarSettings),
    "notifiers": ("notifiers", NotifierSettings),
}


@dataclass(slots=True)
class Plugged:
    """The plugins that settings name, by place, and the places where none was found."""

    found: dict[Where, plugins.Plugin]
    unknown: set[Where]

    @property
    def options(self) -> dict[Where, type[BaseModel]]:
        return {where: plugin.Options for where, plugin in self.found.items()}


def entries(data: Any) -> Iterator[tuple[Where, dict[str, Any]]]:
    """Yield each source, calendar and notifier with its place, as far as they are sections."""
    for section in ROOMS:
        named = data.get(section) if isinstance(data, dict) else None
        for name, entry in named.items() if isinstance(named, dict) else ():
            if isinstance(entry, dict):
                yield (section, name), entry


def options_of(tree: Tree) -> dict[Where, type[BaseModel]]:
    """Return the options' models of the plugins that a tree names, as far as they exist."""
    return find_all(Tree(tree.file, tree.data)).options


def find_all(tree: Tree) -> Plugged:
    """Find the plugin of each entry; a type that does not exist is reported."""
    plugged = Plugged({}, set())
    for where, entry in entries(tree.data):
        plugin = _find(tree, where, entry.get("type"))
        if plugin is None:
            plugged.unknown.add(where)
        else:
            plugged.found[where] = plugin
    return plugged


def _find(tree: Tree, where: Where, kind: Any) -> plugins.Plugin | None:
    if not isinstance(kind, str) or not kind:
        return None  # the model of the common part reports it
    room = ROOMS[str(where[0])][0]
    at = (*where, "type")
    try:
        return plugins.find(room, kind)
    except plugins.NoSuchPlugin as error:
        offered = error.suggestion or ", ".join(plugins.names(room))
        fix = f"write {offered}" if error.suggestion else f"the types are {offered}"
        tree.report(tree.mark(at), at, "unknown_type", str(error), fix)
    except ImportError as error:
        message = f"{kind} needs the library {error.name or 'of its service'}"
        fix = f"install clinicrelay[{kind.split('_', maxsplit=1)[0]}], or clinicrelay[all]"
        tree.report(tree.mark(at), at, "not_installed", message, fix)
    return None


def validate_all(
    tree: Tree, data: Any, plugged: Plugged, shape: Shape, context: dict[str, Any]
) -> None:
    """Replace each entry of `data` by its common part with checked options, None where wrong."""
    for where, entry in list(entries(data)):
        section, name = where
        common = set(_keys(ROOMS[str(section)][1])) - {"options"}
        shared = {k: v for k, v in entry.items() if k in common}
        if plugin := plugged.found.get(where):
            shared["options"], places = _options(tree, where, entry, plugin, shape, context)
            if places and tree.opaque:  # a second look, without what nobody can know
                mended(data, places, shape)
                shared["options"], _ = _options(tree, where, entry, plugin, shape, context)
        data[section][name] = shared


def _options(
    tree: Tree,
    where: Where,
    entry: dict[str, Any],
    plugin: plugins.Plugin,
    shape: Shape,
    context: dict[str, Any],
) -> tuple[BaseModel | None, list[Where]]:
    """Check the plugin's keys; those of the common part reach it only if it asks for them."""
    common = set(_keys(ROOMS[str(where[0])][1]))
    asked = set(_keys(plugin.Options))
    own = {k: v for k, v in entry.items() if k in asked or k not in common or k == "options"}
    try:
        return plugin.Options.model_validate(own, context=context), []
    except ValidationError as error:
        details = error.errors(include_url=False)
        return None, report_all(tree, shape, details, below=where)


def _keys(model: type[BaseModel]) -> Iterator[str]:
    for name, info in model.model_fields.items():
        yield from names_of(name, info)


def installed() -> Iterator[tuple[str, str, type[BaseModel]]]:
    """Yield section, type and options of each plugin there is."""
    for section, (room, _) in ROOMS.items():
        for name in plugins.names(room):
            yield section, name, plugins.find(room, name).Options
