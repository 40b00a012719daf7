"""Addresses: what lies under a base, what counts as the same host, and parameters put beside others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urljoin

if TYPE_CHECKING:
    import httpx

_LAYERS = 10  # of quoting; nobody means more than two
_LONGEST = 2000  # signs of an address that a server gives for tokens
# Signs of seven bits written in two, three or four bytes: no UTF-8, and some read it all the same.
_OVERLONG = re.compile(r"%(?:c[01]|e0%[89]|f0%8)", re.IGNORECASE)
_NUMBERS = re.compile(r"[\d.]+|.*:.*")  # an address of IPv4 or IPv6
_STEP = re.compile(r"[A-Za-z0-9_$.…-]{0,40}")


def origin(url: httpx.URL) -> tuple[str, str, int | None]:
    """Return scheme, host and port, a scheme's usual port being the same as none."""
    usual = {"http": 80, "https": 443}.get(url.scheme)
    return url.scheme, url.host.rstrip("."), url.port or usual


def under(base_url: str, url: str) -> httpx.URL:
    """Return a path or link as a whole address. Raises httpx.InvalidURL.

    `/path` counts from the base, not from the host: nobody writes the base twice.
    """
    import httpx

    base = httpx.URL(base_url + "/")
    if url.startswith("?"):
        # A link that is only a query belongs to the base itself, as HAPI's `?_getpages=` does.
        return base.copy_with(raw_path=base.raw_path.rstrip(b"/") + url.encode())
    if url.startswith("/") or "://" not in url.partition("?")[0]:
        return base.join(url.lstrip("/"))
    return httpx.URL(url)


def joined(base_url: str, link: str) -> str | None:
    """Return where a link leads that a server gave, None of what is no http address."""
    import httpx

    try:
        there = httpx.URL(urljoin(base_url + "/", link))
    except (httpx.InvalidURL, ValueError):
        return None
    usual = there.scheme in ("http", "https") and bool(there.host)
    return str(there) if usual and len(str(there)) <= _LONGEST else None


def is_kin(base_url: str, url: str) -> bool:
    """Whether an address is on the host of another, below it, or beside it in the same domain.

    Two names beside each other share all but their first parts: fhir.ehr.example, auth.ehr.example.
    """
    import httpx

    ours, theirs = (httpx.URL(one).host.rstrip(".").casefold() for one in (base_url, url))
    if theirs == ours or _NUMBERS.fullmatch(ours):
        return theirs == ours
    _, _, domain = ours.partition(".")
    return f".{theirs}".endswith(f".{domain}" if "." in domain else f".{ours}")


def is_under(base_path: str, path: str) -> bool:
    """Whether a path lies under another, however a server on the way may read it.

    Some decode it again and again, take a backslash for a slash, cut `;…` off a step before they
    climb, drop what cannot be printed, or read a dot in bytes that are no UTF-8.
    """
    read = _plain(path)
    if read is None or any(_climbs(step) for step in read.split("/")):
        return False
    base = (_plain(base_path) or "").rstrip("/")
    return read.rstrip("/") == base or read.startswith(f"{base}/")


def _climbs(step: str) -> bool:
    bare = "".join(sign for sign in step.partition(";")[0] if sign.isprintable()).strip()
    return bare in (".", "..")


def _plain(path: str) -> str | None:
    """Undo all quoting; None of what is quoted so often, or so oddly, that it hides something."""
    for _ in range(_LAYERS):
        if _OVERLONG.search(path):
            return None
        if (less := unquote(path)) == path:
            return path.replace("\\", "/")
        path = less
    return None


def shown(base_url: str, url: str, place: str | None = None) -> str:
    """Return a path as people may read it: `place` under the base, if that is given.

    Else the path without ids, and of a link only the base: `Patient/12` becomes
    /r4/Patient/…; what begins with _ or $ belongs to the protocol.
    """
    import httpx

    base = httpx.URL(base_url).path.rstrip("/")
    if place is not None:
        return f"{base}/{place.lstrip('/')}"
    if "://" in url.partition("?")[0] or url.startswith("?"):
        return f"{base}/…"
    first, *more = url.partition("?")[0].lstrip("/").split("/")
    kept = [first, *(step if step[:1] in ("_", "$") else "…" for step in more)]
    return "/".join([base, *(step if _STEP.fullmatch(step) else "…" for step in kept)])


def with_query(url: str, params: Any) -> str:
    """Return an address with parameters beside those that it has, sign by sign as those are.

    Each `+` becomes %2B and each blank %20: read as a form, `+02:00` would be ` 02:00`.
    """
    query = "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in _pairs(params))
    if not query:
        return url
    bare, _, fragment = url.partition("#")
    joint = "" if bare.endswith(("?", "&")) else "&" if "?" in bare else "?"
    return f"{bare}{joint}{query}" + (f"#{fragment}" if fragment else "")


def _pairs(params: Any) -> Iterator[tuple[Any, Any]]:
    """Yield names and values of a mapping, whose lists repeat the name, or of pairs."""
    given: Iterable[tuple[Any, Any]] = (
        params.items() if isinstance(params, Mapping) else params or ()
    )
    for name, value in given:
        for one in value if isinstance(value, list | tuple) else (value,):
            yield name, one


def _quoted(value: Any) -> str:
    text = {True: "true", False: "false", None: ""}.get(value) if _is_word(value) else str(value)
    return quote(text or "", safe="")


def _is_word(value: Any) -> bool:
    return value is None or isinstance(value, bool)
