"""Puts credentials on requests: one `httpx.Auth` for each kind under `auth`."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

import httpx

from clinicrelay.auth.options import BasicAuth, BearerAuth, HeaderAuth, NoAuth, QueryAuth

if TYPE_CHECKING:
    from clinicrelay.http.options import HttpOptions


def flow_of(options: HttpOptions, scope: Sequence[str]) -> httpx.Auth | None:
    """Return what authenticates requests; None where nobody asks.

    `scope` is what has to be read, such as Appointment, for kinds that ask for it by name.
    """
    auth = options.auth
    if isinstance(auth, NoAuth):
        return None
    if isinstance(auth, BasicAuth):
        return httpx.BasicAuth(auth.username.get_secret_value(), auth.password.get_secret_value())
    if isinstance(auth, BearerAuth):
        return InHeader("Authorization", f"Bearer {auth.token.get_secret_value()}")
    if isinstance(auth, HeaderAuth):
        return InHeader(auth.name, auth.value.get_secret_value())
    if isinstance(auth, QueryAuth):
        return InQuery(auth.name, auth.value.get_secret_value())
    raise NotImplementedError(auth.type)


class InHeader(httpx.Auth):
    """The same header with every request."""

    def __init__(self, name: str, value: str) -> None:
        self._name, self._value = name, value

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers[self._name] = self._value
        yield request


class InQuery(httpx.Auth):
    """The same parameter with every request; no address of ours that is shown has a query."""

    def __init__(self, name: str, value: str) -> None:
        self._name, self._value = name, value

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.url = request.url.copy_merge_params({self._name: self._value})
        yield request
