"""Logging in: one token an account, or one a doctor, however many threads ask; and why it failed.

The libraries' own helper renews in each thread by itself, and asks a further Google service that no
setting can redirect; so tokens are asked for here, and put on each request.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import timedelta
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from calendars.google.troubles import Facts, trouble

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

    from calendars.google.options import Options
    from clinicrelay import EventResult

SCOPE = "https://www.googleapis.com/auth/calendar.events"
_TRIES = 3
_NOBODY_LETS_US = 3  # doctors in a row whom we may not act for
# From the particular to the general: most of them are an invalid_grant.
_SAID = (
    (("short-lived token", "iat and exp", "in the future", "too early"), "clock"),
    (("Invalid email or User ID",), "unknown_user"),
    (("account not found", "disabled", "deleted_client"), "account_unknown"),
    (("unauthorized_client", "access_denied"), "no_delegation"),
    (("invalid_scope",), "scope"),
    (("invalid_grant",), "account_key"),
)


class NotLoggedIn(Exception):
    """There is no token, and this is why."""

    def __init__(self, why: EventResult) -> None:
        super().__init__(why.reason)
        self.why = why


class _Refused(NamedTuple):
    """Why there is no token: our word for it, and Google's; `final` where asking again is no use."""

    reason: str
    code: str
    final: bool = True


class Account:
    """Who we are towards Google. Knows the tokens of one run; `rest` waits, while it goes on."""

    def __init__(self, options: Options, rest: Callable[[float], bool]) -> None:
        self._options, self._rest = options, rest
        self._key = options.key
        self._lock = threading.Lock()
        self._known: dict[str, Credentials] = {}
        self._failed: dict[str, EventResult] = {}
        self._let_in, self._refusals = False, 0

    @property
    def facts(self) -> Facts:
        """What sentences may name of us."""
        mail = self._key.get("client_email", "this application")
        return Facts(account=mail, client=self._key.get("client_id", ""), scope=SCOPE)

    @property
    def token_uri(self) -> str:
        return str(self._key["token_uri"])

    def log_in(self) -> None:
        """Get a new token that does for all calendars, whether or not one is known."""
        with self._lock:
            self._known.pop("", None)
        self.token("")

    def token(self, calendar: str, spent: str | None = None) -> str:
        """Return a token to use for a calendar, another one than `spent`. Raises NotLoggedIn."""
        whose = "" if self._options.mode == "shared" else calendar
        with self._lock:
            for known in ("", whose):
                if known in self._failed:
                    raise NotLoggedIn(self._failed[known])
            credentials = self._known.get(whose) or self._credentials(whose)
            self._known[whose] = credentials
            if not credentials.valid or credentials.token == spent:
                self._renew(credentials, whose)
            return str(credentials.token)

    def _credentials(self, whose: str) -> Credentials:
        if self._options.mode == "oauth":
            return self._of_a_doctor(whose)
        from google.oauth2.service_account import Credentials as OfAnAccount

        make: Any = OfAnAccount.from_service_account_info
        try:
            found = make(self._key, scopes=[SCOPE])
        except ValueError as error:
            raise self._not("account_key", "") from error
        credentials: Credentials = found.with_subject(whose) if whose else found
        return credentials

    def _of_a_doctor(self, whose: str) -> Credentials:
        from google.oauth2.credentials import Credentials as OfAPerson

        given = {name.casefold(): token for name, token in self._options.tokens.items()}
        token = given.get(whose.casefold())
        if token is None:
            raise self._not("no_token", whose)
        make: Any = OfAPerson
        made: Credentials = make(
            None,
            refresh_token=token.get_secret_value(),
            token_uri=self.token_uri,
            client_id=self._key["client_id"],
            client_secret=self._key["client_secret"],
        )
        return made

    def _renew(self, credentials: Credentials, whose: str) -> None:
        """Get a new token; what may pass is tried again. Raises NotLoggedIn."""
        last = _Refused("unreachable", "", final=False)
        for tried in range(_TRIES):
            failed = self._refresh(credentials)
            if failed is None:
                self._let_in = True
                return
            last = failed
            jitter = random.uniform(0, 2.0**tried)  # noqa: S311 - no secret
            if failed.final or not self._rest(jitter):
                break
        raise self._not(last.reason, whose, last.code)

    def _refresh(self, credentials: Credentials) -> _Refused | None:
        """Ask for a token once; return why there is none."""
        from google.auth.exceptions import GoogleAuthError, RefreshError
        from google_auth_httplib2 import Request

        from calendars.google.connection import Connection

        http = Connection(self._options.timeout)
        try:
            renew: Any = credentials.refresh
            renew(Request(http))
        except RefreshError as error:
            return self._refused(error)
        except (GoogleAuthError, HTTPException, OSError, ValueError) as error:
            return _Refused("unreachable", type(error).__name__, final=False)
        finally:
            http.close()
        return None

    def _refused(self, error: Exception) -> _Refused:
        """Return our word for a refusal; what is said besides may repeat what was sent."""
        said = error.args[1] if len(error.args) > 1 else None
        tried = bool(getattr(error, "retryable", False))  # three times, by the library itself
        if tried or not isinstance(said, dict):
            return _Refused("unreachable", "token service", final=tried)
        told = f"{said.get('error')}: {said.get('error_description')}"
        code = str(said.get("error"))
        person = self._options.mode == "oauth"
        return _Refused(_reason(told, person=person), code if code.isidentifier() else "no reason")

    def _not(self, reason: str, whose: str, code: str = "") -> NotLoggedIn:
        """Note why there is no token, so that nobody asks again in this run."""
        why = trouble(reason, self.facts._replace(code=code))
        if reason == "no_delegation" and not self._is_for_all():
            why = replace(why, everywhere=False)
        if why.everywhere or reason == "unreachable":
            whose = ""
        self._failed[whose] = why
        return NotLoggedIn(why)

    def _is_for_all(self) -> bool:
        """Whether nobody may be acted for: a single stranger to the domain stops no other doctor."""
        self._refusals += 1
        return self._refusals >= _NOBODY_LETS_US and not self._let_in


def _reason(told: str, *, person: bool) -> str:
    """Return our word for what the token endpoint said, the way it says it."""
    hit = (reason for words, reason in _SAID if any(word in told for word in words))
    found = next(hit, "login_refused")
    return "token_revoked" if person and found == "account_key" else found


class Authorised:
    """An HTTP connection of one thread that shows the token of one calendar; renews it once on 401.

    It looks like `httplib2.Http` to Google's client.
    """

    def __init__(self, account: Account, timeout: timedelta) -> None:
        from calendars.google.connection import Connection

        self._account = account
        self._http = Connection(timeout)
        self.calendar = ""
        self.shown: str | None = None  # the token that was shown last

    def request(
        self, uri: str, method: str = "GET", body: Any = None, headers: Any = None, **more: Any
    ) -> Any:
        """Make the request. Raises NotLoggedIn."""
        token = self._account.token(self.calendar)
        response, content = self._send(uri, method, body, headers, token, more)
        if response.status != 401:
            return response, content
        token = self._account.token(self.calendar, spent=token)
        return self._send(uri, method, body, headers, token, more)

    def _send(self, uri: str, method: str, body: Any, headers: Any, token: str, more: Any) -> Any:
        self.shown = token
        headers = {**(headers or {}), "authorization": f"Bearer {token}"}
        return self._http.request(uri, method, body=body, headers=headers, **more)

    def close(self) -> None:
        self._http.close()
