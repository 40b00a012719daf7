"""What other programs call a reason, and which of our codes says it; told on the page of the codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class OtherName(NamedTuple):
    """The codes that say the same as a name in use elsewhere, and how they differ."""

    codes: tuple[str, ...]
    note: str


OTHER_NAMES: Mapping[str, OtherName] = {
    "already_confirmed": OtherName(
        ("already_sent", "told_recently"),
        "no message asks for a confirmation, so none is spared for one",
    ),
    "contact_changed": OtherName(
        (), "keeps nothing back: a message leaves for the address that stands in the source then"
    ),
    "credential_expired": OtherName(
        ("credentials_refused", "account_key", "token_revoked", "login_refused"),
        "a notifier's login, and what a calendar says of its own",
    ),
    "doctor_not_live": OtherName(
        ("rehearsal",), "the visit's doctor is not live yet, while others are"
    ),
    "invalid_phone": OtherName(("invalid_contact", "landline"), "e-mail addresses too"),
    "opted_out(source)": OtherName(
        ("opted_out", "stop_received"),
        "by the clinic's own source, with its field as the setting; and told to a provider",
    ),
    "outside_policy(type, location, doctor)": OtherName(
        ("outside_policy", "not_booked", "no_patient", "test_patient", "rehearsal"),
        "each of these has a code of its own",
    ),
    "quarantined(field)": OtherName(
        ("missing", "unknown_status", "bad_time", "bad_date", "duplicate_key"),
        "any of the codes of records that were set aside, with the field beside it",
    ),
    "rate_or_quota": OtherName(
        ("rate", "server_busy", "quota_used_up", "usage_limit", "quota"),
        "a limit of our settings, of a provider, or of a calendar",
    ),
    "run_cap": OtherName(("awaiting_approval",), "`cap_reached` is about what one patient may get"),
    "too_late_when_seen": OtherName(
        ("late_booking", "past_visit"), "before the visit, and once it has begun"
    ),
}
