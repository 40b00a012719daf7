"""What is wrong between us and a server, each in its own sentence, with what to do about it."""

from __future__ import annotations

import errno
import re
import socket
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


def stranger(url: str) -> str:
    """Return host and port of an address that a server gave, in no more than 40 safe signs."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "a host of no usual name"
    if not _HOST.fullmatch(host):
        return "a host of no usual name"
    named = f"[{host}]" if ":" in host else host
    told = named + (f":{port}" if port else "")
    return told if len(told) <= _LONGEST else f"{told[: _LONGEST - 1]}…"


def apart(url: str, base_url: str) -> tuple[str, str]:
    """Return whom an address names and who we ask, so that people see how the two differ."""
    there, here = stranger(url), host_of(base_url)
    ours = urlsplit(base_url)
    if there.partition(":")[0] != str(ours.hostname):
        return there, here
    scheme = urlsplit(url).scheme
    return f"{scheme}://{there}" if scheme in (
        "http",
        "https",
    ) else there, f"{ours.scheme}://{here}"


def kind(media_type: str) -> str:
    """Return what an answer says it is, of those that servers mean."""
    return media_type if media_type in _KINDS else "something unknown"


_LONGEST = 40  # signs of anything that a server named
_HOST = re.compile(r"(?:[a-z0-9_-]{1,63}(?:\.|\Z))+|[0-9a-f:.]+")
_KINDS = frozenset(
    {
        *("application/json", "application/fhir+json", "application/json+fhir"),
        *("application/problem+json", "application/hal+json", "application/vnd.api+json"),
        *("application/xml", "application/fhir+xml", "application/xhtml+xml", "text/xml"),
        *("text/html", "text/plain", "text/csv", "text/json", "text/javascript"),
        *("application/octet-stream", "application/pdf", "application/javascript"),
        *("application/x-www-form-urlencoded", "application/x-ndjson", "multipart/mixed"),
    }
)


def unwelcome(answer: Answer, host: str, options: HttpOptions) -> Unwelcome:
    """Return the error for an answer that another try would not better."""
    what, fix = _SAID.get(answer.status, (f"answered {answer.status}", "look into its manual"))
    kind = options.auth.type
    if answer.status == 401:
        what, fix = _unauthorised(kind)
    elif 300 <= answer.status < 400 and answer.status != 304:
        what, fix = "sends us elsewhere", "check base_url: it may have moved"
    fix = fix.format(kind=kind, where=answer.where)
    return Unwelcome(f"{host} {what} ({answer.status} to {answer.where})", fix=fix, answer=answer)


_SAID = {
    400: ("finds our request wrong", "check params, partition and preset against its manual"),
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


def _unauthorised(kind: str) -> tuple[str, str]:
    if kind == "none":
        return "wants credentials, and there are none", "write them under auth"
    if kind in ("oauth2", "smart_backend"):
        return (
            "does not accept the tokens that we are given for it",
            "check that token_url, audience and scope belong to this base_url",
        )
    return "does not accept our credentials", "check auth (now {kind}): wrong, expired or withdrawn"


def in_trouble(answer: Answer, host: str) -> str:
    """Return what a server's own trouble is called."""
    if answer.status == 429:
        return f"{host} says we ask too often (429)"
    return f"{host} is in trouble ({answer.status} to {answer.where})"


