"""`kill -9` at every moment of an SMTP delivery: nothing is lost unseen, and nothing said too often."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from aiosmtpd.controller import Controller

from tests.crash.telling import DONE, FAR_AHEAD, TOMORROW, imported, told, visit

if TYPE_CHECKING:
    from tests.crash.scene import Scene
    from tests.crash.scenes import Scenes

pytestmark = pytest.mark.crash

HERE = Path(__file__).parent
PATHS = f"{HERE / 'smtp_killer'}{os.pathsep}{HERE.parents[1]}"
KILLED, AGAIN, LATER = (f"2026-11-23T{t}" for t in ("12:05", "12:20", "12:50"))

BEFORE_THE_DOT = ("connected", "EHLO", "MAIL", "RCPT", "DATA", "body")
NOBODY_KNOWS = ("handed over", "dot", "answer")
ARRIVED = ("dot", "answer")


class Arrived(NamedTuple):
    to: str
    message_id: str


class Relay:
    """A mail server that takes everything."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self.mails: list[Arrived] = []
        self.came = threading.Condition()
        self.answers = threading.Event()
        self.answers.set()
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port)

    async def handle_DATA(  # noqa: N802 - aiosmtpd calls it so
        self, server: Any, session: Any, envelope: Any
    ) -> str:
        mail = message_from_bytes(envelope.content)
        with self.came:
            self.mails += [Arrived(to, mail["Message-ID"]) for to in envelope.rcpt_tos]
            self.came.notify_all()
        while not self.answers.is_set():
            await asyncio.sleep(0.01)
        return "250 2.0.0 Ok: queued as 1XyZ"

    def wait_for(self, count: int) -> None:
        """Wait until that many mails came: the last bytes of a dead process still travel."""
        with self.came:
            assert self.came.wait_for(lambda: len(self.mails) >= count, timeout=10)


@pytest.fixture
def relay() -> Iterator[Relay]:
    made = Relay()
    made.controller.start()
    yield made
    made.answers.set()
    made.controller.stop()


@pytest.fixture
def scene(scenes: Scenes, relay: Relay) -> Scene:
    """A clinic that has read one visit and sends through the relay."""
    made = scenes.empty()
    file = made.folder / "settings.yaml"
    settings = json.loads(file.read_text())
    settings["calendars"] = {}
    settings["reminders"] = {"patient": {"steps": ["1d"]}}
    server = {"host": "127.0.0.1", "port": relay.port, "security": "none"}
    settings["notifiers"] = {
        "post": {"type": "smtp", "from": "noreply@riverside.example", **server}
    }
    file.write_text(json.dumps(settings))
    return made


def killed(scene: Scene, moment: str) -> None:
    ended = scene.end(scene.start(KILLED, PYTHONPATH=PATHS, SMTP_KILL_AT=moment))
    assert ended.code == -signal.SIGKILL, f"{moment} was not reached: {ended.said}"


def test_a_reminder_whose_sender_is_killed_before_the_final_dot_arrives_once(
    scene: Scene, relay: Relay
) -> None:
    imported(scene, TOMORROW)
    for moment in BEFORE_THE_DOT:
        killed(scene, moment)
        assert told(scene, KILLED).state == "planned", moment
        assert not relay.mails, moment
    scene.sync_here(AGAIN)
    scene.sync_here(LATER)

    seen = told(scene, LATER)
    assert len(relay.mails) == 1
    assert (seen.state, seen.reason, seen.unknown, seen.needs) == ("sent", None, 0, [])


@pytest.mark.parametrize("moment", NOBODY_KNOWS)
def test_a_reminder_whose_sender_is_killed_after_it_is_not_repeated(
    scene: Scene, relay: Relay, moment: str
) -> None:
    imported(scene, TOMORROW)
    killed(scene, moment)
    relay.wait_for(1 if moment in ARRIVED else 0)
    assert told(scene, KILLED).unknown == 1
    scene.sync_here(AGAIN)
    scene.sync_here(LATER)

    seen = told(scene, LATER)
    assert len(relay.mails) == (1 if moment in ARRIVED else 0)
    assert (seen.state, seen.reason) == ("unproven", "unproven_not_repeated")
    assert "Nobody can find out whether the reminder 1d" in seen.answer
    assert seen.unknown == 1
    assert len(seen.needs) == 1


@pytest.mark.parametrize("moment", NOBODY_KNOWS)
def test_a_cancellation_whose_sender_is_killed_is_repeated_once(
    scene: Scene, relay: Relay, moment: str
) -> None:
    imported(scene, FAR_AHEAD)
    scene.drop([visit(FAR_AHEAD, status="cancelled")], 2)
    killed(scene, "body")
    assert not relay.mails
    killed(scene, moment)
    relay.wait_for(1 if moment in ARRIVED else 0)
    assert told(scene, KILLED).unknown == 1
    scene.sync_here(AGAIN)
    scene.sync_here(LATER)

    seen = told(scene, LATER)
    assert len(relay.mails) == (2 if moment in ARRIVED else 1)
    assert len(set(relay.mails)) == 1, "the same Message-ID, to the same patient"
    assert (seen.state, seen.reason) == ("sent", "unproven_repeated")
    assert (seen.unknown, seen.needs) == (0, [])
    assert "the patient was told by e-mail" in seen.answer


def test_a_cancellation_whose_sender_is_killed_twice_is_left_to_a_person(
    scene: Scene, relay: Relay
) -> None:
    imported(scene, FAR_AHEAD)
    scene.drop([visit(FAR_AHEAD, status="cancelled")], 2)
    killed(scene, "dot")
    relay.wait_for(1)
    killed(scene, "answer")
    relay.wait_for(2)
    scene.sync_here(AGAIN)
    scene.sync_here(LATER)

    seen = told(scene, LATER)
    assert len(relay.mails) == 2
    assert len(set(relay.mails)) == 1
    assert (seen.state, seen.reason, seen.unknown) == ("unproven", "unproven_twice", 1)
    assert len(seen.needs) == 1


LEASE = 1.0


@pytest.fixture
def impatient(scene: Scene) -> Scene:
    """The same with a lease that is over long before a slow server has answered."""
    file = scene.folder / "settings.yaml"
    settings = json.loads(file.read_text())
    file.write_text(
        json.dumps(settings | {"store": {**settings["store"], "lease": f"{LEASE:.0f}s"}})
    )
    return scene


def test_a_sender_that_waits_for_a_slow_server_is_not_overtaken(
    impatient: Scene, relay: Relay
) -> None:
    imported(impatient, TOMORROW)
    relay.answers.clear()
    first = impatient.start(KILLED)
    relay.wait_for(1)
    time.sleep(1.5 * LEASE)  # the database's clock is what is waited for
    impatient.sync_here(AGAIN)
    impatient.sync_here(LATER)
    assert len(relay.mails) == 1
    relay.answers.set()
    assert impatient.end(first).code == DONE

    seen = told(impatient, LATER)
    assert len(relay.mails) == 1
    assert (seen.state, seen.reason, seen.unknown, seen.needs) == ("sent", None, 0, [])


def test_a_sender_killed_while_it_waits_is_followed_at_once(scene: Scene, relay: Relay) -> None:
    imported(scene, FAR_AHEAD)
    scene.drop([visit(FAR_AHEAD, status="cancelled")], 2)
    relay.answers.clear()
    first = scene.start(KILLED)
    relay.wait_for(1)
    first.kill()
    scene.end(first)
    relay.answers.set()
    scene.sync_here(AGAIN)
    assert len(relay.mails) == 2
    assert told(scene, LATER).reason == "unproven_repeated"
