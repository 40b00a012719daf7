"""`worker`: the same steps as one of many, woken by Celery over RabbitMQ.

The broker carries wake-ups only: which clinic, which step, of what. Order, rates, due times, and that
nothing happens twice stay in the store, so a wake-up may be lost or come twice. Celery's own ways to
put something off or to try it again are not used. Of one worker, the main process speaks to RabbitMQ
and its children do the jobs, each with stores of its own.
"""

from __future__ import annotations

import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from amqp.exceptions import AccessRefused, AMQPError, NotAllowed
from celery import Celery
from kombu import Exchange, Queue
from kombu.exceptions import OperationalError

from clinicrelay.contracts import Finding
from clinicrelay.errors import SettingsError, StoreBusy
from sync.runners import jobs
from sync.runners.fleet import NoSuchClinic
from sync.runners.jobs import Job, NoSuchStep

if TYPE_CHECKING:
    from clinicrelay.settings.schema import Runner
    from sync.clinic import Clinic
    from sync.report import RunReport
    from sync.runners.fleet import Fleet, Say

# RabbitMQ closes the channel of who has not answered for a wake-up within 30 minutes.
BUDGET, SOFT, HARD = 240, 300, 600  # seconds until a job is asked to end, is ended, is killed
STEP, SWEEP = "clinicrelay.step", "clinicrelay.sweep"
_OF_USE = timedelta(minutes=10)  # later a sweep has found the same anew
_MOST = 10_000  # wake-ups that wait
_CONFIRM = 10  # seconds
_DELIVERIES = 10  # of one wake-up: what kills whoever does it must not go on killing


class _OutOfTime(BaseException):
    """A job did not end when it was asked to. No `except Exception` takes it for a mistake of ours."""


@dataclass(slots=True)
class Work:
    """What the children of a worker do jobs with; they have it from before they were forked."""

    fleet: Fleet
    every: timedelta
    say: Say
    told: Callable[[Clinic, RunReport], None]  # hears what each job did
    wrong: Callable[[Exception], object]  # hears of mistakes of ours
    over: Callable[[Clinic, Job], AbstractContextManager[None]]  # around each job
    ending: threading.Event | None = None  # of the job that is being done


def program(settings: Runner, work: Work) -> Celery:
    """Return the Celery program of a fleet of workers."""
    app = _app(settings)

    @app.task(name=STEP, shared=False)  # type: ignore[untyped-decorator]
    def step(clinic: str, step: str, of: str = "") -> None:
        wake(clinic, _done(work, clinic, Job(step, of)))

    @app.task(name=SWEEP, shared=False)  # type: ignore[untyped-decorator]
    def sweep() -> None:
        for one in work.fleet.clinics():
            name = one.settings.clinic.id
            wake(name, _swept(work, name))

    def wake(clinic: str, found: Iterable[Job]) -> None:
        try:
            for job in found:
                publish(app, STEP, clinic=clinic, step=job.step, of=job.of)
        except NOT_TAKEN as error:
            work.say(
                f"{clinic}: RabbitMQ takes no wake-up ({type(error).__name__}); a sweep finds it"
            )

    return app


def _app(settings: Runner) -> Celery:
    app = Celery("clinicrelay", set_as_current=False)
    app.conf.update(_as_celery_says(settings))
    return app


NOT_TAKEN = (OperationalError, AMQPError, OSError)


def publish(app: Celery, task: str, *, to: str = "", **told: str) -> None:
    """Wake the fleet, or the worker whose queue this is. Raises one of NOT_TAKEN.

    RabbitMQ confirms each wake-up: it would drop those in silence that a user may not send.
    """
    shared = app.conf.task_default_queue
    app.tasks[task].apply_async(
        kwargs=told,
        exchange=shared,
        routing_key=to or shared,
        retry=False,
        confirm_timeout=_CONFIRM,
    )


def refused(settings: Runner) -> Finding | None:
    """Ask RabbitMQ once; return what a person has to mend, be it that it does not answer."""
    return refusal(_app(settings), or_away=True)


def refusal(app: Celery, *, or_away: bool = False) -> Finding | None:
    """Return why RabbitMQ will not have us until a person mends it, or, if wanted, that it is away."""
    try:
        with app.connection_for_write() as connection:
            connection.connect()
    except AccessRefused:
        message, fix = "RabbitMQ refuses the login", "correct name and password in the address"
        return Finding("error", "broker_login", message, fix, path="runner.broker")
    except NotAllowed:
        message = "RabbitMQ does not let this user into the vhost, or there is none of that name"
        fix = "correct what follows the host, or: rabbitmqctl set_permissions --vhost VHOST USER …"
        return Finding("error", "broker_vhost", message, fix, path="runner.broker")
    except ssl.SSLCertVerificationError as error:
        message = f"the certificate of RabbitMQ is not to be trusted: {error.verify_message}"
        fix = "name the file of your own authority as runner.ca, and the host by its name there"
        return Finding("error", "broker_certificate", message, fix, path="runner.broker")
    except NOT_TAKEN as error:
        if or_away:  # else it may come back
            message = f"RabbitMQ does not answer ({type(error).__name__})"
            fix = "correct host and port in the address, or let this machine through to it"
            return Finding("error", "broker_away", message, fix, path="runner.broker")
    return None


