"""What every plugin is given, and the words that all of them answer in."""

from __future__ import annotations

import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import msgspec

if TYPE_CHECKING:
    from clinicrelay.contracts.connectors import Columns

Cursor: TypeAlias = dict[str, Any]
Memo: TypeAlias = dict[str, Any]


class Finding(msgspec.Struct, frozen=True):
    """Something a person should know or mend: where it is, why it is wrong, what would be right."""

    severity: str  # error | warning
    code: str
    message: str
    fix: str = ""
    path: str = ""
    file: str = ""
    line: int = 0
    column: int = 0


class Leftover(msgspec.Struct, frozen=True):
    """A file with patients' data that lies on this machine though its work is done, and since when."""

    path: Path
    at: datetime


@dataclass(frozen=True, slots=True)
class ClinicFacts:
    """What a plugin may know of the clinic it works for."""

    id: str
    name: str
    timezone: str
    country: str
    language: str
    phone: str | None = None
    email: str | None = None
    address: str | None = None


class Pace(Protocol):
    """Rate limits that survive restarts and are shared by workers; implemented by the store."""

    def take(self, key: str, n: int = 1) -> timedelta:
        """Reserve n calls under `key` and return how long to wait before making them.

        Nothing is reserved where a wait of `timedelta.max` says: not in this run.
        """
        ...

    def refused(self, key: str, after: timedelta | None = None) -> None:
        """Note that the other side found a call under `key` too fast, whatever our count says.

        `after` is how long it asked us to wait. The calls that follow are fewer for a while.
        """
        ...


class Unpaced:
    """No limit: for folders and tests."""

    def take(self, key: str, n: int = 1) -> timedelta:
        return timedelta(0)

    def refused(self, key: str, after: timedelta | None = None) -> None:
        """Nothing is counted, so nothing is slowed down."""


def _rest(seconds: float) -> bool:
    time.sleep(seconds)
    return True


@dataclass(frozen=True, slots=True)
class Kit:
    """All that a plugin may touch: nothing here knows the store.

    `memory` is a small durable text → JSON mapping of this instance. `folder` is where relative
    paths of this plugin begin (the settings file's folder for sources, `data` for the others).
    `now` is the business clock; `tell` reports progress worth showing on a terminal. `fresh_options`
    reads the settings again: a secret in a file may have been renewed since.

    `handing_over` is called by a notifier with a message's id right before the bytes that may make
    the provider accept it. It writes the attempt down: of a process that dies earlier nothing left,
    and nothing stands. It raises when the message may no longer leave: let that pass through.

    `callback_url` is where this instance's provider may report what became of messages, None where
    the clinic has no public address. An attempt's id may be put behind it, and nothing else.

    `rest` waits so many seconds; False as soon as the run is to come to its end.
    """

    name: str
    clinic: ClinicFacts
    folder: Path
    now: datetime
    memory: MutableMapping[str, Any] = field(default_factory=dict)
    pace: Pace = field(default_factory=Unpaced)
    instance_key: bytes = b""
    callback_url: str | None = None
    find_columns: Callable[[], Columns] | None = None
    wait: bool = False  # a person is watching: waiting for a file to settle is worth it
    tell: Callable[[str], None] = lambda text: None
    handing_over: Callable[[str], None] = lambda attempt: None
    rest: Callable[[float], bool] = _rest
    fresh_options: Callable[[], Any] | None = None

    @property
    def columns(self) -> Columns | None:
        """What the mapping reads of a table; found out when a header has to be recognised."""
        return self.find_columns() if self.find_columns else None


class Outcome(StrEnum):
    """What became of a delivery. Only NOT_SENT may be tried again blindly."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"
    AGAIN = "again"  # calendars only: keep the new memo, then call again
