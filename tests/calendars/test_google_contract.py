"""Doctors' Google calendars keep the contract, against a Google of our own over real sockets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google_peer.peer import GooglePeer

from calendars.google import Google
from calendars.google.options import Options
from clinicrelay.testing import CalendarContract, SeenEvent, kit

ROBOT = "relay@riverside.example"
BRACKETS = str.maketrans(
    "", "", "\N{MATHEMATICAL LEFT WHITE SQUARE BRACKET}\N{MATHEMATICAL RIGHT WHITE SQUARE BRACKET}"
)


class TestGoogleKeepsTheContract(CalendarContract):
    peer: GooglePeer
    made: list[Google]

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Iterator[Path]:
        with GooglePeer(seed=7) as self.peer:
            for calendar in (self.ours, self.other):
                self.peer.calendar(calendar, shared={ROBOT: "writer"})
            self.made = []
            yield tmp_path
            for plugin in self.made:
                plugin.close()

    def plugin(self) -> type[Google]:
        return Google

    def make(self, folder: Path) -> Google:
        key = json.dumps(self.peer.service_account(ROBOT))
        said: dict[str, Any] = {"credentials": key, "base_url": self.peer.url, "timeout": "5s"}
        own = kit(folder, instance_key=b"one clinic's", rest=lambda seconds: True)
        self.made.append(Google(Options.model_validate(said), own))
        return self.made[-1]

    def events(self, folder: Path, calendar: str) -> Sequence[SeenEvent]:
        return [_seen(event) for event in self.peer.dump(calendar, live=True)]

    def state(self, folder: Path, calendar: str) -> object:
        return self.peer.dump(calendar)

    def break_destination(self, folder: Path) -> None:
        self.peer.__exit__()

    def doctor_moves(self, folder: Path, calendar: str, identity: str, minutes: int) -> None:
        self.peer.doctor(calendar).move(identity, minutes=minutes)

    def doctor_deletes(self, folder: Path, calendar: str, identity: str) -> None:
        self.peer.doctor(calendar).delete(identity)

    def doctor_retitles(self, folder: Path, calendar: str, identity: str, title: str) -> None:
        self.peer.doctor(calendar).edit(identity, summary=title)

    def doctor_notes(self, folder: Path, calendar: str, identity: str, note: str) -> None:
        (event,) = (one for one in self.peer.dump(calendar) if one["id"] == identity)
        # Google's own editor: line ends become <br>, and what was there stays.
        told = event.get("description", "").replace("\n", "<br>")
        self.peer.doctor(calendar).edit(identity, description=f"{note}<br><br>{told}")

    def doctor_copies(self, folder: Path, calendar: str, identity: str) -> None:
        self.peer.doctor(calendar).copy(identity)

    def lists_lie(self, folder: Path, calendar: str) -> None:
        self.peer.fault("empty_list", "list", calendar=calendar)


def _seen(event: dict[str, Any]) -> SeenEvent:
    return SeenEvent(
        identity=event["id"],
        title=event.get("summary", ""),
        start=_instant(event["start"]),
        end=_instant(event["end"]),
        description=event.get("description", "").translate(BRACKETS),
        location=event.get("location", ""),
        tentative=event["status"] == "tentative",
    )


def _instant(value: dict[str, str]) -> datetime:
    return datetime.fromisoformat(value["dateTime"]).astimezone(UTC)