def no_answer(  # noqa: PLR0911 - one line a failure
    error: httpx.HTTPError, host: str, options: HttpOptions
) -> NotAnswered | Unwelcome:
    """Return what it means that no answer came: to be tried again, or for a person to mend."""
    import httpx

    cause = _root(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _distrusted(cause, host)
    if isinstance(cause, ssl.SSLError):
        return _no_encryption(cause, host, options)
    if isinstance(error, httpx.ProxyError):
        return _proxy(error, host)
    if isinstance(error, httpx.ConnectTimeout):
        return NotAnswered(f"{_reached(host, options)}: it does not answer at all")
    if isinstance(error, httpx.TimeoutException):
        seconds = options.timeout.total_seconds()
        return NotAnswered(f"{host} does not answer within {seconds:g} s")
    if isinstance(error, httpx.ConnectError):
        return NotAnswered(f"{_reached(host, options)}: {_unconnected(cause)}")
    if isinstance(error, httpx.UnsupportedProtocol):
        return Unwelcome(f"{host} is no address", fix="check base_url")
    if isinstance(error, httpx.RemoteProtocolError) and "disconnected" not in str(error):
        return NotAnswered(f"{host} broke its answer off, or does not speak HTTP")
    return NotAnswered(f"{host} broke the connection off")


def _reached(host: str, options: HttpOptions) -> str:
    """Name the proxy too: then it is the one that was, or was not, to be reached."""
    way = f" by the proxy {host_of(options.proxy)}" if options.proxy else ""
    return f"{host} cannot be reached{way}"


def _unconnected(cause: BaseException) -> str:
    if isinstance(cause, socket.gaierror):
        if cause.errno == socket.EAI_AGAIN:
            return "names cannot be looked up now (DNS)"
        return "nobody knows this name (DNS)"
    number = cause.errno if isinstance(cause, OSError) else None
    if number in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return "no way leads there from this machine"
    return "nothing listens there" if number == errno.ECONNREFUSED else "the connection breaks off"


def _proxy(error: httpx.ProxyError, host: str) -> NotAnswered | Unwelcome:
    """A proxy's own answer; httpx puts its status before all other words."""
    status = str(error).partition(" ")[0]
    if status == "407":
        what, fix = _SAID[407]
        return Unwelcome(f"{host} {what} (407)", fix=fix)
    if status == "403":
        return Unwelcome(
            f"the proxy does not let us through to {host} (403)",
            fix="ask who runs the proxy to allow this host, or name it in NO_PROXY",
        )
    shown = f" ({status})" if len(status) == 3 and status.isdecimal() else ""
    return NotAnswered(f"the proxy does not get through to {host}{shown}")


# By OpenSSL's X509_V_ERR_… numbers.
_DISTRUST = {
    9: ("is not valid yet", "check the clocks of this machine and of that one"),
    10: ("has expired", "ask its administrators to renew it"),
    18: ("is signed by itself", "name that certificate in tls.ca"),
    19: ("is signed by somebody we do not know", "name the signer's certificate in tls.ca"),
    20: (
        "is signed by somebody we do not know",
        "name the signer's certificate in tls.ca, and what lies between if the server sends it not",
    ),
    62: ("is for another name", "write base_url with the name that the certificate is for"),
    64: ("is for another name", "write base_url with the name that the certificate is for"),
}


def _distrusted(cause: ssl.SSLCertVerificationError, host: str) -> Unwelcome:
    what, fix = _DISTRUST.get(
        cause.verify_code, (f"is not to be trusted: {cause.verify_message}", "check it, and tls.ca")
    )
    return Unwelcome(f"the certificate of {host} {what}", fix=fix)


def _no_encryption(cause: ssl.SSLError, host: str, options: HttpOptions) -> NotAnswered | Unwelcome:
    reason = cause.reason or ""
    if "CERTIFICATE_REQUIRED" in reason or ("HANDSHAKE_FAILURE" in reason and not options.tls.cert):
        return Unwelcome(
            f"{host} wants a certificate of ours", fix="name it in tls.cert, its key in tls.key"
        )
    if any(word in reason for word in ("UNKNOWN_CA", "BAD_CERTIFICATE", "CERTIFICATE_EXPIRED")):
        return Unwelcome(
            f"{host} does not accept our certificate",
            fix="check that tls.cert is the one they registered, and not expired",
        )
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
        return Unwelcome(
            f"{host} does not speak an encrypted language there",
            fix="check the port in base_url; plain http only inside your own network",
        )
    if "EOF" in reason or not reason:
        return NotAnswered(f"{host} broke the connection off while it was being encrypted")
    return Unwelcome(
        f"no encrypted connection to {host} comes about: {reason.lower().replace('_', ' ')}",
        fix="it may be too old, or want another kind of certificate (tls.cert)",
    )


def _root(error: BaseException) -> BaseException:
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return error
