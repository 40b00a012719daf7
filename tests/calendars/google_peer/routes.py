"""What a request is for, read from its bytes; and how it is noted down."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from urllib.parse import unquote

from clinicrelay.testing import Asked

from .state import Body, invalid


class Route(NamedTuple):
    """What a request is for. `resource` and `method` are the discovery document's words."""

    operation: str
    resource: str
    method: str
    schema: str
    calendar: str
    event: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it came and as it was answered; `status` 0: nothing was done, nothing answered.

    `at` is when it came, by the peer's clock; `account` who is charged for it.
    """

    at: datetime
    operation: str
    method: str
    calendar: str
    event: str
    account: str
    quota_user: str
    query: dict[str, str]
    body: str
    if_match: str
    in_batch: bool
    status: int = 0
    reason: str = ""
    wire: str = ""


_EVENTS = {"GET": "list", "POST": "insert"}
_EVENT = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def route_of(asked: Asked) -> Route | None:
    match [unquote(piece) for piece in asked.path.split("/")[1:]]:
        case ["calendar", "v3", "calendars", name, "events"] if asked.method in _EVENTS:
            operation = _EVENTS[asked.method]
            schema = "Events" if operation == "list" else "Event"
            return Route(operation, "events", operation, schema, name)
        case ["calendar", "v3", "calendars", name, "events", event] if asked.method in _EVENT:
            operation = _EVENT[asked.method]
            return Route(operation, "events", operation, "Event", name, event)
        case ["calendar", "v3", "calendars", name] if asked.method == "GET":
            return Route("calendar", "calendars", "get", "Calendar", name)
        case ["calendar", "v3", "users", "me", "calendarList", name] if asked.method == "GET":
            return Route("entry", "calendarList", "get", "CalendarListEntry", name)
    return None


def query_of(asked: Asked) -> dict[str, str]:
    """Return the parameters by name; a repeated one is refused, for nobody knows what it means."""
    query = dict(asked.query)
    if len(query) < len(asked.query):
        raise invalid("Repeated parameter.", "invalidParameter")
    return query


def body_of(asked: Asked) -> Body:
    try:
        sent = json.loads(asked.body or b"{}")
    except ValueError as error:
        raise invalid("Parse Error", "parseError") from error
    if not isinstance(sent, dict):
        raise invalid("Parse Error", "parseError")
    return sent


def quota_user_of(asked: Asked) -> str:
    return asked.one("quotaUser") or asked.headers.get("x-goog-quota-user", "")


def noted(asked: Asked, route: Route, account: str, *, in_batch: bool, now: datetime) -> Call:
    body = "" if route.operation in ("token", "batch") else asked.body.decode(errors="replace")
    return Call(
        now,
        route.operation,
        asked.method,
        route.calendar,
        route.event,
        account,
        quota_user_of(asked),
        dict(asked.query),
        body,
        asked.headers.get("if-match", ""),
        in_batch,
    )
