"""A server that gives tokens to whom it knows, and one that gives records to whoever holds one."""

from __future__ import annotations

import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote_plus

import jwt
import pytest

from clinicrelay.auth.keys import public_jwk, read_key
from clinicrelay.http import Client, HttpOptions
from clinicrelay.testing import Asked, HttpServer, Reply, kit, serving

SECRET = "s:e/c+r %"


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Town:
    """Two servers: `tokens` and `records`. What they do may be changed at any time."""

    clock: Clock
    tokens: HttpServer = None  # type: ignore[assignment]
    records: HttpServer = None  # type: ignore[assignment]
    life: Any = 300  # what is said; tokens really end then if it is a number
    keys: dict[str, Any] = field(default_factory=dict)  # public JWKs by kid
    answers: list[Reply] = field(default_factory=list)  # instead of the usual, one each
    given: dict[str, float] = field(default_factory=dict)  # token to when it ends
    jtis: list[str] = field(default_factory=list)
    claims: list[dict[str, Any]] = field(default_factory=list)
    heads: list[dict[str, Any]] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)
    ahead: timedelta = timedelta(0)  # how far its clock is before ours
    deaf: bool = False  # takes no token at all
    configuration: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    lock: Any = field(default_factory=threading.Lock)

    @property
    def token_url(self) -> str:
        return f"{self.tokens.url}/oauth/token"

    @property
    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def give(self, asked: Asked) -> Reply:
        """Answer a request for a token."""
        form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
        with self.lock:
            self.forms.append(form)
            if self.answers:
                return self.answers.pop(0)
            if not self._known(asked, form):
                return self._dated({"error": "invalid_client", "error_description": "x"}, 401)
            token = f"token-{len(self.given) + 1}"
            numeric = isinstance(self.life, int | float) and self.life > 0
            self.given[token] = self.clock.now + (self.life if numeric else 10**9)
        return self._dated(
            {"access_token": token, "token_type": "Bearer", "expires_in": self.life}, 200
        )

    def _dated(self, body: Any, status: int) -> Reply:
        return Reply(body, status=status, headers={"Date": format_datetime(self.now, usegmt=True)})

    def _known(self, asked: Asked, form: dict[str, str]) -> bool:
        if "client_assertion" in form:
            return self._proven(form)
        if basic := asked.headers.get("authorization"):
            pair = b64decode(basic.removeprefix("Basic ")).decode()
            client, _, secret = pair.partition(":")
            return (unquote_plus(client), unquote_plus(secret)) == ("us", SECRET)
        return (form.get("client_id"), form.get("client_secret")) == ("us", SECRET)

    def _proven(self, form: dict[str, str]) -> bool:
        statement = form["client_assertion"]
        head = jwt.get_unverified_header(statement)
        self.heads.append(head)
        self.claims.append(jwt.decode(statement, options={"verify_signature": False}))
        claims, key = self.claims[-1], self.keys.get(head["kid"])
        ends = claims["exp"] - self.now.timestamp()
        fresh, right = claims["jti"] not in self.jtis, 0 < ends <= 300
        self.jtis.append(claims["jti"])
        if not (key and fresh and right and head["typ"] == "JWT"):
            return False
        try:
            jwt.decode(
                statement,
                jwt.PyJWK(key).key,
                algorithms=["RS384", "ES384", "ES256"],
                audience=self.token_url,
                issuer="us",
                options={"verify_exp": False},  # by this server's clock, above
            )
        except jwt.InvalidTokenError:
            return False
        return claims["sub"] == "us"

    def answer(self, asked: Asked) -> Reply:
        """Answer a request for records, or say what this server is like."""
        if asked.path.endswith("/.well-known/smart-configuration"):
            found = self.configuration
        elif asked.path.endswith("/metadata"):
            found = self.metadata
        else:
            token = asked.headers.get("authorization", "").removeprefix("Bearer ")
            valid = not self.deaf and self.given.get(token, 0) > self.clock.now
            return Reply({"ok": valid}, status=200 if valid else 401)
        return Reply(found) if found is not None else Reply(status=404)

    def know(self, pem: bytes | str) -> None:
        """Register the public part of a key."""
        key = read_key(pem if isinstance(pem, str) else pem.decode())
        self.keys[key.kid] = public_jwk(key)


@pytest.fixture
def town() -> Iterator[Town]:
    with ExitStack() as stack:
        made = Town(Clock())
        made.tokens = stack.enter_context(serving(made.give))
        made.records = stack.enter_context(serving(made.answer))
        made.configuration = {
            "token_endpoint": made.token_url,
            "capabilities": ["client-confidential-asymmetric", "permission-v2"],
            "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
        }
        yield made


@pytest.fixture
def client(tmp_path: Path, town: Town) -> Iterator[Callable[..., Client]]:
    """Make a client of the records' server with this `auth`."""
    made: list[Client] = []

    def client(auth: dict[str, Any], **more: Any) -> Client:
        given = {"base_url": f"{town.records.url}/r4", "auth": auth} | more.pop("options", {})
        at_hand = more.pop("kit", None) or kit(tmp_path)
        options = HttpOptions.model_validate(given)
        made.append(Client(options, at_hand, sleep=town.clock.sleep, clock=town.clock, **more))
        return made[-1]

    yield client
    for one in made:
        one.close()


@pytest.fixture
def by_secret(town: Town) -> dict[str, Any]:
    """`auth` with a client id and its secret."""
    return {
        "type": "oauth2",
        "token_url": town.token_url,
        "client_id": "us",
        "client_secret": SECRET,
        "scope": "system/Appointment.read",
    }
