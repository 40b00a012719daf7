"""`worker` where it cannot work: each time a sentence that says what to do, and exit code 2."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import pytest

from commands import worker
from sync.runners import celery, celery_worker
from sync.runners.celery import Work
from sync.runners.fleet import NoSuchClinic
from sync.runners.jobs import NoSuchStep

BROKER = "amqp://relay:canary-4711@127.0.0.1:1/"
SERVER = "postgresql://relay@127.0.0.1:1/relay"


def settings(desk: Any, *, store: str = SERVER, broker: str = BROKER) -> None:
    named = f'store: {{url: "{store}"}}\nrunner: {{broker: "{broker}"}}\n'
    desk.write(desk.settings.read_text() + named)


def test_a_store_in_a_file_is_refused(desk: Any) -> None:
    settings(desk, store="sqlite:///clinicrelay.db")
    ran = desk.run("worker", now=None)
    assert ran.code == 2
    assert "several workers cannot share a store in a SQLite file" in ran.err
    assert "PostgreSQL" in ran.err
    assert "canary-4711" not in ran.err + ran.out


def test_without_a_broker_it_says_which_setting_names_one(desk: Any) -> None:
    settings(desk, broker="")
    ran = desk.run("worker", now=None)
    assert ran.code == 2
    assert 'runner: {broker: "${RABBITMQ_URL}"}' in ran.err


def test_without_celery_it_says_how_to_install_it(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings(desk)
    monkeypatch.setattr(worker, "find_spec", lambda name: None)
    ran = desk.run("worker", now=None)
    assert ran.code == 2
    assert "pip install 'clinicrelay[celery]'" in ran.err


def test_it_goes_by_the_clock(desk: Any) -> None:
    settings(desk)
    ran = desk.run("worker")
    assert ran.code == 2
    assert "goes by the clock" in ran.err


@pytest.mark.parametrize("length", ["soon", "1s", "5"])
def test_a_rhythm_is_a_length_of_time(desk: Any, length: str) -> None:
    settings(desk)
    ran = desk.run("worker", "--every", length, now=None)
    assert ran.code == 2
    assert "--every" in ran.err


def test_a_worker_that_is_well_is_not_taken_for_deaf(desk: Any) -> None:
    """It hears itself every half minute."""
    settings(desk)
    ran = desk.run("worker", "--deaf-after", "60s", now=None)
    assert ran.code == 2
    assert "write 90s or more" in ran.err


def test_clinics_with_different_brokers_cannot_share_workers(desk: Any) -> None:
    settings(desk)
    text = desk.settings.read_text()
    desk.settings.unlink()
    desk.settings.mkdir()  # a folder of clinics may be called as it likes
    for name in ("east", "west"):
        own = text.replace("id: riverside", f"id: {name}").replace("canary-4711", f"canary-{name}")
        own = own.replace("type: csv,", f"type: csv, inbox: drops/{name},")
        (desk.settings / f"{name}.yaml").write_text(f"{own}data: var/{name}\n")

    ran = desk.run("worker", now=None)
    assert ran.code == 2
    assert "west.yaml" in ran.err
    assert "share one RabbitMQ" in ran.err
    assert "canary" not in ran.err


def test_a_mistake_of_ours_in_a_job_is_told_as_one_and_a_strange_wake_up_is_not() -> None:
    said: list[str] = []
    wrong: list[Exception] = []
    work = Work(
        fleet=None,  # type: ignore[arg-type]
        every=timedelta(minutes=5),
        say=said.append,
        told=lambda clinic, report: None,
        wrong=wrong.append,
        over=lambda clinic, job: nullcontext(),
    )
    with celery._heard(work, "riverside"):
        raise KeyError("canary-4711")
    assert [type(one) for one in wrong] == [KeyError]
    assert said == []
    for strange in (NoSuchClinic, NoSuchStep):
        with celery._heard(work, "riverside"):
            raise strange
    assert len(wrong) == 1
    assert len(said) == 2


def test_what_celery_says_holds_no_part_of_the_address() -> None:
    said: list[str] = []
    told = "consumer: Cannot connect to amqp://guest:**@127.0.0.1:5690//: [Errno 111] refused."
    celery_worker._Shortly(said.append).emit(logging.makeLogRecord({"msg": told}))
    assert said == ["consumer: Cannot connect to RabbitMQ: [Errno 111] refused."]


def test_check_connect_asks_the_broker(desk: Any) -> None:
    settings(desk, store="sqlite:///clinicrelay.db")
    ran = desk.run("check", "--connect")
    assert ran.code == 2
    assert "RabbitMQ does not answer" in ran.out
    assert "runner" in ran.out
    assert "canary-4711" not in ran.err + ran.out
    assert "RabbitMQ" not in desk.run("check").out
