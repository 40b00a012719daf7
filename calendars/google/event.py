"""An event as Google keeps it: what we write into it, how we know it again, and what we compare.

Ids and private properties mean nothing to anybody without the instance key: appointment numbers can
be guessed, so a plain hash of one would tell it. What is a doctor's own (guests, colour, alarms, and
any text outside our brackets) is neither read for comparing nor overwritten.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from clinicrelay import EventWrite, Memo

Body = dict[str, Any]

OUR_MEETING = "ours"
_VERSION = "1"  # of what an event looks like: a new one writes every event again
# They survive Google's own editor, which turns line ends into <br>.
_OPENING, _CLOSING = (
    "\N{MATHEMATICAL LEFT WHITE SQUARE BRACKET}",
    "\N{MATHEMATICAL RIGHT WHITE SQUARE BRACKET}",
)
_BLOCK = re.compile(f"{_OPENING}.*?{_CLOSING}", re.DOTALL)
_TAGS = re.compile(r"<[^>]*>|\s+|&nbsp;")
_HALF = 16  # characters of a fingerprint
_PREFIX, _LENGTH = "cs", 34  # of an event's id


class Identity:
    """What this installation calls its events in Google."""

    def __init__(self, instance_key: bytes) -> None:
        self._key = instance_key
        self.instance = self._digest("instance", 10)[:_HALF]

    def event_id(self, ref: str, generation: int) -> str:
        """Return the id of a visit's event: letters and digits that Google takes (RFC 2938)."""
        return f"{_PREFIX}{self._digest(f'{ref}|{generation}', 20)}"

    def meeting(self, ref: str, sequence: int) -> str:
        """Return the id of the wish for a meeting; the same wish twice makes one meeting."""
        return f"{self._digest(f'meet|{ref}', 20)}-{sequence}"

    def asked_for(self, wish: str, ref: str) -> bool:
        """Whether a meeting was made because we wished for one."""
        return wish.startswith(self.meeting(ref, 0)[:-1])

    def user(self, address: str) -> str:
        """Return by what name Google may count a doctor's requests: at most 40 characters."""
        return hmac.digest(self._key, f"user|{address}".encode(), "sha256").hex()[:40]

    def print_of(self, event: Mapping[str, Any]) -> str:
        """Return a fingerprint of what is ours in an event: its time, a colon, all the rest."""
        return f"{self._hash(_times(event))}:{self._hash(_words(event))}"

    def _hash(self, said: object) -> str:
        made = blake2b(repr(said).encode(), key=self._key, digest_size=_HALF // 2)
        return made.hexdigest()

    def _digest(self, said: str, length: int) -> str:
        made = hmac.digest(self._key, said.encode(), "sha256")[:length]
        return base64.b32hexencode(made).decode().lower().rstrip("=")


class Marks(NamedTuple):
    """What an event says of itself: whose it is, which visit's, and what was last written."""

    ref: str
    instance: str
    generation: int
    sent: str
    ours: bool


def marks(event: Mapping[str, Any]) -> Marks:
    """Return the marks of an event; empty ones where it is somebody's own."""
    extended = event.get("extendedProperties") or {}
    own = extended.get("private") or {}
    generation = str(own.get("csGen", ""))
    return Marks(
        str(own.get("csRef", "")),
        str(own.get("csInst", "")),
        int(generation) if generation.isdecimal() else 0,
        str(own.get("csHash", "")),
        own.get("csApp") == "1",
    )


def body(write: EventWrite, identity: Identity, generation: int) -> Body:
    """Return what is ours of an event, whole."""
    assert write.start is not None
    assert write.end is not None
    made: Body = {
        "summary": write.title,
        "description": block(write.description),
        "location": write.location,
        "start": _moment(write.start, write.timezone),
        "end": _moment(max(write.start, write.end), write.timezone),
        "visibility": "private",
        "transparency": "opaque",
        "status": "tentative" if write.tentative else "confirmed",
    }
    made["extendedProperties"] = {
        "private": {
            "csApp": "1",
            "csRef": write.ref,
            "csInst": identity.instance,
            "csGen": str(generation),
            "csVer": _VERSION,
            "csHash": identity.print_of(made),
        }
    }
    return made


def block(text: str) -> str:
    """Return our part of a description."""
    return f"{_OPENING}{text}{_CLOSING}" if text else ""


def has_notes(event: Mapping[str, Any]) -> bool:
    """Whether somebody wrote something of their own into the description."""
    return bool(_BLOCK.sub("", str(event.get("description") or "")).strip())


def merged(description: str, ours: str) -> str:
    """Return a description with our part of it renewed, and everything else as it stands."""
    if _BLOCK.search(description):
        return _BLOCK.sub(lambda _: ours, description, count=1)
    return "\n\n".join(part for part in (description.strip(), ours) if part)


def memo_of(event: Mapping[str, Any], identity: Identity, before: Memo) -> Memo:
    """Return what to keep of an event as it stands."""
    kept: Memo = {
        "id": event["id"],
        "gen": marks(event).generation if marks(event).ref else before.get("gen", 0),
        "etag": event.get("etag", ""),
        "print": _print(event, identity, before),
    }
    if has_notes(event):
        kept["notes"] = True
    if marks(event).sent not in ("", kept["print"]) and not is_deleted(event):
        kept["differs"] = True  # as somebody left it
    if meeting := _meeting(event, identity):
        kept["meet"] = meeting
    if is_deleted(event):
        kept["deleted"] = True
    return kept


def _print(event: Mapping[str, Any], identity: Identity, before: Memo) -> str:
    """Return an event's fingerprint; a deleted one keeps its own, as it may be put back as it was."""
    own = str(before.get("print") or marks(event).sent) if is_deleted(event) else ""
    return own or identity.print_of(event)


def is_bare_tombstone(event: Mapping[str, Any]) -> bool:
    """Whether this is a deleted event that says nothing but an id which may be one of ours.

    Of deleted events only the id is promised (reference, Events: `status`).
    """
    named = str(event["id"])
    ours = named.startswith(_PREFIX) and len(named) == _LENGTH
    return ours and is_deleted(event) and not marks(event).ref


def _meeting(event: Mapping[str, Any], identity: Identity) -> str:
    """Return whose meeting hangs on an event, or is about to: it is made some time after the wish."""
    data = event.get("conferenceData") or {}
    request = data.get("createRequest") or {}
    status = (request.get("status") or {}).get("statusCode")
    if not data.get("conferenceId") and status != "pending":
        return ""
    wish, ref = str(request.get("requestId", "")), marks(event).ref
    return OUR_MEETING if identity.asked_for(wish, ref) else "somebody's"


def is_deleted(event: Mapping[str, Any]) -> bool:
    return event.get("status") == "cancelled"


def span(event: Mapping[str, Any]) -> tuple[datetime, datetime] | None:
    """Return start and end as instants; None where the event has no time that can be read."""
    try:
        return _instant(event["start"]), _instant(event["end"])
    except (KeyError, TypeError, ValueError):
        return None


# --- comparing ---------------------------------------------------------------------------------


def _times(event: Mapping[str, Any]) -> object:
    found = span(event)
    all_day = "date" in (event.get("start") or {}) and event["start"]["date"] is not None
    return (*(int(at.timestamp()) for at in found), all_day) if found else None


def _words(event: Mapping[str, Any]) -> tuple[str, ...]:
    ours = _BLOCK.search(str(event.get("description") or ""))
    return (
        str(event.get("summary") or ""),
        _TAGS.sub("", ours.group()) if ours else "",
        str(event.get("location") or ""),
        str(event.get("visibility") or "default"),
        str(event.get("transparency") or "opaque"),
        str(event.get("status") or "confirmed"),
        _VERSION,
    )


def _instant(value: Mapping[str, Any]) -> datetime:
    """Return the moment of a start or end; an all-day one begins at midnight UTC."""
    if value.get("dateTime"):
        read = datetime.fromisoformat(value["dateTime"])
        zone = _zone(str(value.get("timeZone") or "UTC"))
        return (read if read.tzinfo else read.replace(tzinfo=zone)).astimezone(UTC)
    return datetime.combine(date.fromisoformat(value["date"]), time(), UTC)


def _moment(at: datetime, zone: str) -> Body:
    """Return an instant with its offset and the name of the zone; no date, where there was one."""
    local = at.astimezone(_zone(zone))
    return {"dateTime": local.isoformat(timespec="seconds"), "timeZone": zone, "date": None}


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
