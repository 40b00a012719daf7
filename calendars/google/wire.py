"""Calls to Google: one client for all threads, one connection each, paced, alone or in batches.

A call ends in an `Answer`, whatever happens to it. The client library repeats by itself only what a
connection swallowed without an answer, so every write carries an id of ours, or an etag.
"""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from calendars.google.account import Account, Authorised, NotLoggedIn
from calendars.google.answers import Answer, Kind, done, no_answer, refused
from calendars.google.event import Identity
from calendars.google.multipart import Part, packed, unpacked
from calendars.google.troubles import trouble

if TYPE_CHECKING:
    from calendars.google.options import Options
    from clinicrelay import EventResult, Kit

# What a call ends in when there is no such server, or none that listens.
_NOBODY = ("ConnectionRefusedError", "ServerNotFoundError", "gaierror")

Call = Callable[[Any], Any]  # from the client's events to a request of it

_MOST_AT_ONCE = 50  # parts of a batch: more are refused by some of Google's guides and servers
_OF_THE_QUOTA = 8  # batches that a user's limit of a period allows at least, refused ones aside
TRIES = 5
AGAIN = (Kind.UNKNOWN, Kind.TOO_FAST, Kind.TOKEN)
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 64.0
_PATIENCE = timedelta(minutes=4)  # of a run with Google: the rest is for the next one


class Stopped(Exception):
    """Nothing more can be asked for this calendar in this run."""

    def __init__(self, why: EventResult) -> None:
        super().__init__(why.reason)
        self.why = why


