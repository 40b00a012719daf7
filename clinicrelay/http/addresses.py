"""Addresses: what lies under a base, what counts as the same host, and parameters put beside others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    import httpx


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


def with_query(url: str, params: Any) -> str:
    """Return an address with parameters beside those that it has, sign by sign as those are.

    Each `+` becomes %2B and each blank %20: read as a form, `+02:00` would be ` 02:00` (F-10).
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
