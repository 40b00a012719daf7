"""SendGrid's signed Event Webhook: who may speak, and what an event says of a message.

Source: SendGrid's Event Webhook Reference. Events quote the address and the words of mail servers, so
only what is ours is passed on.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from clinicrelay import Callback, Delivery, Forged, Receipt

_OLDEST = timedelta(minutes=10)
_HEADER = "x-twilio-email-event-webhook"
# Why it did not even try; its words, in small letters.
_DROPPED = {
    "unsubscribed address": "opted_out",
    "spam reporting address": "opted_out",
    "bounced address": "address_refused",
    "invalid": "address_refused",
    "spam content": "content_refused",
    "recipient list over package quota": "quota_used_up",
}
_KINDS = {
    "delivered": (Delivery.DELIVERED, ""),
    "open": (Delivery.READ, ""),
    "bounce": (Delivery.UNDELIVERED, "address_refused"),
    "blocked": (Delivery.UNDELIVERED, "content_refused"),
    "dropped": (Delivery.UNDELIVERED, "undelivered"),
    "spamreport": (Delivery.UNDELIVERED, "opted_out"),
    "unsubscribe": (Delivery.UNDELIVERED, "opted_out"),
}


def believed(callback: Callback, key: str | None) -> list[Any]:
    """Return the events of a callback. Raises Forged unless `key` proves that it was signed just now.

    The real clock, whatever day is being rehearsed: what was signed long ago is somebody's copy.
    """
    stamp = callback.headers.get(f"{_HEADER}-timestamp", "")
    if key is None or not (stamp.isascii() and stamp.isdigit() and len(stamp) < 12):
        raise Forged
    if abs(time.time() - int(stamp)) > _OLDEST.total_seconds():
        raise Forged
    signature = callback.headers.get(f"{_HEADER}-signature", "")
    _verify(key, signature, stamp.encode() + callback.body)
    try:
        events = msgspec.json.decode(callback.body)
    except msgspec.DecodeError:
        raise Forged from None
    return events if isinstance(events, list) else []


def _verify(key: str, signature: str, signed: bytes) -> None:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        public = load_der_public_key(base64.b64decode(key, validate=True))
        if not isinstance(public, ec.EllipticCurvePublicKey):
            raise Forged
        given = base64.b64decode(signature, validate=True)
        public.verify(given, signed, ec.ECDSA(hashes.SHA256()))
    except (ValueError, InvalidSignature, UnsupportedAlgorithm):
        raise Forged from None


def receipts(events: list[Any]) -> Iterator[Receipt]:
    """Yield what events say of deliveries; those of other kinds say nothing."""
    for event in events:
        if isinstance(event, dict) and (found := _receipt(event)):
            yield found


def own_id(number: object) -> str | None:
    """Return the id that the answer to mail/send had, of one in an event: that has more behind it."""
    return number.partition(".")[0] or None if isinstance(number, str) else None


def _receipt(event: dict[str, Any]) -> Receipt | None:
    # A deferred event has an `attempt` of SendGrid's own, which counts its tries; it is none of these.
    kind = str(event.get("event"))
    if kind not in _KINDS:
        return None
    delivery, reason = _KINDS[kind]
    if kind == "dropped":
        reason = _why_dropped(event)
    elif kind == "bounce" and event.get("type") == "blocked":
        reason = "content_refused"  # the server knows the address and did not want this mail
    attempt = event.get("attempt")
    return Receipt(
        delivery,
        attempt=attempt if isinstance(attempt, str) and attempt else None,
        provider_id=own_id(event.get("sg_message_id")),
        at=_moment(event.get("timestamp")),
        reason=reason,
        code=kind if reason else "",
        detail=f"SendGrid: the mail did not arrive ({kind})." if reason else "",
    )


def why(told: list[Any]) -> str:
    """Return why a mail did not arrive, by the events that Email Activity tells of it.

    A drop of which it says no more is of an address that is on one of SendGrid's lists, so that it
    is sent nothing until somebody takes it off.
    """
    for event in (one for one in told if isinstance(one, dict)):
        if event.get("event_name") == "dropped":
            return _why_dropped(event) if event.get("reason") else "address_refused"
        if event.get("event_name") in ("bounce", "bounced"):
            hard = event.get("bounce_type") not in ("blocked", "expired")
            return "address_refused" if hard else "undelivered"
    return "undelivered"


def _why_dropped(event: dict[str, Any]) -> str:
    why = str(event.get("reason") or "").lower()
    return next(
        (ours for theirs, ours in _DROPPED.items() if why.startswith(theirs)), "undelivered"
    )


def _moment(seconds: object) -> datetime | None:
    if not isinstance(seconds, int) or not 0 < seconds < 1 << 33:
        return None
    return datetime.fromtimestamp(seconds, UTC)
