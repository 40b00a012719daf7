"""Key pairs to sign with: made, read from PEM or JWK, named by thumbprint, and shown without secrets."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    Private: TypeAlias = EllipticCurvePrivateKey | RSAPrivateKey

Jwk: TypeAlias = dict[str, Any]

_RSA_BITS = 3072
_LEAST_BITS = 2048  # RFC 7518 section 3.3
_BY_CURVE = {"secp384r1": "ES384", "secp256r1": "ES256"}
_PUBLIC = ("kty", "crv", "x", "y", "n", "e")


class KeyUnusable(ValueError):
    """A key that cannot be used: the text goes on after the key's name, `fix` says what would do."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Key:
    """A private key, what it is called at the server, and how it signs."""

    private: Private = field(repr=False)
    kid: str
    algorithm: str


def new_key(kind: Literal["ec", "rsa"]) -> tuple[bytes, Key]:
    """Make a pair, and return the private part as PEM (PKCS 8, not encrypted) and as a key."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    made: Private = (
        ec.generate_private_key(ec.SECP384R1())
        if kind == "ec"
        else rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
    )
    pem = made.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem, read_key(pem.decode())


def read_key(text: str, *, kid: str | None = None, algorithm: str | None = None) -> Key:
    """Read a private key from PEM, a JWK or a set of them. Raises KeyUnusable.

    Of a set it is the private key called `kid`, or the first. Signing is RS384 or ES384 by the kind
    of the key; a P-256 key signs ES256 only if `algorithm` says so.
    """
    text = text.strip()
    private, own = _of_jwk(text, kid) if text.startswith("{") else (_of_pem(text), None)
    suits = _algorithm(private, algorithm)
    return Key(private, kid or own or thumbprint(public_part(private)), suits)


def public_jwk(key: Key) -> Jwk:
    """Return the public part as servers want it in a key set (RFC 7517)."""
    return {
        **public_part(key.private),
        "kid": key.kid,
        "use": "sig",
        "alg": key.algorithm,
        "key_ops": ["verify"],
    }


def public_part(private: Private) -> Jwk:
    """Return the members that make up the public key, and none of the private ones."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from jwt.algorithms import ECAlgorithm, RSAAlgorithm

    whole = (
        RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
        if isinstance(private, RSAPrivateKey)
        else ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
    )
    return {name: whole[name] for name in _PUBLIC if name in whole}


def thumbprint(jwk: Jwk) -> str:
    """Return a key's thumbprint (RFC 7638): the same wherever it is worked out."""
    needed = {name: jwk[name] for name in _PUBLIC if name in jwk}
    text = json.dumps(needed, sort_keys=True, separators=(",", ":"))
    return urlsafe_b64encode(sha256(text.encode()).digest()).rstrip(b"=").decode()


# --- reading ---------------------------------------------------------------------------------


def _of_pem(text: str) -> Private:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    # A PEM on one line: secrets often come that way from variables, with \n for its lines.
    text = text.replace("\\n", "\n")
    if "PRIVATE KEY" not in text:
        what = "holds a public key or a certificate" if "-----BEGIN" in text else "is no key"
        raise KeyUnusable(what, "name the private key's PEM file; clinicrelay keys new makes one")
    if "ENCRYPTED" in text:
        raise KeyUnusable(
            "is protected by a password",
            "remove it (openssl pkey -in OLD -out NEW) and guard the file: chmod 600",
        )
    try:
        made = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyUnusable("is a damaged PEM file", "copy the key again, all of its lines") from None
    return _known(made)


def _of_jwk(text: str, kid: str | None) -> tuple[Private, str | None]:
    from jwt.algorithms import ECAlgorithm, RSAAlgorithm
    from jwt.exceptions import InvalidKeyError

    jwk = _chosen(text, kid)
    readers: dict[str, type[ECAlgorithm] | type[RSAAlgorithm]]
    readers = {"EC": ECAlgorithm, "RSA": RSAAlgorithm}
    reader = readers.get(str(jwk.get("kty")))
    try:
        made = reader.from_jwk(jwk) if reader else None
    except (InvalidKeyError, ValueError, TypeError, KeyError):
        raise KeyUnusable("is a damaged JWK", "copy the key again, the whole of it") from None
    own = jwk.get("kid")
    return _known(made), own if isinstance(own, str) and own else None


def _chosen(text: str, kid: str | None) -> Jwk:
    try:
        whole = json.loads(text)
    except ValueError:
        raise KeyUnusable("is a damaged JWK", "copy the key again, the whole of it") from None
    keys = whole.get("keys", [whole])
    private = [one for one in keys if isinstance(one, dict) and "d" in one]
    named = [one for one in private if one.get("kid") == kid]
    if not private:
        raise KeyUnusable(
            "holds no private key", "name the private one; servers get the public one"
        )
    return dict(named[0] if named else private[0])


def _known(made: Any) -> Private:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    if isinstance(made, RSAPrivateKey | EllipticCurvePrivateKey):
        return made
    raise KeyUnusable(
        "is of a kind that SMART servers do not take",
        "make one with clinicrelay keys new: elliptic curve P-384, or RSA",
    )


def _algorithm(private: Private, wanted: str | None) -> str:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    if isinstance(private, RSAPrivateKey):
        if private.key_size < _LEAST_BITS:
            raise KeyUnusable(f"has only {private.key_size} bits", "make one: clinicrelay keys new")
        suits = "RS384"
    else:
        suits = _BY_CURVE.get(private.curve.name, "")
    if wanted and wanted != suits:
        raise KeyUnusable(
            f"cannot sign {wanted}", f"write algorithm: {suits}" if suits else "make another key"
        )
    if suits == "ES256" and wanted is None:
        raise KeyUnusable(
            "is on the curve P-256, which the standard does not ask servers to take",
            "make another (clinicrelay keys new), or write algorithm: ES256 if the server takes it",
        )
    if not suits:
        raise KeyUnusable(
            "is on a curve that servers do not take", "make one: clinicrelay keys new"
        )
    return suits
