"""Several real workers on one clinic, by RabbitMQ: to be killed, frozen, and woken too often."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from amqp.exceptions import NotFound
from kombu import Connection, Exchange, Queue
from pydantic import SecretStr

from clinicrelay.settings.running import Runner
from sync.runners.celery import NOT_TAKEN, STEP, program, publish
from sync.runners.jobs import Job
from tests.crash.scene import ROOT
from tests.crash.scenes import REQUIRED

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.crash.scene import Scene

BROKER = os.environ.get("CLINICRELAY_TEST_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672/")
CLINIC = "riverside"
DONE, TRY_AGAIN = 0, 75


def refuse_absent() -> None:
    """Skip a test where no RabbitMQ answers, unless it has to be there."""
    try:
        with Connection(BROKER, connect_timeout=5) as connection:
            connection.ensure_connection(max_retries=1, timeout=5)
    except NOT_TAKEN as error:
        if "rabbitmq" in REQUIRED:
            raise
        pytest.skip(f"no RabbitMQ answers at CLINICRELAY_TEST_RABBITMQ ({type(error).__name__})")


@dataclass
class Worker:
    """One worker's main process, which leads a group of its own with its children."""

    process: subprocess.Popen[str]
    log: Path

    @property
    def lives(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Tell the whole group, as where a machine is gone or stands still."""
        if self.lives:
            os.killpg(self.process.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.process.wait(30)

    def kill_main(self) -> None:
        """Kill the one that speaks to RabbitMQ; its children must not outlive it."""
        self.process.kill()
        self.process.wait(30)

    def children(self) -> list[int]:
        pid = self.process.pid
        try:
            return [
                int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            ]
        except OSError:
            return []

    def said(self) -> str:
        return self.log.read_text()


@dataclass
class Fleet:
    """The workers of one clinic, on a queue that nobody else uses."""

    scene: Scene
    broker: str = BROKER
    queue: str = field(default_factory=lambda: f"clinicrelay-test-{secrets.token_hex(4)}")
    workers: list[Worker] = field(default_factory=list)

    def __post_init__(self) -> None:
        file = self.scene.folder / "settings.yaml"
        settings = json.loads(file.read_text())
        settings["runner"] = {"broker": "${RABBITMQ_URL}", "queue": self.queue}
        file.write_text(json.dumps(settings))
        runner = Runner(broker=SecretStr(self.broker), queue=self.queue)
        self.app = program(runner, work=None)  # type: ignore[arg-type]

    def start(self, *words: str, **environ: str) -> Worker:
        """Start one more worker, with one job at a time."""
        log = self.scene.folder / f"worker{len(self.workers)}.log"
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "STORE_URL": self.scene.store_url,
            "RABBITMQ_URL": self.broker,
            **self.scene.environ,
            **environ,
        }
        words = words or ("worker", "--every", "30s", "--processes", "1")
        program = [sys.executable, "-c", "import commands; commands.main()", *words]
        with log.open("w") as file:
            process = subprocess.Popen(
                program,
                cwd=self.scene.folder,
                env=environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self.workers.append(Worker(process, log))
        return self.workers[-1]

    def wake(self, *found: Job) -> None:
        """Wake somebody for each of these jobs."""
        for job in found:
            publish(self.app, STEP, clinic=CLINIC, step=job.step, of=job.of)

    def purge(self) -> int:
        """Take every wake-up away that nobody has begun with; return how many."""
        with self._channel() as channel:
            return int(channel.queue_purge(self.queue))

    def listeners(self) -> int:
        """Return how many workers wait for wake-ups."""
        try:
            with self._channel() as channel:
                return int(channel.queue_declare(self.queue, passive=True).consumer_count)
        except NotFound:
            return 0

    def arguments(self) -> dict[str, Any]:
        """Return what the shared queue is declared with."""
        queue: Queue = self.app.amqp.queues[self.queue]
        return dict(queue.queue_arguments)

    @contextmanager
    def _channel(self) -> Iterator[Any]:
        with Connection(self.broker, connect_timeout=5) as connection:
            yield connection.default_channel

    def close(self) -> None:
        for worker in self.workers:
            worker.signal(signal.SIGCONT)
            worker.kill()
        own = [f"{self.queue}.worker.{name}" for name in self._names()]
        with self._channel() as channel:
            for queue in (self.queue, *own):
                channel.queue_delete(queue)
            Exchange(self.queue, channel=channel).delete()

    def _names(self) -> Sequence[str]:
        import socket

        host = socket.gethostname().partition(".")[0]
        return [f"{host}-{worker.process.pid}" for worker in self.workers]


def until(happened: Callable[[], object], seconds: float = 60) -> None:
    """Wait for something that happens in another process."""
    import time

    give_up = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < give_up, "it never happened"
        time.sleep(0.05)
