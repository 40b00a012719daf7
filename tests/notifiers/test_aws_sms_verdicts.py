"""SMS through AWS: what each of its refusals means, and what its library's own errors do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from botocore import exceptions as said

from clinicrelay import Outcome
from clinicrelay.testing.kits import CANARY_PHONE, canaries_in
from notifiers.aws_sms.failures import judged, not_ready
from notifiers.aws_sms.verdicts import refusal

NOT_SENT, REJECTED, UNKNOWN = Outcome.NOT_SENT, Outcome.REJECTED, Outcome.UNKNOWN
NONE, MINUTE, BY_HAND, HOUR = None, timedelta(minutes=1), timedelta(minutes=15), timedelta(hours=1)
BAD = "ValidationException"
CLASH = "ConflictException"


def response(code: str, status: int = 400, text: str = "", **more: Any) -> dict[str, Any]:
    error = {"Code": code, "Message": text or f"{CANARY_PHONE}: no"}
    return {"Error": error, "ResponseMetadata": {"HTTPStatusCode": status}, **more}


def field(name: str, reason: str = "INVALID_PARAMETER") -> dict[str, Any]:
    return {"Reason": reason, "Fields": [{"Name": name, "Message": CANARY_PHONE}]}


REFUSALS: list[tuple[str, dict[str, Any], Outcome, str, timedelta | None]] = [
    (CLASH, {"Reason": "DESTINATION_PHONE_NUMBER_OPTED_OUT"}, REJECTED, "opted_out", NONE),
    (CLASH, {"Reason": "NO_ORIGINATION_IDENTITIES_FOUND"}, NOT_SENT, "sender_refused", BY_HAND),
    (
        CLASH,
        {"Reason": "DESTINATION_PHONE_NUMBER_NOT_VERIFIED"},
        NOT_SENT,
        "account_refused",
        BY_HAND,
    ),
    (
        CLASH,
        {"Reason": "DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION"},
        REJECTED,
        "region_off",
        NONE,
    ),
    (CLASH, {"Reason": "WHAT_THEY_ADD_NEXT_YEAR"}, REJECTED, "refused", NONE),
    (BAD, {"Reason": "DESTINATION_COUNTRY_BLOCKED"}, REJECTED, "region_off", NONE),
    (BAD, {"Reason": "SENDER_ID_NOT_SUPPORTED"}, REJECTED, "region_off", NONE),
    (BAD, field("DestinationPhoneNumber"), REJECTED, "address_refused", NONE),
    (BAD, field("OriginationIdentity"), NOT_SENT, "sender_refused", BY_HAND),
    (BAD, field("ConfigurationSetName"), NOT_SENT, "sender_refused", BY_HAND),
    (BAD, field("MessageBody"), REJECTED, "content_refused", NONE),
    (BAD, field("MessageBody", "MAXIMUM_SIZE_EXCEEDED"), REJECTED, "too_large", NONE),
    (BAD, field("Context"), REJECTED, "refused", NONE),
    (
        "ResourceNotFoundException",
        {"ResourceType": "phone-number"},
        NOT_SENT,
        "sender_refused",
        BY_HAND,
    ),
    (
        "ResourceNotFoundException",
        {"ResourceType": "configuration-set"},
        NOT_SENT,
        "sender_refused",
        BY_HAND,
    ),
    (
        "ServiceQuotaExceededException",
        {"Reason": "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT"},
        NOT_SENT,
        "quota_used_up",
        HOUR,
    ),
    ("AccessDeniedException", {}, NOT_SENT, "credentials_refused", BY_HAND),
    ("AccessDenied", {}, NOT_SENT, "credentials_refused", BY_HAND),
    (
        "AccessDeniedException",
        {"Reason": "ACCOUNT_DISABLED"},
        NOT_SENT,
        "account_refused",
        BY_HAND,
    ),
    ("UnrecognizedClientException", {}, NOT_SENT, "credentials_refused", BY_HAND),
    ("InvalidClientTokenId", {"status": 403}, NOT_SENT, "credentials_refused", BY_HAND),
    ("SignatureDoesNotMatch", {"status": 403}, NOT_SENT, "credentials_refused", BY_HAND),
    ("InvalidSignatureException", {}, NOT_SENT, "credentials_refused", BY_HAND),
    ("ExpiredTokenException", {}, NOT_SENT, "credentials_refused", BY_HAND),
    ("ExpiredToken", {"status": 403}, NOT_SENT, "credentials_refused", BY_HAND),
    ("RequestExpired", {}, NOT_SENT, "credentials_refused", BY_HAND),
    ("AuthorizationError", {"status": 403}, NOT_SENT, "credentials_refused", BY_HAND),
    ("OptInRequired", {"status": 403}, NOT_SENT, "account_refused", BY_HAND),
    ("ThrottlingException", {}, NOT_SENT, "rate", MINUTE),
    ("Throttling", {}, NOT_SENT, "rate", MINUTE),
    ("429", {"status": 429}, NOT_SENT, "rate", MINUTE),
    ("404", {"status": 404}, NOT_SENT, "unreachable", BY_HAND),
    ("403", {"status": 403}, NOT_SENT, "credentials_refused", BY_HAND),
    ("UnknownOperationException", {}, NOT_SENT, "unreachable", BY_HAND),
    (
        "InvalidParameter",
        {"text": f"Invalid parameter: PhoneNumber Reason: {CANARY_PHONE} is not valid"},
        REJECTED,
        "address_refused",
        NONE,
    ),
    (
        "InvalidParameter",
        {"text": "Invalid parameter: SenderID Reason: invalid format"},
        NOT_SENT,
        "sender_refused",
        BY_HAND,
    ),
    (
        "InvalidParameter",
        {"text": "Invalid parameter: Message too long"},
        REJECTED,
        "too_large",
        NONE,
    ),
    ("InternalServerException", {"status": 500}, UNKNOWN, "answer_lost", MINUTE),
    ("ThrottlingException", {"status": 503}, UNKNOWN, "answer_lost", MINUTE),
    ("RequestTimeout", {"status": 408}, UNKNOWN, "answer_lost", MINUTE),
    ("302", {"status": 302}, UNKNOWN, "answer_lost", MINUTE),
]


@pytest.mark.parametrize(
    ("code", "more", "outcome", "reason", "pause"),
    REFUSALS,
    ids=[f"{r[0]} {r[1].get('Reason', '')} {n}" for n, r in enumerate(REFUSALS)],
)
def test_each_refusal_is_what_it_is(
    code: str, more: dict[str, Any], outcome: Outcome, reason: str, pause: timedelta | None
) -> None:
    result = refusal(response(code, **more))
    assert (result.outcome, result.reason, result.pause) == (outcome, reason, pause)
    assert result.detail
    assert not canaries_in(result)
    assert result.code.startswith(code) or outcome is UNKNOWN


def test_the_code_names_the_reason_as_well() -> None:
    result = refusal(response(CLASH, Reason="DESTINATION_PHONE_NUMBER_OPTED_OUT"))
    assert result.code == "ConflictException/DESTINATION_PHONE_NUMBER_OPTED_OUT"


def test_a_code_that_is_none_is_not_passed_on() -> None:
    result = refusal(response(f"to {CANARY_PHONE}", Reason=f"not {CANARY_PHONE}"))
    assert (result.outcome, result.code) == (REJECTED, "400")
    assert not canaries_in(result)


def test_how_long_aws_wants_to_be_left_alone_is_kept_to() -> None:
    answer = response("ThrottlingException")
    answer["ResponseMetadata"]["HTTPHeaders"] = {"retry-after": "7"}
    assert refusal(answer).retry_after == timedelta(seconds=7)


URL = {"endpoint_url": "https://sms-voice.example", "error": f"about {CANARY_PHONE}"}
ERRORS: list[tuple[Exception, Outcome, str]] = [
    (said.EndpointConnectionError(**URL), NOT_SENT, "unreachable"),
    (said.ConnectTimeoutError(**URL), NOT_SENT, "unreachable"),
    (said.ProxyConnectionError(proxy_url="http://proxy", error="no"), NOT_SENT, "unreachable"),
    (
        said.SSLError(endpoint_url="x", error="[SSL: CERTIFICATE_VERIFY_FAILED] no"),
        NOT_SENT,
        "certificate_refused",
    ),
    (said.SSLError(endpoint_url="x", error="[SSL: WRONG_VERSION_NUMBER]"), NOT_SENT, "unreachable"),
    # This may come in the middle of an answer.
    (said.SSLError(endpoint_url="x", error="EOF occurred in violation"), UNKNOWN, "answer_lost"),
    (said.ReadTimeoutError(**URL), UNKNOWN, "answer_lost"),
    (said.ConnectionClosedError(**URL), UNKNOWN, "answer_lost"),
    (said.HTTPClientError(error="no"), UNKNOWN, "answer_lost"),
    (said.IncompleteReadError(actual_bytes=1, expected_bytes=2), UNKNOWN, "answer_lost"),
    (ValueError("half an answer"), UNKNOWN, "answer_lost"),
    (said.NoCredentialsError(), NOT_SENT, "credentials_refused"),
    (said.ParamValidationError(report=CANARY_PHONE), REJECTED, "content_refused"),
]


@pytest.mark.parametrize(
    ("error", "outcome", "reason"), ERRORS, ids=[type(e[0]).__name__ for e in ERRORS]
)
def test_each_error_of_the_library_is_what_it_is(
    error: Exception, outcome: Outcome, reason: str
) -> None:
    result = judged(error)
    assert (result.outcome, result.reason) == (outcome, reason)
    assert result.detail
    assert not canaries_in(result)
    assert (result.pause is not None) == (outcome is not REJECTED)


def test_a_profile_that_is_not_there_is_no_message_lost() -> None:
    result = not_ready(said.ProfileNotFound(profile="clinic"))
    assert (result.outcome, result.reason) == (NOT_SENT, "credentials_refused")
    old = not_ready(said.UnknownServiceError(service_name="x", known_service_names=[]))
    assert old.reason == "unreachable"
