"""Asks one JSON interface: its session, its limits, and what its answers really mean."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from clinicrelay.contracts import Kit
from clinicrelay.http import Answer, Client, NotAnswered, NoToken, Spent, Unwelcome, sentences
from clinicrelay.http.reading import is_utf8
from clinicrelay.http.waits import WORTH_ANOTHER_TRY, told
from clinicrelay.paths import compile_path
from connectors.rest.bodies import NO_JSON, decoded, found_at
from connectors.rest.options import RestOptions
from connectors.rest.terms import Login, Rule

_PATIENCE = timedelta(minutes=1)
_TRIES = 3  # more of one request that settings call a reason to wait
_PRINTABLE = re.compile(r"[\x20-\x7e]{1,65536}")  # what a header can hold
_FOR_PEOPLE = "check base_url and path: this may be a page for people"
_NO_UTF8 = "ask its administrators: JSON is UTF-8, or says in charset what else it is"
_DAMAGED = "ask its administrators: it is empty, cut off, or nested too deep"
# What a rule that only looks at bodies has to see as well.
_WITH_BODIES = (400, 403, 404, 409, 410, 422)


class Incomplete(Exception):
    """The settings say that such an answer leaves this part out; str() says which, without data."""


@dataclass(frozen=True, slots=True)
class Asking:
    """One request, all its values in place."""

    method: str
    url: str
    params: Sequence[tuple[str, str]] = ()
    json: Any = None
    form: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    place: str | None = None  # its path as settings have it, for sentences


@dataclass(frozen=True, slots=True)
class Said:
    """An answer and its JSON; `nothing` where the settings or a 204 say that there is none."""

    answer: Answer
    body: Any = None
    nothing: bool = False


class Door:
    """Everything that is asked of the interface passes here."""

    def __init__(
        self,
        options: RestOptions,
        kit: Kit,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client = Client(options, kit, sleep=sleep, clock=clock)
        self._rules = [(rule, compile_path(rule.body or "@")) for rule in options.errors]
        self._login, self._limits = options.login, options.limits
        self._sleep, self._clock = sleep, clock
        self._session: dict[str, str] = {}
        self._not_before = 0.0  # on our clock
        self._spent: timedelta | None = None

    @property
    def host(self) -> str:
        return self.client.host

    def ask(self, asking: Asking, passing: Sequence[int] = ()) -> Said:
        """Return what is said; statuses in `passing` come back as they are, unless a rule fits.

        Raises Incomplete, and what the client raises.
        """
        tries = renewals = 0
        while True:
            said, means = self._once(asking, passing)
            if means == "reauth" and self._login and not renewals:
                self._session, renewals = {}, 1
            elif means == "retry" and tries < _TRIES:
                self._sleep(2.0**tries)
                tries += 1
            else:
                return self._settled(said, means)

    def _settled(self, said: Said, means: str | None) -> Said:
        """Return an answer that no other try would better, or raise what it means."""
        if means is None or means == "skip":
            return replace(said, nothing=said.nothing or means == "skip")
        if means == "incomplete":
            raise Incomplete(f"{said.answer.where} answered what settings call incomplete")
        if means == "reauth":
            raise NoToken(
                f"{self.host} still wants us to log in ({self._told(said)})",
                fix="check auth or login: its credentials are not accepted",
                answer=said.answer,
            )
        if means == "retry":
            raise NotAnswered(
                f"{self.host} answers again and again what settings call a reason to wait"
            )
        raise self._failed(said)

    def close(self) -> None:
        """Let go of the connection, and of the session with it."""
        self._session = {}
        self.client.close()

    # --- one request -----------------------------------------------------------------------------

    def _once(self, asking: Asking, passing: Sequence[int]) -> tuple[Said, str | None]:
        if self._login and not self._session:
            self._session = self._begin(self._login)
        answer = self._send(asking, [*passing, *self._seen_by_rules()])
        said = Said(answer, decoded(answer))
        for rule, fits in self._rules:
            if _fits(rule, fits, said):
                return said, rule.means
        if answer.status == 401 and self._login and 401 not in passing:
            return said, "reauth"
        if answer.status not in passing and not 200 <= answer.status < 300:
            raise sentences.unwelcome(answer, self.host, self.client.options)
        if said.body is NO_JSON and answer.status not in passing:
            return self._bodiless(said), None
        return said, None

    def _seen_by_rules(self) -> set[int]:
        statuses = {s for rule, _ in self._rules for s in rule.statuses if _is_ours(rule, s)}
        if any(rule.status is None for rule, _ in self._rules):
            statuses.update(_WITH_BODIES)
        return statuses | ({401} if self._login else set())

    def _send(self, asking: Asking, passing: Sequence[int]) -> Answer:
        self._wait()
        answer = self.client.ask(
            asking.method,
            asking.url,
            params=list(asking.params) or None,
            json=asking.json,
            form=asking.form or None,
            headers={**asking.headers, **self._session} or None,
            passing=passing,
            place=asking.place,
        )
        self._note_limits(answer)
        return answer

    def _bodiless(self, said: Said) -> Said:
        if said.answer.status == 204:
            return replace(said, nothing=True)
        kind = said.answer.media_type
        what, fix = f"something that is not JSON ({sentences.kind(kind)})", _FOR_PEOPLE
        if not is_utf8(said.answer.content):
            what, fix = f"text that is no UTF-8 ({sentences.kind(kind)})", _NO_UTF8
        elif kind.endswith("json"):
            what, fix = "JSON that nobody can read", _DAMAGED
        raise Unwelcome(
            f"{self.host} answers {said.answer.where} with {what}", fix=fix, answer=said.answer
        )

    def _failed(self, said: Said) -> Unwelcome:
        return Unwelcome(
            f"{self.host} answered an error ({self._told(said)})",
            fix="the rules under errors call this answer one that somebody has to mend",
            answer=said.answer,
        )

    @staticmethod
    def _told(said: Said) -> str:
        return f"{said.answer.status} to {said.answer.where}"

    # --- the session -----------------------------------------------------------------------------

    def _begin(self, login: Login) -> dict[str, str]:
        """Post the credentials; return the header that says who we are from now on."""
        words = {name: value.get_secret_value() for name, value in login.json_.items()}
        form = {name: value.get_secret_value() for name, value in login.form.items()}
        asking = Asking("POST", login.path, json=words or None, form=form or None, place=login.path)
        answer = self._send(asking, (400, 401, 403, 422))
        if answer.status >= 400:
            raise NoToken(
                f"{self.host} does not accept our login ({answer.status} to {answer.where})",
                fix="check the user and password under login",
                answer=answer,
            )
        body = decoded(answer)
        token = found_at(login.token)(body)
        if isinstance(token, bool) or not _PRINTABLE.fullmatch(str(token or "")):
            token = None
        if not isinstance(token, str | int):
            raise NoToken(
                f"{self.host} let us in and gave no token at {login.token}",
                fix="check login.token against its manual",
                answer=answer,
            )
        return {login.header: f"{login.prefix}{token}"}

    # --- limits ----------------------------------------------------------------------------------

    def _wait(self) -> None:
        if self._spent is not None:
            raise Spent(
                f"{self.host} says that our requests are used up for the next {told(self._spent)}: "
                "the next run goes on",
                after=self._spent,
            )
        wait = self._not_before - self._clock()
        if wait > 0:
            self._sleep(wait)

    def _note_limits(self, answer: Answer) -> None:
        limits = self._limits
        if limits.every:
            self._not_before = self._clock() + limits.every.total_seconds()
        left = answer.headers.get(limits.remaining or "", "") if limits.remaining else ""
        if left.strip() != "0":
            return
        wait = _until(answer.headers.get(limits.reset, ""), answer.date or datetime.now(UTC))
        if wait is None or wait > _PATIENCE:
            self._spent = wait or timedelta(hours=1)
        else:
            self._not_before = max(self._not_before, self._clock() + wait.total_seconds())


def _is_ours(rule: Rule, status: int) -> bool:
    """Whether we see a status; those worth another try are left to the client's own patience."""
    return not (rule.means == "retry" and rule.body is None and status in WORTH_ANOTHER_TRY)


def _fits(rule: Rule, fits: Callable[[Any], Any], said: Said) -> bool:
    if rule.statuses and said.answer.status not in rule.statuses:
        return False
    if rule.body is None:
        return True
    try:
        return said.body is not NO_JSON and bool(fits(said.body))
    except ValueError:
        return False


def _until(text: str, now: datetime) -> timedelta | None:
    """Return how long it takes until there are new requests, None where nothing readable says it."""
    from connectors.rest.placeholders import moment_of

    text = text.strip()
    if text.isdecimal() and len(text) < 9:
        return timedelta(seconds=int(text))
    moment = moment_of(text, "UTC")
    return max(timedelta(0), moment - now) if moment else None
