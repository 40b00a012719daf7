"""SMS through AWS: events are believed when AWS signed them and our own topic sent them."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from clinicrelay import Callback, Delivery, Forged, Receipt
from clinicrelay.testing import NOW, kit
from clinicrelay.testing.http_server import Reply, serving
from clinicrelay.testing.kits import CANARY_PHONE, canaries_in
from notifiers.aws_sms import AwsSms
from notifiers.aws_sms.envelope import fetch

TOPIC = "arn:aws:sns:eu-central-1:123456789012:clinic-sms"
PEM = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0123.pem"
YES = (
    "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription"
    f"&TopicArn={TOPIC}&Token=0123abcd"
)


@cache
def _key(number: int = 0) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def certificate() -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(_key().public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(_key(), hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def event(kind: str = "TEXT_DELIVERED", **changes: Any) -> dict[str, Any]:
    return {
        "eventType": kind,
        "eventVersion": "1.0",
        "eventTimestamp": int(NOW.timestamp() * 1000),
        "isFinal": True,
        "destinationPhoneNumber": CANARY_PHONE,
        "messageId": "eum-1",
        "messageStatusDescription": f"to {CANARY_PHONE}",
        "context": {"attempt": "at-0123"},
        **changes,
    }


def envelope(content: object, version: str = "2", **changes: Any) -> dict[str, Any]:
    return {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Message": content if isinstance(content, str) else json.dumps(content),
        "Timestamp": "2026-11-23T08:00:00.000Z",
        "SignatureVersion": version,
        "SigningCertURL": PEM,
        **changes,
    }


def confirmation(**changes: Any) -> dict[str, Any]:
    asks = {"Type": "SubscriptionConfirmation", "Token": "0123abcd", "SubscribeURL": YES}
    return envelope("You have chosen to subscribe", **asks | changes)


def signed(fields: dict[str, Any], key: rsa.RSAPrivateKey | None = None) -> dict[str, Any]:
    """Sign as AWS documents it: the names in this order, each on a line before its value."""
    names = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
    if fields["Type"] != "Notification":
        names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    text = "".join(f"{name}\n{fields[name]}\n" for name in names if name in fields)
    digest = hashes.SHA1() if fields["SignatureVersion"] == "1" else hashes.SHA256()
    signature = (key or _key()).sign(text.encode(), padding.PKCS1v15(), digest)
    return {**fields, "Signature": base64.b64encode(signature).decode()}


class Listening:
    @pytest.fixture(autouse=True)
    def _notifier(self, tmp_path: Path) -> None:
        self.fetched: list[str] = []
        self.notifier = self.made(tmp_path, topic_arn=TOPIC)

    def made(self, folder: Path, **options: Any) -> AwsSms:
        said = {"region": "eu-central-1", "from": "+12025550199", **options}
        notifier = AwsSms(AwsSms.Options.model_validate(said), kit(folder))
        notifier.fetch = self.fetch  # type: ignore[method-assign]
        return notifier

    def fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        return certificate()

    def read(self, fields: object) -> list[Receipt]:
        body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
        callback = Callback("POST", "https://relay.riverside.example/cb/aws", {}, body)
        return list(self.notifier.read_callback(callback))


class TestWhatIsBelieved(Listening):
    @pytest.mark.parametrize("version", ["1", "2"])
    def test_an_event_that_aws_signed_is_a_receipt(self, version: str) -> None:
        (found,) = self.read(signed(envelope(event(), version)))
        assert found == Receipt(Delivery.DELIVERED, "at-0123", "eum-1", NOW)
        assert self.fetched == [PEM]

    def test_a_subject_is_signed_as_well(self) -> None:
        whole = signed(envelope(event(), Subject="SMS"))
        assert self.read(whole)
        with pytest.raises(Forged):
            self.read({**whole, "Subject": "another"})

    def test_the_certificate_is_fetched_once(self) -> None:
        for _ in range(3):
            self.read(signed(envelope(event())))
        assert self.fetched == [PEM]

    def test_a_subscription_is_confirmed_and_tells_of_no_delivery(self) -> None:
        assert self.read(signed(confirmation())) == []
        assert self.fetched == [PEM, YES]

    @pytest.mark.parametrize(
        "url",
        [
            "https://sns.eu-central-1.amazonaws.com.evil.example/?Action=ConfirmSubscription",
            YES.replace("https", "http"),
            YES.replace("ConfirmSubscription", "DeleteTopic"),
            YES.replace("clinic-sms", "another"),
        ],
    )
    def test_no_other_address_is_called_to_confirm(self, url: str) -> None:
        assert self.read(signed(confirmation(SubscribeURL=url))) == []
        assert self.fetched == [PEM]


class TestWhatIsForged(Listening):
    @pytest.mark.parametrize(
        "changes",
        [
            {"Message": json.dumps(event("TEXT_INVALID"))},
            {"MessageId": "another"},
            {"Timestamp": "2026-11-24T08:00:00.000Z"},
            {"Signature": "AAAA"},
            {"Signature": "no base64!"},
            {"Signature": None},
            {"SignatureVersion": "3"},
            {"SignatureVersion": "1"},
            {"Type": "SubscriptionConfirmation"},
            {"Type": "Whatever"},
            {"Message": 7},
        ],
    )
    def test_what_was_changed_on_its_way_is_forged(self, changes: dict[str, Any]) -> None:
        with pytest.raises(Forged):
            self.read({**signed(envelope(event())), **changes})

    def test_what_another_key_signed_is_forged(self) -> None:
        with pytest.raises(Forged):
            self.read(signed(envelope(event()), _key(1)))

    def test_another_topic_is_forged_and_nothing_is_fetched_for_it(self) -> None:
        other = TOPIC.replace("clinic-sms", "another")
        with pytest.raises(Forged):
            self.read(signed(envelope(event(), TopicArn=other)))
        assert not self.fetched

    def test_without_a_topic_in_the_settings_all_is_forged(self, tmp_path: Path) -> None:
        self.notifier = self.made(tmp_path)
        with pytest.raises(Forged):
            self.read(signed(envelope(event())))
        assert not self.fetched

    @pytest.mark.parametrize(
        "url",
        [
            PEM.replace("https", "http"),
            PEM.replace("sns.eu", "sns.evil.eu"),
            PEM.replace(".com/", ".com.evil.example/"),
            PEM.replace("sns.", "evil@sns."),
            PEM.replace(".com/", ".com:8443/"),
            PEM.replace("eu-central-1", "us-east-1"),
            PEM.replace(".pem", ".txt"),
            "https://[",
            None,
        ],
    )
    def test_a_certificate_from_elsewhere_is_not_even_fetched(self, url: str | None) -> None:
        with pytest.raises(Forged):
            self.read(signed(envelope(event(), SigningCertURL=url)))
        assert not self.fetched

    @pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff\xfe", b"null"])
    def test_what_is_no_envelope_is_forged(self, body: bytes) -> None:
        with pytest.raises(Forged):
            self.read(body)

    def test_a_certificate_that_is_none_is_forged(self) -> None:
        self.notifier.fetch = lambda url: b"<html>"  # type: ignore[method-assign]
        with pytest.raises(Forged):
            self.read(signed(envelope(event())))


class TestFetching:
    def test_what_stands_there_is_fetched(self) -> None:
        with serving(lambda asked: Reply(certificate())) as server:
            assert fetch(server.url) == certificate()

    @pytest.mark.parametrize(
        "reply",
        [
            Reply(b"", 302, {"Location": "https://evil.example/"}),
            Reply(b"", 404),
            Reply(b"x" * 100_000),
            Reply(b"x" * 100, drop=True),
            Reply(reset=True),
        ],
    )
    def test_what_is_not_had_whole_proves_nothing(self, reply: Reply) -> None:
        with serving(lambda asked: reply) as server, pytest.raises(Forged):
            fetch(server.url)


EVENTS = [
    ("TEXT_DELIVERED", Delivery.DELIVERED, ""),
    ("TEXT_SUCCESSFUL", Delivery.SENT, ""),
    ("TEXT_SENT", Delivery.SENT, ""),
    ("TEXT_QUEUED", Delivery.SENT, ""),
    ("TEXT_PENDING", Delivery.SENT, ""),
    ("TEXT_UNKNOWN", Delivery.SENT, ""),
    ("TEXT_BLOCKED", Delivery.UNDELIVERED, "blocked"),
    ("TEXT_CARRIER_BLOCKED", Delivery.UNDELIVERED, "blocked"),
    ("TEXT_CARRIER_UNREACHABLE", Delivery.UNDELIVERED, "undelivered"),
    ("TEXT_INVALID", Delivery.UNDELIVERED, "address_refused"),
    ("TEXT_INVALID_MESSAGE", Delivery.UNDELIVERED, "content_refused"),
    ("TEXT_PROTECT_BLOCKED", Delivery.UNDELIVERED, "region_off"),
    ("TEXT_SPAM", Delivery.UNDELIVERED, "content_refused"),
    ("TEXT_TTL_EXPIRED", Delivery.UNDELIVERED, "undelivered"),
    ("TEXT_UNREACHABLE", Delivery.UNDELIVERED, "handset_unreachable"),
]


class TestWhatEventsSay(Listening):
    @pytest.mark.parametrize(("kind", "delivery", "reason"), EVENTS, ids=[e[0] for e in EVENTS])
    def test_each_event_is_what_it_is(self, kind: str, delivery: Delivery, reason: str) -> None:
        (found,) = self.read(signed(envelope(event(kind))))
        assert (found.delivery, found.reason) == (delivery, reason)
        assert found.code == (kind if reason else "")
        assert not canaries_in(found)

    def test_what_aws_goes_on_trying_is_not_undelivered_yet(self) -> None:
        (found,) = self.read(signed(envelope(event("TEXT_UNREACHABLE", isFinal=False))))
        assert found.delivery is Delivery.SENT

    def test_without_our_id_it_is_known_by_that_of_aws(self) -> None:
        (found,) = self.read(signed(envelope(event(context=None))))
        assert (found.attempt, found.provider_id) == (None, "eum-1")

    @pytest.mark.parametrize(
        "content",
        [
            event("VOICE_COMPLETED"),
            event(context={}, messageId=None),
            event(["TEXT_DELIVERED"]),  # type: ignore[arg-type]
            "hello",
            "[]",
        ],
    )
    def test_what_is_about_no_delivery_says_nothing(self, content: object) -> None:
        assert self.read(signed(envelope(content))) == []

    @pytest.mark.parametrize("stamp", ["now", None, True, 1e300, -1e300])
    def test_an_odd_moment_is_none(self, stamp: object) -> None:
        (found,) = self.read(signed(envelope(event(eventTimestamp=stamp))))
        assert found.at is None
