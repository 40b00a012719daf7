"""Puts credentials on requests: one `httpx.Auth` for each kind under `auth`."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_plus

import httpx

from clinicrelay.auth.options import (
    BasicAuth,
    BearerAuth,
    HeaderAuth,
    NoAuth,
    OAuth2,
    QueryAuth,
)

if TYPE_CHECKING:
    from clinicrelay.auth.tokens import Token, Tokens
    from clinicrelay.http.options import HttpOptions


class Credentials(httpx.Auth):
    """Nobody: no credentials, not even those that a link of the server's might bring along."""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        yield request

    def answered(self, request: httpx.Request, status: int) -> bool:
        """Learn how a request was answered, and return whether it is worth sending once more."""
        return False


def credentials_of(
    options: HttpOptions,
    scope: Sequence[str] = (),
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Credentials:
    """Return what authenticates requests.

    `scope` is what has to be read, such as Appointment, for kinds that ask for it by name.
    """
    auth = options.auth
    if isinstance(auth, NoAuth):
        return Credentials()
    if isinstance(auth, BasicAuth):
        return InBasic(auth.username.get_secret_value(), auth.password.get_secret_value())
    if isinstance(auth, BearerAuth):
        return InHeader("Authorization", f"Bearer {auth.token.get_secret_value()}")
    if isinstance(auth, HeaderAuth):
        return InHeader(auth.name, auth.value.get_secret_value())
    if isinstance(auth, QueryAuth):
        return InQuery(auth.name, auth.value.get_secret_value())

    from clinicrelay.auth.buying import Buyer, Grant
    from clinicrelay.auth.tokens import Tokens

    if isinstance(auth, OAuth2):
        from clinicrelay.auth.secret import WithSecret

        grant: Grant = WithSecret(options, scope)
    else:
        from clinicrelay.auth.smart import WithStatement

        grant = WithStatement(options, scope)
    return WithToken(Tokens(Buyer(options, grant, sleep=sleep, clock=clock).buy, clock))


class InBasic(Credentials):
    """A name and a password with every request."""

    def __init__(self, username: str, password: str) -> None:
        self._flow = httpx.BasicAuth(username, password)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        yield from self._flow.auth_flow(request)


class InHeader(Credentials):
    """The same header with every request."""

    def __init__(self, name: str, value: str) -> None:
        self._name, self._value = name, value

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers[self._name] = self._value
        yield request


class InQuery(Credentials):
    """The same parameter with every request; no address of ours that is shown has a query."""

    def __init__(self, name: str, value: str) -> None:
        self._name = name
        self._pair = f"{quote(name, safe='')}={quote(value, safe='')}"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        # The rest stays as it is, sign by sign: a link of the server's may be signed.
        rest = [
            part for part in request.url.query.decode().split("&") if part and self._other(part)
        ]
        query = "&".join([*rest, self._pair])
        path = request.url.raw_path.partition(b"?")[0]
        request.url = request.url.copy_with(raw_path=path + b"?" + query.encode())
        yield request

    def _other(self, part: str) -> bool:
        """Whether a part of the query is not our key come back, as servers repeat it in links."""
        return unquote_plus(part.partition("=")[0]) != self._name


class WithToken(Credentials):
    """A token that soon expires; see `clinicrelay.auth.tokens`."""

    _NOTED = "clinicrelay_token"

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        token = self._tokens.current()
        request.headers["Authorization"] = f"Bearer {token.value}"
        request.extensions = {**request.extensions, self._NOTED: token}
        yield request

    def answered(self, request: httpx.Request, status: int) -> bool:
        token: Token | None = request.extensions.get(self._NOTED)
        return token is not None and self._tokens.answered(token, status)
