"""What SendGrid's answers and events mean, and who may speak in its name."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from clinicrelay import Callback, Delivery, Forged, Outcome
from clinicrelay.testing import kit
from clinicrelay.testing.kits import CANARY_EMAIL, canaries_in
from notifiers._http import Answer
from notifiers.sendgrid import Sendgrid
from notifiers.sendgrid.verdicts import judged
from sync.reasons import REASONS

NOT_SENT, REJECTED, UNKNOWN = Outcome.NOT_SENT, Outcome.REJECTED, Outcome.UNKNOWN
ALL, ONE = "waits with all others", "concerns this one"
CREDITS = "Maximum credits exceeded"
IDENTITY = "The from address does not match a verified Sender Identity."

ANSWERS: list[tuple[int, str | None, str, Outcome, str, str]] = [
    (200, None, "", UNKNOWN, "answer_lost", ALL),
    (302, None, "", UNKNOWN, "answer_lost", ALL),
    (400, "personalizations.0.to.0.email", "", REJECTED, "address_refused", ONE),
    (400, "personalizations[0].to[0].email", "", REJECTED, "address_refused", ONE),
    (400, "content.0.value", "", REJECTED, "content_refused", ONE),
    (400, "attachments.0.type", "", REJECTED, "content_refused", ONE),
    (400, "headers.To", "", REJECTED, "content_refused", ONE),
    (400, None, "", REJECTED, "content_refused", ONE),
    (400, "from.email", "", NOT_SENT, "sender_refused", ALL),
    (400, "from", "", NOT_SENT, "sender_refused", ALL),
    (400, "reply_to.email", "", NOT_SENT, "sender_refused", ALL),
    (401, None, "authorization required", NOT_SENT, "credentials_refused", ALL),
    (401, None, CREDITS, NOT_SENT, "quota_used_up", ALL),
    (403, None, "access forbidden", NOT_SENT, "account_refused", ALL),
    (403, "from", IDENTITY, NOT_SENT, "sender_refused", ALL),
    (403, None, IDENTITY, NOT_SENT, "sender_refused", ALL),
    (404, None, "", NOT_SENT, "account_refused", ALL),
    (405, None, "", NOT_SENT, "account_refused", ALL),
    (408, None, "", UNKNOWN, "answer_lost", ALL),
    (413, None, "", REJECTED, "too_large", ONE),
    (429, None, "", NOT_SENT, "rate", ALL),
    (500, None, "", UNKNOWN, "answer_lost", ALL),
    (503, None, "", UNKNOWN, "answer_lost", ALL),
]


def answer(status: int, *errors: tuple[str | None, str]) -> Answer:
    said = [{"field": name, "message": f"{says} {CANARY_EMAIL}"} for name, says in errors]
    return Answer(status, {}, json.dumps({"errors": said}).encode())


@pytest.mark.parametrize(("status", "named", "says", "outcome", "reason", "whom"), ANSWERS)
def test_an_answer_is_what_its_status_and_field_say(
    status: int, named: str | None, says: str, outcome: Outcome, reason: str, whom: str
) -> None:
    result = judged(answer(status, (named, says)))
    assert (result.outcome, result.reason) == (outcome, reason)
    assert (result.pause is not None) == (whom == ALL)
    assert result.code == ("" if outcome is UNKNOWN else str(status))
    assert result.detail.startswith("SendGrid: ")
    assert not canaries_in(result)
    assert reason in REASONS


def test_used_up_credits_rest_for_an_hour() -> None:
    assert judged(answer(401, (None, CREDITS))).pause == timedelta(hours=1)


def test_a_sender_that_is_not_taken_is_to_blame_before_a_recipient() -> None:
    both = answer(400, ("personalizations.0.to.0.email", ""), ("from.email", ""))
    assert judged(both).reason == "sender_refused"


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b'{"errors": 7}', b'{"errors": [7]}'])
def test_a_refusal_that_cannot_be_read_is_one_by_its_status(content: bytes) -> None:
    assert judged(Answer(400, {}, content)).reason == "content_refused"
    assert judged(Answer(401, {}, content)).reason == "credentials_refused"


# --- events ----------------------------------------------------------------------------------------

SIGNER = ec.generate_private_key(ec.SECP256R1())
URL = "https://relay.clinic.example/callbacks/riverside/sendgrid"
HEADER = "x-twilio-email-event-webhook"


def public(signer: ec.EllipticCurvePrivateKey = SIGNER) -> str:
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(signer.public_key().public_bytes(*form)).decode()


def called(
    *events: Any,
    signer: ec.EllipticCurvePrivateKey = SIGNER,
    ago: timedelta = timedelta(0),
    body: bytes | None = None,
) -> Callback:
    sent = json.dumps(events).encode() + b"\r\n" if body is None else body
    stamp = str(int(time.time() - ago.total_seconds()))
    signature = signer.sign(stamp.encode() + sent, ec.ECDSA(hashes.SHA256()))
    headers = {
        f"{HEADER}-timestamp": stamp,
        f"{HEADER}-signature": base64.b64encode(signature).decode(),
    }
    return Callback("POST", URL, headers, sent)


def event(kind: str, **fields: Any) -> dict[str, Any]:
    own = {"event": kind, "email": CANARY_EMAIL, "attempt": "cr0123", "timestamp": 1_795_420_800}
    return {**own, "sg_message_id": "taken-0.filterdrecv-5645d9c87f.0", **fields}


@pytest.fixture
def sendgrid(tmp_path: Path) -> Sendgrid:
    said = {"api_key": "SG.key", "from": "noreply@riverside.example", "webhook_key": public()}
    return Sendgrid(Sendgrid.Options.model_validate(said), kit(tmp_path))


@pytest.mark.parametrize(
    ("kind", "fields", "delivery", "reason"),
    [
        ("delivered", {}, Delivery.DELIVERED, ""),
        ("open", {}, Delivery.READ, ""),
        ("bounce", {"type": "bounce"}, Delivery.UNDELIVERED, "address_refused"),
        ("bounce", {"type": "blocked"}, Delivery.UNDELIVERED, "content_refused"),
        ("spamreport", {}, Delivery.UNDELIVERED, "opted_out"),
        ("unsubscribe", {}, Delivery.UNDELIVERED, "opted_out"),
        ("dropped", {"reason": "Unsubscribed Address"}, Delivery.UNDELIVERED, "opted_out"),
        ("dropped", {"reason": "Spam Reporting Address"}, Delivery.UNDELIVERED, "opted_out"),
        ("dropped", {"reason": "Bounced Address"}, Delivery.UNDELIVERED, "address_refused"),
        ("dropped", {"reason": "Invalid"}, Delivery.UNDELIVERED, "address_refused"),
        ("dropped", {"reason": "Spam Content (if …)"}, Delivery.UNDELIVERED, "content_refused"),
        ("dropped", {"reason": "something new"}, Delivery.UNDELIVERED, "undelivered"),
        ("dropped", {"reason": None}, Delivery.UNDELIVERED, "undelivered"),
    ],
)
def test_an_event_tells_of_its_attempt(
    sendgrid: Sendgrid, kind: str, fields: dict[str, Any], delivery: Delivery, reason: str
) -> None:
    (found,) = sendgrid.read_callback(called(event(kind, response=CANARY_EMAIL, **fields)))
    assert (found.attempt, found.provider_id) == ("cr0123", "taken-0")
    assert (found.delivery, found.reason) == (delivery, reason)
    assert found.at is not None
    assert not canaries_in(found)
    assert reason in REASONS or not reason


def test_what_says_nothing_of_a_delivery_is_passed_over(sendgrid: Sendgrid) -> None:
    deferred = event(
        "deferred", attempt="5"
    )  # which is SendGrid's own count, and no attempt of ours
    others = (deferred, event("processed"), event("click"), 7, {}, {"event": ["open"]})
    assert list(sendgrid.read_callback(called(*others))) == []
    (odd,) = sendgrid.read_callback(
        called({"event": "delivered", "timestamp": 1e300, "sg_message_id": 7, "attempt": {}})
    )
    assert (odd.attempt, odd.provider_id, odd.at) == (None, None, None)


def test_a_batch_that_comes_twice_says_the_same_twice(sendgrid: Sendgrid) -> None:
    batch = called(event("delivered"), event("open"))
    first = list(sendgrid.read_callback(batch))
    assert [r.delivery for r in first] == [Delivery.DELIVERED, Delivery.READ]
    assert list(sendgrid.read_callback(batch)) == first


MINUTE = timedelta(minutes=1)


def altered(body: bytes = b"", **headers: str) -> Callback:
    """Return a good callback but for what is added to its body, and for headers by their endings."""
    good = called(event("delivered"))
    changed = {f"{HEADER}-{ending}": value for ending, value in headers.items()}
    return Callback("POST", URL, {**good.headers, **changed}, good.body + body)


# Each is made by its own test, as a signature grows old while the other tests run.
FORGED: dict[str, Callable[[], Callback]] = {
    "another signer": lambda: called(
        event("delivered"), signer=ec.generate_private_key(ec.SECP256R1())
    ),
    "old": lambda: called(event("delivered"), ago=11 * MINUTE),
    "of the future": lambda: called(event("delivered"), ago=-11 * MINUTE),
    "unsigned": lambda: Callback("POST", URL, {}, called(event("delivered")).body),
    "changed": lambda: altered(b" "),
    "another time": lambda: altered(timestamp=str(int(time.time()) - 5)),
    "no number": lambda: altered(timestamp="²"),
    "a long number": lambda: altered(timestamp="9" * 5000),
    "empty": lambda: altered(signature=""),
    "no base64": lambda: altered(signature="ünsigned"),
    "no JSON": lambda: called(body=b"no list"),
}


@pytest.mark.parametrize("bad", FORGED.values(), ids=FORGED)
def test_anything_else_is_forged(sendgrid: Sendgrid, bad: Callable[[], Callback]) -> None:
    with pytest.raises(Forged):
        list(sendgrid.read_callback(bad()))


def test_what_is_not_altered_is_believed(sendgrid: Sendgrid) -> None:
    for good in (altered(), called(event("delivered"), ago=9 * MINUTE)):
        assert len(list(sendgrid.read_callback(good))) == 1


def test_without_a_verification_key_nobody_is_believed(tmp_path: Path) -> None:
    said = {"api_key": "SG.key", "from": "noreply@riverside.example"}
    sendgrid = Sendgrid(Sendgrid.Options.model_validate(said), kit(tmp_path))
    with pytest.raises(Forged):
        list(sendgrid.read_callback(called(event("delivered"))))


# --- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"api_key": "SG.with a space"},
        {"api_key": "SG.schlüssel"},
        {"api_key": ""},
        {"from": "nobody"},
        {"from": None},
        {"webhook_key": "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE..."},
        {"base_url": "api.sendgrid.com"},
        {"typo": 1},
    ],
    ids=json.dumps,
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any]) -> None:
    said = {"api_key": "SG.key", "from": "noreply@riverside.example", **changes}
    with pytest.raises(ValueError, match="validation error"):
        Sendgrid.Options.model_validate({k: v for k, v in said.items() if v is not None})


def test_a_verification_key_may_be_copied_with_its_borders() -> None:
    lines = (
        f"-----BEGIN PUBLIC KEY-----\n{public()[:64]}\n{public()[64:]}\n-----END PUBLIC KEY-----"
    )
    said = {"api_key": "SG.key", "from": "noreply@riverside.example", "webhook_key": lines}
    assert Sendgrid.Options.model_validate(said).webhook_key == public()