# --- one job -------------------------------------------------------------------------------------


def _done(work: Work, name: str, job: Job) -> list[Job]:
    found = [job]  # again, where its time is up before it has ended
    with _heard(work, name), _in_time(work) as ending:
        try:
            with work.fleet.clinic(name, ending=ending) as clinic, work.over(clinic, job):
                done = jobs.do(clinic, job)
                work.told(clinic, done.report)
                found = [*done.next]
        except Exception:
            found = []  # a sweep finds it, if it still is to be done
            raise
    return found


def _swept(work: Work, name: str) -> list[Job]:
    found: list[Job] = []
    with (
        _heard(work, name),
        _in_time(work) as ending,
        work.fleet.clinic(name, ending=ending) as clinic,
    ):
        found += jobs.sweep(clinic, every=work.every)
    return found


@contextmanager
def _heard(work: Work, name: str) -> Iterator[None]:
    """Say what went wrong with a clinic; it stops none of the others, and no worker."""
    try:
        yield
    except _OutOfTime:
        work.say(f"{name}: a job took too long and goes on later")
    except SettingsError as error:
        for one in error.findings:
            work.say(f"{name}: {one.message}; {one.fix}")
    except StoreBusy as error:
        work.say(f"{name}: {error}; the next sweep finds what was not done")
    except (NoSuchClinic, NoSuchStep):
        work.say(
            f"{name}: no such clinic or step is known here; do all workers have the same settings?"
        )
    except Exception as error:  # noqa: BLE001 - reported; the others go on
        work.wrong(error)


@contextmanager
def _in_time(work: Work) -> Iterator[threading.Event]:
    """Ask a job to end when its time is up, or when the worker is told to end."""
    ending = work.ending = threading.Event()
    if threading.current_thread() is threading.main_thread():
        # At each job: Celery's pool installs its own after the child has begun.
        signal.signal(signal.SIGTERM, lambda *_: ending.set())
        signal.signal(signal.SIGUSR1, _end_it)
    limit = threading.Timer(BUDGET, ending.set)
    limit.daemon = True
    limit.start()
    try:
        yield ending
    finally:
        limit.cancel()


def _end_it(*_: object) -> None:
    raise _OutOfTime


# --- as Celery says it -----------------------------------------------------------------------------


def _as_celery_says(settings: Runner) -> dict[str, Any]:
    assert settings.broker is not None
    broker = settings.broker.get_secret_value()
    exchange = Exchange(settings.queue, type="direct", durable=True)
    shared = {
        "x-queue-type": "quorum",
        "x-max-length": _MOST,
        "x-message-ttl": _milliseconds(_OF_USE),
        "x-delivery-limit": _DELIVERIES,
    }
    own = {
        "x-queue-type": "classic",
        "x-max-length": 1,
        "x-message-ttl": _milliseconds(jobs.PERIOD),
        "x-expires": _milliseconds(_OF_USE),
    }
    of_its_own = own_queue(settings)
    return {
        "broker_url": broker,
        "broker_use_ssl": _tls(settings, broker),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_connection_timeout": 10,
        "broker_heartbeat": 20,
        "broker_transport_options": {"confirm_publish": True},
        "task_queues": [
            Queue(settings.queue, exchange, settings.queue, queue_arguments=shared),
            Queue(of_its_own, exchange, of_its_own, queue_arguments=own),
        ],
        "task_default_queue": settings.queue,
        "task_default_exchange": settings.queue,
        "task_default_routing_key": settings.queue,
        "task_default_queue_type": "quorum",
        "task_create_missing_queues": False,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_soft_time_limit": SOFT,
        "task_time_limit": HARD,
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "task_serializer": "json",
        "accept_content": ["json"],
        "result_backend": None,
        "worker_prefetch_multiplier": 1,
        "worker_proc_alive_timeout": 60.0,  # a busy machine
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "enable_utc": True,
    }


def own_queue(settings: Runner) -> str:
    """Return the queue of this worker alone, by which it hears that it still hears."""
    return f"{settings.queue}.worker.{node()}"


def node() -> str:
    """Return the name of this worker: it is its main process."""
    return f"{socket.gethostname().partition('.')[0]}-{os.getpid()}"


def _milliseconds(length: timedelta) -> int:
    return length // timedelta(milliseconds=1)


def _tls(settings: Runner, broker: str) -> dict[str, Any] | bool:
    """The name has to be checked as well: unless told so, any trusted certificate would do."""
    parts = urlsplit(broker)
    if parts.scheme != "amqps":
        return False
    named = {"ca_certs": str(settings.ca)} if settings.ca else {}
    return {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": parts.hostname, **named}
