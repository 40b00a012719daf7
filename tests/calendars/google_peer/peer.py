"""A small Google Calendar of our own: set the scene, make trouble, look what came of it.

It speaks API v3, batches and tokens as Google's own client does. Where nobody has written down what
Google does, it is the stricter of the possibilities; what a product should not need (searching,
single occurrences of a series, push), it does not know.
"""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from dataclasses import asdict, is_dataclass
from datetime import datetime, timedelta
from typing import Any

from clinicrelay.testing import Asked, HttpServer, Reply

from . import extras, tokens
from .doctor import Doctor
from .faults import Answer, Rule
from .routes import Call
from .state import ROLES, ApiError, Body, World
from .wire import Api

SWITCHES = ("undelete", "meet_pending", "batch_shuffle", "batch_limit", "page_cap")
EVENTS_SCOPE = "https://www.googleapis.com/auth/calendar.events"


class GooglePeer:
    """A Google Calendar of our own on this machine; every method may be called while it serves."""

    def __init__(self, seed: int = 0) -> None:
        self.world = World(seed)
        self._server = HttpServer(self._reply)
        self._api = Api(self.world, self._server.url)
        self.quota = self._api.quota

    def __enter__(self) -> GooglePeer:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._api.stopping.set()
        self._server.stop()

    @property
    def url(self) -> str:
        """The address, without a slash at its end."""
        return self._server.url

    # --- the scene -------------------------------------------------------------------------------

    def service_account(self, email: str, delegated: tuple[str, ...] = (), key: int = 0) -> Body:
        """Make an account and return its key file; with another `key` the old file is void."""
        with self.world.lock:
            return tokens.service_account(
                self.world, self.url, email, delegated=tuple(delegated), generation=key
            )

    def authorized_user(self, email: str, scopes: tuple[str, ...] = (EVENTS_SCOPE,)) -> Body:
        """Let a person grant scopes, and return the file with the refresh token."""
        return tokens.authorized_user(self.world, self.url, email, tuple(scopes))

    def calendar(
        self, name: str, zone: str = "Europe/Berlin", shared: dict[str, str] | None = None
    ) -> None:
        """Make a person with a calendar of the same name, shared as {address: role}."""
        with self.world.lock:
            self.world.users.add(name)
            self.world.add_calendar(name, name, zone)
        for email, role in (shared or {}).items():
            self.share(name, email, role)

    def share(self, calendar: str, email: str, role: str | None = "writer") -> None:
        """Give a role, or with None take it away; the calendar's sync tokens die of it."""
        if role not in (None, *ROLES):
            raise ValueError(f"{role} is none of {', '.join(ROLES)}")
        with self.world.lock:
            acl = self.world.calendars[calendar].acl
            acl.pop(email, None)
            acl.update({email: role} if role else {})
            self.kill_sync_tokens(calendar)

    def doctor(self, calendar: str) -> Doctor:
        return Doctor(self.world, self.world.calendars[calendar])

    # --- trouble ---------------------------------------------------------------------------------

    def fault(self, kind: str, operation: str = "*", **when: Any) -> Rule:
        """Let something go wrong from now on; see `Rule`."""
        rule = Rule(kind, operation, **when)
        with self.world.lock:
            self._api.rules.append(rule)
        return rule

    def heal(self) -> None:
        """Take all faults back."""
        with self.world.lock:
            self._api.rules.clear()

    def switch(self, **switches: Any) -> None:
        """Say how Google behaves today: any of SWITCHES."""
        for name, value in switches.items():
            if name not in SWITCHES:
                raise ValueError(f"{name} is none of {', '.join(SWITCHES)}")
            setattr(self.world, name, value)

    def limit(self, **limits: Any) -> None:
        """Set the quota: per_user, per_project, forms, retry_after; see `Quota`."""
        for name, value in limits.items():
            if name not in ("per_user", "per_project", "forms", "retry_after"):
                raise ValueError(f"{name} is no part of a quota")
            setattr(self.quota, name, value)

    def limit_use(self, account: str, seconds: float) -> None:
        """Let an account only read for so long: Calendar usage limits exceeded."""
        self.quota.limit_use(account, self.world.now() + timedelta(seconds=seconds))

    def advance(self, seconds: float) -> None:
        """Let time pass for quotas, dates and sync tokens; access tokens keep real time."""
        self.world.ahead += timedelta(seconds=seconds)

    def skew(self, seconds: float) -> None:
        """Set the token endpoint's clock off the caller's."""
        self.world.token_skew = timedelta(seconds=seconds)

    def expire_tokens(self) -> None:
        with self.world.lock:
            self.world.tokens.clear()

    def revoke(self) -> None:
        """Let everybody take back what they granted by refresh token."""
        self.world.refresh_tokens.clear()

    def disable(self, account: str, disabled: bool = True) -> None:
        self.world.accounts[account].disabled = disabled

    def kill_sync_tokens(self, calendar: str) -> None:
        self.world.calendars[calendar].epoch += 1

    def purge(self, calendar: str) -> None:
        """Let the tombstones vanish for good: their ids are free again, and sync tokens die."""
        with self.world.lock:
            found = self.world.calendars[calendar]
            found.events = {event.body["id"]: event for event in found.live()}
            self.kill_sync_tokens(calendar)

    def open_meetings(self) -> None:
        """Give every meeting that is pending its link."""
        with self.world.lock:
            for calendar in self.world.calendars.values():
                for event in calendar.events.values():
                    request = event.body.get("conferenceData", {}).get("createRequest", {})
                    if request.get("status") == {"statusCode": "pending"}:
                        extras.open_meeting(event.body)
                        self.world.keep(calendar, event)

    # --- what came of it -------------------------------------------------------------------------

    def calls(self, *operations: str) -> list[Call]:
        """Return what was asked so far, in order of its end; all of it, or only of these operations."""
        with self.world.lock:
            return [c for c in self._api.calls if not operations or c.operation in operations]

    def forget_calls(self) -> None:
        with self.world.lock:
            self._api.calls.clear()

    def dump(self, calendar: str, live: bool = False) -> list[Body]:
        """Return the events, tombstones too, as kept; `reminders` are by principal."""
        with self.world.lock:
            found = self.world.calendars[calendar]
            kept = found.live() if live else list(found.events.values())
            return copy.deepcopy(
                [{**e.body, "etag": e.etag, "reminders": e.reminders} for e in kept]
            )

    def duplicates(self, key: str = "csRef") -> dict[str, list[str]]:
        """Return, by a private property's value, the live events that share it in all calendars."""
        by_value: dict[str, list[str]] = defaultdict(list)
        for name in list(self.world.calendars):
            for event in self.dump(name, live=True):
                value = event.get("extendedProperties", {}).get("private", {}).get(key)
                by_value[value].append(f"{name}/{event['id']}")
        return {value: found for value, found in by_value.items() if value and len(found) > 1}

    def peaks(self) -> dict[str, int]:
        """Return how many requests came in any 60 seconds at most: "project", "user NAME"."""
        return dict(self.quota.peaks)

    def mails(self) -> list[Body]:
        """Return what Google would have mailed to guests."""
        return list(self.world.mails)

    # --- over HTTP -------------------------------------------------------------------------------

    def _reply(self, asked: Asked) -> Reply:
        if asked.path.startswith("/_peer/"):
            return self._administer(asked)
        answer = self._api.answer(asked)
        if answer.wire in ("close", "drop"):
            raise ConnectionAbortedError
        return _sent(answer)

    def _administer(self, asked: Asked) -> Reply:
        """Call a method of the peer, or of a doctor: POST /_peer/dump {"calendar": ...}."""
        name, arguments = asked.path.removeprefix("/_peer/"), json.loads(asked.body or b"{}")
        target: Any = self
        if name.startswith("doctor/"):
            target, name = self.doctor(arguments.pop("calendar")), name.removeprefix("doctor/")
        try:
            if name.startswith("_"):
                raise AttributeError(name)
            result = getattr(target, name)(*arguments.pop("args", ()), **arguments)
        except (ApiError, AttributeError, KeyError, TypeError, ValueError) as error:
            return Reply({"wrong": repr(error)}, 400)
        return Reply(json.dumps({"result": result}, default=_plain).encode())


def _sent(answer: Answer) -> Reply:
    body = b"" if answer.body is None else answer.body
    cut = {"drop": answer.wire == "truncate", "reset": answer.wire == "reset"}
    return Reply(body, answer.status, answer.headers, **cut)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {k: v for k, v in asdict(value).items() if k != "call"}
    return value.isoformat() if isinstance(value, datetime) else str(value)
