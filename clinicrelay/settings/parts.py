"""The parts of the settings that decide what is said and shown, as they would be written; no secret is.

Of plugins there is only the kind: their own keys are where secrets and addresses of servers stand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from clinicrelay.settings.schema import (
    CalendarSettings,
    Channels,
    Clinic,
    Doctor,
    NotifierSettings,
    QuietHours,
    Reminders,
    Safety,
    Settings,
)
from clinicrelay.settings.shape import names_of
from clinicrelay.settings.writing import as_written

OFF = "off"
_PLUGGED = ("sources", "notifiers")
_Model = TypeVar("_Model", bound=BaseModel)


def parts_of(settings: Settings) -> dict[str, Any]:
    """Return the parts as plain values that JSON can hold."""
    return {
        "clinic": _written(settings.clinic),
        "doctors": [_written(one) for one in settings.doctors],
        "calendars": {name: _written(one) for name, one in settings.calendars.items()},
        "channels": _written(settings.channels),
        "reminders": _written(settings.reminders),
        "quiet_hours": _written(settings.quiet_hours) if settings.quiet_hours else OFF,
        "safety": _written(settings.safety),
        **{
            section: {name: {"type": one.type} for name, one in getattr(settings, section).items()}
            for section in _PLUGGED
        },
    }


def with_parts(settings: Settings, parts: Mapping[str, Any]) -> Settings:
    """Return settings with these parts in the place of their own; plugins keep their own keys.

    A calendar that the settings do not have, or have as one of another kind, cannot be asked for
    anything and is left out; such a notifier has no options. Raises ValidationError where another
    version wrote the parts.
    """
    quiet = parts["quiet_hours"]
    context = {"folder": settings.folder, "country": parts["clinic"].get("country")}

    def read(model: type[_Model], value: Any) -> _Model:
        return model.model_validate(value, context=context)

    return settings.model_copy(
        update={
            "clinic": read(Clinic, parts["clinic"]),
            "doctors": tuple(read(Doctor, one) for one in parts["doctors"]),
            "calendars": {
                name: read(CalendarSettings, one).model_copy(
                    update={"options": settings.calendars[name].options}
                )
                for name, one in parts["calendars"].items()
                if name in settings.calendars and settings.calendars[name].type == one["type"]
            },
            "notifiers": {
                name: _notifier(settings.notifiers.get(name), one["type"])
                for name, one in parts["notifiers"].items()
            },
            "channels": read(Channels, parts["channels"]),
            "reminders": read(Reminders, parts["reminders"]),
            "quiet_hours": None if quiet == OFF else read(QuietHours, quiet),
            "safety": read(Safety, parts["safety"]),
        }
    )


def _notifier(own: NotifierSettings | None, kind: str) -> NotifierSettings:
    return own if own is not None and own.type == kind else NotifierSettings(type=kind)


def differences(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield where two parts differ: the path, and what stands there in each (None: nothing)."""
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys((*before, *after)):
            below = f"{path}.{key}" if path else str(key)
            yield from differences(before.get(key), after.get(key), below)
    elif _are_entries(before) and _are_entries(after):
        named = [{one["id"]: one for one in some} for some in (before, after)]
        yield from differences(named[0], named[1], path)
    else:
        yield path, before, after


def _are_entries(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) and "id" in one for one in value)


def _written(model: BaseModel) -> dict[str, Any]:
    found = {
        names_of(name, info)[0]: _value(getattr(model, name), info)
        for name, info in type(model).model_fields.items()
        if name != "options"
    }
    return {name: value for name, value in found.items() if value is not None}


def _value(value: Any, info: FieldInfo) -> Any:
    if value is None:
        return None if info.default is None else OFF
    if isinstance(value, BaseModel):
        return _written(value)
    if isinstance(value, tuple | list) and any(isinstance(one, BaseModel) for one in value):
        return [_written(one) for one in value]
    return as_written(value, info)
