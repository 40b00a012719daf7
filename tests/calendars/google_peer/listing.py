"""Lists of events: pages, tokens to go on from, and the parameters that exclude each other."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from .events import bounds, shown
from .state import ApiError, Asking, Body, Calendar, Event, World, invalid

Query = Mapping[str, str]

TOKEN_LIFE = timedelta(days=7)
FILTERS = ("privateExtendedProperty", "timeMin", "timeMax", "updatedMin", "iCalUID", "orderBy", "q")
NO_TOKEN_AFTER = ("privateExtendedProperty", "updatedMin")
NOT_MODELLED = ("iCalUID", "orderBy", "q", "sharedExtendedProperty", "eventTypes")
DEAD = "Sync token is no longer valid, a full sync is required."


def listed(asking: Asking) -> Body:
    """Return one page of a list; the list is what it was when its first page was asked for."""
    world, calendar, query = asking.world, asking.calendar, asking.query
    role = asking.role()
    asked = {k: v for k, v in query.items() if k in (*FILTERS, "showDeleted", "syncToken")}
    _check(query, asked)
    names, upto = _begun(asking, asked)
    size = min(_whole_number(query.get("maxResults", "250")), 2500, world.page_cap)
    page = [calendar.events[name] for name in names[:size] if name in calendar.events]
    answer: Body = {
        "kind": "calendar#events",
        "etag": f'"p{upto}"',
        "summary": calendar.id,
        "timeZone": calendar.zone,
        "accessRole": role,
        "defaultReminders": [],
        "items": [shown(asking, event) for event in page],
    }
    if names[size:]:
        token = world.fresh_token()
        world.pages[token] = (calendar.id, calendar.epoch, asked, names[size:], upto)
        return answer | {"nextPageToken": token}
    if any(name in asked for name in NO_TOKEN_AFTER):
        return answer
    return answer | {"nextSyncToken": _token(world, calendar, upto)}


def _check(query: Query, asked: dict[str, str]) -> None:
    if any(name in query for name in NOT_MODELLED):
        raise ApiError(501, "notImplemented", "This peer does not know that parameter.")
    together = [name for name in FILTERS if name in asked]
    if "syncToken" in asked and (together or asked.get("showDeleted") == "false"):
        raise invalid(f"Sync token cannot be used with: {', '.join(together) or 'showDeleted'}")
    least, most = (_moment(query, name) for name in ("timeMin", "timeMax"))
    if least and most and most <= least:
        raise invalid("The specified time range is empty.", "timeRangeEmpty")


def _whole_number(said: str) -> int:
    if not said.isdigit() or int(said) < 1:
        raise invalid(f"Invalid integer value: '{said}'.", "invalidParameter")
    return int(said)


def _moment(query: Query, name: str) -> datetime | None:
    if name not in query:
        return None
    try:
        moment = datetime.fromisoformat(query[name])
    except ValueError as error:
        raise invalid("Bad Request", "badRequest") from error
    if moment.tzinfo is None:
        raise invalid("Bad Request", "badRequest")
    return moment


def _begun(asking: Asking, asked: dict[str, str]) -> tuple[list[str], int]:
    """Return the ids that are still to come, and the change up to which the whole list speaks."""
    calendar, token = asking.calendar, asking.query.get("pageToken")
    if not token:
        return [event.body["id"] for event in _matching(asking)], calendar.changes
    name, epoch, before, names, upto = asking.world.pages.get(token, ("", 0, {}, [], 0))
    if (name, before) != (calendar.id, asked):
        raise invalid("Invalid page token value.")
    if epoch != calendar.epoch:
        raise _dead()
    return names, upto


def _matching(asking: Asking) -> list[Event]:
    calendar, query = asking.calendar, asking.query
    events = sorted(calendar.events.values(), key=lambda event: event.change)
    if "syncToken" in query:
        since = _since(asking.world, calendar, query["syncToken"])
        return [event for event in events if event.change > since]
    deleted = query.get("showDeleted") == "true"
    return [e for e in events if (deleted or not e.cancelled) and _passes(e, calendar, query)]


def _passes(event: Event, calendar: Calendar, query: Query) -> bool:
    starts, ends = bounds(event, calendar.zone)
    least, most, updated = (_moment(query, name) for name in ("timeMin", "timeMax", "updatedMin"))
    name, _, value = query.get("privateExtendedProperty", "").partition("=")
    private = event.body.get("extendedProperties", {}).get("private", {})
    return (
        (not least or ends > least)
        and (not most or starts < most)
        and (not updated or datetime.fromisoformat(event.body["updated"]) >= updated)
        and (not name or private.get(name) == value)
    )


def _token(world: World, calendar: Calendar, upto: int) -> str:
    said: list[Any] = [calendar.id, calendar.epoch, upto, world.now().timestamp()]
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode()


def _since(world: World, calendar: Calendar, token: str) -> int:
    try:
        name, epoch, upto, made = json.loads(base64.urlsafe_b64decode(token))
    except ValueError as error:
        raise _dead() from error
    old = world.now().timestamp() - made > TOKEN_LIFE.total_seconds()
    if (name, epoch) != (calendar.id, calendar.epoch) or old:
        raise _dead()
    return int(upto)


def _dead() -> ApiError:
    return ApiError(410, "fullSyncRequired", DEAD)
