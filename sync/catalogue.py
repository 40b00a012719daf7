"""What plugins there are: ours and those of other packages, what they do, and the keys they take."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from clinicrelay import plugins
from clinicrelay.contracts import Calendar, Notifier
from clinicrelay.model import Channel
from clinicrelay.settings.mistakes import as_yaml
from clinicrelay.settings.plugged import ROOMS
from clinicrelay.settings.shape import item_type, names_of, parts, sections
from clinicrelay.settings.writing import default_of, type_of

BUILT_IN = "built in"
_EXTRA = re.compile(r"([A-Za-z0-9._-]+).*;.*extra == ['\"]([^'\"]+)['\"]")


@dataclass(frozen=True, slots=True)
class Option:
    """A key that a plugin takes; those of a section below it are `ready.settle`."""

    key: str
    type: str
    default: str
    required: bool
    about: str
    example: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One plugin. `extra` is ours that brings its libraries; `install` what to type where they are
    missing, `fault` why it cannot be imported. `outside` None: that depends on its options.
    """

    section: str
    name: str
    origin: str
    says: str = ""
    channels: tuple[Channel, ...] = ()
    outside: bool | None = None
    options: tuple[Option, ...] = ()
    example: str = ""
    extra: str = ""
    install: str = ""
    fault: str = ""


def catalogue() -> Iterator[Entry]:
    """Yield every plugin of every room, by room and name; one that is broken is told as such."""
    for section, (room, _) in ROOMS.items():
        for name in plugins.names(room):
            yield _entry(section, room, name)


def _entry(section: str, room: str, name: str) -> Entry:
    origin = _origin(room, name)
    extra = _extra(name) if origin == BUILT_IN else ""
    install = f'pip install "clinicrelay[{extra}]"' if extra and _lacks(extra) else ""
    try:
        plugin = plugins.find(room, name)
    except ImportError as error:
        fault = f"needs the library {error.name or 'of its service'}"
        return Entry(section, name, origin, extra=extra, install=install, fault=fault)
    except Exception as error:  # noqa: BLE001 - a stranger's module may fail in any way
        fault = f"cannot be imported ({type(error).__name__})"
        return Entry(section, name, origin, extra=extra, install=install, fault=fault)
    return Entry(
        section,
        name,
        origin,
        (plugin.__doc__ or "").strip().partition("\n")[0],
        tuple(getattr(plugin, "channels", ())),
        _outside(plugin),
        tuple(_options(plugin.Options)),
        _example(section, name, plugin.Options),
        extra,
        install,
    )


def _outside(plugin: plugins.Plugin) -> bool | None:
    said = getattr(plugin, "outside", None)
    if said in (Calendar.outside, Notifier.outside):
        return True  # the contract's own word, where a plugin says nothing else
    return said if isinstance(said, bool) else None


# --- where it comes from -------------------------------------------------------------------------


def _origin(room: str, name: str) -> str:
    if name.isidentifier() and importlib.util.find_spec(f"{room}.{name}"):
        return BUILT_IN
    points = metadata.entry_points(group=f"clinicrelay.{room}", name=name)
    dist = next((point.dist for point in points if point.dist), None)
    return f"{dist.name} {dist.version}" if dist else "another package"


def _extra(name: str) -> str:
    """Return our extra for a type: that of its service (`aws` for aws_sms); empty where none is."""
    service = name.split("_", maxsplit=1)[0]
    return service if service in {extra for _, extra in _extras()} else ""


def _lacks(extra: str) -> bool:
    return any(not _there(library) for library, of in _extras() if of == extra)


def _extras() -> list[tuple[str, str]]:
    """Return library and extra of all that our package asks for only on demand."""
    try:
        wanted = metadata.requires("clinicrelay") or []
    except metadata.PackageNotFoundError:  # run from a folder, without being installed
        return []
    return [(found[1], found[2]) for line in wanted if (found := _EXTRA.match(line))]


def _there(library: str) -> bool:
    try:
        metadata.distribution(library)
    except metadata.PackageNotFoundError:
        return False
    return True


# --- the keys it takes ---------------------------------------------------------------------------


def _options(model: type[BaseModel], prefix: str = "") -> Iterator[Option]:
    required = _required(model)
    for name, info in model.model_fields.items():
        key = names_of(name, info)[0]
        example = as_yaml(info.examples[0]) if info.examples else ""
        yield Option(
            prefix + key,
            type_of(info),
            default_of(info).removeprefix("required"),
            key in required,
            info.description or "",
            example,
        )
        known = set()
        for below in sections(item_type(info.annotation)):
            for option in _options(below, f"{prefix}{key}."):
                if option.key not in known:
                    known.add(option.key)
                    yield option


def _required(model: type[BaseModel]) -> set[str]:
    """Return the keys that must be there; a model may ask for more than pydantic knows of."""
    asked = {names_of(n, i)[0] for n, i in model.model_fields.items() if i.is_required()}
    more = model.model_config.get("json_schema_extra")
    return asked | set(more.get("required", ()) if isinstance(more, dict) else ())  # type: ignore[arg-type]


def _example(section: str, name: str, model: type[BaseModel]) -> str:
    """Return the least that works, to be pasted into settings.yaml."""
    required = _required(model)
    lines = [f"{section}:", f"  {name}:", f"    type: {name}"]
    for field, info in model.model_fields.items():
        key = names_of(field, info)[0]
        if key in required or key in _shown(model):
            lines.append(f"    {key}: {_example_of(name, key, info)}")
    return "\n".join(lines)


def _shown(model: type[BaseModel]) -> set[str]:
    """Return the keys of which one is needed, and that an example shows for it."""
    more = model.model_config.get("json_schema_extra")
    return set(more.get("shown", ()) if isinstance(more, dict) else ())  # type: ignore[arg-type]


def _example_of(name: str, key: str, info: FieldInfo) -> str:
    if info.examples:
        return as_yaml(info.examples[0])
    kinds: list[Any] = list(parts(info.annotation))
    if SecretStr in kinds:
        return f'"${{{name.upper()}_{key.upper()}}}"'
    words = [word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
    return as_yaml(words[0]) if words else "…"
