"""What an event may hold, and what becomes of it when it is written or read."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from .state import (
    ApiError,
    Body,
    Calendar,
    Caller,
    Event,
    World,
    at_least,
    invalid,
    not_found,
    role,
    stamp,
)

ZONES = available_timezones()
CHOICES = {
    "status": ("confirmed", "tentative", "cancelled"),
    "visibility": ("default", "public", "private", "confidential"),
    "transparency": ("opaque", "transparent"),
    "colorId": tuple(str(number) for number in range(1, 12)),
}
KEPT = (
    *("summary", "description", "location", "start", "end", "attendees", "recurrence", "source"),
    *("extendedProperties", "guestsCanModify", "guestsCanInviteOthers", *CHOICES),
)
FIXED = ("id", "iCalUID", "created", "creator", "organizer", "htmlLink")
BUSY = ("id", "status", "start", "end", "visibility")
WEEKS_4 = 40320
NOT_A_GUEST_LIST = (
    "Service accounts cannot invite attendees without Domain-Wide Delegation of Authority."
)
Query = Mapping[str, str]


# --- the four ways to write ----------------------------------------------------------------------


def insert(world: World, calendar: Calendar, caller: Caller, query: Query, sent: Body) -> Event:
    """Keep a new event; an id is taken for good, also by what was deleted."""
    may_write(calendar, caller)
    name = sent.get("id") or "".join(world.random.choices("0123456789abcdefghijklmnopqrstuv", k=26))
    if not re.fullmatch("[0-9a-v]{5,1024}", str(name)):
        raise invalid("Invalid resource id value.")
    if name in calendar.events:
        raise ApiError(409, "duplicate", "The requested identifier already exists.")
    who = {"email": caller.email, "self": True}
    fixed = {
        "id": name,
        "iCalUID": sent.get("iCalUID") or f"{name}@google.com",
        "created": stamp(world.now()),
        "creator": who,
        "organizer": {"email": calendar.id, "self": True},
        "htmlLink": f"https://calendar.example/event?eid={name}",
    }
    event = Event({**fixed, "status": "confirmed", "sequence": 0})
    return _write(world, calendar, caller, query, event, sent, whole=True)


def change(
    world: World, calendar: Calendar, caller: Caller, query: Query, sent: Body, *, whole: bool
) -> Event:
    """Replace (PUT, `whole`) or merge (PATCH) an event."""
    old = _writable(calendar, caller, query)
    event = copy.deepcopy(old)
    if whole:
        event.body = {k: v for k, v in event.body.items() if k not in KEPT} | {
            "status": "confirmed"
        }
    return _write(world, calendar, caller, query, event, sent, whole=whole, old=old)


def delete(world: World, calendar: Calendar, caller: Caller, query: Query) -> None:
    """Leave a tombstone, with all that the event held."""
    event = _writable(calendar, caller, query)
    if event.cancelled:
        raise ApiError(410, "deleted", "Resource has been deleted")
    event.body["status"] = "cancelled"
    world.keep(calendar, event)
    _mail(world, calendar, event, query, "cancelled")


def find(calendar: Calendar, name: str) -> Event:
    if name not in calendar.events:
        raise not_found()
    return calendar.events[name]


def may_write(calendar: Calendar, caller: Caller) -> str:
    given = role(calendar, caller)
    if not at_least(given, "writerWithoutPrivateAccess"):
        raise _too_low("You need to have writer access to this calendar.")
    return given


def _too_low(message: str) -> ApiError:
    return ApiError(403, "requiredAccessLevel", message)


def _writable(calendar: Calendar, caller: Caller, query: Query) -> Event:
    given = may_write(calendar, caller)
    event = find(calendar, query["eventId"])
    if given == "writerWithoutPrivateAccess" and _is_private(event):
        raise _too_low("You need to have access to private events of this calendar.")
    if query.get("if-match", "*") not in ("*", event.etag):
        raise ApiError(412, "conditionNotMet", "Precondition Failed")
    return event


def _write(
    world: World,
    calendar: Calendar,
    caller: Caller,
    query: Query,
    event: Event,
    sent: Body,
    *,
    whole: bool,
    old: Event | None = None,
) -> Event:
    """Check everything before anything is kept: a refused write leaves no trace."""
    before = copy.deepcopy(event.body if old is None else old.body)
    _refuse_what_is_not_for(caller, sent)
    merge(event.body, {name: sent[name] for name in KEPT if name in sent})
    _check(event.body, calendar.zone)
    if old and old.cancelled and not event.cancelled and not world.undelete:
        raise ApiError(403, "forbidden", "Forbidden")
    _number(event.body, before, sent, new=old is None)
    if query.get("conferenceDataVersion", "0") == "1":
        _confer(world, caller, event.body, sent)
    reminded = _remind(event, caller, sent, whole=whole)
    same = {**event.body, "updated": None} == {**before, "updated": None}
    world.keep(calendar, event, visibly=old is None or not (same and reminded))
    _mail(world, calendar, event, query, "changed" if old else "invited")
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


# --- what is refused -----------------------------------------------------------------------------


def _refuse_what_is_not_for(caller: Caller, sent: Body) -> None:
    if caller.bare and sent.get("attendees"):
        raise ApiError(403, "forbiddenForServiceAccounts", NOT_A_GUEST_LIST)
    if any(not guest.get("email") for guest in sent.get("attendees") or ()):
        raise invalid("Missing attendee email.", "required")


def _check(body: Body, zone: str) -> None:
    for name, allowed in CHOICES.items():
        if body.get(name, allowed[0]) not in allowed:
            raise invalid(f"Invalid value for: {name}")
    start, end = (_instant(body.get(name), name, zone) for name in ("start", "end"))
    if ("date" in body["start"]) != ("date" in body["end"]):
        raise invalid("Start and end times must either both be date or both be dateTime.")
    if end < start:
        raise invalid("The specified time range is empty.", "timeRangeEmpty")
    body.setdefault("status", "confirmed")
    if "extendedProperties" in body:
        body["extendedProperties"] = {
            kind: _properties(values) for kind, values in body["extendedProperties"].items()
        }


def _instant(value: Any, name: str, zone: str) -> datetime:
    if not isinstance(value, dict) or not (value.get("date") or value.get("dateTime")):
        raise invalid(f"Missing {name} time.", "required")
    if value.get("timeZone", "UTC") not in ZONES:
        raise invalid(f"Invalid time zone definition for {name} time.")
    if "date" in value and "dateTime" in value:
        raise invalid(f"Invalid {name} time.")
    try:
        if "date" in value:
            day = date.fromisoformat(value["date"])
            return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))
        moment = datetime.fromisoformat(value["dateTime"])
    except (TypeError, ValueError) as error:
        raise invalid(f"Invalid {name} time.") from error
    if moment.tzinfo is None and "timeZone" not in value:
        raise invalid(f"Missing time zone definition for {name} time.")
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(value["timeZone"]))


def _properties(values: dict[str, Any]) -> dict[str, str]:
    """Cut and drop silently what is too long, as Google does; refuse what is too much."""
    if any(not isinstance(value, str) for value in values.values()):
        raise invalid("Invalid value for: extendedProperties")
    kept = {name: value[:1024] for name, value in values.items() if len(name) <= 44}
    if len(kept) > 300 or sum(len(k) + len(v) for k, v in kept.items()) > 32 * 1024:
        raise invalid("Extended properties are too large.")
    return kept


# --- meetings, reminders, mails ------------------------------------------------------------------


def _confer(world: World, caller: Caller, body: Body, sent: Body) -> None:
    if "conferenceData" not in sent:
        return
    if sent["conferenceData"] is None:
        body.pop("conferenceData", None)
        body.pop("hangoutLink", None)
        return
    request = sent["conferenceData"].get("createRequest")
    if not request:
        return
    kind = request.get("conferenceSolutionKey", {}).get("type")
    if caller.bare or kind != "hangoutsMeet" or not request.get("requestId"):
        raise invalid("Invalid conference type value.")
    known = body.get("conferenceData", {}).get("createRequest", {})
    if known.get("requestId") != request["requestId"]:
        body["conferenceData"] = {"createRequest": {**request, "status": {"statusCode": "pending"}}}
        if not world.meet_pending:
            open_meeting(body)


def open_meeting(body: Body) -> None:
    """Give a meeting that was asked for its link."""
    data = body["conferenceData"]
    data["createRequest"]["status"] = {"statusCode": "success"}
    body["hangoutLink"] = f"https://meet.example/{body['id'][-10:]}"
    data["entryPoints"] = [{"entryPointType": "video", "uri": body["hangoutLink"]}]
    data["conferenceId"] = body["id"][-10:]


def _remind(event: Event, caller: Caller, sent: Body, *, whole: bool) -> bool:
    """Keep the caller's own reminders as Google rewrites them; return whether they were spoken of."""
    said = sent.get("reminders")
    if said is None:
        if whole or "reminders" in sent:
            event.reminders.pop(caller.email, None)
        return "reminders" in sent
    overrides = said.get("overrides") or []
    if said.get("useDefault") and overrides:
        raise invalid(
            "Cannot specify both default reminders and overrides at the same time.",
            "cannotUseDefaultRemindersAndSpecifyOverride",
        )
    if len(overrides) > 5:
        raise invalid("Too many reminder overrides.")
    kept = {
        (one["method"], max(0, min(WEEKS_4, int(one["minutes"]))))
        for one in overrides
        if one.get("method") in ("popup", "email")
    }
    rewritten = [{"method": method, "minutes": minutes} for method, minutes in sorted(kept)]
    event.reminders[caller.email] = {
        "useDefault": bool(said.get("useDefault")),
        **({"overrides": rewritten} if rewritten else {}),
    }
    return True


