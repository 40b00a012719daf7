"""A Google Calendar of our own, and Google's own client to drive it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.oauth2 import service_account
from google_peer.peer import GooglePeer
from googleapiclient.discovery import build

SCOPES = ("https://www.googleapis.com/auth/calendar.events",)
ROBOT = "relay@riverside.example"
DOCTOR = "acar@riverside.example"

Connect = Callable[..., Any]


@pytest.fixture
def google() -> Iterator[GooglePeer]:
    """A peer with one doctor, who shared the calendar with one service account."""
    with GooglePeer(seed=7) as peer:
        peer.calendar(DOCTOR, shared={ROBOT: "writer"})
        yield peer


@pytest.fixture
def connect(google: GooglePeer) -> Iterator[Connect]:
    """Make services of the real client; all are closed in the end."""
    made = []

    def connect(
        *,
        key: Any = None,
        scopes: tuple[str, ...] = SCOPES,
        subject: str | None = None,
        url: str = google.url,
    ) -> Any:
        info = key or google.service_account(ROBOT)
        credentials = service_account.Credentials.from_service_account_info(
            info, scopes=scopes, subject=subject
        )
        service = build(
            "calendar",
            "v3",
            credentials=credentials,
            client_options={"api_endpoint": f"{url}/calendar/v3/"},
        )
        made.append(service)
        return service

    yield connect
    for service in made:
        service.close()
