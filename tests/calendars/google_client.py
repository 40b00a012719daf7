"""Google's own client, as the peer's tests use it."""

from __future__ import annotations

from typing import Any

import pytest
from google.auth.exceptions import RefreshError
from google_peer.peer import GooglePeer
from googleapiclient.errors import HttpError
from googleapiclient.http import BatchHttpRequest

ROBOT, DOCTOR = "relay@riverside.example", "acar@riverside.example"
EVENTS = "https://www.googleapis.com/auth/calendar.events"
PRIVATE = {"private": {"csRef": "r1", "csInst": "i1"}}


def event(**more: Any) -> dict[str, Any]:
    return {
        "id": "cs001",
        "summary": "Appointment",
        "start": {"dateTime": "2026-12-01T09:00:00Z"},
        "end": {"dateTime": "2026-12-01T09:30:00Z", "timeZone": "Europe/Berlin"},
        "visibility": "private",
        "extendedProperties": PRIVATE,
        **more,
    }


def refused(request: Any) -> tuple[int, str]:
    with pytest.raises(HttpError) as caught:
        request.execute()
    return caught.value.status_code, caught.value.error_details[0]["reason"]


class Bound:
    """The events of one calendar, so that tests need not name it."""

    def __init__(self, of: Any, calendar: str = DOCTOR) -> None:
        self._of, self._calendar = of, calendar

    def __getattr__(self, name: str) -> Any:
        def ask(event_id: str | None = None, body: Any = None, **more: Any) -> Any:
            said = {"eventId": event_id, "body": body}
            given = {key: value for key, value in said.items() if value is not None}
            return getattr(self._of, name)(calendarId=self._calendar, **given, **more)

        return ask


def insert(events: Any, **more: Any) -> Any:
    return events.insert(body=event(**more)).execute()


def grant_error(connect: Any, **said: Any) -> tuple[str, str]:
    with pytest.raises(RefreshError) as caught:
        connect(**said).events().list(calendarId=DOCTOR).execute()
    details = caught.value.args[1]
    return details["error"], details["error_description"]


def batched(google: GooglePeer, requests: dict[str, Any]) -> dict[str, Any]:
    """Return by name a status, or what came back."""
    answers: dict[str, Any] = {}

    def keep(name: str, answer: Any, error: HttpError | None) -> None:
        answers[name] = error.status_code if error else answer

    batch = BatchHttpRequest(keep, batch_uri=f"{google.url}/batch/calendar/v3")
    for name, request in requests.items():
        batch.add(request, request_id=name)
    batch.execute()
    return answers
