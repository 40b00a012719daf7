"""Makes sure that the rooms are our own: `sync` and `commands` are names that others use too."""

from __future__ import annotations

import importlib.util
import os

import clinicrelay
from clinicrelay.errors import ClinicrelayError

ROOMS = ("connectors", "calendars", "notifiers", "mappings", "sync", "commands")


class StrangeRoom(ClinicrelayError):
    """A package of somebody else's answers to the name of one of our rooms, or the room is missing."""


def refuse_strangers() -> None:
    """Raise StrangeRoom unless every room lies beside the `clinicrelay` that is running.

    Called once at start: a stranger's `connectors` would otherwise fail much later and much less
    clearly. Nothing is imported for it, the import system is only asked where it would look.
    """
    house = os.path.dirname(os.path.dirname(os.path.abspath(clinicrelay.__file__)))  # noqa: PTH100, PTH120
    for room in ROOMS:
        found = _origin(room)
        if found is None or not _stands_in(house, room, found):
            raise StrangeRoom(_complaint(room, found, house))


def _origin(room: str) -> str | None:
    spec = importlib.util.find_spec(room)
    return spec.origin if spec else None


def _stands_in(house: str, room: str, found: str) -> bool:
    ours = os.path.join(house, room, "__init__.py")  # noqa: PTH118
    # One checkout may be reached by two spellings, through a link; asking the disk is the exception.
    return found == ours or os.path.realpath(found) == os.path.realpath(ours)


def _complaint(room: str, found: str | None, house: str) -> str:
    if found is None:
        return (
            f"The package {room!r} that belongs beside {house}/clinicrelay is missing: the installation "
            "is incomplete. Install clinicrelay again."
        )
    return (
        f"Python finds another package named {room!r}: {found}, not the one in {house}. "
        "Install clinicrelay in an environment of its own (uv tool install clinicrelay, or pipx "
        f"install clinicrelay), and do not start it in a folder that holds a {room}.py."
    )
