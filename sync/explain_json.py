"""What `why --json` tells of a visit's life: lines, messages, events, what comes next, and why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from clinicrelay.times import iso
from sync.chronicle import decided_by
from sync.reasons import setting_of, to_do

if TYPE_CHECKING:
    from sync.because import Because
    from sync.chronicle import Line
    from sync.outlook import Next
    from sync.showing import Trouble


def line_json(line: Line) -> dict[str, Any]:
    """Return a line of history as `why --json` tells it."""
    return {
        "at": iso(line.at),
        "what": line.what,
        "reason": line.reason,
        "setting": line.setting or None,
        "detail": line.detail or None,
    }


def next_json(coming: Next | None, source: str) -> dict[str, Any] | None:
    """Return the coming reminder as `why --json` tells it: when and how, or why it will not leave."""
    if coming is None:
        return None
    by = coming.stuck
    why = "paused" if coming.pause else by.reason if by else coming.reason
    return {
        "step": coming.step,
        "at": iso(coming.at),
        "channel": coming.channel,
        "reason": why,
        "setting": setting_of(why, coming.setting, by and by.notifier, source) or None,
    }


def message_json(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message as `why --json` tells it: the recipient by key, never an address or a text."""
    return {
        "kind": message["kind"],
        "step": message["step"] or None,
        "to": message["recipient"],
        "state": message["state"],
        "channel": message["channel"],
        "notifier": message["notifier"],
        "language": message["language"],
        "reason": message["reason"],
        "setting": decided_by(message),
        "due": iso(message["due_at"]),
        "next_try": _iso(message["next_try_at"]),
        "settled": _iso(message["settled_at"]),
        "attempts": [
            {
                "id": attempt["id"],
                "notifier": attempt["notifier"],
                "state": attempt["state"],
                "delivery": attempt["delivery"],
                "reason": attempt["reason"] or None,
                "detail": attempt["detail"] or None,
                "provider_id": attempt["provider_id"],
                "at": iso(attempt["started_at"]),
            }
            for attempt in message["attempts"]
        ],
    }


def event_json(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event as `why --json` tells it."""
    return {
        "calendar": event["calendar"],
        "ref": event["ref"],
        "state": event["state"],
        "reason": event["reason"] or event["blocked"] or None,
        "fix": event["detail"] or event["fix"] or None,
        "changed": iso(datetime.fromtimestamp(event["changed_at"], UTC)),
    }


def unlinked_json(trouble: Trouble) -> dict[str, Any]:
    """Return a calendar in which nobody of the visit has a place, beside its events."""
    return {
        "calendar": trouble.calendar,
        "ref": None,
        "state": "none",
        "reason": trouble.reason,
        "fix": to_do(trouble.reason),
        "changed": None,
    }


def because_json(why: Because | None) -> dict[str, Any]:
    """Return what the short answer is about: the code, the setting and what to do, all None if well."""
    if why is None:
        return {"reason": None, "setting": None, "to_do": None}
    return {"reason": why.reason, "setting": why.setting or None, "to_do": why.to_do}


def _iso(instant: datetime | None) -> str | None:
    return iso(instant) if instant is not None else None
