"""What an event may hold: choices, times, properties, guests."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from .state import ApiError, Body, Caller, invalid

ZONES = available_timezones()
CHOICES = {
    "status": ("confirmed", "tentative", "cancelled"),
    "visibility": ("default", "public", "private", "confidential"),
    "transparency": ("opaque", "transparent"),
    "colorId": tuple(str(number) for number in range(1, 12)),
}
ALONE = "Service accounts cannot invite attendees without Domain-Wide Delegation of Authority."


def check_guests(caller: Caller, guests: list[Body]) -> None:
    if caller.bare and guests:
        raise ApiError(403, "forbiddenForServiceAccounts", ALONE)
    if any(not guest.get("email") for guest in guests):
        raise invalid("Missing attendee email.", "required")


def check(body: Body, zone: str) -> None:
    """Refuse what Google refuses, and cut what it cuts."""
    for name, allowed in CHOICES.items():
        if body.get(name, allowed[0]) not in allowed:
            raise invalid(f"Invalid value for: {name}")
    start, end = (instant(body.get(name), name, zone) for name in ("start", "end"))
    if ("date" in body["start"]) != ("date" in body["end"]):
        raise invalid("Start and end times must either both be date or both be dateTime.")
    if end < start:
        raise invalid("The specified time range is empty.", "timeRangeEmpty")
    if "extendedProperties" in body:
        kinds = body["extendedProperties"].items()
        body["extendedProperties"] = {kind: _properties(values) for kind, values in kinds}


def instant(value: Any, name: str, zone: str) -> datetime:
    """Return when that is; a date begins at midnight in `zone`, the calendar's."""
    if not isinstance(value, dict) or not (value.get("date") or value.get("dateTime")):
        raise invalid(f"Missing {name} time.", "required")
    if value.get("timeZone", "UTC") not in ZONES:
        raise invalid(f"Invalid time zone definition for {name} time.")
    if "date" in value and "dateTime" in value:
        raise invalid(f"Invalid {name} time.")
    try:
        moment = _parsed(value, zone)
    except (TypeError, ValueError) as error:
        raise invalid(f"Invalid {name} time.") from error
    if moment.tzinfo is None:
        raise invalid(f"Missing time zone definition for {name} time.")
    return moment


def _parsed(value: Body, zone: str) -> datetime:
    if "date" in value:
        midnight = datetime.min.time()
        return datetime.combine(date.fromisoformat(value["date"]), midnight, ZoneInfo(zone))
    moment = datetime.fromisoformat(value["dateTime"])
    if moment.tzinfo or "timeZone" not in value:
        return moment
    return moment.replace(tzinfo=ZoneInfo(value["timeZone"]))


def _properties(values: dict[str, Any]) -> dict[str, str]:
    """Cut and drop silently what is too long; refuse what is too much."""
    if any(not isinstance(value, str) for value in values.values()):
        raise invalid("Invalid value for: extendedProperties")
    kept = {name: value[:1024] for name, value in values.items() if len(name) <= 44}
    if len(kept) > 300 or sum(len(k) + len(v) for k, v in kept.items()) > 32 * 1024:
        raise invalid("Extended properties are too large.")
    return kept
