"""The client credentials grant with a secret (RFC 6749 section 4.4)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

from clinicrelay.auth.options import OAuth2

if TYPE_CHECKING:
    from datetime import timedelta

    from clinicrelay.auth.endpoint import Endpoint
    from clinicrelay.http.options import HttpOptions


@dataclass(frozen=True, slots=True)
class Asking:
    """What is sent to buy a token: where, and the form with its headers."""

    url: str
    form: dict[str, str] = field(repr=False)
    headers: dict[str, str] = field(default_factory=dict, repr=False)


class WithSecret:
    """Asks by client id and secret."""

    knows_time = False  # nothing in it depends on the clock

    def __init__(self, options: HttpOptions, scope: Sequence[str]) -> None:
        assert isinstance(options.auth, OAuth2)
        self._auth = options.auth

    @property
    def scope(self) -> str | None:
        """What we ask to read, as it is sent."""
        return self._auth.scope

    def asking(self, endpoint: Endpoint, ahead: timedelta) -> Asking:
        """Return the request for a token."""
        auth = self._auth
        secret = auth.client_secret.get_secret_value()
        form = {"grant_type": "client_credentials"}
        if auth.scope:
            form["scope"] = auth.scope
        if auth.send == "body":
            return Asking(
                auth.token_url, {**form, "client_id": auth.client_id, "client_secret": secret}
            )
        # Both are form-encoded before the colon joins them (RFC 6749 section 2.3.1), so that a
        # secret may hold any sign; most clients forget it.
        pair = f"{quote_plus(auth.client_id)}:{quote_plus(secret)}"
        basic = b64encode(pair.encode()).decode()
        return Asking(auth.token_url, form, {"Authorization": f"Basic {basic}"})
