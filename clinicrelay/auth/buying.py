"""Buys a token, and says in one sentence why there is none: each refusal has its own remedy."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from clinicrelay.auth.endpoint import Endpoint, Said
from clinicrelay.auth.secret import Asking
from clinicrelay.auth.tokens import Bought
from clinicrelay.http import waits
from clinicrelay.http.errors import NotAnswered, NoToken

if TYPE_CHECKING:
    from clinicrelay.http.options import HttpOptions

_BARE = 2  # more tries where a renewal is answered 400 without a reason, as Epic's servers do
_SKEW_MENDED = timedelta(minutes=1)  # a clock that is further off than this is allowed for
_SKEW_TOLD = timedelta(minutes=2)
_SHORTEST = 1.0  # seconds; a token that is said to live less is used until it is refused
_TOKEN = re.compile(r"[\x21-\x7e]{1,65536}")
_CODE = re.compile(r"[a-z0-9_.-]{1,60}")
_TROUBLE = frozenset({"temporarily_unavailable", "server_error"})


class Grant(Protocol):
    """One way of asking. `knows_time`: what it sends depends on the clock."""

    @property
    def knows_time(self) -> bool: ...
    @property
    def scope(self) -> str | None: ...
    def asking(self, endpoint: Endpoint, ahead: timedelta) -> Asking:
        """Return the request; `ahead` is how far the server's clock is before ours."""
        ...


class Buyer:
    """Asks for tokens of one system, as often as told to."""

    def __init__(
        self,
        options: HttpOptions,
        grant: Grant,
        *,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
    ) -> None:
        self._grant, self._sleep = grant, sleep
        self._endpoint = Endpoint(options, clock)
        self._ahead = timedelta(0)
        self._allowed_for_skew = False

    def buy(self, renewing: bool) -> Bought:
        """Return a new token. Raises NoToken, Unwelcome and NotAnswered."""
        said, asking = self._ask()
        for pause in range(1, _BARE + 1):
            if not (renewing and said.status == 400 and not _code(said)):
                break
            self._sleep(pause)
            said, asking = self._ask()
        if said.status in (400, 401) and self._skewed(said):
            said, asking = self._ask()
        if bought := _bought(said):
            return bought
        raise self._why_not(said, asking)

    def _ask(self) -> tuple[Said, Asking]:
        asking = self._grant.asking(self._endpoint, self._ahead)
        return self._endpoint.post(asking.url, asking.form, asking.headers), asking

    def _skewed(self, said: Said) -> bool:
        """Take the server's word for what time it is, once, where ours is far from it."""
        ahead = _ahead_of_us(said)
        if not self._grant.knows_time or self._allowed_for_skew or abs(ahead) <= _SKEW_MENDED:
            return False
        self._ahead, self._allowed_for_skew = ahead, True
        return True

    # --- why there is none -----------------------------------------------------------------------

    def _why_not(self, said: Said, asking: Asking) -> NoToken | NotAnswered:
        host = self._endpoint.host_of(asking.url)
        code = _code(said)
        told = code if code in _CODES else said.status
        if said.status in waits.WORTH_ANOTHER_TRY or code in _TROUBLE:
            return NotAnswered(f"{host} gives no token now ({told})", after=said.after)
        what, fix = self._told(said, code)
        return NoToken(f"{host} {what} ({told}){self._skew(said)}", fix=fix)

    def _told(self, said: Said, code: str) -> tuple[str, str]:
        if found := (_SMART_SAID if self._grant.knows_time else {}).get(code):
            return found
        if code == "invalid_scope" and self._grant.scope is None:
            return "wants to know what we ask to read", "write it as auth.scope"
        if code in _SAID:
            what, fix = _SAID[code]
            return what.format(scope=self._grant.scope), fix
        if said.status == 200:
            kind = "something else" if said.body else said.media_type
            return f"answered with {kind} instead of a token", _CHECK_URL
        if 300 <= said.status < 400:
            return "sends us elsewhere for a token: nothing was sent there", _CHECK_URL
        return _BY_STATUS.get(said.status, ("gives us no token", "look into its manual"))

    def _skew(self, said: Said) -> str:
        ahead = _ahead_of_us(said)
        if abs(ahead) < _SKEW_TOLD:
            return ""
        way = "behind" if ahead > timedelta(0) else "ahead of"
        return f"; the clock of this machine is {waits.told(abs(ahead))} {way} its clock"


_CHECK_URL = "check auth.token_url; absent, it is asked of the server"
_SAID = {
    "invalid_client": (
        "does not know our client_id, or its secret is another",
        "check auth.client_id and auth.client_secret; perhaps auth.send has to be body (or basic)",
    ),
    "invalid_grant": (
        "does not accept what we ask with",
        "check whether our access was withdrawn or has run out there",
    ),
    "unauthorized_client": (
        "knows our client_id and does not let it have tokens this way",
        "ask its administrators to allow client_id the client credentials grant",
    ),
    "unsupported_grant_type": (
        "gives no tokens to programs (client credentials)",
        "check auth.type against its manual",
    ),
    "invalid_scope": (
        "does not let us read what auth.scope asks for: {scope}",
        "ask its administrators to register these scopes for client_id, or write fewer",
    ),
    "access_denied": (
        "does not let this client_id have a token",
        "ask its administrators whether it is active, and for this address of ours",
    ),
    "invalid_request": (
        "does not understand our request for a token",
        "check auth against its manual: scope, audience, send",
    ),
}
# What may be repeated: the codes of RFC 6749 (4.1.2.1, 5.2), RFC 6750 and RFC 8707, and no other word.
_CODES = frozenset(
    {
        *_SAID,
        *_TROUBLE,
        *("unsupported_response_type", "insufficient_scope", "invalid_token", "invalid_target"),
    }
)
_NO_REASON = ("refuses us a token and says not why", "check everything under auth")
_NOT_HERE = ("gives no tokens at this address", _CHECK_URL)
_BY_STATUS = {
    **dict.fromkeys((400, 401, 403), _NO_REASON),
    **dict.fromkeys((404, 405, 410), _NOT_HERE),
    407: ("cannot be reached: the proxy wants a login", "write it into proxy"),
}
_SMART_SAID = {
    "invalid_client": (
        "does not know our client_id, or does not have the public part of our key",
        "register what `clinicrelay keys jwks` prints for client_id; check kid and audience",
    ),
    "invalid_grant": (
        "does not accept our signed statement",
        "register what `clinicrelay keys jwks` prints for client_id; check kid and audience",
    ),
}


def _code(said: Said) -> str:
    """Return the error's code; its description stays unread, as it may repeat what we sent."""
    code = said.body.get("error")
    return code if said.status != 200 and isinstance(code, str) and _CODE.fullmatch(code) else ""


def _bought(said: Said) -> Bought | None:
    value, kind = said.body.get("access_token"), said.body.get("token_type") or "bearer"
    bearer = isinstance(kind, str) and kind.lower() == "bearer"
    if (
        said.status != 200
        or not bearer
        or not isinstance(value, str)
        or not _TOKEN.fullmatch(value)
    ):
        return None
    return Bought(value, _life(said.body.get("expires_in")))


def _life(value: Any) -> float | None:
    """Return seconds; some servers send them as text, some none, and next to none says nothing either.

    What is refused before its time is renewed anyhow, and a token for each request would be too many.
    """
    try:
        life = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return life if _SHORTEST <= life < float("inf") else None


def _ahead_of_us(said: Said) -> timedelta:
    return said.date - datetime.now(UTC) if said.date else timedelta(0)
