"""SMART Backend Services: a statement signed with our key buys a token.

https://hl7.org/fhir/smart-app-launch/backend-services.html and, for what is signed,
https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from clinicrelay.auth.keys import Key, KeyUnusable, read_key
from clinicrelay.auth.options import SmartBackend
from clinicrelay.auth.secret import Asking
from clinicrelay.http import sentences
from clinicrelay.http.addresses import is_kin, joined
from clinicrelay.http.errors import NoToken, Unwelcome

if TYPE_CHECKING:
    from clinicrelay.auth.endpoint import Endpoint
    from clinicrelay.http.options import HttpOptions

# At most 300 s may lie between signing and expiry; either clock may be two minutes off.
_VALID = timedelta(seconds=180)
_OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
_KIND = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class WithStatement:
    """Asks by a statement that we are who we are, good for one use and three minutes."""

    knows_time = True

    def __init__(self, options: HttpOptions, scope: Sequence[str]) -> None:
        assert isinstance(options.auth, SmartBackend)
        self._auth = options.auth
        self._base = options.base_url
        self._wanted = scope
        self._key: Key | None = None
        self._url = self._auth.token_url
        self._scope = self._auth.scope

    @property
    def scope(self) -> str | None:
        """What we ask to read, as it is sent."""
        return self._scope

    def asking(self, endpoint: Endpoint, ahead: timedelta) -> Asking:
        """Return the request for a token; the server is asked where, the first time.

        `ahead` is how far the token server's clock is before ours.
        """
        key = self._key = self._key or key_of(self._auth)
        if self._url is None or self._scope is None:
            self._discover(endpoint, key)
        url = self._url or ""
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": _KIND,
            "client_assertion": self._statement(key, url, ahead),
        }
        return Asking(url, form | ({"scope": self._scope} if self._scope else {}))

    def _statement(self, key: Key, url: str, ahead: timedelta) -> str:
        import jwt

        # No iat and no nbf: a clock that is a second fast would make it one from the future.
        claims = {
            "iss": self._auth.client_id,
            "sub": self._auth.client_id,
            "aud": self._auth.audience or url,
            "exp": int(time.time() + ahead.total_seconds() + _VALID.total_seconds()),
            "jti": secrets.token_urlsafe(24),
        }
        head = {"kid": key.kid, "typ": "JWT"}
        return jwt.encode(claims, key.private, algorithm=key.algorithm, headers=head)

    # --- what the server says of itself ----------------------------------------------------------

    def _discover(self, endpoint: Endpoint, key: Key) -> None:
        """Ask the server where tokens are given, and in which style scopes are written."""
        said = endpoint.get(f"{self._base}/.well-known/smart-configuration") or {}
        _refuse_other_signatures(said, key, self._base)
        if self._url is None:
            self._url = self._given_at(said) or self._from_capabilities(endpoint)
        if self._scope is None:
            self._scope = _scope(self._wanted, said)

    def _given_at(self, said: dict[str, Any]) -> str | None:
        given = said.get("token_endpoint")
        there = joined(self._base, given) if isinstance(given, str) and given else None
        return _of_kin(self._base, there) if there else None

    def _from_capabilities(self, endpoint: Endpoint) -> str:
        """Find the token address where servers wrote it before there was a .well-known."""
        said = endpoint.get(f"{self._base}/metadata") or {}
        for found in _extensions(said):
            if there := joined(self._base, found):
                return _of_kin(self._base, there)
        raise NoToken(
            f"{endpoint.host_of(self._base)} does not say where tokens are given",
            fix="write it as auth.token_url, or check base_url",
        )


def _of_kin(base: str, there: str) -> str:
    """Return an address that a server named; a host of another domain has to stand in the settings.

    Else whoever answers for the server could have us call any machine that we reach.
    """
    if not is_kin(base, there):
        raise NoToken(
            f"{sentences.host_of(base)} says that tokens are given by {sentences.stranger(there)}, "
            "which is no host of its domain: nothing was sent there",
            fix="write that address as auth.token_url, if it is the right one",
        )
    return there


def key_of(auth: SmartBackend) -> Key:
    """Return the key to sign with. Raises Unwelcome."""
    try:
        return read_key(auth.private_key.get_secret_value(), kid=auth.kid, algorithm=auth.algorithm)
    except KeyUnusable as error:
        raise Unwelcome(f"auth.private_key {error}", fix=error.fix) from None


def _refuse_other_signatures(said: dict[str, Any], key: Key, base: str) -> None:
    """Say it before the server does so with less words. Absent: whatever the standard asks for."""
    known = said.get("token_endpoint_auth_signing_alg_values_supported")
    if isinstance(known, list) and known and key.algorithm not in known:
        kinds = ", ".join(sorted(one for one in known if one in ("RS384", "ES384", "ES256")))
        raise NoToken(
            f"the server does not take signatures of our key's kind, {key.algorithm}",
            fix=f"make a key for {kinds or 'one of its own kinds'}: clinicrelay keys new",
        )


def _scope(wanted: Sequence[str], said: dict[str, Any]) -> str | None:
    """Write what is wanted in the server's style: `.rs` since SMART 2, `.read` before that."""
    capabilities = said.get("capabilities")
    second = isinstance(capabilities, list) and "permission-v2" in capabilities
    return " ".join(f"system/{one}.{'rs' if second else 'read'}" for one in wanted) or None


def _extensions(said: dict[str, Any]) -> list[str]:
    """Return the token addresses in a CapabilityStatement's security extension."""
    found = []
    for rest in _dicts(said.get("rest")):
        security = rest.get("security")
        for outer in _dicts(security.get("extension") if isinstance(security, dict) else None):
            if outer.get("url") == _OAUTH_URIS:
                found += [
                    inner["valueUri"]
                    for inner in _dicts(outer.get("extension"))
                    if inner.get("url") == "token" and isinstance(inner.get("valueUri"), str)
                ]
    return found


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
