"""One system's door: every request of a source passes here, and no other host is ever asked.

It waits as the server and the settings wish, tries again what may be tried again, and says in one
sentence what is wrong otherwise. Nothing it says holds a query, a body or a secret.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from clinicrelay.contracts import Kit
from clinicrelay.errors import SettingsError, TryLater
from clinicrelay.http import sentences, waits
from clinicrelay.http.addresses import origin, under, with_query
from clinicrelay.http.errors import Foreign, NotAnswered, NoToken, Spent, Unwelcome
from clinicrelay.http.options import HttpOptions

if TYPE_CHECKING:
    import httpx
    from tenacity import RetryCallState

    from clinicrelay.auth.flows import Credentials

TRIES = 5  # more of one request, after the first
TRIES_OF_A_RUN = 40
LONGEST_WAIT = timedelta(minutes=5)  # a server that asks for more gets its peace till the next run
_PATIENCE = timedelta(minutes=1)  # with our own rate; a longer wait is left to the next run
_REDIRECTS = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said. `url` is whole and not for people; `where` (GET /r4/Slot) is."""

    status: int
    headers: httpx.Headers
    content: bytes
    url: str
    where: str

    @property
    def date(self) -> datetime | None:
        """When it was, by the server's own clock."""
        try:
            return parsedate_to_datetime(self.headers["date"]).astimezone(UTC)
        except (KeyError, ValueError, TypeError):
            return None

    @property
    def media_type(self) -> str:
        """Such as application/json, without parameters."""
        return str(self.headers.get("content-type", "")).partition(";")[0].strip().lower()


class _Again(Exception):
    """This try failed in a way that the next may not."""

    def __init__(self, sentence: str, after: timedelta | None = None) -> None:
        super().__init__(sentence)
        self.after = after


