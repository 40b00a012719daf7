"""One request to a provider, once: whether it was written, and what was answered.

The providers' own libraries build and read the requests; what they have for a wire either waits for
ever or cannot say how far a request came. This one waits so long and no longer, tries nothing again,
follows nothing, and keeps one connection for many messages.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from pydantic import Field

from clinicrelay import Finding, Outcome, SendResult, loopback
from clinicrelay.http.options import HttpOptions, Proxy, Tls
from clinicrelay.settings.values import Section, SomeTime

if TYPE_CHECKING:
    from clinicrelay.http.opening import Line

CONNECT = timedelta(seconds=5)
SOON = timedelta(minutes=1)
BY_HAND = timedelta(minutes=15)
_LARGEST = 4 << 20  # bytes of an answer; a page of a thousand messages has one or two


class Options(Section):
    """What every provider that is reached by HTTP has."""

    timeout: SomeTime = Field(
        default=timedelta(seconds=30),
        description="Longest wait for one answer, the whole of it.",
        examples=["30s"],
    )
    tls: Tls = Field(default=Tls(), description="Certificates, where the usual ones do not do.")
    proxy: Proxy | None = Field(
        default=None,
        repr=False,  # may hold a password
        description="Way out. Absent: HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the environment.",
        examples=["http://proxy.riverside.example:3128"],
    )


class Answer(NamedTuple):
    """What a provider said; the names of `headers` are in small letters."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def retry_after(self) -> timedelta | None:
        """How long it asks to be left alone, where it says so in seconds."""
        return asked_for(self.headers)


def asked_for(headers: Mapping[str, str]) -> timedelta | None:
    """Return how long a provider asks to be left alone; names are in small letters."""
    said = headers.get("retry-after", "")
    known = said.isascii() and said.isdigit() and len(said) < 12
    return timedelta(seconds=min(int(said), 86_400)) if known else None


class NotReached(Exception):
    """Nothing of the request was written: the provider cannot have accepted anything."""


class Lost(Exception):
    """The request was written and no whole answer came: nobody knows what became of it."""


class Door:
    """The way to one provider. Opens nothing until it is asked to."""

    def __init__(self, base_url: str, options: Options) -> None:
        self._url = base_url
        self._options = options
        self._line: Line | None = None

    @property
    def outside(self) -> bool:
        """Whether what is sent leaves this machine, be it on the way through a proxy."""
        there = [self._url, *filter(None, [self._options.proxy])]
        return not all(loopback.url_stays_here(url) for url in there)

    @property
    def patience(self) -> timedelta:
        """How long one request may take at most."""
        return CONNECT + self._options.timeout

    def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Any = None,
        content: bytes | None = None,
        form: Any = None,
        auth: tuple[str, str] | None = None,
    ) -> Answer:
        """Make one request, redirects not followed. Raises NotReached or Lost."""
        import httpx

        from clinicrelay.errors import ClinicrelayError
        from clinicrelay.http.errors import Unwelcome
        from clinicrelay.http.reading import exchange

        given: dict[str, Any] = {"headers": dict(headers or {}), "params": params or None}
        given |= {"content": content, "data": form, "auth": auth}
        seconds = self._options.timeout.total_seconds()
        try:
            line = self._opened()
        except Unwelcome as error:
            raise NotReached(str(error)) from None
        try:
            response, body = exchange(
                line,
                method,
                url,
                given,
                host=httpx.URL(url).host,
                clock=time.monotonic,
                seconds=seconds,
                largest=_LARGEST,
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            raise NotReached(_why(error)) from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise NotReached("the address is none that can be called") from error
        except (httpx.HTTPError, ClinicrelayError) as error:
            self.close()
            raise Lost(_lost(error)) from None
        return Answer(response.status_code, response.headers, body)

    def close(self) -> None:
        """Let go of the connection."""
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _opened(self) -> Line:
        if self._line is None:
            from clinicrelay.http.opening import open_line

            own = self._options
            options = HttpOptions.model_construct(
                base_url=self._url, tls=own.tls, proxy=own.proxy, timeout=own.timeout
            )
            self._line = open_line(options, {})
            self._line.timeout = _limits(own.timeout)
        return self._line


def _limits(timeout: timedelta) -> Any:
    import httpx

    seconds = timeout.total_seconds()
    return httpx.Timeout(seconds, connect=min(CONNECT.total_seconds(), seconds))


def _why(error: Exception) -> str:
    import httpx

    if isinstance(error, httpx.ConnectTimeout):
        return "no connection came about in time"
    if isinstance(error, httpx.ProxyError):
        return "the proxy did not let the request out"
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "its certificate cannot be trusted"
    return "no connection could be made"


def _lost(error: Exception) -> str:
    import httpx

    from clinicrelay.http.errors import TooSlow

    if isinstance(error, (httpx.TimeoutException, TooSlow)):
        return "no answer came in time"
    return "the connection ended before a whole answer came"


def not_reached(who: str, why: NotReached) -> SendResult:
    """Return what a message is that could not leave, as none can for now."""
    about_tls = "certificate" in str(why) or str(why).startswith("tls.")
    reason = "certificate_refused" if about_tls else "unreachable"
    pause = BY_HAND if reason == "certificate_refused" else SOON
    detail = f"{who}: {why}."
    return SendResult(Outcome.NOT_SENT, reason, detail=detail, retry_after=pause, pause=pause)


def lost(who: str, why: str) -> SendResult:
    """Return what a message is whose answer was lost; the others wait for a provider that answers."""
    detail = f"{who}: {why}, so nobody knows yet whether it was accepted."
    return SendResult(Outcome.UNKNOWN, "answer_lost", detail=detail, retry_after=SOON, pause=SOON)


def standstill(reason: str, detail: str, pause: timedelta, code: str = "") -> SendResult:
    """Return what a message is that could not leave, as none can for now, and why."""
    return SendResult(
        Outcome.NOT_SENT, reason, detail=detail, retry_after=pause, pause=pause, code=code
    )


class Meaning(NamedTuple):
    """A stable reason, a sentence for staff, and how long all messages wait (None: only this one)."""

    reason: str
    says: str
    pause: timedelta | None = None


def refused(who: str, meaning: Meaning, code: str, wait: timedelta | None = None) -> SendResult:
    """Return what a message is that a provider refused; `wait` is what it asked for, if it did."""
    detail = f"{who}: {meaning.says} ({code})."
    if meaning.pause is None:
        return SendResult(Outcome.REJECTED, meaning.reason, detail=detail, code=code)
    return standstill(meaning.reason, detail, meaning.pause if wait is None else wait, code)


def unencrypted(url: str, what: str) -> Iterator[Finding]:
    """Yield a warning where `what` travels to an address readable for others."""
    if url.startswith("http://") and not loopback.is_loopback(urlsplit(url).hostname or ""):
        yield Finding(
            "warning",
            "unencrypted",
            f"{what} travel readable for others: base_url begins with http://",
            "write https://",
            path="base_url",
        )
