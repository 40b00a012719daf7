"""Batches: many calls in one request, as multipart/mixed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email import message_from_bytes, message_from_string
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

from clinicrelay.testing import Asked

from .faults import Answer
from .state import ApiError, World, invalid

BOUNDARY = "batch_answers"
CUT = ("close", "reset", "truncate")
Call = Callable[[Asked], Answer]


@dataclass(frozen=True, slots=True)
class Part:
    id: str
    asked: Asked


def answer(world: World, asked: Asked, call: Call) -> Answer:
    """Answer each part by itself, as if it had come alone."""
    parts = list(_parts(asked))
    if len(parts) > world.batch_limit:
        raise invalid(f"The batch request must not contain more than {world.batch_limit} calls.")
    clashing = _clashing(parts)
    if world.batch_shuffle:
        world.random.shuffle(parts)
    answers = []
    for part in parts:
        one = _conflict() if part.id in clashing else call(part.asked)
        if one.wire in CUT:  # the connection is the whole batch's: what came later was never done
            return Answer(wire=one.wire, body=b"--" + BOUNDARY.encode() + b"\r\n" * 20)
        answers.append((part.id, one))
    sent = [_part(name, one) for name, one in answers if one.wire != "drop"]
    kind = {"Content-Type": f"multipart/mixed; boundary={BOUNDARY}"}
    return Answer(200, ("".join(sent) + f"--{BOUNDARY}--\r\n").encode(), kind)


def _parts(asked: Asked) -> Iterator[Part]:
    kind = asked.headers.get("content-type", "")
    whole = message_from_bytes(b"content-type: " + kind.encode() + b"\r\n\r\n" + asked.body)
    if not whole.is_multipart():
        raise invalid("Failed to parse batch request.", "badRequest")
    for number, part in enumerate(whole.get_payload()):
        yield Part(part.get("Content-ID", f"<{number}>"), _asked(part.get_payload(), asked))


def _asked(text: str, outer: Asked) -> Asked:
    line, _, rest = text.partition("\n")
    method, target, *_ = line.split()
    inner = message_from_string(rest)
    headers = {name.lower(): value for name, value in inner.items()}
    where = urlsplit(target)
    if where.netloc:
        raise invalid("Batch parts name paths, not addresses.", "badRequest")
    query = tuple(parse_qsl(where.query, keep_blank_values=True))
    body = str(inner.get_payload()).encode("utf-8", "surrogateescape")
    kept = {k: v for k, v in outer.headers.items() if not k.startswith("content-")}
    return Asked(method, where.path, query, {**kept, **headers}, body)


def _clashing(parts: list[Part]) -> set[str]:
    """Return the parts that write to an event that an earlier part writes to as well."""
    taken: set[str] = set()
    clashing = set()
    for part in parts:
        if part.asked.method == "GET":
            continue
        target = _target(part.asked)
        if target in taken:
            clashing.add(part.id)
        taken.add(target)
    return clashing


def _target(asked: Asked) -> str:
    if asked.method != "POST":
        return asked.path
    try:
        name = json.loads(asked.body or b"{}").get("id")
    except (ValueError, AttributeError):
        name = None
    return f"{asked.path}/{name or id(asked)}"


def _conflict() -> Answer:
    error = ApiError(409, "conflict", "Conflict")
    return Answer(error.status, error.body)


def _part(name: str, one: Answer) -> str:
    raw = one.body if isinstance(one.body, bytes) else b""
    text = json.dumps(one.body) if isinstance(one.body, dict) else raw.decode()
    headers = {"Content-Type": "application/json; charset=UTF-8", **one.headers}
    headers["Content-Length"] = str(len(text.encode()))
    lines = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
    return (
        f"--{BOUNDARY}\r\nContent-Type: application/http\r\n"
        f"Content-ID: <response-{name.strip('<>')}>\r\n\r\n"
        f"HTTP/1.1 {one.status} {HTTPStatus(one.status).phrase}\r\n{lines}\r\n{text}\r\n"
    )
