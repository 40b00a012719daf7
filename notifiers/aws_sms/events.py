"""What an event of End User Messaging says of a message.

Source: "Event types for SMS, MMS, and voice" of AWS's user guide. Events quote the number, so only
what is ours is passed on.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from clinicrelay import Delivery, Receipt

# Why a message did not arrive, by the type of its last event.
_UNDELIVERED = {
    "TEXT_BLOCKED": "blocked",
    "TEXT_CARRIER_BLOCKED": "blocked",
    "TEXT_CARRIER_UNREACHABLE": "undelivered",
    "TEXT_INVALID": "address_refused",
    "TEXT_INVALID_MESSAGE": "content_refused",
    "TEXT_PROTECT_BLOCKED": "region_off",
    "TEXT_SPAM": "content_refused",
    "TEXT_TTL_EXPIRED": "undelivered",
    "TEXT_UNREACHABLE": "handset_unreachable",
}
# Unknown is what AWS says after three days without a word from the carrier: no proof either way, but
# one that the message was accepted.
_ACCEPTED = {"TEXT_QUEUED", "TEXT_PENDING", "TEXT_SENT", "TEXT_SUCCESSFUL", "TEXT_UNKNOWN"}


def receipt(content: object) -> Receipt | None:
    """Return what the text of a notification says of a delivery; None where it is about none."""
    event = _decoded(content)
    kind = event.get("eventType")
    if kind == "TEXT_DELIVERED":
        return _told(Delivery.DELIVERED, event)
    tried_again = kind in _UNDELIVERED and event.get("isFinal") is False
    if kind in _ACCEPTED or tried_again:
        return _told(Delivery.SENT, event)
    if kind not in _UNDELIVERED:
        return None
    detail = f"AWS: the SMS did not arrive ({kind})."
    return _told(Delivery.UNDELIVERED, event, _UNDELIVERED[kind], kind, detail)


def _decoded(content: object) -> dict[str, Any]:
    try:
        event = msgspec.json.decode(content) if isinstance(content, str) else None
    except msgspec.DecodeError:
        return {}
    return event if isinstance(event, dict) and isinstance(event.get("eventType"), str) else {}


def _told(
    delivery: Delivery, event: dict[str, Any], reason: str = "", code: str = "", detail: str = ""
) -> Receipt | None:
    context = event.get("context")
    attempt = _word(context.get("attempt")) if isinstance(context, dict) else None
    number = _word(event.get("messageId"))
    if attempt is None and number is None:
        return None
    at = _moment(event.get("eventTimestamp"))
    return Receipt(delivery, attempt, number, at, reason, code, detail)


def _word(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _moment(value: object) -> datetime | None:
    """Read milliseconds since 1970."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
