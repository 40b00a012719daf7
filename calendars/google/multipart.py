"""Several calls in one request, and their answers: HTTP within multipart/mixed.

Source: the Calendar API's guide "Send batch requests". Google's own library makes them too, but takes
each header for one of a mail, which costs more than all else of an event, and throws the whole answer
away where one part of it is missing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from email.message import Message
from typing import Any, NamedTuple
from uuid import uuid4

# They are about a connection, or about answers that can be compressed; parts cannot.
_NOT_OF_A_PART = {"accept-encoding", "user-agent", "x-goog-api-client", "content-length", "host"}
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(rb"HTTP/\d(?:\.\d)? (\d{3})\b")
_PLACE = re.compile(r"<response-(\d{1,4})@")


class Part(NamedTuple):
    """The answer to one of the calls."""

    status: int
    headers: dict[str, str]
    content: bytes


def packed(requests: Sequence[Any]) -> tuple[dict[str, str], bytes]:
    """Return headers and body of the one request that makes all these requests of the client's."""
    boundary = f"batch-{uuid4().hex}"
    parts = [
        f"--{boundary}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
        f"Content-ID: <{place}@{boundary}>\r\n\r\n{_written(request)}\r\n"
        for place, request in enumerate(requests)
    ]
    headers = {"content-type": f'multipart/mixed; boundary="{boundary}"'}
    return headers, f"{''.join(parts)}--{boundary}--\r\n".encode()


def unpacked(content_type: str, content: bytes) -> dict[int, Part]:
    """Return the answers by the places of their requests; one that is not there whole is left out."""
    head = Message()
    head["content-type"] = content_type
    boundary = head.get_boundary()
    if boundary is None:
        return {}
    line = re.compile(
        rb"(?:^|\r?\n)--" + re.escape(boundary.encode()) + rb"(?:--)?[ \t]*(?=\r?\n|$)"
    )
    _, *parts = line.split(content)
    # What follows the last line that parts them is an end, or a part that was cut off.
    return dict(found for part in parts[:-1] if (found := _read(part)) is not None)


def _written(request: Any) -> str:
    path = "/" + request.uri.split("://", 1)[1].partition("/")[2]
    headers = {k: v for k, v in request.headers.items() if k.lower() not in _NOT_OF_A_PART}
    if request.body is not None:
        headers["content-length"] = str(len(request.body.encode()))
    lines = "".join(f"{name}: {_on_one_line(value)}\r\n" for name, value in headers.items())
    return f"{request.method} {path} HTTP/1.1\r\n{lines}\r\n{request.body or ''}"


def _on_one_line(value: str) -> str:
    """An etag is a server's word: it must not become a header of its own."""
    return " ".join(value.split())


def _read(raw: bytes) -> tuple[int, Part] | None:
    about, _, answer = _halves(raw.lstrip(b"\r\n"))
    place = _PLACE.search(_headers(about).get("content-id", ""))
    head, whole, content = _halves(answer)
    first, _, rest = head.partition(b"\n")
    status = _STATUS.match(first)
    if place is None or status is None or not whole:
        return None
    return int(place[1]), Part(int(status[1]), _headers(rest), content)


def _halves(raw: bytes) -> tuple[bytes, bool, bytes]:
    """Return what stands before and after the first blank line, and whether there is one."""
    found = _BLANK_LINE.search(raw)
    return (raw[: found.start()], True, raw[found.end() :]) if found else (raw, False, b"")


def _headers(raw: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in raw.decode("latin-1").splitlines())
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
