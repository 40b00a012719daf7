"""Batches on the wire: written as others read them, and read part by part."""

from __future__ import annotations

import json
from email import message_from_bytes, message_from_string
from typing import Any

import httplib2
import pytest
from googleapiclient.discovery import build
from hypothesis import given
from hypothesis import strategies as st

from calendars.google.multipart import Part, packed, unpacked

ANSWERS = b"""\
--batch_x
Content-Type: application/http
Content-ID: <response-1@batch-1>

HTTP/1.1 200 OK
Content-Type: application/json; charset=UTF-8
ETag: "7"

{"id": "b"}
--batch_x
Content-Type: application/http
Content-ID: <response-0@batch-1>

HTTP/1.1 403 Forbidden
Retry-After: 30

{"error": {}}
--batch_x
Content-Type: application/http
Content-ID: <response-2@batch-1>

HTTP/1.1 204 No Content


--batch_x--
"""
KIND = "multipart/mixed; boundary=batch_x"


@pytest.fixture(scope="module")
def events() -> Any:
    return build("calendar", "v3", http=httplib2.Http(), static_discovery=True).events()


def read_by_others(headers: dict[str, str], body: bytes) -> list[tuple[str, Any, str]]:
    """Return (request line, headers, body) of each part, as the standard library reads mail."""
    whole = message_from_bytes(f"content-type: {headers['content-type']}\r\n\r\n".encode() + body)
    found = []
    for part in whole.get_payload():
        assert isinstance(part, type(whole))
        assert part.get_content_type() == "application/http"
        line, _, rest = str(part.get_payload()).partition("\n")
        inner = message_from_string(rest)
        found.append((line.strip(), inner, str(inner.get_payload())))
    return found


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_answers_are_told_apart_by_the_places_of_their_requests(line_end: bytes) -> None:
    assert unpacked(KIND, ANSWERS.replace(b"\n", line_end)) == {
        0: Part(403, {"retry-after": "30"}, b'{"error": {}}'),
        1: Part(
            200,
            {"content-type": "application/json; charset=UTF-8", "etag": '"7"'},
            b'{"id": "b"}',
        ),
        2: Part(204, {}, b""),
    }


@given(st.integers(min_value=0, max_value=len(ANSWERS)))
def test_of_an_answer_that_was_cut_off_only_whole_parts_count(length: int) -> None:
    whole = unpacked(KIND, ANSWERS)
    found = unpacked(KIND, ANSWERS[:length])
    assert all(whole[place] == part for place, part in found.items())
    assert length < len(ANSWERS.rstrip()) or found == whole


@given(st.binary(max_size=300), st.sampled_from([KIND, "text/html", "", "multipart/mixed"]))
def test_what_is_no_answer_is_none(content: bytes, kind: str) -> None:
    assert all(isinstance(place, int) for place in unpacked(kind, content))
    assert (
        unpacked(kind, b"--batch_x\r\n" + content + b"\r\n--batch_x--") == {} or b"HTTP/" in content
    )


@pytest.mark.parametrize(
    "part",
    [
        b"Content-ID: <response-1@b>\n\n<html>sorry</html>\n",
        b"Content-ID: <item-1@b>\n\nHTTP/1.1 200 OK\n\n{}\n",
        b"\n\nHTTP/1.1 200 OK\n\n{}\n",
        b"Content-ID: <response-1@b>\n\nHTTP/1.1 OK\n\n{}\n",
        b"Content-ID: <response-1@b>\n\nHTTP/1.1 200 OK\nContent-Type: text/plain\n",
        b"",
    ],
)
def test_a_part_that_cannot_be_read_is_left_out(part: bytes) -> None:
    assert unpacked(KIND, b"--batch_x\n" + part + ANSWERS).keys() == {0, 1, 2}


def test_requests_are_written_as_others_read_them(events: Any) -> None:
    insert = events.insert(
        calendarId="dr a@b.example", body={"id": "a1", "summary": "Ü \r\n--x"}, fields="id"
    )
    delete = events.delete(calendarId="dr", eventId="a1")
    delete.headers["If-Match"] = '"3"'
    first, second = read_by_others(*packed([insert, delete]))
    line, headers, body = first
    assert line == (
        "POST /calendar/v3/calendars/dr%20a%40b.example/events?fields=id&alt=json HTTP/1.1"
    )
    assert headers["content-type"] == "application/json"
    assert int(headers["content-length"]) == len(body)
    assert json.loads(body) == {"id": "a1", "summary": "Ü \r\n--x"}
    line, headers, body = second
    assert line.startswith("DELETE /calendar/v3/calendars/dr/events/a1")
    assert headers["If-Match"] == '"3"'
    assert "accept-encoding" not in headers
    assert not body.strip()


def test_an_etag_is_no_way_to_another_header(events: Any) -> None:
    call = events.delete(calendarId="dr", eventId="a1")
    call.headers["If-Match"] = '"3"\r\nX-Goog-Other: 1\r\n\r\nbody'
    ((_, headers, body),) = read_by_others(*packed([call]))
    assert "X-Goog-Other" not in headers
    assert not body.strip()