def _mail(world: World, calendar: Calendar, event: Event, query: Query, kind: str) -> None:
    if query.get("sendUpdates", "none") == "none":
        return
    for guest in event.body.get("attendees", ()):
        mail = {"calendar": calendar.id, "event": event.body["id"], "kind": kind}
        world.mails.append({**mail, "to": guest["email"]})


# --- what is shown -------------------------------------------------------------------------------


def shown(calendar: Calendar, event: Event, caller: Caller, zone: str = "") -> Body:
    """Return an event as this caller sees it, with times in the calendar's zone or in `zone`."""
    given = role(calendar, caller)
    body = {"kind": "calendar#event", "etag": event.etag, "eventType": "default", **event.body}
    for end in ("start", "end"):
        body[end] = _in_zone(body[end], zone or calendar.zone)
    hidden = given == "freeBusyReader" or (_is_private(event) and not at_least(given, "writer"))
    if hidden:
        return {name: body[name] for name in ("kind", "etag", *BUSY) if name in body}
    return body | {"reminders": event.reminders.get(caller.email, {"useDefault": True})}


def bounds(event: Event, zone: str) -> tuple[datetime, datetime]:
    start, end = (_instant(event.body[name], name, zone) for name in ("start", "end"))
    return start.astimezone(UTC), end.astimezone(UTC)


def _is_private(event: Event) -> bool:
    return event.body.get("visibility") in ("private", "confidential")


def _in_zone(value: Body, zone: str) -> Body:
    if "date" in value:
        return {"date": value["date"]}
    moment = datetime.fromisoformat(value["dateTime"])
    own = value.get("timeZone", zone)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(own))
    local = moment.astimezone(ZoneInfo(zone)).isoformat(timespec="seconds")
    return {"dateTime": local.replace("+00:00", "Z"), "timeZone": own}