class Client:
    """Asks one system. Made by a connector for one run, closed at its end; opens nothing until asked.

    `scope` is what the connector needs to read, for those kinds of auth that have to say so.
    """

    def __init__(
        self,
        options: HttpOptions,
        kit: Kit,
        *,
        headers: Mapping[str, str] | None = None,
        scope: Sequence[str] = (),
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.options = options
        self.asked = 0  # requests made, for the report
        self._kit = kit
        self._headers = {**(headers or {}), **options.headers}
        self._scope = scope
        self._sleep, self._clock = sleep, clock
        self._tries_left = TRIES_OF_A_RUN
        self._opened: httpx.Client | None = None
        self._credentials: Credentials | None = None
        self._opening = threading.Lock()

    @property
    def host(self) -> str:
        """Who is asked, as sentences name it."""
        return sentences.host_of(self.options.base_url)

    def get(
        self,
        url: str,
        params: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        passing: Sequence[int] = (),
    ) -> Answer:
        """Get a path under the base address, or a whole address there. See `ask`."""
        return self.ask("GET", url, params=params, headers=headers, passing=passing)

    def ask(
        self,
        method: str,
        url: str,
        *,
        params: Any = None,
        json: Any = None,
        form: Any = None,
        headers: Mapping[str, str] | None = None,
        passing: Sequence[int] = (),
    ) -> Answer:
        """Return the answer: any 2xx, 304, or a status in `passing`.

        `params` are a mapping (a list as a value repeats the name) or pairs; they go beside what the
        address has. Raises Foreign, Unwelcome, NotAnswered and Spent.
        """
        more = {"json": json, "data": form, "headers": headers}
        target = with_query(self.resolve(url), params)
        try:
            answer = self._once(method, target, more, passing)
        except _Again as first:
            answer = self._again(first, method, target, more, passing)
        if answer.status in passing or 200 <= answer.status < 300 or answer.status == 304:
            return answer
        raise sentences.unwelcome(answer, self.host, self.options)

    def resolve(self, url: str) -> str:
        """Return a path or link as a whole address; raises Foreign for one on another host."""
        import httpx

        try:
            target = under(self.options.base_url, url)
        except (httpx.InvalidURL, ValueError):
            raise Unwelcome(f"{self.host} gives a link that is no address") from None
        if origin(target) != origin(httpx.URL(self.options.base_url)):
            raise Foreign(
                f"{self.host} leads to another host, {sentences.host_of(str(target))}: "
                "nothing was sent there"
            )
        # Credentials in a link would go before our own.
        return str(target.copy_with(userinfo=b""))

    def close(self) -> None:
        """Close connections."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    # --- one request -----------------------------------------------------------------------------

    def _again(
        self, first: _Again, method: str, url: str, more: dict[str, Any], passing: Sequence[int]
    ) -> Answer:
        """Try again, later and later, as often as makes sense."""
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt
        from tenacity.wait import wait_exponential, wait_random

        # Jitter, so that all clinics of a server that was down do not come back in one breath.
        usual = wait_exponential(multiplier=1, max=30) + wait_random(0, 1)

        def wait(state: RetryCallState) -> float:
            failed = state.outcome.exception() if state.outcome else None
            return self._pause(failed if isinstance(failed, _Again) else first, usual(state))

        self._sleep(self._pause(first, random.uniform(0.2, 0.8)))  # noqa: S311 - no secret
        retrying = Retrying(
            stop=stop_after_attempt(TRIES),
            wait=wait,
            retry=retry_if_exception_type(_Again),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(self._once, method, url, more, passing)
        except _Again as last:
            raise NotAnswered(str(last), after=last.after) from None

    def _pause(self, failed: _Again, usual: float) -> float:
        """Return how long to wait before the next try. Raises NotAnswered when it is not worth it."""
        self._tries_left -= 1
        if failed.after is not None and failed.after > LONGEST_WAIT:
            raise NotAnswered(
                f"{failed}, and asks for {waits.told(failed.after)} of peace", after=failed.after
            ) from None
        if self._tries_left < 0:
            raise NotAnswered(f"{failed}, again and again in this run") from None
        return max(usual, failed.after.total_seconds() if failed.after else 0.0)

    def _once(self, method: str, url: str, more: dict[str, Any], passing: Sequence[int]) -> Answer:
        answer = self._believed(method, url, more, passing)
        hops = 0
        while answer.status in (301, 302, 303, 307, 308) and answer.status not in passing:
            hops += 1
            if hops > _REDIRECTS:
                raise Unwelcome(f"{self.host} sends us round in circles", answer=answer)
            answer = self._believed("GET", self._onward(method, answer), more, passing)
        if answer.status in waits.WORTH_ANOTHER_TRY and answer.status not in passing:
            now = answer.date or datetime.now(UTC)
            after = waits.asked_for(answer.headers, now, status=answer.status)
            raise _Again(sentences.in_trouble(answer, self.host), after)
        return answer

    def _onward(self, method: str, answer: Answer) -> str:
        """Return where a redirect leads, if that is on the same host."""
        import httpx

        location = answer.headers.get("location", "")
        if method != "GET" or not location:
            raise sentences.unwelcome(answer, self.host, self.options)
        try:
            there = httpx.URL(answer.url).join(location)
        except (httpx.InvalidURL, ValueError):
            raise Unwelcome(f"{self.host} sends us to what is no address", answer=answer) from None
        if origin(there) != origin(httpx.URL(self.options.base_url)):
            raise Foreign(
                f"{self.host} sends us to another host, {sentences.host_of(str(there))}: "
                "nothing was sent there",
                fix="write the address that it names as base_url, if that is the right one",
                answer=answer,
            )
        return str(there.copy_with(userinfo=b""))

    def _believed(
        self, method: str, url: str, more: dict[str, Any], passing: Sequence[int]
    ) -> Answer:
        """Ask; where our credentials are refused, once more with those the settings hold by now."""
        try:
            answer = self._asked(method, url, more)
        except NoToken:
            if not self._renewed():
                raise
            return self._asked(method, url, more)
        if answer.status == 401 and 401 not in passing and self._renewed():
            return self._asked(method, url, more)
        return answer

    def _renewed(self) -> bool:
        """Read the settings again: a secret in a file may have been changed since (A-07)."""
        try:
            fresh = self._kit.fresh_options() if self._kit.fresh_options else None
        except SettingsError:
            return False  # somebody is editing them; what we hold has to do
        if fresh is None or (fresh.auth == self.options.auth and fresh.tls == self.options.tls):
            return False
        self.close()
        # Only how we say who we are: what is read, and where, stays as the run began.
        self.options = self.options.model_copy(update={"auth": fresh.auth, "tls": fresh.tls})
        return True

    def _asked(self, method: str, url: str, more: dict[str, Any]) -> Answer:
        answer, worth_another = self._send(method, url, more)
        if worth_another:  # a token had run out, and there is a new one
            answer, _ = self._send(method, url, more)
        return answer

    def _send(self, method: str, url: str, more: dict[str, Any]) -> tuple[Answer, bool]:
        """Return the answer, and whether another try may have a token that is accepted."""
        import httpx

        from clinicrelay.http.reading import read

        self._wait_our_turn()
        where = f"{method} {httpx.URL(url).path}"
        given = {name: value for name, value in more.items() if value is not None}
        try:
            opened, credentials = self._open()
            until = self._clock() + max(60.0, 4 * self.options.timeout.total_seconds())
            with opened.stream(method, url, **given) as response:
                content = read(response, self.host, clock=self._clock, until=until)
                again = credentials.answered(response.request, response.status_code)
                answer = Answer(response.status_code, response.headers, content, url, where)
                return answer, again
        except NotAnswered as error:
            raise _Again(str(error), error.after) from error
        except httpx.HTTPError as error:
            found = sentences.no_answer(error, self.host, self.options)
            if isinstance(found, TryLater):
                raise _Again(str(found)) from error
            raise found from error

    def _wait_our_turn(self) -> None:
        wait = self._kit.pace.take("requests")
        if wait > _PATIENCE:
            raise Spent(
                f"the requests allowed to {self.host} are used up "
                f"({self.options.budget or self.options.rate}): the next run goes on",
                after=None if wait == timedelta.max else wait,
            )
        if wait:
            self._sleep(wait.total_seconds())
        self.asked += 1

    def _open(self) -> tuple[httpx.Client, Credentials]:
        with self._opening:
            if self._opened is None or self._credentials is None:
                from clinicrelay.auth.flows import credentials_of
                from clinicrelay.http.opening import open_client

                self._credentials = credentials_of(
                    self.options, self._scope, sleep=self._sleep, clock=self._clock
                )
                self._opened = open_client(self.options, self._headers, self._credentials)
            return self._opened, self._credentials
