"""A Google Calendar of our own, Google's own client to drive it, and our plugin."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.oauth2 import service_account
from google_peer.peer import GooglePeer
from google_peer.routes import Call
from googleapiclient.discovery import build

from calendars.google import Google
from calendars.google.options import Options
from clinicrelay import EventResult, EventWrite, Look, Memo, Outcome
from clinicrelay.testing import NOW, kit
from clinicrelay.testing.applying import apply_all
from tests.calendars.google_client import Bound

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


@pytest.fixture
def events(connect: Any) -> Any:
    return Bound(connect().events())


class Ours:
    """The plugin towards the peer as one run has it, and what sync keeps between runs: memos."""

    def __init__(self, peer: GooglePeer, folder: Path, options: dict[str, Any], **own: Any) -> None:
        self.peer = peer
        self.waits: list[float] = []
        self.memos: dict[str, Memo] = {}
        rest = {"rest": self._rest, "instance_key": b"one clinic's"}
        self.kit = kit(folder, **rest | own)
        self.plugin = Google(Options.model_validate(options), self.kit)

    def _rest(self, seconds: float) -> bool:
        if seconds:  # else it is only asked whether the run goes on
            self.waits.append(seconds)
        return True

    def put(self, *writes: EventWrite, calendar: str = DOCTOR) -> list[EventResult]:
        """Write as sync does, until nothing is to be done again."""
        return apply_all(self.plugin, calendar, writes, self.memos)

    def once(self, write: EventWrite, calendar: str = DOCTOR) -> EventResult:
        """Write with what is known of the event, and return the first answer."""
        write = msgspec.structs.replace(write, memo=self.memos.get(write.ref, {}))
        (result,) = self.plugin.apply(calendar, [write])
        self.memos[write.ref] = result.memo
        return result

    def look(self, cursor: Any = None, calendar: str = DOCTOR) -> Look:
        return self.plugin.seen(calendar, cursor, self._known)

    def _known(self, refs: Collection[str] | None = None) -> Mapping[str, Memo]:
        return {ref: memo for ref, memo in self.memos.items() if refs is None or ref in refs}


@pytest.fixture
def reach_google(google: GooglePeer, tmp_path: Path) -> Iterator[Callable[..., Ours]]:
    """Make plugins of the one clinic; what is said are options, or `own` fields of the kit."""
    made: list[Ours] = []

    def reach(key: Any = None, own: Any = None, **said: Any) -> Ours:
        key = key or google.service_account(ROBOT, delegated=SCOPES)
        options = {"credentials": json.dumps(key), "base_url": google.url, **said}
        made.append(Ours(google, tmp_path, options, **own or {}))
        return made[-1]

    yield reach
    for one in made:
        one.plugin.close()


@pytest.fixture
def ours(reach_google: Callable[..., Ours]) -> Ours:
    """The plugin in its default mode, the calendar shared with the account."""
    return reach_google()


def write(ref: str = "r1", **changes: Any) -> EventWrite:
    """Return a write that puts half an hour on the coming day."""
    start = changes.pop("start", NOW + timedelta(days=1))
    fields = {"end": start + timedelta(minutes=30), "timezone": "Europe/Berlin"}
    fields |= {"title": "Appointment", "description": "Booked by us.", "written_at": NOW}
    return EventWrite(ref, put=True, start=start, **fields | changes)


def many(count: int) -> list[EventWrite]:
    """Return writes of visits one after the other."""
    return [write(f"r{n:03}", start=NOW + n * timedelta(hours=1)) for n in range(count)]


def asked(peer: GooglePeer) -> list[str]:
    """Return what was asked about events so far, in order."""
    return [call.operation for call in peer.calls() if call.operation not in ("token", "batch")]


def accepted(results: list[EventResult]) -> bool:
    return bool(results) and all(one.outcome is Outcome.ACCEPTED for one in results)


def live(google: GooglePeer) -> list[dict[str, Any]]:
    """Return the events that the doctor sees."""
    return google.dump(DOCTOR, live=True)


def batches(google: GooglePeer) -> list[list[Call]]:
    """Return the parts of each batch; the request that holds them is noted behind them."""
    found: list[list[Call]] = [[]]
    for call in google.calls():
        if call.operation == "batch":
            found.append([])
        elif call.in_batch:
            found[-1].append(call)
    return [parts for parts in found if parts]
