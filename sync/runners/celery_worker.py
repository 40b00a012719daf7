"""One worker: a Celery worker that beats by itself, notices that it is deaf, and ends when told to."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import threading
import time
import warnings
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from celery import Celery, signals
from celery.platforms import SecurityWarning
from celery.worker import state
from celery.worker.consumer import Consumer

from clinicrelay.errors import SettingsError
from sync.runners import jobs
from sync.runners.celery import (
    HARD,
    NOT_TAKEN,
    SWEEP,
    Work,
    node,
    own_queue,
    program,
    publish,
    refusal,
)

if TYPE_CHECKING:
    from clinicrelay.settings.schema import Runner
    from sync.runners.fleet import Say

DONE, TRY_AGAIN = 0, 75
_ADDRESS = re.compile(r"amqps?://\S*?(?=[:,.]?(?:\s|$))")  # with its user, host and vhost
_AWAY = ("Connection to broker lost", "Cannot connect to")  # as Celery's listener says it
_PATIENCE = 8.0  # seconds for jobs at work to end by themselves; we promise 10
_DELAYS = "celery.worker.consumer.delayed_delivery:DelayedDelivery"


def run(settings: Runner, work: Work, *, processes: int, deaf_after: timedelta) -> int:
    """Work until told to end; return the exit code: 0, or 75 where a supervisor is to start it anew.

    Raises SettingsError where RabbitMQ will not have us.
    """
    app = program(settings, work)
    if wrong := refusal(app):
        raise SettingsError([wrong])
    warnings.simplefilter("ignore", SecurityWarning)  # root is dangerous with pickle; this is JSON
    signals.setup_logging.connect(_keep_logging, weak=False)
    shortly = _say_shortly(work.say)
    worker = app.Worker(
        hostname=f"worker@{node()}",
        pool="prefork",
        concurrency=processes,
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        consumer_cls=f"{__name__}:Listener",
    )
    pulse = Pulse(app, settings, work.say, deaf_after)

    def ready(**_: object) -> None:
        pulse.begin()
        for told in (signal.SIGTERM, signal.SIGINT):  # Celery's own would greet on the screen
            signal.signal(told, lambda *_: _end(worker, work.say))
        if hasattr(signal, "SIGHUP"):  # Celery's own would start all of it anew
            signal.signal(signal.SIGHUP, lambda *_: None)  # each job looks for edits

    signals.task_received.connect(pulse.hear, weak=False)
    signals.task_received.connect(shortly.hear, weak=False)
    signals.worker_ready.connect(ready, weak=False)
    signals.worker_shutting_down.connect(lambda **_: _end(worker, work.say), weak=False)
    pulse.start()
    worker.start()
    return int(worker.exitcode or DONE)


class Listener(Consumer):  # type: ignore[misc]
    """Celery's own, but for the 28 queues in which it would put things off: nothing ever is."""

    class Blueprint(Consumer.Blueprint):  # type: ignore[misc]
        default_steps = [one for one in Consumer.Blueprint.default_steps if one != _DELAYS]


class Pulse(threading.Thread):
    """Wakes this worker for a sweep again and again, and ends it when it does not hear that any more.

    Workers have been seen alive for days that heard nothing after a broken connection. What is heard
    has gone to RabbitMQ and come back by the way that all wake-ups come.
    """

    def __init__(self, app: Celery, settings: Runner, say: Say, deaf_after: timedelta) -> None:
        super().__init__(name="pulse", daemon=True)
        self._app, self._queue, self._say = app, own_queue(settings), say
        self._deaf_after = deaf_after.total_seconds()
        self._heard = time.monotonic()
        self._ready = threading.Event()
        self._beating: threading.Thread | None = None

    def hear(self, **_: object) -> None:
        """Note that a wake-up came."""
        self._heard = time.monotonic()

    def begin(self) -> None:
        """Beat at once, as there is somebody who listens."""
        self._ready.set()

    def run(self) -> None:
        """Beat until the process ends."""
        while True:
            self._ready.wait(jobs.PERIOD.total_seconds())
            self._ready.clear()
            self.look()

    def look(self) -> None:
        """Beat once; leave where nothing came of those before for too long.

        A beat may hang for ever on a wire that fell silent, so it has a thread of its own.
        """
        if self._beating is None or not self._beating.is_alive():
            self._beating = threading.Thread(target=self._beat, name="beat", daemon=True)
            self._beating.start()
        if (silent := time.monotonic() - self._heard) > self._limit():
            self._say(
                f"nothing was heard from RabbitMQ for {silent:.0f} s: this worker ends with "
                f"{TRY_AGAIN}, to be started anew"
            )
            _leave(TRY_AGAIN)

    def _limit(self) -> float:
        """Who is at a job may hear nothing until it has ended."""
        return self._deaf_after + (HARD if state.active_requests else 0)

    def _beat(self) -> None:
        try:
            publish(self._app, SWEEP, to=self._queue)
        except NOT_TAKEN:
            return  # the listener says so, and goes on trying


# --- the end -------------------------------------------------------------------------------------


def _end(worker: Any, say: Say) -> None:
    """Let jobs at work end by themselves; what is left after a few seconds is left to others."""
    state.should_stop = DONE
    for child in _children(worker):
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)
    late = threading.Timer(_PATIENCE, _leave_late, [say])
    late.daemon = True
    late.start()


def _leave_late(say: Say) -> None:
    say("ended, not waiting for what had no answer yet: another worker goes on with it.")
    _leave(DONE)


def _children(worker: Any) -> list[int]:
    pool = getattr(worker.pool, "_pool", None)
    return [one.pid for one in getattr(pool, "_pool", ()) if one.exitcode is None]


def _leave(code: int) -> None:
    """End at once, children included: RabbitMQ gives what they were at to another worker."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


# --- what is said --------------------------------------------------------------------------------


def _keep_logging(**_: object) -> None:
    """Celery sets up no logging of its own where somebody answers this."""


class _Shortly(logging.Handler):
    """Says what Celery has to say in one line each: no traceback on anybody's screen."""

    def __init__(self, say: Say) -> None:
        super().__init__(logging.WARNING)
        self._said, self._away = say, False

    def emit(self, record: logging.LogRecord) -> None:
        line = next((one for one in record.getMessage().splitlines() if one.strip()), "")
        self._away |= any(one in line for one in _AWAY)
        self._said(_ADDRESS.sub("RabbitMQ", line.strip()))

    def hear(self, **_: object) -> None:
        """Say that RabbitMQ is reached again, as a wake-up came, where it was said that it is not."""
        if self._away:
            self._away = False
            self._said("RabbitMQ is reached again.")


def _say_shortly(say: Say) -> _Shortly:
    shortly = _Shortly(say)
    for name in ("celery", "kombu", "amqp"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [shortly], False
        logger.setLevel(logging.WARNING)
    return shortly
