"""What it means when AWS refuses a message, and what when its library could not bring one there.

Sources: the errors of SendTextMessage and Publish in AWS's API references. AWS's sentences quote
numbers, so they are looked at and never passed on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from clinicrelay import SendResult
from notifiers import _http
from notifiers._http import BY_HAND, SOON, Meaning

_HOUR = timedelta(hours=1)
_CODE = re.compile(r"[A-Za-z0-9._-]{1,80}")

_KEY = Meaning("credentials_refused", "it does not take the key, or the key may not send", BY_HAND)
_CLOCK = Meaning("credentials_refused", "the clock of this machine is wrong", BY_HAND)
_ACCOUNT = Meaning("account_refused", "the account may not send", BY_HAND)
_SENDER = Meaning("sender_refused", "it may not send from what stands under `from`", BY_HAND)
_SET = Meaning("sender_refused", "it knows no such configuration set", BY_HAND)
_RATE = Meaning("rate", "it takes no more messages for now", SOON)
_USED_UP = Meaning("quota_used_up", "the account has spent or sent what it may for now", _HOUR)
_NO_NUMBER = Meaning("address_refused", "it cannot reach this number")
_COUNTRY = Meaning("region_off", "the account or the sender may not send to this country")
_TOO_LARGE = Meaning("too_large", "the text is longer than an SMS may be")
_TEXT = Meaning("content_refused", "it does not take the text")
_REFUSED = Meaning("refused", "it refused the message")
_NOT_AWS = Meaning("unreachable", "what answers there does not know how to send SMS", BY_HAND)

# Without the word Exception that one of the two services puts behind each.
CODES = {
    **dict.fromkeys(
        ("Throttled", "TooManyRequests", "RequestLimitExceeded", "RequestThrottled", "SlowDown"),
        _RATE,
    ),
    **dict.fromkeys(
        (
            "AccessDenied",
            "AuthorizationError",
            "AuthFailure",
            "ExpiredToken",
            "IncompleteSignature",
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "InvalidSecurity",
            "InvalidSignature",
            "MissingAuthenticationToken",
            "NotAuthorized",
            "SignatureDoesNotMatch",
            "UnrecognizedClient",
        ),
        _KEY,
    ),
    "RequestExpired": _CLOCK,
    "RequestTimeTooSkewed": _CLOCK,
    "OptInRequired": _ACCOUNT,
    "SubscriptionRequired": _ACCOUNT,
    "ServiceQuotaExceeded": _USED_UP,
    "ResourceNotFound": _SENDER,
    "NotFound": _SENDER,
    "InvalidAction": _NOT_AWS,
    "UnknownOperation": _NOT_AWS,
}
REASONS = {
    "ACCOUNT_DISABLED": _ACCOUNT,
    "INSUFFICIENT_ACCOUNT_REPUTATION": _ACCOUNT,
    "DESTINATION_PHONE_NUMBER_NOT_VERIFIED": Meaning(
        "account_refused", "the account is in the SMS sandbox: verified numbers only", BY_HAND
    ),
    "DESTINATION_PHONE_NUMBER_OPTED_OUT": Meaning("opted_out", "the person has opted out by SMS"),
    "DESTINATION_PHONE_NUMBER_BLOCKED_BY_PROTECT_NUMBER_OVERRIDE": Meaning(
        "blocked", "the account's protect configuration blocks this number"
    ),
    **dict.fromkeys(
        (
            "COUNTRY_NOT_ENABLED",
            "DESTINATION_COUNTRY_BLOCKED",
            "DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION",
            "INTERNATIONAL_SENDING_NOT_SUPPORTED",
            # One person's country: nobody else has to wait for it.
            "INVALID_IDENTITY_FOR_DESTINATION_COUNTRY",
            "SENDER_ID_NOT_REGISTERED",
            "SENDER_ID_NOT_SUPPORTED",
            "SENDER_ID_REQUIRES_REGISTRATION",
        ),
        _COUNTRY,
    ),
    **dict.fromkeys(
        (
            "MESSAGE_TYPE_MISMATCH",
            "NO_ORIGINATION_IDENTITIES_FOUND",
            "NUMBER_CAPABILITIES_MISMATCH",
            "RESOURCE_NOT_ACCESSIBLE",
            "RESOURCE_NOT_ACTIVE",
        ),
        _SENDER,
    ),
    "MAXIMUM_SIZE_EXCEEDED": _TOO_LARGE,
}
FIELDS = {
    "DestinationPhoneNumber": _NO_NUMBER,
    "PhoneNumber": _NO_NUMBER,
    "OriginationIdentity": _SENDER,
    "OriginationNumber": _SENDER,
    "AWS.MM.SMS.OriginationNumber": _SENDER,
    "AWS.SNS.SMS.SenderID": _SENDER,
    "SenderID": _SENDER,
    "SenderId": _SENDER,
    "ConfigurationSetName": _SET,
    "MessageBody": _TEXT,
    "Message": _TEXT,
}
# The first thing that a sentence of SNS names, as in "Invalid parameter: PhoneNumber Reason: …".
_NAMED = re.compile(
    r"|".join(rf"\b{re.escape(n)}\b" for n in sorted(FIELDS, key=len, reverse=True))
)
_TOO_LONG = re.compile(r"too long|less than|at most", re.IGNORECASE)


def refusal(response: Mapping[str, Any]) -> SendResult:
    """Return what an answer means that is none of success, as the library has read it."""
    said = response.get("ResponseMetadata") or {}
    status = said.get("HTTPStatusCode")
    if not isinstance(status, int) or not 400 <= status < 500 or status == 408:
        return _http.lost("AWS", "it said that something went wrong")
    code = _plain((response.get("Error") or {}).get("Code"))
    reason = _plain(response.get("Reason"))
    meaning = _meaning(response, status, code.removesuffix("Exception"), reason)
    shown = "/".join(word for word in (code or str(status), reason) if word)
    wait = _http.asked_for(said.get("HTTPHeaders") or {}) if meaning is _RATE else None
    return _http.refused("AWS", meaning, shown, wait)


def _meaning(response: Mapping[str, Any], status: int, code: str, reason: str) -> Meaning:
    if "Throttl" in code or status == 429:
        return _RATE
    if reason in REASONS:
        meaning = REASONS[reason]
        return _by_field(response, meaning) if meaning is _TOO_LARGE else meaning
    if code == "ResourceNotFound" and response.get("ResourceType") == "configuration-set":
        return _SET
    if code in CODES:
        return CODES[code]
    if code in ("Validation", "InvalidParameter", "InvalidParameterValue", "ParameterValueInvalid"):
        return _by_field(response, _REFUSED)
    return _by_status(status)


def _by_field(response: Mapping[str, Any], otherwise: Meaning) -> Meaning:
    fields = response.get("Fields")
    names = [f.get("Name") for f in fields if isinstance(f, Mapping)] if fields else []
    sentence = str((response.get("Error") or {}).get("Message") or response.get("message") or "")
    named = _NAMED.search(sentence)
    for name in (*names, named[0] if named else None):
        if isinstance(name, str) and name in FIELDS:
            meaning = FIELDS[name]
            too_long = otherwise is _TOO_LARGE or _TOO_LONG.search(sentence)
            return _TOO_LARGE if meaning is _TEXT and too_long else meaning
    return otherwise


def _by_status(status: int) -> Meaning:
    if status in (401, 403):
        return _KEY
    return _NOT_AWS if status in (404, 405) else _REFUSED


def _plain(word: object) -> str:
    """Return a code as AWS writes them; whatever else stands there may quote anything."""
    return word if isinstance(word, str) and _CODE.fullmatch(word) else ""
