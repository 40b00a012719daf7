"""What becomes of an event when it is written, and what is shown of it."""

from __future__ import annotations

import copy
import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from . import extras
from .checks import CHOICES, check, check_guests, instant
from .state import ApiError, Asking, Body, Event, at_least, invalid, not_found, stamp

LETTERS = "0123456789abcdefghijklmnopqrstuv"
KEPT = (
    *("summary", "description", "location", "start", "end", "attendees", "recurrence", "source"),
    *("extendedProperties", "guestsCanModify", "guestsCanInviteOthers", *CHOICES),
)
BUSY = ("kind", "etag", "id", "status", "start", "end", "visibility")


def insert(asking: Asking, sent: Body) -> Event:
    """Keep a new event; an id is taken for good, also by what was deleted."""
    _may_write(asking)
    name = sent.get("id") or "".join(asking.world.random.choices(LETTERS, k=26))
    if not re.fullmatch("[0-9a-v]{5,1024}", str(name)):
        raise invalid("Invalid resource id value.")
    if name in asking.calendar.events:
        raise ApiError(409, "duplicate", "The requested identifier already exists.")
    fixed = {
        "id": name,
        "iCalUID": sent.get("iCalUID") or f"{name}@google.com",
        "created": stamp(asking.world.now()),
        "creator": {"email": asking.caller.email},
        "organizer": {"email": asking.calendar.id},
        "htmlLink": f"https://calendar.example/event?eid={name}",
    }
    return _write(asking, Event({**fixed, "status": "confirmed", "sequence": 0}), sent, whole=True)


def change(asking: Asking, sent: Body, *, whole: bool) -> Event:
    """Replace (PUT, `whole`) or merge (PATCH) an event."""
    old = _writable(asking)
    event = copy.deepcopy(old)
    if whole:
        fixed = {name: value for name, value in event.body.items() if name not in KEPT}
        event.body = {**fixed, "status": "confirmed"}
    return _write(asking, event, sent, whole=whole, old=old)


def delete(asking: Asking) -> None:
    """Leave a tombstone, with all that the event held."""
    event = _writable(asking)
    if event.cancelled:
        raise ApiError(410, "deleted", "Resource has been deleted")
    event.body["status"] = "cancelled"
    asking.world.keep(asking.calendar, event)
    extras.mail(asking, event, "cancelled")


def find(asking: Asking) -> Event:
    if asking.event not in asking.calendar.events:
        raise not_found()
    return asking.calendar.events[asking.event]


def _may_write(asking: Asking) -> str:
    given = asking.role()
    if not at_least(given, "writerWithoutPrivateAccess"):
        raise _too_low("You need to have writer access to this calendar.")
    return given


def _too_low(message: str) -> ApiError:
    return ApiError(403, "requiredAccessLevel", message)


def _writable(asking: Asking) -> Event:
    given, event = _may_write(asking), find(asking)
    if given == "writerWithoutPrivateAccess" and _is_private(event):
        raise _too_low("You need to have access to private events of this calendar.")
    if asking.if_match not in ("", "*", event.etag):
        raise ApiError(412, "conditionNotMet", "Precondition Failed")
    return event


def _write(
    asking: Asking, event: Event, sent: Body, *, whole: bool, old: Event | None = None
) -> Event:
    """Check everything before anything is kept: a refused write leaves no trace."""
    before = old.body if old else copy.deepcopy(event.body)
    check_guests(asking.caller, sent.get("attendees") or [])
    merge(event.body, {name: sent[name] for name in KEPT if name in sent})
    event.body.setdefault("status", "confirmed")
    check(event.body, asking.calendar.zone)
    if old and old.cancelled and not event.cancelled and not asking.world.undelete:
        raise ApiError(403, "forbidden", "Forbidden")
    _number(event.body, before, sent, new=old is None)
    if asking.query.get("conferenceDataVersion", "0") == "1":
        extras.confer(asking, event.body, sent)
    reminded = extras.remind(event, asking.caller, sent, whole=whole)
    only_reminders = old is not None and reminded and event.body == before
    asking.world.keep(asking.calendar, event, visibly=not only_reminders)
    extras.mail(asking, event, "changed" if old else "invited")
    return event


def merge(into: Body, sent: Body) -> None:
    """Merge as PATCH does: null clears, objects go into each other, arrays replace."""
    for name, value in sent.items():
        if value is None:
            into.pop(name, None)
        elif isinstance(value, dict):
            inner = into.get(name)
            into[name] = dict(inner) if isinstance(inner, dict) else {}
            merge(into[name], value)
        else:
            into[name] = value


def _number(body: Body, before: Body, sent: Body, *, new: bool) -> None:
    wanted = sent.get("sequence", before["sequence"])
    if wanted < before["sequence"]:
        raise invalid("Invalid sequence value.")
    moved = not new and any(body[end] != before.get(end) for end in ("start", "end"))
    body["sequence"] = max(wanted, before["sequence"] + moved)


# --- what is shown -------------------------------------------------------------------------------


def shown(asking: Asking, event: Event) -> Body:
    """Return an event as this caller sees it, with times in the calendar's zone or the one asked for."""
    given, zone = asking.role(), asking.query.get("timeZone", asking.calendar.zone)
    times = {end: _in_zone(event.body[end], zone) for end in ("start", "end")}
    body = {"kind": "calendar#event", "etag": event.etag, **event.body, **times}
    if given == "freeBusyReader" or (_is_private(event) and not at_least(given, "writer")):
        return {name: body[name] for name in BUSY if name in body}
    return {**body, "reminders": event.reminders.get(asking.caller.email, {"useDefault": True})}


def bounds(event: Event, zone: str) -> tuple[datetime, datetime]:
    start, end = (instant(event.body[name], name, zone) for name in ("start", "end"))
    return start.astimezone(UTC), end.astimezone(UTC)


def _is_private(event: Event) -> bool:
    return event.body.get("visibility") in ("private", "confidential")


def _in_zone(value: Body, zone: str) -> Body:
    if "date" in value:
        return {"date": value["date"]}
    local = instant(value, "", zone).astimezone(ZoneInfo(zone)).isoformat(timespec="seconds")
    return {"dateTime": local.replace("+00:00", "Z"), "timeZone": value.get("timeZone", zone)}
