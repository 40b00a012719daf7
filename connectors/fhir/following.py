"""Whether a link to a next page may be followed: our token goes to our server and nowhere else.

SMART's own client sent it to whatever host a link named; so links are followed on the same origin
and under the same path only, and a proxy's mistake is mended by a setting, never by guessing.
"""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from clinicrelay.http.addresses import is_under
from clinicrelay.http.sentences import apart


class NotOurs(Exception):
    """The link leads elsewhere; the text names both ends, and the setting that may help."""


def followed(link: str, base_url: str, *, rewrite: bool) -> str:
    """Return the whole address of a link. Raises NotOurs.

    `?…` belongs to the base itself (HAPI's `?_getpages=`), `/…` to the host, all else to the base.
    With `rewrite`, another host is replaced by ours.
    """
    base = urlsplit(base_url)
    if link.startswith("?"):
        return f"{base_url}{link}"
    try:
        parts = urlsplit(link)
        ours = (not parts.scheme and not parts.netloc) or _origin(parts) == _origin(base)
    except ValueError:  # such as HAPI's host:443:443
        parts, ours = urlsplit("//?" + link.partition("?")[2]), False
    if not ours and not rewrite:
        there, here = apart(link, base_url)
        raise NotOurs(
            f"its next page lies on another host, {there} instead of {here}: nothing was sent there; "
            "if that is a proxy's mistake, set paging.rewrite_links: true"
        )
    path = _path(parts, link, base, ours)
    if not is_under(base.path, path):
        raise NotOurs(f"its next page lies outside of base_url on {base.netloc}: not followed")
    return f"{base.scheme}://{base.netloc}{path}{f'?{parts.query}' if parts.query else ''}"


def _path(parts: SplitResult, link: str, base: SplitResult, ours: bool) -> str:
    if parts.netloc or link.startswith("/"):
        path = parts.path
        if not ours and parts.query.startswith("_getpages=") and not path.strip("/"):
            return base.path
        return path
    return f"{base.path}/{parts.path}"


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, parts.port or usual
