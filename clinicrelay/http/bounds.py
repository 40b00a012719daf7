"""Where paths, links and redirects may lead: to one host, and what it gave not above base_url."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clinicrelay.http import sentences
from clinicrelay.http.addresses import is_under, origin, under
from clinicrelay.http.errors import Foreign, Unwelcome

if TYPE_CHECKING:
    from clinicrelay.http.client import Answer
    from clinicrelay.http.options import HttpOptions

ITS_LINKS = "compare base_url with the links in its answers; ask its administrators why they differ"


def resolved(base_url: str, url: str) -> str:
    """Return a path or link as a whole address; raises Foreign for one on another host."""
    import httpx

    host = sentences.host_of(base_url)
    try:
        target = under(base_url, url)
    except (httpx.InvalidURL, ValueError):
        raise Unwelcome(f"{host} gives a link that is no address", fix=ITS_LINKS) from None
    if origin(target) != origin(httpx.URL(base_url)):
        there, here = sentences.apart(str(target), base_url)
        raise Foreign(
            f"{here} leads to another host, {there}: nothing was sent there", fix=ITS_LINKS
        )
    return str(target)


def followed(base_url: str, link: str) -> str:
    """Return a link that the server gave as a whole address; raises Foreign where it leads out."""
    target = resolved(base_url, link)
    if not _is_below(base_url, target):
        raise Foreign(
            f"{sentences.host_of(base_url)} leads out of what lies under base_url: nothing was sent "
            "there",
            fix="write base_url only as far as all of its links go",
        )
    return target


def onward(method: str, answer: Answer, options: HttpOptions) -> str:
    """Return where a redirect leads, if that is on the same host and under the base address."""
    import httpx

    host, location = sentences.host_of(options.base_url), answer.headers.get("location", "")
    if method != "GET" or not location:
        raise sentences.unwelcome(answer, host, options)
    try:
        there = httpx.URL(answer.url).join(location)
    except (httpx.InvalidURL, ValueError):
        raise Unwelcome(
            f"{host} sends us to what is no address", fix=ITS_LINKS, answer=answer
        ) from None
    if origin(there) != origin(httpx.URL(options.base_url)):
        secure = f"{there.scheme}://" if there.scheme in ("http", "https") else ""
        raise Foreign(
            f"{host} sends us elsewhere, to {secure}{sentences.stranger(str(there))}: nothing was "
            "sent there",
            fix="write the address that it names as base_url, if that is the right one",
            answer=answer,
        )
    if not _is_below(options.base_url, str(there)):
        raise Foreign(
            f"{host} sends us out of what lies under base_url ({answer.status} to {answer.where}): "
            "nothing was sent there",
            fix="check base_url, and whether it sends to a login page what it does not let in",
            answer=answer,
        )
    return str(there)


def _is_below(base_url: str, url: str) -> bool:
    import httpx

    path = httpx.URL(url).raw_path.decode("ascii").partition("?")[0]
    return is_under(httpx.URL(base_url).path, path)
