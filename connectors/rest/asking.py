"""From a request in the settings to one with values, at one of its pages."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from clinicrelay.auth import QueryAuth
from clinicrelay.http import HttpOptions
from connectors.rest.door import Asking
from connectors.rest.paging import Linked, LinkHeader, Paging, Single, Token
from connectors.rest.placeholders import Values, filled, path
from connectors.rest.requests import Request


def asking_for(request: Request, values: Values) -> Asking:
    """Return a request with its values; raises Unset where its path lacks one."""
    return Asking(
        request.method,
        path(request.path, values),
        pairs(filled(request.params, values)),
        filled(request.json_, values),
        filled(request.form, values) or None,
        {name: str(value) for name, value in filled(request.headers, values).items()},
        request.path,
    )


def pairs(params: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return parameters one by one; a list is a parameter that is there several times."""
    found = []
    for name, value in params.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                found.append((name, _text(one)))
    return tuple(found)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def at_page(asking: Asking, paging: Paging, token: Token | None) -> Asking:
    """Return the request for the page that a token stands for."""
    for name, size in paging.sizes.items():
        asking = _put(asking, name, size, getattr(paging, "place", None))
    if token is None or isinstance(paging, Single):
        return asking
    if isinstance(paging, Linked | LinkHeader):
        return replace(asking, url=str(token), params=())
    return _put(asking, paging.param, token, paging.place)


def _put(asking: Asking, name: str, value: Any, place: str | None) -> Asking:
    has_body = asking.json is not None or bool(asking.form)
    place = place or ("body" if has_body else "query")
    if place == "header":
        return replace(asking, headers={**asking.headers, name: str(value)})
    if place == "query":
        kept = [pair for pair in asking.params if pair[0] != name]
        return replace(asking, params=(*kept, (name, _text(value))))
    if asking.form:
        return replace(asking, form={**asking.form, name: value})
    return replace(asking, json=_within(asking.json or {}, name.split("."), value))


def _within(body: Any, steps: list[str], value: Any) -> Any:
    body = copy.copy(body) if isinstance(body, dict) else {}
    name, *deeper = steps
    body[name] = _within(body.get(name), deeper, value) if deeper else value
    return body


def followed(link: str, said_at: str, paging: Paging, options: HttpOptions) -> str:
    """Return a link as a whole address, without a key of ours that the server may have put there.

    It may stand in a cursor: what it was asked with is put on again when it is sent.
    """
    parts = urlsplit(urljoin(said_at, link))
    if isinstance(paging, Linked | LinkHeader) and paging.rewrite_links:
        base = urlsplit(options.base_url)
        parts = parts._replace(scheme=base.scheme, netloc=base.netloc)
    if isinstance(options.auth, QueryAuth):
        query = parse_qsl(parts.query, keep_blank_values=True)
        kept = [pair for pair in query if pair[0] != options.auth.name]
        parts = parts._replace(query=urlencode(kept) if len(kept) < len(query) else parts.query)
    return urlunsplit(parts)
