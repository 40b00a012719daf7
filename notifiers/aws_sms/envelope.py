"""The signed envelope that AWS's SNS posts to us: whether it is from there, and from our topic.

Source: "Verifying the signatures of Amazon SNS messages". The certificate is fetched from the one
host that the topic's own name makes, so nobody can have another one fetched.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

import msgspec

from clinicrelay import Callback, Forged

Fetch: TypeAlias = Callable[[str], bytes]

_LARGEST = 64 << 10  # bytes of a certificate, which has two thousand
_SECONDS = 5.0
_NOTE = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_HANDSHAKE = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED = {
    "Notification": _NOTE,
    "SubscriptionConfirmation": _HANDSHAKE,
    "UnsubscribeConfirmation": _HANDSHAKE,
}


def opened(callback: Callback, topic: str | None, fetch: Fetch) -> dict[str, Any]:
    """Return the fields of an envelope. Raises Forged unless `topic` sent it and AWS signed it."""
    fields = _fields(callback.body)
    if topic is None or fields.get("TopicArn") != topic:
        raise Forged
    url = fields.get("SigningCertURL")
    if not isinstance(url, str) or not _at_aws(url, topic) or not url.endswith(".pem"):
        raise Forged
    signed = _SIGNED.get(str(fields.get("Type")))
    if signed is None:
        raise Forged
    _verify(fields, _text(fields, signed), fetch(url))
    return fields


def confirmation(fields: dict[str, Any]) -> str | None:
    """Return the address that says yes to a subscription, of an opened envelope that asks for it."""
    url, topic = fields.get("SubscribeURL"), str(fields.get("TopicArn"))
    if fields.get("Type") != "SubscriptionConfirmation" or not isinstance(url, str):
        return None
    asked = parse_qs(urlsplit(url).query)
    right = asked.get("Action") == ["ConfirmSubscription"] and asked.get("TopicArn") == [topic]
    return url if right and _at_aws(url, topic) else None


def fetch(url: str) -> bytes:
    """Return what stands at an address of AWS. Raises Forged where nothing can be had there."""
    import httpx

    try:
        with httpx.stream("GET", url, timeout=_SECONDS, follow_redirects=False) as response:
            if response.status_code != 200:
                raise Forged
            content = b""
            for piece in response.iter_bytes():
                content += piece
                if len(content) > _LARGEST:
                    raise Forged
    except httpx.HTTPError:
        raise Forged from None
    return content


def _fields(body: bytes) -> dict[str, Any]:
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Forged from None
    if not isinstance(fields, dict):
        raise Forged
    return fields


def _at_aws(url: str, topic: str) -> bool:
    """Whether an address is at SNS itself, in the topic's region, and encrypted."""
    region = topic.split(":")[3]
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    hosts = (f"sns.{region}.amazonaws.com", f"sns.{region}.amazonaws.com.cn")
    return parts.scheme == "https" and parts.netloc in hosts


def _text(fields: dict[str, Any], names: tuple[str, ...]) -> bytes:
    there = [(name, fields[name]) for name in names if fields.get(name) is not None]
    if not all(isinstance(value, str) for _, value in there):
        raise Forged
    return "".join(f"{name}\n{value}\n" for name, value in there).encode()


def _verify(fields: dict[str, Any], text: bytes, certificate: bytes) -> None:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
    from cryptography.x509 import load_pem_x509_certificate

    # Version 1 is what a topic has unless somebody chose 2, so it cannot be refused.
    digests = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303
    digest = digests.get(str(fields.get("SignatureVersion")))
    if digest is None:
        raise Forged
    try:
        public = load_pem_x509_certificate(certificate).public_key()
        if not isinstance(public, rsa.RSAPublicKey):
            raise Forged
        given = base64.b64decode(str(fields.get("Signature")), validate=True)
        public.verify(given, text, padding.PKCS1v15(), digest)
    except (ValueError, InvalidSignature, UnsupportedAlgorithm):
        raise Forged from None
