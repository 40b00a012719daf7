"""A clinic that workers work for: its book, its Google and its Twilio, and whether all is calm."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from google_peer.peer import GooglePeer
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from clinicrelay.settings import load
from commands._call import Call
from commands._frame import clinic
from sync import planner
from sync.runners import once
from tests.crash.scene import ROBOT, Scene, in_google, visit, write_settings
from tests.notifiers.peers import PROVIDERS, Peer

LEASE = 5  # seconds
DOCTORS = ("acar@riverside.example", "braun@riverside.example")
TWILIO = PROVIDERS[0]
REMINDED = 12  # visits
BEFORE = timedelta(hours=2)  # the import, so that reminders fall due after it
KEY = "an instance key that both have"


@dataclass
class Book:
    """What reception exports: each visit changes once at most, so it is the same by whoever reads."""

    now: datetime  # by the clinic's wall
    imported: int  # visits, besides those that are to be reminded of
    due: tuple[timedelta, ...]  # when those are, from now on
    rows: dict[int, dict[str, str]] = field(default_factory=dict)
    exports: int = 0

    def __post_init__(self) -> None:
        self.today = self.now.replace(hour=0, minute=0)
        for n in range(self.imported):
            self.rows[n] = visit(n, self.today + timedelta(days=6 + n % 20, hours=8, minutes=5 * n))
        for n in range(REMINDED):
            due = self.now + self.due[n % len(self.due)]
            number = self.imported + n
            self.rows[number] = visit(number, due + timedelta(days=1))

    def next(self) -> bool:
        """Move two visits, cancel one, give one away, book two; False: all have changed."""
        first = 4 * self.exports
        self.exports += 1
        if first + 4 > self.imported:
            return False
        for n in (first, first + 1):
            start = self.today + timedelta(days=30 + n, hours=9, minutes=n)
            self.rows[n]["start"] = f"{start:%Y-%m-%d %H:%M}"
        self.rows[first + 2]["status"] = "cancelled"
        other = "braun" if self.rows[first + 3]["doctor_id"] == "acar" else "acar"
        self.rows[first + 3].update(
            doctor_id=other,
            doctor=f"Dr. {other.title()}",
            doctor_email=f"{other}@riverside.example",
        )
        for n in (200 + 2 * self.exports, 201 + 2 * self.exports):
            self.rows[n] = visit(n, self.today + timedelta(days=40 + n % 7, hours=8, minutes=n))
        return True


@dataclass
class House:
    """A clinic with peers of its own; they live in this process, which nobody kills."""

    scene: Scene
    google: GooglePeer
    twilio: Peer

    @property
    def sent(self) -> Counter[tuple[str, str]]:
        return Counter((one.to, one.text) for one in self.twilio.taken)

    def events(self) -> dict[str, tuple[Any, ...]]:
        return {
            f"{doctor}/{event['id']}": (event["start"], event["end"], event["summary"])
            for doctor in DOCTORS
            for event in self.google.dump(doctor, live=True)
        }

    @contextmanager
    def opened(self, now: datetime | None = None) -> Iterator[Any]:
        said = None if now is None else f"{now:%Y-%m-%dT%H:%M}"
        call = Call(self.scene.folder / "settings.yaml", now=said)
        environ = {"STORE_URL": self.scene.store_url, "RABBITMQ_URL": "", **self.scene.environ}
        with clinic(call, load(call.settings, environ=environ)) as at_work:
            yield at_work

    def imports(self, book: Book) -> None:
        """Read the first export some time before anything falls due."""
        self.scene.drop([*book.rows.values()], 1)
        with self.opened(book.now - BEFORE) as at_work:
            assert once.sync(at_work).exit == 0

    def query(self, statement: str) -> list[Any]:
        engine = create_engine(self.scene.store_url, poolclass=NullPool)
        with engine.connect() as connection:
            return list(connection.execute(text(statement)))

    def is_calm(self) -> bool:
        """Whether nothing is left to be read, planned, sent or written; not what nobody knows yet."""
        if any((self.scene.folder / "drops" / "reception").rglob("*.csv")) and self._unread():
            return False
        now = int(time.time())
        left = self.query(
            "SELECT (SELECT count(*) FROM events WHERE state IN ('put', 'remove')) + "
            f"(SELECT count(*) FROM messages WHERE state = 'planned' AND due_at <= {now}) + "
            "(SELECT count(*) FROM attempts WHERE state IN ('sending', 'handed_over'))"
        )
        if left[0][0]:
            return False
        with self.opened() as at_work:
            return not planner.waits(at_work)

    def _unread(self) -> bool:
        inbox = self.scene.folder / "drops" / "reception"
        return any(inbox.glob("*.csv")) or any((inbox / "processing").glob("*.csv"))

    def unproven(self) -> set[str]:
        """Return who is owed something of which nobody can tell yet whether it arrived."""
        rows = self.query("SELECT recipient FROM messages WHERE state IN ('unknown', 'unproven')")
        return {f"+491515550{int(row[0].removeprefix('patient/P')):04}" for row in rows}


@contextmanager
def house(folder: Path, store_url: str) -> Iterator[House]:
    """Open a clinic that has never run."""
    folder.mkdir()
    write_settings(folder)
    peer = Peer(TWILIO)
    with GooglePeer(seed=7) as google:
        for doctor in DOCTORS:
            google.calendar(doctor, shared={ROBOT: "writer"})
        scene = in_google(Scene(folder, store_url), google)
        file = folder / "settings.yaml"
        settings = json.loads(file.read_text())
        settings["store"] |= {"lease": f"{LEASE}s", "instance_key": KEY}
        settings["reminders"] = {
            "patient": {"confirmation": {"channels": ["sms"]}, "steps": ["1d"]}
        }
        settings["channels"] = TWILIO.channels
        settings["notifiers"] = {
            "twilio": {**TWILIO.options, "base_url": peer.door(), "timeout": "2s"}
        }
        settings["quiet_hours"] = "off"
        settings["safety"] = {
            "caps": "off",
            "max_messages_per_run": 5000,
            "hold_if": {"at_least": 1000, "shifted": 1000, "storm": "1000x"},
        }
        file.write_text(json.dumps(settings))
        try:
            yield House(scene, google, peer)
        finally:
            peer.close()
