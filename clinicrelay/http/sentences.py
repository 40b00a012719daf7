"""What is wrong between us and a server, each in its own sentence, with what to do about it."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from clinicrelay.http.errors import NotAnswered, Unwelcome

if TYPE_CHECKING:
    import httpx

    from clinicrelay.http.client import Answer
    from clinicrelay.http.options import HttpOptions


def host_of(url: str) -> str:
    """Return host and port of an address, as people read it."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or "?"


def unwelcome(answer: Answer, host: str, options: HttpOptions) -> Unwelcome:
    """Return the error for an answer that another try would not better."""
    what, fix = _SAID.get(answer.status, (f"answered {answer.status}", "look into its manual"))
    kind = options.auth.type
    fix = fix.format(kind=kind, where=answer.where)
    return Unwelcome(f"{host} {what} ({answer.status} to {answer.where})", fix=fix, answer=answer)


_SAID = {
    400: ("finds our request wrong", "check params, partition and preset against its manual"),
    401: ("does not accept our credentials", "check auth (now {kind}): wrong, expired or missing"),
    403: (
        "knows us and does not let us read this",
        "ask its administrators to let our account read {where}",
    ),
    404: ("has nothing there", "check base_url: it is probably wrong, or of another version"),
    405: ("does not allow this kind of request", "check base_url and request"),
    406: ("cannot answer in the form we read", "check base_url: is this the JSON interface?"),
    407: ("cannot be reached: the proxy wants a login", "put it into proxy: http://name:word@host"),
    410: ("says that what we ask for is gone", "look into its manual"),
    422: ("understands our request and refuses it", "check params against its manual"),
}


def in_trouble(answer: Answer, host: str) -> str:
    """Return what a server's own trouble is called."""
    if answer.status == 429:
        return f"{host} says we ask too often (429)"
    return f"{host} is in trouble ({answer.status} to {answer.where})"


def no_answer(  # noqa: PLR0911 - one sentence each
    error: httpx.HTTPError, host: str, options: HttpOptions
) -> NotAnswered | Unwelcome:
    """Return what it means that no answer came: to be tried again, or for a person to mend."""
    import httpx

    cause = _root(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Unwelcome(
            f"the certificate of {host} is not to be trusted: {cause.verify_message}",
            fix="if it is signed by your own authority, name its certificate in tls.ca",
        )
    if isinstance(cause, ssl.SSLError):
        return Unwelcome(
            f"no encrypted connection to {host} comes about: {cause.reason or 'it broke off'}",
            fix="check that base_url begins rightly with https, and whether it wants tls.cert",
        )
    if isinstance(error, httpx.ProxyError):
        return NotAnswered("the proxy does not let us through")
    if isinstance(error, httpx.ConnectTimeout):
        return NotAnswered(f"{host} cannot be reached: it does not answer at all")
    if isinstance(error, httpx.TimeoutException):
        seconds = options.timeout.total_seconds()
        return NotAnswered(f"{host} does not answer within {seconds:g} s")
    if isinstance(error, httpx.ConnectError):
        unknown = "Name or service" in str(cause) or "getaddrinfo" in str(cause)
        unknown = unknown or "name resolution" in str(cause)
        why = "nobody knows this name" if unknown else "nothing listens there"
        return NotAnswered(f"{host} cannot be reached: {why}")
    if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
        return Unwelcome(f"{host} is no address", fix="check base_url")
    if isinstance(error, httpx.DecodingError):
        return Unwelcome(f"{host} sends an answer that cannot be unpacked")
    return NotAnswered(f"{host} broke the connection off")


def _root(error: BaseException) -> BaseException:
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return error
