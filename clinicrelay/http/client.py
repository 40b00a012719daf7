"""One system's door: every request of a source passes here, and no other host is ever asked.

It waits as the server and the settings wish, tries again what may be tried again, and says in one
sentence what is wrong otherwise. Nothing it says holds a query, a body or a secret.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from clinicrelay.contracts import Kit
from clinicrelay.errors import SettingsError, TryLater
from clinicrelay.http import bounds, sentences, waits
from clinicrelay.http.addresses import shown, with_query
from clinicrelay.http.errors import NotAnswered, NoToken, Spent, TooSlow, Unwelcome
from clinicrelay.http.options import HttpOptions
from clinicrelay.http.patience import Again, Patience

if TYPE_CHECKING:
    import httpx

    from clinicrelay.auth.flows import Credentials
    from clinicrelay.http.opening import Line

_PATIENCE = timedelta(minutes=1)  # with our own rate; a longer wait is left to the next run
_REDIRECTS = 3
_WHOLE = 60.0  # seconds for an answer from its first byte to its last, or four times the timeout
_LONGEST_ADDRESS = 65_000  # signs; httpx takes 65,536, and most servers far less
_READING = ("GET", "POST")  # POST for searches; a source is never written to


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said. `url` is whole and not for people; `where` (GET /r4/Slot) is.

    It names what we asked for, without ids; where a link or redirect led says nothing to people.
    """

    status: int
    headers: httpx.Headers = field(repr=False)
    content: bytes = field(repr=False)
    url: str = field(repr=False)
    where: str

    @property
    def date(self) -> datetime | None:
        """When it was, by the server's own clock."""
        return waits.moment_in(self.headers.get("date"))

    @property
    def media_type(self) -> str:
        """Such as application/json, without parameters."""
        return str(self.headers.get("content-type", "")).partition(";")[0].strip().lower()


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
        self._patience = Patience(sleep)
        self._opened: Line | None = None
        self._old: list[Line] = []
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
        place: str | None = None,
    ) -> Answer:
        """Get a path under the base address, or a whole address there. See `ask`."""
        return self.ask("GET", url, params=params, headers=headers, passing=passing, place=place)

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
        place: str | None = None,
    ) -> Answer:
        """Return the answer: any 2xx, 304, or a status in `passing`.

        `params` are a mapping (a list as a value repeats the name) or pairs; they go beside what the
        address has. `place` is the path as sentences say it, such as /bookings/{id}; absent, what
        `shown` leaves of the address. Raises Foreign, Unwelcome, NotAnswered and Spent.
        """
        if method not in _READING:
            raise ValueError(f"a source is only read, and {method} is for writing")
        named = shown(self.options.base_url, url, place)
        more = {"json": json, "data": form, "headers": headers, "where": f"{method} {named}"}
        target = with_query(self.resolve(url), params)
        if len(target) > _LONGEST_ADDRESS:
            raise Unwelcome(
                f"a question to {self.host} is too long for an address",
                fix="ask for fewer at once: smaller partitions, or fewer ids in a request",
            )
        answer = self._patience.with_tries(lambda: self._once(method, target, more, passing))
        if answer.status in passing or 200 <= answer.status < 300 or answer.status == 304:
            return answer
        raise sentences.unwelcome(answer, self.host, self.options)

    def resolve(self, url: str) -> str:
        """Return a path or link as a whole address; raises Foreign for one on another host."""
        return bounds.resolved(self.options.base_url, url)

    def follow(self, link: str) -> str:
        """Return a link that the server gave as a whole address; raises Foreign where it leads out."""
        return bounds.followed(self.options.base_url, link)

    def close(self) -> None:
        """Close connections."""
        for line in (*self._old, self._opened):
            if line is not None:
                line.close()
        self._old, self._opened = [], None

    # --- one request -----------------------------------------------------------------------------

    def _once(self, method: str, url: str, more: dict[str, Any], passing: Sequence[int]) -> Answer:
        answer = self._believed(method, url, more, passing)
        hops = 0
        while answer.status in (301, 302, 303, 307, 308) and answer.status not in passing:
            hops += 1
            if hops > _REDIRECTS:
                raise Unwelcome(
                    f"{self.host} sends us round in circles", fix=bounds.ITS_LINKS, answer=answer
                )
            answer = self._believed(
                "GET", bounds.onward(method, answer, self.options), more, passing
            )
        if answer.status in waits.WORTH_ANOTHER_TRY and answer.status not in passing:
            now = answer.date or datetime.now(UTC)
            after = waits.asked_for(answer.headers, now, status=answer.status)
            raise Again(sentences.in_trouble(answer, self.host), after)
        return answer

    def _believed(
        self, method: str, url: str, more: dict[str, Any], passing: Sequence[int]
    ) -> Answer:
        """Ask; where our credentials are refused, once more with those the settings hold by now."""
        shown = self.options
        try:
            answer = self._asked(method, url, more)
        except NoToken:
            if not self._renewed(shown):
                raise
            return self._asked(method, url, more)
        if answer.status == 401 and 401 not in passing and self._renewed(shown):
            return self._asked(method, url, more)
        return answer

    def _renewed(self, shown: HttpOptions) -> bool:
        """Read the settings again: a secret in a file may have been changed since.

        `shown` is what was refused; another thread may have found the new secret meanwhile.
        """
        with self._opening:
            if self.options is not shown:
                return True
            try:
                fresh = self._kit.fresh_options() if self._kit.fresh_options else None
            except SettingsError:
                return False  # somebody is editing them; what we hold has to do
            if fresh is None or (fresh.auth == shown.auth and fresh.tls == shown.tls):
                return False
            # Only how we say who we are: what is read, and where, stays as the run began.
            self.options = shown.model_copy(update={"auth": fresh.auth, "tls": fresh.tls})
            # Others may be in the middle of an answer on this line.
            self._old += [self._opened] if self._opened else []
            self._opened = None
            return True

    def _asked(self, method: str, url: str, more: dict[str, Any]) -> Answer:
        answer, worth_another = self._send(method, url, more)
        if worth_another:  # a token had run out, and there is a new one
            answer, _ = self._send(method, url, more)
        return answer

    def _send(self, method: str, url: str, more: dict[str, Any]) -> tuple[Answer, bool]:
        """Return the answer, and whether another try may have a token that is accepted."""
        import httpx

        from clinicrelay.http.reading import exchange

        self._wait_our_turn()
        where = str(more["where"])
        given = {n: value for n, value in more.items() if value is not None and n != "where"}
        seconds = max(_WHOLE, 4 * self.options.timeout.total_seconds())
        try:
            line, credentials = self._open()
            response, content = exchange(
                line, method, url, given, host=self.host, clock=self._clock, seconds=seconds
            )
            again = credentials.answered(response.request, response.status_code)
            return Answer(response.status_code, response.headers, content, url, where), again
        except TooSlow:
            raise
        except NotAnswered as error:
            raise Again(str(error), error.after) from error
        except httpx.HTTPError as error:
            found = sentences.no_answer(error, self.host, self.options)
            if isinstance(found, TryLater):
                raise Again(str(found)) from error
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

    def _open(self) -> tuple[Line, Credentials]:
        with self._opening:
            if self._opened is None or self._credentials is None:
                from clinicrelay.auth.flows import credentials_of
                from clinicrelay.http.opening import open_line

                self._credentials = credentials_of(
                    self.options, self._scope, sleep=self._sleep, clock=self._clock
                )
                self._opened = open_line(self.options, self._headers, self._credentials)
            return self._opened, self._credentials
