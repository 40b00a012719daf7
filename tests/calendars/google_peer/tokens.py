"""The token endpoint: a service account's signed assertion, or a person's refresh token."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from .state import Account, ApiError, Body, Caller, World

GOOGLES_OWN = "https://oauth2.googleapis.com/token"  # what google-auth signs, wherever it posts to
LIFE = timedelta(hours=1)
TOLERANCE = timedelta(minutes=5)
BAD_TIME = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
    " Check your iat and exp values in the JWT claim."
)
NOT_ALLOWED = (
    "Client is unauthorized to retrieve access tokens using this method,"
    " or client not authorized for any of the scopes requested."
)


class GrantError(Exception):
    """An OAuth error; these look unlike those of the API."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.status = status
        self.body = {"error": error, "error_description": description}


@functools.cache
def _key(email: str, generation: int) -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


def service_account(
    world: World, url: str, email: str, *, delegated: tuple[str, ...] = (), generation: int = 0
) -> Body:
    """Make an account, and return its key file; another `generation` is another key."""
    private = _key(email, generation)
    world.accounts[email] = Account(email, private.public_key(), frozenset(delegated))
    world.add_calendar(email, email, "UTC")  # its own `primary`, which nobody ever sees
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {
        "type": "service_account",
        "project_id": "riverside",
        "private_key_id": f"key-{generation}",
        "private_key": pem.decode(),
        "client_email": email,
        "client_id": "100000000000000000001",
        "token_uri": f"{url}/token",
    }


def authorized_user(world: World, url: str, email: str, scopes: tuple[str, ...]) -> Body:
    """Let a person grant scopes to the product; return the file that google-auth reads."""
    token = world.fresh_token()
    client = {"client_id": "riverside.apps.example", "client_secret": "kept-by-the-clinic"}
    world.users.add(email)
    world.refresh_tokens[token] = (Caller(email, email, frozenset(scopes)), client)
    where = {"token_uri": f"{url}/token", "refresh_token": token}
    return {"type": "authorized_user", **client, **where}


def grant(world: World, form: bytes, own_url: str) -> Body:
    """Answer a POST to /token."""
    said = {name: values[0] for name, values in parse_qs(form.decode()).items()}
    kind = said.get("grant_type", "")
    if kind == "urn:ietf:params:oauth:grant-type:jwt-bearer":
        caller = _asserted(world, said.get("assertion", ""), own_url)
    elif kind == "refresh_token":
        caller = _refreshed(world, said)
    else:
        raise GrantError("unsupported_grant_type", f"Invalid grant_type: {kind}")
    token = world.fresh_token()
    world.tokens[token] = (caller, datetime.now(UTC) + LIFE)
    scope = " ".join(sorted(caller.scopes))
    return {"access_token": token, "expires_in": 3599, "token_type": "Bearer", "scope": scope}


def caller_of(world: World, authorization: str) -> Caller:
    """Return whom a bearer token was given to."""
    caller, until = world.tokens.get(authorization.removeprefix("Bearer "), (None, None))
    if caller is None or until is None or until < datetime.now(UTC):
        challenge = {"WWW-Authenticate": 'Bearer realm="https://accounts.google.com/"'}
        raise ApiError(401, "authError", "Invalid Credentials", challenge)
    return caller


def _asserted(world: World, assertion: str, own_url: str) -> Caller:
    claims = _claims(assertion)
    account = world.accounts.get(claims.get("iss", ""))
    if account is None or account.disabled:
        raise GrantError("invalid_grant", "Invalid grant: account not found")
    _check_signature(assertion, account)
    if claims.get("aud") not in (GOOGLES_OWN, f"{own_url}/token"):
        raise GrantError("invalid_grant", "Invalid JWT: Failed audience check.")
    _check_times(claims, datetime.now(UTC) + world.token_skew)
    scopes = frozenset(str(claims.get("scope", "")).split())
    if not scopes:
        raise GrantError("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
    return _subject(world, account, claims.get("sub", account.email), scopes)


def _claims(assertion: str) -> dict[str, Any]:
    try:
        claims: dict[str, Any] = jwt.decode(assertion, options={"verify_signature": False})
    except jwt.InvalidTokenError as error:
        raise GrantError("invalid_grant", "Invalid JWT") from error
    return claims


def _check_signature(assertion: str, account: Account) -> None:
    others = ("verify_aud", "verify_exp", "verify_iat", "verify_nbf")
    only_the_signature: Any = dict.fromkeys(others, False)
    try:
        jwt.decode(assertion, account.public_key, ["RS256"], options=only_the_signature)
    except jwt.InvalidTokenError as error:
        raise GrantError("invalid_grant", "Invalid JWT Signature.") from error


def _check_times(claims: dict[str, Any], now: datetime) -> None:
    try:
        issued, expires = float(claims["iat"]), float(claims["exp"])
    except (KeyError, TypeError, ValueError) as error:
        raise GrantError("invalid_grant", BAD_TIME) from error
    early = issued > (now + TOLERANCE).timestamp()
    if early or expires < now.timestamp() or expires - issued > LIFE.total_seconds():
        raise GrantError("invalid_grant", BAD_TIME)


def _subject(world: World, account: Account, subject: str, scopes: frozenset[str]) -> Caller:
    if subject == account.email:
        return Caller(account.email, account.email, scopes, bare=True)
    if subject not in world.users:
        raise GrantError("invalid_grant", "Invalid email or User ID")
    if not scopes <= account.delegated:
        raise GrantError("unauthorized_client", NOT_ALLOWED, 401)
    return Caller(subject, account.email, scopes)


def _refreshed(world: World, said: dict[str, str]) -> Caller:
    caller, client = world.refresh_tokens.get(said.get("refresh_token", ""), (None, {}))
    if caller is None:
        raise GrantError("invalid_grant", "Token has been expired or revoked.")
    if any(said.get(name) != value for name, value in client.items()):
        raise GrantError("invalid_client", "The OAuth client was not found.", 401)
    return caller
