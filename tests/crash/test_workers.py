"""Real workers on a real RabbitMQ: killed, told to end, cut off, and lied to."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from clinicrelay.settings.running import Runner
from clinicrelay.testing import Reply, serving
from clinicrelay.times import iso, local
from sync.runners import celery, celery_worker
from sync.runners.celery import STEP, program, refusal
from sync.runners.celery_worker import Pulse
from sync.runners.jobs import Job
from tests.clinicrelay.http.conftest import Authority
from tests.crash.chaos import EVERYTHING
from tests.crash.fleet import BROKER, DONE, Fleet, Worker, refuse_absent, until
from tests.crash.killing import ZONE, Post, post
from tests.crash.scene import visit
from tests.crash.scenes import Scenes
from tests.crash.wire import Wire
from tests.notifiers.peers import PROVIDERS

pytestmark = [pytest.mark.crash, pytest.mark.parametrize("base", ["postgres"], indirect=True)]

PATIENTS = 6
PROMISED = 10.0  # seconds


@pytest.fixture(autouse=True)
def _rabbitmq() -> None:
    refuse_absent()


@pytest.fixture
def clinic(scenes: Scenes) -> Iterator[Post]:
    """A clinic whose patients are to be reminded right now, of visits in a day."""
    told = {
        "quiet_hours": "off",
        "safety": {"caps": "off", "hold_if": {"at_least": 1000, "storm": "1000x"}},
    }
    with post(scenes, PROVIDERS[0], doors=2, **told) as made:
        for old in (made.scene.folder / "drops" / "reception").iterdir():
            old.unlink()
        now = local(datetime.now(UTC), ZONE)
        soon = now + timedelta(days=1, minutes=-5)
        made.scene.drop([visit(n, soon) for n in range(PATIENTS)], 1)
        assert made.scene.sync_here(iso(now - timedelta(hours=2))) == DONE
        yield made


@pytest.fixture
def fleet(clinic: Post) -> Iterator[Fleet]:
    made = Fleet(clinic.scene)
    yield made
    made.close()


def start(fleet: Fleet, clinic: Post, door: int) -> Worker:
    return fleet.start(PROVIDER_URL=clinic.doors[door])


def asked(clinic: Post, door: int) -> int:
    return len(clinic.peer.doors[door].log)


def reminded(clinic: Post) -> Counter[str]:
    return Counter(one.to for one in clinic.peer.taken)


def test_what_a_killed_worker_was_at_is_done_by_another_and_nobody_is_told_twice(
    fleet: Fleet, clinic: Post
) -> None:
    clinic.peer.answers.clear()  # whoever comes first hangs
    first = start(fleet, clinic, 0)
    until(lambda: asked(clinic, 0))
    start(fleet, clinic, 1)
    until(fleet.workers[1].children)

    first.kill()
    killed = time.monotonic()
    until(lambda: asked(clinic, 1))
    print(f"another worker was at it {time.monotonic() - killed:.1f} s after the kill")
    clinic.peer.answers.set()

    until(lambda: len(reminded(clinic)) == PATIENTS)
    assert set(reminded(clinic).values()) == {1}


def test_a_worker_that_is_told_to_end_ends_in_time_whatever_it_waits_for(
    fleet: Fleet, clinic: Post
) -> None:
    clinic.peer.answers.clear()
    worker = start(fleet, clinic, 0)
    until(lambda: asked(clinic, 0))
    worker.process.send_signal(signal.SIGHUP)  # edits count without: it goes on as it is
    time.sleep(1)
    assert worker.lives

    began = time.monotonic()
    worker.process.send_signal(signal.SIGTERM)
    code = worker.process.wait(60)

    assert time.monotonic() - began < PROMISED
    assert code == DONE, worker.said()
    clinic.peer.answers.set()
    start(fleet, clinic, 1)
    until(lambda: len(reminded(clinic)) == PATIENTS)
    assert set(reminded(clinic).values()) == {1}
    assert "Traceback" not in worker.said()


def test_a_worker_whose_connection_was_cut_finds_rabbitmq_again(clinic: Post) -> None:
    wire = Wire(BROKER)
    fleet = Fleet(clinic.scene, broker=wire.url)
    try:
        worker = start(fleet, clinic, 0)
        until(lambda: len(reminded(clinic)) == PATIENTS)
        wire.cut()
        until(lambda: "Connection to broker lost" in worker.said())
        clinic.scene.drop([visit(n, datetime(2030, 1, 7, 9 + n)) for n in range(PATIENTS)], 2)
        fleet.wake(Job("pull", "reception"))
        until(lambda: not [*(clinic.scene.folder / "drops" / "reception").glob("*.csv")])
        until(lambda: worker.said().count("RabbitMQ is reached again.") == 1)
        assert worker.lives
        assert "Traceback" not in worker.said()
        assert wire.url not in worker.said()
    finally:
        fleet.close()
        wire.close()


def test_wake_ups_name_a_clinic_and_a_step_and_there_are_never_too_many(
    fleet: Fleet, clinic: Post
) -> None:
    worker = start(fleet, clinic, 0)
    until(lambda: len(reminded(clinic)) == PATIENTS)
    worker.kill()
    fleet.purge()
    for _ in range(3):
        fleet.wake(*EVERYTHING)

    with fleet._channel() as channel:
        found = channel.basic_get(fleet.queue, no_ack=True)
        said = json.loads(found.body)
    assert said[:2] == [[], {"clinic": "riverside", "step": "pull", "of": "reception"}]
    assert found.headers["task"] == STEP
    assert found.headers["eta"] is None
    assert found.properties["delivery_mode"] == 2
    arguments = fleet.arguments()
    assert arguments["x-queue-type"] == "quorum"
    assert arguments["x-max-length"] <= 10_000
    assert arguments["x-message-ttl"] <= 600_000


def test_a_worker_that_hears_nothing_any_more_ends_to_be_started_anew(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = Runner(broker=SecretStr(BROKER), queue=fleet.queue)
    said: list[str] = []
    pulse = Pulse(fleet.app, runner, said.append, timedelta(minutes=5))
    monkeypatch.setattr(celery_worker, "_leave", lambda code: (_ for _ in ()).throw(Left(code)))

    hung = threading.Event()
    monkeypatch.setattr(celery_worker, "publish", lambda *_, **__: hung.wait(60))

    pulse._heard -= 299
    pulse.look()
    pulse._heard -= 2
    with pytest.raises(Left, match="75"):
        pulse.look()  # though the beat before still hangs on its wire
    pulse.hear()
    pulse.look()
    hung.set()
    assert len(said) == 1
    assert "nothing was heard" in said[0]


class Left(Exception):
    """Stands for the end of the process."""


def test_only_a_rabbitmq_that_is_known_is_spoken_to(tmp_path: Path, base: object) -> None:
    ours, theirs = Authority(tmp_path), Authority(tmp_path, "Somebody Else")
    wire = Wire(BROKER, tls=ours.serving(ours.sign()))
    elsewhere = Wire(BROKER, tls=ours.serving(ours.sign("other", host="mq.elsewhere.example")))
    try:
        assert refused(wire.url, ours.file) is None
        for url, ca in ((wire.url, theirs.file), (wire.url, None), (elsewhere.url, ours.file)):
            assert refused(url, ca) == "broker_certificate"
    finally:
        wire.close()
        elsewhere.close()


def test_a_fleet_is_heard_from_outside_and_leaves_its_numbers(fleet: Fleet, clinic: Post) -> None:
    with serving(lambda _asked: Reply(b"OK")) as watcher:
        file = fleet.scene.folder / "settings.yaml"
        settings = json.loads(file.read_text())
        settings["monitoring"] = {"heartbeat": f"{watcher.url}/ping", "textfile": "clinic.prom"}
        file.write_text(json.dumps(settings))
        start(fleet, clinic, 0)
        start(fleet, clinic, 1)
        until(lambda: any(asked.path == "/ping" for asked in watcher.log))
        paths = [asked.path for asked in watcher.log]
    assert paths == ["/ping/start", "/ping"]
    assert "clinicrelay_store_readable" in (fleet.scene.folder / "clinic.prom").read_text()


def test_what_rabbitmq_refuses_is_a_mistake_in_the_settings_and_its_absence_is_none(
    base: object,
) -> None:
    host = urlsplit(BROKER).netloc.rpartition("@")[2]
    assert refused(BROKER) is None
    assert refused(f"amqp://guest:canary-4711@{host}/") == "broker_login"
    assert refused(f"{BROKER.rpartition('/')[0]}/nowhere-{os.getpid()}") == "broker_vhost"
    assert refused("amqp://guest:guest@127.0.0.1:1/") is None
    away = Runner(broker=SecretStr("amqp://guest:canary-4711@127.0.0.1:1/"))
    asked = celery.refused(away)
    assert asked is not None
    assert asked.code == "broker_away"
    assert "canary" not in repr(asked)


def refused(url: str, ca: Path | None = None) -> str | None:
    app = program(Runner(broker=SecretStr(url), ca=ca), work=None)  # type: ignore[arg-type]
    found = refusal(app)
    assert "canary" not in repr(found)
    return found.code if found else None