class Wire:
    """The way to Google of one run; used by many threads, each for a calendar of its own."""

    def __init__(self, options: Options, kit: Kit, identity: Identity) -> None:
        self.options, self.kit = options, kit
        self.account = Account(options, kit.rest)
        self.identity = identity
        self._batch_uri = f"{options.base_url}/batch/calendar/v3"
        self._mine = threading.local()
        self._lock = threading.Lock()
        self._built: Any = None
        self._opened: list[Authorised] = []
        for name in ("googleapiclient", "google.auth", "google_auth_httplib2"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # they log what servers answer
        self._ends = time.monotonic() + _PATIENCE.total_seconds()

    def log_in(self) -> None:
        """Get a new token that does for all calendars. Raises Stopped."""
        try:
            self.account.log_in()
        except NotLoggedIn as error:
            raise Stopped(error.why) from None

    # --- calls ---------------------------------------------------------------------------------

    def call(self, calendar: str, call: Call) -> Answer:
        """Make one call, again after a failure that may pass. Raises Stopped."""
        for tried in range(TRIES):
            (answer,) = self.batch(calendar, [call])
            if answer.kind not in AGAIN:
                return answer
            if tried + 1 < TRIES:
                self.rest(tried, answer)
        return answer

    def batch(self, calendar: str, calls: Sequence[Call]) -> list[Answer]:
        """Make calls at once, `at_once` at most, and return an answer for each. Raises Stopped."""
        self._wait_for_leave(calendar, len(calls))
        answers = self._one(calendar, calls[0]) if len(calls) == 1 else self._many(calendar, calls)
        self._heed(calendar, answers)
        return answers

    def unreachable(self, answer: Answer) -> EventResult:
        """Return the trouble that Google does not answer: everywhere, where nobody is there at all."""
        why = trouble("unreachable", self.account.facts._replace(code=answer.reason))
        return replace(why, everywhere=answer.reason in _NOBODY)

    def rest(self, tried: int, failed: Answer) -> None:
        """Wait before the next try: longer each time, never in step with others. Raises Stopped."""
        longest = min(_FIRST_WAIT * 2**tried, _LONGEST_WAIT)
        asked = failed.after.total_seconds() if failed.after else 0.0
        jitter = random.uniform(0, longest)  # noqa: S311 - no secret
        if failed.kind is Kind.TOO_FAST:
            self._sleep(max(asked, jitter), self._quota)
        else:
            self._sleep(max(asked, jitter), self.unreachable(failed))

    def _one(self, calendar: str, call: Call) -> list[Answer]:
        heard: list[Answer] = []
        request, http = self._request(calendar, call), self._http(calendar)
        self._guarded(lambda: heard.append(done(request.execute(http=http))), heard.append)
        return heard

    def _request(self, calendar: str, call: Call) -> Any:
        request = call(self.events)
        if self.per_doctor:
            separator = "&" if "?" in request.uri else "?"
            request.uri += f"{separator}quotaUser={self._user(calendar)}"
        return request

    def _guarded(self, run: Callable[[], None], hear: Callable[[Answer], None]) -> None:
        """Run a call; what goes wrong with it as a whole is heard as an answer. Raises Stopped."""
        from http.client import HTTPException

        import httplib2
        from googleapiclient.errors import Error, HttpError

        try:
            run()
        except NotLoggedIn as error:
            raise Stopped(error.why) from None
        except HttpError as error:
            hear(_refused(error))
        except (httplib2.HttpLib2Error, HTTPException, OSError, Error, ValueError) as error:
            self._forget()
            hear(no_answer(error))

    def _many(self, calendar: str, calls: Sequence[Call]) -> list[Answer]:
        requests = [self._request(calendar, call) for call in calls]
        whole: list[Answer] = []
        parts: dict[int, Part] = {}
        self._guarded(lambda: parts.update(self._answered(calendar, requests)), whole.append)
        missing = whole[0] if whole else Answer(Kind.UNKNOWN, reason="no answer in the batch")
        return [_of(parts[n]) if n in parts else missing for n in range(len(calls))]

    def _answered(self, calendar: str, requests: Sequence[Any]) -> dict[int, Part]:
        from googleapiclient.errors import HttpError

        headers, body = packed(requests)
        response, content = self._http(calendar).request(
            self._batch_uri, "POST", body=body, headers=headers
        )
        if response.status >= 300:
            raise HttpError(response, content)
        return unpacked(response.get("content-type", ""), content)

    @property
    def at_once(self) -> int:
        """How many calls a batch may hold: of a small quota one batch must not be all."""
        return max(1, min(_MOST_AT_ONCE, self.options.quota.per_user.count // _OF_THE_QUOTA))

    # --- pace ----------------------------------------------------------------------------------

    def _wait_for_leave(self, calendar: str, calls: int) -> None:
        wait = self.kit.pace.take(f"user/{self._user(calendar)}", calls)
        if wait == timedelta.max:
            raise Stopped(self._quota)
        if wait or not self.kit.rest(0):
            self._sleep(wait.total_seconds(), self._quota)

    @property
    def _quota(self) -> EventResult:
        return trouble("quota", self.account.facts)

    def _heed(self, calendar: str, answers: Sequence[Answer]) -> None:
        if any(answer.kind is Kind.TOKEN for answer in answers):
            self._renew_token(calendar)
        refused = [answer for answer in answers if answer.kind is Kind.TOO_FAST]
        if refused:
            waits = [answer.after for answer in refused if answer.after]
            self.kit.pace.refused(f"user/{self._user(calendar)}", max(waits, default=None))

    def _renew_token(self, calendar: str) -> None:
        """Get another token: the one of the batch ended before some of its parts were looked at."""
        try:
            self.account.token(calendar, spent=self._http(calendar).shown)
        except NotLoggedIn as error:
            raise Stopped(error.why) from None

    def _sleep(self, seconds: float, why: EventResult) -> None:
        """Wait, unless that would take longer than this run has patience. Raises Stopped."""
        if time.monotonic() + seconds > self._ends:
            raise Stopped(why)
        if not self.kit.rest(seconds):
            raise Stopped(trouble("run_ended", self.account.facts))

    @property
    def per_doctor(self) -> bool:
        """Whether Google counts each doctor's requests apart."""
        by = self.options.quota.by or ("account" if self.options.mode == "shared" else "doctor")
        return by == "doctor"

    def _user(self, calendar: str) -> str:
        return self.identity.user(calendar if self.per_doctor else "")

    # --- connections ---------------------------------------------------------------------------

    @property
    def events(self) -> Any:
        """The client's events; making them costs a hundred times what a request on them does."""
        with self._lock:
            if self._built is None:
                self._built = _client(self.options.base_url).events()
            return self._built

    def _http(self, calendar: str) -> Authorised:
        found: Authorised | None = getattr(self._mine, "http", None)
        if found is None:
            found = self._mine.http = Authorised(self.account, self.options.timeout)
            with self._lock:
                self._opened.append(found)
        found.calendar = calendar
        return found

    def _forget(self) -> None:
        """Let go of a connection on which something went wrong."""
        found: Authorised | None = getattr(self._mine, "http", None)
        if found is not None:
            found.close()

    def close(self) -> None:
        for http in self._opened:
            with suppress(OSError):
                http.close()


def _client(base_url: str) -> Any:
    import httplib2
    from googleapiclient.discovery import build

    return build(
        "calendar",
        "v3",
        http=httplib2.Http(),  # never used: every call brings its own
        static_discovery=True,
        client_options={"api_endpoint": f"{base_url}/calendar/v3/"},
    )


def _of(part: Part) -> Answer:
    if part.status >= 300:
        return refused(part.status, part.content, part.headers.get("retry-after"))
    try:
        return done(json.loads(part.content) if part.content.strip() else None)
    except ValueError as error:  # a page of something between us
        return no_answer(error)


def _refused(error: Any) -> Answer:
    return refused(int(error.resp.status), error.content, error.resp.get("retry-after"))
