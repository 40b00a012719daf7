"""What the peer keeps: accounts, calendars, events, and the clock they are dated by."""

from __future__ import annotations

import random
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Body = dict[str, Any]

ROLES = ("freeBusyReader", "reader", "writerWithoutPrivateAccess", "writer", "owner")


class ApiError(Exception):
    """An answer of the API that is an error, as its guide to errors lists them."""

    def __init__(
        self, status: int, reason: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message
        self.headers = dict(headers or {})

    @property
    def body(self) -> Body:
        domain = "usageLimits" if "imit" in self.reason or "quota" in self.reason else "global"
        error = {"domain": domain, "reason": self.reason, "message": self.message}
        return {"error": {"errors": [error], "code": self.status, "message": self.message}}


def invalid(message: str, reason: str = "invalid") -> ApiError:
    return ApiError(400, reason, message)


def not_found() -> ApiError:
    return ApiError(404, "notFound", "Not Found")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who acts, and which account is charged for it. A bare service account speaks for nobody."""

    email: str
    account: str
    scopes: frozenset[str]
    bare: bool = False


@dataclass(slots=True)
class Account:
    """A service account; with `delegated` scopes it may speak for the people of its domain."""

    email: str
    public_key: Any
    delegated: frozenset[str] = frozenset()
    disabled: bool = False


@dataclass(slots=True)
class Event:
    """One event; `reminders` by principal, `change` its place in the calendar's history."""

    body: Body
    etag: str = ""
    change: int = 0
    reminders: dict[str, Body] = field(default_factory=dict)

    @property
    def cancelled(self) -> bool:
        return bool(self.body["status"] == "cancelled")


@dataclass(slots=True)
class Calendar:
    """One calendar; a sync token lives as long as the `epoch` it was given in."""

    id: str
    owner: str
    zone: str
    acl: dict[str, str]
    events: dict[str, Event] = field(default_factory=dict)
    changes: int = 0
    epoch: int = 0

    def live(self) -> list[Event]:
        return [event for event in self.events.values() if not event.cancelled]


@dataclass
class World:
    """All of it, and the switches that say how Google behaves today."""

    seed: int = 0
    undelete: bool = True
    meet_pending: bool = False
    batch_shuffle: bool = False
    batch_limit: int = 50
    page_cap: int = 2500
    ahead: timedelta = timedelta(0)  # of the real clock; quota windows and dates slide with it
    token_skew: timedelta = timedelta(0)  # how far the token endpoint's clock is off the caller's
    accounts: dict[str, Account] = field(default_factory=dict)
    users: set[str] = field(default_factory=set)
    calendars: dict[str, Calendar] = field(default_factory=dict)
    tokens: dict[str, tuple[Caller, datetime]] = field(default_factory=dict)
    refresh_tokens: dict[str, tuple[Caller, Body]] = field(default_factory=dict)
    pages: dict[str, Any] = field(default_factory=dict)
    mails: list[Body] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    edits: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def add_calendar(self, name: str, owner: str, zone: str) -> Calendar:
        return self.calendars.setdefault(name, Calendar(name, owner, zone, {owner: "owner"}))

    def keep(self, calendar: Calendar, event: Event, *, visibly: bool = True) -> Event:
        """Date and number a change; one of reminders alone is not `visibly` one."""
        self.edits += 1
        calendar.changes += 1
        event.change, event.etag = calendar.changes, f'"{3_400_000_000_000 + self.edits}"'
        if visibly or "updated" not in event.body:
            event.body["updated"] = stamp(self.now())
        calendar.events[event.body["id"]] = event
        return event

    def fresh_token(self) -> str:
        return secrets.token_urlsafe(24)


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Asking:
    """One call, once it is clear who asks, and for which calendar."""

    world: World
    calendar: Calendar
    caller: Caller
    event: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    if_match: str = ""

    def role(self) -> str:
        """Return what the caller may do; a calendar that is not shared with it does not exist."""
        given = self.calendar.acl.get(self.caller.email)
        if given is None:
            raise not_found()
        return given


def at_least(role_: str, wanted: str) -> bool:
    return ROLES.index(role_) >= ROLES.index(wanted)
