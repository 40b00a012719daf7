"""Tells a watcher outside that a job began and how it ended: silence is what it raises the alarm on.

The protocol is that of healthchecks.io (https://healthchecks.io/docs/http_api/): the address itself for
success, `/start`, `/fail` and `/log` below it, and `rid` says which beginning an end belongs to. The
address is a secret, as whoever knows it can report in our name, so nothing here repeats it.

The standard library does the asking: a job that runs each minute would pay ten times as much for the
client that sources have, and needs neither its patience nor its sentences.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from clinicrelay.loopback import is_loopback

if TYPE_CHECKING:
    from ssl import SSLContext
    from urllib.request import OpenerDirector

_EACH = 2.5  # seconds for one ping; a job waits for its first and its last
_WHEN_TOLD_TO_END = 1.0
_READ = 200  # bytes of the answer: healthchecks says "OK (not found)" with 200
_ENDINGS = ("start", "fail", "log")


def fault(url: str) -> tuple[str, str] | None:
    """Return what is wrong with an address to ping, and what would be right; an empty one is none."""
    text = url.strip()
    if not text:
        return None
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", 0
    blank = any(sign.isspace() for sign in text) or not text.isascii()
    wrong = {
        ("this is not an address", "copy it from the service: https://hc-ping.com/…"): (
            parts.scheme not in ("http", "https") or not host or port == 0 or blank
        ),
        ("an address to ping holds no login", "delete it up to the @"): (
            bool(parts.username or parts.password)
        ),
        ("what is pinged without encryption, others can ping as well", "write https://"): (
            parts.scheme == "http" and not is_loopback(host)
        ),
        ("the last word of this address is ours to add", "delete it: write the address alone"): (
            parts.path.rstrip("/").rpartition("/")[2] in _ENDINGS
        ),
    }
    return next((why for why, so in wrong.items() if so), None)


def stays_here(url: str) -> bool:
    """Whether a ping of this address ends on this machine."""
    return is_loopback(urlsplit(url.strip()).hostname or "")


def address(url: str, word: str, rid: str) -> str:
    """Return where a ping goes: `word` is start, fail, log, or nothing for success."""
    parts = urlsplit(url.strip())
    path = parts.path.rstrip("/") + (f"/{word}" if word else "")
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), ("rid", rid)])
    return urlunsplit((parts.scheme, parts.netloc, path or "/", query, ""))


class Heart:
    """The pings of one run of a job. None of them ever raises, or keeps the run for long.

    `missed` hears why one was not taken: `unreachable`, `timeout`, `unknown_check` or `http_404`.
    """

    def __init__(
        self, url: str, rid: str, missed: Callable[[str], None] = lambda _why: None
    ) -> None:
        self._url, self._rid, self._missed = url, rid, missed
        self._first: threading.Thread | None = None
        self._given_up = False

    def begin(self) -> None:
        """Tell that the job began; nobody waits for that."""
        self._first = self._sent("start", "")

    def end(self, *, well: bool | None, said: str, hurry: bool = False) -> None:
        """Tell how it ended, in at most five seconds; `well` None: nothing can be said of the job.

        `said` is for the person who looks there: an exit code and reason codes.
        """
        patience = _WHEN_TOLD_TO_END if hurry else _EACH
        if self._first is not None:  # or else it might arrive last, and the job never end
            self._first.join(patience)
        word = "" if well else "log" if well is None else "fail"
        until = time.monotonic() + patience
        last = self._sent(word, said)
        last.join(max(0.0, until - time.monotonic()))
        if last.is_alive():
            self._given_up = True
            self._missed("timeout")

    def _sent(self, word: str, said: str) -> threading.Thread:
        # A daemon: a name that is looked up for a minute keeps no run from ending.
        thread = threading.Thread(target=self._send, args=(word, said), daemon=True)
        thread.start()
        return thread

    def _send(self, word: str, said: str) -> None:
        why = ping(address(self._url, word, self._rid), said)
        if why and not self._given_up:
            self._missed(why)


def ping(url: str, said: str = "", *, seconds: float = _EACH) -> str | None:
    """Ask an address once; return why that was not taken, None where it was."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request

    request = Request(url, data=said.encode() or None)  # noqa: S310 - see `fault`
    request.add_header("User-Agent", "clinicrelay")
    request.add_header("Content-Type", "text/plain; charset=utf-8")
    try:
        with _opener(url).open(request, timeout=seconds) as answer:
            text = answer.read(_READ)
    except HTTPError as error:
        error.close()
        return f"http_{error.code}"
    except TimeoutError:
        return "timeout"
    except (OSError, HTTPException, ValueError) as error:
        late = isinstance(getattr(error, "reason", None), TimeoutError)
        return "timeout" if late else "unreachable"
    return "unknown_check" if b"not found" in text else None


def _opener(url: str) -> OpenerDirector:
    from urllib.request import HTTPRedirectHandler, HTTPSHandler, ProxyHandler, build_opener

    class Stays(HTTPRedirectHandler):
        def redirect_request(self, *_where: object) -> None:
            """Go nowhere else: the address is a secret."""

    # A proxy would carry a ping of this machine to another one.
    out = ProxyHandler({}) if stays_here(url) else ProxyHandler()
    if url.startswith("https:"):
        return build_opener(out, Stays, HTTPSHandler(context=_trust()))
    return build_opener(out, Stays)


def _trust() -> SSLContext:
    import ssl

    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"]:  # a container without any
        import certifi

        context.load_verify_locations(certifi.where())
    return context
