"""What a reason code is: its meaning for the clinic's staff, what to do, and what decides it."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class About(StrEnum):
    """What a reason code is given for."""

    MESSAGE = "message"
    EVENT = "event"
    RECORD = "record"
    VISIT = "visit"


class Reason(NamedTuple):
    """One code. `says` completes "not sent: …"; `setting` is the setting or command that decides.

    `ours` is true where something has to be mended before anybody is reached again; with the others
    all is as it should be, or only the source can change it.
    """

    about: About
    says: str
    to_do: str
    setting: str = ""
    ours: bool = False
